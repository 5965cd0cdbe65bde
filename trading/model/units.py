"""Units of time and of decimal numbers. May import the standard library only, and nothing that reads a clock.

Time inside is integer nanoseconds UTC. Money inside is `Decimal`; prices and quantities are integer ticks and lots
(see `instrument`). This file holds the few conversions that need no instrument.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from math import ceil

from trading.model.errors import ConfigError

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MS_MAX = (2**63 - 1) // NS_PER_MS
"""The last millisecond whose nanoseconds fit 64 bits, in 2262: a later time is no time of a market."""
NS_PER_DAY = 86_400 * NS_PER_S

UNITS_MAX = 2**63 - 1
"""The largest price in ticks and quantity in lots: more is no market's, and would not fit recordings and tables."""

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)
_ROUNDING = 1e-9  # of float arithmetic, in ticks
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def ns_from_ms(time_ms: int) -> int:
    """Convert milliseconds to nanoseconds, exactly."""
    return time_ms * NS_PER_MS


def ms_from_ns(time_ns: int) -> int:
    """Convert nanoseconds to whole milliseconds, rounding down."""
    return time_ns // NS_PER_MS


def day_start_ns(now_ns: int) -> int:
    """Return the start of the UTC day that holds `now_ns`, in ns."""
    return now_ns - now_ns % NS_PER_DAY


def lowest_sale_ticks(bid_ticks: int, bound_bps: float) -> int:
    """Return the lowest price of a sale that may be at most `bound_bps` below the bid, rounded up: 1..bid_ticks.

    Rounded down, a bound of 20 bps on a bid of ten ticks would give away a tenth.
    """
    return max(1, min(bid_ticks, ceil(bid_ticks * (1.0 - bound_bps * 1e-4) - _ROUNDING)))


def parse_decimal(text: str, name: str) -> Decimal:
    """Parse a finite decimal number.

    Args:
        text: what a person or a venue wrote, e.g. "0.0005".
        name: what the number is, for the error's sentence.
    Raises: ConfigError when it is no finite number.
    """
    try:
        value = Decimal(text)
    except (InvalidOperation, ValueError) as error:
        raise ConfigError(f"{name}: expected a decimal number, was {text!r}") from error
    if not value.is_finite():
        raise ConfigError(f"{name}: expected a finite number, was {text!r}")
    return value


def plain(value: Decimal) -> str:
    """Render a Decimal without exponent and without trailing zeros: "0.5", "100", "0"."""
    text = str(value)
    if "E" in text:  # rare, and several times as slow
        text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def base36(number: int) -> str:
    """Render a non-negative integer in base 36, lower case: "0", "z", "10"."""
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text
