"""The cached view: a snapshot holds one moment, also where its parts are slow."""

from __future__ import annotations

import asyncio

from tests.unit.api.view_parts import Parts, view_of
from trading.model.errors import NotRunning
from trading.model.session import HaltState


async def test_snapshot_shows_the_halt_of_the_moment_that_its_number_names() -> None:
    parts = Parts()
    view, seq = view_of(parts), 100
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
    view = view_of(parts)
    assert (await view.halt())["state"] == "ACTIVE"
    parts.is_silent = True
    view.forget_halt()

    async def unread() -> tuple[tuple[str, HaltState, str], ...]:
        raise NotRunning

    parts.halts = unread  # type: ignore[method-assign]
    halt = await view.halt()
    assert (halt["state"], halt["confirmed"]) == ("HALTED", False)
