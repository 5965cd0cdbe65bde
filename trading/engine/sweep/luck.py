"""Whether the best of many is more than luck: the deflated Sharpe ratio. Pure; standard library only.

Source: D. H. Bailey and M. López de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest
Overfitting and Non-Normality", Journal of Portfolio Management 40(5), 2014, 94-107 (read 2026-11-28). The best of N
strategies without any skill has an expected Sharpe ratio well above zero; the observed one is tested against that,
with the length, skew and kurtosis of its returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import e, sqrt
from statistics import NormalDist

EULER_GAMMA = 0.5772156649015329
CONFIDENCE = 0.95
OBSERVATIONS_MIN = 30
"""Fewer periods with a result, or fewer round trips, say nothing, whatever the ratio: one holding that is marked each
second makes many periods and is one throw of the dice."""
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Moments:
    """Of a series of period results: count, Sharpe ratio per period, skew, kurtosis (3 for a normal one)."""

    count: int
    sharpe: float
    skew: float
    kurtosis: float


@dataclass(frozen=True, slots=True)
class Luck:
    """The verdict on choosing the best of `trials` by the past.

    probability: that the choice's true Sharpe ratio is above what the best of so many without skill would show (the
    deflated Sharpe ratio); None when that cannot be said. hurdle: that Sharpe ratio, per period. warning: empty when
    fine.
    """

    trials: int
    probability: float | None
    hurdle: float
    sharpe: float
    observations: int
    round_trips: int
    warning: str


def moments(results: Sequence[float]) -> Moments:
    """Compute the moments; a series without variance has a Sharpe ratio of 0."""
    count = len(results)
    if count < 2:
        return Moments(count, 0.0, 0.0, 3.0)
    mean = sum(results) / count
    second = sum((value - mean) ** 2 for value in results) / count
    if second <= 0.0:
        return Moments(count, 0.0, 0.0, 3.0)
    deviation = sqrt(second)
    third = sum((value - mean) ** 3 for value in results) / count
    fourth = sum((value - mean) ** 4 for value in results) / count
    return Moments(count, mean / (deviation * sqrt(count / (count - 1))), third / deviation**3, fourth / second**2)


def expected_best(trials: int, variance: float) -> float:
    """Return the Sharpe ratio to expect of the best of `trials` without skill, whose ratios have this variance."""
    if trials < 2:
        return 0.0
    high = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    higher = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * e))
    return sqrt(variance) * ((1.0 - EULER_GAMMA) * high + EULER_GAMMA * higher)


def probability_above(observed: Moments, hurdle: float) -> float | None:
    """Return the chance that the true Sharpe ratio is above `hurdle`; None when the series is too short or strange."""
    below = 1.0 - observed.skew * observed.sharpe + (observed.kurtosis - 1.0) / 4.0 * observed.sharpe**2
    if observed.count < 3 or below <= 0.0:
        return None
    return _NORMAL.cdf((observed.sharpe - hurdle) * sqrt(observed.count - 1) / sqrt(below))


def judge(chosen: Sequence[float], sharpes: Sequence[float], round_trips: int) -> Luck:
    """Judge a choice among trials.

    Args: chosen: results by period of what was chosen, from periods that had no say in the choice. sharpes: the Sharpe
    ratios per period of all trials over the same time. round_trips: how often what was chosen entered and left.
    """
    trials = len(sharpes)
    centre = sum(sharpes) / trials if trials else 0.0
    variance = sum((value - centre) ** 2 for value in sharpes) / (trials - 1) if trials > 1 else 0.0
    hurdle = expected_best(trials, variance)
    observed = moments(chosen)
    chance = probability_above(observed, hurdle)
    active = sum(1 for value in chosen if value != 0.0)
    warning = ""
    if sum(chosen) <= 0.0:
        warning = "what was best in sample did not make money out of sample"
    elif round_trips < OBSERVATIONS_MIN:
        warning = (
            f"what was best in sample entered and left only {round_trips} times out of sample: fewer than "
            f"{OBSERVATIONS_MIN} round trips say nothing; use a longer recording"
        )
    elif active < OBSERVATIONS_MIN:
        warning = (
            f"what was best in sample made or lost money in only {active} periods out of sample: fewer than "
            f"{OBSERVATIONS_MIN} say nothing; use a longer recording"
        )
    elif chance is None or chance < CONFIDENCE:
        text = "unknown" if chance is None else f"{chance:.2f}"
        warning = (
            f"the best of {trials} is not distinguishable from luck: out of sample its deflated Sharpe ratio is "
            f"{text}, below {CONFIDENCE}"
        )
    return Luck(trials, chance, hurdle, observed.sharpe, observed.count, round_trips, warning)
