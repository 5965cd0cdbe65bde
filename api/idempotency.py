"""Idempotency-Key on any POST: a repeat gets the first answer, another request under the same key a 409.

May import starlette and the API. Keys are bound in the database, so a repeat after the API's own restart is known too.
An answer of 5xx is not kept: the key is free again and the request may be retried, also where a database that broke
down in the middle still holds it. An answer that the database did not take is kept in memory. A halt is the same
however often it is asked for, so that it does not wait for a database that does not answer, nor for a first one that is
still at work (or whose key was bound when nobody waited for it any more): it is carried out without its key then.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.ports import FleetPort, StoredResponse
from api.problems import MEDIA_TYPE, from_trading_error, problem
from api.store_patience import StorePatience
from trading.model.errors import StoreError, TradingError
from trading.model.units import NS_PER_S

KEY_LENGTH_MAX = 200
BODY_BYTES_MAX = 256 * 1024
# The longest command is a halt (60 s); a claim that is older belongs to an API process that died.
ABANDONED_AFTER_NS = 120 * NS_PER_S
# Keys whose end the database does not know; of more, the oldest wait as above.
KEPT_MAX = 1_000
REPLAYED = "Idempotency-Replayed"
# Harmless to repeat, and never to be held back.
URGENT = frozenset({"/v1/halt"})
T = TypeVar("T")


class IdempotencyMiddleware:
    """ASGI: reads the body of each POST (bounded), and guards those with a key."""

    def __init__(self, app: ASGIApp, fleet: FleetPort, patience: StorePatience, now_ns: Callable[[], int]) -> None:
        self._app = app
        self._fleet = fleet
        self._now_ns = now_ns
        self._patience = patience
        self._under_way: Counter[str] = Counter()  # requests, by key; at most one of them is at work
        self._at_work: set[str] = set()
        self._doubtful: dict[str, None] = {}
        self._unstored: dict[str, StoredResponse] = {}  # answers of what was carried out, and that nobody was given

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or answer it from the database."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH", "DELETE"):
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            await problem(413, "too_large", f"the body is larger than {BODY_BYTES_MAX} bytes")(scope, receive, send)
            return
        key = Headers(scope=scope).get("idempotency-key") if scope["method"] == "POST" else None
        if key is None:
            await self._app(scope, _replay(body, receive), send)
            return
        if not 0 < len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
            text = f"Idempotency-Key: expected 1 to {KEY_LENGTH_MAX} printable ASCII characters"
            await problem(400, "bad_request", text)(scope, receive, send)
            return
        try:
            answer = await self._guarded(key, body, scope, receive)
        except _UnboundError:
            await self._app(scope, _replay(body, receive), send)
            return
        except TradingError as error:
            answer = from_trading_error(error)
        await answer(scope, receive, send)

    async def _guarded(self, key: str, body: bytes, scope: Scope, receive: Receive) -> Response:
        """Raises: StoreError; _UnboundError when something urgent is to go on without its key."""
        if (unstored := self._unstored.get(key)) is not None:
            return _bound_answer(unstored, request_hash(scope, body))
        # Of several at a time, one whose claim is answered late may be at work: none of them takes the key from it.
        is_free = key in self._doubtful and not self._under_way[key]
        self._under_way[key] += 1
        try:
            return await self._carry_out(key, body, scope, receive, is_free)
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    async def _carry_out(self, key: str, body: bytes, scope: Scope, receive: Receive, is_free: bool) -> Response:
        is_urgent = scope["path"] in URGENT
        body_hash = request_hash(scope, body)
        now_ns = self._now_ns()
        claim = self._fleet.claim_key(key, body_hash, now_ns, now_ns + 1 if is_free else now_ns - ABANDONED_AFTER_NS)
        try:
            bound = await (self._patience.wait(claim) if is_urgent else claim)
        except StoreError:
            if key not in self._at_work:
                _remember(self._doubtful, key, None)
            if is_urgent:
                raise _UnboundError from None
            raise
        if bound is not None:
            if is_urgent and bound.body_hash == body_hash and bound.status_code is None:
                raise _UnboundError
            return _bound_answer(bound, body_hash)
        self._doubtful.pop(key, None)
        self._at_work.add(key)
        recorder = _Recorder()
        try:
            await self._app(scope, _replay(body, receive), recorder)
        finally:
            if recorder.is_final:
                end = self._fleet.keep_response(key, recorder.status, recorder.json())
            else:
                end = self._fleet.release_key(key)
            try:
                await (self._patience.wait(end) if is_urgent else end)
            except StoreError:
                if not recorder.is_final:
                    _remember(self._doubtful, key, None)
                elif not is_urgent:
                    _remember(self._unstored, key, StoredResponse(body_hash, recorder.status, recorder.json()))
                if not is_urgent:
                    raise
            finally:
                self._at_work.discard(key)
        return recorder.response()


class _UnboundError(Exception):
    """The key of something urgent could not be bound."""


def _remember(kept: dict[str, T], key: str, value: T) -> None:
    """Keep a value; of more than `KEPT_MAX` the oldest is forgotten."""
    kept[key] = value
    if len(kept) > KEPT_MAX:
        del kept[next(iter(kept))]


def request_hash(scope: Scope, body: bytes) -> str:
    """Hash what makes a request the same: method, path, query, If-Match and body (JSON in canonical form)."""
    try:
        canonical = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS) if body else b""
    except orjson.JSONDecodeError:
        canonical = body
    match = Headers(scope=scope).get("if-match", "")
    parts = (scope["method"].encode(), scope["path"].encode(), scope["query_string"], match.encode(), canonical)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _bound_answer(bound: StoredResponse, body_hash: str) -> Response:
    if bound.body_hash != body_hash:
        return problem(
            409,
            "idempotency_mismatch",
            "this Idempotency-Key belongs to another request: use a new key for a new request",
        )
    if bound.status_code is None:
        return problem(
            409, "idempotency_in_progress", "the first request with this Idempotency-Key is still at work: ask again"
        )
    media_type = MEDIA_TYPE if bound.status_code >= 400 else "application/json"
    headers = {REPLAYED: "true"}
    if bound.status_code == 202:
        headers["Location"] = f"/v1/operations/{bound.response['operation_id']}"
    return JSONResponse(bound.response, bound.status_code, headers, media_type)


async def _read_body(receive: Receive) -> bytes | None:
    """Read the whole body; None when it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read already once, then what else comes."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


class _Recorder:
    """Keeps an answer of the app instead of sending it: only a stored answer may be given."""

    def __init__(self) -> None:
        self.status = 500
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._is_whole = False

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            self._is_whole = not message.get("more_body", False)

    @property
    def is_final(self) -> bool:
        """True when a repeat should get the same answer."""
        return self._is_whole and self.status < 500

    def json(self) -> Any:
        """Return the answer's body; every POST answers JSON."""
        return orjson.loads(b"".join(self._parts) or b"null")

    def response(self) -> Response:
        """Return the answer to send."""
        answer = Response(b"".join(self._parts), self.status)
        answer.raw_headers = self._headers
        return answer
