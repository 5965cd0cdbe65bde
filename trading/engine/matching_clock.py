"""The venue's time of what reaches us, by how late its stamps are at least. Pure; imports `trading.model` only."""

from __future__ import annotations

from trading.model.units import NS_PER_S

WINDOW_NS = 60 * NS_PER_S
"""The least delay of one to two such windows counts: clocks drift, routes change."""

NEAR_NS = NS_PER_S
"""A delay shorter than the least by more than this is a clock that was set, or one wrong stamp: a second one tells."""


class MarketClock:
    """Turns receive times into venue times. Owned by one paper venue.

    The least difference of receive time and stamp is the fastest way plus what the clocks are apart; pushes that are
    gathered come later than that, never sooner. So what is stamped before `at(now)` is older than what could have been
    told by now, whatever the clocks say. A stamp far ahead of all others counts once another frame bears it out.
    """

    __slots__ = ("_alone", "_alone_ns", "_before", "_began_ns", "_least")

    def __init__(self) -> None:
        self._least: int | None = None
        self._before: int | None = None
        self._began_ns = 0
        self._alone: int | None = None  # a delay far below the least known, or the first one
        self._alone_ns = 0

    def observe(self, exch_ts_ns: int, now_ns: int) -> None:
        """Take a stamp that has come now; 0 is none."""
        if exch_ts_ns <= 0:
            return
        if now_ns - self._began_ns > WINDOW_NS:
            self._before, self._least, self._alone, self._began_ns = self._least, None, None, now_ns
        delay_ns = now_ns - exch_ts_ns
        if self._least is not None and delay_ns >= self._least:
            return  # nearly always
        known = self._known()
        if known is not None and delay_ns >= known - NEAR_NS:
            if self._least is None or delay_ns < self._least:
                self._least = delay_ns
            return
        alone = self._alone
        if alone is None or abs(delay_ns - alone) > NEAR_NS:
            self._alone, self._alone_ns = delay_ns, now_ns
        elif now_ns == self._alone_ns:
            self._alone = min(alone, delay_ns)
        else:
            self._least, self._alone = min(alone, delay_ns), None

    def at(self, now_ns: int) -> int:
        """Return the venue time that can be told of at `now_ns`; 0 while no stamp was seen."""
        known = self._known()
        delay_ns = self._alone if known is None else known
        return max(0, now_ns - delay_ns) if delay_ns is not None else 0

    def _known(self) -> int | None:
        least, before = self._least, self._before
        if least is None or before is None:
            return least if before is None else before
        return min(least, before)
