"""The order book of one symbol, in ticks and lots. Pure; may import `trading.model` and the standard library.

It applies what it is told and judges nothing: whether its content may be trusted is `book_sync`'s question.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import islice

from trading.model.market import BookDelta, BookSnapshot, Level, Side

MAX_LEVELS = 20_000
"""Levels kept a side, four times the deepest REST snapshot. Beyond it the deepest tenth is forgotten: the cut moves."""


class Book:
    """Price levels of both sides. Owned by one `BookSync`; everybody else only reads.

    Invariants: a stored quantity is > 0; both price lists are sorted and hold exactly the keys of their dict.
    Asks are listed by negated price, so that on both sides the best is the last element: changes cluster at the best,
    and an insertion near the end of a list moves few others.
    """

    __slots__ = (
        "_ask_keys",
        "_asks",
        "_bid_keys",
        "_bids",
        "deepest_known_ask",
        "deepest_known_bid",
        "exch_ts_ns",
        "recv_ts_ns",
        "symbol",
        "version",
    )

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.clear()

    def clear(self) -> None:
        """Forget everything; version 0."""
        self.version = 0
        self.exch_ts_ns = 0
        self.recv_ts_ns = 0
        # The snapshot's cut: lowest bid and highest ask price (ticks) up to which absence means empty. None: no cut.
        self.deepest_known_bid: int | None = None
        self.deepest_known_ask: int | None = None
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._bid_keys: list[int] = []
        self._ask_keys: list[int] = []

    def apply_snapshot(self, snapshot: BookSnapshot) -> None:
        """Replace the content; levels beyond the deepest one of the snapshot are unknown from here on."""
        self.clear()
        self._bids = {price: qty for price, qty in snapshot.bids if qty > 0}
        self._asks = {price: qty for price, qty in snapshot.asks if qty > 0}
        self._bid_keys = sorted(self._bids)
        self._ask_keys = sorted(-price for price in self._asks)
        self.deepest_known_bid = self._bid_keys[0] if self._bid_keys else None
        self.deepest_known_ask = -self._ask_keys[0] if self._ask_keys else None
        self.version = snapshot.version
        self.exch_ts_ns = snapshot.exch_ts_ns
        self.recv_ts_ns = snapshot.recv_ts_ns

    def apply_delta(self, delta: BookDelta) -> None:
        """Set the absolute quantities of a push and take its `to_version`; 0 deletes, also where nothing is."""
        if delta.bids:
            _apply_bids(self._bids, self._bid_keys, delta.bids)
            if len(self._bid_keys) > MAX_LEVELS:
                self.deepest_known_bid = _forget_deepest(self._bids, self._bid_keys, 1)
        if delta.asks:
            _apply_asks(self._asks, self._ask_keys, delta.asks)
            if len(self._ask_keys) > MAX_LEVELS:
                self.deepest_known_ask = _forget_deepest(self._asks, self._ask_keys, -1)
        self.version = delta.to_version
        self.exch_ts_ns = delta.exch_ts_ns
        self.recv_ts_ns = delta.recv_ts_ns

    @property
    def best_bid(self) -> Level | None:
        """Highest bid as (price_ticks, qty_lots); None when there is none."""
        if not self._bid_keys:
            return None
        price = self._bid_keys[-1]
        return price, self._bids[price]

    @property
    def best_ask(self) -> Level | None:
        """Lowest ask as (price_ticks, qty_lots); None when there is none."""
        if not self._ask_keys:
            return None
        price = -self._ask_keys[-1]
        return price, self._asks[price]

    @property
    def is_crossed(self) -> bool:
        """True when the best bid is at or above the best ask; an empty side crosses nothing."""
        bids, asks = self._bid_keys, self._ask_keys
        return bool(bids) and bool(asks) and bids[-1] >= -asks[-1]

    def bids(self, depth: int) -> list[Level]:
        """Return up to `depth` bid levels, best (highest) first."""
        return [(price, self._bids[price]) for price in islice(reversed(self._bid_keys), depth)]

    def asks(self, depth: int) -> list[Level]:
        """Return up to `depth` ask levels, best (lowest) first."""
        return [(-key, self._asks[-key]) for key in islice(reversed(self._ask_keys), depth)]

    def qty_at(self, side: Side, price_ticks: int) -> int:
        """Return the lots resting at a price; `side` is that of the resting orders (BUY: bids)."""
        return (self._bids if side is Side.BUY else self._asks).get(price_ticks, 0)

    def qty_within(self, side: Side, limit_ticks: int) -> int:
        """Return the lots resting from the best of `side` up to and including `limit_ticks`."""
        total = 0
        if side is Side.BUY:
            for price in reversed(self._bid_keys):
                if price < limit_ticks:
                    break
                total += self._bids[price]
        else:
            for key in reversed(self._ask_keys):
                if -key > limit_ticks:
                    break
                total += self._asks[-key]
        return total

    def is_known(self, side: Side, price_ticks: int) -> bool:
        """True when a missing level at this price means that it is empty, not that the snapshot ended before it."""
        if side is Side.BUY:
            return self.deepest_known_bid is None or price_ticks >= self.deepest_known_bid
        return self.deepest_known_ask is None or price_ticks <= self.deepest_known_ask

    def level_count(self, side: Side) -> int:
        """Return how many levels a side holds, at most `MAX_LEVELS`."""
        return len(self._bid_keys if side is Side.BUY else self._ask_keys)


# One function a side: the hottest loop of the system, and a shared one would multiply by a sign at each level.


def _apply_bids(levels: dict[int, int], keys: list[int], changes: tuple[Level, ...]) -> None:
    for price, qty in changes:
        if qty:
            if price not in levels:
                insort(keys, price)
            levels[price] = qty
        elif levels.pop(price, 0):
            del keys[bisect_left(keys, price)]


def _apply_asks(levels: dict[int, int], keys: list[int], changes: tuple[Level, ...]) -> None:
    for price, qty in changes:
        if qty:
            if price not in levels:
                insort(keys, -price)
            levels[price] = qty
        elif levels.pop(price, 0):
            del keys[bisect_left(keys, -price)]


def _forget_deepest(levels: dict[int, int], keys: list[int], sign: int) -> int:
    """Drop the deepest tenth and return the price of the new deepest level."""
    for key in keys[: MAX_LEVELS // 10]:
        del levels[sign * key]
    del keys[: MAX_LEVELS // 10]
    return sign * keys[0]
