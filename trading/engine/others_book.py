"""A live book without our own orders: what the market would show had we not been there. Pure.

May import `trading.model` and `trading.engine`. The one definition of "others" while live: decisions, measures and the
shadow twin read it. Paper orders are in no book: there nothing is taken off, and this is the book itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from trading.engine.book import Book
from trading.engine.strategy.protocol import OwnOrder
from trading.model.market import Level, Side
from trading.model.orders import OrderStatus
from trading.model.units import NS_PER_MS

SHOWN_AFTER_NS = 250 * NS_PER_MS
"""An accepted order is in every push that comes so much later, an ended one in none: the slowest gather 100 ms."""

EXPECTED_MAX = 1_024
"""Orders remembered that are not seen in the book yet; more are taken as shown at once."""

LEAVING_MAX = 1_024
"""Ended parts remembered that the book may show still; of more the oldest are taken as gone."""

_NEVER_RESTED = frozenset({OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.NOT_SENT})

Place = tuple[Side, int]
"""Side and price in ticks."""


class _Leaving(NamedTuple):
    place: Place
    lots: int
    until_ns: int


class BookOfOthers:
    """Reads like a `Book` (`matching_orders.MatchedBook`), less what of each level is ours. Owned by a `Decider`.

    The private line and the answers to our requests run ahead of the depth, and when a push begins or ceases to hold
    our order is not said anywhere. It is taken to show once its level has grown by as much in one change since it was
    decided, or `SHOWN_AFTER_NS` after its acceptance if its level holds as much. What has traded or ended shows still,
    until its level has shrunk by as much in one change or holds less than we had there, at most `SHOWN_AFTER_NS`;
    behind it a successor at the same price, accepted and not seen yet, which the same push may have brought, stands in.
    Should another order of that size have been taken for ours, ours is taken for the other's when it comes: both stand
    behind us.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._own: dict[Place, int] = {}  # what is taken off
        self._shown: set[str] = set()  # orders among it
        self._waiting: dict[str, Place] = {}  # decided, not shown yet
        self._leaving: list[_Leaving] = []  # over, shown still; oldest first
        self._levels: dict[Place, int] = {}  # of the places of both: what the book showed at the last look

    # --- what it is told --------------------------------------------------------------------------------------------

    def expect(self, order: OwnOrder) -> None:
        """Take an order that was just decided, while the book is as it is without it."""
        if order.is_resting_type and len(self._waiting) < EXPECTED_MAX:
            place = (order.side, order.price_ticks)
            self._waiting[order.client_order_id] = place
            self._levels.setdefault(place, self._book.qty_at(*place))

    def on_change(self, before: OwnOrder, after: OwnOrder, now_ns: int) -> None:
        """Take what an event did to an order of ours; `look` has to follow."""
        if before.client_order_id not in self._shown or after.status in _NEVER_RESTED:
            return
        lots = before.open_lots - (0 if after.status.is_terminal else after.open_lots)
        if lots > 0:
            place = (before.side, before.price_ticks)
            self._leaving.append(_Leaving(place, lots, now_ns + SHOWN_AFTER_NS))
            del self._leaving[:-LEAVING_MAX]
            self._levels.setdefault(place, self._book.qty_at(*place))

    def look(self, orders: Sequence[OwnOrder], now_ns: int) -> None:
        """Look again after a change of the proven book, of our orders, or of the time. orders: ours, not over."""
        if not orders and not self._leaving:
            if self._own or self._waiting:
                self._own, self._shown, self._waiting, self._levels = {}, set(), {}, {}
            return
        qty_at = self._book.qty_at
        changes = {place: qty_at(*place) - level for place, level in self._levels.items()}
        own: dict[Place, int] = {}
        shown: set[str] = set()
        waiting: dict[str, Place] = {}
        succeeded: set[Place] = set()  # an accepted order waits here
        for order in orders:
            if not order.is_resting_type:
                continue
            place = (order.side, order.price_ticks)
            if self._is_shown(order, place, changes, now_ns):
                own[place] = own.get(place, 0) + order.open_lots
                shown.add(order.client_order_id)
            elif order.client_order_id in self._waiting:
                waiting[order.client_order_id] = place
                if order.accepted_ns:
                    succeeded.add(place)
        self._leaving = self._left(own, changes, succeeded, now_ns)
        self._own, self._shown, self._waiting = own, shown, waiting
        places = {*waiting.values(), *(item.place for item in self._leaving)}
        self._levels = {place: qty_at(*place) for place in places}

    def _is_shown(self, order: OwnOrder, place: Place, changes: dict[Place, int], now_ns: int) -> bool:
        """Say whether an order is in the book by now; a growth that it explains explains no other."""
        if order.client_order_id not in self._waiting:
            return order.client_order_id in self._shown or order.status is not OrderStatus.PENDING
        if changes.get(place, 0) >= order.open_lots:
            changes[place] -= order.open_lots
            return True
        is_due = order.accepted_ns > 0 and now_ns - order.accepted_ns >= SHOWN_AFTER_NS
        return is_due and self._book.qty_at(*place) >= order.open_lots

    def _left(
        self, own: dict[Place, int], changes: dict[Place, int], succeeded: set[Place], now_ns: int
    ) -> list[_Leaving]:
        """Return what is over and shows still, and add it to `own`."""
        staying: list[_Leaving] = []
        for item in self._leaving:
            place, lots, until_ns = item
            if -changes.get(place, 0) >= lots:
                changes[place] += lots
            elif now_ns < until_ns or place in succeeded:
                staying.append(item)
        kept: list[_Leaving] = []
        for item in reversed(staying):  # a level that holds less than we had there has lost the oldest of it
            place, lots, _ = item
            if own.get(place, 0) + lots <= self._book.qty_at(*place):
                own[place] = own.get(place, 0) + lots
                kept.append(item)
        kept.reverse()
        return kept

    # --- what a venue or a strategy reads ---------------------------------------------------------------------------

    @property
    def exch_ts_ns(self) -> int:
        """Venue time of the last change."""
        return self._book.exch_ts_ns

    @property
    def version(self) -> int:
        """Version of the last change, as of the book itself."""
        return self._book.version

    @property
    def best_bid(self) -> Level | None:
        """Highest bid of others."""
        return next(iter(self.bids(1)), None) if self._own else self._book.best_bid

    @property
    def best_ask(self) -> Level | None:
        """Lowest ask of others."""
        return next(iter(self.asks(1)), None) if self._own else self._book.best_ask

    def bids(self, depth: int) -> list[Level]:
        """Return up to `depth` bid levels of others, best first."""
        return self._others(Side.BUY, self._book.bids(depth + len(self._own)), depth)

    def asks(self, depth: int) -> list[Level]:
        """Return up to `depth` ask levels of others, best first."""
        return self._others(Side.SELL, self._book.asks(depth + len(self._own)), depth)

    def qty_at(self, side: Side, price_ticks: int) -> int:
        """Return the lots of others resting at a price."""
        return max(0, self._book.qty_at(side, price_ticks) - self._own.get((side, price_ticks), 0))

    def qty_within(self, side: Side, limit_ticks: int) -> int:
        """Return the lots of others from the best up to and including a price, or to the cut."""
        total = self._book.qty_within(side, limit_ticks)
        for (own_side, price_ticks), lots in self._own.items():
            is_within = own_side is side and (price_ticks - limit_ticks) * side.sign >= 0
            if is_within and self._book.is_known(side, price_ticks):
                total -= min(lots, self._book.qty_at(side, price_ticks))
        return total

    def is_known(self, side: Side, price_ticks: int) -> bool:
        """As of the book itself."""
        return self._book.is_known(side, price_ticks)

    def _others(self, side: Side, levels: list[Level], depth: int) -> list[Level]:
        if not self._own:
            return levels[:depth]
        kept = ((price, lots - self._own.get((side, price), 0)) for price, lots in levels)
        return [(price, lots) for price, lots in kept if lots > 0][:depth]
