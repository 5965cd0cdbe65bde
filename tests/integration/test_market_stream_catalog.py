"""The supervisor's list of instruments over a real socket: read again in time, and sooner when frames do not fit it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from actors.wiring_supervisor import VenueCatalog
from bench.follower import until
from tests.unit.actors.executor_fakes import BTC
from trading.adapters.clock import ManualClock, SystemClock
from trading.adapters.mexc.rest_codec import listing_of
from trading.adapters.mexc.rest_public import PublicRest
from trading.model.errors import NotRunning, VenueUnavailable
from trading.model.units import NS_PER_MS

NAME = "GOLD(PAXG)USDT"


class Listing:
    """A venue that lists one symbol, whose filters change when the test says so."""

    def __init__(self) -> None:
        self.instrument = replace(BTC, symbol=NAME)
        self.reads = 0
        self.refuses = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.reads += 1
        if self.refuses:
            self.refuses = False
            writer.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return writer.close()
        body = orjson.dumps(listing_of(self.instrument, 1_700_000_000_000))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        return writer.close()


@asynccontextmanager
async def catalog_of(listing: Listing, age_s: float) -> AsyncIterator[VenueCatalog]:
    async with await asyncio.start_server(listing.answer, "127.0.0.1", 0) as server:
        rest = PublicRest(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        catalog = VenueCatalog(rest, SystemClock(), age_s=age_s, age_min_s=0.05)
        task = asyncio.create_task(catalog.keep_fresh())
        try:
            await until(lambda: catalog.instrument(NAME) is not None, 60.0, lambda: listing.reads)
            yield catalog
        finally:
            task.cancel()
            await asyncio.wait({task})
            await rest.close()


async def test_catalog_sees_filters_that_change_at_its_next_reading() -> None:
    listing = Listing()
    async with catalog_of(listing, age_s=0.1) as catalog:
        first = catalog.instrument(NAME)
        listing.instrument = replace(listing.instrument, tick_size=Decimal("0.001"), min_notional=Decimal(7))
        await until(lambda: catalog.instrument(NAME) != first, 60.0, lambda: listing.reads)
        now = catalog.instrument(NAME)
        assert now is not None
        assert (now.tick_size, now.min_notional) == (Decimal("0.001"), Decimal(7))


async def test_catalog_is_read_sooner_when_asked_and_not_oftener_than_its_bound() -> None:
    listing = Listing()
    async with catalog_of(listing, age_s=3_600.0) as catalog:
        await asyncio.sleep(0.2)
        assert listing.reads == 1
        listing.instrument = replace(listing.instrument, tick_size=Decimal("0.001"))
        for _ in range(100):
            catalog.refresh_soon()
        await until(lambda: listing.reads == 2, 60.0, lambda: listing.reads)
        await asyncio.sleep(0.2)
        assert listing.reads == 2


async def test_catalog_that_is_refused_for_its_pace_tells_its_address_and_keeps_silent_so_long() -> None:
    listing = Listing()
    async with catalog_of(listing, age_s=3_600.0) as catalog:
        told: list[float] = []
        catalog.on_limited = told.append
        listing.refuses = True
        listing.instrument = replace(listing.instrument, tick_size=Decimal("0.001"))
        catalog.refresh_soon()
        await until(lambda: told == [2.0], 60.0, lambda: listing.reads)
        refused_at, reads = asyncio.get_running_loop().time(), listing.reads
        await until(lambda: listing.reads > reads, 60.0, lambda: listing.reads)
        assert asyncio.get_running_loop().time() - refused_at > 1.9
        await until(lambda: catalog.instrument(NAME) == listing.instrument, 60.0, lambda: listing.reads)


async def test_catalog_that_was_not_read_yet_knows_no_symbol_as_unknown() -> None:
    listing = Listing()
    async with await asyncio.start_server(listing.answer, "127.0.0.1", 0) as server:
        rest = PublicRest(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        catalog = VenueCatalog(rest, SystemClock())
        with pytest.raises(NotRunning, match="has not told its symbols yet"):
            await catalog.await_list(0.01)
        waiting = asyncio.create_task(catalog.await_list(60.0))
        reading = asyncio.create_task(catalog.keep_fresh())
        await waiting
        catalog.check_symbol(NAME)
        reading.cancel()
        await asyncio.wait({reading})
        await rest.close()


async def test_catalog_keeps_the_venues_clock_and_how_sure_it_is() -> None:
    rest, clock = SkewedRest("http://127.0.0.1:9"), ManualClock()
    catalog = VenueCatalog(rest, clock, clock_age_s=0.01)
    assert catalog.clock() is None
    rest.time_ms = clock.now_ns() // NS_PER_MS + 250
    task = asyncio.create_task(catalog.keep_time())
    await until(lambda: rest.asked >= 5, 60.0, lambda: rest.asked)
    task.cancel()
    await asyncio.wait({task})
    assert catalog.clock() == (250, 1)


class SkewedRest(PublicRest):
    """Answers with the time that it is told, after two failures."""

    time_ms = 0
    asked = 0

    async def server_time_ms(self) -> int:
        self.asked += 1
        if self.asked < 3:
            raise VenueUnavailable("GET time: nobody there")
        return self.time_ms
