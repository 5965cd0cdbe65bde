"""The way of an order out: judge, wait for a token, commit, judge again, send, book the answer; the way of a cancel.

May import `trading.model`, `trading.engine` and the executor's pieces. Between the last check and the call of the
gateway there is no await. Nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from actors.executor_cancels import CancelJob, CancelPath, SweepJob
from actors.executor_desk import OrderDesk
from actors.executor_lanes import CommitOutcome, IntentLane
from actors.executor_lease import LeaseKeeper
from actors.executor_state import ExecutorState
from trading.adapters.clock import Clock
from trading.engine.account import ACCOUNT_SCOPE, symbol_scope
from trading.engine.account_rules import Denial
from trading.engine.budget import FairQueue, Priority, RateBudget
from trading.engine.order_tracker import OrderTracker
from trading.engine.orders import OrderEventKind, next_status
from trading.engine.ports import Crashpoint, Crashpoints, Gateway, Journal, OrderRecord
from trading.model.errors import InvariantViolated, StoreError
from trading.model.orders import CancelIntent, OrderIntent, OrderStatus, PlaceRejected, Purpose, Refusal
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

# A send that leaves less than this of the signed window would reach the venue too late for certain.
WINDOW_RESERVE_MS = 200
# A wait for tokens is looked at again so often: a pause the venue asked for may be minutes, an intent's age is not.
WAIT_STEP_S = 0.1
DOOR_STEP_S = 0.005
log = structlog.get_logger("executor")


@dataclass(slots=True)
class Waiting:
    """An approved intent on its way; `done` is True when it is durable, False when it was denied."""

    tracker: OrderTracker
    done: asyncio.Future[bool]


Job = Waiting | CancelJob | SweepJob


class SendPath:
    """Owned by one `ExecutorActor`. Invariant: no order without a row, no send without lease, state and token."""

    def __init__(
        self,
        state: ExecutorState,
        desk: OrderDesk,
        intents: IntentLane,
        keeper: LeaseKeeper,
        journal: Journal,
        gateway: Gateway,
        budget: RateBudget,
        clock: Clock,
        crashpoints: Crashpoints,
        recv_window_ms: int,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._state = state
        self._desk = desk
        self._intents = intents
        self._keeper = keeper
        self._journal = journal
        self._gateway = gateway
        self._budget = budget
        self._clock = clock
        self._crashpoints = crashpoints
        self._recv_window_ms = recv_window_ms
        self._spawn = spawn
        self._queue: FairQueue[Job] = FairQueue()
        self._wake = asyncio.Event()
        self._waiting: dict[str, Waiting] = {}
        self._cancel_wanted: set[str] = set()
        self._door = asyncio.Lock()
        self.cancels = CancelPath(state, desk, gateway, budget, clock, crashpoints, self._push_cancel)

    @property
    def queue(self) -> FairQueue[Job]:
        """What waits for tokens."""
        return self._queue

    # --- orders ---------------------------------------------------------------------------------------------------

    def propose(self, intent: OrderIntent, run_id: str) -> asyncio.Future[bool]:
        """Judge an intent and let it go its way; a repeat of an id follows the first.

        Returns: a future that is True when the intent is durable in the journal, False when it was denied.
        """
        known = self._state.orders.get(intent.client_order_id)
        if known is not None:
            return self._repeat(known)
        now_ns = self._clock.now_ns()
        denial = self._judge(intent, now_ns)
        verdicts = () if denial else self._state.account.verdicts(intent, now_ns)
        tracker = OrderTracker(_record(intent, run_id, self._keeper.epoch, verdicts))
        waiting = Waiting(tracker, asyncio.get_running_loop().create_future())
        if denial:
            self._finish_denied(waiting, denial)
            return waiting.done
        self._state.orders.put(tracker)
        self._state.account.on_order(tracker.record)
        if intent.purpose is Purpose.ENTRY:
            self._state.account.on_entry_approved(now_ns)
        self._waiting[intent.client_order_id] = waiting
        priority = Priority.REDUCE if intent.purpose is Purpose.EXIT else Priority.OPEN
        self._queue.push(priority, intent.symbol, waiting)
        self._wake.set()
        return waiting.done

    def _repeat(self, known: OrderTracker) -> asyncio.Future[bool]:
        waiting = self._waiting.get(known.record.client_order_id)
        if waiting is not None:
            return waiting.done
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        done.set_result(known.record.status is not OrderStatus.DENIED)
        return done

    def _judge(self, intent: OrderIntent, now_ns: int) -> Denial | None:
        state = self._state
        if state.epochs.get(intent.symbol) != intent.owner_epoch:
            return Denial(Refusal.FENCED, f"owner epoch is {state.epochs.get(intent.symbol)}, was {intent.owner_epoch}")
        if not self._keeper.is_valid():
            return Denial(Refusal.FENCED, "the executor's lease has lapsed")
        if state.is_journal_down:
            return Denial(Refusal.JOURNAL_DOWN, "the journal does not answer")
        if not state.has_balances:
            return Denial(Refusal.NOT_READY, "the account is not reconciled yet")
        if intent.symbol in state.unready:
            return Denial(Refusal.NOT_READY, "its open orders are not compared with the venue's yet")
        if state.is_venue_down:
            return Denial(Refusal.NOT_READY, "the venue does not answer")
        return state.account.decide(intent, now_ns)

    def _withheld(self, record: OrderRecord) -> Denial | None:
        """Judge once more, right before the send. Whatever says no here is certain: nothing has been sent."""
        state = self._state
        if denial := _halted(record, *state.account.halt_state(record.symbol)):
            return denial
        if not self._keeper.is_valid() or record.executor_epoch != self._keeper.epoch:
            return Denial(Refusal.FENCED, "the executor's lease has lapsed")
        if state.epochs.get(record.symbol) != record.owner_epoch:
            return Denial(Refusal.FENCED, f"owner epoch is {state.epochs.get(record.symbol)}")
        if record.client_order_id in self._cancel_wanted:
            return Denial(Refusal.STALE_INTENT, "withdrawn before it was sent")
        if self._gateway.now_ms() > record.signed_ms + record.recv_window_ms - WINDOW_RESERVE_MS:
            return Denial(Refusal.STALE_INTENT, "commit and wait for room took longer than the signed window")
        return None

    # --- the pump -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Give tokens to what waits, for ever: cancels first, then exits, then entries, by turns among the symbols."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (job := self._queue.pop()) is not None:
                if self._is_void(job):
                    continue
                now_ns = self._clock.now_ns()
                is_place = isinstance(job, Waiting)
                if not (self._budget.try_place(now_ns) if is_place else self._budget.try_order(now_ns)):
                    self._put_back(job)
                    for waiting in tuple(self._waiting.values()):
                        self._is_expired(waiting, now_ns)
                    await asyncio.sleep(min(WAIT_STEP_S, self._budget.wait_ns(now_ns, is_place=is_place) / NS_PER_S))
                    continue
                if isinstance(job, Waiting):
                    self._start(job)
                else:
                    self._spawn(self.cancels.carry(job, self._budget.on_order_left(now_ns)), "cancel")

    def _is_void(self, job: Job) -> bool:
        """Sort out what needs no token any more: intents past their age or withdrawn, cancels of ended orders."""
        if not isinstance(job, Waiting):
            return self.cancels.is_void(job)
        record = job.tracker.record
        if record.status is not OrderStatus.PENDING:
            return True  # denied while it waited
        return self._is_expired(job, self._clock.now_ns())

    def _is_expired(self, waiting: Waiting, now_ns: int) -> bool:
        record = waiting.tracker.record
        if record.status is not OrderStatus.PENDING or now_ns <= record.valid_until_ns:
            return False
        self._finish_denied(waiting, Denial(Refusal.BUDGET, "no token within the intent's age"))
        return True

    def _put_back(self, job: Job) -> None:
        if not isinstance(job, Waiting):
            symbol = job.symbol if isinstance(job, CancelJob) else job.symbols[0]
            self._queue.push_front(Priority.CANCEL, symbol, job)
            return
        record = job.tracker.record
        priority = Priority.REDUCE if record.purpose is Purpose.EXIT else Priority.OPEN
        self._queue.push_front(priority, record.symbol, job)

    def _start(self, job: Waiting) -> None:
        """Fix the signed window, now that there is a token for it, and go."""
        status = next_status(job.tracker.record.status, OrderEventKind.COMMITTED)
        if status is not OrderStatus.SENT:
            raise InvariantViolated(f"expected a PENDING order to send, was {job.tracker.record.status}")
        job.tracker.record = job.tracker.record.changed(
            status=status,
            executor_epoch=self._keeper.epoch,
            signed_ms=self._gateway.now_ms(),
            recv_window_ms=self._recv_window_ms,
        )
        self._state.account.on_order(job.tracker.record)
        self._state.sending.add(job.tracker.record.client_order_id)
        self._intents.commit(job.tracker.record, lambda outcome: self._spawn(self._send(job, outcome), "send"))

    async def _send(self, job: Waiting, outcome: CommitOutcome) -> None:
        tracker, name, ticket = job.tracker, job.tracker.record.client_order_id, 0
        try:
            if outcome is not CommitOutcome.COMMITTED:
                await self._not_committed(job, outcome)
                return
            committed_ns = self._clock.now_ns()
            self._state.to_commit.add(max(0, committed_ns - tracker.record.created_ns))
            await self._wait_for_room(tracker.record)
            if denial := self._withheld(tracker.record):
                tracker.record = tracker.record.changed(committed_ns=committed_ns, updated_ns=committed_ns)
                self._finish_denied(job, denial)
                return
            self._settle(job, True)
            self._crashpoints.reach(Crashpoint.SEND_BEFORE)
            sent_ns = self._clock.now_ns()
            tracker.record = tracker.record.changed(committed_ns=committed_ns, sent_ns=sent_ns, updated_ns=committed_ns)
            self._state.to_send.add(max(0, sent_ns - committed_ns))
            self._state.counters["placed"] += 1
            ticket = self._budget.on_place_left(sent_ns)
            answer = await self._gateway.place(tracker.record)
            self._crashpoints.reach(Crashpoint.SEND_AFTER)
            if isinstance(answer, PlaceRejected) and answer.retry_after_s > 0:
                self._budget.on_rate_limited(answer.retry_after_s, self._clock.now_ns())
            self._desk.answer(tracker, answer)
        finally:
            self._state.sending.discard(name)
            if ticket:
                self._budget.on_order_landed(ticket, self._clock.now_ns())
            else:
                self._budget.on_place_dropped()
        if name in self._cancel_wanted:
            self.cancels.queue(name, tracker.record.symbol)

    async def _wait_for_room(self, record: OrderRecord) -> None:
        """Let those that were committed together leave one by one, where they might all arrive in the same second."""
        async with self._door:
            while not self._withheld(record):
                if self._budget.may_leave(self._clock.now_ns(), self._queue.waiting(Priority.CANCEL)):
                    return
                await asyncio.sleep(DOOR_STEP_S)

    async def _not_committed(self, job: Waiting, outcome: CommitOutcome) -> None:
        """Deny what was not written for certain, or not certainly written. Nothing has been sent in any case."""
        match outcome:
            case CommitOutcome.FENCED:
                self._finish_denied(job, Denial(Refusal.FENCED, "the executor's lease is another's"))
            case CommitOutcome.UNCERTAIN:
                # The row may stand; the denial overwrites it as soon as the journal is back.
                self._finish_denied(job, Denial(Refusal.JOURNAL_DOWN, "the commit was not answered"))
            case _:
                await self._conflict(job)

    async def _conflict(self, job: Waiting) -> None:
        """An id with a row repeats an order of before: a no-op. Without one a stored halt forbids it, or it is buried.

        The halt may be another process's, and newer than what `HaltControl` has read: that adopts it at its next poll.
        """
        record = job.tracker.record
        scopes = (ACCOUNT_SCOPE, symbol_scope(record.symbol))
        try:
            rows = await self._journal.orders_by_id((record.client_order_id,))
            stored = [item for item in await self._journal.halts() if item[0] in scopes] if not rows else []
        except StoreError:
            self._state.is_journal_down = True
            rows, stored = (), []
        if not rows:
            denials = [_halted(record, state, reason) for _, state, reason in stored]
            buried = Denial(Refusal.TOMBSTONED, "the id was given up before")
            self._finish_denied(job, next(filter(None, denials), buried))
            return
        self._state.counters["repeats"] += 1
        self._state.account.on_order(record.changed(status=OrderStatus.NOT_SENT))
        self._state.orders.put(OrderTracker(rows[0]))
        self._state.account.on_order(rows[0])
        self._settle(job, rows[0].status is not OrderStatus.DENIED)

    def _finish_denied(self, job: Waiting, denial: Denial) -> None:
        self._desk.deny(job.tracker, denial.reason, denial.text)
        self._settle(job, False)

    def _settle(self, job: Waiting, is_durable: bool) -> None:
        name = job.tracker.record.client_order_id
        self._waiting.pop(name, None)
        if not is_durable:
            self._cancel_wanted.discard(name)
        if not job.done.done():
            job.done.set_result(is_durable)

    async def commit_unsent(self, record: OrderRecord) -> tuple[OrderRecord, CommitOutcome]:
        """Write the row of an order that the venue has already: it is never sent. Returns the record as written."""
        record = record.changed(executor_epoch=self._keeper.epoch)
        done: asyncio.Future[CommitOutcome] = asyncio.get_running_loop().create_future()
        self._intents.commit(record, lambda outcome: None if done.done() else done.set_result(outcome))
        return record, await done

    # --- cancels --------------------------------------------------------------------------------------------------

    def request_cancel(self, intent: CancelIntent) -> None:
        """Let a cancel go its way; harmless for an order that is over. Allowed in every state, also without journal."""
        if not self.withdraw(intent.client_order_id):
            self.cancels.queue(intent.client_order_id, intent.symbol)

    def withdraw(self, client_order_id: str) -> bool:
        """Take back an order that is not at the venue yet; False when it may be open there, so that it needs a cancel.

        What waits is denied, what is being committed will not be sent, and what is on the wire is cancelled after its
        answer.
        """
        tracker = self._state.orders.get(client_order_id)
        if tracker is None or tracker.record.status.is_terminal:
            return True
        waiting = self._waiting.get(client_order_id)
        if waiting is not None and tracker.record.status is OrderStatus.PENDING:
            self._finish_denied(waiting, Denial(Refusal.STALE_INTENT, "withdrawn before it was sent"))
            return True
        if waiting is not None or client_order_id in self._state.sending:
            self._cancel_wanted.add(client_order_id)
            return True
        return False

    def fence(self, symbol: str) -> None:
        """Deny what a former owner of the symbol has waiting; what is on the wire is not touched."""
        for waiting in tuple(self._waiting.values()):
            record = waiting.tracker.record
            is_old = record.symbol == symbol and record.owner_epoch != self._state.epochs.get(symbol)
            if is_old and record.status is OrderStatus.PENDING:
                self._finish_denied(waiting, Denial(Refusal.FENCED, "the symbol has a new owner"))

    def is_sending(self, symbol: str | None) -> bool:
        """True while an order of the symbol (or any) is between its token and its answer."""
        names = self._state.sending
        if symbol is None:
            return bool(names)
        return any(tracker.record.client_order_id in names for tracker in self._state.orders.live(symbol))

    def recancel_due(self) -> None:
        """Ask again for orders that we cancelled a while ago and that the venue has not ended."""
        self.cancels.recancel_due()
        self._cancel_wanted = {name for name in self._cancel_wanted if self._state.orders.is_live(name)}

    def _push_cancel(self, symbol: str, job: CancelJob | SweepJob) -> None:
        self._queue.push(Priority.CANCEL, symbol, job)
        self._wake.set()


def _halted(record: OrderRecord, halt: HaltState, reason: str) -> Denial | None:
    if halt is HaltState.HALTED:
        return Denial(Refusal.HALTED, f"halted: {reason}")
    if halt is HaltState.REDUCING and record.purpose is Purpose.ENTRY:
        return Denial(Refusal.REDUCING, f"exits only: {reason}")
    return None


def _record(
    intent: OrderIntent, run_id: str, executor_epoch: int, verdicts: tuple[tuple[str, str], ...]
) -> OrderRecord:
    return OrderRecord(
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        run_id=run_id,
        owner_epoch=intent.owner_epoch,
        executor_epoch=executor_epoch,
        side=intent.side,
        type=intent.type,
        price_ticks=intent.price_ticks,
        qty_lots=intent.qty_lots,
        purpose=intent.purpose,
        strategy=intent.strategy,
        status=OrderStatus.PENDING,
        created_ns=intent.created_ns,
        valid_until_ns=intent.valid_until_ns,
        signed_ms=0,
        recv_window_ms=0,
        updated_ns=intent.created_ns,
        decision=(*intent.decision, *verdicts),
    )
