"""A depth subscription that has died while the line lives: found in bounded time, never proven, a new line wanted."""

from __future__ import annotations

import pytest

from tests.engine_desk import Desk, engine
from tests.market_scenes import SYMBOL as SCENE
from tests.market_scenes import S, delta, snapshot
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncResult
from trading.engine.book_sync_settings import BookSyncSettings
from trading.engine.messages import CancelOrder, FetchSnapshot, ReconnectFeed, TimerFired
from trading.model.market import BestQuote, BookDelta, BookSnapshot, BookState, FeedAlive, FeedConnected
from trading.model.units import NS_PER_S

SYMBOL = "龙虾USDT"
START_NS = 1_000 * NS_PER_S
SETTINGS = BookSyncSettings()
STEP_NS = NS_PER_S // 10


class DeadDepth:
    """A venue whose book moves on while its depth topic says nothing; REST answers at once, the ticker if it is told.

    `told` are versions a second. `proven_late` is the time spent PROVEN behind the venue's version.
    """

    def __init__(self, versions_per_s: float, has_ticker: bool, has_trades: bool = False) -> None:
        self.sync = BookSync(SYMBOL)
        self.now_ns = START_NS
        self.version = 100
        self._moved_ns = START_NS
        self.fetches = 0
        self.reconnects: list[int] = []
        self.proven_late_ns = 0
        self._every_ns = int(NS_PER_S / versions_per_s)
        self._has_ticker, self._has_trades = has_ticker, has_trades
        self.sync.on_connected(self.now_ns)
        self.sync.on_delta(BookDelta(SYMBOL, 100, 100, (), (), 0, 0), self.now_ns)
        self.take(self.sync.on_snapshot(self.answer(), self.now_ns))
        assert self.sync.state is BookState.PROVEN

    def answer(self) -> BookSnapshot:
        return BookSnapshot(SYMBOL, self.version, ((self.version, 5),), ((self.version + 9, 5),), self.now_ns, 0)

    def take(self, result: SyncResult) -> None:
        if result.reconnect:
            self.reconnects.append(self.now_ns)
            self.sync.on_disconnected(result.reconnect, self.now_ns)
            self.take(self.sync.on_connected(self.now_ns))
        elif result.fetch_not_before_ns is not None:
            self.fetches += 1
            self.now_ns = max(self.now_ns, result.fetch_not_before_ns)
            self.take(self.sync.on_snapshot(self.answer(), self.now_ns))

    def run(self, seconds: float) -> None:
        until_ns = self.now_ns + int(seconds * NS_PER_S)
        while self.now_ns < until_ns:
            self.now_ns += STEP_NS
            if self.now_ns - self._moved_ns >= self._every_ns:
                self._moved_ns = self.now_ns
                self.version += 1
                if self._has_ticker:
                    quote = BestQuote(SYMBOL, self.version, (self.version, 5), (self.version + 9, 5), 0, 0)
                    self.take(self.sync.on_best_quote(quote, self.now_ns))
                if self._has_trades:
                    self.sync.on_trade(self.now_ns)
            self.sync.on_alive(self.now_ns)
            self.take(self.sync.on_timer(self.now_ns))
            if self.sync.state is BookState.PROVEN and self.sync.book.version < self.version:
                self.proven_late_ns += STEP_NS


def test_dead_depth_topic_beside_a_live_ticker_is_never_proven_again_and_gets_a_new_line() -> None:
    venue = DeadDepth(versions_per_s=2, has_ticker=True)
    venue.run(60)
    assert venue.proven_late_ns <= SETTINGS.ticker_patience_ns + NS_PER_S, "once, until the ticker's patience is over"
    assert START_NS + SETTINGS.dead_after_ns < venue.reconnects[0] < START_NS + 2 * SETTINGS.dead_after_ns
    assert venue.fetches < 30
    gaps_ns = [after - before for before, after in zip(venue.reconnects, venue.reconnects[1:], strict=False)]
    assert gaps_ns == sorted(gaps_ns), "ever more seldom"
    assert 2 <= len(venue.reconnects) <= 4


def test_dead_depth_topic_on_a_thin_line_without_a_ticker_is_found_by_the_audit_of_a_quiet_book() -> None:
    venue = DeadDepth(versions_per_s=0.2, has_ticker=False)
    bound_ns = SETTINGS.audit_quiet_ns + SETTINGS.ahead_patience_ns + 2 * NS_PER_S
    venue.run(bound_ns / NS_PER_S)
    assert len(venue.reconnects) == 1
    assert venue.sync.state is not BookState.PROVEN
    assert venue.sync.counters.dead_lines == 1


def test_dead_depth_topic_beside_trades_is_found_within_seconds() -> None:
    venue = DeadDepth(versions_per_s=0.5, has_ticker=False, has_trades=True)
    venue.run(15)
    assert len(venue.reconnects) == 1


def test_dead_depth_topic_beside_a_ticker_without_versions_is_found_within_seconds() -> None:
    venue = DeadDepth(versions_per_s=0.5, has_ticker=False)
    seconds = 0
    while not venue.reconnects:
        seconds += 1
        venue.run(1)
        quote = BestQuote(SYMBOL, 0, (venue.version, 5), (venue.version + 9, 5), 0, 0)
        venue.sync.on_best_quote(quote, venue.now_ns)
        assert seconds < 20


@pytest.mark.parametrize("push_every_s", [12, 100_000])
def test_ticker_whose_versions_are_of_another_kind_costs_one_connection_at_most(push_every_s: int) -> None:
    """Its numbers lie far above the book's for ever; its prices are right, and so is REST. Symbols that seldom move."""
    venue = DeadDepth(versions_per_s=0.000_001, has_ticker=False)
    proven_s = 0
    for second in range(1, 601):
        venue.run(1)
        if second % push_every_s == 0:
            venue.version += 1
            new = venue.version
            bids, asks = ((new - 1, 0), (new, 5)), ((new + 8, 0), (new + 9, 5))
            venue.take(venue.sync.on_delta(BookDelta(SYMBOL, new, new, bids, asks, 0, 0), venue.now_ns))
        best = (venue.version, 5), (venue.version + 9, 5)
        venue.take(venue.sync.on_best_quote(BestQuote(SYMBOL, 10**9 + second, *best, 0, 0), venue.now_ns))
        proven_s += venue.sync.state is BookState.PROVEN
    assert not venue.sync.quote_check.is_trusted
    assert len(venue.reconnects) <= 1
    assert proven_s >= 560


def test_live_depth_topic_heals_every_doubt_at_once() -> None:
    venue = DeadDepth(versions_per_s=2, has_ticker=True)
    venue.run(30)
    assert venue.sync.state is not BookState.PROVEN
    for _ in range(100):
        venue.now_ns += STEP_NS
        venue.take(venue.sync.on_timer(venue.now_ns))
        venue.version += 1
        new = venue.version
        bids, asks = ((new - 1, 0), (new, 5)), ((new + 8, 0), (new + 9, 5))
        venue.take(venue.sync.on_delta(BookDelta(SYMBOL, new, new, bids, asks, 0, 0), venue.now_ns))
    assert venue.sync.state is BookState.PROVEN
    reconnects = len(venue.reconnects)
    venue.sync.on_timer(venue.now_ns + SETTINGS.dead_after_ns)
    assert len(venue.reconnects) == reconnects


def test_quiet_market_is_audited_at_its_pace_and_keeps_its_line_and_proof() -> None:
    venue = DeadDepth(versions_per_s=0.0001, has_ticker=True)
    venue.run(600)
    assert venue.sync.state is BookState.PROVEN
    assert venue.reconnects == []
    assert 9 <= venue.sync.audit.counters.done <= 11


def test_trade_that_comes_with_its_push_is_no_hint() -> None:
    venue = DeadDepth(versions_per_s=0.0001, has_ticker=False)
    for step in range(10):
        at_ns = venue.now_ns + step * 4 * NS_PER_S
        version = 101 + step
        venue.sync.on_delta(BookDelta(SYMBOL, version, version, (), (), 0, 0), at_ns)
        venue.sync.on_trade(at_ns + NS_PER_S // 2)
        for _ in range(30):
            at_ns += STEP_NS
            assert venue.sync.on_timer(at_ns).fetch_not_before_ns is None


def test_engine_on_a_dead_depth_topic_cancels_in_the_same_step_and_asks_for_a_connection() -> None:
    bids, asks = [(9_990, 1_000), (9_980, 5_000)], [(10_010, 1_000), (10_020, 5_000)]
    desk, now_ns = Desk(engine()), S
    desk.play(FeedConnected(SCENE, S), S)
    desk.play(snapshot(bids, asks, version=1, at_ns=S), S)
    desk.play(delta(2, at_ns=S), S)
    is_audited = False
    working: list[str] = []
    while True:
        now_ns += S
        desk.play(FeedAlive(SCENE, now_ns), now_ns)
        working = [order.client_order_id for order in desk.engine.view().open_orders] or working
        actions = desk.play(TimerFired(now_ns), now_ns)
        if any(isinstance(action, FetchSnapshot) and action.is_audit for action in actions):
            is_audited = True
            desk.play(snapshot(bids, asks, version=9, at_ns=now_ns), now_ns)
        if any(isinstance(action, ReconnectFeed) for action in actions):
            break
        assert now_ns < 90 * S
    assert is_audited
    assert working
    assert [action.cancel.client_order_id for action in actions if isinstance(action, CancelOrder)] == working
    assert desk.engine.book_state is BookState.STALE
