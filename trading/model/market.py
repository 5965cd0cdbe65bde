"""Market-data events, as the engine receives them. May import `trading.model` and the standard library.

Every event carries `exch_ts_ns` (the venue's clock, 0 when it gave none) and `recv_ts_ns` (ours). Levels are
`(price_ticks, qty_lots)` pairs; a quantity of 0 in a delta deletes the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading.model.message import Message

Level = tuple[int, int]


class Side(StrEnum):
    """The side of an order, or the taker's side of a trade."""

    BUY = "BUY"
    SELL = "SELL"

    opposite: Side
    """The other side."""
    sign: int
    """+1 for BUY, -1 for SELL."""


# Asked for several times a trade: plain attributes of the two members, not properties.
Side.BUY.opposite, Side.SELL.opposite = Side.SELL, Side.BUY
Side.BUY.sign, Side.SELL.sign = 1, -1


class BookState(StrEnum):
    """What is known of a book. Only PROVEN may quote."""

    SYNCING = "SYNCING"
    PROVEN = "PROVEN"
    GAP = "GAP"
    STALE = "STALE"
    CROSSED = "CROSSED"


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """A REST depth answer: all levels at `version` (inclusive), best first, as far down as it goes.

    Attributes:
        bid_cut, ask_cut: price (ticks) of the deepest level of a side that the answer has cut off: what is missing
            beyond it is unknown, not empty. None: the side is whole.
    """

    symbol: str
    version: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    exch_ts_ns: int
    recv_ts_ns: int
    bid_cut: int | None = None
    ask_cut: int | None = None


@dataclass(frozen=True, slots=True)
class BookDelta(Message):
    """A diff-depth push covering versions from_version..to_version, both inclusive; quantities are absolute."""

    symbol: str
    from_version: int
    to_version: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    exch_ts_ns: int
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class MarketTrade(Message):
    """One public trade; `taker_side` is the aggressor's."""

    symbol: str
    price_ticks: int
    qty_lots: int
    taker_side: Side
    exch_ts_ns: int
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class Ticker24h:
    """A day's figures of one symbol, in quote units (volume_base in base units). None: the venue gave none."""

    symbol: str
    last_price: Decimal | None
    bid_price: Decimal | None
    ask_price: Decimal | None
    volume_base: Decimal | None
    volume_quote: Decimal | None
    change_ratio: Decimal | None


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices and volumes of one interval, [open_ns, close_ns). Closed once a newer one has begun."""

    open_ns: int
    close_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume_base: Decimal
    volume_quote: Decimal


@dataclass(frozen=True, slots=True)
class BestQuote(Message):
    """A book-ticker push, a cross-check of the book's best. An absent side is None, never 0."""

    symbol: str
    version: int
    bid: Level | None
    ask: Level | None
    exch_ts_ns: int
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class FeedConnected:
    """Every topic of the symbol is acknowledged; a snapshot is wanted now."""

    symbol: str
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class FeedDisconnected:
    """The stream is lost, overflowed or undecodable: the book's proof is gone."""

    symbol: str
    reason: str
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class FeedAlive:
    """A frame without a body: nothing changed, the line lives."""

    symbol: str
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class SnapshotFailed:
    """A requested snapshot could not be fetched; the engine asks again by its own patience."""

    symbol: str
    reason: str
    recv_ts_ns: int


MarketEvent = (
    BookSnapshot | BookDelta | MarketTrade | BestQuote | FeedConnected | FeedDisconnected | FeedAlive | SnapshotFailed
)
