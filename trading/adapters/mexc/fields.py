"""Single fields of what MEXC says about our account, read strictly. Pure. May import `trading.model`.

Whatever passes here can be kept: integers of 64 bits, ids that a person can read, amounts that some asset may have.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from trading.model.errors import DecodeError
from trading.model.units import MS_MAX, UNITS_MAX, ZERO

# An id that a person can read; what MEXC gives has about 32 characters.
_NAME_MAX = 128


def kept(number: int) -> int:
    """Refuse what the journal could not keep: it is no price and no quantity of any market."""
    if number > UNITS_MAX:
        raise DecodeError(f"expected at most {UNITS_MAX} ticks or lots, was {number}")
    return number


def name_of(text: str) -> str:
    """Refuse what is no id, type or asset: the journal could not keep it, and nobody could read it."""
    if len(text) > _NAME_MAX or not text.isprintable():
        raise DecodeError(f"expected an id of at most {_NAME_MAX} readable characters, was {text[:40]!r}")
    return text


def amount_of(text: str, name: str, is_signed: bool = False) -> Decimal:
    """Read a decimal string; an absent one (null, or proto3's empty default) is 0."""
    if not text:
        return ZERO
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise DecodeError(f"{name}: expected a decimal number, was {text!r}")
    # 1e40 and the like are no amounts of any asset, and would cost time and memory in integer form.
    if not value.is_finite() or value.adjusted() > 30 or (value < 0 and not is_signed):
        raise DecodeError(f"{name}: expected an amount, was {text!r}")
    return value


def text_of(body: Any, name: str) -> str:
    """Return a field as text; an absent one is empty. Raises: DecodeError when there is no object."""
    if not isinstance(body, dict):
        raise DecodeError(f"expected an object with {name}")
    value = body.get(name)
    return "" if value is None else str(value)


def required(body: Any, name: str) -> str:
    """Return a field that has to be there. Raises: DecodeError."""
    if not (text := text_of(body, name)):
        raise DecodeError(f"expected {name}, was nothing")
    return text


def flag_of(body: dict[str, Any], name: str) -> bool:
    """Return a field that is true or false. Raises: DecodeError."""
    value = body.get(name)
    if not isinstance(value, bool):
        raise DecodeError(f"{name}: expected true or false, was {value!r}")
    return value


def time_ms_of(body: dict[str, Any], name: str) -> int:
    """Return a time in ms; 0 when there is none, or none that can be."""
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MS_MAX else 0
