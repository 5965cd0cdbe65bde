"""What the order-flow benchmark hosts in Ray: the real executor and symbol actors, on a market that stands still.

May import the actors, the store and the engine; imported by name inside Ray's workers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from actors.clients import ExecutorHandle, SymbolHandle
from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from actors.ip_turns import IpTurns
from actors.recipes import SymbolSpec
from actors.symbol import SymbolActor
from actors.symbol_ports import FeedStats, MarkAnswer, SymbolAttachment, SymbolSettings
from actors.symbol_snapshots import SnapshotFetcher
from bench.depth_frames import INSTRUMENT, MID_TICKS
from trading.adapters.clock import SystemClock
from trading.adapters.paper import PaperGateway, PaperSymbolPort
from trading.adapters.store.journal import PostgresJournal
from trading.engine.budget import BudgetSettings
from trading.engine.messages import EngineEvent
from trading.engine.ports import Submission, SymbolPort
from trading.model.errors import OutcomeUnknown
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, FeedAlive, FeedConnected, MarketEvent, Side
from trading.model.orders import Delivery, OrderAccepted, OrderIntent, OrderType, Purpose
from trading.model.session import Heartbeat
from trading.model.units import NS_PER_MS, NS_PER_S

ACCOUNT = "flow"
NAMESPACE = "mexcbot-flow"
SESSION = "flow"
MANY = str(10**9)
LIFTED = (
    ("max_gross_exposure", MANY),
    ("max_symbol_exposure", MANY),
    ("max_order_notional", MANY),
    ("max_open_orders", "100000"),
    ("max_entries_per_minute", "10000000"),
)
# The price of the orders: far enough below the bid to rest, near enough for the collar.
PRICE_TICKS = MID_TICKS * 99 // 100
QTY_LOTS = 400
VALID_S = 30


def symbols_of(count: int) -> tuple[str, ...]:
    """Name the symbols."""
    return tuple(f"FLOW{number}USDT" for number in range(count))


def made_intent(symbol: str, client_order_id: str, owner_epoch: int) -> OrderIntent:
    """Make an entry that rests."""
    now_ns = time.time_ns()
    return OrderIntent(
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side.BUY,
        type=OrderType.LIMIT,
        price_ticks=PRICE_TICKS,
        qty_lots=QTY_LOTS,
        purpose=Purpose.ENTRY,
        created_ns=now_ns,
        valid_until_ns=now_ns + VALID_S * NS_PER_S,
        owner_epoch=owner_epoch,
        strategy="flow",
        decision=(("reason", "flow"),),
    )


def _instrument(symbol: str) -> Instrument:
    return replace(INSTRUMENT, symbol=symbol, base=symbol.removesuffix("USDT"))


class FlowPort(SymbolPort, PaperSymbolPort, Protocol):
    """What the executor needs of a symbol."""


class FlowExecutor(ExecutorActor):
    """An executor whose marks send no engine to read again: the engines hear nothing of orders they did not make."""

    async def mark(self, symbol: str, bid_ticks: int, at_ns: int) -> MarkAnswer:
        """Take the mark; tell of no delivery that could have been missed."""
        return replace(await super().mark(symbol, bid_ticks, at_ns), last_seq=0)


@dataclass(frozen=True, slots=True)
class FlowExecutorRecipe:
    """Builds an executor on Postgres and the symbols' paper venues, without a rate budget.

    port: the way to a symbol; it delivers to it and places with it.
    """

    database_url: str
    symbols: tuple[str, ...]
    port: Callable[[str], FlowPort] = SymbolHandle

    async def build(self, crash: Callable[[str], None]) -> ExecutorActor:
        """Return it started."""
        clock = SystemClock()
        settings = ExecutorSettings(
            ACCOUNT,
            f"flow:{os.getpid()}",
            is_paper=True,
            opening=(("USDT", Decimal(MANY)),),
            allocation_quote=Decimal(MANY),
            limits=LIFTED,
            budget=BudgetSettings(0, 0, 0, 0),
        )
        journal = PostgresJournal(self.database_url, ACCOUNT, SESSION)
        await journal.open()
        instruments = {symbol: _instrument(symbol) for symbol in self.symbols}
        gateway = PaperGateway(self.port, clock)
        actor = FlowExecutor(settings, journal, gateway, instruments, self.port, clock, crash)
        await actor.start()
        return actor


@dataclass(frozen=True, slots=True)
class FlowResult:
    """What one symbol submitted and got back. latencies_ms: from the intent's making to its delivery, a sample."""

    submitted: int
    acknowledged: int
    denied: int
    seconds: float
    latencies_ms: tuple[float, ...]


class _NoSupervisor:
    async def heartbeat(self, beat: Heartbeat) -> None:
        """Nobody listens."""

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """Whenever you like."""
        return 0.0

    async def ip_held(self, node: str) -> float:
        """Nobody holds back."""
        return 0.0

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """Nobody blocks."""


class _StillMarket:
    """A feed that connects and stays alive, and the snapshot of its book."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    async def run(self, sink: Callable[[MarketEvent], None]) -> None:
        """Say that the line lives, for ever."""
        sink(FeedConnected(self._instrument.symbol, time.time_ns()))
        while True:
            await asyncio.sleep(0.5)
            sink(FeedAlive(self._instrument.symbol, time.time_ns()))

    def reconnect(self, reason: str) -> None:
        """Stay: there is no other market."""

    def stats(self) -> FeedStats:
        """Count nothing."""
        return FeedStats(0, 0, 0, 0, 0)

    async def depth(self, instrument: Instrument) -> BookSnapshot:
        """Return the book."""
        now_ns = time.time_ns()
        bids = tuple((MID_TICKS - 1 - level, 100_000) for level in range(20))
        asks = tuple((MID_TICKS + 1 + level, 100_000) for level in range(20))
        return BookSnapshot(instrument.symbol, 1, bids, asks, now_ns, now_ns)


class FlowSymbol(SymbolActor):
    """A symbol actor that submits as fast as it is answered; the flow stands in for a strategy, which is paused."""

    acknowledged = 0
    submitted = 0
    denied = 0

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        """Count acknowledgements whose commit is known. The engine hears nothing of orders that it did not make."""
        now_ns = time.time_ns()
        for delivery in deliveries:
            if isinstance(delivery.event, OrderAccepted):
                self.acknowledged += 1
                made_ns = self._made.pop(delivery.event.client_order_id, 0)
                if made_ns and self.acknowledged % 20 == 0:
                    self._latencies.append((now_ns - made_ns) / NS_PER_MS)

    async def is_up(self) -> bool:
        """Tell whether it is attached and its book proven."""
        beat = await self.view()
        return beat.book_state == "PROVEN"

    async def progress(self) -> int:
        """Count what is acknowledged so far."""
        return self.acknowledged

    async def flow(self, seconds: float, batch: int, lanes: int) -> FlowResult:
        """Submit for so long, `lanes` batches at a time; then wait for what is outstanding."""
        self.acknowledged = self.submitted = self.denied = 0
        self._made: dict[str, int] = {}
        self._latencies: list[float] = []
        began = time.perf_counter()
        end = began + seconds
        await asyncio.gather(*(self._lane(end, batch) for _ in range(lanes)))
        while True:
            if self.acknowledged + self.denied >= self.submitted or time.perf_counter() > end + 15:
                break
            await asyncio.sleep(0.005)
        return FlowResult(
            self.submitted, self.acknowledged, self.denied, time.perf_counter() - began, tuple(self._latencies)
        )

    async def _lane(self, end: float, batch: int) -> None:
        while time.perf_counter() < end:
            intents = tuple(self._intent() for _ in range(batch))
            submission = Submission(self._spec.symbol, self._owner_epoch, self._spec.run_id, intents, ())
            try:
                receipt = await self._executor.submit(submission)
            except OutcomeUnknown:
                continue  # late, not lost: each order is counted when its acknowledgement comes
            self.denied += len(receipt.denied)

    def _intent(self) -> OrderIntent:
        self.submitted += 1
        name = f"mx-{self._spec.run_number}-{self._owner_epoch}-{self.submitted}"
        intent = made_intent(self._spec.symbol, name, self._owner_epoch)
        self._made[name] = intent.created_ns
        return intent


@dataclass(frozen=True, slots=True)
class FlowSymbolRecipe:
    """Builds a symbol actor on the still market."""

    symbol: str
    number: int

    async def build(self, crash: Callable[[str], None]) -> FlowSymbol:
        """Return it started."""
        clock, supervisor = SystemClock(), _NoSupervisor()
        market = _StillMarket(_instrument(self.symbol))

        def snapshots(attachment: SymbolAttachment, sink: Callable[[EngineEvent], None]) -> SnapshotFetcher:
            return SnapshotFetcher(attachment.instrument, market, IpTurns("flow", supervisor), clock, sink, crash)

        actor = FlowSymbol(
            SymbolSpec(self.symbol, f"run-{self.number}", self.number, "spread_capture", (), is_paused=True),
            SymbolSettings(is_paper=True, node="flow", seed=1),
            ExecutorHandle(ACCOUNT),
            supervisor,
            lambda _: market,
            snapshots,
            clock,
            crash,
        )
        await actor.start()
        return actor
