"""The venue's time of what reaches us, by how late its stamps are at least. Pure; imports `trading.model` only."""

from __future__ import annotations

from trading.model.units import NS_PER_S

WINDOW_NS = 60 * NS_PER_S
"""The least delay of one to two such windows counts: clocks drift, routes change."""


class MarketClock:
    """Turns receive times into venue times. Owned by one paper venue.

    The least difference of receive time and stamp is the fastest way plus what the clocks are apart; pushes that are
    gathered come later than that, never sooner. So what is stamped before `at(now)` is older than what could have been
    told by now, whatever the clocks say.
    """

    __slots__ = ("_before", "_began_ns", "_least")

    def __init__(self) -> None:
        self._least: int | None = None
        self._before: int | None = None
        self._began_ns = 0

    def observe(self, exch_ts_ns: int, now_ns: int) -> None:
        """Take a stamp that has come now; 0 is none."""
        if exch_ts_ns <= 0:
            return
        if now_ns - self._began_ns > WINDOW_NS:
            self._before, self._least, self._began_ns = self._least, None, now_ns
        delay_ns = now_ns - exch_ts_ns
        if self._least is None or delay_ns < self._least:
            self._least = delay_ns

    def at(self, now_ns: int) -> int:
        """Return the venue time that can be told of at `now_ns`; 0 while no stamp was seen."""
        delays = [delay for delay in (self._least, self._before) if delay is not None]
        return max(0, now_ns - min(delays)) if delays else 0
