"""The pause between attempts that fail: doubled each time, bounded, and jittered. May import the standard library."""

from __future__ import annotations

import random

_DOUBLINGS_MAX = 16


def backoff_s(failures: int, min_s: float, max_s: float, rng: random.Random) -> float:
    """Return how many seconds to wait after so many failures in a row.

    Double with each failure up to the bound; half of it by chance, so that a fleet does not march in step.
    """
    most = min(max_s, min_s * (1 << min(failures, _DOUBLINGS_MAX)))
    return most * (0.5 + rng.random() / 2)
