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

from trading.engine.book import Book
from trading.engine.book_audit import AuditTimes, BookAudit, Verdict
from trading.engine.book_sync_result import SyncKind, SyncResult
from trading.engine.book_sync_settings import BookSyncSettings, SnapshotPauses, SyncCounters
from trading.engine.depth_watch import DepthWatch
from trading.engine.quote_check import Comparison, QuoteCheck, is_same_best
from trading.model.market import BestQuote, BookDelta, BookSnapshot, BookState
from trading.model.units import NS_PER_MS

_APPLIED, _IGNORED = SyncResult(SyncKind.APPLIED), SyncResult(SyncKind.IGNORED)


class BookSync:
    """Keeps one book and its proof. Owned by one symbol's engine; `now_ns` never runs backwards.

    Invariants: PROVEN implies an unbroken version chain from a snapshot, an uncrossed book whose best is within the
    depth that the snapshot gave, and a line heard of within `stale_after_ns`; at most one snapshot is asked for.
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
        self._audit_times = AuditTimes(symbol, self.settings)
        self._watch = DepthWatch()
        self._refresh_asked_ns = 0
        self._chain_exch_ns = 0  # the venue's stamp of the snapshot that the chain began with
        self._is_connected = False
        self._has_chain = False  # the book holds a snapshot and every push since
        self._is_confirmed = False  # a push, or a second look, has shown that the snapshot was not behind the stream
        self._is_first_push = False  # the next push may start inside the snapshot
        self._buffer: deque[BookDelta] = deque(maxlen=self.settings.buffer_max)
        self._heard_ns = 0
        self._wanted_ns: int | None = None  # when the outstanding snapshot request was due
        self._pauses = SnapshotPauses(self.settings.retry_pause_ns, self.settings.retry_pause_max_ns)
        self._unproven_since_ns = 0
        self._crossed_since_ns = 0
        self._quiet_since_ns = 0

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
        self._pauses.reset()
        self._watch.on_connected(now_ns)
        return self._restart(BookState.SYNCING, "waiting for a snapshot", now_ns)

    def on_disconnected(self, reason: str, now_ns: int) -> SyncResult:
        """Drop the book, the buffer and the proof: versions cannot be resumed across connections."""
        self._is_connected = False
        self._wanted_ns = None
        self._buffer.clear()
        self._forget_book(now_ns)
        self._enter(BookState.SYNCING, f"disconnected: {reason}", now_ns)
        return SyncResult(SyncKind.RESYNC)

    def on_alive(self, now_ns: int) -> SyncResult:
        """Take note of a sign of life that carries no change."""
        self._heard(now_ns)
        return _IGNORED

    def on_trade(self, now_ns: int) -> None:
        """Take note of a trade: alive, and a change of the book that a push should tell."""
        self._heard(now_ns)
        self._watch.on_hint(now_ns)

    # --- the chain --------------------------------------------------------------------------------------------------

    def on_delta(self, delta: BookDelta, now_ns: int) -> SyncResult:
        """Apply, ignore or buffer one push, or lose the proof over it."""
        counters = self.counters
        counters.frames += 1
        watch, self._heard_ns = self._watch, now_ns
        watch.pushed_ns, watch.pushed_version = now_ns, delta.to_version
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
        watch.repeats = 0
        self.book.apply_delta(delta)
        if self.book.is_outrun:
            return self._outrun(now_ns)
        self._judge(now_ns)
        result = self._weigh(self.quote_check.follow(self.book), now_ns) if self.quote_check.pending else None
        if self.audit.is_open:
            result = result or self._after_audit(self.audit.on_push(delta, self.book), now_ns)
        return result or _APPLIED

    def on_snapshot(self, snapshot: BookSnapshot, now_ns: int) -> SyncResult:
        """Start the chain at a snapshot, or see that it is too old, or take it as the second look of a quiet symbol."""
        if not self._is_connected:
            return _IGNORED
        if self._has_chain and self._is_confirmed:
            if self.audit.is_open:
                return self._after_audit(self.audit.on_snapshot(snapshot, self.book, now_ns), now_ns) or _IGNORED
            return _IGNORED
        self.counters.snapshots += 1
        self._wanted_ns = None
        if self._has_chain:
            if snapshot.version == self.book.version and self.quote_check.ahead_since_ns() is None:
                return self._look_again(snapshot, now_ns)
            if snapshot.version <= self.book.version:
                return self._ask_again(now_ns)
            self._watch.on_shown(now_ns)
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
        self._heard_ns = now_ns
        if self.state is BookState.STALE:
            self._heard(now_ns)
        if not quote.version or not self.quote_check.is_trusted:
            # It compares with no state of the book; where no push comes, prices that stay different are worth a look.
            if self._is_confirmed and not is_same_best(quote, self.book):
                self._watch.on_hint(now_ns)
            if not quote.version:
                return _IGNORED
        elif self._has_chain and quote.version > self.book.version:
            self._watch.on_shown(now_ns)
        if not self._has_chain:
            self.quote_check.hold(quote, now_ns)
            return _IGNORED
        comparison = self.quote_check.take(quote, self.book, now_ns)  # of nearly all quotes NONE
        return _IGNORED if comparison is Comparison.NONE else self._weigh(comparison, now_ns) or _IGNORED

    def on_timer(self, now_ns: int) -> SyncResult:
        """Judge silence, lasting crossings, a ticker that runs ahead, unanswered and unconfirmed snapshots."""
        if not self._is_connected:
            return _IGNORED
        settings = self.settings
        if self.state is not BookState.STALE and now_ns - self._heard_ns > settings.stale_after_ns:
            self.counters.stale += 1
            self._enter(BookState.STALE, f"nothing heard for {(now_ns - self._heard_ns) // NS_PER_MS} ms", now_ns)
        if self.state is BookState.CROSSED and now_ns - self._crossed_since_ns > settings.crossed_patience_ns:
            return self._restart(BookState.GAP, f"stayed crossed: {self.reason}", now_ns)
        if self._watch.is_dead(settings.dead_after_ns, now_ns):
            return self._lose_line(now_ns)
        ahead_since_ns = self.quote_check.ahead_since_ns() if self._has_chain else None
        if ahead_since_ns is not None and now_ns - ahead_since_ns > settings.ticker_patience_ns:
            if self._watch.is_missing:
                self._watch.note_lost(now_ns)
            return self._doubt(f"book stays at version {self.book.version} while the book ticker goes on", now_ns)
        return self._audit_in_time(now_ns) if self._is_confirmed else self._chase_snapshot(now_ns)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _hold(self, delta: BookDelta) -> SyncResult:
        if len(self._buffer) == self.settings.buffer_max:
            self.counters.buffer_dropped += 1
        self._buffer.append(delta)
        return SyncResult(SyncKind.BUFFERED)

    def _start_chain(self, snapshot: BookSnapshot, now_ns: int) -> SyncResult:
        buffer = self._buffer
        needed = buffer[0].from_version - 1 if buffer else self._watch.needed_version(self.settings, now_ns)
        if snapshot.version < needed:
            # Older than what was told before: the push after the snapshot is not among those we hold.
            self.counters.snapshots_lagging += 1
            self._watch.is_rest_late = True
            return self._ask_again(now_ns)
        self.book.apply_snapshot(snapshot)
        self._has_chain = True
        self._is_first_push = True
        # Any push held back, applied or already contained, shows that the snapshot is not behind the stream; so does
        # a silence before it, where nothing speaks against the line.
        is_silent = not self._watch.is_doubtful and not self.quote_check.shows_beyond(snapshot.version)
        silent_since_ns = self._watch.quiet_since_ns if is_silent else now_ns
        self._is_confirmed = bool(buffer) or self._is_quiet_proof(silent_since_ns, now_ns)
        self._quiet_since_ns = now_ns
        self._chain_exch_ns = snapshot.exch_ts_ns
        while buffer:
            delta = buffer.popleft()
            if delta.to_version <= self.book.version:
                continue
            if delta.from_version > self.book.version + 1:
                self.counters.gaps += 1
                buffer.appendleft(delta)
                reason = f"hole in the buffer: expected version {self.book.version + 1}, was {delta.from_version}"
                self._forget_book(now_ns)
                self._enter(BookState.GAP, reason, now_ns)
                return self._ask_again(now_ns)
            self.book.apply_delta(delta)
            self._is_first_push = False
        if self.book.is_outrun:
            return self._outrun(now_ns)
        self._judge(now_ns)
        return self._weigh(self.quote_check.begin(self.book, now_ns), now_ns) or _APPLIED

    def _pass_over(self, delta: BookDelta, now_ns: int) -> SyncResult:
        """Ignore a push that the book already contains, unless nothing else comes any more."""
        self.counters.duplicates += 1
        if self._watch.has_begun_anew(self.settings.behind_patience_ns, now_ns):
            reason = f"pushes stay below version {self.book.version}, the last at {delta.to_version}"
            return self._begin_at(delta, reason, now_ns)
        if self.state is not BookState.PROVEN:
            self._is_confirmed = True  # the snapshot contains it, so it is not behind the stream
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
            # The ticker's topic says nothing of the depth topic, once that one has failed to follow it.
            if not self._is_confirmed and not self._watch.is_doubted:
                self._is_confirmed = True
                self._judge(now_ns)
        elif comparison is Comparison.DIFFERS and self.quote_check.is_lost():
            return self._doubt(f"best prices differ from the book ticker's at version {self.book.version}", now_ns)
        return None

    def _outrun(self, now_ns: int) -> SyncResult:
        """Lose the proof: the market has left the depth that the snapshot gave, and what lies there is unknown."""
        self.counters.outrun += 1
        return self._restart(BookState.GAP, f"at the snapshot's cut at version {self.book.version}", now_ns)

    def _look_again(self, snapshot: BookSnapshot, now_ns: int) -> SyncResult:
        """Take the same version once more, nothing having come in between, as the proof of a quiet symbol."""
        if 0 < snapshot.exch_ts_ns <= self._chain_exch_ns:  # a copy of the first answer says nothing new
            return self._ask_again(now_ns)
        self._is_confirmed = self._is_quiet_proof(self._quiet_since_ns, now_ns)
        self._judge(now_ns)
        return _IGNORED

    def _is_quiet_proof(self, since_ns: int, now_ns: int) -> bool:
        """Return whether a silence proves a snapshot that came at its end; short of REST's lag, look once more then."""
        quiet_ns = now_ns - since_ns
        if quiet_ns < self._watch.quiet_proof_ns(self.settings):
            return False
        if quiet_ns < self.settings.rest_lag_ns:
            self._audit_times.hasten(now_ns + self.settings.rest_lag_ns)
        return True

    def _audit_in_time(self, now_ns: int) -> SyncResult:
        """Judge a snapshot that is ahead of the book; ask for one that deepens it, or for an audit that is due."""
        audit, settings, watch = self.audit, self.settings, self._watch
        audit.on_timer(now_ns)
        ahead_since_ns = audit.ahead_since_ns()
        if ahead_since_ns is not None and now_ns - ahead_since_ns > settings.ahead_patience_ns:
            if watch.pushed_ns < ahead_since_ns:
                return self._lose_line(now_ns)
            return self._restart(BookState.GAP, f"version {self.book.version} is behind an audit's snapshot", now_ns)
        if self.state is not BookState.PROVEN:
            return _IGNORED
        if self.book.is_running_low and now_ns - self._refresh_asked_ns > settings.retry_pause_max_ns:
            self._refresh_asked_ns = now_ns
            if not audit.is_open:
                audit.open(self.book.version, now_ns)
            return SyncResult(SyncKind.IGNORED, now_ns)
        if watch.has_hint(settings.ticker_patience_ns, now_ns):
            self._audit_times.hasten(now_ns)
        if audit.is_open or not self._audit_times.is_due(watch.quiet_since_ns, now_ns):
            return _IGNORED
        return SyncResult(SyncKind.IGNORED, audit.open(self.book.version, now_ns), is_audit=True)

    def _after_audit(self, verdict: Verdict, now_ns: int) -> SyncResult | None:
        if verdict is Verdict.AGREES:
            self._watch.is_rest_late = False
            if self.book.is_outrun:  # its snapshot was cut above what the market has come to since
                return self._outrun(now_ns)
            if self.book.is_crossed:
                self._judge(now_ns)
        if verdict is Verdict.DIFFERS and self.audit.is_lost:
            self.audit.note_loss()
            return self._restart(BookState.GAP, f"audit: {self.audit.finding}", now_ns)
        self._audit_times.note_verdict(verdict, self.settings.ticker_patience_ns, now_ns)
        return None

    def _lose_line(self, now_ns: int) -> SyncResult:
        """Give up a depth subscription whose pushes stay away: no proof, and a new connection is wanted."""
        self.counters.dead_lines += 1
        self._watch.note_dead(now_ns)
        reason = "no depth push though newer versions are shown elsewhere"
        result = self._restart(BookState.STALE, reason, now_ns)
        return SyncResult(SyncKind.RESYNC, result.fetch_not_before_ns, reconnect=reason)

    def _doubt(self, reason: str, now_ns: int) -> SyncResult:
        self.quote_check.note_loss()
        return self._restart(BookState.GAP, reason, now_ns)

    def _restart(self, state: BookState, reason: str, now_ns: int) -> SyncResult:
        self._enter(state, reason, now_ns)
        self._forget_book(now_ns)
        self.counters.resyncs += 1
        self._wanted_ns = now_ns + self._pauses.next_ns()
        return SyncResult(SyncKind.RESYNC, self._wanted_ns)

    def _begin_at(self, delta: BookDelta, reason: str, now_ns: int) -> SyncResult:
        """Throw the book away and keep the push that broke the chain as the first of the next one."""
        result = self._restart(BookState.GAP, reason, now_ns)
        self._buffer.append(delta)
        return result

    def _ask_again(self, now_ns: int) -> SyncResult:
        self._wanted_ns = now_ns + max(self._pauses.next_ns(), self.settings.retry_pause_ns)
        return SyncResult(SyncKind.RESYNC, self._wanted_ns)

    def _chase_snapshot(self, now_ns: int) -> SyncResult:
        """Ask for a snapshot whose answer never came, and for the second look of a quiet symbol."""
        if self._wanted_ns is not None:
            return self._ask_again(now_ns) if now_ns - self._wanted_ns > self.settings.snapshot_timeout_ns else _IGNORED
        if self._has_chain and now_ns - self._quiet_since_ns < self._watch.quiet_proof_ns(self.settings):
            return _IGNORED
        self._wanted_ns = now_ns
        return SyncResult(SyncKind.IGNORED, now_ns)

    def _forget_book(self, now_ns: int) -> None:
        self._watch.note_held(self.book.version, now_ns)
        self.book.clear()
        self._has_chain = False
        self._is_confirmed = False
        self._watch.repeats = 0
        self.quote_check.reset()
        self.audit.close()

    def _heard(self, now_ns: int) -> None:
        self._heard_ns = now_ns
        if self.state is BookState.STALE and self._has_chain:
            self._judge(now_ns)
        elif self.state is BookState.STALE:
            self._enter(BookState.SYNCING, "waiting for a snapshot", now_ns)

    def _enter(self, state: BookState, reason: str, now_ns: int) -> None:
        if state is BookState.PROVEN:
            if self.state is not BookState.PROVEN:
                self.proven_since_ns = now_ns
                self.counters.note_proof(now_ns - self._unproven_since_ns if self._unproven_since_ns else 0)
        elif self.state is BookState.PROVEN:
            proven_ns = now_ns - self.proven_since_ns
            self.counters.proven_ns += proven_ns
            self._unproven_since_ns = now_ns
            if proven_ns >= self.settings.stable_after_ns:
                self._pauses.reset()
        elif not self._unproven_since_ns:
            self._unproven_since_ns = now_ns
        self.state = state
        self.reason = reason
