"""The executor's lanes: intents by group commit, outcomes in order, deliveries to the symbols, alerts to people.

May import `trading.model`, `trading.engine` and the executor's state. While one commit is in flight the next batch
gathers; there is no timer. Intents and outcomes have a lane each; an order's outcomes come after its intent, in order.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import structlog

from actors.executor_lease import LeaseKeeper
from actors.executor_state import ExecutorState, JournalWork
from trading.adapters.clock import Clock
from trading.engine.ports import Crashpoint, Crashpoints, Journal, JournalEntry, OrderRecord, SymbolPort
from trading.model.errors import FencedOut, InvariantViolated, StoreError, TradingError
from trading.model.orders import Delivery, Purpose

BATCH_MAX = 500
# A symbol holds a handful of orders, so that this many waiting outcomes mean a journal gone for long.
OUTCOMES_MAX = 100_000
ALERTS_MAX = 1_000
RETRY_FIRST_S = 0.02
RETRY_MAX_S = 1.0
log = structlog.get_logger("executor")


class CommitOutcome(Enum):
    """What became of an intent's commit."""

    COMMITTED = "committed"
    CONFLICT = "conflict"  # the id has a row or a tombstone, or a stored halt forbids it: ours was not written
    UNCERTAIN = "uncertain"  # the commit was not answered: it may stand; do not send
    FENCED = "fenced"  # the lease is another's: nothing was written


@dataclass(slots=True)
class _WaitingIntent:
    record: OrderRecord
    then: Callable[[CommitOutcome], object]


class IntentLane:
    """Writes intents before the venue can see them. At most one commit in flight."""

    def __init__(self, state: ExecutorState, journal: Journal, keeper: LeaseKeeper, crashpoints: Crashpoints) -> None:
        self._state = state
        self._journal = journal
        self._keeper = keeper
        self._crashpoints = crashpoints
        self._queue: deque[_WaitingIntent] = deque()
        self._wake = asyncio.Event()

    def commit(self, record: OrderRecord, then: Callable[[CommitOutcome], object]) -> None:
        """Write one intent with whatever else gathers; `then` is told of the commit, exits first, and may not raise."""
        self._queue.append(_WaitingIntent(record, then))
        self._wake.set()

    async def run(self) -> None:
        """Commit batch after batch, for ever. Raises: FencedOut."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
                # What reduces is the first to hear of its commit, and so the first at the venue's door.
                batch.sort(key=lambda item: item.record.purpose is not Purpose.EXIT)
                await self._commit(batch)

    async def _commit(self, batch: list[_WaitingIntent]) -> None:
        self._crashpoints.reach(Crashpoint.INTENT_BEFORE_COMMIT)
        try:
            records = [item.record for item in batch]
            taken = frozenset(await self._journal.commit_intents(self._keeper.lease, records))
        except FencedOut:
            _answer(batch, CommitOutcome.FENCED)
            await _confirm_lease(self._keeper)
            return
        except StoreError as error:
            self._state.on_journal(JournalWork.WRITES, False)
            self._state.counters["journal_errors"] += 1
            log.error("intents_uncertain", count=len(batch), reason=str(error))
            _answer(batch, CommitOutcome.UNCERTAIN)
            return
        self._crashpoints.reach(Crashpoint.INTENT_AFTER_COMMIT)
        for item in batch:
            is_taken = item.record.client_order_id in taken
            item.then(CommitOutcome.CONFLICT if is_taken else CommitOutcome.COMMITTED)


async def _confirm_lease(keeper: LeaseKeeper) -> None:
    """Tell a lapse from a loss: a lapsed lease that nobody took is renewed. Raises: FencedOut when it is another's."""
    try:
        await keeper.renew()
    except FencedOut:
        raise
    except StoreError as error:
        log.error("lease_not_renewed", reason=str(error))


def _answer(batch: list[_WaitingIntent], outcome: CommitOutcome) -> None:
    for item in batch:
        item.then(outcome)


class OutcomeLane:
    """Writes the steps of orders, in the order they happened; then they are delivered. Repeats a batch until it stands.

    The journal takes a repeated batch as a no-op, so that a lost answer costs nothing. While the journal is down steps
    gather here (bounded), and `is_journal_down` keeps new orders away.
    """

    def __init__(
        self,
        state: ExecutorState,
        journal: Journal,
        keeper: LeaseKeeper,
        crashpoints: Crashpoints,
        on_committed: Callable[[list[JournalEntry]], None],
    ) -> None:
        self._state = state
        self._journal = journal
        self._keeper = keeper
        self._crashpoints = crashpoints
        self._on_committed = on_committed
        self._queue: deque[JournalEntry] = deque()
        self._wake = asyncio.Event()
        self._pending: Counter[str] = Counter()
        self._added = 0
        self._written = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def backlog(self) -> int:
        """How many steps are not committed yet."""
        return self._added - self._written

    def pending_of(self, symbol: str) -> int:
        """Count the steps of a symbol that are not committed yet."""
        return self._pending[symbol]

    def mark(self) -> Callable[[], bool]:
        """Return a question: is everything that was queued until now committed?"""
        target = self._added
        return lambda: self._written >= target

    def append(self, entry: JournalEntry) -> None:
        """Queue a step. Raises: InvariantViolated when the bound is reached."""
        if self.backlog >= OUTCOMES_MAX:
            raise InvariantViolated(f"expected fewer than {OUTCOMES_MAX} waiting outcomes")
        self._queue.append(entry)
        self._pending[entry.order.symbol] += 1
        self._added += 1
        self._wake.set()

    async def flush(self) -> None:
        """Wait until everything queued so far is committed."""
        if self._written >= self._added:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._added, done))
        await done

    async def run(self) -> None:
        """Commit batch after batch, for ever. Raises: FencedOut, InvariantViolated."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
                await self._commit(batch)

    async def _commit(self, batch: list[JournalEntry]) -> None:
        has_fills = any(entry.fill is not None for entry in batch)
        self._crashpoints.reach(Crashpoint.FILL_BEFORE_COMMIT if has_fills else Crashpoint.OUTCOME_BEFORE_COMMIT)
        delay_s = RETRY_FIRST_S
        while True:
            try:
                await self._journal.commit_entries(self._keeper.lease, batch)
                break
            except FencedOut:
                await _confirm_lease(self._keeper)
            except StoreError as error:
                self._state.on_journal(JournalWork.OUTCOMES, False)
                self._state.counters["journal_errors"] += 1
                log.error("outcomes_wait", count=len(batch), reason=str(error))
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)
        for work in (JournalWork.OUTCOMES, JournalWork.WRITES):
            self._state.on_journal(work, True)
        self._crashpoints.reach(Crashpoint.FILL_AFTER_COMMIT if has_fills else Crashpoint.OUTCOME_AFTER_COMMIT)
        self._written += len(batch)
        for entry in batch:
            self._pending[entry.order.symbol] -= 1
        self._on_committed(batch)
        still = [(target, done) for target, done in self._waiters if target > self._written]
        for target, done in self._waiters:
            if target <= self._written and not done.done():
                done.set_result(None)
        self._waiters = still


class DeliveryLane:
    """Carries committed events to the symbols, each symbol's in order. At most once; the sequence shows a loss."""

    def __init__(self, symbols: Callable[[str], SymbolPort], counters: Counter[str], crashpoints: Crashpoints) -> None:
        self._make_port = symbols
        self._ports: dict[str, SymbolPort] = {}
        self._counters = counters
        self._crashpoints = crashpoints
        self._waiting: dict[str, list[Delivery]] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}

    def deliver(self, entries: list[JournalEntry]) -> None:
        """Queue the deliveries of committed steps; returns at once."""
        for entry in entries:
            if entry.delivery is not None:
                self._waiting.setdefault(entry.order.symbol, []).append(entry.delivery)
        for symbol in self._waiting:
            if symbol not in self._busy:
                self._busy[symbol] = asyncio.create_task(self._carry(symbol), name=f"deliver:{symbol}")

    async def close(self) -> None:
        """Stop carrying; what is lost is re-read."""
        tasks = tuple(self._busy.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def on_attached(self, symbol: str) -> None:
        """Look the symbol's actor up again: another one is its owner now."""
        self._ports.pop(symbol, None)

    def _port(self, symbol: str) -> SymbolPort:
        port = self._ports.get(symbol)
        if port is None:
            port = self._ports[symbol] = self._make_port(symbol)
        return port

    async def _carry(self, symbol: str) -> None:
        try:
            while batch := self._waiting.pop(symbol, None):
                try:
                    await self._port(symbol).deliver(tuple(batch))
                except TradingError as error:
                    self._counters["deliveries_lost"] += len(batch)
                    log.info("delivery_lost", symbol=symbol, count=len(batch), reason=str(error))
                else:
                    self._crashpoints.reach(Crashpoint.DELIVER_AFTER)
        finally:
            del self._busy[symbol]


class AlertLane:
    """Stores alerts for people, in order; blocks nothing. What is beyond the bound is logged, counted and told once."""

    def __init__(self, journal: Journal, clock: Clock, counters: Counter[str]) -> None:
        self._journal = journal
        self._clock = clock
        self._counters = counters
        self._queue: deque[tuple[str, str, str, str | None, int]] = deque()
        self._left_out: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._is_stored = asyncio.Event()
        self._is_stored.set()

    def raise_alert(self, level: str, name: str, text: str, symbol: str | None = None) -> None:
        """Queue an alert. level: "info", "warning" or "alert"."""
        (log.error if level == "alert" else log.warning)(name, text=text, symbol=symbol)
        self._counters[f"alert:{name}"] += 1
        if len(self._queue) >= ALERTS_MAX:
            self._left_out[name] += 1
            self._counters["alerts_left_out"] += 1
            return
        self._queue.append((level, name, text, symbol, self._clock.now_ns()))
        self._is_stored.clear()
        self._wake.set()

    @property
    def backlog(self) -> int:
        """Alerts that are not stored yet."""
        return len(self._queue)

    def _tell_left_out(self) -> None:
        """Queue one alert that says which could not be kept, once there is room."""
        if self._left_out and not self._queue:
            names = ", ".join(f"{count} x {name}" for name, count in sorted(self._left_out.items()))
            self._left_out.clear()
            self.raise_alert("alert", "alerts_left_out", f"not stored while the database was away: {names}"[:1000])

    async def flush(self) -> None:
        """Wait until every alert is stored, however long that takes."""
        await self._is_stored.wait()

    async def run(self) -> None:
        """Store alert after alert, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                try:
                    await self._journal.raise_alert(*self._queue[0])
                except StoreError:
                    self._counters["alerts_waiting"] += 1
                    await asyncio.sleep(RETRY_MAX_S)
                    continue
                self._queue.popleft()
                self._tell_left_out()
            self._is_stored.set()
