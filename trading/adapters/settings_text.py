"""Settings as text: how values are read from it, shown without secrets, and explained when wrong. May import pydantic.

`settings` holds the model; this file holds what is the same for any model of the kind.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import NoDecode

from trading.model.errors import ConfigError

ENV_PREFIX = "MEXCBOT_"
MASK = "***"
# How like a setting a name is (difflib's ratio) that can only mean it.
NEARLY = 0.8
# The flags of `mexcbot up`, by the setting that each of them gives.
FLAGS = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "venue", "mode", "symbols", "count", "strategy", "seed", "replay", "speed", "record", "data_dir",
            "database_url", "ray_address", "venue_rest", "venue_ws", "api_port", "dashboard_port", "arm_live",
        )
    },
    "strategy_params": "--set",
    "dashboard": "--no-dashboard",
}  # fmt: skip
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]*@")
_CREDENTIALS = frozenset({"api_key", "api_secret"})
_SECRETS = _CREDENTIALS | {"database_url"}


# --- reading --------------------------------------------------------------------------------------------------------


def _names(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


def _assignments(value: object) -> object:
    """Read `a=1,b=2`; mappings pass, their values as text."""
    if isinstance(value, Mapping):
        return {str(name): str(item) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    pairs: dict[str, str] = {}
    for part in (part.strip() for part in value.split(",")):
        if not part:
            continue
        name, equals, text = part.partition("=")
        if not equals or not name.strip() or not text.strip():
            raise ValueError(f"expected name=value, was {part!r}")
        if name.strip() in pairs:
            raise ValueError(f"{name.strip()} is given twice")
        pairs[name.strip()] = text.strip()
    return pairs


def _amounts(value: object) -> object:
    """Read `USDT=10000,BTC=1`: at least one asset, amounts >= 0."""
    pairs = _assignments(value)
    if not isinstance(pairs, dict):
        return pairs
    amounts: dict[str, Decimal] = {}
    for asset, text in pairs.items():
        try:
            amounts[asset] = Decimal(text)
        except InvalidOperation:
            raise ValueError(f"expected an amount for {asset}, was {text!r}")
        if not amounts[asset].is_finite() or amounts[asset] < 0:
            raise ValueError(f"expected an amount of 0 or more for {asset}, was {text!r}")
    if not amounts:
        raise ValueError("expected at least one ASSET=amount")
    return amounts


def _starts_with(*schemes: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and not re.match(rf"(?:{'|'.join(map(re.escape, schemes))})://[^\s/]", value):
            # Said without the value: an address may hold a password.
            raise ValueError(
                f"expected an address that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
            )
        return value.rstrip("/") if isinstance(value, str) else value

    return BeforeValidator(check)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Assignments = Annotated[dict[str, str], NoDecode, BeforeValidator(_assignments)]
Amounts = Annotated[dict[str, Decimal], NoDecode, BeforeValidator(_amounts)]
HttpUrl = Annotated[str, _starts_with("http", "https")]
WebsocketUrl = Annotated[str, _starts_with("ws", "wss")]
DatabaseUrl = Annotated[str, _starts_with("postgresql", "postgresql+psycopg")]


def is_loopback(url: str | None) -> bool:
    """Return whether an address is on this machine; no address (our own simulator) is."""
    if url is None:
        return True
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_names(environment: Iterable[str], known: Mapping[str, FieldInfo]) -> None:
    """Refuse a variable that is nearly a setting: misspelt, it would silently leave the default in place.

    What only shares our prefix may be somebody else's. Raises: ConfigError.
    """
    for name in environment:
        field = name[len(ENV_PREFIX) :].lower()
        if name.upper().startswith(ENV_PREFIX) and field not in known:
            near = difflib.get_close_matches(field, known, n=1, cutoff=NEARLY)
            if near:
                raise ConfigError(
                    f"the environment sets {name}, which is no setting: did you mean {ENV_PREFIX}{near[0].upper()}?"
                )


def secrets_in_env_file(path: Path, known: Mapping[str, FieldInfo]) -> tuple[str, ...]:
    """Return the names of the secrets that a dotenv file holds, in its order.

    Raises: ConfigError when it is unreadable, or sets a name with our prefix that no setting has.
    """
    if path.is_dir():  # which dotenv takes for an empty file
        raise ConfigError(f"{path} cannot be read: it is a folder")
    try:
        values = dotenv_values(path, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}")
    found: list[str] = []
    for name, value in values.items():
        if not name.upper().startswith(ENV_PREFIX):
            continue
        field = name[len(ENV_PREFIX) :].lower()
        if field not in known:
            near = difflib.get_close_matches(field, known, n=1)
            hint = f"did you mean {ENV_PREFIX}{near[0].upper()}?" if near else "see .env.example"
            raise ConfigError(f"{path} sets {name}, which is no setting: {hint}")
        # A database address is a secret only when a password is in it.
        if value and (field in _CREDENTIALS or (field == "database_url" and _URL_PASSWORD.search(value))):
            found.append(name)
    return tuple(found)


# --- showing --------------------------------------------------------------------------------------------------------


def mask_url(text: str) -> str:
    """Replace the password in an address: `postgresql://bot:***@host/db`."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def text_of(value: object) -> str:
    """Render a setting as one would write it into the environment; None is empty."""
    match value:
        case None:
            return ""
        case SecretStr():
            return MASK
        case bool():
            return "true" if value else "false"
        case Enum():
            return str(value.value)
        case tuple():
            return ",".join(map(text_of, value))
        case dict():
            return ",".join(f"{name}={text_of(item)}" for name, item in value.items())
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def masked_values(model: BaseModel) -> dict[str, str]:
    """Return every field as text, in order; secrets as ***, passwords in addresses as ***."""
    return {name: mask_url(text_of(getattr(model, name))) for name in type(model).model_fields}


def example_text(fields: Mapping[str, FieldInfo]) -> str:
    """Render an example dotenv file: each field's description, its choices, and its default, commented out."""
    lines = [
        "# Every setting with its default. Copy to .env and take the # away where you want another value.",
        "# Written by: python -m trading.adapters.settings > .env.example",
    ]
    for name, field in fields.items():
        lines += ["", f"# {field.description}", f"# {ENV_PREFIX}{name.upper()}={text_of(field.default)}"]
    return "\n".join(lines) + "\n"


# --- explaining -----------------------------------------------------------------------------------------------------


def sentence(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """Say the first thing that is wrong in one sentence: which setting, what is allowed, and what it was."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return _own_words(first)
    name = str(first["loc"][0])
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        return f"unknown setting {name!r}" + (f": did you mean {near[0]!r}?" if near else "")
    label = f"{ENV_PREFIX}{name.upper()}"
    if name in FLAGS:
        label = f"{FLAGS[name]} ({label})"
    if first["type"] == "value_error":
        return f"{label}: {_own_words(first)}"
    was = "" if name in _SECRETS else f", was {str(first['input'])!r}"
    return f"{label}: expected {_expected(first, fields[name])}{was}"


def _own_words(details: ErrorDetails) -> str:
    return details["msg"].removeprefix("Value error, ")


def _expected(details: ErrorDetails, field: FieldInfo) -> str:
    context = details.get("ctx", {})
    kind = details["type"]
    if kind in ("enum", "literal_error"):
        return f"one of {', '.join(_choices(field.annotation))}"
    if kind.startswith("bool"):
        return "true or false"
    if kind in ("string_too_short", "missing"):
        return "a value"
    limits = {"greater_than": ("gt", "more than"), "greater_than_equal": ("ge", "at least")}
    limits |= {"less_than": ("lt", "less than"), "less_than_equal": ("le", "at most")}
    if kind in limits:
        key, words = limits[kind]
        return f"{words} {context[key]}"
    if kind.startswith("int"):
        return "a whole number"
    if kind.startswith(("float", "decimal", "finite")):
        return "a number"
    return details["msg"][:1].lower() + details["msg"][1:]


def _choices(annotation: Any) -> tuple[str, ...]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(member.value) for member in annotation)
    return tuple(map(str, get_args(annotation)))
