"""Which queue the venue's is like: the parameter of the queue model that live orders agree with. Pure.

May import `trading.model` and `trading.engine.matching_models`. The family is `ShareCancels`: a cancel at our price was
behind us with the chance 1 - (F / (F+B))^n. It holds both ends: towards n = 0 every cancel was in front of us, towards
infinity none was (the pessimist), and an order fills no later under a smaller n. So each live order that filled when
its twin under some n did not yet says "smaller n", each one that still waited when the twin had filled says "larger".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import inf, log2, sqrt

from trading.model.session import QueueEstimate
from trading.model.units import NS_PER_MS

POWERS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The n that are played, most optimistic first; estimates lie between them, and at an end mean "or beyond"."""

TELLING_MIN = 20
"""Orders that the ends of the family disagree about, before anything is said."""

SAME_NS = 500 * NS_PER_MS
"""Fills so close are the same: one comes over the private line and the journal, the other out of our own tape."""

SCORE_95 = 1.96
"""What a fair coin's score stays within in 95 of 100 samples."""


class QueueCalibration:
    """What the orders that are over say of the venue's queue. Owned by one shadow twin."""

    def __init__(self) -> None:
        self._sooner = [0] * len(POWERS)  # the twin filled, the live order did not yet
        self._later = [0] * len(POWERS)
        self._telling = 0

    def on_order(self, live_ns: int, twins_ns: Sequence[int]) -> None:
        """Take when half of an order that is over had filled: live, and under each of `POWERS`; 0 for never.

        An order that all of them fill at one time (the market went through its price) tells nothing of the queue.
        """
        if not _compare(twins_ns[0], twins_ns[-1]):
            return
        self._telling += 1
        for place, twin_ns in enumerate(twins_ns):
            verdict = _compare(twin_ns, live_ns)
            self._sooner[place] += verdict > 0
            self._later[place] += verdict < 0

    def estimate(self) -> QueueEstimate:
        """Return the n under which as many twins were sooner as later, and those that 95 % of samples would allow.

        The scores are a sign test's: were n the venue's, each twin would be sooner or later by the toss of a coin.
        """
        if self._telling < TELLING_MIN:
            return QueueEstimate(self._telling)
        balance = [sooner - later for sooner, later in zip(self._sooner, self._later, strict=True)]
        tossed = [sooner + later for sooner, later in zip(self._sooner, self._later, strict=True)]
        scores = [one / sqrt(max(1, two)) for one, two in zip(balance, tossed, strict=True)]
        middle = (_reaches(scores, 0.0, first=True) + _reaches(scores, 0.0, first=False)) / 2
        low, high = _reaches(scores, SCORE_95, first=True), _reaches(scores, -SCORE_95, first=False)
        return QueueEstimate(self._telling, round(2**middle, 2), round(2**low, 2), round(2**high, 2))


def _compare(one_ns: int, two_ns: int) -> int:
    """Return 1 when the first of two fills was sooner, -1 when it was later, 0 for the same; a time of 0 is never."""
    if one_ns == two_ns or (one_ns and two_ns and abs(one_ns - two_ns) <= SAME_NS):
        return 0
    return 1 if (one_ns or inf) < (two_ns or inf) else -1


def _reaches(scores: Sequence[float], level: float, *, first: bool) -> float:
    """Return where on the scale of log2 n the falling scores come down to a level (first) or leave it (not first).

    Straight lines between the powers; an end of the scale where that is beyond it.
    """
    falling = list(accumulate(scores, min))
    places = [log2(power) for power in POWERS]
    is_there: Callable[[float], bool] = (lambda score: score <= level) if first else (lambda score: score < level)
    index = next((place for place, score in enumerate(falling) if is_there(score)), len(falling))
    if index in (0, len(falling)):
        return places[max(0, index - 1)]
    before, after = falling[index - 1], falling[index]
    share = (before - level) / (before - after)
    return places[index - 1] + share * (places[index] - places[index - 1])
