"""Only a list of open orders tells that none is open: a halt rests on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.rest import RestSettings
from trading.model.errors import VenueUnavailable


@asynccontextmanager
async def answering(body: bytes, status: bytes = b"200 OK") -> AsyncIterator[MexcGateway]:
    """Give a gateway of a venue that answers every request with the same words."""

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = MexcGatewaySettings(
        rest_url=f"http://127.0.0.1:{port}",
        ws_url=f"ws://127.0.0.1:{port}/ws",
        rest=RestSettings(connect_timeout_s=30, request_timeout_s=30),
    )
    gateway = MexcGateway(settings, Credentials("key", "secret"), {}, SystemClock())
    try:
        yield gateway
    finally:
        await gateway.close()
        server.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"null", b"200 OK"),
        (b"{}", b"200 OK"),
        (b"false", b"200 OK"),
        (b'{"data": []}', b"200 OK"),
        (b'{"code": -2011, "msg": "Unknown order sent"}', b"400 Bad Request"),
        (b'{"code": -2013, "msg": "Order does not exist"}', b"400 Bad Request"),
    ],
)
async def test_answer_that_lists_nothing_is_no_proof_that_nothing_is_open(body: bytes, status: bytes) -> None:
    async with answering(body, status) as gateway:
        with pytest.raises(VenueUnavailable):
            await gateway.open_orders(["BTCUSDT"])


async def test_empty_list_is_that_proof() -> None:
    async with answering(b"[]") as gateway:
        assert await gateway.open_orders(["BTCUSDT"]) == ()
