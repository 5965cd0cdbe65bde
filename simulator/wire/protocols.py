"""The protocol classes of the server: uvicorn's, bounded, and with errors in the venue's form. May import uvicorn.

Who never finishes a request is dropped; whose head has no end, or is no HTTP, is told so in JSON and dropped.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

WS_PATHS = ("/ws", "/ws/")
# Request line and headers of one request, bytes; a batch of orders in the query takes up to half of it.
HEAD_MAX = 128 * 1024
# A request that is not whole after this long (scaled, but never below a second) ends its connection.
REQUEST_S, REQUEST_S_MIN = 60.0, 1.0


def error_body(code: int, text: str) -> bytes:
    """Return an error as JSON."""
    return orjson.dumps({"code": code, "msg": text})


class _LongHeadError(Exception):
    """The head of a request is longer than HEAD_MAX."""


class HttpProtocol(HttpToolsProtocol):
    """HTTP with the transport in the scope, so that a reply can be lost on purpose.

    Its application has `request_timeout_s`: how long a request may take to arrive.
    """

    _head_size = 0
    _is_head_open = False
    _is_whole = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_head_open:
            self._head_size += len(data)
            if self._head_size > HEAD_MAX:
                return self._refuse(431, f"Request header is longer than {HEAD_MAX} bytes")
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport
        self._head_size, self._is_head_open, self._is_whole = 0, True, False
        self._expect_request()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > HEAD_MAX:
            raise _LongHeadError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_whole = True
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls this."""
        if self._head_size > HEAD_MAX:
            return self._refuse(431, f"Request header is longer than {HEAD_MAX} bytes")
        return self._refuse(400, msg)

    def shutdown(self) -> None:
        """Let a request that is being answered end; do not wait for one that never came whole."""
        if self._is_whole:
            super().shutdown()
        else:
            self.transport.close()

    def _expect_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.app.request_timeout_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.abort()

    def _refuse(self, status: int, text: str) -> None:
        body = error_body(status, text)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class _Handshakes(ServerProtocol):
    """The handshake: on the venue's path only, its refusals as JSON."""

    def accept(self, request: Request) -> Response:
        if request.path.partition("?")[0] not in WS_PATHS:
            return self.reject(404, "Not Found")
        return super().accept(request)

    def reject(self, status: Any, text: str) -> Response:
        response = super().reject(status, text)
        body = error_body(response.status_code, text.strip() or response.reason_phrase)
        headers = Headers(response.headers)
        for name, value in (("Content-Length", str(len(body))), ("Content-Type", "application/json")):
            del headers[name]
            headers[name] = value
        return Response(response.status_code, response.reason_phrase, headers, body)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket with itself in the scope: frames are built once and written to many transports."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Handshakes(max_size=self.config.ws_max_size, logger=self.logger)

    async def run_asgi(self) -> None:
        self.scope["state"]["protocol"] = self
        await super().run_asgi()

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message on; text that is no UTF-8 closes the connection with 1007, as the standard wants."""
        if self.curr_msg_data_type == "text":
            try:
                self.frames = [b"".join(self.frames)]
                self.frames[0].decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                return self.handle_parser_exception()
        return super().send_receive_event_to_app()

    def write(self, frame: bytes) -> None:
        """Send one complete frame."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(frame)

    def backlog(self) -> int:
        """Return the bytes that wait to be sent."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Break the connection, without a close frame."""
        self.transport.abort()

    def close(self, code: int) -> None:
        """Close the connection with a close frame."""
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(code)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.close_timer = self.loop.call_later(1.0, self.transport.close)
