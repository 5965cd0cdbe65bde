"""A strategy that fails is begun anew, later each time; a person's resume does not wait."""

from __future__ import annotations

import pytest

from actors.fleet import FleetCommand
from actors.workflow import CommandKind
from tests.unit.actors.fleet_fakes import Fleet, fleet
from trading.model.session import RunState

A = "AAAUSDT"


async def _trading() -> Fleet:
    world = fleet()
    await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,)))
    await world.settle()
    await world.trade(A)
    return world


async def _time_until_another(world: Fleet) -> float:
    """Let the strategy fail, and return the seconds until the next actor trades."""
    failed, began_ns = world.factory.actors[A], world.clock.now_ns()
    failed.state = RunState.FAILED
    for _ in range(200):
        await world.settle(1, 0.1)
        if world.factory.actors.get(A, failed) is not failed:
            break
    waited_s = (world.clock.now_ns() - began_ns) / 1e9
    await world.settle(3)
    await world.trade(A)
    assert await world.state(A) is RunState.TRADING
    return waited_s


async def test_strategy_that_fails_after_each_start_waits_longer_each_time_and_its_restarts_are_counted() -> None:
    world = await _trading()
    waits = [await _time_until_another(world) for _ in range(4)]
    for waited_s, expected_s in zip(waits, (1.0, 2.0, 4.0, 8.0), strict=True):
        assert expected_s <= waited_s < expected_s + 5.0
    (row,) = await world.supervisor.table()
    assert row.restarts == 4
    await world.settle(70, 1.0)
    assert await _time_until_another(world) < 6.0, "it had traded for a minute: this failure is a first one"


async def test_resume_of_a_failed_symbol_starts_it_at_once() -> None:
    world = await _trading()
    for _ in range(3):
        await _time_until_another(world)
    failed = world.factory.actors[A]
    failed.state = RunState.FAILED
    await world.settle(3, 0.1)
    assert await world.state(A) is RunState.FAILED
    await world.supervisor.request(FleetCommand(CommandKind.RESUME, (A,)))
    await world.settle(3, 0.1)
    assert world.factory.actors[A] is not failed


@pytest.mark.parametrize("last", [RunState.TRADING, RunState.SYNCING, RunState.PAUSED])
async def test_failure_after_minutes_with_resyncs_is_a_first_one_in_whichever_state_it_comes(last: RunState) -> None:
    world = await _trading()
    for _ in range(4):
        await _time_until_another(world)
    actor = world.factory.actors[A]
    for state in (RunState.TRADING, RunState.SYNCING, RunState.TRADING, RunState.SYNCING, RunState.TRADING, last):
        actor.state = state
        await world.settle(25, 1.0)
    assert await world.state(A) is last
    assert await _time_until_another(world) < 6.0, "for the fifth in a row it would be 16"
