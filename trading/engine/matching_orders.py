"""The paper venue's own records: an order's state, and what of the displayed size our takers have used. Pure.

May import `trading.model` and `trading.engine.matching_queue`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeVar

from trading.engine.matching_queue import QueuePlace
from trading.model.instrument import Instrument
from trading.model.market import BestQuote, Level, MarketTrade, Side
from trading.model.orders import OrderIntent, OrderStatus, OrderType, VenueOrder
from trading.model.units import NS_PER_S, ZERO

T = TypeVar("T")

REMEMBERED_ORDERS_MAX = 2_000
"""Finished orders whose last word is kept for queries and for repeated placements."""

WALK_DEPTH_MAX = 200
"""Levels a taker order may walk; the remainder of a larger one ends unfilled."""

PRINTED_MAX = 1_024
"""Trades that the depth does not show yet and that are remembered, the youngest."""

PRINTED_SHOWN_NS = NS_PER_S
"""A push of the depth so long after a trade shows it, whatever the stamps say."""


class MatchedBook(Protocol):
    """What a paper venue reads of a book: `book.Book`, `others_book.BookOfOthers`, or `QuotedBook`."""

    @property
    def exch_ts_ns(self) -> int:
        """Venue time of the last change, ns."""
        ...

    @property
    def best_bid(self) -> Level | None:
        """Highest bid."""
        ...

    @property
    def best_ask(self) -> Level | None:
        """Lowest ask."""
        ...

    def bids(self, depth: int) -> list[Level]:
        """Best (highest) first, at most `depth`."""
        ...

    def asks(self, depth: int) -> list[Level]:
        """Best (lowest) first, at most `depth`."""
        ...

    def qty_at(self, side: Side, price_ticks: int) -> int:
        """Lots resting at a price."""
        ...

    def is_known(self, side: Side, price_ticks: int) -> bool:
        """True when a missing level at this price is empty, not merely untold."""
        ...


@dataclass(slots=True)
class PaperOrder:
    """One order inside the venue; the venue alone changes it.

    Attributes:
        status: SENT while under way, then what a venue would say.
        arrives_ns: when it reaches the venue. has_arrived: it has; without a book it then waits, if it may rest.
        place: set while it rests in the book.
        market_ns: venue time of its arrival in the book; trades older than that cannot have met it.
    """

    intent: OrderIntent
    venue_order_id: str
    status: OrderStatus = OrderStatus.SENT
    filled_lots: int = 0
    filled_quote: Decimal = ZERO
    arrives_ns: int = 0
    has_arrived: bool = False
    place: QueuePlace | None = None
    market_ns: int = 0
    reason: str = ""

    @property
    def open_lots(self) -> int:
        """Lots not traded yet."""
        return self.intent.qty_lots - self.filled_lots

    @property
    def is_taker(self) -> bool:
        """True for an order that no venue ever lets rest: it trades where it arrives, or it ends."""
        return self.intent.type in (OrderType.IOC, OrderType.FOK, OrderType.MARKET)

    def word(self, now_ns: int, recv_ts_ns: int | None = None) -> VenueOrder:
        """Say how it stands. Args: recv_ts_ns: when that is heard, `now_ns` unless given."""
        intent = self.intent
        return VenueOrder(
            symbol=intent.symbol,
            client_order_id=intent.client_order_id,
            venue_order_id=self.venue_order_id,
            status=OrderStatus.OPEN if self.status is OrderStatus.SENT else self.status,
            side=intent.side,
            type=intent.type,
            price_ticks=intent.price_ticks,
            qty_lots=intent.qty_lots,
            filled_lots=self.filled_lots,
            filled_quote=self.filled_quote,
            exch_ts_ns=now_ns,
            recv_ts_ns=now_ns if recv_ts_ns is None else recv_ts_ns,
            reason=self.reason,
        )


def refusal_of(intent: OrderIntent, instrument: Instrument) -> str:
    """Say why no venue would take an order; empty when one would."""
    if intent.symbol != instrument.symbol:
        return f"expected symbol {instrument.symbol}, was {intent.symbol}"
    if intent.qty_lots <= 0 or intent.price_ticks <= 0:
        return f"expected a positive price and quantity, was {intent.price_ticks} ticks, {intent.qty_lots} lots"
    least = instrument.min_lots(intent.price_ticks)
    if intent.qty_lots < least:
        return f"expected at least {least} lots at this price, was {intent.qty_lots}"
    return ""


def remember(memory: dict[str, T], key: str, value: T) -> None:
    """Keep the last `REMEMBERED_ORDERS_MAX`."""
    memory[key] = value
    while len(memory) > REMEMBERED_ORDERS_MAX:
        del memory[next(iter(memory))]


class QuotedBook:
    """What a book-ticker quote says of a book: its best levels, and nothing of any other (`MatchedBook`)."""

    def __init__(self, quote: BestQuote) -> None:
        self.exch_ts_ns = quote.exch_ts_ns
        self.best_bid = quote.bid
        self.best_ask = quote.ask

    def bids(self, depth: int) -> list[Level]:
        """The best bid, if there is one."""
        return [self.best_bid][:depth] if self.best_bid is not None else []

    def asks(self, depth: int) -> list[Level]:
        """The best ask, if there is one."""
        return [self.best_ask][:depth] if self.best_ask is not None else []

    def qty_at(self, side: Side, price_ticks: int) -> int:
        """Lots at a price: the best's, or nothing."""
        best = self.best_bid if side is Side.BUY else self.best_ask
        return best[1] if best is not None and best[0] == price_ticks else 0

    def is_known(self, side: Side, price_ticks: int) -> bool:
        """Only the best of each side is known."""
        return self.qty_at(side, price_ticks) > 0


class Consumption:
    """Displayed size that is gone: our own orders or trades that the depth does not show yet have taken it.

    What ours took of a level is gone for all of them: only what it shows beyond that is on offer. No more can be gone
    than it shows: what it gains after it has shrunk is new, and one that was away is another level.
    What was printed is gone until a book of that venue time or later. Books and trades without a stamp cannot be
    told apart so: nothing printed is gone from the one, and the others take nothing.
    """

    def __init__(self, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._used: dict[tuple[Side, int], int] = {}  # (book side, price) -> lots that ours took of what it shows
        # Trades younger than the book, in the order and at the times in which they were told.
        self._prints: deque[tuple[MarketTrade, int]] = deque(maxlen=PRINTED_MAX)

    def offered(self, book: MatchedBook, taker: Side, limit_ticks: int) -> list[Level]:
        """Return what a taker may still take up to its limit, best level first.

        Args: taker: the taking order's side; limit_ticks: its price, inclusive.
        """
        side = taker.opposite
        levels = book.asks(WALK_DEPTH_MAX) if side is Side.SELL else book.bids(WALK_DEPTH_MAX)
        printed = self._printed_after(book.exch_ts_ns)
        offered = []
        for price_ticks, displayed in levels:
            if (limit_ticks - price_ticks) * taker.sign < 0:
                break
            lots = displayed - self._used_of(side, price_ticks, displayed) - printed.get((side, price_ticks), 0)
            if lots > 0:
                offered.append((price_ticks, lots))
        return offered

    def take(self, book: MatchedBook, side: Side, price_ticks: int, lots: int) -> None:
        """Use up `lots` at a level of the book's `side`."""
        if not self._is_shared:
            return
        self._used[(side, price_ticks)] = self._used_of(side, price_ticks, book.qty_at(side, price_ticks)) + lots

    def on_trade(self, shown_ns: int, trade: MarketTrade, now_ns: int) -> None:
        """Take a trade. Args: shown_ns: venue time of the book (or quote) that is there; it lacks younger trades."""
        if self._is_shared and trade.exch_ts_ns > shown_ns > 0:
            self._prints.append((trade, now_ns))

    def on_book(self, book: MatchedBook, now_ns: int) -> None:
        """Follow a change of the book: it shows the trades up to its time, and no more can be gone than it shows."""
        if self._prints:
            exch_ts_ns, since_ns = book.exch_ts_ns, now_ns - PRINTED_SHOWN_NS
            kept = (item for item in self._prints if item[0].exch_ts_ns > exch_ts_ns and item[1] > since_ns)
            self._prints = deque(kept, PRINTED_MAX)
        if self._used:
            shown = ((key, min(used, book.qty_at(*key))) for key, used in self._used.items())
            self._used = {key: used for key, used in shown if used > 0}

    def _printed_after(self, exch_ts_ns: int) -> dict[tuple[Side, int], int]:
        printed: dict[tuple[Side, int], int] = {}
        if exch_ts_ns > 0:
            for trade, _ in self._prints:
                if trade.exch_ts_ns > exch_ts_ns:
                    place = (trade.taker_side.opposite, trade.price_ticks)
                    printed[place] = printed.get(place, 0) + trade.qty_lots
        return printed

    def _used_of(self, side: Side, price_ticks: int, displayed: int) -> int:
        return min(self._used.get((side, price_ticks), 0), displayed)
