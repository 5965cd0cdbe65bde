"""Topics of the WebSocket: parsed names of streams. Pure."""

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

from simulator.wire.intervals import STREAM_INTERVALS, TIME_ZONES

CADENCES = ("10ms", "100ms")
DEPTHS = ("5", "10", "20")


class Channel(StrEnum):
    """The channels that carry data here; all others are answered Blocked."""

    DEPTH = "spot@public.aggre.depth.v3.api.pb"
    DEALS = "spot@public.aggre.deals.v3.api.pb"
    BOOK_TICKER = "spot@public.aggre.bookTicker.v3.api.pb"
    BOOK_TICKER_BATCH = "spot@public.bookTicker.batch.v3.api.pb"
    LIMIT_DEPTH = "spot@public.limit.depth.v3.api.pb"
    KLINE = "spot@public.kline.v3.api.pb"
    MINI_TICKER = "spot@public.miniTicker.v3.api.pb"
    MINI_TICKERS = "spot@public.miniTickers.v3.api.pb"
    PRIVATE_ORDERS = "spot@private.orders.v3.api.pb"
    PRIVATE_DEALS = "spot@private.deals.v3.api.pb"
    PRIVATE_ACCOUNT = "spot@private.account.v3.api.pb"

    @property
    def is_private(self) -> bool:
        """True for the channels of the user data stream."""
        return self in (Channel.PRIVATE_ORDERS, Channel.PRIVATE_DEALS, Channel.PRIVATE_ACCOUNT)


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `detail` is its cadence, interval, depth or time zone; `event_type` the topic without symbol."""

    text: str
    channel: Channel
    symbol: str | None
    detail: str
    event_type: str


def parse_topic(text: str, symbols: Container[str]) -> Topic | None:
    """Return the topic that a text names, None when no stream carries it here."""
    parts = text.split("@")
    if len(parts) < 2:
        return None
    try:
        channel = Channel("@".join(parts[:2]))
    except ValueError:
        return None
    rest = parts[2:]
    symbol: str | None
    match channel:
        case Channel.DEPTH | Channel.DEALS | Channel.BOOK_TICKER if len(rest) == 2 and rest[0] in CADENCES:
            detail, symbol = rest
        case Channel.LIMIT_DEPTH if len(rest) == 2 and rest[1] in DEPTHS:
            symbol, detail = rest
        case Channel.KLINE if len(rest) == 2 and rest[1] in STREAM_INTERVALS:
            symbol, detail = rest
        case Channel.MINI_TICKER if len(rest) == 2 and rest[1] in TIME_ZONES:
            symbol, detail = rest
        case Channel.BOOK_TICKER_BATCH if len(rest) == 1:
            symbol, detail = rest[0], ""
        case Channel.MINI_TICKERS if len(rest) == 1 and rest[0] in TIME_ZONES:
            return Topic(text, channel, None, rest[0], text)
        case Channel.PRIVATE_ORDERS | Channel.PRIVATE_DEALS | Channel.PRIVATE_ACCOUNT if not rest:
            return Topic(text, channel, None, "", text)
        case _:
            return None
    if symbol not in symbols:
        return None
    event_type = "@".join(part for part in parts if part != symbol)
    return Topic(text, channel, symbol, detail, event_type)
