"""Typed, declared parameters: unit, range, default and reason live beside the field. May import `trading.model`.

Strategies, symbol risk and account limits declare a frozen dataclass whose fields are made by `parameter`; CLI, API,
documents and storage take validation and text from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar, cast

from trading.model.errors import ConfigError
from trading.model.units import plain

Value = bool | int | float | Decimal | str
T = TypeVar("T")
DIGITS_MAX = 30
"""Digits on either side of a decimal parameter's point; text of more is no amount anybody means."""


def parameter(
    default: Value,
    unit: str,
    reason: str,
    low: Value | None = None,
    high: Value | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a dataclass field.

    Args:
        default: also fixes the type (bool, int, float, Decimal or str).
        unit: "bps", "s", "lots", "quote", "ratio", "count", "" ...
        reason: one line on what it does and why the default.
        low, high: inclusive range for numbers. choices: allowed texts.
    """
    return field(
        default=default,
        metadata={"unit": unit, "reason": reason, "low": low, "high": high, "choices": choices, "kind": type(default)},
    )


@dataclass(frozen=True, slots=True)
class Declaration:
    """One parameter as people see it."""

    name: str
    kind: str
    unit: str
    default: str
    low: str | None
    high: str | None
    choices: tuple[str, ...]
    reason: str


def declarations(cls: type) -> tuple[Declaration, ...]:
    """List the declared parameters of a dataclass made with `parameter`, in order."""
    return tuple(
        Declaration(
            item.name,
            item.metadata["kind"].__name__,
            item.metadata["unit"],
            text_of(cast(Value, item.default)),
            None if item.metadata["low"] is None else text_of(item.metadata["low"]),
            None if item.metadata["high"] is None else text_of(item.metadata["high"]),
            item.metadata["choices"],
            item.metadata["reason"],
        )
        for item in fields(cls)
        if "kind" in item.metadata
    )


def parse(cls: type[T], values: Mapping[str, str], base: T | None = None) -> T:
    """Build a parameter set from text, over `base` or the defaults; whole or not at all.

    Whether values go together is for the class: its `__post_init__` raises ConfigError when they do not.

    Raises: ConfigError naming the parameter and what is allowed.
    """
    known = {item.name: item for item in fields(cls) if "kind" in item.metadata}  # type: ignore[arg-type]
    parsed: dict[str, Value] = {}
    for name, text in values.items():
        if name not in known:
            raise ConfigError(f"unknown parameter {name!r}; known are: {', '.join(sorted(known))}")
        parsed[name] = _parse_one(name, text, known[name].metadata)
    start = {name: getattr(base, name) for name in known} if base is not None else {}
    return cls(**{**start, **parsed})


def as_texts(values: object) -> tuple[tuple[str, str], ...]:
    """Render a parameter set as (name, text) pairs; `parse` reads them back."""
    return tuple(
        (item.name, text_of(getattr(values, item.name)))
        for item in fields(values)  # type: ignore[arg-type]
        if "kind" in item.metadata
    )


def check_order(values: object, low: str, high: str) -> None:
    """Refuse two parameters of which the lower bound is above the upper one. Raises: ConfigError."""
    least, most = getattr(values, low), getattr(values, high)
    if least > most:
        raise ConfigError(f"expected {low} <= {high}, was {text_of(least)} and {text_of(most)}: nothing lies between")


def text_of(value: Value) -> str:
    """Render one parameter value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value) if isinstance(value, Decimal) else str(value)


def _parse_one(name: str, text: str, declared: Mapping[str, Any]) -> Value:
    kind = declared["kind"]
    value: Value
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
            raise ConfigError(f"{name}: expected true or false, was {text!r}")
        return text.lower() in ("true", "1", "yes", "on")
    if kind is str:
        if declared["choices"] and text not in declared["choices"]:
            raise ConfigError(f"{name}: expected one of {', '.join(declared['choices'])}, was {text!r}")
        return text
    is_plain = text.isascii() and "_" not in text  # Python also reads digits of other scripts, and 1_0 as 10
    try:
        value = kind(text if is_plain else "")
    except (ValueError, InvalidOperation) as error:
        raise ConfigError(f"{name}: expected {_named(kind)}, was {text!r}") from error
    low, high = declared["low"], declared["high"]
    # Decimals apart: comparing a signalling NaN raises.
    is_number = value.is_finite() if isinstance(value, Decimal) else value not in (float("inf"), float("-inf"))
    is_number = is_number and value == value
    if not is_number or (low is not None and value < low) or (high is not None and value > high):
        unit = f" {declared['unit']}" if declared["unit"] else ""
        raise ConfigError(f"{name}: expected {_named(kind)} from {text_of(low)} to {text_of(high)}{unit}, was {text!r}")
    if isinstance(value, Decimal) and (int(value.as_tuple().exponent) < -DIGITS_MAX or value.adjusted() > DIGITS_MAX):
        raise ConfigError(f"{name}: expected at most {DIGITS_MAX} digits before and after the point, was {text!r}")
    return value


def _named(kind: type) -> str:
    return "a whole number" if kind is int else "a number"
