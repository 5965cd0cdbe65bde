"""The way to a database: its URL, its connections, and what its server must promise us. May import sqlalchemy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from trading.model.errors import ConfigError, NotRunning, StoreError

# "Unreachable" is said within 5 s (issue 2, bad input); libpq counts whole seconds, at least 2, for each address.
CONNECT_TIMEOUT_S = 4
# A query that hangs must not hang its caller: the server ends it, and the caller hears StoreError.
STATEMENT_TIMEOUT_MS = 30_000
# Generated columns and FOR SHARE are older; 14 is the oldest version that its makers still maintain (read 2026-11).
VERSION_MIN = 14


def parse_url(url: str) -> URL:
    """Read a database URL: postgresql://user:password@host:port/name (also postgres:// and postgresql+psycopg://).

    Raises: ConfigError when it is none, names another database system, or lacks the database's name.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError("the database URL is not readable: write postgresql://USER:PASSWORD@HOST:PORT/NAME") from None
    if parsed.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ConfigError(f"the database URL must begin with postgresql://, was {parsed.drivername}://")
    if not parsed.database:
        raise ConfigError(
            f"the database URL {shown(parsed)} names no database: write postgresql://USER:PASSWORD@HOST:PORT/NAME"
        )
    return parsed.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """Render a URL for people: the password is masked."""
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def connect_arguments(application: str) -> dict[str, Any]:
    """Return what every connection is opened with; `application` is shown in pg_stat_activity."""
    return {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": f"mexcbot-{application}",
        "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }


def unreachable(url: URL, error: Exception) -> NotRunning:
    """Say in one sentence that a server cannot be reached, and why."""
    cause = getattr(error, "orig", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return NotRunning(f"the database {shown(url)} is not reachable: {lines[-1] if lines else type(cause).__name__}")


class Database:
    """A pool of connections to one database, owned by one event loop. Ends with `close`."""

    def __init__(self, url: str, application: str, pool_size: int = 4, pool_timeout_s: float = 5.0) -> None:
        """Prepare; nothing connects before the first use. Raises: ConfigError when the URL is wrong."""
        self.url = parse_url(url)
        self._engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            pool_pre_ping=True,
            hide_parameters=True,  # what a person or a key wrote has no place in an error text
            connect_args=connect_arguments(application),
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction; committed when the block ends, rolled back when it raises.

        Raises: StoreError when the database did not answer or did not commit.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except PoolTimeoutError as error:
            raise StoreError("every connection to the database is in use") from error
        except (OperationalError, InterfaceError) as error:
            raise StoreError(f"the database {shown(self.url)} did not answer: {_cause(error)}") from error
        except SQLAlchemyError as error:
            raise StoreError(f"the database refused a statement: {_cause(error)}") from error

    async def check(self) -> None:
        """Connect once.

        Raises: NotRunning when it is out of reach (within 5 s); ConfigError when it does not keep what it commits.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S + 1), self._engine.connect() as connection:
                rows = await connection.execute(text(GUARANTEES))
                row = rows.one()
        except (SQLAlchemyError, TimeoutError) as error:
            raise unreachable(self.url, error) from None
        check_guarantees(self.url, int(row[0]), str(row[1]), str(row[2]))

    async def close(self) -> None:
        """Close every connection; idempotent."""
        await self._engine.dispose()


GUARANTEES = (
    "SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('synchronous_commit')"
)


def check_guarantees(url: URL, version_number: int, fsync: str, synchronous_commit: str) -> None:
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


def _cause(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split())[:300]
