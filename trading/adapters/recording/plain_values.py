"""Frozen values of the core as JSON and back, exactly. May import `trading.model`, `trading.engine` and orjson.

    dataclass  {"c": class name, "f": {field: value}}      only the classes named here, only fields that __init__ takes
    Decimal    {"d": "1.20"}          enum  {"e": [class name, value]}          tuple, list  […] (read as a tuple)

A field that is added later needs a default: older recordings lack it.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson

from trading.engine import book_sync, bootstrap, matching_models, messages, ports
from trading.model import instrument, market, orders, position, session
from trading.model.errors import DecodeError

_MODULES = (instrument, market, orders, position, session, messages, bootstrap, matching_models, ports, book_sync)
_KNOWN: dict[str, type[Any]] = {
    name: found
    for module in _MODULES
    for name, found in vars(module).items()
    if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum))
}


def dumps(value: object) -> bytes:
    """Write a value as JSON. Raises: DecodeError for a type that is not of the core."""
    return orjson.dumps(_plain(value))


def loads(data: bytes) -> Any:
    """Read a value back; equal to what was written. Raises: DecodeError."""
    try:
        return _value(orjson.loads(data))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise DecodeError(f"a recorded value cannot be read: {type(error).__name__} {error}")


def _plain(value: object) -> Any:
    if isinstance(value, Enum):  # before str: ours are both
        return {"e": [type(value).__name__, value.value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return {"d": str(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if is_dataclass(value) and _KNOWN.get(type(value).__name__) is type(value):
        inside = {item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.init}
        return {"c": type(value).__name__, "f": inside}
    raise DecodeError(f"expected a value of the core, was {type(value).__name__}")


def _value(data: Any) -> Any:
    if isinstance(data, list):
        return tuple(_value(item) for item in data)
    if not isinstance(data, dict):
        return data
    if "d" in data:
        return Decimal(data["d"])
    if "e" in data:
        name, value = data["e"]
        return _KNOWN[name](value)
    found = _KNOWN[data["c"]]
    known = {item.name for item in fields(found) if item.init}
    return found(**{name: _value(value) for name, value in data["f"].items() if name in known})
