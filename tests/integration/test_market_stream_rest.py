"""Public REST over a real socket: what each failure of a venue becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.simulator_process import SimulatorProcess, running_simulator
from trading.adapters.mexc.rest_public import PublicRest, PublicRestSettings
from trading.model.errors import ConfigError, RateLimited, VenueRejected, VenueUnavailable
from trading.model.market import BookSnapshot


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorProcess]:
    with running_simulator("--count", "2", "--seed", "5", "--limits", "off") as process:
        yield process


@asynccontextmanager
async def answering(raw: bytes, settings: PublicRestSettings | None = None) -> AsyncIterator[PublicRest]:
    """A venue that answers every request with these bytes and hangs up; empty bytes: it never answers."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if raw:
            writer.write(raw)
            await writer.drain()
        else:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        rest = PublicRest(f"http://127.0.0.1:{port}", settings=settings)
        try:
            yield rest
        finally:
            await rest.close()


def reply(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_market_stream_rest_reads_listing_depth_clock_and_tickers(sim: SimulatorProcess) -> None:
    heard: list[tuple[str, int, bytes]] = []
    rest = PublicRest(sim.rest, depth_tap=lambda symbol, at_ns, body: heard.append((symbol, at_ns, body)))
    instruments = await rest.exchange_info()
    symbol, instrument = next(iter(instruments.items()))
    assert instrument.exclusion is None
    snapshot = await rest.depth(instrument, 20)
    assert isinstance(snapshot, BookSnapshot)
    assert 0 < len(snapshot.bids) <= 20
    assert snapshot.bids[0][0] < snapshot.asks[0][0]
    assert [(name, at_ns) for name, at_ns, _ in heard] == [(symbol, snapshot.recv_ts_ns)]
    assert heard[0][2].startswith(b"{")
    quote = await rest.book_ticker(instrument)
    assert quote.bid is not None
    assert abs(await rest.server_time_ms() - snapshot.recv_ts_ns // 1_000_000) < 5_000
    assert {ticker.symbol for ticker in await rest.tickers_24h()} == set(instruments)
    assert symbol.encode() in await rest.listing(symbol)
    await rest.close()
    await rest.close()
    with pytest.raises(VenueUnavailable):
        await rest.server_time_ms()


async def test_market_stream_rest_unknown_symbol_is_a_rejection_with_its_code(sim: SimulatorProcess) -> None:
    rest = PublicRest(sim.rest)
    with pytest.raises(VenueRejected) as caught:
        await rest.listing("NOPEUSDT")
    assert caught.value.code != 0
    await rest.close()


@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        (reply("429 Too Many", b'{"code":429,"msg":"x"}', "Retry-After: 7"), RateLimited, "429"),
        (reply("403 Forbidden", b"<html>blocked</html>"), RateLimited, "firewall"),
        (reply("500 Oops", b"{}"), VenueUnavailable, "HTTP 500"),
        (reply("200 OK", b"<html>"), VenueUnavailable, "unreadable body"),
        (reply("200 OK", b"[]"), VenueUnavailable, "unreadable answer"),
        (reply("200 OK", b'{"serverTime":null}'), VenueUnavailable, "expected serverTime"),
        (reply("200 OK", b'{"code":30014,"msg":"bad symbol"}'), VenueRejected, "bad symbol"),
        (b"not http at all\r\n\r\n", VenueUnavailable, "RemoteProtocolError"),
        (reply("200 OK", b"{}")[:-1], VenueUnavailable, "RemoteProtocolError"),
    ],
)
async def test_market_stream_rest_each_failure_has_its_class(raw: bytes, error: type[Exception], words: str) -> None:
    async with answering(raw) as rest:
        with pytest.raises(error) as caught:
            await rest.server_time_ms()
        assert type(caught.value) is error
        assert words in str(caught.value)


async def test_market_stream_rest_retry_after_is_kept() -> None:
    async with answering(reply("429 Too Many", b"{}", "Retry-After: 7")) as rest:
        with pytest.raises(RateLimited) as caught:
            await rest.server_time_ms()
    assert caught.value.retry_after_s == 7


async def test_market_stream_rest_silent_or_absent_venue_is_unavailable_in_time() -> None:
    async with answering(b"", PublicRestSettings(request_timeout_s=0.2)) as rest:
        with pytest.raises(VenueUnavailable, match="Timeout"):
            await rest.server_time_ms()
        assert (rest.requests, rest.failures) == (1, 1)
    nobody = PublicRest("http://127.0.0.1:9")
    with pytest.raises(VenueUnavailable, match="ConnectError"):
        await nobody.exchange_info()
    await nobody.close()


@pytest.mark.parametrize("address", ["", "api.mexc.com", "ftp://x", "http://", "http://x:port"])
def test_market_stream_rest_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="REST address"):
        PublicRest(address)
