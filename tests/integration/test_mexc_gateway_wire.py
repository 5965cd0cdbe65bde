"""What a broken line does to a request: certain when nothing was sent, unknown as soon as a byte may have arrived."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.clock import VenueClock
from trading.adapters.mexc.rest import RestSettings, SignedRest
from trading.adapters.mexc.signing import is_signature_of
from trading.model.errors import ConfigError, OutcomeUnknown, RateLimited, VenueRejected, VenueUnavailable

SECRET = "very-secret"
KEY = "very-key"
PATIENT = RestSettings(connect_timeout_s=30.0, request_timeout_s=30.0)
# For servers that keep silent: only the answer is waited for so shortly.
QUICK = RestSettings(connect_timeout_s=30.0, request_timeout_s=0.5)
Serve = Callable[[bytes, asyncio.StreamWriter, int], Awaitable[None]]


def answer(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), more, body)


@asynccontextmanager
async def line(
    serve: Serve, settings: RestSettings = PATIENT, on_limited: Callable[[float], None] = lambda retry_after_s: None
) -> AsyncIterator[tuple[SignedRest, list[bytes]]]:
    """Give a client of a raw TCP server that treats the n-th request's head by `serve(head, writer, n)`."""
    heads: list[bytes] = []

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head)
                await serve(head, writer, len(heads))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    address, clock = f"http://127.0.0.1:{port}", VenueClock(SystemClock())
    rest = SignedRest(address, Credentials(KEY, SECRET), clock, settings, on_limited)
    try:
        yield rest, heads
    finally:
        await rest.close()
        server.close()


def target(head: bytes) -> str:
    return head.split(b" ", 2)[1].decode()


async def send_order(rest: SignedRest) -> object:
    return await rest.send_once("POST", "order", [("symbol", "BTCUSDT")], 1_700_000_000_000, 2_000)


async def test_request_signs_the_bytes_that_are_sent() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(answer(b"{}"))

    async with line(serve) as (rest, heads):
        odd = [("symbol", "BTCUSDT,龙虾USDT,GOLD(PAXG)USDT"), ("newClientOrderId", "a b+c~/%2F&=ä")]
        await rest.send_once("DELETE", "openOrders", odd, 1_700_000_000_000, 2_000)
        path, _, query = target(heads[0]).partition("?")
        raw, _, signature = query.rpartition("&signature=")
        assert path == "/api/v3/openOrders"
        assert is_signature_of(SECRET, raw, "", signature)
        assert raw.endswith("&timestamp=1700000000000&recvWindow=2000")
        assert "%E9%BE%99%E8%99%BEUSDT" in raw
        assert "a%20b%2Bc~%2F%252F%26%3D%C3%A4" in raw
        assert f"x-mexc-apikey: {KEY}".encode() in heads[0].lower()


async def test_request_refused_before_connecting_is_certainly_not_sent() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    rest = SignedRest(f"http://127.0.0.1:{port}", Credentials(KEY, SECRET), VenueClock(SystemClock()), PATIENT)
    with pytest.raises(VenueUnavailable, match="not sent"):
        await send_order(rest)
    assert (rest.counters.unsent, rest.counters.outcomes_unknown) == (1, 0)
    await rest.close()


async def test_request_without_a_free_connection_is_certainly_not_sent() -> None:
    is_over = asyncio.Event()

    async def serve(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
        await is_over.wait()
        writer.write(answer(b"{}"))

    async with line(serve, RestSettings(0.5, 60.0, connections_max=1)) as (rest, heads):
        first = asyncio.create_task(send_order(rest))
        async with asyncio.timeout(60):
            while not heads:  # noqa: ASYNC110 - the server's own words
                await asyncio.sleep(0.01)
        with pytest.raises(VenueUnavailable):
            await send_order(rest)
        is_over.set()
        assert await first == {}
        assert len(heads) == 1


async def cut(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
    writer.transport.abort()


async def close_politely(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
    writer.close()


async def half_an_answer(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(answer(b'{"orderId":"C02__1"}')[:-4])
    await writer.drain()
    writer.close()


async def silence(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
    await asyncio.sleep(1.0)


async def dribble(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
    """A byte now and then keeps every single read within its timeout; the whole must be bounded too."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(30):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def no_http(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")


async def no_json(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(answer(b"<html>ok</html>"))


async def bad_gateway(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(answer(b"<html>bad gateway</html>", b"502 Bad Gateway"))


@pytest.mark.parametrize(
    "serve",
    [cut, close_politely, half_an_answer, silence, dribble, no_http, no_json, bad_gateway],
    ids=lambda f: f.__name__,
)
async def test_request_that_may_have_arrived_is_unknown_and_sent_once(serve: Serve) -> None:
    async with line(serve, QUICK) as (rest, heads):
        with pytest.raises(OutcomeUnknown) as caught:
            await send_order(rest)
        await asyncio.sleep(0.05)
        assert len(heads) == 1
        assert rest.counters.outcomes_unknown == 1
        assert not [secret for secret in (SECRET, KEY, "signature") if secret in str(caught.value)]


async def test_request_on_a_connection_the_venue_closed_while_idle_uses_a_new_one() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(answer(b"{}"))
        await writer.drain()
        writer.close()

    async with line(serve) as (rest, heads):
        for _ in range(5):
            await send_order(rest)
            await asyncio.sleep(0.02)
        assert len(heads) == 5
        assert rest.counters.outcomes_unknown == 0


async def test_repeatable_request_survives_one_cut_and_not_two() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
        if number == 2:
            writer.write(answer(b'{"balances":[]}'))
        else:
            writer.transport.abort()

    async with line(serve) as (rest, heads):
        assert await rest.repeatable("GET", "account") == {"balances": []}
        with pytest.raises(VenueUnavailable):
            await rest.repeatable("GET", "account")
        assert len(heads) == 4


async def test_redirect_is_a_refusal_and_never_followed() -> None:
    """A followed redirect would carry the key and a signed order to another host."""

    async def serve(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(answer(b"", b"307 Temporary Redirect", b"Location: /elsewhere\r\n"))

    async with line(serve) as (rest, heads):
        with pytest.raises(VenueRejected) as caught:
            await send_order(rest)
        assert (caught.value.code, len(heads)) == (307, 1)


async def test_environment_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def serve(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(answer(b"{}"))

    async with line(serve) as (rest, _):
        assert await send_order(rest) == {}


async def test_request_after_close_is_certainly_not_sent() -> None:
    async with line(no_json) as (rest, heads):
        await rest.close()
        with pytest.raises(VenueUnavailable, match="not sent"):
            await send_order(rest)
        assert heads == []


async def test_client_shows_neither_key_nor_secret(caplog: pytest.LogCaptureFixture) -> None:
    async with line(no_json) as (rest, _):
        with caplog.at_level(logging.WARNING), pytest.raises(OutcomeUnknown) as caught:
            await send_order(rest)
        shown = f"{rest!r} {rest} {caught.value!r} {caplog.text}"
        assert not [secret for secret in (SECRET, KEY, "signature") if secret in shown]


@pytest.mark.parametrize("address", ["", "ftp://host", "http://", "api.mexc.com", "http://[::1"])
def test_rest_address_that_is_none_is_a_config_error(address: str) -> None:
    with pytest.raises(ConfigError, match="REST address"):
        SignedRest(address, Credentials(KEY, SECRET), VenueClock(SystemClock()), QUICK)


async def test_request_refused_for_its_pace_is_told_beside_the_error() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter, number: int) -> None:
        if number == 1:
            writer.write(answer(b"{}", b"429 Too Many Requests", b"Retry-After: 4\r\n"))
        elif number == 2:
            writer.write(answer(b"<html>", b"403 Forbidden"))
        else:
            writer.write(answer(b"{}"))

    told: list[float] = []
    async with line(serve, on_limited=told.append) as (rest, _):
        with pytest.raises(RateLimited):
            await send_order(rest)
        with pytest.raises(RateLimited):
            await rest.repeatable("GET", "account")
        await rest.repeatable("GET", "account")
    assert told == [4.0, 90.0]
