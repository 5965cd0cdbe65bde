"""Candle intervals: their REST and WebSocket names, and where a candle starts. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

MINUTE_MS = 60_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
# 1970-01-01 was a Thursday; weeks start on Monday.
_MONDAY_MS = 4 * DAY_MS

REST_INTERVALS = {
    "1m": "Min1",
    "5m": "Min5",
    "15m": "Min15",
    "30m": "Min30",
    "60m": "Min60",
    "4h": "Hour4",
    "8h": "Hour8",
    "1d": "Day1",
    "1W": "Week1",
    "1M": "Month1",
}
_FIXED_MS = {
    "Min1": MINUTE_MS,
    "Min5": 5 * MINUTE_MS,
    "Min15": 15 * MINUTE_MS,
    "Min30": 30 * MINUTE_MS,
    "Min60": 60 * MINUTE_MS,
    "Hour4": 240 * MINUTE_MS,
    "Hour8": 480 * MINUTE_MS,
    "Day1": DAY_MS,
}
STREAM_INTERVALS = (*_FIXED_MS, "Week1", "Month1")
TIME_ZONES = (
    "24H",
    *(f"UTC-{hours}" for hours in (10, 8, 7, 6, 5, 4, 3)),
    *(f"UTC+{hours}" for hours in range(14)),
    "UTC+4:30",
    "UTC+5:30",
    "UTC+12:45",
)


def _month_start(time_ms: int) -> int:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return int(moment.replace(day=1, hour=0, minute=0, second=0).timestamp()) * 1000


def window_start(interval: str) -> Callable[[int], int]:
    """Return the function from a time in ms to the start of its candle, for a WebSocket interval name."""
    if interval == "Month1":
        return _month_start
    if interval == "Week1":
        return lambda time_ms: time_ms - (time_ms - _MONDAY_MS) % WEEK_MS
    length_ms = _FIXED_MS[interval]
    return lambda time_ms: time_ms - time_ms % length_ms


def window_end(interval: str, start_ms: int) -> int:
    """Return the end of the candle that starts at `start_ms`: the start of the next one."""
    if interval == "Month1":
        return _month_start(start_ms + 32 * DAY_MS)
    return start_ms + (WEEK_MS if interval == "Week1" else _FIXED_MS[interval])


def day_start(zone: str, time_ms: int) -> int:
    """Return where the ticker's day began in a time zone of TIME_ZONES: midnight there, or 24 hours ago for 24H."""
    if zone == "24H":
        return time_ms - DAY_MS
    hours, _, minutes = zone.removeprefix("UTC").partition(":")
    offset = timezone(timedelta(hours=int(hours), minutes=int(minutes or 0)))
    local = datetime.fromtimestamp(time_ms / 1000, offset)
    return int(local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1000
