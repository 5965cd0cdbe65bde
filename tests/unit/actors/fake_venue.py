"""A venue for one account in memory: the executor's unit tests trade on it.

It keeps orders like a real one: what it accepts is open until it is filled or cancelled, and queries show it. Faults
are switched on by attributes. It implements `engine.ports.Gateway` whole; given asks, it judges, matches and pushes as
a venue does, and passes the suite that every gateway passes (`tests/contract/test_gateway_contract.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from trading.adapters.clock import Clock
from trading.engine.budget import RequestMeter
from trading.engine.ports import OrderRecord
from trading.model.errors import VenueRejected, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import (
    Fill,
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceAnswer,
    PlaceRejected,
    PlaceUnknown,
    VenueBalance,
    VenueEvent,
    VenueOrder,
    VenueTrade,
)
from trading.model.units import NS_PER_MS, NS_PER_S

D = Decimal
BTC = Instrument("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.0001"), D(0), D(1), D(0), D(0), D("0.0005"))
ETH = Instrument("ETHUSDT", "ETH", "USDT", D("0.01"), D("0.001"), D(0), D(1), D(0), D(0), D("0.0005"))
BID = 10_000


def _refuse(what: str) -> None:
    try:
        raise VenueRejected("30014: invalid symbol", 30014)
    except VenueRejected as error:
        raise VenueUnavailable(f"{what}: {error.args[0]}")


class FakeVenue:
    """A venue for one account, in memory.

    Attributes:
        answer: "accept", "reject", "lose" (accepted, the answer is lost) or "vanish" (never arrived, no answer).
        is_down: reads and cancels raise. is_blind: queries show nothing (the venue's query lag).
        gate: when set, `place` waits for it before it answers.
        names_trades: the list of trades carries our order ids.
        free: the account's totals by asset; what open orders lock of them is told as locked.
        locked_otherwise: what the venue locks for no open order. asked: the symbols of each list of open orders.
        ends_on_list: orders that end when open orders are asked for next, right before the answer.
        unlisted: symbols whose open orders the venue refuses to list.
        untold: orders that the venue refuses to tell, and how often it did.
        pushes_first: the push of an accepted order comes before the answer. is_mute: the stream tells nothing.
        asks: offers as (price_ticks, lots), best first, that buys match with; None (the default) is no market: a test
            fills orders by hand, and an id that comes twice is a failure of the test.
    """

    venue = "fake"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asks: list[tuple[int, int]] | None = None
        self.answer = "accept"
        self.is_down = False
        self.is_blind = False
        self.pushes_first = False
        self.is_mute = False
        self.names_trades = True
        self.gate: asyncio.Event | None = None
        self.placed: list[OrderRecord] = []
        self.cancelled: list[str] = []
        self.swept: list[tuple[str, ...]] = []
        self.book: dict[str, VenueOrder] = {}
        self.executions: list[VenueTrade] = []
        self.free = {"USDT": D(10_000)}
        self.locked_otherwise: dict[str, Decimal] = {}
        self.asked: list[tuple[str, ...]] = []
        self.ends_on_list: list[str] = []
        self.unlisted: set[str] = set()
        self.untold: dict[str, int] = {}
        self.skew_ms = 0
        self.fees: tuple[Decimal, Decimal] | None = None
        self.prices: dict[str, Decimal] = {}
        self._sink: Callable[[VenueEvent], None] | None = None

    async def start(self, sink: Callable[[VenueEvent], None], meter: RequestMeter | None = None) -> None:
        self._sink = sink

    async def close(self) -> None:
        self._sink = None

    def push(self, event: VenueEvent) -> None:
        assert self._sink is not None
        if not self.is_mute:
            self._sink(event)

    def on_attached(self, symbol: str) -> None:
        """Nothing to forget."""

    async def place(self, order: OrderRecord) -> PlaceAnswer:
        now_ns = self.clock.now_ns()
        if self.asks is not None and (refused := self._refusal(order)) is not None:
            return PlaceRejected(order.client_order_id, *refused, now_ns)
        assert order.client_order_id not in self.book, "an id reached the venue twice"
        self.placed.append(order)
        if self.answer == "reject":
            return PlaceRejected(order.client_order_id, 30004, "insufficient position", now_ns)
        if self.answer == "vanish":
            return PlaceUnknown(order.client_order_id, "timeout", now_ns)
        self.book[order.client_order_id] = self._word(order)
        if self.pushes_first or self.asks is not None:
            self.push(self.book[order.client_order_id])
        if self.asks is not None:
            self._match(order, self.asks)
        if self.gate is not None:
            await self.gate.wait()
        if self.answer == "lose":
            return PlaceUnknown(order.client_order_id, "the reply was lost", now_ns)
        return PlaceAccepted(order.client_order_id, f"v-{order.client_order_id}", now_ns)

    def _refusal(self, order: OrderRecord) -> tuple[int, str] | None:
        """Judge an order as a venue does: code and text."""
        instrument = BTC if order.symbol == "BTCUSDT" else ETH
        if order.client_order_id in self.book:
            return 700004, "duplicate clientOrderId"
        if instrument.notional(order.price_ticks, order.qty_lots) < instrument.min_notional:
            return 30002, "below the minimum volume"
        return None

    def _match(self, order: OrderRecord, asks: list[tuple[int, int]]) -> None:
        """Let a buy take what is offered within its price; post-only takes nothing, fill-or-kill all or nothing."""
        name = order.client_order_id
        within = [(ticks, lots) for ticks, lots in asks if ticks <= order.price_ticks]
        is_killed = order.type is OrderType.FOK and sum(lots for _, lots in within) < order.qty_lots
        if is_killed or (order.type is OrderType.LIMIT_MAKER and within):
            self.end(name)
            return
        left = order.qty_lots
        while left and asks and asks[0][0] <= order.price_ticks:
            ticks, offered = asks[0]
            lots = min(left, offered)
            asks[:1] = [(ticks, offered - lots)] if offered > lots else []
            self.fill(name, lots, price_ticks=ticks, is_maker=False)
            left -= lots
        if left and order.type in (OrderType.IOC, OrderType.MARKET):
            self.end(name)

    def _word(self, order: OrderRecord) -> VenueOrder:
        return VenueOrder(
            order.symbol,
            order.client_order_id,
            f"v-{order.client_order_id}",
            OrderStatus.OPEN,
            order.side,
            order.type,
            order.price_ticks,
            order.qty_lots,
            0,
            D(0),
            self.clock.now_ns(),
            self.clock.now_ns(),
            created_ts_ns=self.clock.now_ns(),
        )

    def hold(self, name: str, symbol: str = "BTCUSDT") -> None:
        """Let an order be open that did not come from us."""
        now_ns = self.clock.now_ns()
        self.book[name] = VenueOrder(
            symbol, name, f"v-{name}", OrderStatus.OPEN, Side.BUY, OrderType.LIMIT, BID, 1000, 0, D(0), now_ns, now_ns
        )

    def fill(
        self,
        name: str,
        lots: int,
        *,
        pushes: bool = True,
        fee: str = "0",
        fee_asset: str = "USDT",
        price_ticks: int | None = None,
        is_maker: bool = True,
    ) -> VenueTrade:
        """Execute some lots of an open order; with `pushes` the private stream tells it (trade first)."""
        word = self.book[name]
        instrument = BTC if word.symbol == "BTCUSDT" else ETH
        now_ns = self.clock.now_ns()
        ticks = word.price_ticks if price_ticks is None else price_ticks
        fill = Fill(
            self.venue,
            f"x{len(self.executions)}",
            name,
            word.venue_order_id,
            word.symbol,
            word.side,
            ticks,
            lots,
            instrument.notional(ticks, lots),
            D(fee),
            fee_asset,
            is_maker,
            now_ns,
            now_ns,
        )
        self._settle(instrument, fill)
        filled = word.filled_lots + lots
        status = OrderStatus.FILLED if filled == word.qty_lots else OrderStatus.PARTIALLY_FILLED
        self.book[name] = replace(
            word, status=status, filled_lots=filled, filled_quote=word.filled_quote + fill.quote_qty
        )
        trade = VenueTrade(fill, "stream")
        self.executions.append(trade)
        if pushes:
            self.push(trade)
            self.push(self.book[name])
        return trade

    def _settle(self, instrument: Instrument, fill: Fill) -> None:
        """Move the account's balances by an execution."""
        for asset, amount in (
            (instrument.base, instrument.qty(fill.qty_lots) * fill.side.sign),
            (instrument.quote, -fill.quote_qty * fill.side.sign),
            (fill.fee_asset, -fill.fee),
        ):
            self.free[asset] = self.free.get(asset, D(0)) + amount

    def end(self, name: str, *, pushes: bool = True) -> None:
        """Cancel an open order at the venue."""
        word = self.book[name]
        status = OrderStatus.PARTIALLY_CANCELLED if word.filled_lots else OrderStatus.CANCELLED
        self.book[name] = replace(word, status=status)
        if pushes:
            self.push(self.book[name])

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> bool:
        self._check_up()
        self.cancelled.append(client_order_id)
        word = self.book.get(client_order_id)
        if word is None or word.status.is_terminal:
            return False
        self.end(client_order_id)
        return True

    async def cancel_all(self, symbols: Sequence[str]) -> None:
        self.swept.append(tuple(symbols))
        for word in await self.open_orders(symbols):
            await self.cancel(word.symbol, word.client_order_id, word.venue_order_id)

    async def order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        self._check_up()
        if client_order_id in self.untold:
            self.untold[client_order_id] += 1
            _refuse("order")
        return None if self.is_blind else self.book.get(client_order_id)

    async def open_orders(self, symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        self._check_up()
        self.asked.append(tuple(symbols))
        while self.ends_on_list:
            self.end(self.ends_on_list.pop())
        if not self.unlisted.isdisjoint(symbols):
            _refuse("openOrders")
        if self.is_blind:
            return ()
        return tuple(word for word in self.book.values() if word.symbol in symbols and not word.status.is_terminal)

    async def recent_orders(self, symbol: str, since_ms: int) -> tuple[VenueOrder, ...]:
        self._check_up()
        return () if self.is_blind else tuple(word for word in self.book.values() if word.symbol == symbol)

    async def trades(self, symbol: str, venue_order_id: str, since_ms: int) -> tuple[VenueTrade, ...]:
        """Show executions as REST does: other ids, times rounded to seconds."""
        self._check_up()
        return tuple(
            VenueTrade(
                replace(
                    item.fill,
                    trade_id=f"rest-{item.fill.trade_id}",
                    client_order_id=item.fill.client_order_id if self.names_trades else "",
                    exch_ts_ns=item.fill.exch_ts_ns // NS_PER_S * NS_PER_S,
                ),
                "rest",
            )
            for item in self.executions
            if item.fill.symbol == symbol and venue_order_id in ("", item.fill.venue_order_id)
        )

    async def fee_rates(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        self._check_up()
        return self.fees

    async def price(self, symbol: str) -> Decimal | None:
        self._check_up()
        return self.prices.get(symbol)

    async def balances(self) -> tuple[VenueBalance, ...]:
        """Tell all balances, as of the moment before: what executes at this very instant is not in them."""
        self._check_up()
        now_ns, locked = self.clock.now_ns(), self._locked()
        return tuple(
            VenueBalance(asset, total - locked.get(asset, D(0)), locked.get(asset, D(0)), now_ns - 1, now_ns)
            for asset, total in self.free.items()
        )

    def _locked(self) -> dict[str, Decimal]:
        """Sum what the open orders lock, by asset: the rest of a sell, the value of a buy's rest without a fee."""
        locked = dict(self.locked_otherwise)
        for word in self.book.values():
            if word.status.is_terminal:
                continue
            instrument, lots = BTC if word.symbol == "BTCUSDT" else ETH, word.qty_lots - word.filled_lots
            is_sell = word.side is Side.SELL
            asset = instrument.base if is_sell else instrument.quote
            amount = instrument.qty(lots) if is_sell else instrument.notional(word.price_ticks, lots)
            locked[asset] = locked.get(asset, D(0)) + amount
        return locked

    def now_ms(self) -> int:
        return self.clock.now_ns() // NS_PER_MS

    def clock_skew_ms(self) -> int:
        return self.skew_ms

    def _check_up(self) -> None:
        if self.is_down:
            raise VenueUnavailable("the venue does not answer")
