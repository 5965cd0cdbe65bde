"""The system as one: snapshot, stream, metrics, health. May import fastapi and the API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Header, Query, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.context import Context, Here
from api.metrics import CONTENT_TYPE, fleet_metrics
from api.ports import Row
from api.problems import ProblemError
from api.schemas import Liveness, Readiness, Snapshot
from api.stream_hub import StreamEvent, StreamHub
from trading.model.errors import TradingError

T = TypeVar("T")
STATUS_TIMEOUT_S = 2.0
STUCK_S = 30.0
SSE_TYPE = "text/event-stream"
router = APIRouter(tags=["system"])

LastEventId = Annotated[str | None, Header(description="Go on after this event.")]
LastEventIdQuery = Annotated[str | None, Query(alias="last_event_id", description="The same, for who sets no header.")]


@router.get("/v1/snapshot", response_model=Snapshot, summary="Everything a screen needs, at one moment")
async def read_snapshot(context: Here) -> Row:
    """Parts whose source is away are as last seen, and named in `stale_reason`."""
    return await _snapshot(context)


@router.get(
    "/v1/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {SSE_TYPE: {"schema": {"type": "string"}}}, "description": "Server-sent events."}},
    summary="What happens, as it happens",
)
async def read_stream(
    context: Here, last_event_id: LastEventId = None, after: LastEventIdQuery = None
) -> StreamingResponse:
    """Begins with a `snapshot`, or after Last-Event-ID; a `gap` says that events were missed and a snapshot follows."""
    events = _follow(context, _read_id(last_event_id or after))

    async def lines() -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        async with contextlib.aclosing(events):
            async for event in events:
                yield event.as_sse()

    return _Events(context.hub, lines())


class _Events(StreamingResponse):
    """Holds one of the hub's places while it is sent, from before its first byte on.

    A client that takes nothing for `STUCK_S` loses its place: its connection may be open for ever. (Of a socket uvicorn
    asks for a sign of life each 20 s.)
    """

    def __init__(self, hub: StreamHub, lines: AsyncIterator[bytes]) -> None:
        super().__init__(lines, media_type=SSE_TYPE, headers={"Cache-Control": "no-store"})
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises: Refused when every place is taken; nothing was sent then."""

        async def in_time(message: Message) -> None:
            async with asyncio.timeout(STUCK_S):
                await send(message)

        with self._hub.place(), contextlib.suppress(TimeoutError):
            await super().__call__(scope, receive, in_time)


@router.websocket("/v1/ws")
async def read_socket(context: Here, socket: WebSocket, after: LastEventIdQuery = None) -> None:
    """The same as /v1/stream, as JSON messages {id, event, data}. What the client sends is ignored.

    What /v1/stream would refuse is refused here in the same way, before the socket opens.
    """
    first = _read_id(after or socket.headers.get("last-event-id"))
    with context.hub.place():
        await socket.accept()
        listening = asyncio.create_task(_until_gone(socket))
        sending = asyncio.create_task(_send(socket, context, first))
        try:
            await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, sending):
                task.cancel()
            await asyncio.gather(listening, sending, return_exceptions=True)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(1001)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}},
    summary="Prometheus metrics",
)
async def read_metrics(context: Here) -> Response:
    """Of the API itself, and of the fleet as its last heartbeats had it."""
    snapshot = await _snapshot(context)
    status, fleet = await asyncio.gather(
        _in_time(context.deps.executor.status()), _in_time(context.deps.supervisor.status())
    )
    hub = context.hub
    stream = {"clients": hub.clients, "events": hub.published, "gaps": hub.gaps}
    return Response(context.metrics.page(fleet_metrics(snapshot, status, stream, fleet)), media_type=CONTENT_TYPE)


async def _in_time(status: Awaitable[T]) -> T | None:
    """Wait for a status; None when there is no answer."""
    try:
        return await asyncio.wait_for(status, STATUS_TIMEOUT_S)
    except (TradingError, TimeoutError):
        return None


@router.get("/healthz", response_model=Liveness, summary="The API lives")
async def read_health() -> Liveness:
    """Asks nobody."""
    return Liveness()


@router.get(
    "/readyz", response_model=Readiness, responses={503: {"model": Readiness}}, summary="The system is ready, or not"
)
async def read_readiness(context: Here) -> JSONResponse:
    """503 with what is missing."""
    missing = await context.readiness.missing()
    return JSONResponse({"ready": not missing, "missing": list(missing)}, 503 if missing else 200)


async def _snapshot(context: Context) -> Row:
    return await context.view.snapshot(lambda: context.hub.last_id)


async def _follow(context: Context, after_id: int | None) -> AsyncGenerator[StreamEvent, None]:
    await context.feed.prime()
    async with contextlib.aclosing(context.hub.follow(after_id, lambda: _snapshot(context))) as events:
        async for event in events:
            yield event


async def _send(socket: WebSocket, context: Context, after_id: int | None) -> None:
    async with contextlib.aclosing(_follow(context, after_id)) as events:
        async for event in events:
            await socket.send_text(event.as_text())


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        continue


def _read_id(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ProblemError(400, "bad_request", "Last-Event-ID: expected the id of an earlier event")
    return int(text)
