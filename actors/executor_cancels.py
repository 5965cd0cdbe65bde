"""The way of a cancel out: one order by id, or all of some symbols in one call; asked again until the order is over.

May import `trading.model`, `trading.engine` and the executor's pieces. Cancels go out in every state of the account,
also without journal and lease; their outcome is journaled when it can be. Repeating one is harmless.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from actors.executor_desk import OrderDesk
from actors.executor_state import ExecutorState
from trading.adapters.clock import Clock
from trading.engine.budget import RateBudget
from trading.engine.order_tracker import OrderTracker
from trading.engine.ports import Crashpoint, Crashpoints, Gateway
from trading.model.errors import RateLimited, VenueError
from trading.model.orders import CancelIntent, OrderStatus
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

# Cancels are repeated while the venue has not ended the order.
RECANCEL_AFTER_NS = 3 * NS_PER_S
READ_WEIGHT = 1
log = structlog.get_logger("executor")


@dataclass(frozen=True, slots=True)
class CancelJob:
    """The cancel of one order. `venue_order_id` is given for an order that memory does not hold: an orphan's."""

    client_order_id: str
    symbol: str
    venue_order_id: str = ""


@dataclass(frozen=True, slots=True)
class SweepJob:
    """The cancel of everything that is open in these symbols, in one call: for a venue where all of it is ours.

    `still` says right before the call which of them one call may clear: the job may have waited for its token.
    """

    symbols: tuple[str, ...]
    still: Callable[[tuple[str, ...]], Awaitable[tuple[str, ...]]]


class CancelPath:
    """Owned by the executor's `SendPath`, whose pump gives it tokens. Invariant: touches no order that is not ours."""

    def __init__(
        self,
        state: ExecutorState,
        desk: OrderDesk,
        gateway: Gateway,
        budget: RateBudget,
        clock: Clock,
        crashpoints: Crashpoints,
        push: Callable[[str, CancelJob | SweepJob], None],
    ) -> None:
        """Args: push: queues a job under a symbol's name."""
        self._state = state
        self._desk = desk
        self._gateway = gateway
        self._budget = budget
        self._clock = clock
        self._crashpoints = crashpoints
        self._push = push
        self._queued: set[str] = set()
        self._sweeping: set[str] = set()
        self._sent_ns: dict[str, int] = {}  # monotonic

    # --- asking -----------------------------------------------------------------------------------------------------

    def note(self, wish: CancelIntent) -> bool:
        """Keep with an order why its end is wanted, and since when; True when it is over."""
        tracker = self._state.orders.get(wish.client_order_id)
        if tracker is None or tracker.record.status.is_terminal:
            return True
        tracker.wish_cancel(wish.reason, wish.created_ns)
        return False

    def queue(self, client_order_id: str, symbol: str, venue_order_id: str = "") -> None:
        """Let the cancel of one order wait for its token; once, however often it is asked."""
        if client_order_id not in self._queued:
            self._queued.add(client_order_id)
            self._push(symbol, CancelJob(client_order_id, symbol, venue_order_id))

    def queue_sweep(
        self, symbols: tuple[str, ...], still: Callable[[tuple[str, ...]], Awaitable[tuple[str, ...]]]
    ) -> None:
        """Let the cancel of all orders of some symbols wait for its token, but for symbols whose sweep is under way.

        Only for symbols in which every open order of the account is ours. symbols: at most as many as a call takes.
        still: asked again with the token in hand; what it leaves out is not touched.
        """
        fresh = tuple(symbol for symbol in symbols if symbol not in self._sweeping)
        if fresh:
            self._sweeping.update(fresh)
            self._push(fresh[0], SweepJob(fresh, still))

    def is_sweeping(self, symbol: str) -> bool:
        """True from `queue_sweep` until the venue has answered."""
        return symbol in self._sweeping

    def recancel_due(self) -> None:
        """Ask again for orders that we cancelled a while ago and that the venue has not ended."""
        now_ns = self._clock.monotonic_ns()
        orders = self._state.orders
        self._sent_ns = {name: at_ns for name, at_ns in self._sent_ns.items() if orders.is_live(name)}
        asked = {
            item.record.client_order_id for item in orders.watched() if item.record.status is OrderStatus.CANCELLING
        }
        for name in sorted(asked | self._sent_ns.keys()):
            tracker = orders.get(name)
            sent_ns = self._sent_ns.get(name)
            is_due = sent_ns is None or now_ns - sent_ns > RECANCEL_AFTER_NS
            if is_due and tracker is not None and not tracker.is_ended_at_venue:
                self.queue(name, tracker.record.symbol)

    def is_under_way(self, client_order_id: str) -> bool:
        """True while the cancel of an order waits, or was sent a moment ago."""
        sent_ns = self._sent_ns.get(client_order_id)
        is_fresh = sent_ns is not None and self._clock.monotonic_ns() - sent_ns <= RECANCEL_AFTER_NS
        return is_fresh or client_order_id in self._queued

    # --- carrying out -----------------------------------------------------------------------------------------------

    def is_void(self, job: CancelJob | SweepJob) -> bool:
        """Tell whether a job needs no token any more: its order is over, its halt was lifted."""
        if isinstance(job, SweepJob):
            is_lifted = all(self._state.account.halt_state(item)[0] is HaltState.ACTIVE for item in job.symbols)
            if is_lifted:
                self._sweeping.difference_update(job.symbols)
            return is_lifted
        if job.venue_order_id:
            return False
        tracker = self._state.orders.get(job.client_order_id)
        is_over = tracker is None or tracker.record.status.is_terminal
        if is_over:
            self._queued.discard(job.client_order_id)
        return is_over

    async def carry(self, job: CancelJob | SweepJob, ticket: int) -> None:
        """Carry out a job that has its token; what the venue does not take is asked again by `recancel_due`.

        Args: ticket: what the budget counts it by.
        """
        if self.is_void(job):
            self._budget.on_order_unsent(ticket)
            return
        is_sent = True
        try:
            is_sent = await (self._sweep(job, ticket) if isinstance(job, SweepJob) else self._cancel(job))
        except RateLimited as error:
            self._budget.on_rate_limited(error.retry_after_s, self._clock.now_ns(), error.is_firewall)
            self._state.counters["cancels_failed"] += 1
        except VenueError as error:
            self._state.counters["cancels_failed"] += 1
            log.warning("cancel_failed", job=job, reason=str(error))
        finally:
            if is_sent:
                self._budget.on_order_landed(ticket, self._clock.now_ns())
            else:
                self._budget.on_order_unsent(ticket)

    async def _cancel(self, job: CancelJob) -> bool:
        """Cancel one order, and read it where the venue did not take that; False when nothing was sent."""
        name, refusals = job.client_order_id, self._budget.rate_limited
        self._queued.discard(name)
        tracker = self._state.orders.get(name)
        if tracker is None or tracker.record.status.is_terminal:
            if not job.venue_order_id:
                return False
            self._state.counters["cancels"] += 1
            await self._gateway.cancel(job.symbol, name, job.venue_order_id)
            self._budget.on_let_in(refusals, self._clock.now_ns())
            return True
        self._begin(tracker)
        self._crashpoints.reach(Crashpoint.CANCEL_BEFORE)
        is_taken = await self._gateway.cancel(job.symbol, name, tracker.record.venue_order_id)
        self._budget.on_let_in(refusals, self._clock.now_ns())
        self._crashpoints.reach(Crashpoint.CANCEL_AFTER)
        if is_taken or tracker.record.status.is_terminal:
            return True
        if not self._budget.try_read(READ_WEIGHT, self._clock.now_ns()):
            self._desk.is_reconcile_wanted = True  # it is asked for when the budget allows
            return True
        report = await self._gateway.order(job.symbol, name)
        if report is not None:
            self._desk.take(report)
        return True

    async def _sweep(self, job: SweepJob, ticket: int) -> bool:
        """Clear symbols in one call; False when nothing was sent. A look before it may be the probe that it holds."""
        try:
            is_probe = self._budget.give_back_probe(ticket)
            symbols = await job.still(job.symbols)
            if not symbols:
                return False
            if is_probe:
                self._budget.try_probe(self._clock.now_ns())  # no look took it
            for symbol in symbols:  # no await from the look to the socket
                for tracker in self._state.orders.live(symbol):
                    # What is on the wire has its own cancel after the answer; what was not sent needs none.
                    is_there = tracker.record.status is not OrderStatus.PENDING
                    if is_there and tracker.record.client_order_id not in self._state.sending:
                        self._begin(tracker)
            self._state.counters["sweeps"] += 1
            self._crashpoints.reach(Crashpoint.CANCEL_BEFORE)
            refusals = self._budget.rate_limited
            await self._gateway.cancel_all(symbols)
            self._budget.on_let_in(refusals, self._clock.now_ns())
            self._crashpoints.reach(Crashpoint.CANCEL_AFTER)
            return True
        finally:
            self._sweeping.difference_update(job.symbols)

    def _begin(self, tracker: OrderTracker) -> None:
        record, now_ns = tracker.record, self._clock.now_ns()
        self._sent_ns[record.client_order_id] = self._clock.monotonic_ns()
        halt, reason = self._state.account.halt_state(record.symbol)
        if halt is not HaltState.ACTIVE:
            tracker.wish_cancel(f"{halt.value.lower()}: {reason}", now_ns)
        step = tracker.request_cancel(now_ns)
        if step is not None:
            self._desk.apply(tracker, (step,))
        self._state.counters["cancels"] += 1
