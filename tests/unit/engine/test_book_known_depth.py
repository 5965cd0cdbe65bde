"""The depth that a snapshot gave: fetched anew in time, and no proof beyond it."""

from __future__ import annotations

import pytest

from trading.engine.book import RESERVE_MAX
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.market import BookDelta, BookSnapshot, BookState, Level, Side
from trading.model.units import NS_PER_S

SYMBOL = "GOLD(PAXG)USDT"
START_NS = 1_000 * NS_PER_S
MID = 10_000
DEPTH = 400


def side_of(side: Side, best: int, count: int) -> tuple[Level, ...]:
    return tuple((best - side.sign * offset, 5) for offset in range(count))


def snapshot(version: int, best_bid: int, count: int = DEPTH, is_whole: bool = False) -> BookSnapshot:
    bids, asks = side_of(Side.BUY, best_bid, count), side_of(Side.SELL, best_bid + 1, count)
    cuts = (None, None) if is_whole else (bids[-1][0], asks[-1][0])
    return BookSnapshot(SYMBOL, version, bids, asks, 0, 0, *cuts)


def proven(count: int = DEPTH, is_whole: bool = False) -> BookSync:
    sync = BookSync(SYMBOL, BookSyncSettings(audit_interval_ns=0))
    sync.on_connected(START_NS)
    sync.on_delta(BookDelta(SYMBOL, 100, 100, (), (), 0, 0), START_NS)
    sync.on_snapshot(snapshot(100, MID, count, is_whole), START_NS)
    assert state_of(sync) is BookState.PROVEN
    return sync


def state_of(sync: BookSync) -> BookState:
    return sync.state


def fall(sync: BookSync, ticks: int, now_ns: int) -> None:
    """The market falls: that many best bids go, and asks follow down."""
    for _ in range(ticks):
        best, version = sync.book.best_bid, sync.book.version + 1
        assert best is not None
        sync.on_delta(BookDelta(SYMBOL, version, version, ((best[0], 0),), ((best[0], 7),), 0, 0), now_ns)


def test_book_whose_best_comes_to_the_cut_loses_the_proof_and_asks_for_a_snapshot() -> None:
    sync = proven()
    fall(sync, DEPTH - 1, START_NS)
    assert state_of(sync) is BookState.PROVEN
    later_ns = START_NS + NS_PER_S
    best = sync.book.best_bid
    assert best is not None
    version = sync.book.version + 1
    # A bid far below is known, but what lies above it is not.
    push = BookDelta(SYMBOL, version, version, ((best[0], 0), (MID - 2 * DEPTH, 9)), (), 0, 0)
    result = sync.on_delta(push, later_ns)
    assert (state_of(sync), sync.counters.outrun) == (BookState.GAP, 1)
    assert "cut" in sync.reason
    assert result.fetch_not_before_ns is not None
    assert sync.book.best_bid is None


def test_book_that_runs_low_asks_for_a_snapshot_at_once_and_stays_proven_on_it() -> None:
    sync = proven()
    fall(sync, DEPTH - RESERVE_MAX, START_NS)
    assert sync.on_timer(START_NS).fetch_not_before_ns is None, "the reserve is whole"
    fall(sync, 1, START_NS)
    result = sync.on_timer(START_NS)
    assert (result.fetch_not_before_ns, result.is_audit) == (START_NS, False)
    assert sync.on_timer(START_NS + 1).fetch_not_before_ns is None, "it is under way"

    fall(sync, 3, START_NS)  # the market does not wait for it
    at = sync.book.version
    best = sync.book.best_bid
    assert best is not None
    answer = snapshot(at, best[0])
    answer = BookSnapshot(SYMBOL, at, answer.bids, tuple(sync.book.asks(DEPTH)), 0, 0, answer.bids[-1][0], None)
    fall(sync, 2, START_NS)
    sync.on_snapshot(answer, START_NS)
    assert state_of(sync) is BookState.PROVEN
    assert sync.book.bids(10**6) == list(answer.bids[2:])
    assert not sync.book.is_running_low
    assert sync.counters.resyncs == 1


def test_book_that_runs_low_asks_again_when_no_answer_comes() -> None:
    sync = proven()
    fall(sync, DEPTH - RESERVE_MAX + 1, START_NS)
    sync.on_timer(START_NS)
    patience_ns = BookSyncSettings().retry_pause_max_ns
    assert sync.on_timer(START_NS + patience_ns).fetch_not_before_ns is None
    assert sync.on_timer(START_NS + patience_ns + 1).fetch_not_before_ns is not None


def test_book_from_a_whole_snapshot_has_no_cut_and_may_run_empty() -> None:
    sync = proven(count=3, is_whole=True)
    for version, price in ((101, MID), (102, MID - 1), (103, MID - 2)):
        sync.on_delta(BookDelta(SYMBOL, version, version, ((price, 0),), (), 0, 0), START_NS)
        assert sync.on_timer(START_NS).fetch_not_before_ns is None
    assert (state_of(sync), sync.book.best_bid, sync.counters.outrun) == (BookState.PROVEN, None, 0)


@pytest.mark.parametrize("side", list(Side))
def test_book_sums_and_lists_nothing_beyond_the_cut(side: Side) -> None:
    sync = proven(count=3)
    beyond = MID - 50 if side is Side.BUY else MID + 51
    push = ((beyond, 1_000),)
    bids, asks = (push, ()) if side is Side.BUY else ((), push)
    sync.on_delta(BookDelta(SYMBOL, 101, 101, bids, asks, 0, 0), START_NS)
    levels = sync.book.bids(99) if side is Side.BUY else sync.book.asks(99)
    assert len(levels) == 3
    assert sync.book.qty_within(side, beyond) == 15
    assert sync.book.qty_at(side, beyond) == 1_000, "what a push has named is known"
    assert not sync.book.is_known(side, beyond + side.sign)
