"""A symbol whose actor was ended and made anew (kill and spawn, flatten and resume): the new one is asked."""

from __future__ import annotations

import asyncio

from tests.unit.actors.executor_fakes import System, settle, submit
from tests.unit.actors.test_executor_paper import PaperSymbol, PaperSystem
from trading.model.errors import OutcomeUnknown
from trading.model.orders import OrderStatus


async def renewed() -> tuple[PaperSystem, PaperSymbol]:
    """Ask a first actor, end it for good, and attach another; return the system and the dead one."""
    system = PaperSystem()
    await system.start()
    assert await system.executor.open_order_count("BTCUSDT") == 0
    dead = system.symbol
    dead.error = OutcomeUnknown
    system.symbol = PaperSymbol(system.clock)
    await system.attach()
    return system, dead


async def test_first_order_after_a_new_actor_is_attached_goes_to_it() -> None:
    system, dead = await renewed()
    await system.submit(2)
    await settle()
    name = f"mx-1-{system.epoch}-2"
    assert (list(system.symbol.open), len(dead.calls)) == ([name], 0)
    tracker = system.executor.core.state.orders.get(name)
    assert tracker is not None
    assert tracker.record.status is OrderStatus.OPEN
    await system.executor.core.outcomes.flush()
    await settle()
    assert system.symbol.deliveries
    await system.executor.close()


async def test_halt_after_a_new_actor_is_attached_asks_it_and_is_confirmed() -> None:
    system, _ = await renewed()
    async with asyncio.timeout(10):
        report = await system.executor.halt("account", None, False, "test")
    assert (report.confirmed, report.open_orders) == (True, 0)
    await system.executor.close()


async def test_new_actor_waits_for_the_commit_of_what_a_halt_withheld(system: System) -> None:
    commit, original = asyncio.Event(), system.journal.commit_intents

    class SlowJournal:
        async def commit_intents(self, *args: object) -> tuple[str, ...]:
            await commit.wait()
            return await original(*args)  # type: ignore[arg-type]

    system.executor.core.intents._journal = SlowJournal()  # type: ignore[assignment]
    sending = asyncio.create_task(submit(system, system.intent(1)))
    await settle()
    async with asyncio.timeout(10):
        assert (await system.executor.halt("account", None, False, "test")).confirmed
    attaching = asyncio.create_task(system.executor.attach_symbol("BTCUSDT", "run-2", 2, "test"))
    await settle()
    assert not attaching.done()
    commit.set()
    async with asyncio.timeout(10):
        assert (await attaching).bootstrap.open_orders == ()
        assert await sending == ()
