"""BookSync against the truth over random version chains with losses, repeats, swaps, late snapshots and reconnects.

A book that says PROVEN equals the truth at its own version, and a clean line proves it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncResult
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.market import BestQuote, BookDelta, BookSnapshot, BookState, Side
from trading.model.units import NS_PER_MS

SYMBOL = "龙虾USDT"
# Audits all the time: over a faulty line none may ever invent a difference.
AUDITED = BookSyncSettings(audit_first_ns=500 * NS_PER_MS, audit_interval_ns=500 * NS_PER_MS)
Sides = tuple[dict[int, int], dict[int, int]]

changes = st.lists(
    st.tuples(st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 8), st.integers(0, 3)), min_size=30, max_size=120
)
pushes = st.lists(st.integers(1, 5), min_size=20, max_size=60)
faults = st.lists(
    st.sampled_from(["ok", "ok", "ok", "ok", "drop", "repeat", "swap", "old_repeat", "disconnect", "quote", "timer"]),
    min_size=20,
    max_size=60,
)
lags = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 25), st.booleans()), min_size=1, max_size=10)


@dataclass
class Venue:
    """The truth: the book after each version, and the pushes that lead there."""

    versions: list[Sides] = field(default_factory=lambda: [({}, {})])
    deltas: list[BookDelta] = field(default_factory=list)

    @classmethod
    def grow(cls, steps: list[tuple[Side, int, int]], sizes: list[int]) -> Venue:
        venue = cls()
        position = 0
        for size in sizes:
            batch = [steps[(position + offset) % len(steps)] for offset in range(size)]
            bids: dict[int, int] = {}
            asks: dict[int, int] = {}
            for side, distance, qty in batch:
                old_bids, old_asks = venue.versions[-1]
                new_bids, new_asks = dict(old_bids), dict(old_asks)
                price = 100 - distance if side is Side.BUY else 100 + distance
                for levels, wire in ((new_bids, bids),) if side is Side.BUY else ((new_asks, asks),):
                    wire[price] = qty
                    levels[price] = qty
                    if not qty:
                        del levels[price]
                venue.versions.append((new_bids, new_asks))
            first = len(venue.versions) - size
            venue.deltas.append(
                BookDelta(SYMBOL, first, len(venue.versions) - 1, tuple(bids.items()), tuple(asks.items()), 0, 0)
            )
            position += size
        return venue

    def snapshot(self, version: int) -> BookSnapshot:
        bids, asks = self.versions[version]
        return BookSnapshot(
            SYMBOL, version, tuple(sorted(bids.items(), reverse=True)), tuple(sorted(asks.items())), 0, 0
        )

    def quote(self, version: int) -> BestQuote:
        bids, asks = self.versions[version]
        bid = (max(bids), bids[max(bids)]) if bids else None
        ask = (min(asks), asks[min(asks)]) if asks else None
        return BestQuote(SYMBOL, version, bid, ask, 0, 0)


class Line:
    """Drives one BookSync and checks it after every input; snapshots come late and from the past."""

    def __init__(self, venue: Venue, lags: list[tuple[int, int, bool]]) -> None:
        self.venue, self.lags = venue, lags
        self.sync = BookSync(SYMBOL, AUDITED)
        self.now_ns = 10**18
        self.asked = 0
        self.due: list[tuple[int, int, bool]] = []  # (inputs until it arrives, version, does it fail)
        self.sent_version = 0

    def take(self, result: SyncResult) -> None:
        sync, truth = self.sync, self.venue.versions
        if sync.state is BookState.PROVEN:
            bids, asks = truth[sync.book.version]
            assert dict(sync.book.bids(1000)) == bids
            assert dict(sync.book.asks(1000)) == asks
            assert not sync.book.is_crossed
        assert sync.audit.counters.differing == 0, sync.audit.finding
        if result.fetch_not_before_ns is not None:
            delay, age, fails = self.lags[self.asked % len(self.lags)]
            self.asked += 1
            self.due.append((delay, max(0, self.sent_version - age), fails))

    def pass_time(self) -> None:
        self.now_ns += 100 * NS_PER_MS
        ripe = [item for item in self.due if item[0] <= 0]
        self.due = [(delay - 1, version, fails) for delay, version, fails in self.due if delay > 0]
        for _, version, fails in ripe:
            if fails:
                self.take(self.sync.on_snapshot_failed(self.now_ns))
            else:
                self.take(self.sync.on_snapshot(self.venue.snapshot(version), self.now_ns))
        self.take(self.sync.on_timer(self.now_ns))

    def push(self, delta: BookDelta) -> None:
        self.sent_version = max(self.sent_version, delta.to_version)
        self.take(self.sync.on_delta(delta, self.now_ns))
        self.pass_time()

    def apply_fault(self, kind: str, index: int) -> None:
        deltas = self.venue.deltas
        delta = deltas[index]
        match kind:
            case "drop":
                self.sent_version = max(self.sent_version, delta.to_version)
                self.pass_time()
            case "repeat":
                self.push(delta)
                self.push(delta)
            case "swap":
                if index + 1 < len(deltas):
                    self.push(deltas[index + 1])
                self.push(delta)
            case "old_repeat":
                self.push(delta)
                self.push(deltas[index // 2])
            case "disconnect":
                self.take(self.sync.on_disconnected("closed", self.now_ns))
                self.push(delta)
                self.take(self.sync.on_connected(self.now_ns))
            case "quote":
                self.take(self.sync.on_best_quote(self.venue.quote(delta.to_version), self.now_ns))
                self.push(delta)
            case "timer":
                for _ in range(8):
                    self.pass_time()
                self.push(delta)
            case _:
                self.push(delta)


@given(steps=changes, sizes=pushes, kinds=faults, lags=lags)
def test_book_sync_over_a_faulty_line_is_never_proven_and_wrong(
    steps: list[tuple[Side, int, int]], sizes: list[int], kinds: list[str], lags: list[tuple[int, int, bool]]
) -> None:
    line = Line(Venue.grow(steps, sizes), lags)
    line.take(line.sync.on_connected(line.now_ns))
    for index in range(len(sizes)):
        line.apply_fault(kinds[index % len(kinds)], index)


@given(steps=changes, sizes=pushes, kinds=faults, lags=lags)
def test_book_sync_after_the_faults_end_is_proven_again(
    steps: list[tuple[Side, int, int]], sizes: list[int], kinds: list[str], lags: list[tuple[int, int, bool]]
) -> None:
    tail = [1] * 200
    line = Line(Venue.grow(steps, sizes + tail), lags)
    line.take(line.sync.on_connected(line.now_ns))
    for index in range(len(sizes)):
        line.apply_fault(kinds[index % len(kinds)], index)
    line.lags = [(1, 0, False)]
    for index in range(len(sizes), len(sizes) + len(tail)):
        line.push(line.venue.deltas[index])
    assert line.sync.state is BookState.PROVEN
    assert line.sync.book.version == len(line.venue.versions) - 1
