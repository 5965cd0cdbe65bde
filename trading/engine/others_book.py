"""A live book without our own orders: what the market would show had we not been there. Pure.

May import `trading.model` and `trading.engine`. For the shadow twin: its paper orders stand in the place of our live
ones, so that they must neither queue behind these nor trade with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from trading.engine.book import Book
from trading.engine.strategy.protocol import OwnOrder
from trading.model.market import Level, Side
from trading.model.orders import OrderIntent
from trading.model.units import NS_PER_MS

SHOWN_AFTER_NS = 250 * NS_PER_MS
"""An accepted order is in every push that comes so much later: the slowest pushes gather 100 ms."""

EXPECTED_MAX = 1_024
"""Orders remembered that are not seen in the book yet; more are taken as shown at once."""


class BookOfOthers:
    """Reads like a `Book` (`matching_orders.MatchedBook`), less what of each level is ours. Owned by a `ShadowTwin`.

    When our order begins to show is not said anywhere. It is taken to show once its level has grown by as much in one
    change since it was decided, or `SHOWN_AFTER_NS` after its acceptance, whichever is first. Should another order of
    that size have been taken for ours, ours is taken for the other's when it comes: both stand behind us.
    """

    def __init__(self, symbol: str) -> None:
        self._book = Book(symbol)
        self._own: dict[tuple[Side, int], int] = {}
        self._waiting: dict[str, int] = {}  # not shown yet: what its level showed at the last look

    def expect(self, intent: OrderIntent, book: Book) -> None:
        """Take an order that was just decided, with the book as it is without it."""
        if len(self._waiting) < EXPECTED_MAX:
            self._waiting[intent.client_order_id] = book.qty_at(intent.side, intent.price_ticks)

    def look(self, book: Book, orders: Sequence[OwnOrder], now_ns: int) -> None:
        """Take the book after a change, or our orders after one of theirs. orders: ours that are not over."""
        self._book = book
        own: dict[tuple[Side, int], int] = {}
        for order in orders:
            if order.is_resting_type and self._is_shown(order, book, now_ns):
                key = (order.side, order.price_ticks)
                own[key] = own.get(key, 0) + order.open_lots
        self._own = own
        if self._waiting:
            alive = {order.client_order_id for order in orders}
            self._waiting = {name: level for name, level in self._waiting.items() if name in alive}

    def _is_shown(self, order: OwnOrder, book: Book, now_ns: int) -> bool:
        before = self._waiting.get(order.client_order_id)
        if before is None:
            return True
        level = book.qty_at(order.side, order.price_ticks)
        has_grown = level - before >= order.open_lots
        if has_grown or (order.accepted_ns and now_ns - order.accepted_ns >= SHOWN_AFTER_NS):
            del self._waiting[order.client_order_id]
            return True
        self._waiting[order.client_order_id] = level
        return False

    # --- what a venue reads -----------------------------------------------------------------------------------------

    @property
    def exch_ts_ns(self) -> int:
        """Venue time of the last change."""
        return self._book.exch_ts_ns

    @property
    def best_bid(self) -> Level | None:
        """Highest bid of others."""
        return next(iter(self.bids(1)), None)

    @property
    def best_ask(self) -> Level | None:
        """Lowest ask of others."""
        return next(iter(self.asks(1)), None)

    def bids(self, depth: int) -> list[Level]:
        """Return up to `depth` bid levels of others, best first."""
        return self._others(Side.BUY, self._book.bids(depth + len(self._own)), depth)

    def asks(self, depth: int) -> list[Level]:
        """Return up to `depth` ask levels of others, best first."""
        return self._others(Side.SELL, self._book.asks(depth + len(self._own)), depth)

    def qty_at(self, side: Side, price_ticks: int) -> int:
        """Return the lots of others resting at a price."""
        return max(0, self._book.qty_at(side, price_ticks) - self._own.get((side, price_ticks), 0))

    def is_known(self, side: Side, price_ticks: int) -> bool:
        """As of the book itself."""
        return self._book.is_known(side, price_ticks)

    def _others(self, side: Side, levels: list[Level], depth: int) -> list[Level]:
        if not self._own:
            return levels[:depth]
        kept = ((price, lots - self._own.get((side, price), 0)) for price, lots in levels)
        return [(price, lots) for price, lots in kept if lots > 0][:depth]
