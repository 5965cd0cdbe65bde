"""Our own adapter as a trading client: what runs against MEXC, with nothing changed but addresses."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

from simulator_process import RunningSimulator
from trading_clients import SYMBOL, Levels, Seen, SeenBook, SeenFill, SeenOrder, TradingClient

from tests.mexc_account import journaled
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.market_stream import MarketStream
from trading.adapters.mexc.rest_codec import instruments_of
from trading.adapters.mexc.rest_public import PublicRest
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncResult
from trading.engine.ports import OrderRecord
from trading.model.market import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    BookState,
    FeedConnected,
    MarketEvent,
    MarketTrade,
    Side,
)
from trading.model.orders import (
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceAnswer,
    VenueBalance,
    VenueEvent,
    VenueOrder,
    VenueTrade,
)

_OUR_STATUS = {OrderStatus.OPEN: "open", OrderStatus.PARTIALLY_FILLED: "open", OrderStatus.FILLED: "closed"}


class OwnClient:
    """Our gateway and public REST. It never buys by value, so that what an order may fill is known before it is sent,
    and subscribes to no candles: whoever wants them asks by REST."""

    lacks = frozenset({"cost", "candle stream"})

    def __init__(self, gateway: MexcGateway, public: PublicRest, simulator: RunningSimulator) -> None:
        self.instrument = instruments_of(simulator.get("/api/v3/exchangeInfo").json())[SYMBOL]
        self._gateway = gateway
        self._public = public
        self._simulator = simulator
        self._names: dict[str, str] = {}
        self._since_ms = gateway.now_ms() - 60_000

    def seen_order(self, order: VenueOrder) -> SeenOrder:
        qty = float(self.instrument.qty(order.qty_lots))
        filled = float(self.instrument.qty(order.filled_lots))
        status = _OUR_STATUS.get(order.status, "canceled")
        return SeenOrder(order.venue_order_id, order.side.value.lower(), qty, filled, status, order.client_order_id)

    def seen_fill(self, trade: VenueTrade) -> SeenFill:
        fill = trade.fill
        price, qty = float(self.instrument.price(fill.price_ticks)), float(self.instrument.qty(fill.qty_lots))
        side = fill.side.value.lower()
        return SeenFill(fill.venue_order_id, side, price, qty, float(fill.fee), fill.fee_asset, fill.is_maker)

    def levels(self, levels: Sequence[tuple[int, int]]) -> Levels:
        return [(float(self.instrument.price(price)), float(self.instrument.qty(lots))) for price, lots in levels]

    async def tick_and_lot(self) -> tuple[float, float]:
        return float(self.instrument.tick_size), float(self.instrument.lot_size)

    async def book(self, depth: int) -> SeenBook:
        told = await self._public.depth(self.instrument, depth)
        return SeenBook(told.version, self.levels(told.bids), self.levels(told.asks))

    async def snapshot(self) -> BookSnapshot:
        """Return the book by REST, as the engine takes it."""
        return await self._public.depth(self.instrument)

    async def last_price(self) -> float:
        return float(next(t.last_price for t in await self._public.tickers_24h() if t.symbol == SYMBOL))

    async def candles(self, count: int) -> list[list[float]]:
        told = await self._public.candles(SYMBOL, "1m", count)
        figures = [(one.open, one.high, one.low, one.close, one.volume_base) for one in told]
        return [[one.open_ns / 1e6, *map(float, row)] for one, row in zip(told, figures, strict=True)]

    async def trades(self, count: int) -> list[tuple[float, float, str]]:
        told = await self._public.trades(self.instrument, count)
        levels = self.levels([(trade.price_ticks, trade.qty_lots) for trade in told])
        sides = [trade.taker_side.value.lower() for trade in told]
        return [(*level, side) for level, side in zip(levels, sides, strict=True)]

    async def balances(self) -> dict[str, tuple[float, float]]:
        return {told.asset: (float(told.free), float(told.locked)) for told in await self._gateway.balances()}

    async def place(self, kind: str, side: str, qty: str, price: str | None) -> tuple[OrderRecord, PlaceAnswer]:
        """Place an order as the executor does; the price of a MARKET order is the best opposite one."""
        instrument = self.instrument
        limit = price or str(self._simulator.best(SYMBOL)[side == "buy"])
        record = journaled(
            SYMBOL,
            Side(side.upper()),
            OrderType(kind),
            instrument.price_ticks(limit),
            instrument.qty_lots_ceil(Decimal(qty)),
            self._gateway.now_ms(),
        )
        return record, await self._gateway.place(record)

    async def create(self, kind: str, side: str, qty: str, price: str | None) -> str:
        record, answer = await self.place(kind, side, qty, price)
        assert isinstance(answer, PlaceAccepted), answer
        self._names[answer.venue_order_id] = record.client_order_id
        return answer.venue_order_id

    async def create_by_cost(self, cost: str) -> str:
        raise AssertionError("see lacks")

    async def order(self, order_id: str) -> SeenOrder:
        found = await self._gateway.order(SYMBOL, self._names[order_id])
        assert found is not None
        return self.seen_order(found)

    async def open_orders(self) -> list[SeenOrder]:
        return [self.seen_order(order) for order in await self._gateway.open_orders([SYMBOL])]

    async def past_orders(self) -> list[SeenOrder]:
        return [self.seen_order(order) for order in await self._gateway.recent_orders(SYMBOL, self._since_ms)]

    async def fills(self, order_id: str) -> list[SeenFill]:
        return [self.seen_fill(trade) for trade in await self._gateway.trades(SYMBOL, order_id, self._since_ms)]

    async def cancel(self, order_id: str) -> None:
        assert await self._gateway.cancel(SYMBOL, self._names[order_id], order_id)

    async def cancel_all(self) -> None:
        await self._gateway.cancel_all([SYMBOL])


@asynccontextmanager
async def _own(simulator: RunningSimulator, sink: Callable[[VenueEvent], None]) -> AsyncIterator[OwnClient]:
    instruments = instruments_of(simulator.get("/api/v3/exchangeInfo").json())
    clock = SystemClock()
    settings = MexcGatewaySettings(simulator.rest, simulator.ws, "sim")
    gateway = MexcGateway(settings, Credentials(simulator.api_key, simulator.secret), instruments, clock)
    public = PublicRest(simulator.rest, clock)
    await gateway.start(sink)
    try:
        yield OwnClient(gateway, public, simulator)
    finally:
        await gateway.close()
        await public.close()


@asynccontextmanager
async def own_client(simulator: RunningSimulator) -> AsyncIterator[OwnClient]:
    """Our adapter, what it pushes unheard."""
    async with _own(simulator, lambda event: None) as client:
        yield client


class OwnBook:
    """Our proven book of the symbol, fed by the market stream; a snapshot is fetched whenever it wants one."""

    def __init__(self, client: OwnClient, seen: Seen) -> None:
        self._client = client
        self._seen = seen
        self._sync = BookSync(SYMBOL)
        self._wanted = asyncio.Event()

    def on_event(self, event: MarketEvent) -> None:
        """Take what the market stream tells."""
        now_ns = time.time_ns()
        seen = self._seen
        match event:
            case FeedConnected():
                self._note(self._sync.on_connected(now_ns))
            case BookDelta():
                self._note(self._sync.on_delta(event, now_ns))
                self._keep()
            case MarketTrade():
                (level,) = self._client.levels([(event.price_ticks, event.qty_lots)])
                seen.trades.append((*level, event.taker_side.value.lower()))
            case BestQuote(bid=(price_ticks, lots)):
                seen.tickers.append(self._client.levels([(price_ticks, lots)])[0][0])
            case _:
                pass

    def _note(self, result: SyncResult) -> None:
        if result.fetch_not_before_ns is not None:
            self._wanted.set()

    def _keep(self) -> None:
        book = self._sync.book
        if self._sync.state is BookState.PROVEN:
            sides = self._client.levels(book.bids(20)), self._client.levels(book.asks(20))
            self._seen.books.append(SeenBook(book.version, *sides))

    async def tend(self) -> None:
        """Fetch snapshots as they are wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            snapshot = await self._client.snapshot()
            self._note(self._sync.on_snapshot(snapshot, time.time_ns()))


@asynccontextmanager
async def own_streams(simulator: RunningSimulator) -> AsyncIterator[tuple[TradingClient, Seen]]:
    """Our adapter with market stream, book and private stream."""
    seen = Seen()

    def keep_private(event: VenueEvent) -> None:
        match event:
            case VenueOrder() if event.symbol == SYMBOL:
                seen.orders.append(client.seen_order(event))
            case VenueTrade() if event.fill.symbol == SYMBOL:
                seen.fills.append(client.seen_fill(event))
            case VenueBalance():
                seen.balances[event.asset] = (float(event.free), float(event.locked))

    async with _own(simulator, keep_private) as client:
        book = OwnBook(client, seen)
        stream = MarketStream(simulator.ws, client.instrument, MarketStreamSettings(), SystemClock(), random.Random(1))
        tasks = [asyncio.create_task(stream.run(book.on_event)), asyncio.create_task(book.tend())]
        try:
            yield client, seen
            for task in tasks:
                assert not task.done(), task.exception()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
