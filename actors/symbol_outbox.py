"""The symbol's outbox: what the engine wants sent, carried to the executor in order and never awaited by the engine.

May import `trading` and the symbol's ports. A batch of orders is answered when it is durable, which may take as long as
an intent lives: cancels, exits, entries and paper reports each have a loop of their own, and hold up no other.
Orders: a batch whose answer is lost is looked up by id; what the executor does not know it buries, and the engine is
told. Paper reports: repeated until journaled, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from actors.symbol_ports import ExecutorPort
from trading.engine.ports import Submission
from trading.model.errors import FencedOut, InvariantViolated, TradingError
from trading.model.orders import CancelIntent, OrderIntent, Purpose, VenueEvent

BATCH_MAX = 50
# Each batch of reports waits for a commit of its own: smaller ones fall behind a venue that fills fast.
REPORTS_BATCH_MAX = 500
# An engine holds a handful of orders; ten thousand waiting events mean an executor gone for long: start anew.
REPORTS_MAX = 10_000
ORDERS_MAX = 1_000
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 1.0


class Outbox:
    """Owned by one `SymbolActor`. Invariant: reports and intents of one purpose keep their order; bounded."""

    def __init__(
        self,
        symbol: str,
        run_id: str,
        owner_epoch: int,
        executor: ExecutorPort,
        on_buried: Callable[[tuple[str, ...]], None],
        filters: str = "",
    ) -> None:
        self._symbol = symbol
        self._run_id = run_id
        self._owner_epoch = owner_epoch
        self._executor = executor
        self._on_buried = on_buried
        self._filters = filters
        self._intents: dict[Purpose, deque[OrderIntent]] = {purpose: deque() for purpose in Purpose}
        self._cancels: deque[CancelIntent] = deque()
        self._reports: deque[VenueEvent] = deque()
        self._intents_wait = {purpose: asyncio.Event() for purpose in Purpose}
        self._cancels_wait = asyncio.Event()
        self._reports_wait = asyncio.Event()
        self._back = asyncio.Event()
        self.retries = 0

    def wake(self) -> None:
        """The executor is back: what waits to be repeated waits no longer."""
        self._back.set()
        self._back.clear()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._back.wait(), seconds)

    def place(self, intent: OrderIntent) -> None:
        """Queue an intent."""
        line = self._intents[intent.purpose]
        self._bounded(len(line), ORDERS_MAX)
        line.append(intent)
        self._intents_wait[intent.purpose].set()

    def cancel(self, cancel: CancelIntent) -> None:
        """Queue a cancel; one that overtakes its order finds nothing, and the engine asks again."""
        self._bounded(len(self._cancels), ORDERS_MAX)
        self._cancels.append(cancel)
        self._cancels_wait.set()

    def report(self, events: tuple[VenueEvent, ...]) -> None:
        """Queue what the paper venue did."""
        self._bounded(len(self._reports), REPORTS_MAX)
        self._reports.extend(events)
        self._reports_wait.set()

    @property
    def depth(self) -> int:
        """How much waits, for the metric beside the bounds."""
        return sum(len(line) for line in self._intents.values()) + len(self._cancels) + len(self._reports)

    def loops(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        """Return the loops to run, with their names. Each raises FencedOut when the symbol has a newer owner."""
        orders = tuple((purpose.value.lower(), self._run_intents(purpose)) for purpose in Purpose)
        return (("cancels", self._run_cancels()), *orders, ("reports", self._run_reports()))

    async def _run_intents(self, purpose: Purpose) -> None:
        """Carry intents of one purpose, one batch at a time; while one is under way the next gathers."""
        line = self._intents[purpose]
        while True:
            await self._intents_wait[purpose].wait()
            self._intents_wait[purpose].clear()
            while line:
                intents = tuple(line.popleft() for _ in range(min(BATCH_MAX, len(line))))
                if not await self._submit(intents, ()):
                    await self._resolve(intents)
                    await asyncio.sleep(RETRY_FIRST_S)

    async def _run_cancels(self) -> None:
        """Carry cancels; a batch whose answer is lost is repeated, which is harmless."""
        while True:
            await self._cancels_wait.wait()
            self._cancels_wait.clear()
            while self._cancels:
                cancels = tuple(self._cancels.popleft() for _ in range(min(BATCH_MAX, len(self._cancels))))
                if not await self._submit((), cancels):
                    self._cancels.extendleft(reversed(cancels))
                    await asyncio.sleep(RETRY_FIRST_S)

    async def _run_reports(self) -> None:
        """Carry paper reports until each is journaled."""
        delay = RETRY_FIRST_S
        while True:
            await self._reports_wait.wait()
            self._reports_wait.clear()
            while self._reports:
                batch = tuple(self._reports[index] for index in range(min(REPORTS_BATCH_MAX, len(self._reports))))
                try:
                    await self._executor.paper_reports(self._symbol, self._owner_epoch, batch)
                except FencedOut:
                    raise
                except TradingError:
                    self.retries += 1
                    await self._pause(delay)
                    delay = min(delay * 2, RETRY_MAX_S)
                    continue
                delay = RETRY_FIRST_S
                for _ in batch:
                    self._reports.popleft()

    async def _submit(self, intents: tuple[OrderIntent, ...], cancels: tuple[CancelIntent, ...]) -> bool:
        """Hand over a batch; False when its answer was lost."""
        try:
            await self._executor.submit(
                Submission(self._symbol, self._owner_epoch, self._run_id, intents, cancels, self._filters)
            )
        except FencedOut:
            raise
        except TradingError:
            self.retries += 1
            return False
        return True

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
                await self._pause(delay)
                delay = min(delay * 2, RETRY_MAX_S)
                continue
            found = {record.client_order_id for record in known}
            self._on_buried(tuple(order_id for order_id in ids if order_id not in found))
            return

    def _bounded(self, length: int, bound: int) -> None:
        if length >= bound:
            raise InvariantViolated(f"{self._symbol}: expected fewer than {bound} waiting messages, was {length}")
