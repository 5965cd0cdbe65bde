"""A pool of connections for the stores that speak SQLAlchemy. May import sqlalchemy; the URL is `database_url`'s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from trading.adapters.store.database_url import (
    CONNECT_TIMEOUT_S,
    GUARANTEES,
    DatabaseUrl,
    check_guarantees,
    connect_arguments,
    parse_url,
    shown,
    unreachable,
)
from trading.model.errors import StoreError


def engine_url(url: DatabaseUrl) -> URL:
    """Return the URL as SQLAlchemy's engines want it."""
    return URL.create(
        "postgresql+psycopg", url.username, url.password, url.host, url.port, url.database, dict(url.query)
    )


class Database:
    """A pool of connections to one database, owned by one event loop. Ends with `close`."""

    def __init__(self, url: str, application: str, pool_size: int = 4, pool_timeout_s: float = 5.0) -> None:
        """Prepare; nothing connects before the first use. Raises: ConfigError when the URL is wrong."""
        self.url = parse_url(url)
        self._engine: AsyncEngine = create_async_engine(
            engine_url(self.url),
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


def _cause(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split())[:300]
