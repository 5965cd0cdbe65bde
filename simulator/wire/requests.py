"""Requests and replies as the routes see them: no sockets. May import simulator.wire.errors."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from simulator.wire.errors import bad, invalid, missing

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"
# Longest value of a parameter that is no list; far above any name or number.
VALUE_LIMIT = 200
_BATCH_SYMBOL = re.compile(r'"symbol"\s*:\s*"([^"]{1,40})"')


def _pairs(raw: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in raw.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.setdefault(unquote_plus(name), unquote_plus(value))
    return found


@dataclass(slots=True)
class Request:
    """One HTTP request. `query` and `body` are the raw texts, as signed; `headers` has lower-case names."""

    method: str
    path: str
    query: str
    body: str
    headers: dict[str, str]
    client: str
    params: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        # A parameter in both: the query wins. Bodies are forms whatever their content type says.
        self.params = _pairs(self.body) | _pairs(self.query)

    @property
    def endpoint(self) -> str:
        """Method and path: what a documented limit is for."""
        return f"{self.method} {self.path}"

    @property
    def api_key(self) -> str | None:
        """The key that the request names, None when it names none."""
        return self.headers.get("x-mexc-apikey") or None

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols that the request names, in a list, a batch or alone; for faults, which never refuse."""
        named = [*self.params.get("symbol", "").split(","), *self.params.get("symbols", "").split(",")]
        return tuple(name for name in (*named, *_BATCH_SYMBOL.findall(self.params.get("batchOrders", ""))) if name)

    def text(self, name: str, limit: int = VALUE_LIMIT) -> str | None:
        """Return a parameter, None when absent or empty. Raises WireError when it is absurdly long."""
        value = self.params.get(name, "")
        if len(value) > limit:
            raise bad(700008, f"Illegal characters found in parameter '{name}'; at most {limit} are legal.")
        return value or None

    def required(self, name: str, limit: int = VALUE_LIMIT) -> str:
        """Return a mandatory parameter. Raises WireError when it is absent."""
        value = self.text(name, limit)
        if value is None:
            raise missing(name)
        return value

    def whole(self, name: str) -> int | None:
        """Return a non-negative whole number, None when absent. Raises WireError when it is none."""
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit()) or len(value) > 16:
            raise invalid(name)
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """Return the `limit` parameter, capped. Raises WireError when it is no positive number."""
        value = self.whole("limit")
        if value == 0:
            raise invalid("limit")
        return default if value is None else min(value, most)


@dataclass(slots=True)
class Reply:
    """One HTTP answer. A lost one is never sent: the connection breaks instead; `delay_ms` passes before it is sent."""

    status: int
    body: bytes
    content_type: bytes = JSON
    retry_after_s: int | None = None
    delay_ms: int = 0
    is_lost: bool = False
