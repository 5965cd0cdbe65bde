"""The ASGI application. May import simulator.wire.

HTTP goes to `routes.handle`; WebSocket messages go to a `Connection`, which writes finished frames to the transport.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from simulator.faults import FaultKind
from simulator.wire.connection import Connection
from simulator.wire.errors import WireError
from simulator.wire.frames import text_frame
from simulator.wire.hub import Hub
from simulator.wire.protocols import REQUEST_S, REQUEST_S_MIN, WebSocketProtocol
from simulator.wire.requests import Reply, Request
from simulator.wire.routes import error_reply, handle

BODY_MAX = 64 * 1024
# So much of a body that was refused is still read: closed on unread bytes, the connection would take the answer along.
DISCARD_MAX = 64 * 1024 * 1024
DEPTH_PATH = "/api/v3/depth"
# A snapshot inside the next delta waits for that delta to gather two changes, so many beats at most.
GATHER_BEATS_MAX, GATHER_BEAT_S = 200, 0.01
INVALID_LISTEN_KEY = "Invalid listen key"
_POLICY_VIOLATION = 1008


class VenueApp:
    """The application of one hub."""

    def __init__(self, hub: Hub) -> None:
        self.request_timeout_s = max(REQUEST_S_MIN, REQUEST_S / hub.venue.settings.time_scale)
        self.ending = asyncio.Event()  # set when the process is told to stop: what is still held back is never sent
        self._hub = hub
        self._venue = hub.venue

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP exchange or one WebSocket connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await _read_body(receive)
        except _BodyTooLongError as error:
            reply = error_reply(413, 413, f"Request body is longer than {BODY_MAX} bytes")
            return await _refuse_body(reply, error.is_more, receive, send)
        if body is None:
            return  # the client went away within its request: nothing was asked
        reply = await self._whole_reply(scope, body)
        self._hub.push_private(self._venue.now_ms())
        if reply.delay_ms > 0 and await self._ends_within(reply.delay_ms / 1_000):
            reply.is_lost = True
        if reply.is_lost:
            scope["state"]["transport"].abort()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await _send_reply(reply, send)

    async def _ends_within(self, length_s: float) -> bool:
        """Wait so long, or until the process is told to stop; return whether it was."""
        try:
            await asyncio.wait_for(self.ending.wait(), length_s)
        except TimeoutError:
            return False
        return True

    async def _whole_reply(self, scope: Any, body: bytes) -> Reply:
        if scope["path"] == DEPTH_PATH and self._venue.faults.is_any(FaultKind.SNAPSHOT_INSIDE):
            async with self._gathering(scope):
                return self._reply(scope, body)
        return self._reply(scope, body)

    @asynccontextmanager
    async def _gathering(self, scope: Any) -> AsyncIterator[None]:
        """Hold a pair's deltas back until a snapshot can lie inside the next one, for a while at most."""
        symbol = _query_value(scope["query_string"], "symbol")
        pair = self._venue.exchange.pairs.get(symbol)
        if pair is None:
            yield
            return
        pair.book.holds += 1
        try:
            for _ in range(GATHER_BEATS_MAX):
                if not pair.book.collectors or pair.book.inside_version() is not None:
                    break
                await asyncio.sleep(GATHER_BEAT_S)
            yield
        finally:
            pair.book.holds -= 1

    def _reply(self, scope: Any, body: bytes) -> Reply:
        try:
            query_text, body_text = scope["query_string"].decode(), body.decode()
        except UnicodeDecodeError:
            return error_reply(400, 700008, "Illegal characters found in parameters; expected UTF-8.")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope["client"][0] if scope["client"] else ""
        try:
            request = Request(scope["method"], scope["path"], query_text, body_text, headers, client)
            return handle(self._venue, request)
        except WireError as error:
            return error_reply(error.status, error.code, error.text)

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        protocol: WebSocketProtocol = scope["state"]["protocol"]
        now_ms = self._venue.now_ms()
        listen_key = _query_value(scope["query_string"], "listenKey")
        account = self._venue.listen_keys.owner(listen_key, now_ms) if listen_key else None
        if listen_key and (account is None or not self._hub.may_connect(listen_key)):
            protocol.write(text_frame(INVALID_LISTEN_KEY))
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        connection = Connection(protocol, self._hub, now_ms, account, listen_key)
        self._hub.connections.add(connection)
        try:
            await self._listen(connection, receive)
        finally:
            self._hub.leave(connection)

    async def _listen(self, connection: Connection, receive: Any) -> None:
        echoes_id = self._venue.settings.rules.echoes_request_id
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if connection.is_closed:
                continue
            text = message.get("text")
            if text is None:
                text = message.get("bytes", b"").decode("utf-8", "replace")
            connection.receive(text, self._venue.now_ms(), echoes_id=echoes_id)


def _query_value(query: bytes, wanted: str) -> str:
    for part in query.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        if name == wanted:
            return value
    return ""


class _BodyTooLongError(Exception):
    """The body is longer than BODY_MAX. `is_more`: some of it is still unread."""

    def __init__(self, is_more: bool) -> None:
        super().__init__(is_more)
        self.is_more = is_more


async def _read_body(receive: Any) -> bytes | None:
    """Return the whole body, None when the client went away before its end. Raises _BodyTooLongError."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > BODY_MAX:
            raise _BodyTooLongError(message.get("more_body", False))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _send_reply(reply: Reply, send: Any, *, is_followed: bool = False, is_last: bool = False) -> None:
    headers = [(b"content-type", reply.content_type), (b"content-length", str(len(reply.body)).encode())]
    if reply.retry_after_s is not None:
        headers.append((b"retry-after", str(reply.retry_after_s).encode()))
    if is_last:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": is_followed})


async def _refuse_body(reply: Reply, is_more: bool, receive: Any, send: Any) -> None:
    """Answer at once, then read on and forget, at most DISCARD_MAX bytes, and end the connection."""
    await _send_reply(reply, send, is_followed=True, is_last=True)
    size = 0
    while is_more and size < DISCARD_MAX:
        message = await receive()
        size += len(message.get("body", b""))
        is_more = message.get("more_body", False)  # a disconnect has none
    await send({"type": "http.response.body", "body": b""})
