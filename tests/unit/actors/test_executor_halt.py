"""Halts: what is sent after one (nothing), what is left open (nothing, or NOT CONFIRMED), what lifts it (people)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from actors.executor_sweep import STEP_S
from tests.unit.actors.executor_fakes import BID, System, settle, submit
from trading.engine.ports import Submission
from trading.model.errors import ConfigError, RateLimited, StoreError
from trading.model.market import Side
from trading.model.orders import OrderStatus, Purpose, Refusal, VenueBalance, VenueOrder
from trading.model.session import HaltState
from trading.model.units import NS_PER_S


async def test_halt_cancels_verifies_at_the_venue_and_is_persisted(system: System) -> None:
    await submit(system, system.intent(1), system.intent(2))
    report = await system.executor.halt("account", None, False, "test")
    assert (report.state, report.confirmed, report.open_orders) == (HaltState.HALTED, True, 0)
    assert report.verified_at_ns == system.clock.now_ns()
    assert sorted(system.venue.cancelled) == [f"mx-1-{system.epoch}-{number}" for number in (1, 2)]
    assert await system.journal.halts() == (("account", HaltState.HALTED, "test"),)
    assert await submit(system, system.intent(3)) == ()
    assert (await system.executor.halt_report()).confirmed


async def test_halt_waits_for_sends_in_flight_and_ends_them(system: System) -> None:
    system.venue.gate = asyncio.Event()
    await submit(system, system.intent(1))
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    assert not halting.done()
    system.venue.gate.set()
    async with asyncio.timeout(5):
        assert (await halting).confirmed
    assert system.venue.cancelled == [f"mx-1-{system.epoch}-1"]


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_halt_between_commit_and_send_withholds_the_order_and_waits_for_no_commit(
    system: System, is_resumed: bool
) -> None:
    commit = asyncio.Event()
    original = system.journal.commit_intents

    class SlowJournal:
        async def commit_intents(self, *args: object) -> tuple[str, ...]:
            taken = await original(*args)  # type: ignore[arg-type]
            await commit.wait()
            return taken

    system.executor.core.intents._journal = SlowJournal()  # type: ignore[assignment]
    sending = asyncio.create_task(submit(system, system.intent(1)))
    await settle()
    async with asyncio.timeout(5):
        assert (await system.executor.halt("account", None, False, "test")).confirmed
        assert not sending.done()
        if is_resumed:
            await system.executor.resume("account", None)
        system.executor.core.sends.recancel_due()
        commit.set()
        assert await sending == ()
    assert system.venue.placed == []
    (record,) = await system.journal.orders_by_id((f"mx-1-{system.epoch}-1",))
    assert record.status is OrderStatus.DENIED


async def test_unknown_order_prevents_confirmation_until_it_is_resolved(system: System) -> None:
    system.venue.answer = "vanish"
    await submit(system, system.intent(1))
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    system.clock.advance(26 * NS_PER_S)
    async with asyncio.timeout(5):
        report = await halting
    assert (report.confirmed, report.open_orders) == (False, 1)
    assert [name for _, name, *_ in system.journal.alerts][-1] == "halt_not_confirmed"
    await system.executor.core.reconciler.round()
    await system.executor.core.halts.poll()
    later = await system.executor.halt_report()
    assert (later.confirmed, later.open_orders) == (True, 0)


async def test_silent_venue_is_not_confirmed(system: System) -> None:
    system.venue.is_down = True
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    system.clock.advance(26 * NS_PER_S)
    async with asyncio.timeout(5):
        report = await halting
    assert (report.confirmed, report.open_orders) == (False, None)


async def test_halt_survives_a_restart_and_only_resume_lifts_it(system: System) -> None:
    await system.executor.halt("account", None, False, "test")
    await system.crash()
    await system.executor.core.reconciler.round()
    await system.executor.mark("BTCUSDT", BID, 0)
    assert await submit(system, system.intent(1)) == ()
    assert (await system.executor.resume("account", None)).state is HaltState.ACTIVE
    await system.executor.core.halts.poll()
    assert await submit(system, system.intent(2)) != ()


async def test_halt_persisted_by_another_process_is_obeyed(system: System) -> None:
    await submit(system, system.intent(1))
    await system.journal.save_halt("account", HaltState.HALTED, "direct", system.clock.now_ns())
    await system.executor.core.halts.poll()
    await settle()
    assert system.venue.cancelled == [f"mx-1-{system.epoch}-1"]
    assert await submit(system, system.intent(2)) == ()


@pytest.mark.parametrize(
    ("state", "says"), [(HaltState.HALTED, Refusal.HALTED), (HaltState.REDUCING, Refusal.REDUCING)]
)
async def test_halt_of_another_process_refuses_orders_before_it_is_read(
    system: System, state: HaltState, says: Refusal
) -> None:
    await system.journal.save_halt("account", state, "direct", system.clock.now_ns())
    assert await submit(system, system.intent(1)) == ()
    assert system.venue.placed == []
    await system.executor.core.outcomes.flush()
    (record,) = await system.journal.orders_by_id((f"mx-1-{system.epoch}-1",))
    assert (record.status, "direct" in record.reason) == (OrderStatus.DENIED, True)
    assert system.executor.core.state.counters[f"denied:{says}"] == 1


async def test_halt_without_a_journal_holds_and_is_saved_later(system: System) -> None:
    system.journal.is_down = True
    report = await system.executor.halt("account", None, False, "test")
    assert report.state is HaltState.HALTED
    with pytest.raises(StoreError):
        await system.executor.resume("account", None)
    system.journal.is_down = False
    await system.executor.core.halts.poll()
    assert await system.journal.halts() == (("account", HaltState.HALTED, "test"),)
    assert system.executor.core.account.halt_state()[0] is HaltState.HALTED


async def test_halt_of_a_symbol_leaves_the_others(system: System) -> None:
    attached = await system.executor.attach_symbol("ETHUSDT", "run-2", 2, "test")
    await system.executor.mark("ETHUSDT", BID, 0)
    await system.executor.halt("symbol", "BTCUSDT", False, "test")
    other = replace(system.intent(1), client_order_id="mx-2-1-1", symbol="ETHUSDT", owner_epoch=attached.owner_epoch)
    receipt = await system.executor.submit(Submission("ETHUSDT", attached.owner_epoch, "run-2", (other,), ()))
    assert receipt.durable == ("mx-2-1-1",)
    assert await submit(system, system.intent(1)) == ()


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_halt_of_the_account_is_verified_again_after_a_word_on_one_symbol(
    system: System, is_resumed: bool
) -> None:
    assert (await system.executor.halt("account", None, False, "all")).confirmed
    if is_resumed:
        await system.executor.resume("symbol", "BTCUSDT")
    else:
        await system.executor.halt("symbol", "BTCUSDT", False, "one more")
    await system.executor.core.halts.poll()
    report = await system.executor.halt_report()
    assert (report.state, report.confirmed, report.open_orders, report.reason) == (HaltState.HALTED, True, 0, "all")
    asked = len(system.venue.asked)
    await system.executor.core.halts.poll()
    assert len(system.venue.asked) == asked, "what is verified is not asked for again"


async def test_wrong_scope_is_refused_with_a_sentence(system: System) -> None:
    with pytest.raises(ConfigError, match="expected scope account"):
        await system.executor.halt("symbol", None, False, "x")


async def test_flatten_sells_what_is_held_at_a_bounded_price_and_then_halts(system: System) -> None:
    entry = system.intent(1)
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 1000)
    await settle()
    halting = asyncio.create_task(system.executor.halt("account", None, True, "test"))
    await settle()
    exit_order = system.venue.placed[-1]
    assert (exit_order.side, exit_order.purpose, exit_order.qty_lots) == (Side.SELL, Purpose.EXIT, 1000)
    assert exit_order.price_ticks == BID - BID * 50 // 10_000
    assert system.executor.core.account.halt_state()[0] is HaltState.REDUCING
    system.venue.fill(exit_order.client_order_id, 1000)
    async with asyncio.timeout(5):
        report = await halting
    assert (report.state, report.confirmed, report.reason) == (HaltState.HALTED, True, "test")
    assert system.executor.core.account.position("BTCUSDT").qty == Decimal(0)
    assert len(system.venue.placed) == 2


async def test_flatten_waits_for_the_balance_that_a_cancelled_exit_had_locked(system: System) -> None:
    entry, account = system.intent(1), system.executor.core.account
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 1000)
    await settle()
    held, later_ns = account.position("BTCUSDT").qty, system.clock.now_ns() + NS_PER_S
    account.on_balance(VenueBalance("BTC", Decimal(0), Decimal(0), later_ns, later_ns))
    assert account.sellable_lots("BTCUSDT") == 0
    halting = asyncio.create_task(system.executor.halt("account", None, True, ""))
    await settle()
    assert len(system.venue.placed) == 1
    account.on_balance(VenueBalance("BTC", held, Decimal(0), later_ns + 1, later_ns + 1))
    async with asyncio.timeout(5):
        while len(system.venue.placed) == 1:  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)
        system.venue.fill(system.venue.placed[-1].client_order_id, 1000)
        report = await halting
    assert (report.state, report.confirmed, report.reason) == (HaltState.HALTED, True, "")
    assert account.position("BTCUSDT").qty == Decimal(0)


async def test_flatten_that_could_not_sell_says_what_is_left(system: System) -> None:
    await submit(system, system.intent(1))
    system.venue.fill(f"mx-1-{system.epoch}-1", 1000)
    await settle()
    later_ns = system.clock.now_ns() + NS_PER_S
    system.executor.core.account.on_balance(VenueBalance("BTC", Decimal(0), Decimal(0), later_ns, later_ns))
    halting = asyncio.create_task(system.executor.halt("account", None, True, ""))
    await settle()
    system.clock.advance(3 * NS_PER_S)
    async with asyncio.timeout(5):
        report = await halting
    assert (report.confirmed, report.reason[:11]) == (True, "still held:")
    assert len(system.venue.placed) == 1


async def test_detached_symbol_has_nothing_open_and_its_owner_is_fenced(system: System) -> None:
    await submit(system, system.intent(1))
    await system.executor.detach_symbol("BTCUSDT", False)
    assert await system.executor.open_order_count("BTCUSDT") == 0
    assert system.executor.core.state.epochs["BTCUSDT"] > system.epoch


async def test_second_halt_is_not_confirmed_by_the_first_ones_verification(system: System) -> None:
    assert (await system.executor.halt("account", None, False, "first")).confirmed
    await system.executor.resume("account", None)
    await submit(system, system.intent(1))
    system.venue.is_down = True
    halting = asyncio.create_task(system.executor.halt("account", None, False, "second"))
    await settle()
    report = await system.executor.halt_report()
    assert (report.state, report.confirmed, report.verified_at_ns) == (HaltState.HALTED, False, 0)
    system.venue.is_down = False
    system.clock.advance(4 * NS_PER_S)
    await system.executor.core.reconciler.round()
    async with asyncio.timeout(5):
        assert (await halting).confirmed


async def test_halt_that_comes_while_a_resume_is_being_written_stays(system: System) -> None:
    await system.executor.halt("account", None, False, "first")
    written, original = asyncio.Event(), system.journal.save_halt

    class SlowJournal:
        async def save_halt(self, scope: str, state: HaltState, reason: str, now_ns: int, *more: Any) -> bool:
            is_written = await original(scope, state, reason, now_ns, *more)
            if state is HaltState.ACTIVE:
                await written.wait()
            return is_written

    control = system.executor.core.halts
    control._book._journal = SlowJournal()  # type: ignore[assignment]
    resuming = asyncio.create_task(system.executor.resume("account", None))
    await settle()
    assert (await system.executor.halt("account", None, False, "second")).confirmed
    written.set()
    assert (await resuming).state is HaltState.HALTED
    assert await submit(system, system.intent(1)) == ()
    assert await system.journal.halts() == (("account", HaltState.HALTED, "second"),)


async def test_persisted_reducing_ends_entries_and_leaves_exits_alone(system: System) -> None:
    await submit(system, system.intent(1))
    name = f"mx-1-{system.epoch}-1"
    system.venue.fill(name, 1000)
    await submit(system, system.intent(2), system.intent(3, Side.SELL, price=BID + 10, purpose=Purpose.EXIT))
    await system.journal.save_halt("account", HaltState.REDUCING, "by the API", 1)
    await system.executor.core.halts.poll()
    await settle()
    assert system.venue.cancelled == [f"mx-1-{system.epoch}-2"]
    assert system.venue.book[f"mx-1-{system.epoch}-3"].status is OrderStatus.OPEN


async def test_resume_ends_the_verification_of_the_halt_that_it_lifts(system: System) -> None:
    system.venue.answer, system.venue.is_blind = "lose", True
    await submit(system, system.intent(1))
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    await system.executor.resume("account", None)
    system.venue.answer = "accept"
    await submit(system, system.intent(2))
    async with asyncio.timeout(5):
        report = await halting
    assert (report.state, report.confirmed) == (HaltState.ACTIVE, False)
    assert f"mx-1-{system.epoch}-2" not in system.venue.cancelled


async def test_flatten_ids_of_two_accounts_in_one_database_differ(system: System) -> None:
    other = System()
    other.clock.advance(NS_PER_S)
    names = []
    for one in (system, other):
        if one is other:
            await one.start()
        await submit(one, one.intent(1))
        one.venue.fill(f"mx-1-{one.epoch}-1", 1000)
        await settle()
        halting = asyncio.create_task(one.executor.halt("account", None, True, "test"))
        await settle()
        names.append([order.client_order_id for order in one.venue.placed if order.strategy == "flatten"])
        one.venue.fill(names[-1][0], 1000)
        async with asyncio.timeout(5):
            await halting
    await other.executor.close()
    assert not set(names[0]) & set(names[1])


async def test_halt_during_a_pause_of_the_venue_denies_what_waits_at_once(system: System) -> None:
    system.executor.core.budget.on_rate_limited(90, system.clock.now_ns())
    sending = asyncio.create_task(submit(system, system.intent(1)))
    await settle()
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    async with asyncio.timeout(5):
        assert await sending == ()
        assert system.symbol.deliveries[-1].event.text == "withdrawn before it was sent"  # type: ignore[union-attr]
        assert not halting.done()  # the venue may not be asked yet
        system.clock.advance(91 * NS_PER_S)
        assert (await halting).confirmed


async def test_intent_that_waits_behind_a_long_pause_is_denied_at_its_age(system: System) -> None:
    await submit(system, system.intent(1))
    system.executor.core.budget.on_rate_limited(90, system.clock.now_ns())
    system.executor.core.sends.request_cancel(system.cancel(f"mx-1-{system.epoch}-1"))  # is served first, and waits
    sending = asyncio.create_task(submit(system, system.intent(2)))
    await settle()
    system.clock.advance(2 * NS_PER_S)
    async with asyncio.timeout(2):
        assert await sending == ()
    assert system.executor.core.state.counters[f"denied:{Refusal.BUDGET}"] == 1


async def test_halt_asks_the_venue_within_the_budget_and_hears_a_429() -> None:
    system = System()
    await system.start()
    core, asked = system.executor.core, list[int]()
    original = system.venue.open_orders

    async def limited(symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        asked.append(core.budget.rate_limited)
        if len(asked) == 1:
            raise RateLimited("slow down", 1.0)
        return await original(symbols)

    system.venue.open_orders = limited  # type: ignore[method-assign]
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await asyncio.sleep(0.3)
    assert (asked, core.budget.rate_limited) == ([0], 1)
    system.clock.advance(2 * NS_PER_S)
    async with asyncio.timeout(5):
        assert (await halting).confirmed
    assert asked == [0, 1]
    await system.executor.close()


async def test_flatten_that_is_interrupted_ends_in_halted(system: System) -> None:
    begun = asyncio.Event()

    class SlowSale:
        async def flatten(self, scope: object) -> tuple[str, ...]:
            begun.set()
            await asyncio.Event().wait()
            return ()

    system.executor.core.halts._flattener = SlowSale()  # type: ignore[assignment]
    halting = asyncio.create_task(system.executor.halt("account", None, True, "sell"))
    await begun.wait()
    assert (await system.journal.halts())[0][1] is HaltState.REDUCING
    halting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await halting
    assert await system.journal.halts() == (("account", HaltState.HALTED, "sell; the sale was interrupted"),)
    assert system.executor.core.account.halt_state()[0] is HaltState.HALTED
