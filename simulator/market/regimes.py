"""Regimes: the weather of one generated pair, a small Markov chain. Pure; randomness comes in as a seeded generator."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Regime:
    """Multipliers upon a pair's calm figures, and how long they last on average (exponential), in seconds."""

    name: str
    spread: float
    activity: float
    volatility: float
    news_rate: float  # jumps of the fair value a second
    mean_s: float


CALM = Regime("calm", 1.0, 1.0, 1.0, 1 / 60, 90.0)
QUIET = Regime("quiet", 1.15, 0.6, 0.7, 1 / 180, 45.0)
BURST = Regime("burst", 1.25, 2.2, 1.7, 1 / 12, 12.0)
WIDE = Regime("wide", 2.0, 0.8, 1.3, 1 / 40, 20.0)

_NEXT: dict[str, tuple[tuple[Regime, float], ...]] = {
    "calm": ((QUIET, 0.4), (BURST, 0.45), (WIDE, 0.15)),
    "quiet": ((CALM, 0.8), (BURST, 0.2)),
    "burst": ((CALM, 0.6), (WIDE, 0.4)),
    "wide": ((CALM, 0.8), (BURST, 0.2)),
}


def next_regime(current: Regime, draw: Random) -> tuple[Regime, float]:
    """Return the regime that follows `current`, and its length in seconds."""
    choices, weights = zip(*_NEXT[current.name], strict=True)
    chosen: Regime = draw.choices(choices, weights)[0]
    return chosen, draw.expovariate(1 / chosen.mean_s)
