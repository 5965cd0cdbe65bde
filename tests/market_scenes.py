"""Small markets for tests of the decisions: instrument, books, trades, intents. Imports `trading` only."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from trading.engine.book import Book
from trading.model.instrument import Instrument
from trading.model.market import BookDelta, BookSnapshot, Level, MarketTrade, Side
from trading.model.orders import OrderIntent, OrderType, Purpose

SYMBOL = "AAABBB"
MS = 1_000_000
S = 1_000_000_000


def instrument(maker: str = "0", taker: str = "0.0005", min_notional: str = "1") -> Instrument:
    """Tick 0.01, lot 0.001: at 10000 ticks a lot is worth 0.1 quote units."""
    return Instrument(
        symbol=SYMBOL,
        base="AAA",
        quote="BBB",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.001"),
        min_qty=Decimal(0),
        min_notional=Decimal(min_notional),
        max_notional=Decimal(0),
        maker_fee_rate=Decimal(maker),
        taker_fee_rate=Decimal(taker),
    )


def snapshot(bids: Sequence[Level], asks: Sequence[Level], version: int = 1, at_ns: int = 0) -> BookSnapshot:
    """A REST depth answer."""
    return BookSnapshot(SYMBOL, version, tuple(bids), tuple(asks), at_ns, at_ns)


def delta(version: int, bids: Sequence[Level] = (), asks: Sequence[Level] = (), at_ns: int = 0) -> BookDelta:
    """A push of exactly one version."""
    return BookDelta(SYMBOL, version, version, tuple(bids), tuple(asks), at_ns, at_ns)


def book(bids: Sequence[Level], asks: Sequence[Level]) -> Book:
    """A book without a cut: what is not there is empty."""
    made = Book(SYMBOL)
    made.apply_delta(delta(1, bids, asks))
    return made


def trade(price_ticks: int, qty_lots: int, taker_side: Side, at_ns: int = 0, exch_ts_ns: int = 0) -> MarketTrade:
    """A public trade; without an exchange time unless given."""
    return MarketTrade(SYMBOL, price_ticks, qty_lots, taker_side, exch_ts_ns, at_ns)


def intent(
    client_order_id: str,
    side: Side,
    price_ticks: int,
    qty_lots: int,
    type: OrderType = OrderType.LIMIT,
    created_ns: int = 0,
) -> OrderIntent:
    """An order as the executor hands it to a venue; buys enter, sells exit."""
    purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
    return OrderIntent(
        client_order_id, SYMBOL, side, type, price_ticks, qty_lots, purpose, created_ns, created_ns + 5 * S, 1, "test"
    )
