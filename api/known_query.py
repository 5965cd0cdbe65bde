"""Query parameters that a route does not have are refused, not ignored. May import fastapi and the API.

A misspelt filter would list everything, a misspelt `flatten` would end a symbol without selling what it holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from starlette.requests import HTTPConnection

from trading.model.errors import ConfigError

VERSIONED = "/v1/"


def check_query(connection: HTTPConnection) -> None:
    """Refuse unknown and repeated query parameters below `VERSIONED`. Raises: ConfigError."""
    if not connection.query_params or not connection.url.path.startswith(VERSIONED):
        return
    if (wrong := _wrong(connection)) is not None:
        raise ConfigError(wrong)


def _wrong(connection: HTTPConnection) -> str | None:
    """Say in one sentence what is wrong with the names of the query."""
    known = list(dict.fromkeys(_names(connection.scope["route"].dependant)))
    for name, count in Counter(name for name, _ in connection.query_params.multi_items()).items():
        if name not in known:
            expected = f"expected {', '.join(known)}" if known else "none is taken here"
            return f"{name[:64]!r} is no query parameter of this route: {expected}"
        if count > 1:
            return f"{name}: given {count} times, expected one value"
    return None


def _names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for needed in dependant.dependencies:
        yield from _names(needed)
