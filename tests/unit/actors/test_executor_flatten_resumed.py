"""A person's later word while a flatten sells: it ends the sale, and stands."""

from __future__ import annotations

import asyncio

import pytest

from actors.executor_sweep import STEP_S
from tests.unit.actors.executor_fakes import System, settle, submit
from trading.model.errors import StoreError
from trading.model.session import HaltReport, HaltState


async def selling(system: System, scope: str = "account") -> asyncio.Task[HaltReport]:
    """Hold something, begin a flatten, and wait until its first offer is at the venue, unanswered."""
    await submit(system, system.intent(1))
    system.venue.fill(f"mx-1-{system.epoch}-1", 1000)
    await settle()
    symbol = None if scope == "account" else "BTCUSDT"
    halting = asyncio.create_task(system.executor.halt(scope, symbol, True, "sell"))
    async with asyncio.timeout(10):
        while not sales(system):  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)
    return halting


def sales(system: System) -> list[str]:
    return [name for name in system.venue.book if name.startswith("mx-x")]


async def ended(system: System, halting: asyncio.Task[HaltReport]) -> HaltReport:
    """End the offer unfilled, as the venue ends an IOC, and wait for the halt's answer."""
    for name in sales(system):
        system.venue.end(name)
    async with asyncio.timeout(20):
        return await halting


@pytest.mark.parametrize("scope", ["account", "symbol"])
async def test_resume_while_a_flatten_sells_ends_the_sale_and_stays_active(scope: str, system: System) -> None:
    halting = await selling(system, scope)
    report = await system.executor.resume(scope, None if scope == "account" else "BTCUSDT")
    assert report.state is HaltState.ACTIVE
    report = await ended(system, halting)
    assert (report.confirmed, report.reason) == (False, "resumed")
    assert {state for _, state, _ in await system.journal.halts()} == {HaltState.ACTIVE}
    assert system.executor.core.account.halt_state("BTCUSDT")[0] is HaltState.ACTIVE
    assert await system.journal.flattening() == ()
    assert len([order for order in system.venue.placed if order.strategy == "flatten"]) == 1
    assert await submit(system, system.intent(2)) == (f"mx-1-{system.epoch}-2",)
    assert system.venue.cancelled == []


async def test_halt_while_a_flatten_sells_ends_the_sale_under_its_own_reason(system: System) -> None:
    halting = await selling(system)
    stopping = asyncio.create_task(system.executor.halt("account", None, False, "stop selling"))
    await settle()
    await ended(system, halting)
    assert (await stopping).confirmed
    assert await system.journal.halts() == (("account", HaltState.HALTED, "stop selling"),)
    assert len([order for order in system.venue.placed if order.strategy == "flatten"]) == 1


async def test_resume_that_the_sale_overtakes_while_it_is_written_stays_active(system: System) -> None:
    halting = await selling(system)
    write, resumed = system.journal.save_halt, asyncio.Event()

    async def slow(*args: object) -> None:
        await write(*args)  # type: ignore[arg-type]
        await resumed.wait()

    system.executor.core.halts._book._journal = _Slow(system, slow)  # type: ignore[assignment]
    resuming = asyncio.create_task(system.executor.resume("account", None))
    await settle()
    await ended(system, halting)
    resumed.set()
    assert (await resuming).state is HaltState.ACTIVE
    assert await system.journal.halts() == (("account", HaltState.ACTIVE, ""),)


async def test_resume_that_is_not_stored_leaves_the_sale_to_go_on(system: System) -> None:
    halting = await selling(system)
    system.journal.is_down = True
    with pytest.raises(StoreError):
        await system.executor.resume("account", None)
    system.journal.is_down = False
    async with asyncio.timeout(20):
        while not halting.done():
            for name in sales(system):
                if not system.venue.book[name].status.is_terminal:
                    system.venue.end(name)
            await asyncio.sleep(STEP_S)
    report = await halting
    assert (report.confirmed, report.reason) == (True, "sell; still held: 0.1 BTCUSDT")
    assert await system.journal.halts() == (("account", HaltState.HALTED, report.reason),)
    assert len([order for order in system.venue.placed if order.strategy == "flatten"]) == 3


class _Slow:
    """The journal, but for one call."""

    def __init__(self, system: System, save_halt: object) -> None:
        self.save_halt = save_halt
        self.halts = system.journal.halts
        self.flattening = system.journal.flattening
