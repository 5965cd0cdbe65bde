"""Without the private stream: no entries, everything is compared often, and all lifts by itself."""

from __future__ import annotations

from actors.executor_guard import STREAM_PATIENCE_NS
from tests.unit.actors.executor_fakes import BID, System, settle, submit
from trading.model.market import Side
from trading.model.orders import OrderStatus, Purpose, Refusal, VenueStreamLost, VenueStreamRestored
from trading.model.units import NS_PER_S


async def look(system: System) -> list[str]:
    """Let the guard look once; return the alerts since the start by name."""
    await system.executor.core.guard.look()
    await settle()
    return [name for _, name, *_ in system.journal.alerts]


async def test_private_stream_down_denies_entries_alone_compares_often_and_lifts_by_itself(system: System) -> None:
    core, venue = system.executor.core, system.venue
    bought = system.intent(1, lots=2000)
    await submit(system, bought)
    venue.fill(bought.client_order_id, 2000)
    await submit(system, system.intent(2))

    async def later(seconds: int) -> list[str]:
        system.clock.advance(seconds * NS_PER_S)
        await core.keeper.renew()
        await system.executor.mark("BTCUSDT", BID, system.clock.now_ns())
        await core.reconciler.round()
        await settle()
        return await look(system)

    venue.push(VenueStreamLost("cut", system.clock.now_ns()))
    assert "stream_down" not in await later(1)
    assert await submit(system, system.intent(3)), "a reconnect takes a moment: entries go on for it"
    assert "stream_down" in await later(STREAM_PATIENCE_NS // NS_PER_S)
    asked = len(venue.asked)
    assert await submit(system, system.intent(4)) == ()
    assert core.state.counters[f"denied:{Refusal.STREAM_DOWN}"] == 1
    assert await system.executor.is_ready(), "exits go on"
    assert await submit(system, system.intent(5, Side.SELL, 1000, BID + 50, Purpose.EXIT))
    core.sends.request_cancel(system.cancel(f"mx-1-{system.epoch}-3"))
    venue.fill(f"mx-1-{system.epoch}-2", 1000, pushes=False)
    await later(3)
    await later(1)
    (record,) = await system.journal.orders_by_id((f"mx-1-{system.epoch}-2",))
    assert (record.status, record.filled_lots) == (OrderStatus.FILLED, 1000)
    assert venue.cancelled == [f"mx-1-{system.epoch}-3"]
    assert len(venue.asked) - asked == 1, "4 s in all: compared once"
    venue.push(VenueStreamRestored(system.clock.now_ns()))
    assert await submit(system, system.intent(6))
    assert (await look(system))[-1] == "stream_back"
    await later(1)
    asked = len(venue.asked)
    await later(30)
    assert len(venue.asked) == asked, "each minute again"


async def test_stream_that_comes_and_goes_between_two_looks_lets_no_entries_through(system: System) -> None:
    venue, clock = system.venue, system.clock
    venue.push(VenueStreamLost("cut", clock.now_ns()))
    await look(system)
    clock.advance(STREAM_PATIENCE_NS)
    await look(system)
    assert await submit(system, system.intent(1)) == ()
    venue.push(VenueStreamRestored(clock.now_ns()))
    venue.push(VenueStreamLost("kicked", clock.now_ns()))
    await look(system)
    assert await submit(system, system.intent(2)) == ()
    assert system.executor.core.state.counters[f"denied:{Refusal.STREAM_DOWN}"] == 2
