"""What messages have in common: cheap to copy with changes, cheap to carry. May import the standard library only.

An order is copied five times and carried across processes five times before its acknowledgement is committed. What
`dataclasses` gives frozen slotted classes for that asks each field's description each time, and sets each field through
`object.__setattr__`. Here the values are taken at once by a getter made once a class, and put into an unfrozen twin of
the same layout, which then becomes the message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, make_dataclass
from operator import attrgetter
from typing import Any, Self, TypeVar, cast

M = TypeVar("M", bound="Message")


class Message:
    """Base of frozen slotted dataclasses of which every field is an argument. Adds no field and no `__dict__`."""

    __slots__ = ()

    def changed(self, **changes: Any) -> Self:
        """Return a copy with other values in these fields. Raises: TypeError for a name that is no field."""
        kind = type(self)
        places, take, twin = _parts(kind)
        values = list(take(self))
        for name, value in changes.items():
            if name not in places:
                raise TypeError(f"{kind.__name__} has no field {name}")
            values[places[name]] = value
        copy = twin(*values)
        copy.__class__ = kind
        return cast("Self", copy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as class and values, in the order of the fields."""
        kind = type(self)
        return _made, (kind, *_parts(kind)[1](self))


def maker(kind: type[M]) -> type[M]:
    """Return what makes messages of a kind at half the cost: from all of their values, in the order of the fields.

    Typed as the class itself, so that the arguments are checked; it takes no names and knows no defaults.
    """
    twin = _parts(kind)[2]

    def make(*values: object) -> object:
        message = twin(*values)
        message.__class__ = kind
        return message

    return cast("type[M]", make)


def _made(kind: type[Message], *values: object) -> Message:
    """Return the message of these values, all of them, in the order of the fields."""
    message = _parts(kind)[2](*values)
    message.__class__ = kind
    return cast("Message", message)


def _parts(kind: type[Any]) -> _Parts:
    """Return the places of a message's fields, what takes their values, and its unfrozen twin."""
    parts = _KNOWN.get(kind)
    if parts is None:
        names = tuple(field.name for field in fields(kind))
        twin = make_dataclass(f"{kind.__name__}Twin", names, bases=(Message,), eq=False, repr=False, slots=True)
        one = attrgetter(*names)
        take = one if len(names) > 1 else lambda message: (one(message),)
        parts = _KNOWN[kind] = ({name: place for place, name in enumerate(names)}, take, twin)
    return parts


_Parts = tuple[dict[str, int], Callable[[object], tuple[object, ...]], type[Any]]
_KNOWN: dict[type[Any], _Parts] = {}
