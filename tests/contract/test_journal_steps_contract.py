"""One suite over every journal: steps, events and fills."""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg
import pytest

from tests.contract.journals import (
    INSTRUMENT,
    SYMBOL,
    D,
    Reopen,
    a_booked_position,
    a_fill,
    a_filled,
    a_position,
    an_accepted,
    an_order,
    database_url,
    journal,
    lease,
    postgres_server,
    reopen,
)
from tests.embedded_database import plain_url
from trading.adapters.store.journal import PostgresJournal
from trading.engine.accounting import withdraw
from trading.engine.ports import Journal, JournalEntry, LedgerLine
from trading.model.errors import InvariantViolated
from trading.model.market import Side
from trading.model.orders import (
    Delivery,
    OrderAccepted,
    OrderAdopted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderStatus,
    OrderType,
    Purpose,
    Refusal,
)
from trading.model.session import Lease

__all__ = ["database_url", "journal", "lease", "postgres_server", "reopen"]


EVENTS: tuple[OrderEvent, ...] = (
    OrderDenied(SYMBOL, "o1", Refusal.DAILY_LOSS, "no more today", 5),
    OrderAccepted(SYMBOL, "o1", "v-o1", 6),
    OrderAdopted(SYMBOL, "o1", "v-o1", Side.SELL, OrderType.LIMIT, 10_000, 5, Purpose.EXIT, 3, 6),
    OrderRejected(SYMBOL, "o1", 30005, "Oversold", 7),
    OrderFilled(SYMBOL, "o1", a_fill("o1", "t1"), OrderStatus.FILLED, 8),
    OrderFilled(SYMBOL, "o1", replace(a_fill("o1", "t2"), fee_rate_quote=None), OrderStatus.FILLED, 8),
    OrderCancelled(SYMBOL, "o1", 3, "asked", 9),
    OrderCancelled(SYMBOL, "o1", 3, "", 9, "not wanted", 7, 8),
    OrderOutcomeUnknown(SYMBOL, "o1", "timeout", 10),
    OrderNotSent(SYMBOL, "o1", "absent at the venue", 11),
)


async def test_events_of_every_kind_are_read_back_in_order(journal: Journal, lease: Lease, reopen: Reopen) -> None:
    deliveries = [Delivery(seq, event) for seq, event in enumerate(EVENTS, 1)]
    await journal.commit_entries(lease, [JournalEntry(an_order("o1"), delivery) for delivery in deliveries])
    again = reopen()
    assert list(await again.events_after(SYMBOL, 0, 100)) == deliveries
    assert list(await again.events_after(SYMBOL, 5, 2)) == deliveries[5:7]
    assert await again.events_after(SYMBOL, len(deliveries), 100) == ()
    assert await again.events_after("ETHUSDT", 0, 100) == ()
    assert (await again.load("main")).last_seq == ((SYMBOL, len(deliveries)),)


async def test_step_changes_what_happens_to_an_order_and_never_what_it_is(journal: Journal, lease: Lease) -> None:
    first = an_order("o1")
    await journal.commit_intents(lease, [first])
    step = replace(
        first,
        status=OrderStatus.CANCELLED,
        reason="asked",
        venue_order_id="v1",
        filled_lots=3,
        filled_quote=D("1.5"),
        venue_filled_lots=4,
        sent_ns=11,
        acked_ns=12,
        updated_ns=13,
    )
    await journal.commit_entries(lease, [JournalEntry(replace(step, price_ticks=1, run_id="r9", decision=()), None)])
    assert await journal.orders_by_id(["o1"]) == (step,)
    assert (await journal.load("main")).unfinished == ()


async def test_denial_of_an_intent_that_was_never_written_makes_its_row(journal: Journal, lease: Lease) -> None:
    denied = replace(an_order("o1", OrderStatus.DENIED), reason="daily_loss")
    event = OrderDenied(SYMBOL, "o1", Refusal.DAILY_LOSS, "", 5)
    await journal.commit_entries(lease, [JournalEntry(denied, Delivery(1, event))])
    assert await journal.orders_by_id(["o1"]) == (denied,)


async def test_denial_withheld_after_the_commit_ends_the_order(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [an_order("o1")])
    denied = replace(an_order("o1", OrderStatus.DENIED), reason="halted")
    event = OrderDenied(SYMBOL, "o1", Refusal.HALTED, "", 5)
    await journal.commit_entries(lease, [JournalEntry(denied, Delivery(1, event))])
    assert await journal.orders_by_id(["o1"]) == (denied,)


async def test_denial_of_a_repeated_id_leaves_an_order_the_venue_has_as_it_is(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [an_order("o1", OrderStatus.OPEN)])
    event = OrderDenied(SYMBOL, "o1", Refusal.TOMBSTONED, "", 5)
    await journal.commit_entries(lease, [JournalEntry(an_order("o1", OrderStatus.DENIED), Delivery(1, event))])
    assert await journal.orders_by_id(["o1"]) == (an_order("o1", OrderStatus.OPEN),)
    assert len(await journal.events_after(SYMBOL, 0, 10)) == 1


async def test_last_of_several_steps_of_an_order_stands(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [an_order("o1")])
    steps = [an_order("o1", status) for status in (OrderStatus.OPEN, OrderStatus.CANCELLING, OrderStatus.CANCELLED)]
    await journal.commit_entries(lease, [JournalEntry(step, None) for step in steps])
    assert [order.status for order in await journal.orders_by_id(["o1"])] == [OrderStatus.CANCELLED]


async def test_fill_is_booked_with_position_and_ledger(journal: Journal, lease: Lease, reopen: Reopen) -> None:
    fill, position = a_fill("o1", "t1"), a_position("0.001", fees="0.00000025")
    await journal.commit_entries(lease, [a_filled(1, fill, position)])
    again = reopen()
    assert await again.fills_of("o1") == (fill,)
    assert await again.fills_of("o2") == ()
    state = await again.load("main")
    assert state.positions == (position,)
    assert state.ledger_totals == (("BTC", D("0.001")), ("MX", D("-0.0000001")), ("USDT", D("-60.00012")))
    assert [order.filled_lots for order in state.unfinished] == [10]


async def test_fill_booked_already_changes_nothing_but_its_order(journal: Journal, lease: Lease) -> None:
    await journal.commit_entries(lease, [a_filled(1, a_fill("o1", "t1"), a_position("0.001"))])
    again = a_filled(2, a_fill("o1", "t1"), a_position("0.002"), OrderStatus.FILLED)
    await journal.commit_entries(lease, [again, a_filled(3, a_fill("o1", "t2"), a_position("0.003"))])
    await journal.commit_entries(lease, [a_filled(4, a_fill("o1", "t3"), a_position("0.004"))] * 1)
    state = await journal.load("main")
    assert state.positions == (a_position("0.004"),)
    assert [fill.trade_id for fill in await journal.fills_of("o1")] == ["t1", "t2", "t3"]
    assert dict(state.ledger_totals)["BTC"] == D("0.003")


async def test_fill_twice_in_one_batch_is_booked_once(journal: Journal, lease: Lease) -> None:
    await journal.commit_entries(
        lease,
        [a_filled(1, a_fill("o1", "t1"), a_position("0.001")), a_filled(2, a_fill("o1", "t1"), a_position("0.009"))],
    )
    state = await journal.load("main")
    assert state.positions == (a_position("0.001"),)
    assert dict(state.ledger_totals)["BTC"] == D("0.001")


async def test_same_trade_id_of_another_order_or_side_is_another_fill(journal: Journal, lease: Lease) -> None:
    sell = replace(a_fill("o3", "t1"), side=Side.SELL)
    await journal.commit_entries(
        lease,
        [
            a_filled(1, a_fill("o1", "t1"), a_position("0.001")),
            a_filled(2, a_fill("o2", "t1"), a_position("0.002")),
            a_filled(3, sell, a_position("0.003")),
        ],
    )
    assert (await journal.load("main")).positions == (a_position("0.003"),)
    assert await journal.fills_of("o3") == (sell,)


async def test_committed_batch_when_repeated_writes_nothing_twice(journal: Journal, lease: Lease) -> None:
    batch = [
        JournalEntry(an_order("o1", OrderStatus.OPEN), Delivery(1, an_accepted("o1"))),
        a_filled(2, a_fill("o1", "t1"), a_position("0.001")),
    ]
    await journal.commit_entries(lease, batch)
    before = await journal.load("main")
    await journal.commit_entries(lease, batch)
    assert await journal.load("main") == before
    more = a_filled(3, a_fill("o1", "t2"), a_position("0.002"))
    await journal.commit_entries(lease, [*batch, more])  # regathered with what came after it
    state = await journal.load("main")
    assert state.last_seq == ((SYMBOL, 3),)
    assert state.positions == (a_position("0.002"),)
    assert len(await journal.events_after(SYMBOL, 0, 10)) == 3


async def test_sequence_number_of_another_event_is_refused_and_the_whole_batch_with_it(
    journal: Journal, lease: Lease
) -> None:
    await journal.commit_entries(lease, [JournalEntry(an_order("o1"), Delivery(1, an_accepted("o1")))])
    clash = [
        a_filled(2, a_fill("o2", "t1"), a_position("0.001")),
        JournalEntry(an_order("o2"), Delivery(1, an_accepted("o2"))),
    ]
    with pytest.raises(InvariantViolated):
        await journal.commit_entries(lease, clash)
    state = await journal.load("main")
    assert (state.last_seq, state.positions, state.ledger_totals) == (((SYMBOL, 1),), (), ())
    assert await journal.orders_by_id(["o2"]) == ()


async def test_entry_whose_parts_do_not_belong_together_is_a_bug(journal: Journal, lease: Lease) -> None:
    whole = a_filled(1, a_fill("o1", "t1"), a_position("0.001"))
    for broken in (replace(whole, fill=None), replace(whole, position=None), replace(whole, fill=None, position=None)):
        with pytest.raises(InvariantViolated):
            await journal.commit_entries(lease, [broken])
    assert await journal.orders_by_id(["o1"]) == ()


async def test_repeated_batch_does_not_bring_back_a_state_that_a_later_entry_of_it_has_ended(
    journal: Journal, lease: Lease
) -> None:
    ended = an_order("o1", OrderStatus.CANCELLED)
    batch = [
        JournalEntry(an_order("o1", OrderStatus.OPEN), Delivery(1, an_accepted("o1"))),
        JournalEntry(an_order("o1", OrderStatus.CANCELLING), None),  # a step that is told to nobody
        JournalEntry(ended, Delivery(2, OrderCancelled(SYMBOL, "o1", 0, "asked", 9))),
    ]
    await journal.commit_entries(lease, batch)
    await journal.commit_entries(lease, batch)  # its answer was lost
    (found,) = await journal.orders_by_id(["o1"])
    assert found.status is OrderStatus.CANCELLED
    assert (await journal.load("main")).unfinished == ()


async def test_finished_order_that_is_short_of_executions_is_loaded_again(journal: Journal, lease: Lease) -> None:
    short = an_order("o1", OrderStatus.CANCELLED).changed(created_ns=time.time_ns(), venue_filled_lots=400)
    whole = an_order("o2", OrderStatus.CANCELLED).changed(created_ns=time.time_ns())
    still_open = an_order("o3", OrderStatus.OPEN).changed(created_ns=time.time_ns(), venue_filled_lots=400)
    await journal.commit_entries(lease, [JournalEntry(order, None) for order in (short, whole, still_open)])
    state = await journal.load("main")
    assert [order.client_order_id for order in state.short] == ["o1"]
    assert [order.client_order_id for order in state.unfinished] == ["o3"]


async def test_order_of_another_account_is_not_read(database_url: str, postgres_server: object) -> None:
    mine, other = PostgresJournal(database_url, "main", "s1"), PostgresJournal(database_url, "paper", "s1")
    with psycopg.connect(plain_url(database_url)) as link:
        link.execute(
            "INSERT INTO sessions (session_id, account, mode, venue, settings, pid, started_ns) "
            "VALUES ('s1', 'main', 'paper', 'sim', '{}', 1, 1)"
        )
    try:
        await mine.register_instruments([INSTRUMENT], 1)
        await other.register_instruments([INSTRUMENT], 1)
        await mine.commit_intents(await mine.acquire_lease("executor:main", "a", 30.0), [an_order("o1")])
        lease = await other.acquire_lease("executor:paper", "b", 30.0)
        assert await other.commit_intents(lease, [an_order("o1")]) == ("o1",)
        assert await other.orders_by_id(["o1"]) == ()
    finally:
        await mine.close()
        await other.close()


# --- the audit -----------------------------------------------------------------------------------------------------


async def test_audit_of_what_was_booked_in_order_finds_nothing(journal: Journal, lease: Lease) -> None:
    assert await journal.audit() == ()
    await journal.commit_intents(lease, [an_order("x"), an_order("y")])
    fill = a_fill("x", "t1")
    await journal.commit_entries(lease, [a_filled(1, fill, a_booked_position(fill))])
    assert await journal.audit() == ()


async def test_audit_counts_adjustments_of_a_position(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [an_order("x")])
    fill = a_fill("x", "t1")
    booked = a_booked_position(fill)
    await journal.commit_entries(lease, [a_filled(1, fill, booked)])
    after = withdraw(booked, booked.qty / 2, 9)
    line = LedgerLine("adjustment", SYMBOL, "BTC", after.qty - booked.qty, 9, "WITHDRAW/9")
    # What nobody holds moves by others too, and is of no position.
    deposit = LedgerLine("adjustment", "", "USDT", D(5), 9, "DEPOSIT/9")
    await journal.append_ledger(lease, [line, deposit], [after], D("-1.5"))
    await journal.append_ledger(lease, [line, deposit], [after], D("-7"))
    assert (await journal.load("main")).departed_pnl == D("-1.5"), "a repeat writes nothing"
    assert await journal.audit() == ()
    await journal.append_ledger(lease, [replace(line, reference="again")], [after])
    assert any(SYMBOL in text for text in await journal.audit())


async def test_audit_names_a_position_that_its_fills_do_not_make(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [an_order("x")])
    fill = a_fill("x", "t1")
    wrong = replace(a_booked_position(fill), qty=D("0.002"))
    await journal.commit_entries(lease, [a_filled(1, fill, wrong)])
    broken = await journal.audit()
    assert any(SYMBOL in text and "0.002" in text for text in broken), broken


async def test_audit_names_a_cost_that_its_fills_do_not_make(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [an_order("x")])
    fill = a_fill("x", "t1")
    booked = a_booked_position(fill)
    await journal.commit_entries(lease, [a_filled(1, fill, replace(booked, cost=booked.cost + 1))])
    broken = await journal.audit()
    assert len(broken) == 1, broken
    assert SYMBOL in broken[0]


async def test_audit_names_an_order_that_its_fills_do_not_make(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [an_order("x")])
    fill = a_fill("x", "t1")
    entry = a_filled(1, fill, a_booked_position(fill))
    await journal.commit_entries(lease, [replace(entry, order=replace(entry.order, filled_lots=11))])
    broken = await journal.audit()
    assert any("x" in text and "11" in text for text in broken), broken
