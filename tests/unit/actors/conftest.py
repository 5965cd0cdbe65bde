"""The executor on fakes, for every test of its pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.actors.executor_fakes import System


@pytest.fixture
async def system() -> AsyncIterator[System]:
    """A started executor with one symbol attached and marked; nothing of it may have crashed."""
    made = System()
    await made.start()
    yield made
    await made.executor.close()
    assert made.crashes == []
