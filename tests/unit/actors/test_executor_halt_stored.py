"""Stops and what others store: nothing automatic weakens a halt; a journal that hangs holds up no cancel."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.actors.executor_fakes import System, settle, submit
from trading.model.errors import StoreError
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

DIRECT = ("account", HaltState.HALTED, "halt --direct")


async def store_direct_halt(system: System) -> None:
    """Store a halt as another process does, before this one reads it."""
    await system.journal.save_halt(*DIRECT, system.clock.now_ns())


async def test_reduce_leaves_a_halt_that_another_process_has_just_stored(system: System) -> None:
    await store_direct_halt(system)
    assert not await system.executor.core.halts.reduce(None, "daily_loss: test")
    assert await system.journal.halts() == (DIRECT,)
    assert system.executor.core.account.halts() == (DIRECT,)


async def test_reduce_that_waited_for_the_journal_leaves_a_halt_that_was_stored_meanwhile(system: System) -> None:
    halts = system.executor.core.halts
    system.journal.is_down = True
    assert not await halts.reduce(None, "daily_loss: test")
    assert system.executor.core.account.halt_state()[0] is HaltState.REDUCING
    system.journal.is_down = False
    await store_direct_halt(system)
    await halts.poll()
    assert await system.journal.halts() == (DIRECT,)
    assert system.executor.core.account.halts() == (DIRECT,)


async def test_reduce_leaves_a_flatten_that_is_stored_and_not_yet_begun(system: System) -> None:
    await system.journal.save_halt("account", HaltState.REDUCING, "flatten by the API", 1, True)
    assert not await system.executor.core.halts.reduce(None, "daily_loss: test")
    assert await system.journal.flattening() == ("account",)
    assert system.executor.core.account.halts() == (("account", HaltState.REDUCING, "flatten by the API"),)


async def test_reduce_answers_yes_once_its_own_stop_is_stored(system: System) -> None:
    halts = system.executor.core.halts
    system.journal.is_down = True
    assert not await halts.reduce(None, "drawdown: 30")
    system.journal.is_down = False
    assert await halts.reduce(None, "drawdown: 31")
    assert not await halts.reduce(None, "clock_skew: 2 s")
    assert await system.journal.halts() == (("account", HaltState.REDUCING, "drawdown: 30"),)
    await system.executor.resume("account", None)
    assert await halts.reduce(None, "clock_skew: 2 s")


async def test_flatten_does_not_sell_over_a_halt_that_another_process_has_just_stored(system: System) -> None:
    await submit(system, system.intent(1))
    system.venue.fill(f"mx-1-{system.epoch}-1", 1000)
    await settle()
    await store_direct_halt(system)
    async with asyncio.timeout(10):
        report = await system.executor.halt("account", None, True, "sell")
    assert (report.state, report.confirmed) == (HaltState.HALTED, True)
    assert report.reason == "sell; the sale was ended by another command"
    assert len(system.venue.placed) == 1, "nothing was sold"
    assert await system.journal.halts() == (DIRECT,)


async def test_flatten_of_a_halted_account_sells_by_a_later_word(system: System) -> None:
    await submit(system, system.intent(1))
    system.venue.fill(f"mx-1-{system.epoch}-1", 1000)
    await settle()
    await system.executor.halt("account", None, False, "stop")
    halting = asyncio.create_task(system.executor.halt("account", None, True, "sell"))
    async with asyncio.timeout(10):
        while len(system.venue.placed) == 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await system.journal.halts(), await system.journal.flattening()) == (
            (("account", HaltState.REDUCING, "sell"),),
            ("account",),
        )
        system.venue.fill(system.venue.placed[-1].client_order_id, 1000)
        report = await halting
    assert (report.state, report.confirmed, report.reason) == (HaltState.HALTED, True, "sell")


@pytest.mark.parametrize("is_flatten", [False, True])
async def test_halt_cancels_and_answers_while_the_journal_hangs(system: System, is_flatten: bool) -> None:
    await submit(system, system.intent(1))
    answers, original = asyncio.Event(), system.journal.save_halt

    class HangingJournal:
        async def save_halt(self, *args: Any) -> bool:
            await answers.wait()
            return await original(*args)

    system.executor.core.halts._book._journal = HangingJournal()  # type: ignore[assignment]
    halting = asyncio.create_task(system.executor.halt("account", None, is_flatten, "stop"))
    async with asyncio.timeout(10):
        while not system.venue.cancelled:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if not is_flatten:  # whose sale is over when that is stored
            assert (await halting).confirmed
        assert await system.journal.halts() == ()
        answers.set()
        assert (await halting).confirmed
        while await system.journal.halts() != (("account", HaltState.HALTED, "stop"),):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_halt_goes_on_when_the_venue_is_back_though_the_journal_is_not(system: System) -> None:
    await submit(system, system.intent(1))
    system.venue.is_down = system.journal.is_down = True
    halting = asyncio.create_task(system.executor.halt("account", None, False, "stop"))
    await settle()
    system.clock.advance(26 * NS_PER_S)
    async with asyncio.timeout(5):
        assert not (await halting).confirmed
    system.venue.is_down = False
    for _ in range(2):
        system.clock.advance(6 * NS_PER_S)
        await system.executor.core.halts.poll()
        await settle()
    report = await system.executor.halt_report()
    assert (report.confirmed, system.venue.cancelled) == (True, [f"mx-1-{system.epoch}-1"])
    system.journal.is_down = False
    assert await system.journal.halts() == ()


@pytest.mark.parametrize("is_down", [False, True])
async def test_resume_that_fails_leaves_an_unstored_halt_to_be_stored(system: System, is_down: bool) -> None:
    system.journal.is_down = True
    await system.executor.halt("account", None, False, "stop")
    system.journal.is_down = is_down
    if is_down:
        with pytest.raises(StoreError):
            await system.executor.resume("account", None)
        system.journal.is_down = False
    else:
        await system.executor.resume("account", None)
    await system.executor.core.halts.poll()
    expected = HaltState.HALTED if is_down else HaltState.ACTIVE
    assert [state for _, state, _ in await system.journal.halts()] == [expected]
    assert system.executor.core.account.halt_state()[0] is expected


async def test_halt_that_could_not_be_saved_is_not_forgotten_when_an_older_one_is_saved(system: System) -> None:
    control, original = system.executor.core.halts, system.journal.save_halt
    system.journal.is_down = True
    control._book.flag("account", HaltState.REDUCING, "older")
    await control._book.save()
    system.journal.is_down = False
    saving = asyncio.Event()

    class SlowJournal:
        async def save_halt(self, scope: str, state: HaltState, reason: str, now_ns: int, *more: Any) -> bool:
            if state is HaltState.HALTED:
                raise StoreError("the database is down")
            await saving.wait()
            return await original(scope, state, reason, now_ns, *more)

        async def halts(self) -> tuple[tuple[str, HaltState, str], ...]:
            return await system.journal.halts()

        async def flattening(self) -> tuple[str, ...]:
            return await system.journal.flattening()

    control._book._journal = SlowJournal()  # type: ignore[assignment]
    polling = asyncio.create_task(control.poll())
    await settle()
    control._book.flag("account", HaltState.HALTED, "newer")
    await control._book.save()
    saving.set()
    await polling
    control._book._journal = system.journal
    await control.poll()
    assert await system.journal.halts() == (("account", HaltState.HALTED, "newer"),)
    assert system.executor.core.account.halt_state()[0] is HaltState.HALTED
