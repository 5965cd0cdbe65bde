"""Fixtures of the integration tests: the real embedded Postgres, and the API over real parts on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.embedded_database import database_url, empty_database_url, postgres_server
from tests.integration.api_system import ApiSystem, api_system, client_of

__all__ = ["database_url", "empty_database_url", "postgres_server"]


@pytest.fixture
async def system(database_url: str) -> AsyncIterator[ApiSystem]:
    """What the API stands on, without a symbol."""
    async with api_system(database_url) as made:
        yield made


@pytest.fixture
async def client(system: ApiSystem) -> AsyncIterator[httpx.AsyncClient]:
    """The API of `system`, with the control token."""
    async with client_of(system.app()) as made:
        yield made


@pytest.fixture
async def traded(system: ApiSystem, client: httpx.AsyncClient) -> ApiSystem:
    """`system` after some trading (`ApiSystem.trade`)."""
    await system.trade(client)
    return system
