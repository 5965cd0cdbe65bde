"""The executor on its default rate budget and a real clock, with a venue some milliseconds away.

What is unknown, missing or acknowledged and gone must be settled at every round trip: each takes several reads, and the
budget gives them out one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, BTC, ETH, FakeSymbol, FakeVenue
from trading.adapters.clock import SystemClock
from trading.adapters.store.memory_journal import MemoryJournal
from trading.engine.ports import Submission
from trading.engine.reconcile import Patience
from trading.model.errors import VenueRejected, VenueUnavailable
from trading.model.market import Side
from trading.model.orders import OrderIntent, OrderStatus, OrderType, Purpose, VenueOrder, VenueTrade
from trading.model.units import NS_PER_S

pytestmark = pytest.mark.timeout(300)
PATIENCE_S = 60.0
ROUND_TRIPS_S = (0.001, 0.02, 0.075, 0.15)


class FarVenue(FakeVenue):
    """A venue whose reads take a round trip. refused: symbols about whose orders it tells nothing."""

    def __init__(self, clock: SystemClock, round_trip_s: float) -> None:
        super().__init__(clock)
        self.round_trip_s = round_trip_s
        self.refused: set[str] = set()

    async def order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        await asyncio.sleep(self.round_trip_s)
        if symbol in self.refused:
            try:
                raise VenueRejected("30014: invalid symbol", 30014)
            except VenueRejected as error:
                raise VenueUnavailable(f"GET order: {error.args[0]}")
        return await super().order(symbol, client_order_id)

    async def open_orders(self, symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        await asyncio.sleep(self.round_trip_s)
        return await super().open_orders(symbols)

    async def recent_orders(self, symbol: str, since_ms: int) -> tuple[VenueOrder, ...]:
        await asyncio.sleep(self.round_trip_s)
        return await super().recent_orders(symbol, since_ms)

    async def trades(self, symbol: str, venue_order_id: str, since_ms: int) -> tuple[VenueTrade, ...]:
        await asyncio.sleep(self.round_trip_s)
        return await super().trades(symbol, venue_order_id, since_ms)


class World:
    """An executor with its loops running and two symbols attached."""

    def __init__(self, round_trip_s: float) -> None:
        self.clock = SystemClock()
        self.venue = FarVenue(self.clock, round_trip_s)
        self.crashes: list[str] = []
        symbols = {"BTCUSDT": FakeSymbol(), "ETHUSDT": FakeSymbol()}
        # A signed window and a query lag that are over soon; the budget is the default one.
        settings = ExecutorSettings(
            "main",
            "one",
            is_paper=False,
            recv_window_ms=800,
            patience=Patience(clock_bound_ms=50, query_lag_ms=100),
            lease_ttl_s=60.0,
            reconcile_interval_s=0.5,
        )
        self.executor = ExecutorActor(
            settings,
            MemoryJournal("main", self.clock.now_ns),
            self.venue,
            {"BTCUSDT": BTC, "ETHUSDT": ETH},
            symbols.__getitem__,
            self.clock,
            self.crashes.append,
        )
        self.epochs: dict[str, int] = {}

    async def submit(self, symbol: str = "BTCUSDT") -> str:
        """Submit an entry; returns its id."""
        now_ns = self.clock.now_ns()
        await self.executor.mark(symbol, BID, now_ns)
        epoch = self.epochs[symbol]
        intent = OrderIntent(
            f"mx-{symbol}-{now_ns}",
            symbol,
            Side.BUY,
            OrderType.LIMIT,
            BID,
            1000,
            Purpose.ENTRY,
            now_ns,
            now_ns + 5 * NS_PER_S,
            epoch,
            "spread_capture",
            (("why", "test"),),
        )
        receipt = await self.executor.submit(Submission(symbol, epoch, "run-1", (intent,), ()))
        assert receipt.durable == (intent.client_order_id,)
        return intent.client_order_id

    def status(self, name: str) -> OrderStatus:
        tracker = self.executor.core.state.orders.get(name)
        assert tracker is not None
        return tracker.record.status

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not is_so():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"round trip {self.venue.round_trip_s} s: not within {PATIENCE_S} s: {what}") from None


@asynccontextmanager
async def world(round_trip_s: float) -> AsyncIterator[World]:
    made = World(round_trip_s)
    await made.executor.start()
    try:
        await made.until(lambda: made.executor.core.state.is_reconciled, "compared with the venue")
        for symbol in ("BTCUSDT", "ETHUSDT"):
            made.epochs[symbol] = (await made.executor.attach_symbol(symbol, "run-1", 1, "test")).owner_epoch
        yield made
        assert made.crashes == []
    finally:
        await made.executor.close()


async def vanish(round_trip_s: float) -> None:
    async with world(round_trip_s) as it:
        it.venue.answer = "vanish"
        name = await it.submit()
        await it.until(lambda: it.status(name) is OrderStatus.NOT_SENT, "the order that never left is NOT_SENT")
        assert len(it.venue.placed) == 1


async def vanish_acknowledged(round_trip_s: float) -> None:
    async with world(round_trip_s) as it:
        name = await it.submit()
        await it.until(lambda: it.status(name) is OrderStatus.OPEN, "acknowledged")
        del it.venue.book[name]
        await it.until(lambda: it.status(name) is OrderStatus.CANCELLED, "the order that is nowhere is over")


async def test_order_that_never_left_is_proven_absent_at_every_round_trip() -> None:
    await asyncio.gather(*(vanish(round_trip_s) for round_trip_s in ROUND_TRIPS_S))


async def test_acknowledged_order_that_is_nowhere_is_over_at_every_round_trip() -> None:
    await asyncio.gather(*(vanish_acknowledged(round_trip_s) for round_trip_s in ROUND_TRIPS_S))


async def test_symbol_whose_orders_the_venue_does_not_tell_holds_up_no_other() -> None:
    async with world(0.002) as it:
        filled = await it.submit("ETHUSDT")
        await it.until(lambda: it.status(filled) is OrderStatus.OPEN, "acknowledged")
        it.venue.answer = "vanish"
        refused, healthy = await it.submit("BTCUSDT"), await it.submit("ETHUSDT")
        it.venue.refused.add("BTCUSDT")
        it.venue.unlisted.add("BTCUSDT")
        it.venue.fill(filled, 1000, pushes=False)
        await it.until(lambda: it.status(healthy) is OrderStatus.NOT_SENT, "the healthy symbol's order is NOT_SENT")
        await it.until(lambda: it.status(filled) is OrderStatus.FILLED, "the healthy symbol's fill is booked")
        assert it.status(refused) is OrderStatus.UNKNOWN
        it.venue.refused.clear()
        await it.until(lambda: it.status(refused) is OrderStatus.NOT_SENT, "the other one, once it is told")
