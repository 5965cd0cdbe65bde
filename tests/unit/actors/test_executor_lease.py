"""The executor's own lease: what its lapse and its loss mean to symbols, to sweeps, and to what the journal does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actors.executor_lanes import ALERTS_MAX
from actors.executor_state import JournalWork
from tests.unit.actors.executor_fakes import System, settle, submit
from trading.model.errors import FencedOut, NotRunning, StoreError
from trading.model.orders import OrderStatus
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

Ask = Callable[[System], Awaitable[Any]]
ASKED: list[Ask] = [
    lambda system: system.executor.lookup("BTCUSDT", ("mx-none",)),
    lambda system: system.executor.attach_symbol("BTCUSDT", "run-2", 2, "test"),
    lambda system: system.executor.detach_symbol("BTCUSDT", False),
    lambda system: system.executor.set_limits({"max_open_orders": "7"}),
]


def lapse(system: System) -> None:
    system.clock.advance(7 * NS_PER_S)


@pytest.mark.parametrize("ask", ASKED)
async def test_lapsed_lease_that_nobody_took_is_renewed_for_who_asks(system: System, ask: Ask) -> None:
    lapse(system)
    await ask(system)
    assert system.executor.core.keeper.is_valid()


@pytest.mark.parametrize("ask", ASKED)
async def test_lost_lease_is_not_told_to_symbols_as_their_own_replacement(system: System, ask: Ask) -> None:
    lapse(system)
    successor = system.make("two")
    await successor.start(with_loops=False)
    with pytest.raises(NotRunning, match="this executor has been replaced"):
        await ask(system)
    await successor.close()


async def test_replaced_owner_is_told_so(system: System) -> None:
    old = system.epoch
    await system.attach()
    with pytest.raises(FencedOut):
        await system.executor.paper_reports("BTCUSDT", old, ())


@pytest.mark.parametrize("foreign", [(), ("placed-by-hand",)])
async def test_sweep_under_a_lapsed_lease_ends_only_what_is_known_as_ours(foreign: tuple[str, ...]) -> None:
    system = System()
    await system.start()
    await submit(system, system.intent(1))
    lapse(system)
    successor = system.make("two")
    await successor.start(with_loops=False)
    for name in ("mx-of-the-successor", *foreign):  # it trades on: people have resumed there
        system.venue.hold(name)
    halting = asyncio.create_task(system.executor.halt("account", None, False, "late"))
    async with asyncio.timeout(5):
        while not system.venue.cancelled:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert (system.venue.swept, set(system.venue.cancelled)) == ([], {f"mx-1-{system.epoch}-1"})
    assert system.venue.book["mx-of-the-successor"].status is OrderStatus.OPEN
    halting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await halting
    await successor.close()
    await system.executor.close()


async def test_bulk_cancel_that_waited_until_the_lease_lapsed_is_not_made(system: System) -> None:
    core = system.executor.core
    await submit(system, system.intent(1))
    core.account.set_halt("account", HaltState.HALTED, "test")
    core.budget.on_rate_limited(1.0, system.clock.now_ns())
    (own,) = core.state.orders.live()
    assert core.halts._sweeper._plan(("BTCUSDT",), tuple(system.venue.book.values()), lambda record: False)
    lapse(system)
    assert await core.halts._sweeper._still(lambda record: False, system.clock.monotonic_ns(), ("BTCUSDT",)) == ()
    await settle()
    assert (system.venue.swept, system.venue.cancelled) == ([], [own.record.client_order_id])


async def test_reads_that_work_do_not_speak_for_outcomes_that_are_not_written(system: System) -> None:
    core, original = system.executor.core, system.journal.commit_entries

    async def refuse(*args: Any) -> None:
        raise StoreError("canceling statement due to statement timeout")

    system.journal.commit_entries = refuse  # type: ignore[method-assign]
    await submit(system, system.intent(1))
    for _ in range(3):
        await core.halts.poll()
        await core.keeper.renew()
        assert core.state.is_journal_down
        assert core.state.is_failing(JournalWork.OUTCOMES)
    number = len(system.venue.placed)
    asking = asyncio.create_task(submit(system, system.intent(2)))
    await settle()
    system.journal.commit_entries = original  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        assert await asking == ()
        await core.outcomes.flush()
    assert (core.state.is_journal_down, len(system.venue.placed)) == (False, number)
    assert await submit(system, system.intent(3))


async def test_writes_that_fail_stop_orders_until_a_write_works(system: System) -> None:
    core, original = system.executor.core, system.journal.commit_intents

    async def refuse(*args: Any) -> tuple[str, ...]:
        raise StoreError("could not extend file: no space left on device")

    system.journal.commit_intents = refuse  # type: ignore[method-assign]
    system.journal.commit_entries, entries = refuse, system.journal.commit_entries  # type: ignore[assignment,method-assign]
    await submit(system, system.intent(1))
    await core.halts.poll()
    assert core.state.is_failing(JournalWork.WRITES)
    system.journal.commit_intents = original  # type: ignore[method-assign]
    system.journal.commit_entries = entries  # type: ignore[method-assign]
    await core.keeper.renew()
    async with asyncio.timeout(5):
        await core.outcomes.flush()
    assert not core.state.is_journal_down


async def test_alerts_beyond_the_bound_are_told_once_and_the_first_are_kept(system: System) -> None:
    alerts = system.executor.core.alerts
    system.journal.is_down = True
    for number in range(ALERTS_MAX + 30):
        alerts.raise_alert("info", "noise" if number < ALERTS_MAX + 10 else "late", str(number))
    await settle()
    system.journal.is_down = False
    async with asyncio.timeout(10):
        while not any(name == "alerts_left_out" for _, name, *_ in system.journal.alerts):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await settle()
    stored = [(name, text) for _, name, text, *_ in system.journal.alerts]
    assert stored[:-1] == [("noise", str(number)) for number in range(ALERTS_MAX)]
    assert stored[-1] == ("alerts_left_out", "not stored while the database was away: 20 x late, 10 x noise")
    assert system.executor.core.state.counters["alerts_left_out"] == 30


async def test_alert_of_the_last_moment_is_stored_by_a_close_in_order() -> None:
    system = System()
    await system.start()
    system.executor.core.alerts.raise_alert("warning", "orphan_order", "mx-lost-1: cancelled")
    await system.executor.close()
    assert "orphan_order" in [name for _, name, *_ in system.journal.alerts]


async def test_executor_that_was_killed_is_told_and_one_that_was_closed_is_not(system: System) -> None:
    await submit(system, system.intent(1))
    await system.executor.close()
    system.journal, before = system.journal.reopened(), len(system.journal.alerts)
    system.executor = system.make("two")
    await system.executor.start(with_loops=False)
    await settle()
    assert "executor_restarted" not in [name for _, name, *_ in system.journal.alerts[before:]]
    await system.crash("three")
    await settle()
    told = [(level, text) for level, name, text, *_ in system.journal.alerts if name == "executor_restarted"]
    assert told == [("warning", "the executor ended unasked and was started again: 1 orders are looked up")]
