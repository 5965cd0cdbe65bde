"""The executor on a venue and symbols in memory, for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from tests.unit.actors.fake_venue import BID, BTC, ETH, FakeVenue
from trading.adapters.clock import ManualClock
from trading.adapters.store.memory_journal import MemoryJournal
from trading.engine.budget import BudgetSettings
from trading.engine.ports import Crashpoints, Submission
from trading.model.errors import NotRunning
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import (
    CancelIntent,
    Delivery,
    OrderIntent,
    OrderType,
    Purpose,
)
from trading.model.units import NS_PER_S

D = Decimal
UNLIMITED = BudgetSettings(0, 0, 0, 0)
__all__ = ["BID", "BTC", "ETH", "UNLIMITED", "D", "FakeSymbol", "FakeVenue", "System", "settle", "submit"]


class FakeSymbol:
    """A symbol that keeps what it is told."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.is_down = False

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        if self.is_down:
            raise NotRunning("the symbol is down")
        self.deliveries.extend(deliveries)

    @property
    def kinds(self) -> list[str]:
        return [type(item.event).__name__.removeprefix("Order") for item in self.deliveries]


class System:
    """An executor on fakes, with one symbol attached and marked."""

    def __init__(
        self,
        settings: ExecutorSettings | None = None,
        crashpoints: Crashpoints | None = None,
        instruments: Iterable[Instrument] = (),
    ) -> None:
        self.instruments = {item.symbol: item for item in (BTC, ETH, *instruments)}
        self.clock = ManualClock()
        self.journal = MemoryJournal("main", self.clock.now_ns)
        self.venue = FakeVenue(self.clock)
        self.symbols = {"BTCUSDT": FakeSymbol(), "ETHUSDT": FakeSymbol()}
        self.settings = settings or ExecutorSettings("main", "one", is_paper=False, budget=UNLIMITED)
        self.crashpoints = crashpoints
        self.crashes: list[str] = []
        self.epoch = 0
        self.executor = self.make("one")

    def make(self, owner: str) -> ExecutorActor:
        return ExecutorActor(
            replace(self.settings, owner=owner),
            self.journal,
            self.venue,
            dict(self.instruments),
            self.symbols.__getitem__,
            self.clock,
            self.crashes.append,
            self.crashpoints,
        )

    @property
    def symbol(self) -> FakeSymbol:
        return self.symbols["BTCUSDT"]

    async def start(self) -> None:
        await self.executor.start(with_loops=False)
        await self.executor.core.reconciler.round()
        await self.attach()

    async def attach(self) -> None:
        attachment = await self.executor.attach_symbol("BTCUSDT", "run-1", 1, "test")
        self.epoch = attachment.owner_epoch
        await self.executor.mark("BTCUSDT", BID, self.clock.now_ns())

    async def crash(self, owner: str = "two") -> None:
        """End the executor as kill -9 does, and start a successor when the lease has run out."""
        old = self.executor.core
        for task in tuple(old._tasks):
            task.cancel()
        await asyncio.wait(tuple(old._tasks))
        self.clock.advance(int(self.settings.lease_ttl_s * NS_PER_S) + 1)
        self.journal = self.journal.reopened()
        self.executor = self.make(owner)
        await self.executor.start(with_loops=False)

    def intent(
        self,
        number: int = 1,
        side: Side = Side.BUY,
        lots: int = 1000,
        price: int = BID,
        purpose: Purpose = Purpose.ENTRY,
    ) -> OrderIntent:
        now_ns = self.clock.now_ns()
        return OrderIntent(
            f"mx-1-{self.epoch}-{number}",
            "BTCUSDT",
            side,
            OrderType.LIMIT,
            price,
            lots,
            purpose,
            now_ns,
            now_ns + NS_PER_S,
            self.epoch,
            "spread_capture",
            (("why", "test"),),
        )

    def cancel(self, name: str) -> CancelIntent:
        return CancelIntent(name, "BTCUSDT", self.clock.now_ns(), "test")


async def settle() -> None:
    """Let everything that can go on go on; nothing here sleeps."""
    for _ in range(60):
        await asyncio.sleep(0)


async def rounds(system: System, *pauses_ns: int) -> None:
    """Do one round after each pause, under a lease that is kept."""
    for pause_ns in pauses_ns:
        system.clock.advance(pause_ns)
        await system.executor.core.keeper.renew()
        await system.executor.core.reconciler.round()
        await settle()


async def submit(system: System, *intents: OrderIntent) -> tuple[str, ...]:
    """Submit intents as the symbol's owner, let everything go on, and return the ids that are durable."""
    receipt = await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", intents, ()))
    await settle()
    return receipt.durable
