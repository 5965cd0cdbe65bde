"""An exits-only stop is carried out also where the venue was silent when it came."""

from __future__ import annotations

from tests.unit.actors.executor_fakes import BID, System, settle, submit
from trading.model.market import Side
from trading.model.orders import Purpose
from trading.model.session import HaltState
from trading.model.units import NS_PER_S


async def test_stop_that_came_in_a_long_pause_of_the_venue_cancels_entries_after_it(system: System) -> None:
    core = system.executor.core
    entry = system.intent(1)
    await submit(system, entry)
    core.budget.on_rate_limited(90.0, system.clock.now_ns(), False)
    # The stop itself has long given up when the pause is over: what is left is done by the polls.
    stop = ("account", HaltState.REDUCING, "daily_loss: net -36")
    await system.journal.save_halt(*stop, system.clock.now_ns())
    core.account.set_halt(*stop)
    for _ in range(100):
        system.clock.advance(NS_PER_S)
        await core.keeper.renew()
        await core.halts.poll()
        core.sends.recancel_due()
        await settle()
    assert core.state.orders.live() == ()
    assert core.account.halt_state()[0] is HaltState.REDUCING


async def test_stop_leaves_exits_alone_however_often_it_is_looked_at(system: System) -> None:
    core = system.executor.core
    bought = system.intent(1, lots=2000)
    await submit(system, bought)
    system.venue.fill(bought.client_order_id, 2000)
    sale = system.intent(2, Side.SELL, 1000, BID + 50, Purpose.EXIT)
    await submit(system, sale)
    await core.halts.reduce(None, "daily_loss: net -36")
    for _ in range(20):
        system.clock.advance(NS_PER_S)
        await core.keeper.renew()
        await core.halts.poll()
        await settle()
    assert [item.record.client_order_id for item in core.state.orders.live()] == [sale.client_order_id]
