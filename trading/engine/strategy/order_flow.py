"""How often takers come and how far they reach: the intensity of order flow, measured online. Pure.

May import `trading.model` and `trading.engine.edge`. Fed by `MarketMeasures`; read by strategies.
"""

from __future__ import annotations

from dataclasses import dataclass

from trading.engine.edge import BPS_PER_ONE
from trading.model.market import MarketTrade, Side
from trading.model.units import NS_PER_MS, NS_PER_S

LN2 = 0.6931471805599453
HALF_LIFE_S = 120.0
SWEEP_GAP_NS = 100 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Intensity:
    """Arrivals that reach a passive order at distance d of the mid, a side: rate(d) = base_per_s * exp(-decay * d).

    Attributes:
        base_per_s: arrivals of takers a second and side. decay_per_bps: 1 / the mean distance they reach, > 0.
    """

    base_per_s: float
    decay_per_bps: float


class OrderFlow:
    """Learns the intensity of Avellaneda and Stoikov's model from public trades. Owned by `MarketMeasures`.

    A taker's sweep, all trades of one side less than `SWEEP_GAP_NS` apart, is one arrival, and it reaches as far as its
    farthest trade. Its distance from the mid is taken as exponentially distributed from 0 on, so that the decay's
    maximum-likelihood estimate is 1 / mean distance: no grid of prices, one number to keep. Both sides are pooled:
    one side alone has too few trades on most symbols. Old arrivals fade with `HALF_LIFE_S`.
    """

    def __init__(self) -> None:
        self._count = 0.0  # decayed arrivals that are over, both sides
        self._reach_bps = 0.0  # decayed sum of their distances
        self._at_ns = 0
        self._first_ns = 0
        self._open: dict[Side, tuple[int, float]] = {}  # side -> (last trade at, farthest distance so far)

    def on_trade(self, trade: MarketTrade, mid_ticks: float, now_ns: int) -> None:
        """Take a public trade. mid_ticks: > 0, before the book has moved."""
        if not self._first_ns:
            self._first_ns = self._at_ns = now_ns
        side = trade.taker_side
        reach_bps = max(0.0, (trade.price_ticks - mid_ticks) * side.sign / mid_ticks * BPS_PER_ONE)
        pending = self._open.get(side)
        if pending is not None and now_ns - pending[0] < SWEEP_GAP_NS:
            self._open[side] = (now_ns, max(pending[1], reach_bps))
            return
        if pending is not None:
            self._take(pending[1], now_ns)
        self._open[side] = (now_ns, reach_bps)

    def intensity(self, least_reach_bps: float, now_ns: int) -> Intensity | None:
        """Return the estimate; None before two arrivals are over.

        Args: least_reach_bps: > 0; a shorter mean reach is taken as this (half of the usual spread: whoever takes,
        reaches the best price, and a stale mid must not hide that).
        """
        fade = 0.5 ** (max(0, now_ns - self._at_ns) / NS_PER_S / HALF_LIFE_S)
        count = self._count * fade
        if self._count < 2.0:
            return None
        # The window is exponential, and shorter than its full length while the memory is young.
        lived_s = max(1.0, (now_ns - self._first_ns) / NS_PER_S)
        window_s = HALF_LIFE_S / LN2 * (1.0 - 0.5 ** (lived_s / HALF_LIFE_S))
        reach_bps = max(least_reach_bps, self._reach_bps / self._count)
        return Intensity(count / window_s / 2.0, 1.0 / reach_bps)

    def _take(self, reach_bps: float, now_ns: int) -> None:
        fade = 0.5 ** (max(0, now_ns - self._at_ns) / NS_PER_S / HALF_LIFE_S)
        self._count = self._count * fade + 1.0
        self._reach_bps = self._reach_bps * fade + reach_bps
        self._at_ns = max(self._at_ns, now_ns)
