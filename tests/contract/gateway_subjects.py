"""The gateways that the contract suite runs over, each with a market to trade in.

May import our adapters and the simulator process; imported by the contract suite.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Protocol, TypeVar

from tests.mexc_account import journaled, opened_account, wait_until
from tests.simulator_process import SimulatorProcess
from tests.unit.actors.fake_venue import BID, BTC, FakeVenue
from trading.adapters.clock import Clock, SystemClock
from trading.adapters.paper import PaperGateway
from trading.engine.book import Book
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import LatencyModel
from trading.engine.ports import Gateway, OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, Side
from trading.model.orders import OrderType, PlaceAnswer, VenueEvent, VenueOrder, VenueTrade
from trading.model.units import NS_PER_MS

E = TypeVar("E")


class Market(Protocol):
    """An account at a gateway, with everything that it pushed. `Account` of the live gateway is one."""

    instrument: Instrument

    def record(self, side: Side, kind: OrderType, price_ticks: int, qty_lots: int) -> OrderRecord:
        """Make an order as journaled."""
        ...

    def best_ticks(self) -> tuple[int, int]:
        """Return the best bid and ask in ticks."""
        ...

    def lots_worth(self, quote: int, price_ticks: int) -> int:
        """Return the lots that cost about `quote` at a price."""
        ...

    def orders(self, client_order_id: str) -> list[VenueOrder]:
        """Return what was pushed about an order, oldest first."""
        ...

    def trades(self, client_order_id: str) -> list[VenueTrade]:
        """Return the executions that were pushed for an order."""
        ...

    async def until(self, condition: Callable[[], E], what: str) -> E:
        """Wait for a condition to be truthy."""
        ...


class Subject:
    """One gateway under test, and the orders that the suite needs of its market.

    `has_history`: ended orders, executions and balances can be queried. The paper gateway has none: what its venues
    report is journaled or never happened, and balances are the ledger's.
    """

    def __init__(self, gateway: Gateway, market: Market, has_history: bool) -> None:
        self.gateway = gateway
        self.has_history = has_history
        self.instrument = market.instrument
        self._market = market
        self.record = market.record
        self.orders = market.orders
        self.trades = market.trades
        self.until = market.until

    def resting(self) -> OrderRecord:
        """Make a buy that rests far below the market."""
        price_ticks = self._market.best_ticks()[0] * 95 // 100
        return self.record(Side.BUY, OrderType.LIMIT, price_ticks, self._market.lots_worth(20, price_ticks))

    def crossing(self, kind: OrderType) -> OrderRecord:
        """Make a small buy two percent through the market (of a MARKET order that is the protection price)."""
        ask_ticks = self._market.best_ticks()[1]
        return self.record(Side.BUY, kind, ask_ticks * 102 // 100, self._market.lots_worth(20, ask_ticks))

    def unfillable(self, kind: OrderType) -> OrderRecord:
        """Make a buy at the best ask for more than stands there."""
        ask_ticks = self._market.best_ticks()[1]
        return self.record(Side.BUY, kind, ask_ticks, self._market.lots_worth(90_000, ask_ticks))

    def is_open(self, client_order_id: str) -> bool:
        """Return whether nothing final was pushed yet."""
        return not self.has_ended(client_order_id)

    def has_ended(self, client_order_id: str) -> bool:
        """Return whether a final state was pushed."""
        return any(order.status.is_terminal for order in self.orders(client_order_id))

    async def open_ids(self) -> list[str]:
        """Return our ids of the orders that the venue says are open."""
        return [order.client_order_id for order in await self.gateway.open_orders([self.instrument.symbol])]

    @staticmethod
    def host_ms() -> int:
        """Return the host's clock."""
        return time.time_ns() // 1_000_000


@asynccontextmanager
async def live_subject(simulator: SimulatorProcess) -> AsyncIterator[Subject]:
    """The live gateway on a running simulator; leaves no open order behind."""
    async with opened_account(simulator) as account:
        yield Subject(account.gateway, account, has_history=True)
    async with opened_account(simulator) as account:
        await account.gateway.cancel_all([account.instrument.symbol])


# --- paper ----------------------------------------------------------------------------------------------------------

INSTRUMENT = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.000001"),
    min_qty=Decimal(0),
    min_notional=Decimal(1),
    max_notional=Decimal(0),
    maker_fee_rate=Decimal(0),
    taker_fee_rate=Decimal("0.0005"),
)
BID_TICKS, ASK_TICKS = 6_400_000, 6_400_100
LEVEL_LOTS = 200_000
TICK_S = 0.002


class FakeMarket:
    """The test fake of the executor's unit tests, with offers to take; keeps what it pushes."""

    def __init__(self) -> None:
        self.instrument = BTC
        self.clock = SystemClock()
        self.gateway = FakeVenue(self.clock)
        self.gateway.asks = [(BID + 10 * level, 1_000) for level in range(1, 20)]
        self.events: list[VenueEvent] = []

    def record(self, side: Side, kind: OrderType, price_ticks: int, qty_lots: int) -> OrderRecord:
        return journaled(BTC.symbol, side, kind, price_ticks, qty_lots, self.gateway.now_ms())

    def best_ticks(self) -> tuple[int, int]:
        assert self.gateway.asks
        return BID, self.gateway.asks[0][0]

    def lots_worth(self, quote: int, price_ticks: int) -> int:
        return BTC.qty_lots_ceil(Decimal(quote) / BTC.price(price_ticks))

    def orders(self, client_order_id: str) -> list[VenueOrder]:
        return [e for e in self.events if isinstance(e, VenueOrder) and e.client_order_id == client_order_id]

    def trades(self, client_order_id: str) -> list[VenueTrade]:
        return [e for e in self.events if isinstance(e, VenueTrade) and e.fill.client_order_id == client_order_id]

    async def until(self, condition: Callable[[], E], what: str) -> E:
        return await wait_until(condition, what)


@asynccontextmanager
async def fake_subject() -> AsyncIterator[Subject]:
    """The test fake: what unit tests of the executor learn from it must hold for the real ones."""
    market = FakeMarket()
    await market.gateway.start(market.events.append)
    yield Subject(market.gateway, market, has_history=True)
    await market.gateway.close()


class PaperSymbol:
    """A symbol's paper venue behind the port, on a standing book; keeps what the executor would be told."""

    def __init__(self, clock: Clock) -> None:
        self.instrument = INSTRUMENT
        self.events: list[VenueEvent] = []
        self._clock = clock
        self._venue = PaperVenue(INSTRUMENT, latency=LatencyModel(NS_PER_MS, NS_PER_MS, NS_PER_MS), owner_epoch=1)
        book = Book(INSTRUMENT.symbol)
        now_ns = clock.now_ns()
        bids = tuple((BID_TICKS - 10 * level, LEVEL_LOTS) for level in range(20))
        asks = tuple((ASK_TICKS + 10 * level, LEVEL_LOTS) for level in range(20))
        book.apply_snapshot(BookSnapshot(INSTRUMENT.symbol, 1, bids, asks, now_ns, now_ns))
        self._venue.on_book(book, now_ns)

    async def run(self) -> None:
        """Let time pass for the venue, and keep what it reports."""
        while True:
            self._venue.on_timer(self._clock.now_ns())
            self.events += self._venue.drain_events()
            await asyncio.sleep(TICK_S)

    async def paper_place(self, orders: tuple[OrderRecord, ...]) -> tuple[PlaceAnswer, ...]:
        return tuple(self._venue.place(order.as_intent(), self._clock.now_ns()) for order in orders)

    async def paper_cancel(self, ids: tuple[str, ...]) -> tuple[bool, ...]:
        return tuple(self._venue.cancel(name, self._clock.now_ns()) for name in ids)

    async def paper_orders(self) -> tuple[VenueOrder, ...]:
        return self._venue.open_orders()

    def record(self, side: Side, kind: OrderType, price_ticks: int, qty_lots: int) -> OrderRecord:
        return journaled(INSTRUMENT.symbol, side, kind, price_ticks, qty_lots, self._clock.now_ns() // NS_PER_MS)

    def best_ticks(self) -> tuple[int, int]:
        return BID_TICKS, ASK_TICKS

    def lots_worth(self, quote: int, price_ticks: int) -> int:
        return INSTRUMENT.qty_lots_ceil(Decimal(quote) / INSTRUMENT.price(price_ticks))

    def orders(self, client_order_id: str) -> list[VenueOrder]:
        return [e for e in self.events if isinstance(e, VenueOrder) and e.client_order_id == client_order_id]

    def trades(self, client_order_id: str) -> list[VenueTrade]:
        return [e for e in self.events if isinstance(e, VenueTrade) and e.fill.client_order_id == client_order_id]

    async def until(self, condition: Callable[[], E], what: str) -> E:
        return await wait_until(condition, what)


@asynccontextmanager
async def paper_subject() -> AsyncIterator[Subject]:
    """The paper gateway over one symbol's real paper venue."""
    clock = SystemClock()
    symbol = PaperSymbol(clock)
    passing = asyncio.create_task(symbol.run())
    gateway = PaperGateway(lambda name: symbol, clock)
    await gateway.start(symbol.events.append)
    try:
        yield Subject(gateway, symbol, has_history=False)
    finally:
        await gateway.close()
        passing.cancel()
        await asyncio.wait({passing})
