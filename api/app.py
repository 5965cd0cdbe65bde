"""The application: routes, guards and the task that feeds the stream, put together. May import fastapi and the API.

A request passes, from the outside in: the last resort (an unexpected error is a 500 problem, logged), the token check,
the idempotency guard, the names of the query, the route.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import routes_books, routes_market, routes_risk, routes_symbols, routes_system
from api.auth import OPEN_PATHS, AuthMiddleware, Tokens
from api.context import Context
from api.fleet_view import MAX_AGE_S, FleetView
from api.halt_desk import HaltDesk
from api.idempotency import IdempotencyMiddleware
from api.known_query import check_query
from api.market_desk import MarketDesk
from api.metrics import ApiMetrics
from api.ports import Dependencies
from api.problems import INTERNAL, MEDIA_TYPE, install, problem
from api.readiness import ReadinessCheck
from api.schemas import Problem
from api.store_patience import StorePatience
from api.stream_feed import StreamFeed
from api.stream_hub import StreamHub
from trading.adapters.telemetry import logger

VERSION = "1"
_STREAMS = frozenset({"/v1/stream", "/v1/ws"})
_PROBLEMS = {
    400: "A header or a body cannot be read.",
    401: "No valid token.",
    403: "The token may only read.",
    404: "There is no such thing.",
    409: "Refused in the present state, or an Idempotency-Key of another request.",
    412: "The epoch of If-Match is stale.",
    422: "A value is not allowed; the sentence says what is.",
    503: "A part of the system does not answer; nothing happened.",
    504: "Sent, and no answer: it may have happened.",
}
_log = logger("api")


def create_app(deps: Dependencies, tokens: Tokens, dashboard_url: str | None, read_age_s: float = MAX_AGE_S) -> FastAPI:
    """Build the app.

    dashboard_url: what readiness waits for, None without a dashboard. read_age_s: how long readers share what was read.
    """
    view = FleetView(deps, read_age_s)
    hub = StreamHub(deps.now_ns())
    patience = StorePatience()
    context = Context(
        deps=deps,
        view=view,
        hub=hub,
        feed=StreamFeed(hub, view, deps.reads),
        halts=HaltDesk(deps, view, patience),
        readiness=ReadinessCheck(deps, view, dashboard_url),
        metrics=ApiMetrics(),
        market=MarketDesk(deps),
    )
    app = FastAPI(
        title="mexcbot",
        version=VERSION,
        summary="Commands and reads of a fleet of symbol actors.",
        docs_url=None,  # its page would fetch scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan(context),
        redirect_slashes=False,
        dependencies=[Depends(check_query)],
        responses=_responses(),
    )
    app.state.context = context
    install(app)
    for module in (routes_system, routes_symbols, routes_market, routes_books, routes_risk):
        app.include_router(module.router)
    # Added last is passed first.
    app.add_middleware(IdempotencyMiddleware, fleet=deps.fleet, patience=patience, now_ns=deps.now_ns)
    app.add_middleware(AuthMiddleware, tokens=tokens)
    app.add_middleware(LastResort, metrics=context.metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _lifespan(context: Context) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        feed = asyncio.create_task(context.feed.run(), name="stream feed")
        try:
            yield
        finally:
            context.hub.close()
            feed.cancel()
            with suppress(asyncio.CancelledError):
                await feed
            await context.market.close()
            await context.halts.close()

    return lifespan


class LastResort:
    """ASGI: counts and times requests, and turns what nobody expected into a problem without a traceback."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001 - the outermost frame: what is not caught here would be a bare 500
            _log.exception("request_failed", path=scope["path"], error=type(error).__name__)
            if status == 0:
                await problem(500, "internal", INTERNAL)(scope, receive, watch)
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.requests.labels(scope["method"], route, str(status)).inc()
        if route not in _STREAMS:
            self._metrics.duration.labels(route).observe(time.perf_counter() - began)


def _responses() -> dict[int | str, dict[str, Any]]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}} for status, text in _PROBLEMS.items()
    }


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Describe the API, with its two tokens."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        parts = schema.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        for path in OPEN_PATHS:
            for operation in schema["paths"][path].values():
                operation["security"] = []
        app.openapi_schema = schema
    return app.openapi_schema
