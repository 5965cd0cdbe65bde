"""What every route works with: one context an app, handed to routes by fastapi. May import the API and fastapi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.fleet_view import FleetView
from api.halt_desk import HaltDesk
from api.market_desk import MarketDesk
from api.metrics import ApiMetrics
from api.ports import Dependencies
from api.readiness import ReadinessCheck
from api.stream_feed import StreamFeed
from api.stream_hub import StreamHub


@dataclass(frozen=True, slots=True)
class Context:
    """The app's parts."""

    deps: Dependencies
    view: FleetView
    hub: StreamHub
    feed: StreamFeed
    halts: HaltDesk
    readiness: ReadinessCheck
    metrics: ApiMetrics
    market: MarketDesk


def _context_of(connection: HTTPConnection) -> Context:
    return cast(Context, connection.app.state.context)


Here = Annotated[Context, Depends(_context_of)]
