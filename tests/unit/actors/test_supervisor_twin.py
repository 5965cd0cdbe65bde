"""What the shadow twin of a symbol has found outlives its process: it stands among the steps of the run."""

from __future__ import annotations

from actors.fleet import FleetCommand
from actors.workflow import CommandKind
from tests.unit.actors.fleet_fakes import fleet
from trading.model.session import QueueEstimate, TwinFigures, TwinSide

A = "AAAUSDT"


async def test_what_the_shadow_twin_found_is_kept_when_its_process_ends() -> None:
    world = fleet()
    await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,)))
    await world.settle()
    await world.trade(A)
    side, queue = TwinSide(0.5, 3, 420.0, -0.25, 3), QueueEstimate(40, 1.5, 1.0, 2.25)
    world.factory.actors[A].twin = TwinFigures(6, 0, side, TwinSide(0.4, 2), TwinSide(0.45, 2), queue)
    await world.trade(A)
    world.factory.crash(A)
    await world.trade(A)
    world.factory.actors[A].twin = TwinFigures(2, 0, None, side, side)
    await world.trade(A)
    await world.supervisor.request(FleetCommand(CommandKind.KILL, (A,)))
    await world.settle()
    assert [detail for _, event, detail in world.store.events if event == "shadow twin"] == [
        "6 orders; live 50.0% after 420 ms, markout -0.25 bps; pessimistic 40.0%; probabilistic 45.0%; "
        "queue n = 1.5 (1 to 2.25) by 40",
        "2 orders; pessimistic 50.0% after 420 ms, markout -0.25 bps; probabilistic 50.0% after 420 ms, "
        "markout -0.25 bps",
    ]
