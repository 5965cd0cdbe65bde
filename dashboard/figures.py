"""Numbers and times as people read them. Pure; imports the standard library.

Prices and quantities come as decimal text and stay exact; only what is rounded for the eye passes through here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

NOTHING = "–"
MINUS = "−"


def amount(text: str | None, digits: int = 2) -> str:
    """Render an amount of money: grouped, rounded to `digits`, with a real minus."""
    if text is None:
        return NOTHING
    value = Decimal(text)
    rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    if rounded == 0 and value != 0:
        # A small loss must not read as none: show two digits that count.
        rounded = value.quantize(Decimal(1).scaleb(value.adjusted() - 1), ROUND_HALF_EVEN)
    return f"{rounded:,f}".replace("-", MINUS)


def signed(text: str | None, digits: int = 2) -> str:
    """Render a gain or loss: as `amount`, with a plus when it is one."""
    rendered = amount(text, digits)
    return f"+{rendered}" if text is not None and Decimal(text) > 0 else rendered


def tone(text: str | None) -> str:
    """Name the colour of a gain or loss: "gain", "loss" or "flat"."""
    if text is None or not Decimal(text):
        return "flat"
    return "gain" if Decimal(text) > 0 else "loss"


def plain_number(text: str | None) -> str:
    """Render an exact decimal with grouped thousands, every digit kept."""
    if text is None:
        return NOTHING
    whole, point, rest = text.partition(".")
    return f"{int(whole):,}{point}{rest}".replace("-", MINUS) if whole not in ("-0",) else text.replace("-", MINUS)


def spread_bps(bid: str | None, ask: str | None) -> str:
    """Render the quoted spread in basis points of the mid price."""
    if bid is None or ask is None:
        return NOTHING
    low, high = Decimal(bid), Decimal(ask)
    middle = (low + high) / 2
    return f"{(high - low) / middle * 10_000:.1f}" if middle else NOTHING


def clock_time(time_ns: int) -> str:
    """Render a time of day, UTC, to the ms; a dash for 0."""
    if time_ns <= 0:
        return NOTHING
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return f"{moment:%H:%M:%S}.{time_ns % 1_000_000_000 // 1_000_000:03d}"


def day_time(time_ns: int | None) -> str:
    """Render a date and time of day, UTC, to the second; a dash for none."""
    if not time_ns:
        return NOTHING
    return f"{datetime.fromtimestamp(time_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Render a duration in its largest fitting unit."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    for unit, size in (("s", 1), ("min", 60), ("h", 3_600)):
        if seconds < size * (60 if unit != "h" else 48):
            return f"{seconds / size:.1f} {unit}" if unit != "s" or seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 86_400:.1f} d"


def latency_ms(from_ns: int, to_ns: int) -> str:
    """Render the time between two moments in ms; a dash when one has not happened."""
    return f"{(to_ns - from_ns) / 1e6:.1f}" if from_ns > 0 and to_ns > 0 else NOTHING
