"""The cached view: a snapshot holds one moment, also where its parts are slow."""

from __future__ import annotations

import asyncio
from typing import Any

from api.fleet_view import FleetView
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


def _view(parts: Any) -> FleetView:
    return FleetView(
        Dependencies(Identity("s1", "paper", "sim"), parts, parts, parts, parts, lambda _: parts, lambda: 7, parts)
    )


async def test_snapshot_shows_the_halt_of_the_moment_that_its_number_names() -> None:
    parts = Parts()
    view, seq = _view(parts), 100
    reading = asyncio.create_task(view.snapshot(lambda: seq))
    await parts.asked_positions.wait()
    # A halt while the positions are being read: its event is 101, and whoever begins after 101 will never see it.
    parts.state, seq = HaltState.HALTED, 101
    view.forget_halt()
    assert (await view.halt())["state"] == "HALTED"
    parts.may_answer.set()
    snapshot = await reading
    assert (snapshot["seq"], snapshot["halt"]["state"]) == (101, "HALTED")


async def test_halt_that_cannot_be_read_is_halted_also_where_the_error_says_nothing() -> None:
    parts = Parts()
    view = _view(parts)
    assert (await view.halt())["state"] == "ACTIVE"
    parts.is_silent = True
    view.forget_halt()

    async def unread() -> tuple[tuple[str, HaltState, str], ...]:
        raise NotRunning

    parts.halts = unread  # type: ignore[method-assign]
    halt = await view.halt()
    assert (halt["state"], halt["confirmed"]) == ("HALTED", False)
