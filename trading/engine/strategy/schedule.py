"""The trading window of a day. Pure; may import `trading.model`."""

from __future__ import annotations

from trading.model.errors import ConfigError
from trading.model.units import NS_PER_DAY, NS_PER_S

NS_PER_MIN = 60 * NS_PER_S
MINUTES_PER_DAY = 1440


def is_in_window(start_min: int, end_min: int, now_ns: int) -> bool:
    """Return whether a daily window (minutes after 00:00 UTC) is open; 0 to 1440 is always,
    an end before the start spans midnight.
    """
    if start_min == 0 and end_min == MINUTES_PER_DAY:
        return True
    minute = now_ns % NS_PER_DAY // NS_PER_MIN
    if start_min <= end_min:
        return start_min <= minute < end_min
    return minute >= start_min or minute < end_min


def check_window(start_min: int, end_min: int, prefix: str = "") -> None:
    """Refuse a window that never opens; `prefix` is that of the parameters' names. Raises: ConfigError."""
    if start_min % MINUTES_PER_DAY == end_min % MINUTES_PER_DAY and (start_min, end_min) != (0, MINUTES_PER_DAY):
        raise ConfigError(
            f"{prefix}window_start_min {start_min} and {prefix}window_end_min {end_min} leave no time to trade: "
            f"expected two different times, or 0 and {MINUTES_PER_DAY} for always"
        )
