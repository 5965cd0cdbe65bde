"""What a benchmark is and what it yields: figures with units and targets, percentiles. Pure; standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil


class CannotRunError(Exception):
    """A benchmark that is impossible here, with the reason in one sentence."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes:
        metric: what was measured, lower case, `_`. unit: of `value` and `target`.
        target: the number it has to keep to, None where there is none. is_more_better: the target is a floor.
        note: what one has to know to read it: selection, sample size, input.
    """

    metric: str
    unit: str
    value: float
    target: float | None = None
    note: str = ""
    is_more_better: bool = False

    @property
    def verdict(self) -> str:
        """ "ok" or "short" against the target; empty without one."""
        if self.target is None:
            return ""
        is_kept = self.value >= self.target if self.is_more_better else self.value <= self.target
        return "ok" if is_kept else "short"


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure. `is_short` tries the benchmark out: its figures are not worth keeping."""

    is_short: bool = False

    def choose(self, full: int, short: int) -> int:
        """Return a count or a number of seconds."""
        return short if self.is_short else full


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named measurement. `measure` yields figures as soon as each is known, and raises CannotRunError."""

    name: str
    about: str
    measure: Callable[[Effort], Iterator[Figure]]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile: the smallest value with at least `percent` % of all at or below it.

    percent: 0 < percent <= 100. Raises: ValueError for no values or a percent out of range.
    """
    if not values or not 0 < percent <= 100:
        raise ValueError(f"expected values and 0 < percent <= 100, was {len(values)} values, {percent}")
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def median(values: Sequence[float]) -> float:
    """Return the lower median: a value that was measured. Raises: ValueError for no values."""
    return percentile(values, 50)


def shown(value: float) -> str:
    """Render a number with three significant digits, or all digits before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
