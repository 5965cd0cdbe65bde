"""One suite over every journal: the Postgres one, and the one in memory that unit tests use in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from tests.embedded_database import database_url, plain_url, postgres_server
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.memory_journal import MemoryJournal
from trading.engine.ports import EquityPoint, Journal, JournalEntry, LedgerLine, OrderRecord
from trading.model.errors import FencedOut, InvariantViolated
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import (
    Delivery,
    Fill,
    OrderAccepted,
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
    VenueBalance,
)
from trading.model.position import Position
from trading.model.session import HaltState, Lease
from trading.model.units import NS_PER_DAY, NS_PER_S

__all__ = ["database_url", "postgres_server"]

D = Decimal
SYMBOL = "BTCUSDT"
INSTRUMENT = Instrument(SYMBOL, "BTC", "USDT", D("0.01"), D("0.0001"), D(0), D(1), D(0), D("0.0000"), D("0.0005"))
ODD = replace(INSTRUMENT, symbol="牛市_\"'; DROP--USDT", base="牛市")
Reopen = Callable[[], "Journal"]


@pytest.fixture(params=["postgres", "memory"])
async def reopen(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Journal]]:
    """Give a function that opens the same journal once more, as a restarted process would."""
    if request.param == "memory":
        memory = MemoryJournal("main")
        yield lambda: memory
        return
    url = request.getfixturevalue("database_url")
    with psycopg.connect(plain_url(url)) as link:
        link.execute(
            "INSERT INTO sessions (session_id, account, mode, venue, settings, pid, started_ns) "
            "VALUES ('s1', 'main', 'paper', 'sim', '{}', 1, 1)"
        )
    opened: list[PostgresJournal] = []

    def again() -> Journal:
        opened.append(PostgresJournal(url, "main", "s1"))
        return opened[-1]

    yield again
    for journal in opened:
        await journal.close()


@pytest.fixture
async def journal(reopen: Callable[[], Journal]) -> Journal:
    made = reopen()
    await made.register_instruments([INSTRUMENT, ODD], 1)
    return made


@pytest.fixture
async def lease(journal: Journal) -> Lease:
    return await journal.acquire_lease("executor:main", "a", 30.0)


def _order(order_id: str, status: OrderStatus = OrderStatus.SENT, symbol: str = SYMBOL) -> OrderRecord:
    return OrderRecord(
        client_order_id=order_id,
        symbol=symbol,
        run_id="r1",
        owner_epoch=3,
        executor_epoch=1,
        side=Side.BUY,
        type=OrderType.LIMIT_MAKER,
        price_ticks=6_000_012,
        qty_lots=25,
        purpose=Purpose.ENTRY,
        strategy="spread_capture",
        status=status,
        created_ns=1_700_000_000_000_000_000,
        valid_until_ns=1_700_000_002_000_000_000,
        signed_ms=1_700_000_000_001,
        recv_window_ms=2000,
        committed_ns=1_700_000_000_000_500_000,
        updated_ns=1_700_000_000_000_500_000,
        decision=(("book_version", "42"), ("edge_bps", "1.5"), ("a", "")),
    )


def _fill(order_id: str, trade_id: str, recv_ts_ns: int = 1_700_000_001_000_000_000) -> Fill:
    return Fill(
        venue="paper",
        trade_id=trade_id,
        client_order_id=order_id,
        venue_order_id=f"v-{order_id}",
        symbol=SYMBOL,
        side=Side.BUY,
        price_ticks=6_000_012,
        qty_lots=10,
        quote_qty=D("60.00012"),
        fee=D("0.0000001"),
        fee_asset="MX",
        is_maker=True,
        exch_ts_ns=1_700_000_000_900_000_000,
        recv_ts_ns=recv_ts_ns,
        fee_rate_quote=D("2.5"),
        fee_rate_source="book:MXUSDT",
    )


def _filled(
    seq: int, fill: Fill, position: Position, status: OrderStatus = OrderStatus.PARTIALLY_FILLED
) -> JournalEntry:
    order = replace(_order(fill.client_order_id, status), filled_lots=10, filled_quote=fill.quote_qty)
    event = OrderFilled(SYMBOL, fill.client_order_id, fill, status, fill.recv_ts_ns)
    reference = f"{fill.venue_order_id}/{fill.trade_id}"
    lines = (
        LedgerLine("trade", SYMBOL, "BTC", D("0.001"), fill.recv_ts_ns, reference),
        LedgerLine("trade", SYMBOL, "USDT", -fill.quote_qty, fill.recv_ts_ns, reference),
        LedgerLine("fee", SYMBOL, "MX", -fill.fee, fill.recv_ts_ns, reference),
    )
    return JournalEntry(order, Delivery(seq, event), fill, position, lines)


def _position(qty: str, realized: str = "0", fees: str = "0") -> Position:
    return Position(SYMBOL, D(qty), D(qty) * 60_000, D(realized), D(fees), 1_700_000_001_000_000_000)


def _accepted(order_id: str) -> OrderAccepted:
    return OrderAccepted(SYMBOL, order_id, f"v-{order_id}", 5)


# --- leases --------------------------------------------------------------------------------------------------------


async def test_lease_while_held_is_refused_to_another(journal: Journal, reopen: Reopen) -> None:
    first = await journal.acquire_lease("executor:main", "a", 30.0)
    with pytest.raises(FencedOut, match="executor:main"):
        await reopen().acquire_lease("executor:main", "b", 30.0)
    assert first.epoch == 1
    assert (await reopen().acquire_lease("executor:other", "b", 30.0)).epoch == 1


async def test_lease_when_expired_goes_to_the_next_epoch_and_fences_the_old(journal: Journal, reopen: Reopen) -> None:
    old = await journal.acquire_lease("executor:main", "a", 0.05)
    await asyncio.sleep(0.1)
    heir = reopen()
    new = await heir.acquire_lease("executor:main", "b", 30.0)
    assert new.epoch == old.epoch + 1
    with pytest.raises(FencedOut):
        await journal.renew_lease(old, 30.0)
    with pytest.raises(FencedOut):
        await journal.commit_intents(old, [_order("late")])
    await journal.release_lease(old)  # idempotent, and no harm to the successor
    await heir.renew_lease(new, 30.0)
    assert await heir.orders_by_id(["late"]) == ()


async def test_lease_that_lapsed_forbids_writes_until_it_is_renewed(journal: Journal) -> None:
    lease = await journal.acquire_lease("executor:main", "a", 0.05)
    await asyncio.sleep(0.1)
    with pytest.raises(FencedOut):
        await journal.commit_intents(lease, [_order("x")])
    await journal.renew_lease(lease, 30.0)
    assert await journal.commit_intents(lease, [_order("x")]) == ()


async def test_lease_when_released_is_free_at_once_and_gone_for_its_owner(journal: Journal, lease: Lease) -> None:
    await journal.release_lease(lease)
    await journal.release_lease(lease)
    with pytest.raises(FencedOut):
        await journal.renew_lease(lease, 30.0)
    assert (await journal.acquire_lease("executor:main", "a", 30.0)).epoch == lease.epoch + 1


async def test_every_leased_write_with_an_old_epoch_writes_nothing(journal: Journal, lease: Lease) -> None:
    old = replace(lease, epoch=lease.epoch - 1)
    stranger = replace(lease, owner="b")
    order = _order("o1")
    line = LedgerLine("opening", "", "USDT", D(100), 1, "opening")
    point = EquityPoint(1, D(1), D(1), D(0), D(0), D(0))
    for wrong in (old, stranger):
        for write in (
            lambda held: journal.commit_intents(held, [order]),
            lambda held: journal.commit_entries(held, [JournalEntry(order, Delivery(1, _accepted("o1")))]),
            lambda held: journal.commit_entries(held, [_filled(1, _fill("o1", "t1"), _position("0.001"))]),
            lambda held: journal.tombstone(held, SYMBOL, ["o1"], 1),
            lambda held: journal.append_ledger(held, [line]),
            lambda held: journal.save_balances(held, [VenueBalance("USDT", D(1), D(0), 1, 1)]),
            lambda held: journal.save_limits(held, [("max_open_orders", "3")], 1),
            lambda held: journal.save_equity(held, point),
            lambda held: journal.next_symbol_epoch(held, SYMBOL, "b"),
        ):
            with pytest.raises(FencedOut):
                await write(wrong)
    state = await journal.load("main")
    assert state.unfinished == state.positions == state.last_seq == state.balances == state.limits == ()
    assert state.ledger_totals == state.symbol_epochs == ()
    assert (state.day_open, state.peak_net_pnl) == (None, None)
    assert await journal.commit_intents(lease, [order]) == ()  # neither written nor buried above


async def test_symbol_epochs_grow_by_one_each_for_itself(journal: Journal, lease: Lease) -> None:
    assert await journal.next_symbol_epoch(lease, SYMBOL, "n1") == 1
    assert await journal.next_symbol_epoch(lease, SYMBOL, "n1") == 2
    assert await journal.next_symbol_epoch(lease, ODD.symbol, "n1") == 1
    assert dict((await journal.load("main")).symbol_epochs) == {SYMBOL: 2, ODD.symbol: 1}


# --- intents -------------------------------------------------------------------------------------------------------


async def test_intents_are_read_back_as_they_were_written(journal: Journal, lease: Lease, reopen: Reopen) -> None:
    plain, odd = _order("o1"), replace(_order("o2", symbol=ODD.symbol), decision=(), reason="\ud800 and \x00 and 牛")
    assert await journal.commit_intents(lease, [plain, odd]) == ()
    found = {order.client_order_id: order for order in await reopen().orders_by_id(["o1", "o2", "nobody"])}
    assert found["o1"] == plain
    assert replace(found["o2"], reason="") == replace(odd, reason="")
    assert found["o2"].reason.endswith("牛")


async def test_intents_of_which_some_conflict_are_written_but_for_those(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [_order("o1")])
    changed = replace(_order("o1"), price_ticks=1)
    assert await journal.commit_intents(lease, [_order("o0"), changed, _order("o2")]) == ("o1",)
    found = await journal.orders_by_id(["o0", "o1", "o2"])
    assert sorted((order.client_order_id, order.price_ticks) for order in found) == [
        ("o0", 6_000_012),
        ("o1", 6_000_012),
        ("o2", 6_000_012),
    ]


async def test_intents_with_an_id_twice_in_a_batch_are_a_bug(journal: Journal, lease: Lease) -> None:
    with pytest.raises(InvariantViolated):
        await journal.commit_intents(lease, [_order("o1"), _order("o1")])
    assert await journal.orders_by_id(["o1"]) == ()


async def test_intent_of_an_instrument_nobody_registered_is_a_bug(journal: Journal, lease: Lease) -> None:
    with pytest.raises(InvariantViolated, match="XUSDT"):
        await journal.commit_intents(lease, [_order("o1", symbol="XUSDT")])


async def test_no_intents_are_written_without_a_question(journal: Journal, lease: Lease) -> None:
    assert await journal.commit_intents(lease, []) == ()
    await journal.commit_entries(lease, [])


async def test_buried_id_conflicts_for_ever_and_a_living_one_is_left_alone(
    journal: Journal, lease: Lease, reopen: Reopen
) -> None:
    await journal.commit_intents(lease, [_order("alive")])
    await journal.tombstone(lease, SYMBOL, ["alive", "dead"], 7)
    await journal.tombstone(lease, SYMBOL, ["dead"], 8)
    assert await reopen().orders_by_id(["dead"]) == ()
    assert await journal.commit_intents(lease, [_order("dead"), _order("new")]) == ("dead",)
    assert [order.client_order_id for order in await journal.orders_by_id(["alive", "dead"])] == ["alive"]


# --- steps, events, fills ------------------------------------------------------------------------------------------

EVENTS: tuple[OrderEvent, ...] = (
    OrderDenied(SYMBOL, "o1", Refusal.DAILY_LOSS, "no more today", 5),
    OrderAccepted(SYMBOL, "o1", "v-o1", 6),
    OrderRejected(SYMBOL, "o1", 30005, "Oversold", 7),
    OrderFilled(SYMBOL, "o1", _fill("o1", "t1"), OrderStatus.FILLED, 8),
    OrderFilled(SYMBOL, "o1", replace(_fill("o1", "t2"), fee_rate_quote=None), OrderStatus.FILLED, 8),
    OrderCancelled(SYMBOL, "o1", 3, "asked", 9),
    OrderOutcomeUnknown(SYMBOL, "o1", "timeout", 10),
    OrderNotSent(SYMBOL, "o1", "absent at the venue", 11),
)


async def test_events_of_every_kind_are_read_back_in_order(journal: Journal, lease: Lease, reopen: Reopen) -> None:
    deliveries = [Delivery(seq, event) for seq, event in enumerate(EVENTS, 1)]
    await journal.commit_entries(lease, [JournalEntry(_order("o1"), delivery) for delivery in deliveries])
    again = reopen()
    assert list(await again.events_after(SYMBOL, 0, 100)) == deliveries
    assert list(await again.events_after(SYMBOL, 5, 2)) == deliveries[5:7]
    assert await again.events_after(SYMBOL, len(deliveries), 100) == ()
    assert await again.events_after("ETHUSDT", 0, 100) == ()
    assert (await again.load("main")).last_seq == ((SYMBOL, len(deliveries)),)


async def test_step_changes_what_happens_to_an_order_and_never_what_it_is(journal: Journal, lease: Lease) -> None:
    first = _order("o1")
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
    denied = replace(_order("o1", OrderStatus.DENIED), reason="daily_loss")
    event = OrderDenied(SYMBOL, "o1", Refusal.DAILY_LOSS, "", 5)
    await journal.commit_entries(lease, [JournalEntry(denied, Delivery(1, event))])
    assert await journal.orders_by_id(["o1"]) == (denied,)


async def test_denial_withheld_after_the_commit_ends_the_order(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [_order("o1")])
    denied = replace(_order("o1", OrderStatus.DENIED), reason="halted")
    event = OrderDenied(SYMBOL, "o1", Refusal.HALTED, "", 5)
    await journal.commit_entries(lease, [JournalEntry(denied, Delivery(1, event))])
    assert await journal.orders_by_id(["o1"]) == (denied,)


async def test_denial_of_a_repeated_id_leaves_an_order_the_venue_has_as_it_is(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [_order("o1", OrderStatus.OPEN)])
    event = OrderDenied(SYMBOL, "o1", Refusal.DUPLICATE, "", 5)
    await journal.commit_entries(lease, [JournalEntry(_order("o1", OrderStatus.DENIED), Delivery(1, event))])
    assert await journal.orders_by_id(["o1"]) == (_order("o1", OrderStatus.OPEN),)
    assert len(await journal.events_after(SYMBOL, 0, 10)) == 1


async def test_last_of_several_steps_of_an_order_stands(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [_order("o1")])
    steps = [_order("o1", status) for status in (OrderStatus.OPEN, OrderStatus.CANCELLING, OrderStatus.CANCELLED)]
    await journal.commit_entries(lease, [JournalEntry(step, None) for step in steps])
    assert [order.status for order in await journal.orders_by_id(["o1"])] == [OrderStatus.CANCELLED]


async def test_fill_is_booked_with_position_and_ledger(journal: Journal, lease: Lease, reopen: Reopen) -> None:
    fill, position = _fill("o1", "t1"), _position("0.001", fees="0.00000025")
    await journal.commit_entries(lease, [_filled(1, fill, position)])
    again = reopen()
    assert await again.fills_of("o1") == (fill,)
    assert await again.fills_of("o2") == ()
    state = await again.load("main")
    assert state.positions == (position,)
    assert state.ledger_totals == (("BTC", D("0.001")), ("MX", D("-0.0000001")), ("USDT", D("-60.00012")))
    assert [order.filled_lots for order in state.unfinished] == [10]


async def test_fill_booked_already_changes_nothing_but_its_order(journal: Journal, lease: Lease) -> None:
    await journal.commit_entries(lease, [_filled(1, _fill("o1", "t1"), _position("0.001"))])
    again = _filled(2, _fill("o1", "t1"), _position("0.002"), OrderStatus.FILLED)
    await journal.commit_entries(lease, [again, _filled(3, _fill("o1", "t2"), _position("0.003"))])
    await journal.commit_entries(lease, [_filled(4, _fill("o1", "t3"), _position("0.004"))] * 1)
    state = await journal.load("main")
    assert state.positions == (_position("0.004"),)
    assert [fill.trade_id for fill in await journal.fills_of("o1")] == ["t1", "t2", "t3"]
    assert dict(state.ledger_totals)["BTC"] == D("0.003")


async def test_fill_twice_in_one_batch_is_booked_once(journal: Journal, lease: Lease) -> None:
    await journal.commit_entries(
        lease,
        [_filled(1, _fill("o1", "t1"), _position("0.001")), _filled(2, _fill("o1", "t1"), _position("0.009"))],
    )
    state = await journal.load("main")
    assert state.positions == (_position("0.001"),)
    assert dict(state.ledger_totals)["BTC"] == D("0.001")


async def test_same_trade_id_of_another_order_or_side_is_another_fill(journal: Journal, lease: Lease) -> None:
    sell = replace(_fill("o3", "t1"), side=Side.SELL)
    await journal.commit_entries(
        lease,
        [
            _filled(1, _fill("o1", "t1"), _position("0.001")),
            _filled(2, _fill("o2", "t1"), _position("0.002")),
            _filled(3, sell, _position("0.003")),
        ],
    )
    assert (await journal.load("main")).positions == (_position("0.003"),)
    assert await journal.fills_of("o3") == (sell,)


async def test_committed_batch_when_repeated_writes_nothing_twice(journal: Journal, lease: Lease) -> None:
    batch = [
        JournalEntry(_order("o1", OrderStatus.OPEN), Delivery(1, _accepted("o1"))),
        _filled(2, _fill("o1", "t1"), _position("0.001")),
    ]
    await journal.commit_entries(lease, batch)
    before = await journal.load("main")
    await journal.commit_entries(lease, batch)
    assert await journal.load("main") == before
    more = _filled(3, _fill("o1", "t2"), _position("0.002"))
    await journal.commit_entries(lease, [*batch, more])  # regathered with what came after it
    state = await journal.load("main")
    assert state.last_seq == ((SYMBOL, 3),)
    assert state.positions == (_position("0.002"),)
    assert len(await journal.events_after(SYMBOL, 0, 10)) == 3


async def test_sequence_number_of_another_event_is_refused_and_the_whole_batch_with_it(
    journal: Journal, lease: Lease
) -> None:
    await journal.commit_entries(lease, [JournalEntry(_order("o1"), Delivery(1, _accepted("o1")))])
    clash = [
        _filled(2, _fill("o2", "t1"), _position("0.001")),
        JournalEntry(_order("o2"), Delivery(1, _accepted("o2"))),
    ]
    with pytest.raises(InvariantViolated):
        await journal.commit_entries(lease, clash)
    state = await journal.load("main")
    assert (state.last_seq, state.positions, state.ledger_totals) == (((SYMBOL, 1),), (), ())
    assert await journal.orders_by_id(["o2"]) == ()


async def test_entry_whose_parts_do_not_belong_together_is_a_bug(journal: Journal, lease: Lease) -> None:
    whole = _filled(1, _fill("o1", "t1"), _position("0.001"))
    for broken in (replace(whole, fill=None), replace(whole, position=None), replace(whole, fill=None, position=None)):
        with pytest.raises(InvariantViolated):
            await journal.commit_entries(lease, [broken])
    assert await journal.orders_by_id(["o1"]) == ()


# --- the account ---------------------------------------------------------------------------------------------------


async def test_standing_ledger_lines_are_written_once(journal: Journal, lease: Lease) -> None:
    opening = LedgerLine("opening", "", "USDT", D("10000"), 1, "opening")
    await journal.append_ledger(lease, [opening])
    await journal.append_ledger(lease, [replace(opening, amount=D(5)), replace(opening, reference="gift", amount=D(1))])
    assert (await journal.load("main")).ledger_totals == (("USDT", D("10001")),)


async def test_balances_limits_and_halts_are_replaced_by_name(journal: Journal, lease: Lease, reopen: Reopen) -> None:
    await journal.save_balances(lease, [VenueBalance("USDT", D(1), D(2), 3, 4), VenueBalance("BTC", D(0), D(0), 3, 4)])
    await journal.save_balances(lease, [VenueBalance("USDT", D("5.5"), D(0), 5, 6)])
    await journal.save_limits(lease, [("max_open_orders", "3"), ("daily_loss", "2")], 1)
    await journal.save_limits(lease, [("max_open_orders", "4")], 2)
    await journal.save_halt("account", HaltState.HALTED, "test", 1)
    await journal.save_halt("symbol:BTCUSDT", HaltState.REDUCING, "", 1)
    await journal.save_halt("account", HaltState.ACTIVE, "resumed", 2)
    state = await reopen().load("main")
    assert state.balances == (VenueBalance("BTC", D(0), D(0), 3, 4), VenueBalance("USDT", D("5.5"), D(0), 5, 6))
    assert state.limits == (("daily_loss", "2"), ("max_open_orders", "4"))
    assert state.halts == (("account", HaltState.ACTIVE, "resumed"), ("symbol:BTCUSDT", HaltState.REDUCING, ""))
    assert await reopen().halts() == state.halts


async def test_todays_figures_are_those_of_fills_since_midnight(journal: Journal, lease: Lease) -> None:
    import time

    now_ns = time.time_ns()
    long_ago = _filled(1, _fill("o1", "t1", now_ns - 2 * NS_PER_DAY), _position("0.001", realized="7", fees="1"))
    today = _filled(2, _fill("o1", "t2", now_ns), _position("0.002", realized="4.5", fees="1.25"))
    more = _filled(3, _fill("o1", "t3", now_ns), _position("0.003", realized="5", fees="1.5"))
    await journal.commit_entries(lease, [long_ago])
    await journal.commit_entries(lease, [today, more])
    state = await journal.load("main")
    assert (state.realized_today, state.fees_today) == (D("-2"), D("0.5"))


async def test_equity_gives_the_days_opening_and_the_peak(journal: Journal, lease: Lease) -> None:
    import time

    now_ns = time.time_ns()

    def point(at_ns: int, net: str) -> EquityPoint:
        return EquityPoint(at_ns, D(net), D(net), D(0), D(0), D("10.5"))

    await journal.save_equity(lease, point(now_ns, "1"))
    assert (await journal.load("main")).day_open == point(now_ns, "1")
    for at_ns, net in ((now_ns - 3 * NS_PER_DAY, "9"), (now_ns - 2 * NS_PER_DAY, "-4"), (now_ns + NS_PER_S, "2")):
        await journal.save_equity(lease, point(at_ns, net))
    state = await journal.load("main")
    assert state.day_open == point(now_ns - 2 * NS_PER_DAY, "-4")
    assert state.peak_net_pnl == D(9)


async def test_unfinished_orders_are_loaded_oldest_first_and_no_finished_one(journal: Journal, lease: Lease) -> None:
    orders = [replace(_order(f"o-{status}", status), created_ns=100 - at) for at, status in enumerate(OrderStatus)]
    await journal.commit_intents(lease, orders)
    expected = [order for order in reversed(orders) if not order.status.is_terminal]
    assert list((await journal.load("main")).unfinished) == expected
    assert (await journal.load("other")).unfinished == ()


async def test_alert_needs_no_lease(journal: Journal) -> None:
    await journal.raise_alert("alert", "book_gap", "text with \x00 and 牛", SYMBOL, 1)
    await journal.raise_alert("info", "started", "", None, 2)
