"""The proof of a quiet symbol, whose snapshot no push confirms: how long to wait, and what takes it back."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.engine.test_book_sync import START_NS, SYMBOL, delta, quote, snapshot, state_of
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.market import BookState
from trading.model.units import NS_PER_S


def test_book_sync_quiet_symbol_is_proven_by_the_same_version_twice() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_snapshot(snapshot(100), START_NS)
    assert state_of(sync) is BookState.SYNCING

    later_ns = START_NS + BookSyncSettings().quiet_proof_ns
    assert sync.on_timer(later_ns - 1).fetch_not_before_ns is None
    assert sync.on_timer(later_ns).fetch_not_before_ns == later_ns
    assert sync.on_timer(later_ns + 1).fetch_not_before_ns is None
    sync.on_snapshot(snapshot(100), later_ns + 2)
    assert state_of(sync) is BookState.PROVEN


def test_book_sync_quiet_symbol_with_a_newer_second_snapshot_looks_a_third_time() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_snapshot(snapshot(100), START_NS)
    later_ns = START_NS + NS_PER_S
    sync.on_timer(later_ns)
    sync.on_snapshot(snapshot(104, bid=98), later_ns)
    assert (sync.state, sync.book.version) == (BookState.SYNCING, 104)
    # REST moved and no push told it: REST lags, or the depth topic is dead. So the third look waits out the lag.
    settled_ns = later_ns + BookSyncSettings().rest_lag_ns
    assert sync.on_timer(settled_ns - 1).fetch_not_before_ns is None
    assert sync.on_timer(settled_ns).fetch_not_before_ns == settled_ns
    sync.on_snapshot(snapshot(104, bid=98), settled_ns)
    assert state_of(sync) is BookState.PROVEN


def test_book_sync_quiet_symbol_is_not_proven_by_a_second_answer_that_comes_too_soon_or_is_a_copy() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_snapshot(replace(snapshot(100), exch_ts_ns=7 * NS_PER_S), START_NS)
    sync.on_snapshot(replace(snapshot(100), exch_ts_ns=8 * NS_PER_S), START_NS + 1)
    assert state_of(sync) is BookState.SYNCING, "something else asked for it, at the same time"
    later_ns = START_NS + NS_PER_S
    sync.on_timer(later_ns)
    result = sync.on_snapshot(replace(snapshot(100), exch_ts_ns=7 * NS_PER_S), later_ns)
    assert result.fetch_not_before_ns is not None
    assert state_of(sync) is BookState.SYNCING, "the venue's own stamp says that it is the first answer again"
    sync.on_snapshot(replace(snapshot(100), exch_ts_ns=9 * NS_PER_S), later_ns + 1)
    assert state_of(sync) is BookState.PROVEN


def test_book_sync_quiet_symbol_where_rest_was_seen_to_lag_waits_out_the_lag() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_delta(delta(110, 112), START_NS)
    sync.on_snapshot(snapshot(100), START_NS)
    sync.on_disconnected("closed", START_NS)
    sync.on_connected(START_NS)
    sync.on_snapshot(snapshot(112), START_NS)
    soon_ns = START_NS + BookSyncSettings().quiet_proof_ns
    assert sync.on_timer(soon_ns).fetch_not_before_ns is None
    late_ns = START_NS + BookSyncSettings().rest_lag_ns
    assert sync.on_timer(late_ns).fetch_not_before_ns == late_ns
    sync.on_snapshot(snapshot(112), late_ns)
    assert state_of(sync) is BookState.PROVEN


def test_book_sync_quiet_symbol_is_looked_at_again_once_rest_cannot_lag_any_more() -> None:
    """Two looks 500 ms apart may both be old; the late one is not, and costs the proof where it shows more."""
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_snapshot(snapshot(100), START_NS)
    now_ns = START_NS + BookSyncSettings().quiet_proof_ns
    sync.on_timer(now_ns)
    sync.on_snapshot(snapshot(100), now_ns)
    assert state_of(sync) is BookState.PROVEN
    now_ns += BookSyncSettings().rest_lag_ns
    result = sync.on_timer(now_ns)
    assert (result.is_audit, result.fetch_not_before_ns) == (True, now_ns)
    sync.on_snapshot(snapshot(105, bid=98), now_ns)
    assert state_of(sync) is BookState.PROVEN, "its pushes may be on their way"
    result = sync.on_timer(now_ns + BookSyncSettings().ahead_patience_ns + 1)
    assert state_of(sync) is BookState.STALE
    assert result.reconnect


def test_book_sync_quiet_symbol_is_proven_by_the_first_push_or_an_agreeing_quote() -> None:
    by_push, by_quote = BookSync(SYMBOL), BookSync(SYMBOL)
    for sync in (by_push, by_quote):
        sync.on_connected(START_NS)
        sync.on_snapshot(snapshot(100), START_NS)
    by_push.on_delta(delta(101, 101), START_NS)
    by_quote.on_best_quote(quote(100, 99, 101), START_NS)
    assert state_of(by_push) is BookState.PROVEN
    assert state_of(by_quote) is BookState.PROVEN


def test_book_sync_quiet_symbol_whose_snapshot_had_to_wait_for_its_turn_is_proven_by_it_at_once() -> None:
    """The stream was silent all the while: one look at its end says what two would."""
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    later_ns = START_NS + BookSyncSettings().quiet_proof_ns
    sync.on_snapshot(snapshot(100), later_ns)
    assert state_of(sync) is BookState.PROVEN
    assert sync.on_timer(later_ns + BookSyncSettings().rest_lag_ns).is_audit, "and looked at again"


def test_book_sync_snapshot_behind_what_was_pushed_already_is_asked_for_again_however_silent_it_is_now() -> None:
    sync = BookSync(SYMBOL)
    sync.on_connected(START_NS)
    sync.on_delta(delta(100, 104), START_NS)
    sync.on_snapshot(snapshot(100), START_NS)
    assert sync.book.version == 104
    sync.on_delta(delta(105, 105, bids=((101, 1),)), START_NS)
    crossed_ns = START_NS + 2 * BookSyncSettings().crossed_patience_ns
    sync.on_timer(crossed_ns)
    assert (state_of(sync), sync.buffered) == (BookState.GAP, 0)
    for second in (1, 2, 3):
        result = sync.on_snapshot(snapshot(103), crossed_ns + second * NS_PER_S)
        assert result.fetch_not_before_ns is not None
        assert state_of(sync) is BookState.GAP
    sync.on_snapshot(snapshot(105), crossed_ns + 4 * NS_PER_S)
    late_ns = crossed_ns + 4 * NS_PER_S + BookSyncSettings().rest_lag_ns
    sync.on_snapshot(snapshot(105), late_ns)
    assert state_of(sync) is BookState.PROVEN


def test_book_sync_new_line_takes_no_snapshot_older_than_the_book_that_was_lost() -> None:
    """REST lags by 3 s just when the line of a quiet symbol is lost: what it says was left behind already."""
    sync, now_ns, proven_at = BookSync(SYMBOL), START_NS, []
    sync.on_connected(now_ns)
    sync.on_delta(delta(101, 105), now_ns)
    sync.on_snapshot(snapshot(105), now_ns)
    assert state_of(sync) is BookState.PROVEN
    sync.on_disconnected("closed", now_ns)
    due_ns = sync.on_connected(now_ns).fetch_not_before_ns
    while now_ns < START_NS + 20 * NS_PER_S:
        now_ns += NS_PER_S // 10
        due_ns = due_ns or sync.on_timer(now_ns).fetch_not_before_ns
        if due_ns is not None and due_ns <= now_ns:
            version = 105 if now_ns > START_NS + 3 * NS_PER_S else 100
            due_ns = sync.on_snapshot(snapshot(version), now_ns).fetch_not_before_ns
        sync.on_alive(now_ns)
        if sync.state is BookState.PROVEN:
            proven_at.append(sync.book.version)
    assert set(proven_at) == {105}


def test_book_sync_venue_that_numbers_anew_is_believed_by_its_pushes_at_once_and_by_rest_after_its_lag() -> None:
    by_push, by_rest = BookSync(SYMBOL), BookSync(SYMBOL)
    for sync in (by_push, by_rest):
        sync.on_connected(START_NS)
        sync.on_delta(delta(101, 105), START_NS)
        sync.on_snapshot(snapshot(105), START_NS)
        sync.on_disconnected("closed", START_NS)
        sync.on_connected(START_NS)
        assert sync.on_snapshot(snapshot(3), START_NS).fetch_not_before_ns is not None
        assert sync.book.version == 0
    by_push.on_delta(delta(4, 4), START_NS)
    by_push.on_snapshot(snapshot(3), START_NS)
    assert (state_of(by_push), by_push.book.version) == (BookState.PROVEN, 4)
    late_ns = START_NS + BookSyncSettings().rest_lag_ns + 1
    by_rest.on_snapshot(snapshot(3), late_ns)
    assert by_rest.book.version == 3
    by_rest.on_snapshot(snapshot(3), late_ns + BookSyncSettings().rest_lag_ns)
    assert (state_of(by_rest), by_rest.book.version) == (BookState.PROVEN, 3)
