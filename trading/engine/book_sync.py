"""Decides whether a book is proven. Pure; may import `trading.model`, `trading.engine.book` and the standard library.

The rule is MEXC's own (spot V3 "How to build a local order book", seven steps, read 2026-11-22) in one predicate:

    to <= version        ignore
    from <= version + 1  apply, version = to
    else                 a hole: throw the book away, fetch a snapshot, go on with this push as the first buffered one

Nothing here fetches: a result may ask for a snapshot, and the answer comes back as an event. After every call
`state` is the truth; only PROVEN may quote.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from trading.engine.book import Book
from trading.engine.book_audit import BookAudit, Verdict
from trading.engine.book_sync_settings import BookSyncSettings, SyncCounters
from trading.engine.quote_check import Comparison, QuoteCheck
from trading.model.market import BestQuote, BookDelta, BookSnapshot, BookState
from trading.model.units import NS_PER_MS

BEHIND_MIN = 5
"""So many pushes must repeat what is known before their number says anything."""


class SyncKind(StrEnum):
    """What became of an input: it changed the book, meant nothing to it, waits for a snapshot, or cost the proof."""

    APPLIED = "APPLIED"
    IGNORED = "IGNORED"
    BUFFERED = "BUFFERED"
    RESYNC = "RESYNC"


@dataclass(frozen=True, slots=True)
class SyncResult:
    """Outcome of one input.

    `fetch_not_before_ns`: None, or the earliest time at which a snapshot shall be fetched. `is_audit`: nothing waits
    for that snapshot; whatever else wants one goes first.
    """

    kind: SyncKind
    fetch_not_before_ns: int | None = None
    is_audit: bool = False


_APPLIED = SyncResult(SyncKind.APPLIED)
_IGNORED = SyncResult(SyncKind.IGNORED)
_BUFFERED = SyncResult(SyncKind.BUFFERED)


class BookSync:
    """Keeps one book and its proof. Owned by one symbol's engine; `now_ns` never runs backwards.

    Invariants: PROVEN implies an unbroken version chain from a snapshot, an uncrossed book and a line heard of within
    `stale_after_ns`; at most one snapshot request is outstanding.
    """

    def __init__(self, symbol: str, settings: BookSyncSettings | None = None) -> None:
        self.settings = settings or BookSyncSettings()
        self.book = Book(symbol)
        self.state = BookState.SYNCING
        self.reason = "not connected"
        self.proven_since_ns = 0
        self.counters = SyncCounters()
        self.quote_check = QuoteCheck()
        self.audit = BookAudit()
        # 0..1, the same in every process: where in the interval this symbol's audits lie.
        self._audit_phase = int.from_bytes(symbol.encode()[-8:]) % 997 / 997
        self._audit_due_ns: int | None = None
        self._is_connected = False
        self._has_chain = False  # the book holds a snapshot and every push since
        self._is_confirmed = False  # a push, or a second look, has shown that the snapshot was not behind the stream
        self._is_first_push = False  # the next push may start inside the snapshot
        self._buffer: deque[BookDelta] = deque(maxlen=self.settings.buffer_max)
        self._heard_ns = 0
        self._wanted_ns: int | None = None  # when the outstanding snapshot request was due
        self._attempt = 0
        self._unproven_since_ns = 0
        self._crossed_since_ns = 0
        self._quiet_since_ns = 0
        self._behind_since_ns = 0  # since when every push lies at or below the version, and how many did
        self._behind = 0

    @property
    def buffered(self) -> int:
        """Pushes waiting for a snapshot, at most `settings.buffer_max`."""
        return len(self._buffer)

    def proven_total_ns(self, now_ns: int) -> int:
        """Return the time spent PROVEN until now."""
        running = now_ns - self.proven_since_ns if self.state is BookState.PROVEN else 0
        return self.counters.proven_ns + running

    # --- the line ---------------------------------------------------------------------------------------------------

    def on_connected(self, now_ns: int) -> SyncResult:
        """Take note that every topic is live: a snapshot is wanted at once. Pushes since the loss are kept."""
        self._is_connected = True
        self._heard_ns = now_ns
        self._attempt = 0
        return self._restart(BookState.SYNCING, "waiting for a snapshot", now_ns)

    def on_disconnected(self, reason: str, now_ns: int) -> SyncResult:
        """Drop the book, the buffer and the proof: versions cannot be resumed across connections."""
        self._is_connected = False
        self._wanted_ns = None
        self._buffer.clear()
        self._forget_book()
        self._enter(BookState.SYNCING, f"disconnected: {reason}", now_ns)
        return SyncResult(SyncKind.RESYNC)

    def on_alive(self, now_ns: int) -> SyncResult:
        """Take note of a sign of life that carries no change."""
        self._heard(now_ns)
        return _IGNORED

    # --- the chain --------------------------------------------------------------------------------------------------

    def on_delta(self, delta: BookDelta, now_ns: int) -> SyncResult:
        """Apply, ignore or buffer one push, or lose the proof over it."""
        counters = self.counters
        counters.frames += 1
        self._heard_ns = now_ns
        if not self._has_chain:
            return self._hold(delta)
        version = self.book.version
        if delta.to_version <= version:
            return self._pass_over(delta, now_ns)
        if delta.from_version > version + 1:
            counters.gaps += 1
            return self._begin_at(delta, f"expected version {version + 1}, was {delta.from_version}", now_ns)
        if delta.from_version <= version and not self._is_first_push:
            counters.overlaps += 1
        self._is_first_push = False
        self._is_confirmed = True
        self._behind = 0
        self.book.apply_delta(delta)
        self._judge(now_ns)
        result: SyncResult | None = None
        if self.quote_check.pending:
            result = self._weigh(self.quote_check.follow(self.book), now_ns)
        if self.audit.is_open:
            result = result or self._after_audit(self.audit.on_push(delta, self.book), now_ns)
        return result or _APPLIED

    def on_snapshot(self, snapshot: BookSnapshot, now_ns: int) -> SyncResult:
        """Start the chain at a snapshot, or see that it is too old, or take it as the second look of a quiet symbol."""
        if not self._is_connected:
            return _IGNORED
        if self._has_chain and self._is_confirmed:
            if self.audit.is_open:
                return self._after_audit(self.audit.on_snapshot(snapshot, self.book), now_ns) or _IGNORED
            return _IGNORED
        self.counters.snapshots += 1
        self._wanted_ns = None
        if self._has_chain:
            if snapshot.version == self.book.version and self.quote_check.ahead_since_ns() is None:
                self._is_confirmed = True
                self._judge(now_ns)
                return _IGNORED
            if snapshot.version <= self.book.version:
                return self._ask_again(now_ns)
        return self._start_chain(snapshot, now_ns)

    def on_snapshot_failed(self, now_ns: int) -> SyncResult:
        """Ask again after a growing pause."""
        self.counters.snapshots_failed += 1
        if not self._is_connected or (self._has_chain and self._is_confirmed):
            self._wanted_ns = None
            self.audit.close()
            return _IGNORED
        return self._ask_again(now_ns)

    # --- doubts -----------------------------------------------------------------------------------------------------

    def on_best_quote(self, quote: BestQuote, now_ns: int) -> SyncResult:
        """Compare a book-ticker push with the book: at the same version they must agree, and the book must follow."""
        self._heard(now_ns)
        if not quote.version:
            return _IGNORED
        if not self._has_chain:
            self.quote_check.hold(quote, now_ns)
            return _IGNORED
        return self._weigh(self.quote_check.take(quote, self.book, now_ns), now_ns) or _IGNORED

    def on_timer(self, now_ns: int) -> SyncResult:
        """Judge silence, lasting crossings, a ticker that runs ahead, unanswered and unconfirmed snapshots."""
        if not self._is_connected:
            return _IGNORED
        settings = self.settings
        if self.state is not BookState.STALE and now_ns - self._heard_ns > settings.stale_after_ns:
            self.counters.stale += 1
            silence_ms = (now_ns - self._heard_ns) // NS_PER_MS
            self._enter(BookState.STALE, f"nothing heard for {silence_ms} ms", now_ns)
        if self.state is BookState.CROSSED and now_ns - self._crossed_since_ns > settings.crossed_patience_ns:
            return self._restart(BookState.GAP, f"stayed crossed: {self.reason}", now_ns)
        ahead_since_ns = self.quote_check.ahead_since_ns() if self._has_chain else None
        if ahead_since_ns is not None and now_ns - ahead_since_ns > settings.ticker_patience_ns:
            return self._doubt(f"book stays at version {self.book.version} while the book ticker goes on", now_ns)
        return self._audit_in_time(now_ns) if self._is_confirmed else self._chase_snapshot(now_ns)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _hold(self, delta: BookDelta) -> SyncResult:
        if len(self._buffer) == self.settings.buffer_max:
            self.counters.buffer_dropped += 1
        self._buffer.append(delta)
        return _BUFFERED

    def _start_chain(self, snapshot: BookSnapshot, now_ns: int) -> SyncResult:
        buffer = self._buffer
        if buffer and snapshot.version + 1 < buffer[0].from_version:
            # Older than the stream's first push: the push after the snapshot is not among those we hold.
            self.counters.snapshots_lagging += 1
            return self._ask_again(now_ns)
        self.book.apply_snapshot(snapshot)
        self._has_chain = True
        self._is_first_push = True
        # Any push held back, applied or already contained, shows that the snapshot is not behind the stream.
        self._is_confirmed = bool(buffer)
        self._quiet_since_ns = now_ns
        while buffer:
            delta = buffer.popleft()
            if delta.to_version <= self.book.version:
                continue
            if delta.from_version > self.book.version + 1:
                self.counters.gaps += 1
                buffer.appendleft(delta)
                reason = f"hole in the buffer: expected version {self.book.version + 1}, was {delta.from_version}"
                self._forget_book()
                self._enter(BookState.GAP, reason, now_ns)
                return self._ask_again(now_ns)
            self.book.apply_delta(delta)
            self._is_first_push = False
        self._judge(now_ns)
        return self._weigh(self.quote_check.begin(self.book, now_ns), now_ns) or _APPLIED

    def _pass_over(self, delta: BookDelta, now_ns: int) -> SyncResult:
        """Ignore a push that the book already contains, unless nothing else comes any more."""
        self.counters.duplicates += 1
        self._behind += 1
        if self._behind == 1:
            self._behind_since_ns = now_ns
        elif self._behind > BEHIND_MIN and now_ns - self._behind_since_ns > self.settings.behind_patience_ns:
            reason = f"pushes stay below version {self.book.version}, the last at {delta.to_version}"
            return self._begin_at(delta, reason, now_ns)
        if self.state is not BookState.PROVEN:
            # A push that the snapshot already contains shows that the snapshot is not behind the stream.
            self._is_confirmed = True
            self._judge(now_ns)
        return _IGNORED

    def _judge(self, now_ns: int) -> None:
        """Set the state from what the book is now; the chain is known to be whole."""
        if self.book.is_crossed:
            if self.state is not BookState.CROSSED:
                self.counters.crossed += 1
                self._crossed_since_ns = now_ns
                self._enter(BookState.CROSSED, f"best bid at or above best ask at version {self.book.version}", now_ns)
        elif not self._is_confirmed:
            self._enter(BookState.SYNCING, "waiting for a sign that the snapshot is current", now_ns)
        elif self.state is not BookState.PROVEN:
            self._enter(BookState.PROVEN, "", now_ns)

    def _weigh(self, comparison: Comparison, now_ns: int) -> SyncResult | None:
        """Take the ticker's word at the book's own version: it confirms a snapshot, or costs the book."""
        if comparison is Comparison.AGREES:
            if not self._is_confirmed:
                self._is_confirmed = True
                self._judge(now_ns)
        elif comparison is Comparison.DIFFERS and self.quote_check.is_lost():
            return self._doubt(f"best prices differ from the book ticker's at version {self.book.version}", now_ns)
        return None

    def _audit_in_time(self, now_ns: int) -> SyncResult:
        """Open an audit when one is due; a book that is proven has nothing else to wait for."""
        self.audit.on_timer(now_ns)
        settings = self.settings
        if not settings.audit_interval_ns or self.state is not BookState.PROVEN or self.audit.is_open:
            return _IGNORED
        if self._audit_due_ns is None:
            self._audit_due_ns = now_ns + settings.audit_first_ns + int(self._audit_phase * settings.audit_first_ns)
        if now_ns < self._audit_due_ns:
            return _IGNORED
        self._audit_due_ns = now_ns + settings.audit_interval_ns
        return SyncResult(SyncKind.IGNORED, self.audit.open(self.book.version, now_ns), is_audit=True)

    def _after_audit(self, verdict: Verdict, now_ns: int) -> SyncResult | None:
        if verdict is Verdict.DIFFERS and self.audit.is_lost:
            self.audit.note_loss()
            return self._restart(BookState.GAP, f"audit: {self.audit.finding}", now_ns)
        if verdict is Verdict.LAGS or (verdict is Verdict.DIFFERS and self.audit.is_suspicious):
            self._audit_due_ns = now_ns + self.settings.ticker_patience_ns
        return None

    def _doubt(self, reason: str, now_ns: int) -> SyncResult:
        self.quote_check.note_loss()
        return self._restart(BookState.GAP, reason, now_ns)

    def _restart(self, state: BookState, reason: str, now_ns: int) -> SyncResult:
        self._enter(state, reason, now_ns)
        self._forget_book()
        self.counters.resyncs += 1
        self._wanted_ns = now_ns + self._pause_ns()
        return SyncResult(SyncKind.RESYNC, self._wanted_ns)

    def _begin_at(self, delta: BookDelta, reason: str, now_ns: int) -> SyncResult:
        """Throw the book away and keep the push that broke the chain as the first of the next one."""
        result = self._restart(BookState.GAP, reason, now_ns)
        self._buffer.append(delta)
        return result

    def _ask_again(self, now_ns: int) -> SyncResult:
        self._wanted_ns = now_ns + max(self._pause_ns(), self.settings.retry_pause_ns)
        return SyncResult(SyncKind.RESYNC, self._wanted_ns)

    def _chase_snapshot(self, now_ns: int) -> SyncResult:
        """Ask for a snapshot whose answer never came, and for the second look of a quiet symbol."""
        if self._wanted_ns is not None:
            return self._ask_again(now_ns) if now_ns - self._wanted_ns > self.settings.snapshot_timeout_ns else _IGNORED
        if self._has_chain and now_ns - self._quiet_since_ns < self.settings.quiet_proof_ns:
            return _IGNORED
        self._wanted_ns = now_ns
        return SyncResult(SyncKind.IGNORED, now_ns)

    def _pause_ns(self) -> int:
        """Return 0 for the first snapshot after a stable time, then doubled pauses up to the bound."""
        attempt, self._attempt = self._attempt, min(self._attempt + 1, 16)
        if attempt == 0:
            return 0
        return min(self.settings.retry_pause_ns << (attempt - 1), self.settings.retry_pause_max_ns)

    def _forget_book(self) -> None:
        self.book.clear()
        self._has_chain = False
        self._is_confirmed = False
        self._behind = 0
        self.quote_check.reset()
        self.audit.close()

    def _heard(self, now_ns: int) -> None:
        self._heard_ns = now_ns
        if self.state is BookState.STALE:
            if self._has_chain:
                self._judge(now_ns)
            else:
                self._enter(BookState.SYNCING, "waiting for a snapshot", now_ns)

    def _enter(self, state: BookState, reason: str, now_ns: int) -> None:
        if state is BookState.PROVEN:
            if self.state is not BookState.PROVEN:
                self.proven_since_ns = now_ns
                took_ns = now_ns - self._unproven_since_ns if self._unproven_since_ns else 0
                self.counters.proofs += 1
                self.counters.resync_ns += took_ns
                self.counters.last_resync_ns = took_ns
                self.counters.longest_resync_ns = max(self.counters.longest_resync_ns, took_ns)
        elif self.state is BookState.PROVEN:
            proven_ns = now_ns - self.proven_since_ns
            self.counters.proven_ns += proven_ns
            self._unproven_since_ns = now_ns
            if proven_ns >= self.settings.stable_after_ns:
                self._attempt = 0
        elif not self._unproven_since_ns:
            self._unproven_since_ns = now_ns
        self.state = state
        self.reason = reason
