"""The limit order book: price levels of FIFO queues, a version per level change, and undo history. Pure.

Every change of one level's quantity raises `version` by one. `DepthCollector`s gather the levels that changed since
their last flush: that is what an aggregated delta is.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator

from simulator.exchange.accounts import Account
from trading.model.market import Side

BookLevels = list[tuple[int, int]]


class Resting:
    """What rests in a queue: `lots` is what is left of it. Owned by the book while `lots` > 0 and it is in a level.

    `account` is None for the orders of the generated market.
    """

    __slots__ = ("account", "lots", "price_ticks", "seq", "side")

    def __init__(self, seq: int, account: Account | None, side: Side, price_ticks: int, lots: int) -> None:
        self.seq = seq
        self.account = account
        self.side = side
        self.price_ticks = price_ticks
        self.lots = lots


class Level:
    """The queue at one price, first in first out; `total` is the sum of its lots."""

    __slots__ = ("orders", "total")

    def __init__(self) -> None:
        self.orders: dict[int, Resting] = {}
        self.total = 0


class BookSide:
    """One side: levels by price, and the prices in ascending order."""

    __slots__ = ("is_bid", "levels", "prices")

    def __init__(self, is_bid: bool) -> None:
        self.is_bid = is_bid
        self.levels: dict[int, Level] = {}
        self.prices: list[int] = []

    def best(self) -> int | None:
        """Return the best price in ticks, None when the side is empty."""
        if not self.prices:
            return None
        return self.prices[-1] if self.is_bid else self.prices[0]

    def best_first(self) -> Iterator[int]:
        """Iterate prices from the best to the worst. The side must not change meanwhile."""
        return reversed(self.prices) if self.is_bid else iter(self.prices)

    def top(self, depth: int) -> BookLevels:
        """Return up to `depth` pairs (price_ticks, qty_lots), best first."""
        levels = self.levels
        chosen = self.prices[: -depth - 1 : -1] if self.is_bid else self.prices[:depth]
        return [(price, levels[price].total) for price in chosen]


class DepthCollector:
    """Levels changed since `from_version - 1`: the content of the next aggregated delta of one cadence."""

    __slots__ = ("asks", "bids", "last_to_version")

    def __init__(self, version: int) -> None:
        self.bids: set[int] = set()
        self.asks: set[int] = set()
        self.last_to_version = version


class Book:
    """Both sides of one pair. Invariant: not crossed between operations; totals equal the sums of their queues.

    While `holds` is above zero the deltas wait: somebody wants a snapshot inside the next one.
    """

    __slots__ = ("_history", "_oldest", "asks", "bids", "changed_ms", "collectors", "holds", "version")

    def __init__(self, version: int = 1, history: int = 256) -> None:
        self.bids = BookSide(is_bid=True)
        self.asks = BookSide(is_bid=False)
        self.version = version
        self.changed_ms = 0
        self.collectors: list[DepthCollector] = []
        self.holds = 0
        # (version, side, price_ticks, qty_lots before the change): enough to undo.
        self._history: deque[tuple[int, Side, int, int]] = deque(maxlen=history)
        self._oldest = version

    def side(self, side: Side) -> BookSide:
        """Return the side on which an order of `side` rests."""
        return self.bids if side is Side.BUY else self.asks

    def add(self, order: Resting) -> None:
        """Queue an order behind its price level."""
        side = self.bids if order.side is Side.BUY else self.asks
        price = order.price_ticks
        level = side.levels.get(price)
        if level is None:
            level = side.levels[price] = Level()
            insort(side.prices, price)
        before = level.total
        level.orders[order.seq] = order
        level.total = before + order.lots
        self._changed(order.side, price, before)

    def take(self, order: Resting, lots: int) -> None:
        """Reduce a resting order by `lots` (1..order.lots); it leaves the book when nothing is left."""
        side = self.bids if order.side is Side.BUY else self.asks
        price = order.price_ticks
        level = side.levels[price]
        before = level.total
        level.total = before - lots
        order.lots -= lots
        if order.lots == 0:
            del level.orders[order.seq]
            if not level.orders:
                del side.levels[price]
                del side.prices[bisect_left(side.prices, price)]
        self._changed(order.side, price, before)

    def mirror(self, side: Side, price_ticks: int, lots: int, version: int) -> None:
        """Set the whole quantity of a level as another book has it at `version`; 0 removes the level.

        For books that are copied, not traded in: a level holds one anonymous order.
        """
        book_side = self.side(side)
        level = book_side.levels.get(price_ticks)
        before = level.total if level is not None else 0
        if before == lots:
            return
        if level is None:
            level = book_side.levels[price_ticks] = Level()
            insort(book_side.prices, price_ticks)
            level.orders[0] = Resting(0, None, side, price_ticks, lots)
        if lots == 0:
            del book_side.levels[price_ticks]
            del book_side.prices[bisect_left(book_side.prices, price_ticks)]
        else:
            level.orders[0].lots = level.total = lots
        self.version = version
        self._remember(side, price_ticks, before)

    def mirror_all(self, bids: BookLevels, asks: BookLevels, version: int) -> None:
        """Set both sides as another book has them at `version`; what was before is forgotten."""
        for side, levels in ((Side.BUY, dict(bids)), (Side.SELL, dict(asks))):
            for price in [price for price in self.side(side).levels if price not in levels]:
                self.mirror(side, price, 0, version)
            for price, lots in levels.items():
                self.mirror(side, price, lots, version)
        self._history.clear()
        self.version = self._oldest = version

    def inside_version(self) -> int | None:
        """Return a version inside the next delta of every cadence, its last one excluded; None while there is none."""
        if not self.collectors:
            return None
        first = max(collector.last_to_version for collector in self.collectors) + 1
        return first if first < self.version else None

    def is_resting(self, order: Resting) -> bool:
        """Return whether the order rests here."""
        level = self.side(order.side).levels.get(order.price_ticks)
        return level is not None and order.seq in level.orders

    def _changed(self, side: Side, price_ticks: int, lots_before: int) -> None:
        self.version += 1
        self._remember(side, price_ticks, lots_before)
        for collector in self.collectors:
            (collector.bids if side is Side.BUY else collector.asks).add(price_ticks)

    def keep_history(self, versions: int) -> None:
        """Keep the last `versions` versions from now on, the present one among them, as many as there are already."""
        kept = deque(self._history, maxlen=max(0, versions - 1))
        if len(kept) < len(self._history):
            self._oldest = self._history[len(self._history) - len(kept) - 1][0]
        self._history = kept

    def _remember(self, side: Side, price_ticks: int, lots_before: int) -> None:
        if len(self._history) == self._history.maxlen:
            self._oldest = self._history[0][0] if self._history else self.version
        self._history.append((self.version, side, price_ticks, lots_before))

    def oldest_version(self) -> int:
        """Return the oldest version that `at` can still give."""
        return self._oldest

    def at(self, version: int) -> tuple[BookLevels, BookLevels] | None:
        """Return (bids, asks) as they were at `version`, best first; None when it is gone or not there yet."""
        if not self.oldest_version() <= version <= self.version:
            return None
        bids = {price: level.total for price, level in self.bids.levels.items()}
        asks = {price: level.total for price, level in self.asks.levels.items()}
        for changed, side, price, before in reversed(self._history):
            if changed <= version:
                break
            (bids if side is Side.BUY else asks)[price] = before
        return (
            sorted(((price, lots) for price, lots in bids.items() if lots), reverse=True),
            sorted((price, lots) for price, lots in asks.items() if lots),
        )
