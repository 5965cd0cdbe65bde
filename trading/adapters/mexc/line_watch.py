"""Whether a line still lives, public or private: PINGs in time, and how long nothing at all has come. Pure.

May import the standard library only. A line may hang without a close (a router forgot it, the venue's host died): TCP
tells nothing for minutes. MEXC answers each JSON PING (mexc-protocol §1.2), so that on a living line something comes at
least as often as we ask.
"""

from __future__ import annotations

from math import ceil

LOOK_MAX_S = 1.0


class LineWatch:
    """Owned by one connection, which looks each `pause_s`.

    Silence is counted in looks, not by a clock: a process that was stopped looks once when it goes on, and reads what
    came meanwhile before it looks again.
    """

    def __init__(self, ping_interval_s: float, stall_timeout_s: float) -> None:
        """Args: stall_timeout_s: nothing came for so long, not even the answers to our PINGs: the line is dead."""
        self.pause_s = min(LOOK_MAX_S, ping_interval_s / 4, stall_timeout_s / 4)
        self._ping_looks = max(1, round(ping_interval_s / self.pause_s))
        self._dead_looks = ceil(stall_timeout_s / self.pause_s)
        self._unpinged = 0
        self._silent = 0
        self._heard_ns = 0

    def look(self, heard_ns: int) -> bool:
        """Look once; tell whether a PING is due. Args: heard_ns: when the last frame came, or another such mark."""
        self._silent = 0 if heard_ns != self._heard_ns else self._silent + 1
        self._heard_ns = heard_ns
        self._unpinged += 1
        is_due = self._unpinged >= self._ping_looks
        if is_due:
            self._unpinged = 0
        return is_due

    @property
    def silent_s(self) -> float:
        """For how long nothing has come, as far as was looked."""
        return self._silent * self.pause_s

    @property
    def is_dead(self) -> bool:
        """True when nothing came for the stall timeout."""
        return self._silent >= self._dead_looks
