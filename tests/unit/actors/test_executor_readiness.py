"""Each symbol is ready once its own open orders have been compared: none waits for another."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.actors.executor_fakes import BID, System, settle, submit
from trading.engine.ports import OrderRecord, Submission
from trading.model.orders import OrderStatus
from trading.model.units import NS_PER_S


async def rounds(system: System, wait_ns: int) -> None:
    """Let time pass under a lease that is kept, and do a round."""
    await system.executor.core.keeper.renew()
    system.clock.advance(wait_ns)
    await system.executor.core.reconciler.round()
    await system.executor.core.keeper.renew()
    await settle()


async def row(system: System, name: str) -> OrderRecord:
    (found,) = await system.journal.orders_by_id((name,))
    return found


async def test_symbol_whose_open_orders_are_refused_holds_up_no_other(system: System) -> None:
    await system.executor.attach_symbol("ETHUSDT", "run-2", 1, "test")
    await system.executor.mark("ETHUSDT", BID, system.clock.now_ns())
    system.venue.unlisted = {"ETHUSDT"}
    await system.crash()
    await rounds(system, 0)
    await system.attach()
    attached = await system.executor.attach_symbol("ETHUSDT", "run-2", 2, "test")
    await system.executor.mark("ETHUSDT", BID, system.clock.now_ns())

    def elsewhere(number: int) -> Submission:
        name = f"mx-2-{attached.owner_epoch}-{number}"
        intent = replace(system.intent(1), client_order_id=name, symbol="ETHUSDT", owner_epoch=attached.owner_epoch)
        return Submission("ETHUSDT", attached.owner_epoch, "run-2", (intent,), ())

    await submit(system, system.intent(1))
    assert (await row(system, f"mx-1-{system.epoch}-1")).status is OrderStatus.OPEN
    assert (await system.executor.submit(elsewhere(1))).durable == ()
    await settle()
    assert (await row(system, f"mx-2-{attached.owner_epoch}-1")).reason.startswith("not_ready")
    for _ in range(3):
        await rounds(system, 61 * NS_PER_S)
    assert [name for _, name, *_ in system.journal.alerts].count("orders_not_listed") == 1
    system.venue.unlisted = set()
    await rounds(system, 61 * NS_PER_S)
    await system.executor.mark("ETHUSDT", BID, system.clock.now_ns())
    assert len((await system.executor.submit(elsewhere(2))).durable) == 1
