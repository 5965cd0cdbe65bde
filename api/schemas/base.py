"""What all bodies are made of: their base classes, decimals as text, pages, problems. Imports pydantic only."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

DecimalText = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["0.25"])]
SymbolName = Annotated[str, Field(min_length=1, max_length=64)]
# Values of parameters and limits may be written as JSON numbers or booleans; they are text from here on.
Assignments = dict[Annotated[str, Field(min_length=1, max_length=100)], str]

OperationStatusName = Literal["pending", "running", "succeeded", "failed"]
T = TypeVar("T")


class Answer(BaseModel):
    """Base of everything the API gives."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Request(BaseModel):
    """Base of everything the API takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def texts(values: object) -> object:
    """Write the values of a JSON object as text: 5 → "5", true → "true"."""
    if not isinstance(values, dict):
        return values
    return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


class Page(Answer, Generic[T]):
    """One page of a list. `next_cursor` gets the next one; null at the end."""

    items: list[T]
    next_cursor: str | None = None


class Problem(Answer):
    """An error, after RFC 9457. `code` is for programs, `detail` is one sentence for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
