"""The order book of one symbol, in ticks and lots. Pure; may import `trading.model` and the standard library.

It applies what it is told and judges nothing: whether its content may be trusted is `book_sync`'s question.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from itertools import islice

from trading.model.market import BookDelta, BookSnapshot, Level, Side

MAX_LEVELS = 20_000
"""Levels kept a side, four times the deepest REST snapshot. Beyond it the deepest tenth is forgotten: the cut moves."""

RESERVE_MAX = 100
RESERVE_SHARE = 2
"""So many known levels a side, or this part of what the snapshot gave, are the reserve in which to fetch another."""

_NO_CUT = -(2**63)


class Book:
    """Price levels of both sides. Owned by one `BookSync`; everybody else only reads.

    Invariants: a stored quantity is > 0; both price lists are sorted and hold exactly the keys of their dict; a side
    with a cut has a reserve > 0.
    Asks are listed by negated price, so that on both sides the best is the last element: changes cluster at the best,
    and an insertion near the end of a list moves few others.

    Beyond the snapshot's cut only the levels that a push has named since are known, and what lies between them is not:
    nothing that walks down the book goes past the cut.
    """

    __slots__ = (
        "_ask_cut",
        "_ask_keys",
        "_ask_reserve",
        "_asks",
        "_bid_cut",
        "_bid_keys",
        "_bid_reserve",
        "_bids",
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
        # The cuts, as keys of the lists below: keys below them are beyond the snapshot.
        self._bid_cut = self._ask_cut = _NO_CUT
        self._bid_reserve = self._ask_reserve = 0
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._bid_keys: list[int] = []
        self._ask_keys: list[int] = []

    def apply_snapshot(self, snapshot: BookSnapshot) -> None:
        """Replace the content; levels beyond the snapshot's cut are unknown from here on."""
        self.clear()
        self._bids = {price: qty for price, qty in snapshot.bids if qty > 0}
        self._asks = {price: qty for price, qty in snapshot.asks if qty > 0}
        self._bid_keys = sorted(self._bids)
        self._ask_keys = sorted(-price for price in self._asks)
        if snapshot.bid_cut is not None:
            self._bid_cut, self._bid_reserve = snapshot.bid_cut, _reserve(len(self._bids))
        if snapshot.ask_cut is not None:
            self._ask_cut, self._ask_reserve = -snapshot.ask_cut, _reserve(len(self._asks))
        self.version = snapshot.version
        self.exch_ts_ns = snapshot.exch_ts_ns
        self.recv_ts_ns = snapshot.recv_ts_ns

    def deepen(self, snapshot: BookSnapshot, later: Iterable[BookDelta]) -> None:
        """Stand on a newer snapshot, with the pushes after it: the same book, known down to that snapshot's cut."""
        exch_ts_ns, recv_ts_ns = self.exch_ts_ns, self.recv_ts_ns
        self.apply_snapshot(snapshot)
        for delta in later:
            self.apply_delta(delta)
        self.exch_ts_ns, self.recv_ts_ns = exch_ts_ns, recv_ts_ns

    def apply_delta(self, delta: BookDelta) -> None:
        """Set the absolute quantities of a push and take its `to_version`; 0 deletes, also where nothing is."""
        if delta.bids:
            _apply_bids(self._bids, self._bid_keys, delta.bids)
            if len(self._bid_keys) > MAX_LEVELS:
                self._bid_cut = _forget_deepest(self._bids, self._bid_keys, 1)
                self._bid_reserve = self._bid_reserve or _reserve(len(self._bid_keys))
        if delta.asks:
            _apply_asks(self._asks, self._ask_keys, delta.asks)
            if len(self._ask_keys) > MAX_LEVELS:
                self._ask_cut = _forget_deepest(self._asks, self._ask_keys, -1)
                self._ask_reserve = self._ask_reserve or _reserve(len(self._ask_keys))
        self.version = delta.to_version
        self.exch_ts_ns = delta.exch_ts_ns
        self.recv_ts_ns = delta.recv_ts_ns

    @property
    def best_bid(self) -> Level | None:
        """Highest bid as (price_ticks, qty_lots); None when there is none, or it is beyond the cut."""
        if not self._bid_keys or self._bid_keys[-1] < self._bid_cut:
            return None
        price = self._bid_keys[-1]
        return price, self._bids[price]

    @property
    def best_ask(self) -> Level | None:
        """Lowest ask as (price_ticks, qty_lots); None when there is none, or it is beyond the cut."""
        if not self._ask_keys or self._ask_keys[-1] < self._ask_cut:
            return None
        price = -self._ask_keys[-1]
        return price, self._asks[price]

    @property
    def is_crossed(self) -> bool:
        """True when the best bid is at or above the best ask; an empty side crosses nothing."""
        bids, asks = self._bid_keys, self._ask_keys
        return bool(bids) and bool(asks) and bids[-1] >= -asks[-1]

    @property
    def deepest_known_bid(self) -> int | None:
        """The cut: lowest price (ticks) down to which a missing bid means that there is none. None: no cut."""
        return self._bid_cut if self._bid_cut != _NO_CUT else None

    @property
    def deepest_known_ask(self) -> int | None:
        """The cut: highest price (ticks) up to which a missing ask means that there is none. None: no cut."""
        return -self._ask_cut if self._ask_cut != _NO_CUT else None

    @property
    def is_outrun(self) -> bool:
        """True when a side has come to its cut: its best is not known any more."""
        bids, asks = self._bid_keys, self._ask_keys
        return (bids[-1] if bids else _NO_CUT) < self._bid_cut or (asks[-1] if asks else _NO_CUT) < self._ask_cut

    @property
    def is_running_low(self) -> bool:
        """True when a side with a cut has fewer known levels left than its reserve: time for another snapshot."""
        return _is_short(self._bid_keys, self._bid_cut, self._bid_reserve) or _is_short(
            self._ask_keys, self._ask_cut, self._ask_reserve
        )

    def bids(self, depth: int) -> list[Level]:
        """Return up to `depth` bid levels, best (highest) first, none beyond the cut."""
        levels, cut = self._bids, self._bid_cut
        return [(price, levels[price]) for price in islice(reversed(self._bid_keys), depth) if price >= cut]

    def asks(self, depth: int) -> list[Level]:
        """Return up to `depth` ask levels, best (lowest) first, none beyond the cut."""
        levels, cut = self._asks, self._ask_cut
        return [(-key, levels[-key]) for key in islice(reversed(self._ask_keys), depth) if key >= cut]

    def qty_at(self, side: Side, price_ticks: int) -> int:
        """Return the lots resting at a price; `side` is that of the resting orders (BUY: bids)."""
        return (self._bids if side is Side.BUY else self._asks).get(price_ticks, 0)

    def qty_within(self, side: Side, limit_ticks: int) -> int:
        """Return the lots known to rest from the best of `side` up to and including `limit_ticks`, or to the cut."""
        total = 0
        if side is Side.BUY:
            limit = max(limit_ticks, self._bid_cut)
            for price in reversed(self._bid_keys):
                if price < limit:
                    break
                total += self._bids[price]
        else:
            limit = max(-limit_ticks, self._ask_cut)
            for key in reversed(self._ask_keys):
                if key < limit:
                    break
                total += self._asks[-key]
        return total

    def is_known(self, side: Side, price_ticks: int) -> bool:
        """True when a missing level at this price means that it is empty, not that the snapshot ended before it."""
        return price_ticks >= self._bid_cut if side is Side.BUY else -price_ticks >= self._ask_cut

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


def _reserve(given: int) -> int:
    """Return how many known levels call for another snapshot, of a side that was given so many."""
    return min(RESERVE_MAX, max(1, given // RESERVE_SHARE))


def _is_short(keys: list[int], cut: int, reserve: int) -> bool:
    return cut != _NO_CUT and (len(keys) < reserve or keys[-reserve] < cut)


def _forget_deepest(levels: dict[int, int], keys: list[int], sign: int) -> int:
    """Drop the deepest tenth and return the key of the new deepest level: the cut."""
    for key in keys[: MAX_LEVELS // 10]:
        del levels[sign * key]
    del keys[: MAX_LEVELS // 10]
    return keys[0]
