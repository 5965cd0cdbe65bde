"""A lane: one connection on which statements run one after the other, each its own transaction. May import psycopg.

The journal's writes are single statements: what has to be atomic is one statement, and a commit costs one round trip.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from typing import Any, LiteralString

import psycopg

from trading.adapters.store.database_url import DatabaseUrl, connect_arguments, shown
from trading.model.errors import InvariantViolated, StoreError

# A commit takes milliseconds. Past this the server is as good as gone: say so, and let the caller re-read later.
ANSWER_TIMEOUT_S = 5.0
# The journal's statements are few and large: plan each once, for any input, and for tables that will grow.
PLAN_OPTIONS = " -c plan_cache_mode=force_generic_plan -c jit=off -c enable_seqscan=off"

Rows = list[tuple[Any, ...]]


class Lane:
    """One connection and the order on it, owned by one event loop. Connects by itself, and again after a loss."""

    def __init__(self, url: DatabaseUrl, name: str, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """Name the lane; nothing connects before the first statement."""
        self._url = url
        self._name = name
        self._answer_timeout_s = answer_timeout_s
        self._turn = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def write(self, statement: LiteralString, values: dict[str, Any]) -> Rows:
        """Run one statement as one transaction, at most once, and return its rows.

        Raises: StoreError when it is not certain that it committed; InvariantViolated when the database refused the
        values, so that nothing was written; psycopg's UniqueViolation, which means the same, as it is.
        """
        async with self._turn:
            return await self._run(statement, values)

    async def read(self, statement: LiteralString, values: dict[str, Any]) -> Rows:
        """Run a query and return its rows; asked once more when the connection breaks. Raises: StoreError."""
        async with self._turn:
            is_fresh = self._connection is None
            try:
                return await self._run(statement, values)
            except StoreError:
                if is_fresh:
                    raise
                return await self._run(statement, values)

    async def close(self) -> None:
        """Close the connection; idempotent."""
        await self._drop()

    async def _run(self, statement: LiteralString, values: dict[str, Any]) -> Rows:
        try:
            connection = await self._connected()
            # A server that hangs answers no cancel request either; a cut socket ends the wait in any case.
            timer = asyncio.get_running_loop().call_later(self._answer_timeout_s, _cut, connection)
            try:
                cursor = await connection.execute(statement, values)
                return await cursor.fetchall() if cursor.description else []
            finally:
                timer.cancel()
        except psycopg.errors.UniqueViolation:
            raise
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise InvariantViolated(f"the database refused a row: {_one_line(error)}") from error
        except psycopg.Error as error:
            await self._drop()
            raise StoreError(f"the database {shown(self._url)} did not commit: {_one_line(error)}") from error
        except asyncio.CancelledError:
            await self._drop()
            raise

    async def _connected(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._connection is not None and _is_lost(self._connection):
            await self._drop()
        if self._connection is None:
            arguments = connect_arguments(self._name)
            self._connection = await psycopg.AsyncConnection.connect(
                autocommit=True,
                prepare_threshold=1,
                **{**arguments, "options": arguments["options"] + PLAN_OPTIONS, **self._url.as_arguments()},
            )
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _is_lost(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> bool:
    """Tell whether an idle connection has something to read: on these that is a server's farewell, or the end."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _cut(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
