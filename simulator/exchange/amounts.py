"""Exact amounts as integers, and their decimal strings. Pure; may import the standard library only.

An *amount* is an integer count of 10^-18 of an asset: fine enough that price x quantity x fee rate is exact for every
listing (8 + 6 + 4 decimals). Prices and quantities are integer steps of 10^-decimals.
"""

import re
from decimal import Decimal

AMOUNT_DECIMALS = 18
ONE: int = 10**AMOUNT_DECIMALS
RATE_DECIMALS = 8
RATE_ONE: int = 10**RATE_DECIMALS

# Far beyond every listing, so that a number too large or too fine is told from what is no number; longer is noise.
_PLAIN = re.compile(r"[0-9]{1,64}(?:\.[0-9]{0,64})?|\.[0-9]{1,64}", re.ASCII)
_SCIENTIFIC = re.compile(r"[0-9]{1,18}(?:\.[0-9]{0,20})?[eE][+-]?[0-9]{1,2}", re.ASCII)


class NotANumberError(ValueError):
    """The text is no plain non-negative decimal number."""


class TooManyDecimalsError(ValueError):
    """The number is finer than the step it must be a multiple of."""


def parse_steps(text: str, decimals: int) -> int:
    """Read a non-negative decimal string as an integer count of 10^-decimals, exactly.

    Raises: NotANumberError, TooManyDecimalsError (trailing zeros do not count as decimals).
    """
    if not _PLAIN.fullmatch(text):
        if not _SCIENTIFIC.fullmatch(text):
            raise NotANumberError(f"expected a decimal number, was {text!r}")
        text = format(Decimal(text), "f")
    head, _, tail = text.partition(".")
    tail = tail.rstrip("0")
    if len(tail) > decimals:
        raise TooManyDecimalsError(f"expected at most {decimals} decimals, was {text!r}")
    return int(head + tail.ljust(decimals, "0")) if head or tail else 0


def padded(steps: int, decimals: int) -> str:
    """Render steps with all their decimals, as REST does: (8299070, 2) is "82990.70"."""
    if decimals == 0:
        return str(steps)
    sign, digits = ("-", str(-steps)) if steps < 0 else ("", str(steps))
    digits = digits.rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def trimmed(steps: int, decimals: int) -> str:
    """Render steps without trailing zeros, as pushes do: (8299070, 2) is "82990.7", zero is "0"."""
    text = padded(steps, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


def amount_text(amount: int) -> str:
    """Render an amount exactly and without trailing zeros."""
    return trimmed(amount, AMOUNT_DECIMALS)


def parse_amount(text: str) -> int:
    """Read a decimal string as an amount. Raises as `parse_steps`."""
    return parse_steps(text, AMOUNT_DECIMALS)


def rate_text(rate_e8: int) -> str:
    """Render a fee rate in units of 10^-8 as the fraction it is: 50_000 is "0.0005"."""
    return trimmed(rate_e8, RATE_DECIMALS)
