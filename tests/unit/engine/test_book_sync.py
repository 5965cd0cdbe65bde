"""The proof of a book: each step of the venue's rule, and each way to lose the proof."""

from __future__ import annotations

import pytest

from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncKind
from trading.engine.book_sync_settings import BookSyncSettings
from trading.engine.quote_check import LOSSES_MAX, MISMATCHES_MAX
from trading.model.market import BestQuote, BookDelta, BookSnapshot, BookState, Level
from trading.model.units import NS_PER_MS, NS_PER_S

SYMBOL = "BTCUSDT"
START_NS = 1_000 * NS_PER_S


def snapshot(version: int, bid: int = 99, ask: int = 101) -> BookSnapshot:
    return BookSnapshot(SYMBOL, version, ((bid, 5), (90, 7)), ((ask, 2), (110, 3)), 0, 0)


def delta(
    from_version: int, to_version: int, bids: tuple[Level, ...] = ((98, 4),), asks: tuple[Level, ...] = ()
) -> BookDelta:
    return BookDelta(SYMBOL, from_version, to_version, bids, asks, 0, 0)


def quote(version: int, bid: int, ask: int) -> BestQuote:
    return BestQuote(SYMBOL, version, (bid, 1), (ask, 1), 0, 0)


def state_of(sync: BookSync) -> BookState:
    return sync.state  # read through a call: mypy would hold the first assertion for lasting


def proven(version: int = 100) -> BookSync:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_delta(delta(version, version), START_NS)
    sync.on_snapshot(snapshot(version), START_NS)
    assert state_of(sync) is BookState.PROVEN
    return sync


def test_book_sync_on_connect_wants_a_snapshot_at_once() -> None:
    sync = BookSync(SYMBOL)
    result = sync.on_connected(START_NS)
    assert result.fetch_not_before_ns == START_NS
    assert state_of(sync) is BookState.SYNCING


def test_book_sync_snapshot_inside_a_buffered_push_applies_that_push() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    assert sync.on_delta(delta(90, 95, ((97, 1),)), START_NS).kind is SyncKind.BUFFERED
    sync.on_delta(delta(96, 104, ((96, 1),)), START_NS)
    sync.on_delta(delta(105, 106, ((95, 1),)), START_NS)
    assert sync.on_snapshot(snapshot(100), START_NS).kind is SyncKind.APPLIED

    assert state_of(sync) is BookState.PROVEN
    assert sync.book.version == 106
    assert sync.book.bids(9) == [(99, 5), (96, 1), (95, 1), (90, 7)]
    assert sync.buffered == 0


def test_book_sync_snapshot_older_than_the_stream_is_asked_again_with_growing_pauses_and_buffer_kept() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_delta(delta(110, 112), START_NS)
    pauses = []
    for _ in range(8):
        result = sync.on_snapshot(snapshot(100), START_NS)
        assert result.fetch_not_before_ns is not None
        pauses.append(result.fetch_not_before_ns - START_NS)
    assert pauses == sorted(pauses)
    assert pauses[0] == BookSyncSettings().retry_pause_ns
    assert pauses[-1] == BookSyncSettings().retry_pause_max_ns
    assert sync.counters.snapshots_lagging == 8

    sync.on_snapshot(snapshot(108), START_NS)
    assert (sync.counters.snapshots_lagging, sync.counters.gaps) == (9, 0)
    sync.on_snapshot(snapshot(109), START_NS)
    assert (sync.state, sync.book.version) == (BookState.PROVEN, 112)


def test_book_sync_gap_throws_the_book_away_and_keeps_the_push_for_the_next_snapshot() -> None:
    sync = proven(100)
    gap_ns = START_NS + BookSyncSettings().stable_after_ns
    result = sync.on_delta(delta(102, 103), gap_ns)

    assert result.kind is SyncKind.RESYNC
    assert result.fetch_not_before_ns == gap_ns
    assert (sync.state, sync.reason) == (BookState.GAP, "expected version 101, was 102")
    assert sync.book.best_bid is None
    assert sync.counters.gaps == 1

    sync.on_snapshot(snapshot(102), gap_ns + 2)
    assert (sync.state, sync.book.version) == (BookState.PROVEN, 103)


def test_book_sync_gap_soon_after_the_last_proof_pauses_before_the_next_snapshot() -> None:
    sync = proven(100)
    result = sync.on_delta(delta(102, 103), START_NS + 1)
    assert result.fetch_not_before_ns == START_NS + 1 + BookSyncSettings().retry_pause_ns


def test_book_sync_hole_in_the_buffer_is_found_when_the_snapshot_comes() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_delta(delta(100, 101), START_NS)
    sync.on_delta(delta(103, 104), START_NS)
    result = sync.on_snapshot(snapshot(100), START_NS)
    assert (result.kind, sync.state) == (SyncKind.RESYNC, BookState.GAP)
    sync.on_snapshot(snapshot(103), START_NS + NS_PER_S)
    assert (sync.state, sync.book.version) == (BookState.PROVEN, 104)


def test_book_sync_duplicate_is_ignored_and_overlap_is_applied_and_counted() -> None:
    sync = proven(100)
    sync.on_delta(delta(101, 103), START_NS)
    assert sync.on_delta(delta(101, 103, ((98, 1),)), START_NS).kind is SyncKind.IGNORED
    assert sync.book.bids(2)[1] == (98, 4)
    assert sync.on_delta(delta(102, 105), START_NS).kind is SyncKind.APPLIED
    assert (sync.counters.duplicates, sync.counters.overlaps, sync.counters.gaps) == (1, 1, 0)
    assert (sync.state, sync.book.version) == (BookState.PROVEN, 105)


def test_book_sync_stale_snapshot_on_a_quiet_symbol_is_never_proven_while_the_ticker_is_ahead() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_snapshot(snapshot(100), START_NS)
    sync.on_best_quote(quote(105, 98, 100), START_NS)
    result = sync.on_snapshot(snapshot(100), START_NS + NS_PER_S)
    assert result.fetch_not_before_ns is not None
    assert state_of(sync) is BookState.SYNCING
    sync.on_snapshot(snapshot(105, bid=98, ask=100), START_NS + 2 * NS_PER_S)
    sync.on_best_quote(quote(105, 98, 100), START_NS + 2 * NS_PER_S)
    assert state_of(sync) is BookState.PROVEN


def test_book_sync_silence_makes_it_stale_and_a_sign_of_life_proves_it_again() -> None:
    sync = proven(100)
    silence_ns = BookSyncSettings().stale_after_ns + 1
    sync.on_timer(START_NS + silence_ns)
    assert state_of(sync) is BookState.STALE
    assert "20000 ms" in sync.reason
    sync.on_alive(START_NS + silence_ns + 1)
    assert state_of(sync) is BookState.PROVEN
    assert sync.counters.stale == 1
    assert sync.proven_total_ns(START_NS + silence_ns + 1) == silence_ns


def test_book_sync_crossed_book_is_not_proven_and_thrown_away_when_it_stays_so() -> None:
    sync = proven(100)
    sync.on_delta(delta(101, 101, bids=((101, 1),)), START_NS)
    assert state_of(sync) is BookState.CROSSED
    sync.on_delta(delta(102, 102, bids=((101, 0),)), START_NS)
    assert state_of(sync) is BookState.PROVEN
    sync.on_delta(delta(103, 103, bids=((102, 1),)), START_NS)
    assert sync.on_timer(START_NS + NS_PER_S // 2).kind is SyncKind.IGNORED
    result = sync.on_timer(START_NS + 2 * NS_PER_S)
    assert (result.kind, sync.state) == (SyncKind.RESYNC, BookState.GAP)
    assert sync.on_timer(START_NS + 3 * NS_PER_S).kind is SyncKind.IGNORED


def test_book_sync_disconnect_drops_everything_and_ignores_late_snapshots() -> None:
    sync = proven(100)
    sync.on_delta(delta(105, 106), START_NS)
    assert sync.buffered == 1
    assert sync.on_disconnected("inbox overflow", START_NS).kind is SyncKind.RESYNC
    assert sync.buffered == 0
    assert (sync.state, sync.reason) == (BookState.SYNCING, "disconnected: inbox overflow")
    assert sync.on_snapshot(snapshot(100), START_NS).kind is SyncKind.IGNORED
    assert sync.book.best_bid is None
    assert sync.on_connected(START_NS + 1).fetch_not_before_ns == START_NS + 1


def test_book_sync_pushes_before_the_last_acknowledgement_are_kept_for_the_snapshot() -> None:
    sync = BookSync(SYMBOL)
    sync.on_delta(delta(100, 101), START_NS)
    sync.on_connected(START_NS)
    sync.on_snapshot(snapshot(100), START_NS)
    assert (sync.state, sync.book.version) == (BookState.PROVEN, 101)


def test_book_sync_failed_and_lost_snapshots_are_asked_for_again() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    failed = sync.on_snapshot_failed(START_NS + 5)
    assert failed.fetch_not_before_ns == START_NS + 5 + BookSyncSettings().retry_pause_ns
    lost_ns = START_NS + 5 + BookSyncSettings().retry_pause_ns + BookSyncSettings().snapshot_timeout_ns
    sync.on_alive(lost_ns)
    assert sync.on_timer(lost_ns).fetch_not_before_ns is None
    assert sync.on_timer(lost_ns + 1).fetch_not_before_ns is not None


def test_book_sync_buffer_is_bounded_and_counts_what_it_drops() -> None:
    sync = BookSync(SYMBOL, BookSyncSettings(buffer_max=3))
    sync.on_connected(START_NS)
    for version in range(100, 106):
        sync.on_delta(delta(version, version), START_NS)
    assert (sync.buffered, sync.counters.buffer_dropped) == (3, 3)
    assert sync.on_snapshot(snapshot(101), START_NS).kind is SyncKind.RESYNC
    sync.on_snapshot(snapshot(102), START_NS)
    assert (sync.state, sync.book.version) == (BookState.PROVEN, 105)


def test_book_sync_quotes_that_differ_in_a_row_throw_the_book_away_until_the_ticker_loses_trust() -> None:
    sync = proven(100)
    for _ in range(LOSSES_MAX):
        for count in range(1, MISMATCHES_MAX + 1):
            result = sync.on_best_quote(quote(100, 97, 101), START_NS)
            assert (result.kind is SyncKind.RESYNC) is (count == MISMATCHES_MAX)
        assert state_of(sync) is BookState.GAP
        sync.on_delta(delta(100, 100), START_NS)
        sync.on_snapshot(snapshot(100), START_NS)
        assert state_of(sync) is BookState.PROVEN
    for _ in range(2 * MISMATCHES_MAX):
        assert sync.on_best_quote(quote(100, 97, 101), START_NS).kind is SyncKind.IGNORED
    assert state_of(sync) is BookState.PROVEN
    assert sync.quote_check.mismatches == (LOSSES_MAX + 2) * MISMATCHES_MAX


@pytest.mark.parametrize(
    ("seen", "is_same"),
    [
        (quote(100, 99, 101), True),
        (quote(100, 98, 101), False),
        (quote(100, 99, 102), False),
        (BestQuote(SYMBOL, 100, None, (101, 1), 0, 0), False),
        (BestQuote(SYMBOL, 100, (99, 1), None, 0, 0), False),
        (BestQuote(SYMBOL, 100, (99, 777), (101, 777), 0, 0), True),
    ],
)
def test_book_sync_quote_agrees_when_both_best_prices_do(seen: BestQuote, is_same: bool) -> None:
    sync = proven(100)
    sync.on_best_quote(seen, START_NS)
    assert (sync.quote_check.checks, sync.quote_check.mismatches) == (1, 0 if is_same else 1)


def test_book_sync_quote_ahead_of_the_book_is_compared_when_the_book_gets_there() -> None:
    sync = proven(100)
    sync.on_best_quote(quote(101, 99, 101), START_NS)
    sync.on_best_quote(quote(103, 90, 101), START_NS)
    assert sync.quote_check.pending == 2
    sync.on_delta(delta(101, 103, bids=((99, 0),)), START_NS)
    assert (sync.quote_check.pending, sync.quote_check.checks, sync.quote_check.mismatches) == (0, 1, 0)


def test_book_sync_depth_that_stalls_behind_the_ticker_loses_the_proof() -> None:
    sync = proven(100)
    for step in range(40):
        now_ns = START_NS + step * 100 * NS_PER_MS
        sync.on_best_quote(quote(101 + step, 99, 101), now_ns)
        sync.on_timer(now_ns)
    assert state_of(sync) is BookState.GAP
    assert "book ticker goes on" in sync.reason


def test_book_sync_quote_seen_before_the_snapshot_proves_a_quiet_symbol_at_once() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    for version, bid in ((99, 98), (100, 99)):
        sync.on_best_quote(quote(version, bid, 101), START_NS)
    late_ns = START_NS + 30 * NS_PER_S  # the snapshot had to wait for its turn
    sync.on_alive(late_ns)
    assert sync.on_timer(late_ns).fetch_not_before_ns is not None
    assert sync.on_snapshot(snapshot(100), late_ns).kind is SyncKind.APPLIED
    assert state_of(sync) is BookState.PROVEN


def test_book_sync_quote_seen_before_an_older_snapshot_keeps_the_book_unproven_without_losing_trust() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_best_quote(quote(105, 98, 101), START_NS)
    late_ns = START_NS + 8 * NS_PER_S
    sync.on_snapshot(snapshot(100), late_ns)
    assert state_of(sync) is BookState.SYNCING
    assert sync.on_timer(late_ns + NS_PER_S).fetch_not_before_ns == late_ns + NS_PER_S
    sync.on_snapshot(snapshot(105, bid=98), late_ns + NS_PER_S)
    assert (state_of(sync), sync.book.version) == (BookState.PROVEN, 105)
    assert sync.counters.resyncs == 1
    assert sync.quote_check.is_trusted


def test_book_sync_venue_whose_versions_begin_anew_loses_the_proof() -> None:
    """The pushes would all be ignored as known, and the book would stand still, proven, for ever."""
    sync = proven(1_000_000)
    patience_ns = BookSyncSettings().behind_patience_ns
    for number in range(1, 20):
        sync.on_delta(delta(number, number), START_NS + number * patience_ns // 10)
        if state_of(sync) is not BookState.PROVEN:
            break
    assert state_of(sync) is BookState.GAP
    assert "pushes stay below version 1000000" in sync.reason
    sync.on_snapshot(snapshot(number), START_NS + 3 * patience_ns)
    assert (state_of(sync), sync.book.version) == (BookState.PROVEN, number)


def test_book_sync_few_repeats_long_apart_mean_nothing() -> None:
    sync = proven(100)
    for hour in range(4):
        sync.on_delta(delta(100, 100), START_NS + hour * 3_600 * NS_PER_S)
    assert state_of(sync) is BookState.PROVEN


def test_book_sync_counts_how_often_and_how_long_it_took_to_be_proven() -> None:
    sync = proven(100)
    later_ns = START_NS + 60 * NS_PER_S
    sync.on_delta(delta(105, 106), later_ns)
    sync.on_snapshot(snapshot(105), later_ns + NS_PER_S)
    counters = sync.counters
    assert (counters.proofs, counters.resync_ns, counters.last_resync_ns) == (2, NS_PER_S, NS_PER_S)
