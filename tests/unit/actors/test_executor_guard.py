"""What stops an account by itself: told to people, persisted, and lifted by them alone; and what lifts by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.executor_guard import DRIFT_PATIENCE_NS, JOURNAL_PATIENCE_NS, SKEW_PATIENCE_NS
from actors.executor_state import JournalWork
from tests.unit.actors.executor_fakes import BID, System, settle, submit
from trading.model.errors import StoreError
from trading.model.market import Side
from trading.model.orders import OrderStatus, Purpose, Refusal, VenueBalance
from trading.model.position import Position
from trading.model.session import HaltState
from trading.model.units import NS_PER_DAY, NS_PER_S


async def look(system: System) -> list[str]:
    """Let the guard look once; return the alerts since the start by name."""
    await system.executor.core.guard.look()
    await settle()
    return [name for _, name, *_ in system.journal.alerts]


async def hold(system: System, lots: int = 40_000) -> None:
    """Buy at the bid."""
    await system.executor.set_limits(dict.fromkeys(("max_symbol_exposure", "max_order_notional"), "1000000"))
    system.executor.core.account.set_allocation("BTCUSDT", Decimal(10_000))
    intent = system.intent(1, lots=lots)
    assert await submit(system, intent)
    system.venue.fill(intent.client_order_id, lots)
    await settle()


@pytest.mark.parametrize(
    ("limits", "name"),
    [({"daily_loss": "30", "max_drawdown": "1000"}, "daily_loss"), ({"max_drawdown": "30"}, "drawdown")],
)
async def test_loss_beyond_a_limit_allows_exits_only_until_a_person_resumes(
    system: System, limits: dict[str, str], name: str
) -> None:
    await hold(system)
    await system.executor.set_limits(limits)
    await submit(system, system.intent(2))
    resting_exit = system.intent(3, Side.SELL, 1000, BID + 50, Purpose.EXIT)
    await submit(system, resting_exit)
    assert name not in await look(system)
    await system.executor.mark("BTCUSDT", BID * 91 // 100, system.clock.now_ns())  # 400 held lose 36
    assert (await look(system)).count(name) == 1
    ((scope, state, reason),) = await system.journal.halts()
    assert (scope, state, reason[: len(name)]) == ("account", HaltState.REDUCING, name)
    assert system.venue.cancelled == [f"mx-1-{system.epoch}-2"]
    assert system.venue.book[resting_exit.client_order_id].status is OrderStatus.OPEN
    assert await submit(system, system.intent(4)) == ()
    assert await submit(system, system.intent(5, Side.SELL, 1000, BID * 90 // 100, Purpose.EXIT))
    assert (await look(system)).count(name) == 1
    await system.crash()
    await system.executor.core.reconciler.round()
    assert system.executor.core.account.halt_state()[0] is HaltState.REDUCING
    system.clock.advance(NS_PER_DAY)
    await system.executor.mark("BTCUSDT", BID, system.clock.now_ns())
    await look(system)
    assert system.executor.core.account.halt_state()[0] is HaltState.REDUCING
    assert (await system.executor.resume("account", None)).state is HaltState.ACTIVE


async def test_loss_is_not_judged_before_a_restarted_position_has_its_mark(system: System) -> None:
    await hold(system)
    await system.executor.set_limits({"max_drawdown": "10"})
    await system.executor.mark("BTCUSDT", BID * 110 // 100, system.clock.now_ns())
    await system.executor.core.books.round()  # a peak of 40
    await system.crash()
    assert "drawdown" not in await look(system)
    await system.executor.mark("BTCUSDT", BID * 110 // 100, system.clock.now_ns())
    assert "drawdown" not in await look(system)


@pytest.mark.parametrize("skew_ms", [1_001, -5_000])
async def test_clock_that_is_off_for_a_while_allows_exits_only(system: System, skew_ms: int) -> None:
    system.venue.skew_ms = skew_ms
    assert "clock_skew" not in await look(system)
    system.clock.advance(SKEW_PATIENCE_NS)
    assert "clock_skew" in await look(system)
    assert system.executor.core.account.halt_state()[0] is HaltState.REDUCING
    assert (await system.executor.status()).clock_skew_ms == skew_ms


async def test_clock_limit_of_zero_is_no_limit(system: System) -> None:
    await system.executor.set_limits({"max_clock_skew_ms": "0"})
    system.venue.skew_ms = 60_000
    await look(system)
    system.clock.advance(SKEW_PATIENCE_NS)
    assert "clock_skew" not in await look(system)


async def test_negative_position_halts_its_symbol_and_no_other(system: System) -> None:
    system.executor.core.account.set_position(Position("BTCUSDT", qty=Decimal("-0.1")))
    assert "invariant_broken" in await look(system)
    assert system.executor.core.account.halt_state("BTCUSDT")[0] is HaltState.HALTED
    assert system.executor.core.account.halt_state("ETHUSDT")[0] is HaltState.ACTIVE


async def test_stored_books_that_do_not_add_up_halt_the_account_and_again_after_a_resume(system: System) -> None:
    await hold(system, 1000)
    await system.executor.core.books.round()
    assert system.executor.core.account.halts() == ()
    # Somebody wrote into the database: memory knows nothing of it, the audit of what is stored does.
    stored = system.journal._positions["BTCUSDT"]
    system.journal._positions["BTCUSDT"] = replace(stored, qty=stored.qty + 1)
    for _ in range(2):
        system.clock.advance(int(system.settings.audit_interval_s * NS_PER_S))
        await system.executor.core.keeper.renew()
        await system.executor.core.books.round()
        await settle()
        ((scope, state, reason),) = await system.journal.halts()
        assert (scope, state) == ("account", HaltState.HALTED)
        assert "BTCUSDT" in reason
        assert await submit(system, system.intent(9, Side.SELL, 1000, BID, Purpose.EXIT)) == ()
        await system.executor.resume("account", None)
    assert [level for level, name, *_ in system.journal.alerts if name == "books_broken"] == ["alert", "alert"]
    system.journal._positions["BTCUSDT"] = stored
    system.clock.advance(int(system.settings.audit_interval_s * NS_PER_S))
    await system.executor.core.keeper.renew()
    await system.executor.core.books.round()
    assert system.executor.core.account.halts() == ()


async def test_balance_short_of_a_position_for_long_allows_exits_only_of_its_symbol(system: System) -> None:
    await hold(system, 1000)
    later_ns = system.clock.now_ns() + NS_PER_S
    system.executor.core.account.on_balance(VenueBalance("BTC", Decimal("0.04"), Decimal(0), later_ns, later_ns))
    assert "drift" not in await look(system)
    assert (await system.executor.status()).drift == (("BTC", "0.06"),)
    system.clock.advance(DRIFT_PATIENCE_NS)
    assert (await look(system)).count("drift") == 1
    assert (("symbol:BTCUSDT", HaltState.REDUCING)) in [(s, state) for s, state, _ in await system.journal.halts()]
    assert system.executor.core.account.halt_state()[0] is HaltState.ACTIVE


async def test_journal_down_is_told_calls_resting_entries_back_and_lifts_by_itself(system: System) -> None:
    await submit(system, system.intent(1))
    system.journal.is_down = True
    assert await submit(system, system.intent(2)) == ()
    await look(system)
    assert system.venue.cancelled == []
    system.clock.advance(JOURNAL_PATIENCE_NS)
    await look(system)
    assert system.venue.cancelled == [f"mx-1-{system.epoch}-1"]
    assert not await system.executor.is_ready()
    system.journal.is_down = False
    async with asyncio.timeout(5):
        await system.executor.core.outcomes.flush()
    await system.executor.core.halts.poll()
    await look(system)
    async with asyncio.timeout(5):
        while len(system.journal.alerts) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert [name for _, name, *_ in system.journal.alerts] == ["journal_down", "journal_back"]
    assert await system.executor.is_ready()
    assert await submit(system, system.intent(3))
    (record,) = await system.journal.orders_by_id((f"mx-1-{system.epoch}-1",))
    assert (record.status, record.reason) == (OrderStatus.CANCELLED, "journal down")


async def test_venue_down_is_told_denies_orders_and_lifts_by_itself(system: System) -> None:
    await submit(system, system.intent(1))
    system.venue.is_down = True
    system.executor.core.desk.is_reconcile_wanted = True
    for _ in range(3):
        await system.executor.core.reconciler.round()
    assert "venue_down" in await look(system)
    assert not await system.executor.is_ready()
    assert await submit(system, system.intent(2)) == ()
    assert system.executor.core.state.counters[f"denied:{Refusal.NOT_READY}"] == 1
    system.executor.core.sends.request_cancel(system.cancel(f"mx-1-{system.epoch}-1"))
    await settle()
    system.venue.is_down = False
    system.clock.advance(4 * NS_PER_S)
    await system.executor.core.reconciler.round()
    await settle()
    assert system.venue.cancelled == [f"mx-1-{system.epoch}-1"]
    assert (await look(system))[-1] == "venue_back"
    assert await submit(system, system.intent(3))


async def test_loss_streak_and_its_cooldown_survive_a_restart(system: System) -> None:
    await system.executor.set_limits({"loss_streak": "2"})
    for number in (1, 3):
        entry = system.intent(number)
        await submit(system, entry)
        system.venue.fill(entry.client_order_id, 1000)
        await settle()
        exit_order = replace(
            system.intent(number + 1, Side.SELL, 1000, BID - 100, Purpose.EXIT), client_order_id=f"mx-e-{number}"
        )
        await submit(system, exit_order)
        system.venue.fill(exit_order.client_order_id, 1000)
        await settle()
        alerts = await look(system)
        await system.crash(f"owner-{number}")
        await system.executor.core.reconciler.round()
        await system.attach()
    assert alerts.count("loss_streak") == 1
    assert await submit(system, system.intent(9)) == ()
    assert system.executor.core.state.counters[f"denied:{Refusal.LOSS_STREAK}"] == 1
    assert (await system.executor.status()).cooldown_until_ns > system.clock.now_ns()


async def test_next_owner_of_a_symbol_is_told_of_its_losses(system: System) -> None:
    for number in (1, 3):
        entry = system.intent(number)
        await submit(system, entry)
        system.venue.fill(entry.client_order_id, 1000)
        await settle()
        loss = system.intent(number + 1, Side.SELL, 1000, BID - 100, Purpose.EXIT)
        await submit(system, loss)
        system.venue.fill(loss.client_order_id, 1000)
        await settle()
    trips = (await system.executor.attach_symbol("BTCUSDT", "run-2", 2, "next")).bootstrap.trips
    assert (trips.losses_in_row, trips.start_net) == (2, Decimal("-0.2"))
    assert 0 < trips.ended_ns <= system.clock.now_ns()


async def lose(system: System, number: int) -> None:
    """Buy, and sell lower."""
    entry = system.intent(number)
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 1000)
    await settle()
    loss = replace(
        system.intent(number + 1, Side.SELL, 1000, BID - 100, Purpose.EXIT), client_order_id=f"mx-l-{number}"
    )
    await submit(system, loss)
    system.venue.fill(loss.client_order_id, 1000)
    await settle()


async def test_symbols_losses_survive_a_restart_of_the_executor_until_they_are_forgiven(system: System) -> None:
    await lose(system, 1)
    await lose(system, 3)
    held = system.executor.core.account.trip_record("BTCUSDT")
    await look(system)
    await system.crash("owner-2")
    trips = (await system.executor.attach_symbol("BTCUSDT", "run-2", 2, "next")).bootstrap.trips
    assert trips == held
    assert trips.losses_in_row == 2
    await system.executor.forgive_losses("BTCUSDT", system.clock.now_ns())
    await system.crash("owner-3")  # no look of the guard in between: it is stored at once
    trips = (await system.executor.attach_symbol("BTCUSDT", "run-3", 3, "next")).bootstrap.trips
    assert (trips.losses_in_row, trips.ended_ns) == (0, 0)


async def test_record_of_round_trips_that_could_not_be_stored_is_stored_later(system: System) -> None:
    await lose(system, 1)
    system.journal.is_down = True
    await look(system)
    system.journal.is_down = False
    await system.executor.core.keeper.renew()
    await system.executor.core.halts.poll()
    await look(system)
    assert dict((await system.journal.load("main")).trips)["BTCUSDT"].losses_in_row == 1


async def test_forgiveness_that_could_not_be_stored_is_refused_until_it_is(system: System) -> None:
    await lose(system, 1)
    await look(system)
    system.journal.is_down = True
    for _ in range(2):  # the first try finds the journal down, the second knows it
        with pytest.raises(StoreError, match="not stored yet"):
            await system.executor.forgive_losses("BTCUSDT", system.clock.now_ns())
    system.journal.is_down = False
    await system.executor.core.keeper.renew()
    await system.executor.core.halts.poll()
    await system.executor.forgive_losses("BTCUSDT", system.clock.now_ns())
    assert dict((await system.journal.load("main")).trips)["BTCUSDT"].losses_in_row == 0


async def test_death_after_the_write_of_losses_leaves_each_counted_once(system: System) -> None:
    await lose(system, 1)
    await look(system)
    await lose(system, 3)
    system.journal.loses_answers = 1  # the first write stands, and the process dies before it knows
    await look(system)
    await system.crash("owner-2")
    account = system.executor.core.account
    assert (account.trip_record("BTCUSDT").losses_in_row, account.streak().losses_in_row) == (2, 2)


async def test_loss_while_a_forgiveness_is_not_stored_is_not_forgiven_by_its_repeat(system: System) -> None:
    await lose(system, 1)
    said_ns = system.clock.now_ns()
    system.journal.is_down = True
    with pytest.raises(StoreError, match="not stored yet"):
        await system.executor.forgive_losses("BTCUSDT", said_ns)
    system.journal.is_down = False
    await system.executor.core.keeper.renew()
    await system.executor.core.halts.poll()
    system.clock.advance(1)
    await lose(system, 3)
    await system.executor.forgive_losses("BTCUSDT", said_ns)
    assert dict((await system.journal.load("main")).trips)["BTCUSDT"].losses_in_row == 1


async def test_record_of_round_trips_is_never_stored_before_the_fills_that_it_follows_from(system: System) -> None:
    core = system.executor.core
    entry, loss = system.intent(1), system.intent(2, Side.SELL, 1000, BID - 100, Purpose.EXIT)
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 1000)
    await settle()
    await submit(system, loss)
    await look(system)
    before = dict((await system.journal.load("main")).trips)
    system.journal.is_down = True
    system.venue.fill(loss.client_order_id, 1000)
    await settle()
    assert core.account.trip_record("BTCUSDT").losses_in_row == 1
    system.journal.is_down = False  # it answers; the fill is not repeated yet
    for work in JournalWork:
        core.state.on_journal(work, True)
    await core.guard.save_losses()
    assert dict((await system.journal.load("main")).trips) == before


async def test_long_pause_that_the_venue_wants_is_told_and_its_end_too(system: System) -> None:
    core = system.executor.core
    core.budget.on_rate_limited(1.0, system.clock.now_ns())
    assert "venue_pause" not in await look(system)
    system.clock.advance(2 * NS_PER_S)
    await look(system)
    core.budget.on_rate_limited(90.0, system.clock.now_ns())
    assert "venue_pause" not in await look(system), "the short pause of before does not count"
    system.clock.advance(5 * NS_PER_S)
    await core.keeper.renew()
    assert (await look(system)).count("venue_pause") == 1
    assert "lets nothing in for 85 s more" in core.halts._sweeper.hindrance()
    system.clock.advance(90 * NS_PER_S)
    await core.keeper.renew()
    assert (await look(system)).count("venue_pause_over") == 1


async def with_clock_off(system: System, skew_ms: int = 5_000) -> list[str]:
    """Look while the venue's clock is off, long enough for it to count."""
    system.venue.skew_ms = skew_ms
    for _ in range(2):
        system.clock.advance(SKEW_PATIENCE_NS)
        await system.executor.core.keeper.renew()
        alerts = await look(system)
    return alerts


async def test_trigger_that_begins_during_another_stop_acts_when_that_is_lifted(system: System) -> None:
    await system.executor.halt("account", None, False, "a person")
    assert (await with_clock_off(system)).count("clock_skew") == 1
    assert system.executor.core.account.halts() == (("account", HaltState.HALTED, "a person"),)
    await system.executor.resume("account", None)
    assert (await look(system)).count("clock_skew") == 2
    ((scope, state, reason),) = await system.journal.halts()
    assert (scope, state, reason[:11]) == ("account", HaltState.REDUCING, "clock_skew:")
    await system.executor.resume("account", None)
    assert (await with_clock_off(system)).count("clock_skew") == 2, "a person has lifted this very stop"
    assert system.executor.core.account.halts() == ()


async def test_trigger_that_ends_before_another_stop_is_lifted_does_not_act(system: System) -> None:
    await system.executor.halt("account", None, False, "a person")
    await with_clock_off(system)
    await with_clock_off(system, 0)
    await system.executor.resume("account", None)
    assert (await look(system)).count("clock_skew") == 1
    assert system.executor.core.account.halts() == ()


async def test_stop_that_was_stored_before_a_restart_is_not_made_again_after_its_resume(system: System) -> None:
    await with_clock_off(system)
    await system.crash()
    await with_clock_off(system)
    await system.executor.resume("account", None)
    await with_clock_off(system)
    assert system.executor.core.account.halts() == ()
