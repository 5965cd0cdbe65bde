"""What a sweep tries: choices by name, as a full grid or drawn at random. Pure; may import `trading.model`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, log, prod

from trading.model.errors import ConfigError

TRIALS_MAX = 20_000
Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """An interval to draw from, ends included. `is_log`: equal chances for equal ratios; then low > 0."""

    low: float
    high: float
    is_log: bool
    is_whole: bool

    def draw(self, chance: float) -> str:
        """Return the value at `chance` (0..1) of the interval, as text of at most six digits."""
        if self.is_log:
            value = exp(log(self.low) + chance * (log(self.high) - log(self.low)))
        else:
            value = self.low + chance * (self.high - self.low)
        return str(round(value)) if self.is_whole else f"{value:.6g}"


@dataclass(frozen=True, slots=True)
class Space:
    """What may vary. Names occur once, in `grid` or in `ranges`."""

    grid: Mapping[str, tuple[str, ...]]
    ranges: Mapping[str, Range]


def parse_grid(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read `name=a,b,c`. Raises: ConfigError."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, listed = text.partition("=")
        values = tuple(part.strip() for part in listed.split(",") if part.strip())
        if not name.strip() or not values:
            raise ConfigError(f"--grid: expected name=value,value,…, was {text!r}")
        if name.strip() in found or len(set(values)) != len(values):
            raise ConfigError(f"--grid: {name.strip()} or one of its values is given twice")
        found[name.strip()] = values
    return found


def parse_ranges(texts: Sequence[str]) -> dict[str, Range]:
    """Read `name=low:high` or `name=low:high:log`; two whole ends draw whole numbers. Raises: ConfigError."""
    found: dict[str, Range] = {}
    for text in texts:
        name, _, spec = text.partition("=")
        parts = [part.strip() for part in spec.split(":")]
        expected = f"--range: expected name=low:high or name=low:high:log, was {text!r}"
        if not name.strip() or len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] != "log"):
            raise ConfigError(expected)
        try:
            low, high = float(parts[0]), float(parts[1])
        except ValueError:
            raise ConfigError(expected)
        is_log = len(parts) == 3
        if not low < high or not abs(low) + abs(high) < float("inf") or (is_log and low <= 0):
            raise ConfigError(f"--range: {name.strip()}: expected low < high{' and low > 0' if is_log else ''}")
        if name.strip() in found:
            raise ConfigError(f"--range: {name.strip()} is given twice")
        is_whole = not any(sign in parts[0] + parts[1] for sign in ".eE")
        found[name.strip()] = Range(low, high, is_log, is_whole)
    return found


def trials(space: Space, count: int | None, draw: Callable[[], float]) -> tuple[Params, ...]:
    """List the parameter sets to try, each once, in a fixed order.

    Args: count: None for the whole grid; else so many drawn at random (fewer when the space has no more). draw: a
        seeded source of numbers in [0, 1).
    Raises: ConfigError for an empty space, a range without a count, or more than `TRIALS_MAX`.
    """
    if not space.grid and not space.ranges:
        raise ConfigError("nothing varies: give --grid name=a,b or --range name=low:high with --random N")
    if both := set(space.grid) & set(space.ranges):
        raise ConfigError(f"{sorted(both)[0]} is given as --grid and as --range: choose one")
    if count is None:
        if space.ranges:
            raise ConfigError("a --range is drawn from: say how often with --random N")
        size = prod(len(values) for values in space.grid.values())
        if size > TRIALS_MAX:
            raise ConfigError(f"the grid has {size} points, more than {TRIALS_MAX}: draw some of them with --random N")
        names = list(space.grid)
        return tuple(tuple(zip(names, point, strict=True)) for point in product(*space.grid.values()))
    if not 0 < count <= TRIALS_MAX:
        raise ConfigError(f"--random: expected 1..{TRIALS_MAX}, was {count}")
    found: dict[Params, None] = {}
    for _ in range(20 * count):
        point = [(name, values[int(draw() * len(values))]) for name, values in space.grid.items()]
        point += [(name, item.draw(draw())) for name, item in space.ranges.items()]
        found[tuple(point)] = None
        if len(found) == count:
            break
    return tuple(found)
