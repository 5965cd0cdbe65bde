"""One value shared by many readers."""

from __future__ import annotations

import asyncio

import pytest

from api.cached import Cached
from trading.model.errors import NotRunning, StoreError


class Source:
    """Counts fetches; can be slow, or fail."""

    def __init__(self) -> None:
        self.fetches = 0
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def fetch(self) -> int:
        self.fetches += 1
        number = self.fetches
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return number


async def test_cached_value_is_fetched_once_for_many_readers() -> None:
    source = Source()
    cached = Cached("source", source.fetch, 60.0, 1.0)
    assert await asyncio.gather(*(cached.get() for _ in range(50))) == [1] * 50
    assert await cached.get() == 1


async def test_cached_value_is_fetched_again_when_too_old() -> None:
    cached = Cached("source", Source().fetch, 0.0, 1.0)
    assert [await cached.get(), await cached.get()] == [1, 2]


async def test_cached_failure_is_raised_to_all_and_keeps_the_last_value() -> None:
    source = Source()
    cached = Cached("source", source.fetch, 0.0, 1.0)
    await cached.get()
    source.error = StoreError("the database does not answer")
    with pytest.raises(StoreError):
        await cached.get()
    assert (cached.last, cached.error) == (1, "the database does not answer")


async def test_cached_failure_is_not_asked_again_within_the_interval() -> None:
    source = Source()
    source.error = StoreError("away")
    cached = Cached("source", source.fetch, 60.0, 1.0)
    for _ in range(3):
        with pytest.raises(StoreError):
            await cached.get()
    assert source.fetches == 1


async def test_cached_source_that_hangs_is_an_error_in_time() -> None:
    source = Source()
    source.gate = asyncio.Event()
    with pytest.raises(NotRunning, match=r"the supervisor: no answer within 0\.01 s"):
        await Cached("the supervisor", source.fetch, 60.0, 0.01).get()


async def test_reader_that_leaves_does_not_take_the_fetch_with_it() -> None:
    source = Source()
    source.gate = asyncio.Event()
    cached = Cached("source", source.fetch, 60.0, 1.0)
    leaving = asyncio.create_task(cached.get())
    staying = asyncio.create_task(cached.get())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    source.gate.set()
    assert await staying == 1


async def test_forget_during_a_fetch_fetches_anew() -> None:
    source = Source()
    source.gate = asyncio.Event()
    cached = Cached("source", source.fetch, 60.0, 1.0)
    reader = asyncio.create_task(cached.get())
    await asyncio.sleep(0)
    cached.forget()
    source.gate.set()
    assert await reader == 2
    assert await cached.get() == 2


async def test_forget_during_a_fetch_reaches_every_reader_and_who_comes_after_they_left() -> None:
    source = Source()
    source.gate = asyncio.Event()
    cached = Cached("source", source.fetch, 60.0, 1.0)
    before = asyncio.create_task(cached.get())
    await asyncio.sleep(0)
    cached.forget()
    after = [asyncio.create_task(cached.get()) for _ in range(2)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(before, *after) == [2, 2, 2]

    source.gate = asyncio.Event()
    cached.forget()
    leaving = asyncio.create_task(cached.get())
    await asyncio.sleep(0)
    cached.forget()
    leaving.cancel()
    source.gate.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (cached.last, await cached.get()) == (3, 4)
