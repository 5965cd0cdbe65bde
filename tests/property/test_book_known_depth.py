"""A market that trends past what the snapshot gave, against a plain dict of the whole market.

A book that says PROVEN names the truth's levels from the best down to its cut, every one of them and no other; it is
never PROVEN on a best that it cannot know; and it is proven again once answers come.
"""

from __future__ import annotations

from collections import deque
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from trading.engine.book import MAX_LEVELS
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncResult
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.market import BookDelta, BookSnapshot, BookState, Level, Side
from trading.model.units import NS_PER_MS

SYMBOL = "龙虾USDT"
GIVEN = 24
"""Levels a side that a snapshot gives; the market holds many more."""

DEPTH = 80
Kept = tuple[int, tuple[Level, ...], tuple[Level, ...]]


class TrendingMarket:
    """The whole market in two dicts, and a book that is told of it by pushes and late, cut snapshots."""

    def __init__(self, seed: int, answer_delay: int) -> None:
        self.draw = Random(f"trend:{seed}")
        self.version, self.mid = 1, 100_000
        self.bids = {self.mid - step: 5 for step in range(1, DEPTH)}
        self.asks = {self.mid + step: 5 for step in range(1, DEPTH)}
        self.sync = BookSync(SYMBOL, BookSyncSettings(audit_interval_ns=1_500 * NS_PER_MS, audit_first_ns=NS_PER_MS))
        self.now_ns = 10**18
        self.proven_steps = self.steps = 0
        self._delay = answer_delay
        self._due: deque[int] = deque()
        self._kept: deque[Kept] = deque(maxlen=4)
        self._tops: tuple[tuple[Level, ...], tuple[Level, ...]] = ((), ())
        self._take(self.sync.on_connected(self.now_ns))

    def move(self, drift: int) -> None:
        """One push: the market moves by up to `drift` ticks, and levels change here and there, deep ones too."""
        before_bids, before_asks = dict(self.bids), dict(self.asks)
        self.mid += drift
        for price in [price for price in self.bids if price >= self.mid]:
            del self.bids[price]
        for price in [price for price in self.asks if price <= self.mid]:
            del self.asks[price]
        for side, levels in ((1, self.bids), (-1, self.asks)):
            for _ in range(3):
                price = self.mid - side * self.draw.choice((1, 2, 5, self.draw.randint(1, DEPTH)))
                levels[price] = self.draw.randint(1, 9)
            levels.pop(self.mid - side * self.draw.randint(2, DEPTH), None)
        self.version += 1
        push = BookDelta(
            SYMBOL, self.version, self.version, _changes(before_bids, self.bids), _changes(before_asks, self.asks), 0, 0
        )
        self._tops = tuple(sorted(self.bids.items(), reverse=True)), tuple(sorted(self.asks.items()))
        self._kept.append((self.version, *self._tops))
        self._take(self.sync.on_delta(push, self.now_ns))
        self._pass_time()

    def _pass_time(self) -> None:
        self.now_ns += 100 * NS_PER_MS
        self._due = deque(delay - 1 for delay in self._due)
        while self._due and self._due[0] < 0:
            self._due.popleft()
            version, bids, asks = self.draw.choice(self._kept)
            bids, asks = bids[:GIVEN], asks[:GIVEN]
            snapshot = BookSnapshot(SYMBOL, version, bids, asks, 0, 0, bids[-1][0], asks[-1][0])
            self._take(self.sync.on_snapshot(snapshot, self.now_ns))
        self._take(self.sync.on_timer(self.now_ns))

    def _take(self, result: SyncResult) -> None:
        self.steps += 1
        assert not self.sync.audit.counters.differing, self.sync.audit.finding
        if result.fetch_not_before_ns is not None and len(self._due) < 3:
            self._due.append(self._delay)
        if self.sync.state is not BookState.PROVEN:
            return
        self.proven_steps += 1
        book = self.sync.book
        assert book.version == self.version
        for side, known, cut, truth in (
            (Side.BUY, book.bids(MAX_LEVELS), book.deepest_known_bid, self._tops[0]),
            (Side.SELL, book.asks(MAX_LEVELS), book.deepest_known_ask, self._tops[1]),
        ):
            assert known, "proven without a best that is known"
            assert tuple(known) == truth[: len(known)]
            assert cut is not None
            assert all(not book.is_known(side, price) for price, _ in truth[len(known) :])
            assert book.qty_within(side, truth[-1][0]) == sum(qty for _, qty in known)


def _changes(before: dict[int, int], after: dict[int, int]) -> tuple[Level, ...]:
    prices = before.keys() | after.keys()
    return tuple((price, after.get(price, 0)) for price in prices if before.get(price) != after.get(price))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    drifts=st.lists(st.sampled_from([-40, -9, -3, -1, 0, 1, 3, 9, 40]), min_size=3, max_size=12),
    answer_delay=st.integers(0, 12),
)
def test_book_in_a_trend_past_the_cut_is_never_proven_and_wrong(
    seed: int, drifts: list[int], answer_delay: int
) -> None:
    market = TrendingMarket(seed, answer_delay)
    for drift in drifts:
        for _ in range(4):
            market.move(drift)
    for _ in range(40):
        market.move(0)
    assert market.sync.state is BookState.PROVEN


def test_book_in_a_steady_trend_with_prompt_answers_keeps_its_proof() -> None:
    market = TrendingMarket(seed=1, answer_delay=2)
    for _ in range(200):
        market.move(-1)
    assert market.mid < 100_000 - 2 * DEPTH
    assert market.sync.counters.resyncs == 1
    assert market.sync.counters.outrun == 0
    assert market.proven_steps > 0.9 * market.steps
