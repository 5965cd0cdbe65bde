"""Whether a symbol's depth pushes still come, told from what its other sources show. Pure.

May import `trading.model` and the settings.

A subscription that the venue has forgotten looks exactly like a quiet market: the line answers PINGs and says nothing.
So evidence is taken from elsewhere: a version that REST or the book ticker has shown is due as a push; trades without
any push are a hint to look at REST. Evidence counts only until the next push.
"""

from __future__ import annotations

from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.units import NS_PER_S

REPEATS_MIN = 5
"""So many pushes must repeat what is known before their number says anything."""

TOGETHER_NS = NS_PER_S
"""Trades and quotes come unordered with their pushes: after a push they are no hint for so long."""

PATIENCE_DOUBLINGS_MAX = 4
"""A venue whose pushes stay away on every new line is asked for new lines ever more seldom, up to 16 times."""


class DepthWatch:
    """Evidence against one symbol's depth line. Owned by a `BookSync`; all times in ns, 0 for never."""

    def __init__(self) -> None:
        self.pushed_ns = 0
        """When the last push came."""
        self.pushed_version = 0
        """Where it led to; 0 before any on this line."""
        self.is_rest_late = False
        """REST was seen behind the stream, and no audit has agreed since."""
        self.repeats = 0
        """Pushes in a row that told only what the book held already."""
        self._repeats_since_ns = 0
        self._held_version = 0
        self._held_ns = 0
        self._connected_ns = 0
        self._missing_since_ns = 0
        self._hint_since_ns = 0
        self._doubted_ns = 0
        self._dead_lines = 0

    @property
    def is_missing(self) -> bool:
        """True when a version was shown that no push has told, and no push came since."""
        return self._missing_since_ns > self.pushed_ns

    @property
    def is_doubted(self) -> bool:
        """True when a proof was lost because pushes stayed away, and none came since: only a push heals that fast."""
        return self._doubted_ns > self.pushed_ns

    @property
    def is_doubtful(self) -> bool:
        """True when silence alone proves little: REST lags, or pushes are missing."""
        return self.is_rest_late or self.is_missing or self.is_doubted

    def quiet_proof_ns(self, settings: BookSyncSettings) -> int:
        """Return how long nothing must come until it proves a snapshot."""
        return settings.rest_lag_ns if self.is_doubtful else settings.quiet_proof_ns

    @property
    def quiet_since_ns(self) -> int:
        """Since when no push has come on this line."""
        return max(self.pushed_ns, self._connected_ns)

    def on_connected(self, now_ns: int) -> None:
        """Give a new line its chance; what was lost on the old one stays doubtful until a push comes."""
        self._connected_ns = now_ns
        self.pushed_version = 0
        self._missing_since_ns = self._hint_since_ns = 0

    def note_held(self, version: int, now_ns: int) -> None:
        """Take note of the version of a book that is thrown away; 0 when there was none."""
        version = max(version, self.pushed_version)
        if version:
            self._held_version, self._held_ns = version, now_ns

    def needed_version(self, settings: BookSyncSettings, now_ns: int) -> int:
        """Return the version below which a snapshot is known to be old, where no push waits for it.

        What was held before counts on a new line too, until REST cannot lag behind it any more or a push comes: then it
        is the venue's numbering that has begun anew.
        """
        if self.pushed_version:
            return self.pushed_version
        return self._held_version if now_ns - self._held_ns <= settings.rest_lag_ns else 0

    def has_begun_anew(self, patience_ns: int, now_ns: int) -> bool:
        """Take note of a repeat; True when for so long nothing else came: the venue's versions have begun anew."""
        self.repeats += 1
        if self.repeats == 1:
            self._repeats_since_ns = now_ns
        return self.repeats > REPEATS_MIN and now_ns - self._repeats_since_ns > patience_ns

    def on_shown(self, now_ns: int) -> None:
        """Take note that another source shows a version beyond all that was pushed."""
        if self._missing_since_ns <= self.pushed_ns:  # nothing is missing so far
            self._missing_since_ns = now_ns

    def on_hint(self, now_ns: int) -> None:
        """Take note of a trade, or of best prices that are not the book's: a push should have come with it."""
        if self._hint_since_ns <= self.pushed_ns and now_ns - self.pushed_ns > TOGETHER_NS:
            self._hint_since_ns = now_ns

    def has_hint(self, patience_ns: int, now_ns: int) -> bool:
        """Return whether a hint has stood for `patience_ns` without a push; tells it once."""
        if self._hint_since_ns <= self.pushed_ns or now_ns - self._hint_since_ns <= patience_ns:
            return False
        self._hint_since_ns = 0
        return True

    def is_dead(self, patience_ns: int, now_ns: int) -> bool:
        """Return whether shown versions have stayed away for so long that the line is to be given up."""
        patience_ns <<= min(self._count_dead(), PATIENCE_DOUBLINGS_MAX)
        return self.is_missing and now_ns - self._missing_since_ns > patience_ns

    def note_lost(self, now_ns: int) -> None:
        """Take note that a proof was lost because a shown version was not pushed."""
        self._doubted_ns = now_ns

    def note_dead(self, now_ns: int) -> None:
        """Take note that the line was given up; the evidence against it begins anew."""
        self._dead_lines = self._count_dead() + 1
        self._doubted_ns = self._missing_since_ns = now_ns

    def _count_dead(self) -> int:
        """Lines given up in a row; a push ends the row."""
        return self._dead_lines if self.is_doubted else 0
