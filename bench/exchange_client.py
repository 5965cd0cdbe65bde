"""A trading client of the simulator that costs little time itself: REST over one kept connection, and the user stream.

May import websockets and trading.adapters.mexc.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from bench.figures import CannotRunError
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.signing import signed_query

ORDERS = "spot@private.orders.v3.api.pb"
PUSH_TIMEOUT_S = 10.0
NEW = 1


@dataclass(slots=True)
class Timings:
    """Seconds of each request and push."""

    depth: list[float] = field(default_factory=list)
    place: list[float] = field(default_factory=list)
    cancel: list[float] = field(default_factory=list)
    push: list[float] = field(default_factory=list)


class TradingClient:
    """One REST connection and one user stream of the simulator's first account."""

    def __init__(
        self, api_key: str, secret: str, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], host: str
    ) -> None:
        self._api_key = api_key
        self._secret = secret
        self._reader, self._writer = streams
        self._host = host

    async def request(self, method: str, path: str, query: str = "") -> Any:
        """Send a request and return the answer's JSON. Raises: CannotRunError unless it is 200."""
        target = f"{path}?{query}" if query else path
        head = f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\nX-MEXC-APIKEY: {self._api_key}\r\n\r\n"
        self._writer.write(head.encode())
        status_and_headers = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = int(status_and_headers.partition("content-length:")[2].partition("\r\n")[0])
        body = await self._reader.readexactly(size)
        if " 200 " not in status_and_headers.partition("\r\n")[0]:
            raise CannotRunError(f"{method} {path} was answered {body[:200]!r}")
        return json.loads(body)

    async def signed(self, method: str, path: str, **params: object) -> Any:
        """Send a signed request."""
        pairs = [(name, str(value)) for name, value in params.items()]
        pairs.append(("timestamp", str(time.time_ns() // 1_000_000)))
        return await self.request(method, path, signed_query(self._secret, pairs))

    async def rounds(self, count: int, symbol: str, every_s: float, link: ClientConnection) -> Timings:
        """Ask for depth, place an order that rests and hear of it, cancel it; so many times."""
        await link.send(json.dumps({"method": "SUBSCRIPTION", "params": [ORDERS]}))
        best = await self.request("GET", "/api/v3/ticker/bookTicker", f"symbol={symbol}")
        order = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "quantity": 100}
        order["price"] = f"{float(best['bidPrice']) * 0.8:.4f}"
        heard: dict[str, asyncio.Future[float]] = {}
        listener = asyncio.create_task(_listen(link, heard))
        timings = Timings()
        try:
            for number in range(count):
                name = f"bench-{number}"
                heard[name] = asyncio.get_running_loop().create_future()
                began = time.perf_counter()
                await self.request("GET", "/api/v3/depth", f"symbol={symbol}&limit=100")
                asked = time.perf_counter()
                await self.signed("POST", "/api/v3/order", **order, newClientOrderId=name)
                placed = time.perf_counter()
                pushed = await asyncio.wait_for(heard[name], PUSH_TIMEOUT_S)
                before = time.perf_counter()
                await self.signed("DELETE", "/api/v3/order", symbol=symbol, origClientOrderId=name)
                timings.cancel.append(time.perf_counter() - before)
                timings.depth.append(asked - began)
                timings.place.append(placed - asked)
                timings.push.append(pushed - asked)
                await asyncio.sleep(every_s)
        except TimeoutError:
            raise CannotRunError(f"an order was not pushed within {PUSH_TIMEOUT_S:g} s") from None
        finally:
            listener.cancel()
        return timings


async def _listen(link: ClientConnection, heard: dict[str, asyncio.Future[float]]) -> None:
    async for frame in link:
        if isinstance(frame, bytes):
            now = time.perf_counter()
            order = pb.PushDataV3ApiWrapper.FromString(frame).privateOrders
            waiting = heard.get(order.clientId)
            if waiting is not None and not waiting.done() and order.status == NEW:
                waiting.set_result(now)


@asynccontextmanager
async def trading_client(ready: dict[str, str]) -> AsyncIterator[tuple[TradingClient, ClientConnection]]:
    """Connect to a simulator by its ready line; give the client and its user stream."""
    address = urlsplit(ready["rest"])
    streams = await asyncio.open_connection(address.hostname, address.port)
    client = TradingClient(ready["api_key"], ready["secret"], streams, address.netloc)
    try:
        key = (await client.signed("POST", "/api/v3/userDataStream"))["listenKey"]
        options = {"compression": None, "proxy": None, "ping_interval": None, "close_timeout": 1}
        async with connect(f"{ready['ws']}?listenKey={key}", **options) as link:  # type: ignore[arg-type]
            yield client, link
    finally:
        streams[1].close()
