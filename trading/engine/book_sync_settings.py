"""Bounds of patience and counters of `book_sync`. Pure; may import `trading.model`."""

from __future__ import annotations

from dataclasses import dataclass

from trading.model.units import NS_PER_MS, NS_PER_S


@dataclass(frozen=True, slots=True)
class BookSyncSettings:
    """Bounds of patience, in ns unless named otherwise.

    Attributes:
        stale_after_ns: silence (no push, no sign of life) after which the book is STALE. The venue cuts idle lines
            after 60 s, and our PING every 15 s is answered: 20 s without either means that the line is gone.
        snapshot_timeout_ns: a requested snapshot that has not come (nor failed) by then is asked for again.
        retry_pause_ns, retry_pause_max_ns: pause before another snapshot, doubled each time. REST lags the stream by
            up to seconds (tardis-node waits up to 6 s), so patience, never a torn-down socket, is the cure.
        quiet_proof_ns: a snapshot that no push confirms is fetched once more after this time; the same version twice,
            with a silent stream in between, is the proof for a quiet symbol. REST that lags by more would give the
            same old version twice: so the book is looked at again `rest_lag_ns` later (docs/adr/0011).
        rest_lag_ns: longest lag of REST behind the stream that anybody measured (6 s). Where REST was seen to lag, or
            pushes to stay away, a quiet symbol is proven only after this time.
        stable_after_ns: once proven for so long, the doubled pauses start over.
        crossed_patience_ns: how long a book may stay CROSSED before it is thrown away.
        ticker_patience_ns: how long the book may stay behind a version that the book ticker has shown.
        ahead_patience_ns: how long the book may stay behind a version that an audit's snapshot has shown.
        dead_after_ns: no push came for so long though a newer version was shown: the depth subscription is dead, and
            a new connection is wanted. Doubled for each new one that stays as silent.
        behind_patience_ns: how long pushes may all lie at or below the book's version (a rollover repeats a second of
            them) before it is the venue's numbering that has begun anew.
        audit_first_ns, audit_interval_ns: a proven book is compared with a REST snapshot at each interval, the first
            time after `audit_first_ns` and a part of the interval that the symbol's name gives; interval 0: never.
        audit_quiet_ns: sooner, when no push and no audit came for so long: it may be the subscription that is dead.
        buffer_max: pushes kept while waiting for a snapshot (40 s of the 10 ms stream); the oldest are dropped.
    """

    stale_after_ns: int = 20 * NS_PER_S
    snapshot_timeout_ns: int = 10 * NS_PER_S
    retry_pause_ns: int = 250 * NS_PER_MS
    retry_pause_max_ns: int = 5 * NS_PER_S
    quiet_proof_ns: int = 500 * NS_PER_MS
    rest_lag_ns: int = 6 * NS_PER_S
    stable_after_ns: int = 5 * NS_PER_S
    crossed_patience_ns: int = NS_PER_S
    ticker_patience_ns: int = 3 * NS_PER_S
    ahead_patience_ns: int = 5 * NS_PER_S
    dead_after_ns: int = 10 * NS_PER_S
    behind_patience_ns: int = 5 * NS_PER_S
    audit_first_ns: int = 20 * NS_PER_S
    audit_interval_ns: int = 300 * NS_PER_S
    audit_quiet_ns: int = 60 * NS_PER_S
    buffer_max: int = 4096


class SnapshotPauses:
    """Pauses before snapshots: none before the first after a stable time, then doubled up to the bound."""

    def __init__(self, first_ns: int, most_ns: int) -> None:
        self._first_ns, self._most_ns = first_ns, most_ns
        self._attempt = 0

    def reset(self) -> None:
        """Begin anew: the next pause is none."""
        self._attempt = 0

    def next_ns(self) -> int:
        """Return the next pause."""
        attempt, self._attempt = self._attempt, min(self._attempt + 1, 16)
        return min(self._first_ns << (attempt - 1), self._most_ns) if attempt else 0


@dataclass(slots=True)
class SyncCounters:
    """What happened since the start; grows only.

    `overlaps` are pushes that begin at or below the version though no snapshot came just before: harmless (quantities
    are absolute) but not what the venue promises. `proven_ns` counts finished stretches of PROVEN; `resyncs` are books
    begun anew, `outrun` those that the market led to the snapshot's cut, `dead_lines` those whose pushes stayed away
    until a new connection was asked for; `proofs` how often one was proven, `resync_ns` the time that took in all.
    """

    frames: int = 0
    duplicates: int = 0
    overlaps: int = 0
    gaps: int = 0
    resyncs: int = 0
    snapshots: int = 0
    snapshots_lagging: int = 0
    snapshots_failed: int = 0
    buffer_dropped: int = 0
    stale: int = 0
    crossed: int = 0
    outrun: int = 0
    dead_lines: int = 0
    proven_ns: int = 0
    proofs: int = 0
    resync_ns: int = 0
    last_resync_ns: int = 0
    longest_resync_ns: int = 0

    def note_proof(self, took_ns: int) -> None:
        """Count a proof that took so long to get back."""
        self.proofs += 1
        self.resync_ns += took_ns
        self.last_resync_ns = took_ns
        self.longest_resync_ns = max(self.longest_resync_ns, took_ns)
