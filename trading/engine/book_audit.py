"""The slow audit of a proven book: a REST snapshot of its own version must say the same. Pure.

May import `trading.model`, `trading.engine.book` and the settings. The version chain proves that no push was missed;
the audit asks whether pushes and snapshots tell of the same book at all, and whether ours was kept right.

While an audit is open the applied pushes are remembered. When the chain has reached the snapshot's version V, every
level that no push after V has touched must be equal in book and snapshot, as far down as both know. So a book that has
moved on is compared as exactly as one that stands still. A book found right then stands on that snapshot, and is known
down to its cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from trading.engine.book import MAX_LEVELS, Book
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.market import BookDelta, BookSnapshot, Level
from trading.model.units import NS_PER_S

PUSHES_MAX = 1_024
"""Newest pushes remembered while an audit is open (10 s of the 10 ms stream, more than REST was ever seen to lag). Its
turn at the venue may come minutes after it was opened: only the pushes after the snapshot's version matter."""

PATIENCE_NS = 900 * NS_PER_S
"""An audit without a verdict for so long is given up: whoever fetches has forgotten it."""

LEAD_MAX_NS = 8 * NS_PER_S
"""Longest wait between opening and fetching, for a REST side that lags the stream."""

LAGS_DOUBLED_MAX = 16
"""Audits in a row without a verdict that double the pause before the next; the interval ends it before."""

SUSPICIONS_MAX = 2
"""Differences in a row, seen between two pushes, that cost the book; a snapshot inside a push may mean a level that
changed and changed back. At a push's own version one is enough."""


class Verdict(StrEnum):
    """How an audit ended. LAGS: the snapshot is older than what is remembered. OPEN: not yet."""

    OPEN = "OPEN"
    AGREES = "AGREES"
    DIFFERS = "DIFFERS"
    LAGS = "LAGS"


@dataclass(slots=True)
class AuditCounters:
    """What happened since the start; grows only. `levels` are those compared, `mismatches` those that differed."""

    done: int = 0
    levels: int = 0
    mismatches: int = 0
    differing: int = 0
    without_verdict: int = 0


class BookAudit:
    """At most one audit of one book at a time. Owned by a `BookSync`."""

    def __init__(self) -> None:
        self.counters = AuditCounters()
        self.finding = ""
        """The first level that differed in the last audit that found one."""
        self._pushes: deque[BookDelta] = deque()
        self._opened_ns: int | None = None
        self._base_version = 0
        self._held: BookSnapshot | None = None
        self._held_ns = 0
        self._lead_ns = 0
        self._suspicions = 0

    @property
    def is_open(self) -> bool:
        """True between `open` and a verdict."""
        return self._opened_ns is not None

    @property
    def is_lost(self) -> bool:
        """True when the differences seen are enough to throw the book away, however often that was done before.

        A REST side whose versions are of another kind than we think would so cost each book a resync an audit; but on
        such versions no book could be proven either.
        """
        return self._suspicions >= SUSPICIONS_MAX

    def open(self, version: int, now_ns: int) -> int:
        """Begin to remember the pushes after `version`; return when the snapshot shall be fetched, at the earliest."""
        self._opened_ns, self._base_version = now_ns, version
        self._pushes.clear()
        self._held = None
        return now_ns + self._lead_ns

    def close(self) -> None:
        """End without a verdict: the proof is gone, or the fetch failed."""
        if self._opened_ns is not None:
            self._opened_ns = None
            self.counters.without_verdict += 1
        self._pushes.clear()
        self._held = None

    def note_loss(self) -> None:
        """Take note that the book was thrown away on an audit's word."""
        self._suspicions = 0

    def on_push(self, delta: BookDelta, book: Book) -> Verdict:
        """Remember a push that the book has applied; a snapshot that waited for it is compared."""
        self._pushes.append(delta)
        if len(self._pushes) > PUSHES_MAX:
            self._base_version = self._pushes.popleft().to_version
        if self._held is not None and book.version >= self._held.version:
            return self._judge(self._held, book)
        return Verdict.OPEN

    def on_snapshot(self, snapshot: BookSnapshot, book: Book, now_ns: int) -> Verdict:
        """Take the fetched snapshot: compare, or wait until the chain has reached its version."""
        if snapshot.version < self._base_version:
            self._lead_ns = min(max(NS_PER_S, 2 * self._lead_ns), LEAD_MAX_NS)
            self.close()
            return Verdict.LAGS
        if snapshot.version > book.version:
            self._held, self._held_ns = snapshot, now_ns
            return Verdict.OPEN
        return self._judge(snapshot, book)

    def ahead_since_ns(self) -> int | None:
        """Return since when a snapshot has shown a version that the chain has not reached; None while none has."""
        return self._held_ns if self._held is not None else None

    def on_timer(self, now_ns: int) -> None:
        """Give up what has been open for too long."""
        if self._opened_ns is not None and now_ns - self._opened_ns > PATIENCE_NS:
            self.close()

    def _judge(self, snapshot: BookSnapshot, book: Book) -> Verdict:
        later = [delta for delta in self._pushes if delta.to_version > snapshot.version]
        is_at_a_push = not later or later[0].from_version == snapshot.version + 1
        cut_bid, cut_ask = book.deepest_known_bid, book.deepest_known_ask
        bids = _differences(
            snapshot.bids,
            book.bids(MAX_LEVELS),
            {price for delta in later for price, _ in delta.bids},
            cut_bid if cut_bid is not None else 0,
            1,
        )
        asks = _differences(
            snapshot.asks,
            book.asks(MAX_LEVELS),
            {price for delta in later for price, _ in delta.asks},
            -cut_ask if cut_ask is not None else -(2**63),
            -1,
        )
        self._opened_ns, self._held = None, None
        self._pushes.clear()
        counters = self.counters
        counters.done += 1
        counters.levels += bids.compared + asks.compared
        found = bids.found + asks.found
        if not found:
            self._suspicions = 0
            book.deepen(snapshot, later)
            return Verdict.AGREES
        counters.differing += 1
        counters.mismatches += len(found)
        side, (price, ours, theirs) = ("bid", bids.found[0]) if bids.found else ("ask", asks.found[0])
        self.finding = (
            f"{len(found)} levels differ from the snapshot at version {snapshot.version}, "
            f"first {side} {price} ticks: {ours} lots here, {theirs} there"
        )
        self._suspicions += SUSPICIONS_MAX if is_at_a_push else 1
        return Verdict.DIFFERS


@dataclass(frozen=True, slots=True)
class _Compared:
    """One side: levels looked at, and (price, our lots, their lots) where they differ."""

    compared: int
    found: tuple[tuple[int, int, int], ...]


def _differences(theirs: tuple[Level, ...], ours: Iterable[Level], touched: set[int], cut: int, sign: int) -> _Compared:
    """Compare one side down to where both know it. sign: 1 for bids, -1 for asks; `cut` is in signed ticks.

    The snapshot ends at its deepest level: what is missing below is unknown there. A side without any is empty.
    """
    if theirs:
        cut = max(cut, min(sign * price for price, _ in theirs))
    there = {price: qty for price, qty in theirs if sign * price >= cut and price not in touched}
    here = {price: qty for price, qty in ours if sign * price >= cut and price not in touched}
    prices = there.keys() | here.keys()
    found = tuple(
        (price, here.get(price, 0), there.get(price, 0))
        for price in sorted(prices, key=lambda price: -sign * price)
        if here.get(price, 0) != there.get(price, 0)
    )
    return _Compared(len(prices), found)


class AuditTimes:
    """When the next audit of a book is due. Owned by a `BookSync`.

    Audits come at an interval, spread over the fleet by the symbol's name; sooner where no push has come for a while
    (a dead subscription looks like a quiet market), and much sooner after a sign that pushes are missing.
    """

    def __init__(self, symbol: str, settings: BookSyncSettings) -> None:
        """Of the settings those that begin with `audit`."""
        self._interval_ns, self._quiet_ns = settings.audit_interval_ns, settings.audit_quiet_ns
        # 0..1, the same in every process: where in the interval this symbol's audits lie.
        phase = int.from_bytes(symbol.encode()[-8:]) % 997 / 997
        self._first_ns = settings.audit_first_ns + int(phase * self._interval_ns)
        self._due_ns: int | None = None
        self._asked_ns = 0
        self._lagged = 0

    def is_due(self, pushed_ns: int, now_ns: int) -> bool:
        """True when an audit shall be opened now; it counts as opened. pushed_ns: when the last push came."""
        if not self._interval_ns:
            return False
        if self._due_ns is None:
            self._due_ns = now_ns + self._first_ns
        if now_ns < min(self._due_ns, max(pushed_ns, self._asked_ns) + self._quiet_ns):
            return False
        self.note_asked(now_ns)
        return True

    def note_asked(self, now_ns: int) -> None:
        """Take note that an audit was opened: the next is due an interval later."""
        self._asked_ns = now_ns
        self._due_ns = now_ns + self._interval_ns

    def note_verdict(self, verdict: Verdict, pause_ns: int, now_ns: int) -> None:
        """Look again soon after a difference, and after each lag in a row twice as late, at most at the interval."""
        if verdict is Verdict.LAGS:
            self.hasten(now_ns + min(pause_ns << self._lagged, self._interval_ns))
            self._lagged = min(self._lagged + 1, LAGS_DOUBLED_MAX)
        elif verdict is not Verdict.OPEN:
            self._lagged = 0
            if verdict is Verdict.DIFFERS:
                self.hasten(now_ns + pause_ns)

    def hasten(self, at_ns: int) -> None:
        """Make the next audit due at `at_ns`, or earlier if it was."""
        self._due_ns = at_ns if self._due_ns is None else min(self._due_ns, at_ns)
