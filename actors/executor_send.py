"""The way of an order out: judge, wait for a token, commit, wait for room, judge again, send, book the answer.

May import `trading.model`, `trading.engine` and the executor's pieces. One pump gives out tokens and room: cancels
first, then exits, then entries, by turns among the symbols; woken by what comes and by what has landed. Between the
last check and the call of the gateway there is no await. Nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

from actors.executor_cancels import CancelJob, CancelPath, SweepJob
from actors.executor_desk import OrderDesk
from actors.executor_judge import Judge, halted
from actors.executor_lanes import CommitOutcome, IntentLane
from actors.executor_lease import LeaseKeeper
from actors.executor_state import ExecutorState, JournalWork
from trading.adapters.clock import Clock
from trading.engine.account import ACCOUNT_SCOPE, symbol_scope
from trading.engine.account_rules import Denial
from trading.engine.budget import Priority, RateBudget
from trading.engine.fair_queue import FairQueue
from trading.engine.order_tracker import OrderTracker
from trading.engine.orders import OrderEventKind, next_status
from trading.engine.ports import Crashpoint, Crashpoints, Gateway, Journal, OrderRecord, order_from
from trading.model.errors import InvariantViolated, StoreError
from trading.model.orders import CancelIntent, OrderIntent, OrderStatus, PlaceRejected, Purpose, Refusal
from trading.model.units import NS_PER_MS, NS_PER_S

# What waits is looked at again so often: a pause the venue asked for may be minutes, an intent's age is not.
WAIT_STEP_NS = 100 * NS_PER_MS


@dataclass(slots=True)
class Waiting:
    """An approved intent on its way; `done` is True when it is durable, False when it was denied."""

    tracker: OrderTracker
    done: asyncio.Future[bool]
    priority: Priority
    committed_ns: int = 0


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
        self._judge = Judge(state, keeper, gateway)
        self._queue: FairQueue[Job] = FairQueue()  # waits for tokens
        self._leaving: FairQueue[Waiting] = FairQueue()  # is committed, and waits for room
        self._wake = asyncio.Event()
        self._waiting: dict[str, Waiting] = {}
        self._reviewed_ns = 0
        budget.on_room = self._look_again
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
        denial = self._judge.refusal(intent, now_ns)
        verdicts = () if denial else self._state.account.verdicts(intent, now_ns)
        tracker = OrderTracker(order_from(intent, run_id, self._keeper.epoch, verdicts))
        priority = Priority.REDUCE if intent.purpose is Purpose.EXIT else Priority.OPEN
        waiting = Waiting(tracker, asyncio.get_running_loop().create_future(), priority)
        if denial:
            self._finish_denied(waiting, denial)
            return waiting.done
        self._state.orders.put(tracker)
        self._state.account.on_order(tracker.record)
        if intent.purpose is Purpose.ENTRY:
            self._state.account.on_entry_approved(now_ns)
        self._waiting[intent.client_order_id] = waiting
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

    # --- the pump -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Let go what may go, for ever, whenever something comes, lands, or has waited long enough."""
        loop, pause_ns = asyncio.get_running_loop(), 0
        while True:
            timer = loop.call_later(pause_ns / NS_PER_S, self._wake.set) if pause_ns else None
            await self._wake.wait()
            if timer is not None:
                timer.cancel()
            self._wake.clear()
            pause_ns = self._serve()

    def _review_soon(self) -> None:
        self._reviewed_ns = 0
        self._look_again()

    def _look_again(self) -> None:
        if self._queue or self._leaving:
            self._wake.set()

    def _serve(self) -> int:
        """Give tokens and room to whom they are due; return how long the next one waits, 0 when nobody does."""
        self._give_tokens(Priority.CANCEL)
        while self._leaving and self._may_leave():
            if (job := self._leaving.pop()) is not None:
                self._leave(job)
        self._give_tokens(Priority.OPEN)
        first = self._queue.first()
        if first is None and not self._leaving:
            return 0
        now_ns = self._clock.now_ns()
        if not 0 <= now_ns - self._reviewed_ns < WAIT_STEP_NS:
            self._reviewed_ns = now_ns
            self._review(now_ns)
        pauses = [WAIT_STEP_NS]
        if self._leaving:
            pauses.append(self._budget.room_wait_ns(now_ns))
        if first is not None:
            pauses.append(self._budget.wait_ns(now_ns, first))
        return max(1, min(pauses))

    def _review(self, now_ns: int) -> None:
        """End what waits in vain: past its age, or withheld by now."""
        for waiting in tuple(self._waiting.values()):
            self._is_expired(waiting, now_ns)
        for job in self._leaving.take_out(lambda item: self._judge.withholding(item.tracker.record) is not None):
            self._withhold(job)

    def _give_tokens(self, last: Priority) -> None:
        """Let what waits for a token go on, of the priorities up to `last`."""
        while (job := self._queue.pop(last)) is not None:
            if self._is_void(job):
                continue
            now_ns = self._clock.now_ns()
            if isinstance(job, Waiting):
                if not self._budget.try_place(now_ns, job.priority):
                    self._queue.push_front(job.priority, job.tracker.record.symbol, job)
                    return
                self._commit(job)
            elif self._budget.try_order(now_ns):
                self._spawn(self.cancels.carry(job, self._budget.on_order_left(now_ns)), "cancel")
            else:
                symbol = job.symbol if isinstance(job, CancelJob) else job.symbols[0]
                self._queue.push_front(Priority.CANCEL, symbol, job)
                return

    def _may_leave(self) -> bool:
        return self._budget.may_leave(self._clock.now_ns(), self._queue.waiting(Priority.CANCEL))

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

    def _commit(self, job: Waiting) -> None:
        """Fix the signed window, now that there is a token for it, and write the row."""
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
        self._intents.commit(job.tracker.record, partial(self._on_commit, job))

    def _on_commit(self, job: Waiting, outcome: CommitOutcome) -> None:
        """Let an order that is durable leave, at once where nobody waits. Nothing else has been or will be sent."""
        match outcome:
            case CommitOutcome.COMMITTED:
                job.committed_ns = self._clock.now_ns()
                self._state.to_commit.add(max(0, job.committed_ns - job.tracker.record.created_ns))
                if not self._leaving and self._may_leave():
                    self._leave(job)
                else:
                    self._leaving.push(job.priority, job.tracker.record.symbol, job)
                    self._wake.set()
            case CommitOutcome.FENCED:
                self._end_unsent(job, Denial(Refusal.FENCED, "the executor's lease is another's"))
            case CommitOutcome.UNCERTAIN:
                # The row may stand; the denial overwrites it as soon as the journal is back.
                self._end_unsent(job, Denial(Refusal.JOURNAL_DOWN, "the commit was not answered"))
            case CommitOutcome.CONFLICT:
                self._spawn(self._conflict(job), "conflict")
            case _:
                assert_never(outcome)

    def _end_unsent(self, job: Waiting, denial: Denial) -> None:
        """Deny what had its token, and was not written for certain, or not certainly written."""
        self._let_go(job)
        self._finish_denied(job, denial)

    def _withhold(self, job: Waiting) -> None:
        """Deny what was written, and waits for room."""
        self._let_go(job)
        if denial := self._judge.withholding(job.tracker.record):
            self._deny_committed(job, denial)

    def _let_go(self, job: Waiting) -> None:
        self._state.sending.discard(job.tracker.record.client_order_id)
        self._budget.on_place_dropped(job.priority)

    def _deny_committed(self, job: Waiting, denial: Denial) -> None:
        job.tracker.record = job.tracker.record.changed(committed_ns=job.committed_ns, updated_ns=job.committed_ns)
        self._finish_denied(job, denial)

    def _leave(self, job: Waiting) -> None:
        """Take the room, so that nobody else does, and send."""
        ticket = self._budget.on_place_left(self._clock.now_ns(), job.priority)
        self._spawn(self._send(job, ticket), "send")

    async def _send(self, job: Waiting, ticket: int) -> None:
        tracker, name = job.tracker, job.tracker.record.client_order_id
        is_sent = False
        try:
            if denial := self._judge.withholding(tracker.record):
                self._deny_committed(job, denial)
                return
            self._settle(job, True)
            self._crashpoints.reach(Crashpoint.SEND_BEFORE)
            sent_ns, at_ns = self._clock.now_ns(), job.committed_ns
            tracker.record = tracker.record.changed(committed_ns=at_ns, sent_ns=sent_ns, updated_ns=at_ns)
            self._state.to_send.add(max(0, sent_ns - at_ns))
            self._state.counters["placed"] += 1
            is_sent = True
            answer = await self._gateway.place(tracker.record)
            self._crashpoints.reach(Crashpoint.SEND_AFTER)
            if isinstance(answer, PlaceRejected) and answer.retry_after_s > 0:
                self._budget.on_rate_limited(answer.retry_after_s, self._clock.now_ns(), answer.is_firewall)
            self._desk.answer(tracker, answer)
        finally:
            self._state.sending.discard(name)
            if is_sent:
                self._budget.on_order_landed(ticket, self._clock.now_ns())
            else:
                self._budget.on_order_unsent(ticket)
        if name in self._state.withdrawn:
            self.cancels.queue(name, tracker.record.symbol)

    async def _conflict(self, job: Waiting) -> None:
        """An id with a row repeats an order of before: a no-op. Without one a stored halt forbids it, or it is buried.

        The halt may be another process's, and newer than what `HaltControl` has read: that adopts it at its next poll.
        """
        record = job.tracker.record
        scopes = (ACCOUNT_SCOPE, symbol_scope(record.symbol))
        why = Denial(Refusal.TOMBSTONED, "the id was given up before")
        try:
            rows = await self._journal.orders_by_id((record.client_order_id,))
            stored = [item for item in await self._journal.halts() if item[0] in scopes] if not rows else []
            fills = await self._journal.fills_of(record.client_order_id) if rows and rows[0].filled_lots else ()
        except StoreError:
            self._state.on_journal(JournalWork.READS, False)
            rows, stored, fills = (), [], ()
            why = Denial(Refusal.JOURNAL_DOWN, "its row was not written, and the journal does not say why")
        finally:
            self._let_go(job)
        if not rows:
            denials = [halted(record, state, reason) for _, state, reason in stored]
            self._finish_denied(job, next(filter(None, denials), why))
            return
        self._state.counters["repeats"] += 1
        self._state.account.on_order(record.changed(status=OrderStatus.NOT_SENT))
        self._state.orders.put(OrderTracker(rows[0], fills))
        self._state.account.on_order(rows[0])
        self._settle(job, rows[0].status is not OrderStatus.DENIED)

    def _finish_denied(self, job: Waiting, denial: Denial) -> None:
        self._desk.deny(job.tracker, denial.reason, denial.text)
        self._settle(job, False)

    def _settle(self, job: Waiting, is_durable: bool) -> None:
        name = job.tracker.record.client_order_id
        self._waiting.pop(name, None)
        if not is_durable:
            self._state.withdrawn.discard(name)
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
        if not (self.cancels.note(intent) or self.withdraw(intent.client_order_id)):
            self.cancels.queue(intent.client_order_id, intent.symbol)

    def withdraw(self, client_order_id: str) -> bool:
        """Take back an order that is not at the venue yet; False when it may be open there, so that it needs a cancel.

        What waits is denied, what is being committed is not sent, what is on the wire is cancelled when it is answered.
        """
        tracker = self._state.orders.get(client_order_id)
        if tracker is None or tracker.record.status.is_terminal:
            return True
        waiting = self._waiting.get(client_order_id)
        if waiting is not None and tracker.record.status is OrderStatus.PENDING:
            self._finish_denied(waiting, Denial(Refusal.STALE_INTENT, "withdrawn before it was sent"))
            return True
        if waiting is not None or client_order_id in self._state.sending:
            self._state.withdrawn.add(client_order_id)
            self._review_soon()
            return True
        return False

    def fence(self, symbol: str) -> None:
        """Deny what a former owner of the symbol has waiting; what is on the wire is not touched."""
        for waiting in tuple(self._waiting.values()):
            record = waiting.tracker.record
            is_old = record.symbol == symbol and record.owner_epoch != self._state.epochs.get(symbol)
            if is_old and record.status is OrderStatus.PENDING:
                self._finish_denied(waiting, Denial(Refusal.FENCED, "the symbol has a new owner"))
        self._review_soon()

    def is_sending(self, symbol: str) -> bool:
        """True while an order of the symbol is between its token and its answer."""
        live = self._state.orders.live(symbol)
        return any(item.record.client_order_id in self._state.sending for item in live)

    def is_withheld(self, client_order_id: str) -> bool:
        """True while an order that is being committed, or waits for room, is certain not to be sent after that."""
        return client_order_id in self._waiting and client_order_id in self._state.withdrawn

    def recancel_due(self) -> None:
        """Ask again for orders that we cancelled a while ago and that the venue has not ended."""
        self.cancels.recancel_due()
        self._state.withdrawn = {name for name in self._state.withdrawn if self._state.orders.is_live(name)}

    def _push_cancel(self, symbol: str, job: CancelJob | SweepJob) -> None:
        self._queue.push(Priority.CANCEL, symbol, job)
        self._wake.set()
