"""The parts that the cached view and the stream read, as one stand-in of an empty fleet. May import the product."""

from __future__ import annotations

import asyncio
from typing import Any

from api.fleet_view import MAX_AGE_S, FleetView
from api.ports import Dependencies, Identity, ListQuery, Row, RowPage
from trading.model.errors import NotRunning
from trading.model.session import HaltReport, HaltState


class Parts:
    """Stands for everything that the view reads: an empty fleet whose positions come when they are let go."""

    def __init__(self) -> None:
        self.state = HaltState.ACTIVE
        self.is_silent = False
        self.may_answer = asyncio.Event()
        self.asked_positions = asyncio.Event()

    async def table(self) -> tuple[()]:
        return ()

    async def positions(self) -> tuple[Row, ...]:
        self.asked_positions.set()
        await self.may_answer.wait()
        return ()

    async def halts(self) -> tuple[tuple[str, HaltState, str], ...]:
        return ()

    async def halt_report(self, symbol: str | None = None) -> HaltReport:
        if self.is_silent:
            raise NotRunning
        return HaltReport(self.state, True, 0, 1, "")

    async def open_order_count(self) -> int:
        return 0

    async def alert_count(self, session: str) -> int:
        return 0

    async def alerts(self, query: ListQuery) -> RowPage:
        return RowPage((), None)


def view_of(parts: Any, read_age_s: float = MAX_AGE_S) -> FleetView:
    """Return a view of these parts alone; read_age_s: how long one fetch serves all readers."""
    deps = Dependencies(Identity("s1", "paper", "sim"), parts, parts, parts, parts, lambda _: parts, lambda: 7, parts)
    return FleetView(deps, read_age_s)
