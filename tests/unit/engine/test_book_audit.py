"""The audit of a proven book: it agrees whatever moved meanwhile, and finds what is wrong where it can judge."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from trading.engine.book_audit import LEAD_MAX_NS, PATIENCE_NS, PUSHES_MAX
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.market import BookDelta, BookSnapshot, BookState, Level, Side
from trading.model.units import NS_PER_S

SYMBOL = "龙虾USDT"
START_NS = 1_000 * NS_PER_S
SETTINGS = BookSyncSettings(audit_first_ns=NS_PER_S, audit_interval_ns=100 * NS_PER_S)
BIDS: tuple[Level, ...] = ((99, 5), (98, 4), (90, 7))
ASKS: tuple[Level, ...] = ((101, 2), (110, 3))


def snapshot(version: int, bids: tuple[Level, ...] = BIDS, asks: tuple[Level, ...] = ASKS) -> BookSnapshot:
    """A snapshot that has cut off both sides."""
    cuts = (bids[-1][0] if bids else None, asks[-1][0] if asks else None)
    return BookSnapshot(SYMBOL, version, bids, asks, 0, 0, *cuts)


def delta(first: int, last: int, bids: tuple[Level, ...] = (), asks: tuple[Level, ...] = ()) -> BookDelta:
    return BookDelta(SYMBOL, first, last, bids, asks, 0, 0)


def audited(settings: BookSyncSettings = SETTINGS) -> tuple[BookSync, int]:
    """A proven book at version 100 whose audit has just been opened, and the time."""
    sync = BookSync(SYMBOL, settings)
    sync.on_connected(START_NS)
    sync.on_delta(delta(100, 100), START_NS)
    sync.on_snapshot(snapshot(100), START_NS)
    return sync, open_next(sync, START_NS)


def open_next(sync: BookSync, now_ns: int, is_moving: bool = False) -> int:
    """Let time pass until an audit opens; the line stays alive, and with `is_moving` pushes come."""
    for _ in range(1_000):
        if is_moving:
            version = sync.book.version + 1
            sync.on_delta(BookDelta(sync.book.symbol, version, version, ((98, version),), (), 0, 0), now_ns)
        sync.on_alive(now_ns)
        result = sync.on_timer(now_ns)
        if result.is_audit:
            assert result.fetch_not_before_ns is not None
            return max(now_ns, result.fetch_not_before_ns)
        assert result.fetch_not_before_ns is None
        now_ns += NS_PER_S // 4
    raise AssertionError("no audit was opened")


def test_audit_of_a_book_that_stands_still_compares_every_level() -> None:
    sync, now_ns = audited()
    sync.on_snapshot(snapshot(100), now_ns)
    counters = sync.audit.counters
    assert (counters.done, counters.levels, counters.mismatches) == (1, 5, 0)
    assert sync.state is BookState.PROVEN
    assert sync.counters.snapshots == 1, "an audit is no resync"


@pytest.mark.parametrize("version", [100, 101, 103, 104, 105])
def test_audit_of_a_book_that_moved_on_compares_what_no_later_push_touched(version: int) -> None:
    """Whether the snapshot is older, newer, at a push's version or inside one: no difference is invented."""
    truth = {
        100: BIDS,
        101: ((99, 6), *BIDS[1:]),
        103: ((99, 6), (98, 1), (90, 7)),
        104: ((99, 6), (90, 7)),
        105: ((99, 1), (90, 7)),
    }
    pushes = [delta(101, 101, ((99, 6),)), delta(102, 104, ((98, 0),)), delta(105, 105, ((99, 1),))]
    for arrives_after in range(len(pushes) + 1):
        sync, now_ns = audited()
        for index, push in enumerate([*pushes, delta(106, 106, ((80, 1),))]):
            if index == arrives_after:
                sync.on_snapshot(snapshot(version, truth[version]), now_ns)
            sync.on_delta(push, now_ns)
        assert (sync.audit.counters.done, sync.audit.counters.mismatches) == (1, 0), arrives_after
        assert sync.audit.counters.levels >= 3
        assert sync.state is BookState.PROVEN


def test_audit_that_differs_at_the_same_version_throws_the_book_away() -> None:
    sync, now_ns = audited()
    sync.on_delta(delta(101, 101, ((98, 1),)), now_ns)  # the venue says 4
    result = sync.on_snapshot(snapshot(101), now_ns)
    assert sync.state is BookState.GAP
    assert "audit: 1 levels differ" in sync.reason
    assert "bid 98 ticks: 1 lots here, 4 there" in sync.reason
    assert result.fetch_not_before_ns is not None
    assert not result.is_audit
    sync.on_delta(delta(102, 102), now_ns)
    sync.on_snapshot(snapshot(101), now_ns)
    assert sync.state is BookState.PROVEN


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        (((99, 5), (98, 4), (97, 1), (90, 7)), ASKS),  # a level that is not here
        (((99, 5), (90, 7)), ASKS),  # a level that is not there
        (BIDS, ((101, 2), (105, 1), (110, 3))),
        (BIDS, ()),
        ((), ASKS),
    ],
)
def test_audit_finds_levels_missing_on_either_side(bids: tuple[Level, ...], asks: tuple[Level, ...]) -> None:
    sync, now_ns = audited()
    sync.on_snapshot(snapshot(100, bids, asks), now_ns)
    assert sync.state is BookState.GAP
    assert sync.audit.counters.differing == 1


def test_audit_knows_nothing_beyond_the_shallower_cut() -> None:
    sync, now_ns = audited()
    sync.on_snapshot(snapshot(100, ((99, 5),), ((101, 2), (110, 3), (200, 9))), now_ns)
    assert (sync.audit.counters.done, sync.audit.counters.levels, sync.audit.counters.mismatches) == (1, 3, 0)


def test_audit_that_differs_inside_a_push_looks_again_before_it_judges() -> None:
    sync, now_ns = audited()
    for round_number in (1, 2):
        version = sync.book.version
        sync.on_delta(delta(version + 1, version + 3, ((99, 5),)), now_ns)
        sync.on_snapshot(snapshot(version + 2, ((99, 5), (98, 1), (90, 7))), now_ns)
        assert sync.audit.counters.differing == round_number
        assert (sync.state is BookState.PROVEN) is (round_number == 1)
        if round_number == 1:
            now_ns = open_next(sync, now_ns)


def test_audit_behind_a_lagging_rest_waits_longer_each_time_and_never_judges() -> None:
    sync, now_ns = audited()
    leads = []
    for _ in range(6):
        sync.on_snapshot(snapshot(sync.book.version - 1), now_ns)
        assert sync.state is BookState.PROVEN
        opened_ns = now_ns
        now_ns = open_next(sync, now_ns)
        leads.append(now_ns - opened_ns)
    assert sync.audit.counters.without_verdict == 6
    assert sync.audit.counters.done == 0
    assert leads == sorted(leads)
    assert leads[-1] >= LEAD_MAX_NS


def test_audit_behind_a_rest_that_lags_for_ever_comes_ever_more_seldom_until_one_judges() -> None:
    sync, now_ns = audited()

    def lag(now_ns: int) -> int:
        sync.on_snapshot(snapshot(99), now_ns)
        return open_next(sync, now_ns, is_moving=True)

    opened = [now_ns]
    while len(opened) < 10:
        opened.append(lag(opened[-1]))
    pauses_ns = [after - before for before, after in pairwise(opened)]
    assert pauses_ns == sorted(pauses_ns)
    assert pauses_ns[0] <= 5 * NS_PER_S
    assert SETTINGS.audit_interval_ns <= pauses_ns[-1] <= SETTINGS.audit_interval_ns + LEAD_MAX_NS + NS_PER_S
    now_ns = opened[-1]
    sync.on_snapshot(snapshot(sync.book.version, tuple(sync.book.bids(9)), tuple(sync.book.asks(9))), now_ns)
    assert sync.audit.counters.done == 1
    now_ns = open_next(sync, now_ns, is_moving=True)
    assert lag(now_ns) - now_ns <= 5 * NS_PER_S + LEAD_MAX_NS


def test_audit_is_given_up_when_the_snapshot_stays_away_fails_or_the_proof_goes() -> None:
    sync, now_ns = audited()
    sync.on_alive(now_ns + PATIENCE_NS)
    sync.on_timer(now_ns + PATIENCE_NS + 1)
    assert sync.audit.counters.without_verdict == 1
    sync, now_ns = audited()
    sync.on_snapshot_failed(now_ns)
    assert not sync.audit.is_open
    sync, now_ns = audited()
    sync.on_delta(delta(105, 105), now_ns)
    assert not sync.audit.is_open


def test_audit_whose_turn_comes_late_still_judges_by_the_newest_pushes() -> None:
    """A node's turns may be minutes away: what matters are the pushes after the snapshot's version."""
    sync, now_ns = audited()
    last = 100 + 2 * PUSHES_MAX
    for version in range(101, last + 1):
        sync.on_delta(delta(version, version, ((98, version),)), now_ns + version)
    sync.on_snapshot(snapshot(last - 3, ((99, 5), (98, last - 3), (90, 7))), now_ns + last)
    assert (sync.audit.counters.done, sync.audit.counters.mismatches) == (1, 0)
    assert sync.book.qty_at(Side.BUY, 98) == last, "the pushes after the snapshot still count"
    assert (sync.state, sync.book.version) == (BookState.PROVEN, last)


def test_audit_snapshot_older_than_all_remembered_pushes_gives_no_verdict() -> None:
    sync, now_ns = audited()
    for version in range(101, 102 + PUSHES_MAX):
        sync.on_delta(delta(version, version), now_ns)
    sync.on_snapshot(snapshot(100), now_ns)
    assert (sync.audit.counters.done, sync.audit.counters.without_verdict) == (0, 1)
    assert sync.state is BookState.PROVEN


def test_audit_that_agrees_deepens_the_book_down_to_its_own_cut() -> None:
    sync, now_ns = audited()
    assert not sync.book.is_known(Side.BUY, 80)
    sync.on_delta(delta(101, 101, ((70, 4),)), now_ns)
    assert sync.book.bids(9) == list(BIDS)
    sync.on_delta(delta(102, 102, ((99, 6),)), now_ns)
    sync.on_snapshot(snapshot(101, (*BIDS, (85, 2), (70, 4), (60, 1)), (*ASKS, (150, 1))), now_ns)
    assert sync.book.bids(9) == [(99, 6), (98, 4), (90, 7), (85, 2), (70, 4), (60, 1)]
    assert (sync.book.version, sync.book.deepest_known_bid, sync.book.deepest_known_ask) == (102, 60, 150)
    assert sync.state is BookState.PROVEN


def test_audit_whose_snapshot_ends_above_the_market_costs_the_proof_in_the_same_step() -> None:
    sync, now_ns = audited()
    sync.on_delta(delta(101, 101, ((99, 0),)), now_ns)
    result = sync.on_snapshot(snapshot(100, ((99, 5),)), now_ns)
    assert sync.audit.counters.mismatches == 0
    assert sync.state is BookState.GAP, "the best bid is not known any more"
    assert result.fetch_not_before_ns is not None


def test_audit_that_contradicts_the_book_costs_the_proof_each_time_at_the_audits_pace() -> None:
    sync, now_ns = audited()
    for round_number in range(1, 6):
        lost_ns = now_ns
        sync.on_snapshot(snapshot(sync.book.version, ()), now_ns)
        assert (sync.state is BookState.PROVEN) is False, round_number
        assert sync.audit.counters.differing == round_number
        sync.on_delta(delta(100, 100), now_ns)
        sync.on_snapshot(snapshot(100), now_ns)
        assert sync.state is BookState.PROVEN
        now_ns = open_next(sync, now_ns)
        assert now_ns - lost_ns >= SETTINGS.audit_quiet_ns, "no faster than other audits"


def test_audits_of_a_fleet_are_spread_over_the_whole_interval() -> None:
    due = []
    for number in range(200):
        name = f"{number * 7919 % 1000:03}XUSDT"
        sync = BookSync(name, SETTINGS)
        sync.on_connected(START_NS)
        sync.on_delta(BookDelta(name, 1, 1, (), (), 0, 0), START_NS)
        sync.on_snapshot(BookSnapshot(name, 1, BIDS, ASKS, 0, 0), START_NS)
        due.append(open_next(sync, START_NS, is_moving=True) - START_NS)
    parts = Counter(int((at_ns - NS_PER_S) * 10 // SETTINGS.audit_interval_ns) for at_ns in due)
    assert all(8 <= parts[part] <= 32 for part in range(10)), parts


def test_audits_can_be_switched_off() -> None:
    with pytest.raises(AssertionError, match="no audit"):
        audited(BookSyncSettings(audit_interval_ns=0))
