"""Who may do what: bearer tokens, checked before anything else, for every path alike. May import starlette and `api`.

Two tokens exist: `read` may look, `control` may also command. A path is closed unless it stands in `OPEN_PATHS`, so
that a new route cannot be forgotten. Tokens are compared in constant time and never logged.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from api.problems import problem

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Right(StrEnum):
    """What a caller may do; control includes read."""

    READ = "read"
    CONTROL = "control"


class Tokens:
    """The two tokens, as digests: their text is not kept."""

    def __init__(self, control: str, read: str) -> None:
        self._control = _digest(control)
        self._read = _digest(read)

    def right_of(self, header: str | None) -> Right | None:
        """Return what an Authorization header allows; None when it is absent or wrong."""
        scheme, _, token = (header or "").partition(" ")
        given = _digest(token.strip())
        # Both are compared always, so that the time taken says nothing.
        is_control = hmac.compare_digest(given, self._control)
        is_read = hmac.compare_digest(given, self._read)
        if scheme.lower() != "bearer":
            return None
        return Right.CONTROL if is_control else Right.READ if is_read else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class AuthMiddleware:
    """ASGI: 401 without a valid token, 403 with one that may only read where a command is asked for."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        right = self._tokens.right_of(Headers(scope=scope).get("authorization"))
        scope.setdefault("state", {})["right"] = right
        refusal = _refusal(right, scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(refusal)
        else:
            await refusal(scope, receive, send)


def _refusal(right: Right | None, scope: Scope) -> Response | None:
    if right is None:
        return problem(
            401,
            "unauthorized",
            "send a valid token: Authorization: Bearer TOKEN (its file is named by the ready line and run.json)",
            {"WWW-Authenticate": 'Bearer realm="mexcbot"'},
        )
    is_reading = scope["type"] == "websocket" or scope["method"] in _READING
    if right is Right.READ and not is_reading:
        return problem(
            403,
            "forbidden",
            "this token may only read: commands need the control token",
            {"WWW-Authenticate": 'Bearer realm="mexcbot", error="insufficient_scope", scope="control"'},
        )
    return None
