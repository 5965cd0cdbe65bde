"""The sweep of a halt or flatten: withdraw what was not sent, cancel what is open by few calls, count what is left.

May import `trading.model`, `trading.engine` and the executor's pieces. Where everything open in a symbol is ours, one
call ends up to five symbols; beside foreign orders, or exits that may stay, ours are cancelled one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

import structlog

from actors.executor_reconcile import READ_WEIGHT
from actors.executor_send import SendPath
from actors.executor_state import ExecutorState, Scope
from actors.executor_values import SYMBOLS_A_READ, ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.budget import PROBE_NS, RateBudget
from trading.engine.order_tracker import OrderTracker
from trading.engine.ports import Gateway, OrderRecord
from trading.engine.reconcile import OUR_PREFIX, plan_sweep
from trading.model.errors import NotRunning, RateLimited, StoreError, VenueRejected, VenueUnavailable
from trading.model.orders import VenueOrder
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

STEP_S = 0.05
LEAST_WAIT_S = 0.001
# Without any progress for so many steps, the venue is asked again: a push may have been lost.
STILL_STEPS = 20
# One call ends everything open, also what somebody places by hand after we looked: no older look than this will do.
LOOK_AGE_MAX_NS = NS_PER_S // 2
# How many orders a reason names.
NAMED_MAX = 5
log = structlog.get_logger("executor")


class Sweeper:
    """Owned by one `ExecutorActor`. Invariant: it ends no foreign order, and none that `spares` lets live."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        sends: SendPath,
        gateway: Gateway,
        budget: RateBudget,
        clock: Clock,
        take: Callable[[VenueOrder], None],
        retire: Callable[[str], Coroutine[Any, Any, None]],
        is_lease_valid: Callable[[], bool],
    ) -> None:
        """Args:
        take: takes the venue's word about an order of ours that is not known here: no push may ever tell of it.
        retire: fences a symbol's owner and ends its paper orders.
        is_lease_valid: tells whether the account is certainly ours. If not, what is open there may be a successor's, by
            a halt that people have lifted since: only what we know as our own is cancelled then, one by one.
        """
        self._settings = settings
        self._state = state
        self._sends = sends
        self._gateway = gateway
        self._budget = budget
        self._clock = clock
        self._take = take
        self._retire = retire
        self._is_lease_valid = is_lease_valid

    def live(self, scope: Scope) -> list[OrderTracker]:
        """List the orders of a scope that are not over, oldest first, but those that will certainly not be sent.

        A journal that hangs while it commits these holds back no proof that nothing is open.
        """
        own = (item for item in self._state.orders.live() if scope is None or item.record.symbol in scope)
        return [item for item in own if not self._sends.is_withheld(item.record.client_order_id)]

    def unlisted_text(self, scope: Scope) -> str:
        """Name the unlisted orders that the venue does not call over; empty when there are none."""
        left = [item.record for item in self.live(scope) if not self._is_listed(item.record.symbol)]
        if not left:
            return ""
        names = ", ".join(f"{item.symbol} {item.client_order_id}" for item in left[:NAMED_MAX])
        more = f" and {len(left) - NAMED_MAX} more" if len(left) > NAMED_MAX else ""
        return f"of symbols that the venue lists no more, it has not said that these are over: {names}{more}"

    async def round(self, scope: Scope, spares: Callable[[OrderRecord], bool], *, gives_up: bool = False) -> int | None:
        """Withdraw and cancel everything of ours but what `spares`; do not wait for the end.

        Args: gives_up: a paper venue that does not answer is fenced, its orders ended.
        Returns: our open orders as the venue showed them before these cancels, None when a part of it did not answer.
        """
        for tracker in self.live(scope):
            if not spares(tracker.record):
                self._sends.withdraw(tracker.record.client_order_id)
        known = self._state.epochs.keys() | self._state.orders.symbols() | self._state.others
        symbols = sorted(scope if scope is not None else known)
        batches = [tuple(symbols[at : at + SYMBOLS_A_READ]) for at in range(0, len(symbols), SYMBOLS_A_READ)]
        return _sum(await asyncio.gather(*(self._batch(batch, spares, gives_up) for batch in batches)))

    async def quiet(self, scope: Scope) -> None:
        """Wait until nothing of the scope is open or on its way, or until nothing has moved for a second."""
        before, still = -1, 0
        while still < STILL_STEPS:
            now = len(self.live(scope))
            if not now and not any(self._sends.cancels.is_sweeping(item) for item in scope or ()):
                return
            still = still + 1 if now == before else 0
            before = now
            await asyncio.sleep(STEP_S)

    def hindrance(self) -> str:
        """Say what keeps cancels from going out; empty when nothing does."""
        now_ns = self._clock.now_ns()
        pause_ns = self._budget.pause_ns(now_ns)
        if not pause_ns:
            return ""
        text = f"the venue lets nothing in for {pause_ns / NS_PER_S:.0f} s more (429 or 403)"
        is_tried = self._budget.is_probed(now_ns)
        return f"{text}, one request in {PROBE_NS // NS_PER_S} s tries whether it does" if is_tried else text

    def cancel_singly(self, records: Iterable[OrderRecord]) -> None:
        """Withdraw what was not sent of these, and cancel the others one by one; harmless to repeat."""
        for record in records:
            name = record.client_order_id
            if not self._sends.withdraw(name) and not self._sends.cancels.is_under_way(name):
                self._sends.cancels.queue(name, record.symbol)

    # --- one batch of symbols -----------------------------------------------------------------------------------------

    async def _batch(
        self, symbols: tuple[str, ...], spares: Callable[[OrderRecord], bool], gives_up: bool
    ) -> int | None:
        own = [item.record for symbol in symbols for item in self._state.orders.live(symbol)]
        try:
            answer = await self._read(symbols, gives_up)
        except RateLimited as error:
            self._budget.on_rate_limited(error.retry_after_s, self._clock.now_ns(), error.is_firewall)
            return None
        except VenueUnavailable as error:
            is_refused = isinstance(error.__context__, VenueRejected)
            if is_refused and len(symbols) > 1:  # for one of them: the others are listed
                return _sum([await self._batch((symbol,), spares, gives_up) for symbol in symbols])
            log.warning("sweep_waits", symbols=symbols, reason=str(error))
            self.cancel_singly(record for record in own if not spares(record))
            # What the venue lists no more it need not list orders of: each of ours is ended by its id.
            return len(own) if is_refused and not self._is_listed(symbols[0]) else None
        if answer is None:
            return None
        asked, shown = answer
        bulk = self._plan(asked, shown, spares)
        self._sends.cancels.queue_sweep(bulk, partial(self._still, spares, self._clock.monotonic_ns()))
        if len(asked) < len(symbols):
            return None
        return sum(order.client_order_id.startswith(OUR_PREFIX) for order in shown)

    def _plan(
        self, asked: tuple[str, ...], shown: Sequence[VenueOrder], spares: Callable[[OrderRecord], bool]
    ) -> tuple[str, ...]:
        """Cancel ours one by one where that is needed; return the symbols that one call may clear."""
        own = [item.record for symbol in asked for item in self._state.orders.live(symbol)]
        if not self._is_lease_valid():
            self.cancel_singly(record for record in own if not spares(record))
            return ()
        spared = {record.client_order_id: record.symbol for record in own if spares(record)}
        held = {record.symbol for record in own if record.client_order_id not in spared}
        plan = plan_sweep(asked, shown, held, spared)
        self.cancel_singly(record for record in own if record.symbol in plan.mixed and not spares(record))
        known = {record.client_order_id for record in own}
        for order in shown:
            if order.client_order_id.startswith(OUR_PREFIX) and self._state.orders.get(order.client_order_id) is None:
                self._take(order)
        for order in plan.single:
            if order.client_order_id not in known:
                self._sends.cancels.queue(order.client_order_id, order.symbol, order.venue_order_id)
        return plan.bulk

    async def _still(
        self, spares: Callable[[OrderRecord], bool], looked_ns: int, symbols: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Say which symbols one call may clear now. Where the look is old, look again; without a look, one by one.

        A halt that was lifted while its cancels waited for tokens ends nothing any more.
        """
        halted = self._halted(symbols)
        own = [item.record for symbol in halted for item in self._state.orders.live(symbol)]
        if not self._is_lease_valid():
            self.cancel_singly(record for record in own if not spares(record))
            return ()
        is_fresh = self._settings.is_paper or self._clock.monotonic_ns() - looked_ns <= LOOK_AGE_MAX_NS
        if not halted or (is_fresh and not any(map(spares, own))):
            return halted
        self._state.counters["sweeps_looked_again"] += 1
        try:
            answer = await self._read(halted, False)
        except RateLimited as error:
            self._budget.on_rate_limited(error.retry_after_s, self._clock.now_ns(), error.is_firewall)
            answer = None
        except VenueUnavailable as error:
            log.warning("sweep_waits", symbols=halted, reason=str(error))
            answer = None
        halted = self._halted(halted)
        if answer is None:
            self.cancel_singly(record for record in own if record.symbol in halted and not spares(record))
            return ()
        return self._plan(halted, [order for order in answer[1] if order.symbol in halted], spares)

    def _is_listed(self, symbol: str) -> bool:
        instrument = self._state.instruments.get(symbol)
        return instrument is not None and instrument.is_listed

    def _halted(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        account = self._state.account
        return tuple(symbol for symbol in symbols if account.halt_state(symbol)[0] is not HaltState.ACTIVE)

    async def _read(self, symbols: tuple[str, ...], gives_up: bool) -> tuple[tuple[str, ...], list[VenueOrder]] | None:
        """Return which symbols answered, and their open orders; None while the venue wants a pause.

        Raises: VenueUnavailable.
        """
        if not self._settings.is_paper:
            if not await self._may_ask():
                return None
            refusals = self._budget.rate_limited
            shown = list(await self._gateway.open_orders(symbols))
            self._budget.on_let_in(refusals, self._clock.now_ns())
            return symbols, shown
        answers = await asyncio.gather(*(self._read_paper(symbol, gives_up) for symbol in symbols))
        found = [(symbol, orders) for symbol, orders in zip(symbols, answers, strict=True) if orders is not None]
        return tuple(symbol for symbol, _ in found), [order for _, orders in found for order in orders]

    async def _read_paper(self, symbol: str, gives_up: bool) -> tuple[VenueOrder, ...] | None:
        """Ask one symbol's paper venue; one that does not answer and holds nothing, or was waited for, is fenced."""
        try:
            return await self._gateway.open_orders((symbol,))
        except VenueUnavailable:
            if self._state.orders.live(symbol) and not gives_up:
                return None
        try:
            await self._retire(symbol)
        except (StoreError, NotRunning):
            return None
        return ()

    async def _may_ask(self) -> bool:
        """Wait for what one read costs; False while the venue wants a pause, and no try is due."""
        while not self._budget.try_read(READ_WEIGHT, self._clock.now_ns()):
            now_ns = self._clock.now_ns()
            if self._budget.is_paused(now_ns):
                return self._budget.try_probe(now_ns)
            # To the moment: steps that are coarser than a token's time let a full bucket run over.
            wait_s = self._budget.read_wait_ns(READ_WEIGHT, now_ns) / NS_PER_S
            await asyncio.sleep(min(STEP_S, max(LEAST_WAIT_S, wait_s)))
        return True


def _sum(counts: Sequence[int | None]) -> int | None:
    """Add up; None when one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
