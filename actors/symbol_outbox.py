"""The symbol's outbox: what the engine wants sent, carried to the executor in order and never awaited by the engine.

May import `trading` and the symbol's ports. Orders: a batch whose answer is lost is looked up by id; what the executor
does not know it buries, and the engine is told. Paper reports: repeated until journaled, in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from actors.symbol_ports import ExecutorPort
from trading.engine.ports import Submission
from trading.model.errors import FencedOut, InvariantViolated, TradingError
from trading.model.orders import CancelIntent, OrderIntent, VenueEvent

BATCH_MAX = 50
# An engine holds a handful of orders; ten thousand waiting events mean an executor gone for long: start anew.
REPORTS_MAX = 10_000
ORDERS_MAX = 1_000
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 1.0


class Outbox:
    """Owned by one `SymbolActor`. Invariant: cancels overtake intents, reports keep their order, queues are bounded."""

    def __init__(
        self,
        symbol: str,
        run_id: str,
        owner_epoch: int,
        executor: ExecutorPort,
        on_buried: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._symbol = symbol
        self._run_id = run_id
        self._owner_epoch = owner_epoch
        self._executor = executor
        self._on_buried = on_buried
        self._intents: deque[OrderIntent] = deque()
        self._cancels: deque[CancelIntent] = deque()
        self._reports: deque[VenueEvent] = deque()
        self._orders_wait = asyncio.Event()
        self._reports_wait = asyncio.Event()
        self.retries = 0

    def place(self, intent: OrderIntent) -> None:
        """Queue an intent."""
        self._bounded(len(self._intents), ORDERS_MAX)
        self._intents.append(intent)
        self._orders_wait.set()

    def cancel(self, cancel: CancelIntent) -> None:
        """Queue a cancel, ahead of all intents."""
        self._bounded(len(self._cancels), ORDERS_MAX)
        self._cancels.append(cancel)
        self._orders_wait.set()

    def report(self, events: tuple[VenueEvent, ...]) -> None:
        """Queue what the paper venue did."""
        self._bounded(len(self._reports), REPORTS_MAX)
        self._reports.extend(events)
        self._reports_wait.set()

    @property
    def depth(self) -> int:
        """How much waits, for the metric beside the bounds."""
        return len(self._intents) + len(self._cancels) + len(self._reports)

    async def run_orders(self) -> None:
        """Carry orders and cancels, one batch at a time; while one is under way the next gathers."""
        while True:
            await self._orders_wait.wait()
            self._orders_wait.clear()
            while self._cancels or self._intents:
                await self._send_batch()

    async def run_reports(self) -> None:
        """Carry paper reports until each is journaled."""
        delay = RETRY_FIRST_S
        while True:
            await self._reports_wait.wait()
            self._reports_wait.clear()
            while self._reports:
                batch = tuple(self._reports[index] for index in range(min(BATCH_MAX, len(self._reports))))
                try:
                    await self._executor.paper_reports(self._symbol, self._owner_epoch, batch)
                except FencedOut:
                    raise
                except TradingError:
                    self.retries += 1
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, RETRY_MAX_S)
                    continue
                delay = RETRY_FIRST_S
                for _ in batch:
                    self._reports.popleft()

    async def _send_batch(self) -> None:
        cancels = tuple(self._cancels.popleft() for _ in range(min(BATCH_MAX, len(self._cancels))))
        room = BATCH_MAX - len(cancels)
        intents = tuple(self._intents.popleft() for _ in range(min(room, len(self._intents))))
        batch = Submission(self._symbol, self._owner_epoch, self._run_id, intents, cancels)
        try:
            await self._executor.submit(batch)
        except FencedOut:
            raise
        except TradingError:
            self.retries += 1
            await self._resolve(intents)
            self._cancels.extendleft(reversed(cancels))  # harmless to repeat
            await asyncio.sleep(RETRY_FIRST_S)

    async def _resolve(self, intents: tuple[OrderIntent, ...]) -> None:
        """Ask until the executor says what became of each id; never send again."""
        delay = RETRY_FIRST_S
        ids = tuple(intent.client_order_id for intent in intents)
        while ids:
            try:
                known = await self._executor.lookup(self._symbol, ids)
            except FencedOut:
                raise
            except TradingError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)
                continue
            found = {record.client_order_id for record in known}
            self._on_buried(tuple(order_id for order_id in ids if order_id not in found))
            return

    def _bounded(self, length: int, bound: int) -> None:
        if length >= bound:
            raise InvariantViolated(f"{self._symbol}: expected fewer than {bound} waiting messages, was {length}")
