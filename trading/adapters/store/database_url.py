"""A database's URL, what its connections are opened with, and what its server must promise. Standard library only.

What connects by psycopg alone needs no more than this: an executor that starts again after its death is not to wait for
SQLAlchemy, which takes as long to import as everything else of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from trading.model.errors import ConfigError, NotRunning

# "Unreachable" is said within 5 s (issue 2, bad input); libpq counts whole seconds, at least 2, for each address.
CONNECT_TIMEOUT_S = 4
# A query that hangs must not hang its caller: the server ends it, and the caller hears StoreError.
STATEMENT_TIMEOUT_MS = 30_000
# Generated columns and FOR SHARE are older; 14 is the oldest version that its makers still maintain (read 2026-11).
VERSION_MIN = 14
DRIVERS = ("postgres", "postgresql", "postgresql+psycopg")
# As SQLAlchemy reads it: a password may hold anything but an @, escaped or not.
_PARTS = re.compile(
    r"(?P<driver>[\w+]+)://"
    r"(?:(?P<username>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<ipv6>[^/?]+)\]|(?P<host>[^/:?]+))?(?::(?P<port>\d*))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a URL; None where it says nothing, so that libpq's own defaults count."""

    username: str | None
    password: str | None = field(repr=False)
    host: str | None
    port: int | None
    database: str
    query: Mapping[str, str]

    def as_arguments(self) -> dict[str, Any]:
        """Return it as psycopg's arguments."""
        named = {"user": self.username, "password": self.password, "host": self.host, "port": self.port}
        return {"dbname": self.database, **{name: value for name, value in named.items() if value}, **self.query}


def parse_url(url: str) -> DatabaseUrl:
    """Read a database URL: postgresql://user:password@host:port/name (also postgres:// and postgresql+psycopg://).

    Raises: ConfigError when it is none, names another database system, or lacks the database's name.
    """
    found = _PARTS.fullmatch(url.strip())
    if found is None:
        raise ConfigError("the database URL is not readable: write postgresql://USER:PASSWORD@HOST:PORT/NAME")
    driver, username, password, port = found["driver"], found["username"], found["password"], found["port"]
    if driver not in DRIVERS:
        raise ConfigError(f"the database URL must begin with postgresql://, was {driver}://")
    parsed = DatabaseUrl(
        username=unquote(username) if username else None,
        password=unquote(password) if password is not None else None,
        host=found["ipv6"] or found["host"],
        port=int(port) if port else None,
        database=found["database"] or "",
        query=dict(parse_qsl(found["query"] or "")),
    )
    if not parsed.database:
        raise ConfigError(
            f"the database URL {shown(parsed)} names no database: write postgresql://USER:PASSWORD@HOST:PORT/NAME"
        )
    return parsed


def shown(url: DatabaseUrl) -> str:
    """Render a URL for people: the password is masked."""
    password = ":***" if url.password is not None else ""
    user = f"{quote(url.username or '', safe=' +')}{password}@" if url.username or password else ""
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    port = f":{url.port}" if url.port is not None else ""
    query = {name: "***" if "password" in name else value for name, value in url.query.items()}
    return f"postgresql://{user}{host}{port}/{url.database}" + (f"?{urlencode(query, safe='/*')}" if query else "")


def connect_arguments(application: str) -> dict[str, Any]:
    """Return what every connection is opened with; `application` is shown in pg_stat_activity."""
    return {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": f"mexcbot-{application}",
        "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        # Keepalives say nothing while something that was sent is not acknowledged: the line is dead then.
        "tcp_user_timeout": 15_000,
    }


def unreachable(url: DatabaseUrl, error: Exception) -> NotRunning:
    """Say in one sentence that a server cannot be reached, and why."""
    cause = getattr(error, "orig", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    # libpq: `connection to server at "H", port P failed: WHY`, and below it a hint that asks what WHY has said.
    reasons = [why for _, is_why, why in (line.rpartition(" failed: ") for line in lines) if is_why]
    reason = (reasons or lines or [type(cause).__name__])[-1]
    return NotRunning(f"the database {shown(url)} is not reachable: {reason}")


GUARANTEES = (
    "SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('synchronous_commit')"
)


def check_guarantees(url: DatabaseUrl, version_number: int, fsync: str, synchronous_commit: str) -> None:
    """Check what `GUARANTEES` selected.

    Raises: ConfigError when a committed row could be lost, or the server is too old.
    """
    if version_number // 10_000 < VERSION_MIN:
        raise ConfigError(
            f"the database {shown(url)} is Postgres {version_number // 10_000}: {VERSION_MIN} or newer is needed"
        )
    for name, value in (("fsync", fsync), ("synchronous_commit", synchronous_commit)):
        if value == "off":
            raise ConfigError(
                f"the database {shown(url)} runs with {name} = off, so a committed order could be lost: "
                f"set {name} = on there, or use another database"
            )
