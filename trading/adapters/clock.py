"""Clocks: the shells' only source of time. May import the standard library.

The engine never sees a clock; it is told `now_ns`. The venue's clock is `trading.adapters.mexc.clock`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the shells need of time."""

    def now_ns(self) -> int:
        """Return ns since the epoch, UTC. May step when the host's clock is set: never subtract two of them."""
        ...

    def monotonic_ns(self) -> int:
        """Return ns since some fixed moment; never goes back. For durations and deadlines only."""
        ...


class SystemClock:
    """The host's clock."""

    def now_ns(self) -> int:
        """Return ns since the epoch, UTC."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return ns of the monotonic clock."""
        return time.monotonic_ns()


class ManualClock:
    """A clock that moves only when told: for tests and for replays. Both readings move together."""

    def __init__(self, now_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = 0

    def now_ns(self) -> int:
        """Return the set time."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Return ns advanced since construction."""
        return self._monotonic_ns

    def advance(self, duration_ns: int) -> int:
        """Move forward by `duration_ns` (>= 0) and return the new `now_ns`. Raises: ValueError when negative."""
        if duration_ns < 0:
            raise ValueError(f"expected a duration >= 0, was {duration_ns}")
        self._now_ns += duration_ns
        self._monotonic_ns += duration_ns
        return self._now_ns

    def step(self, offset_ns: int) -> int:
        """Set the wall clock by `offset_ns` (any sign), as an administrator would; the monotonic one stays."""
        self._now_ns += offset_ns
        return self._now_ns
