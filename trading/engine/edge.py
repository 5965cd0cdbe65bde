"""The edge of a passive round trip, in basis points: one formula, and the online estimate of what it cannot know.

Pure; may import `trading.model` and the standard library. Derivation: `docs/edge.md`. All estimates are floats; none
becomes a price.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import exp, inf
from typing import NamedTuple

from trading.model.market import Side
from trading.model.units import NS_PER_MS, NS_PER_S

BPS_PER_ONE = 10_000.0

HORIZONS_NS = (100 * NS_PER_MS, NS_PER_S, 10 * NS_PER_S)
"""After a fill the mid is looked at again so much later."""

TOLD_WITHIN_NS = NS_PER_S
"""An own fill told later than this after the last market trade on its side is not that trade's."""

_HORIZON_OF = {"0.1": HORIZONS_NS[0], "1": HORIZONS_NS[1], "10": HORIZONS_NS[2]}
HORIZON_CHOICES = (*_HORIZON_OF, "worst")
"""Texts by which a parameter names a horizon, in seconds."""


class EdgeTerms(NamedTuple):
    """What an entry is expected to earn, in bps of the mid: net = captured - fees - adverse - rounding.

    Attributes:
        quoted: the spread as quoted. captured: the part of it that is earned, as a taker exit earns none of it.
        fees: of both legs, by the expected mix of exits. adverse: of both legs alike, expected moves against us, >= 0.
        rounding: what is given away against the touch by quoting inside it and by rounding to ticks, >= 0.
        maker_exit_ratio: share of exits expected to be passive, 0..1. samples: weight of evidence behind `adverse`.
    """

    quoted: float
    captured: float
    fees: float
    adverse: float
    rounding: float
    net: float
    maker_exit_ratio: float
    samples: float

    def as_texts(self) -> tuple[tuple[str, str], ...]:
        """Render the terms for the journal, four decimals of a bp."""
        return (
            ("edge_quoted_bps", f"{self.quoted:.4f}"),
            ("edge_captured_bps", f"{self.captured:.4f}"),
            ("edge_fees_bps", f"{self.fees:.4f}"),
            ("edge_adverse_bps", f"{self.adverse:.4f}"),
            ("edge_rounding_bps", f"{self.rounding:.4f}"),
            ("edge_net_bps", f"{self.net:.4f}"),
            ("edge_maker_exit_ratio", f"{self.maker_exit_ratio:.4f}"),
            ("edge_adverse_samples", f"{self.samples:.2f}"),
        )


class RoundTrip(NamedTuple):
    """Prices of a buy at `entry_ticks` and a passive sale at `exit_ticks` in a book bid_ticks / ask_ticks.

    bid_ticks <= entry_ticks < exit_ticks <= ask_ticks.
    """

    bid_ticks: int
    ask_ticks: int
    entry_ticks: int
    exit_ticks: int


def entry_edge(
    trip: RoundTrip,
    maker_fee_rate: float,
    taker_fee_rate: float,
    maker_exit_ratio: float,
    adverse_bps: float,
    exit_adverse_bps: float,
    samples: float = 0.0,
) -> EdgeTerms:
    """Compute the expected edge of entering now.

    Args:
        maker_fee_rate, taker_fee_rate: fractions, the account's own. maker_exit_ratio: 0..1, cut to it.
        adverse_bps, exit_adverse_bps: expected adverse selection of a passive buy and of a passive sale; a passive exit
            ends just before the move that its buyer knew of, so that it pays as the entry does. Negative values (the
            market moves our way) count as 0: what was lucky so far is no reason to quote tighter.
    Guarantee: net <= quoted - fees; monotone: rising in the spread, falling in fees, adverse and rounding.
    """
    bid_ticks, ask_ticks, entry_ticks, exit_ticks = trip
    passive = min(1.0, max(0.0, maker_exit_ratio))
    bps_per_tick = BPS_PER_ONE / ((bid_ticks + ask_ticks) / 2.0)
    quoted = (ask_ticks - bid_ticks) * bps_per_tick
    captured = passive * quoted
    rounding = ((entry_ticks - bid_ticks) + passive * (ask_ticks - exit_ticks)) * bps_per_tick
    fees = (maker_fee_rate * (1.0 + passive) + taker_fee_rate * (1.0 - passive)) * BPS_PER_ONE
    adverse = max(0.0, adverse_bps) + passive * max(0.0, exit_adverse_bps)
    net = captured - fees - adverse - rounding
    return EdgeTerms(quoted, captured, fees, adverse, rounding, net, passive, samples)


def leg_edge(
    quoted_bps: float, depth_bps: float, maker_fee_rate: float, adverse_bps: float, samples: float = 0.0
) -> EdgeTerms:
    """Compute the expected edge of one passive fill at a distance from the mid: the same formula, one leg of it.

    Args:
        quoted_bps: the spread as quoted. depth_bps: distance of the order from the mid, in its own favour; it is what
            the leg captures, rounding to ticks included. maker_fee_rate: a fraction. adverse_bps: as for `entry_edge`.
    Guarantee: net <= depth_bps - fee; rising in the depth, falling in fee and adverse.
    """
    fees = maker_fee_rate * BPS_PER_ONE
    adverse = max(0.0, adverse_bps)
    return EdgeTerms(
        quoted=quoted_bps,
        captured=depth_bps,
        fees=fees,
        adverse=adverse,
        rounding=0.0,
        net=depth_bps - fees - adverse,
        maker_exit_ratio=1.0,
        samples=samples,
    )


def taker_exit_share(
    most: float, stop_bps: float, volatility_bps: float, patience_s: float, trades_per_s: float, timeout_s: float
) -> float:
    """Return the share of exits expected to be a taker's before there is evidence, 0..`most`.

    A passive exit fails when the mid falls to the stop first, or nobody comes in time. The stop works for as long as
    the exit waits: at its own price for `patience_s`, then at the ask until the next buyer, 1 / rate later on average,
    and never beyond the timeout. By Kolmogorov's inequality a random walk reaches a distance d within T with a chance
    of at most sigma^2 T / d^2; that no buyer comes until the timeout, of those who come as a Poisson flow, has the
    chance exp(-rate * timeout).

    Args:
        most: the answer where the bound says more, or volatility is not known (0). stop_bps: distance of the stop.
        volatility_bps: of the mid over one second. patience_s: how long the exit may wait at its own price.
        trades_per_s: market trades that could fill it. timeout_s: after it the position is sold to the bid.
    """
    if volatility_bps <= 0.0 or stop_bps <= 0.0:
        return most
    waits_s = min(timeout_s, patience_s + 1.0 / trades_per_s) if trades_per_s > 0.0 else timeout_s
    distance = stop_bps / volatility_bps  # in standard deviations of a second
    reached = waits_s / (distance * distance) if distance > 1e-9 else most
    return min(most, reached + exp(-trades_per_s * timeout_s))


class Markout(NamedTuple):
    """Mean move of the mid against a passive fill, bps, and the weight of evidence behind it (decayed samples)."""

    mean_bps: float
    weight: float


class MarkoutEstimator:
    """Learns, per side of a passive order, how far the mid moves against it within each horizon.

    Every own maker fill is a sample; so is each market trade that hit the side we would have rested on, at most one per
    `gap_ns` and side, since the pieces of one sweep are one event. Windows that overlap see the same move: a sample
    weighs only the part of its window that is new; own fills and strangers' trades are reckoned apart, since the trade
    that filled us is told a moment before our fill. Old samples fade with `half_life` samples. Owned by
    `MarketMeasures`. Bounded: at most `PENDING_MAX` open samples per side and horizon; more are not taken.
    """

    PENDING_MAX = 1024

    def __init__(self, half_life: float = 200.0, gap_ns: int = 100 * NS_PER_MS) -> None:
        self._decay = 0.5 ** (1.0 / half_life)
        self._gap_ns = gap_ns
        self._pending: dict[tuple[Side, int], deque[tuple[int, float, float]]] = {
            (side, horizon): deque() for side in Side for horizon in HORIZONS_NS
        }
        self._sums: dict[tuple[Side, int], tuple[float, float]] = dict.fromkeys(self._pending, (0.0, 0.0))
        self._last_market_ns: dict[Side, int] = dict.fromkeys(Side, -(10**18))
        self._sweep_mid: dict[Side, float] = {}  # mid before the last market trade that was a sample
        self._last_open_ns = {(side, is_own): -(10**18) for side in Side for is_own in (False, True)}
        self._next_due_ns = 0
        self._count = 0

    def on_market_trade(self, taker_side: Side, mid_ticks: float, now_ns: int) -> None:
        """Take a market trade as a sample of the passive side it hit. mid_ticks: before the trade moved the book."""
        side = taker_side.opposite
        if now_ns - self._last_market_ns[side] >= self._gap_ns:
            self._last_market_ns[side] = now_ns
            self._sweep_mid[side] = mid_ticks
            self._open(side, mid_ticks, False, now_ns)

    def on_own_fill(self, side: Side, mid_ticks: float, now_ns: int) -> None:
        """Take one of our maker fills as a sample. It starts from the mid before the sweep that filled us, if told.

        mid_ticks: before the fill, as far as that is known.
        """
        if now_ns - self._last_market_ns[side] <= TOLD_WITHIN_NS:
            mid_ticks = self._sweep_mid.get(side, mid_ticks)
        self._open(side, mid_ticks, True, now_ns)

    def advance(self, mid_ticks: float, now_ns: int) -> None:
        """Close the samples that are due, at the mid as it is now (call before the book changes, and on timers)."""
        if self._count == 0 or now_ns < self._next_due_ns:
            return
        soonest = 0
        for key, pending in self._pending.items():
            while pending and pending[0][0] <= now_ns:
                _, start_ticks, weight = pending.popleft()
                self._count -= 1
                against_bps = (start_ticks - mid_ticks) * key[0].sign / start_ticks * BPS_PER_ONE
                total, evidence = self._sums[key]
                fade = self._decay**weight
                self._sums[key] = (total * fade + weight * against_bps, evidence * fade + weight)
            if pending and (soonest == 0 or pending[0][0] < soonest):
                soonest = pending[0][0]
        self._next_due_ns = soonest

    def forget_pending(self) -> None:
        """Drop open samples: the mid was not known for a while."""
        for pending in self._pending.values():
            pending.clear()
        self._sweep_mid.clear()
        self._count = 0

    def estimate(self, side: Side, horizon_ns: int) -> Markout:
        """Return what was learned for passive orders of `side`; horizon_ns is one of `HORIZONS_NS`."""
        total, evidence = self._sums[(side, horizon_ns)]
        return Markout(total / evidence if evidence else 0.0, evidence)

    def adverse(self, side: Side, horizon_ns: int, prior_bps: float, prior_weight: float) -> Markout:
        """Blend evidence with a prior that counts as `prior_weight` samples; an honest guess while samples are few."""
        total, evidence = self._sums[(side, horizon_ns)]
        weight = prior_weight + evidence
        return Markout((prior_bps * prior_weight + total) / weight if weight else prior_bps, evidence)

    def expected(self, side: Side, horizon: str, prior_bps: float, prior_weight: float) -> Markout:
        """Return `adverse` at one of `HORIZON_CHOICES`; "worst" is the largest of all horizons."""
        if horizon != "worst":
            return self.adverse(side, _HORIZON_OF[horizon], prior_bps, prior_weight)
        worst_bps, worst_evidence = -inf, 0.0
        for item in HORIZONS_NS:
            total, evidence = self._sums[(side, item)]
            weight = prior_weight + evidence
            mean_bps = (prior_bps * prior_weight + total) / weight if weight else prior_bps
            if mean_bps > worst_bps:
                worst_bps, worst_evidence = mean_bps, evidence
        return Markout(worst_bps, worst_evidence)

    def _open(self, side: Side, mid_ticks: float, is_own: bool, now_ns: int) -> None:
        since_ns = now_ns - self._last_open_ns[(side, is_own)]
        self._last_open_ns[(side, is_own)] = now_ns
        for horizon in HORIZONS_NS:
            pending = self._pending[(side, horizon)]
            if len(pending) < self.PENDING_MAX:
                pending.append((now_ns + horizon, mid_ticks, min(1.0, since_ns / horizon)))
                self._count += 1
        first_due = now_ns + HORIZONS_NS[0]
        if self._count <= len(HORIZONS_NS) or first_due < self._next_due_ns:
            self._next_due_ns = first_due


@dataclass(slots=True)
class ExitMix:
    """Learns which share of what we sold was sold passively. Owned by `MarketMeasures`; old exits fade.

    Blended with a prior, since a new symbol has sold nothing yet.
    """

    half_life: float = 20.0
    maker: float = 0.0
    total: float = 0.0

    def on_exit(self, is_maker: bool, share: float) -> None:
        """Take a fill of an exit. share: its part of a whole exit, 0..1, so that ten small fills weigh as one."""
        fade = 0.5 ** (share / self.half_life)
        self.maker = self.maker * fade + (share if is_maker else 0.0)
        self.total = self.total * fade + share

    def maker_ratio(self, prior: float, prior_weight: float) -> float:
        """Return the expected share of passive exits, 0..1; the prior counts as `prior_weight` exits."""
        weight = prior_weight + self.total
        return (prior * prior_weight + self.maker) / weight if weight else prior
