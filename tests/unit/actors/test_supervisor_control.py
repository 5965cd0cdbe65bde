"""Control calls of the supervisor: made once, until the actor's own word does not show what was asked for."""

from __future__ import annotations

import asyncio

from actors.fleet import FleetCommand
from actors.supervisor_steps import CONTROL_RETRY_NS
from actors.workflow import CommandKind
from tests.unit.actors.fleet_fakes import Fleet
from tests.unit.actors.test_supervisor_reconcile import A, spawned


async def test_control_call_is_made_once_until_a_heartbeat_or_a_moment_later_does_not_show_it() -> None:
    world = await spawned(A)
    actor = world.factory.actors[A]
    await world.supervisor.request(FleetCommand(CommandKind.SET, (A,), params=(("edge", "5"),)))
    await unheard(world)
    assert actor.calls.count("set_params") == 1
    world.clock.advance(CONTROL_RETRY_NS)
    await unheard(world)
    assert actor.calls.count("set_params") == 2
    actor.params.clear()
    await world.supervisor.heartbeat(world.factory.heartbeat(A))
    await unheard(world)
    assert actor.calls.count("set_params") == 3, "a heartbeat that does not show it asks at once"
    await world.supervisor.request(FleetCommand(CommandKind.PAUSE, (A,)))
    await unheard(world)
    assert actor.calls.count("pause") == 1, "another wish does not wait for the last one"


async def unheard(world: Fleet) -> None:
    """Reconcile for a while without a word of the actors."""
    for _ in range(10):
        await world.supervisor.reconcile_once()
        await asyncio.sleep(0)
