"""Errors as RFC 9457 problems: one sentence for people, a code for programs, never a traceback.

May import `actors.fleet`, `trading` and fastapi. The table `STATUS` is cut as the error tree is: by who must act.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from actors.fleet import StaleEpoch, UnknownSymbol
from trading.adapters.telemetry import logger
from trading.model.errors import (
    ConfigError,
    FencedOut,
    NotRunning,
    OutcomeUnknown,
    RateLimited,
    Refused,
    StoreError,
    TradingError,
    VenueError,
)

MEDIA_TYPE = "application/problem+json"
_log = logger("api")

# First match wins: a subclass stands before its parent.
STATUS: tuple[tuple[type[TradingError], int, str], ...] = (
    (StaleEpoch, 412, "stale_epoch"),
    (UnknownSymbol, 404, "unknown_symbol"),
    (ConfigError, 422, "invalid"),
    (Refused, 409, "refused"),
    (OutcomeUnknown, 504, "outcome_unknown"),
    (RateLimited, 503, "rate_limited"),
    (VenueError, 503, "venue_unavailable"),
    (FencedOut, 503, "fenced_out"),
    (StoreError, 503, "database_unavailable"),
    (NotRunning, 503, "not_running"),
)
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
}


class ProblemError(Exception):
    """A problem that a route states itself."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, code, detail, headers)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Render a problem. detail: one sentence."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return JSONResponse(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def from_trading_error(error: TradingError) -> JSONResponse:
    """Render an error of our own tree; one that names no table row is a bug and says nothing of itself."""
    for kind, status, code in STATUS:
        if isinstance(error, kind):
            return problem(status, code, str(error.args[0]) if error.args else code)
    _log.error("request_failed", error=f"{type(error).__name__}: {error}")
    return problem(500, "internal", INTERNAL)


INTERNAL = "the API failed while it answered this request: see its log"


NOT_JSON = "the body: send JSON, and say so by the header Content-Type: application/json"


def sentence(errors: Sequence[Any]) -> str:
    """Say in one sentence what is wrong with a request, from the first of pydantic's errors."""
    if not errors:
        return "the request is not valid"
    first = errors[0]
    where = [str(part) for part in first.get("loc", ())]
    place = ".".join(where[1:]) if len(where) > 1 else "the body" if where == ["body"] else ".".join(where)
    text = str(first.get("msg", "is not valid"))
    if first.get("type") == "json_invalid":
        return "the body is not valid JSON"
    text = text.removeprefix("Value error, ")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{place}: {text[:1].lower()}{text[1:]}{more}" if place else f"{text}{more}"


def install(app: FastAPI) -> None:
    """Answer every error of this app with a problem; a WebSocket too, instead of opening it."""

    async def on_trading_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, TradingError)
        return from_trading_error(error)

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return problem(error.status, error.code, error.detail, error.headers)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
        errors = error.errors()
        if any(item.get("loc") == ("body",) for item in errors) and not _is_json(request):
            return problem(422, "invalid", NOT_JSON)  # curl -d says that a form comes
        return problem(422, "invalid", sentence(errors))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(
            error.status_code, _CODES.get(error.status_code, "http_error"), _said(request, error), error.headers
        )

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        TradingError: on_trading_error,
        ProblemError: on_problem,
        RequestValidationError: on_invalid,
        WebSocketRequestValidationError: on_invalid,
        HTTPException: on_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _said(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return f"there is nothing at {request.url.path}"
    if error.status_code == 405:
        return f"{request.url.path} does not take {request.method}"
    return str(error.detail)
