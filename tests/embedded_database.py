"""One embedded Postgres for a whole test run, and a fresh database, copied from a migrated template, for each test.

Imported by the conftest or the test module that wants it. May import pytest, psycopg and trading.adapters.store.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.migrations import migrate

TEMPLATE = "template_mexcbot"
_RUNNING: list[str] = []
_NUMBERS = itertools.count(1)


def plain_url(url: str) -> str:
    """Give the URL as psycopg itself reads it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def sibling(url: str, database: str) -> str:
    """Give the URL of another database of the same server."""
    return f"{url.rsplit('/', 1)[0]}/{database}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run one server, with a migrated template database; yields the URL of its own database."""
    if _RUNNING:  # two test packages import this fixture; the first to need it owns the server
        yield _RUNNING[0]
        return
    folder = Path(tempfile.mkdtemp(prefix="mx"))
    server = EmbeddedPostgres(folder)
    try:
        url = server.start()
        with psycopg.connect(plain_url(url), autocommit=True) as link:
            link.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(sibling(url, TEMPLATE))
        _RUNNING.append(url)
        yield url
    finally:
        _RUNNING.clear()
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def empty_database_url(postgres_server: str) -> Iterator[str]:
    """Make a database without any table of ours, dropped after the test."""
    yield from _database(postgres_server, "template0")


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """Make a migrated database of its own for the test, dropped after it."""
    yield from _database(postgres_server, TEMPLATE)


def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{next(_NUMBERS)}"
    with psycopg.connect(plain_url(server_url), autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
        yield sibling(server_url, name)
        link.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
