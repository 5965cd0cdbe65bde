"""A flatten whose process is killed: the next life of the executor sells on, and ends in HALTED."""

from __future__ import annotations

import asyncio

import pytest

from actors.executor_halt import CALLER_PATIENCE_NS
from actors.executor_sweep import STEP_S
from tests.unit.actors.executor_fakes import System, settle, submit
from trading.model.session import HaltState
from trading.model.units import NS_PER_S


async def interrupted_sale(system: System) -> None:
    """Hold something, begin a flatten, and let the process die in the middle of it (kill -9: no finally runs)."""
    await submit(system, system.intent(1))
    system.venue.fill(f"mx-1-{system.epoch}-1", 1000)
    await settle()
    await system.journal.save_halt("account", HaltState.REDUCING, "sell", 1, True)
    await system.crash()


async def until_halted(system: System) -> None:
    async with asyncio.timeout(10):
        while (await system.journal.halts())[0][1] is not HaltState.HALTED:  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)


async def test_flatten_that_was_killed_goes_on_in_the_next_life_and_ends_halted(system: System) -> None:
    await interrupted_sale(system)
    await system.executor.core.reconciler.round()
    await system.attach()
    async with asyncio.timeout(10):
        while not (sales := [name for name in system.venue.book if name.startswith("mx-x")]):  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)
    system.venue.fill(sales[0], 1000)
    await until_halted(system)
    assert system.executor.core.account.position("BTCUSDT").qty == 0
    assert await system.journal.flattening() == ()
    assert [name for _, name, *_ in system.journal.alerts].count("flatten_resumed") == 1


async def test_flatten_that_was_killed_ends_halted_also_where_nothing_can_be_sold(system: System) -> None:
    await interrupted_sale(system)
    await system.executor.core.reconciler.round()
    async with asyncio.timeout(10):
        while (await system.journal.halts())[0][1] is not HaltState.HALTED:
            system.clock.advance(NS_PER_S)  # nobody tells a bid: the patience for it runs out
            await asyncio.sleep(0.01)
    reason = (await system.journal.halts())[0][2]
    assert "still held: 0.1 BTCUSDT" in reason
    assert await system.journal.flattening() == ()


async def test_flatten_stored_by_an_api_that_died_is_carried_out_after_a_while(system: System) -> None:
    await system.journal.save_halt("symbol:BTCUSDT", HaltState.REDUCING, "by the API", 1, True)
    control = system.executor.core.halts
    await control.poll()
    await settle()
    assert (await system.journal.halts())[0][1] is HaltState.REDUCING, "its caller may still come"
    system.clock.advance(CALLER_PATIENCE_NS)
    await system.executor.core.keeper.renew()
    await control.poll()
    await until_halted(system)
    assert await system.journal.flattening() == ()


async def test_person_who_resumes_ends_a_sale_that_was_cut_short(system: System) -> None:
    await interrupted_sale(system)
    await system.executor.resume("account", None)
    await system.executor.core.reconciler.round()
    await system.attach()
    for _ in range(4):
        await asyncio.sleep(STEP_S)
    assert await system.journal.halts() == (("account", HaltState.ACTIVE, ""),)
    assert [name for name in system.venue.book if name.startswith("mx-x")] == []


@pytest.mark.parametrize("resumed", ["symbol:BTCUSDT", "account"])
async def test_scope_resumed_while_the_continued_sale_waits_is_neither_sold_nor_halted(
    resumed: str, system: System
) -> None:
    await submit(system, system.intent(1))
    system.venue.fill(f"mx-1-{system.epoch}-1", 1000)
    await settle()
    for key in (resumed, "symbol:ETHUSDT"):
        await system.journal.save_halt(key, HaltState.REDUCING, "sell", 1, True)
    await system.crash()
    await system.executor.core.reconciler.round()
    await settle()
    told = [name for _, name, *_ in system.journal.alerts]
    assert told == ["executor_restarted", "flatten_resumed"], "it waits for a bid of BTCUSDT"
    if resumed == "account":
        await system.executor.resume("account", None)
    else:
        await system.executor.resume("symbol", "BTCUSDT")
    await system.attach()
    states: dict[str, HaltState] = {}
    async with asyncio.timeout(10):
        while states.get("symbol:ETHUSDT") is not HaltState.HALTED:
            await asyncio.sleep(STEP_S)
            states = {key: state for key, state, _ in await system.journal.halts()}
    assert states[resumed] is HaltState.ACTIVE
    assert [name for name in system.venue.book if name.startswith("mx-x")] == []
    assert system.executor.core.account.position("BTCUSDT").qty > 0
    assert await system.journal.flattening() == ()


async def test_sale_cut_short_under_an_account_that_is_halted_ends_halted_once_and_is_never_begun(
    system: System,
) -> None:
    await system.journal.save_halt("symbol:BTCUSDT", HaltState.REDUCING, "sell", 1, True)
    await system.journal.save_halt("account", HaltState.HALTED, "a person", 1)
    for _ in range(3):
        await system.executor.core.halts.poll()
        await settle()
        system.clock.advance(CALLER_PATIENCE_NS)
        await system.executor.core.keeper.renew()
    assert await system.journal.flattening() == (), "else a resume of the account would sell as a surprise"
    assert await system.journal.halts() == (
        ("account", HaltState.HALTED, "a person"),
        ("symbol:BTCUSDT", HaltState.HALTED, "its flatten was cut short by a halt; a person"),
    )
    assert "flatten_resumed" not in [name for _, name, *_ in system.journal.alerts]
