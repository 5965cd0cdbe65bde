"""submit: judged, committed, sent once, answered, delivered; also when the journal or the venue does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, BTC, System, settle
from trading.engine.budget import BudgetSettings
from trading.engine.ports import OrderRecord, Submission
from trading.model.errors import ConfigError, FencedOut, NotRunning, Refused, StoreError
from trading.model.market import Side
from trading.model.orders import (
    CancelIntent,
    OrderDenied,
    OrderFilled,
    OrderIntent,
    OrderStatus,
    Purpose,
    Refusal,
)
from trading.model.units import NS_PER_S


async def submit(system: System, *intents: OrderIntent, cancels: tuple[CancelIntent, ...] = ()) -> tuple[str, ...]:
    receipt = await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", intents, cancels))
    await settle()
    return receipt.durable


async def row(system: System, name: str) -> OrderRecord:
    (found,) = await system.journal.orders_by_id((name,))
    return found


def denial(system: System) -> OrderDenied:
    event = system.symbol.deliveries[-1].event
    assert isinstance(event, OrderDenied)
    return event


async def test_intent_is_committed_before_the_venue_sees_it(system: System) -> None:
    system.venue.gate = asyncio.Event()
    intent = system.intent()
    assert await submit(system, intent) == (intent.client_order_id,)
    record = await row(system, intent.client_order_id)
    assert record.status is OrderStatus.SENT
    assert record.signed_ms == system.venue.placed[0].signed_ms > 0
    assert 0 < record.recv_window_ms <= 2000
    assert record.decision[: len(intent.decision)] == intent.decision
    assert "account_judged_ns" in dict(record.decision)  # and what the account's rules measured
    system.venue.gate.set()
    await settle()
    record = await row(system, intent.client_order_id)
    assert record.status is OrderStatus.OPEN
    assert record.venue_order_id == f"v-{intent.client_order_id}"
    assert 0 < record.committed_ns <= record.sent_ns <= record.acked_ns
    assert system.symbol.kinds == ["Accepted"]


async def test_fill_is_booked_once_with_position_and_ledger_and_then_delivered(system: System) -> None:
    intent = system.intent()
    await submit(system, intent)
    trade = system.venue.fill(intent.client_order_id, 1000, fee="0.005")
    system.venue.push(trade)
    for again in await system.venue.trades("BTCUSDT", "", 0):
        system.venue.push(again)
    await settle()
    assert system.symbol.kinds == ["Accepted", "Filled"]
    filled = system.symbol.deliveries[-1].event
    assert isinstance(filled, OrderFilled)
    assert filled.status is OrderStatus.FILLED
    loaded = await system.journal.load("main")
    assert [(item.qty, item.cost, item.fees) for item in loaded.positions] == [
        (Decimal("0.1"), Decimal(10), Decimal("0.005"))
    ]
    assert dict(loaded.ledger_totals) == {"BTC": Decimal("0.1"), "USDT": Decimal("9989.995")}
    assert loaded.unfinished == ()
    assert len(await system.journal.fills_of(intent.client_order_id)) == 1


async def test_push_before_the_answer_and_late_new_end_right(system: System) -> None:
    system.venue.pushes_first = True
    system.venue.gate = asyncio.Event()
    intent = system.intent()
    await submit(system, intent)
    late = system.venue.book[intent.client_order_id]
    system.venue.fill(intent.client_order_id, 1000)
    system.venue.gate.set()
    await settle()
    system.venue.push(late)
    await settle()
    assert (await row(system, intent.client_order_id)).status is OrderStatus.FILLED
    assert system.symbol.kinds == ["Accepted", "Filled"]


async def test_repeated_id_is_a_no_op(system: System) -> None:
    intent = system.intent()
    assert await submit(system, intent) == (intent.client_order_id,)
    assert await submit(system, intent) == (intent.client_order_id,)
    system.executor.core.state.orders.drop(intent.client_order_id)
    assert await submit(system, intent) == (intent.client_order_id,)
    assert len(system.venue.placed) == 1


async def test_repeated_id_of_a_partly_filled_order_keeps_its_executions_apart(system: System) -> None:
    intent = system.intent()
    await submit(system, intent)
    trade = system.venue.fill(intent.client_order_id, 300)
    await settle()
    system.executor.core.state.orders.drop(intent.client_order_id)
    assert await submit(system, intent) == (intent.client_order_id,)
    system.venue.push(replace(trade, source="rest", fill=replace(trade.fill, trade_id="by-rest")))
    system.venue.fill(intent.client_order_id, 700)
    await settle()
    record = await row(system, intent.client_order_id)
    assert (record.status, record.filled_lots) == (OrderStatus.FILLED, 1000)
    assert len(await system.journal.fills_of(intent.client_order_id)) == 2


async def test_rejected_order_releases_its_reservation(system: System) -> None:
    system.venue.answer = "reject"
    await submit(system, system.intent())
    assert system.symbol.kinds == ["Rejected"]
    assert system.executor.core.account.available("USDT") == Decimal(10_000)


async def test_denied_intent_is_journaled_and_delivered_and_never_sent(system: System) -> None:
    intent = system.intent(lots=1)
    assert await submit(system, intent) == ()
    assert denial(system).reason is Refusal.MIN_NOTIONAL
    record = await row(system, intent.client_order_id)
    assert record.status is OrderStatus.DENIED
    assert "min_notional" in record.reason
    assert system.venue.placed == []


async def test_old_owner_is_fenced(system: System) -> None:
    old = system.epoch
    await system.attach()
    with pytest.raises(FencedOut):
        await system.executor.submit(Submission("BTCUSDT", old, "run-1", (), ()))
    with pytest.raises(FencedOut):
        await system.executor.paper_reports("BTCUSDT", old, ())


async def test_owner_that_orders_by_former_filters_is_fenced_and_its_cancels_are_heard(system: System) -> None:
    first = system.intent()
    assert await submit(system, first) == (first.client_order_id,)
    finer = replace(BTC, tick_size=BTC.tick_size / 10)
    with pytest.raises(Refused, match="1 open orders by its former filters"):
        await system.executor.set_instrument(finer)
    await submit(system, cancels=(CancelIntent(first.client_order_id, "BTCUSDT", system.clock.now_ns(), "test"),))
    await settle()
    await system.executor.set_instrument(finer)
    await system.executor.set_instrument(finer)
    late = system.intent()
    with pytest.raises(FencedOut, match="its filters are tick"):
        await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (late,), (), BTC.filters))
    assert (await system.executor.attach_symbol("BTCUSDT", "run-1", 1, "n:2")).instrument == finer


async def test_unknown_symbol_is_refused_with_a_sentence(system: System) -> None:
    with pytest.raises(ConfigError, match="unknown symbol NOPEUSDT"):
        await system.executor.attach_symbol("NOPEUSDT", "r", 1, "o")


async def test_nothing_works_before_the_start() -> None:
    with pytest.raises(NotRunning):
        await System().executor.status()


async def test_lookup_buries_unknown_ids_for_ever(system: System) -> None:
    known, buried = system.intent(1), system.intent(2)
    await submit(system, known)
    found = await system.executor.lookup("BTCUSDT", (known.client_order_id, buried.client_order_id))
    assert [item.client_order_id for item in found] == [known.client_order_id]
    assert await submit(system, buried) == ()
    assert denial(system).reason is Refusal.TOMBSTONED
    assert len(system.venue.placed) == 1


async def test_conflict_that_the_journal_does_not_explain_is_denied_for_the_journal(system: System) -> None:
    intent, read = system.intent(1), system.journal.orders_by_id
    await system.executor.lookup("BTCUSDT", (intent.client_order_id,))

    async def unreadable(client_order_ids: Sequence[str]) -> tuple[OrderRecord, ...]:
        raise StoreError("the connection was lost")

    system.journal.orders_by_id = unreadable  # type: ignore[method-assign]
    assert await submit(system, intent) == ()
    assert denial(system).reason is Refusal.JOURNAL_DOWN
    system.journal.orders_by_id = read  # type: ignore[method-assign]
    await system.executor.core.halts.poll()
    assert not system.executor.core.state.is_journal_down
    assert system.venue.placed == []


async def test_commit_without_answer_is_not_sent_and_denied(system: System) -> None:
    system.journal.loses_answers = 1
    intent = system.intent()
    assert await submit(system, intent) == ()
    assert denial(system).reason is Refusal.JOURNAL_DOWN
    assert (await row(system, intent.client_order_id)).status is OrderStatus.DENIED
    assert system.venue.placed == []


async def test_journal_down_denies_orders_lets_cancels_out_and_recovers_by_itself(system: System) -> None:
    first = system.intent(1)
    await submit(system, first)
    system.journal.is_down = True
    assert await submit(system, system.intent(2)) == ()
    assert await submit(system, system.intent(3)) == ()
    await submit(system, cancels=(system.cancel(first.client_order_id),))
    assert system.venue.cancelled == [first.client_order_id]
    assert len(system.venue.placed) == 1
    assert not await system.executor.is_ready()
    system.journal.is_down = False
    async with asyncio.timeout(5):
        await system.executor.core.outcomes.flush()
    await settle()
    assert (await row(system, first.client_order_id)).status is OrderStatus.CANCELLED
    assert system.symbol.kinds == ["Accepted", "Denied", "Denied", "Cancelled"]
    assert [item.seq for item in system.symbol.deliveries] == [1, 2, 3, 4]
    assert await submit(system, system.intent(4)) != ()


async def test_lost_answer_of_an_outcome_writes_it_once(system: System) -> None:
    intent = system.intent()
    await submit(system, intent)
    system.journal.loses_answers = 1
    system.venue.fill(intent.client_order_id, 1000)
    async with asyncio.timeout(5):
        await system.executor.core.outcomes.flush()
    await settle()
    assert system.symbol.kinds == ["Accepted", "Filled"]
    assert dict((await system.journal.load("main")).ledger_totals)["BTC"] == Decimal("0.1")


async def test_lapsed_lease_forbids_orders_never_cancels(system: System) -> None:
    first = system.intent(1)
    await submit(system, first)
    system.clock.advance(7 * NS_PER_S)
    await system.executor.mark("BTCUSDT", BID, 0)
    assert await submit(system, system.intent(2)) == ()
    await submit(system, cancels=(system.cancel(first.client_order_id),))
    assert system.venue.cancelled == [first.client_order_id]
    async with asyncio.timeout(5):
        await system.executor.core.outcomes.flush()
    await settle()
    assert system.symbol.kinds == ["Accepted", "Denied", "Cancelled"]
    refused = system.symbol.deliveries[1].event
    assert isinstance(refused, OrderDenied)
    assert refused.reason is Refusal.FENCED


async def test_second_executor_fences_the_first(system: System) -> None:
    system.clock.advance(7 * NS_PER_S)
    successor = system.make("two")
    await successor.start(with_loops=False)
    with pytest.raises(FencedOut):
        await system.executor.core.keeper.renew()
    assert not system.executor.core.keeper.is_valid()
    await successor.close()


async def test_stale_intent_is_denied(system: System) -> None:
    intent = system.intent()
    system.clock.advance(NS_PER_S + 1)
    assert await submit(system, intent) == ()
    assert denial(system).reason is Refusal.STALE_INTENT


async def test_cancel_before_the_answer_follows_it(system: System) -> None:
    system.venue.gate = asyncio.Event()
    intent = system.intent()
    await submit(system, intent)
    await submit(system, cancels=(system.cancel(intent.client_order_id),))
    assert system.venue.cancelled == []
    system.venue.gate.set()
    await settle()
    assert system.venue.cancelled == [intent.client_order_id]
    assert system.symbol.kinds == ["Accepted", "Cancelled"]


async def test_exit_is_limited_by_what_is_held(system: System) -> None:
    entry = system.intent(1)
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 600)
    await settle()
    too_much = system.intent(2, Side.SELL, 601, BID + 1, Purpose.EXIT)
    assert await submit(system, too_much) == ()
    assert denial(system).reason is Refusal.NOTHING_TO_SELL
    assert await submit(system, system.intent(3, Side.SELL, 600, BID + 1, Purpose.EXIT)) != ()


async def test_lost_delivery_is_reread_by_sequence(system: System) -> None:
    system.symbol.is_down = True
    await submit(system, system.intent())
    assert system.symbol.deliveries == []
    assert (await system.executor.mark("BTCUSDT", BID, 0)).last_seq == 1
    assert [item.seq for item in await system.executor.read_events("BTCUSDT", 0)] == [1]


async def test_tokens_are_taken_before_the_window_is_fixed_and_old_intents_denied() -> None:
    budget = BudgetSettings(orders_per_s=10, order_burst=1, requests_per_s=0, request_burst=0)
    system = System(ExecutorSettings("main", "one", is_paper=False, budget=budget))
    await system.start()
    first, second = system.intent(1), system.intent(2)
    waiting = asyncio.create_task(
        system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (first, second), ()))
    )
    await settle()
    assert [order.client_order_id for order in system.venue.placed] == [first.client_order_id]
    system.clock.advance(NS_PER_S + 1)
    async with asyncio.timeout(5):
        receipt = await waiting
    assert receipt.denied == (second.client_order_id,)
    await settle()
    assert denial(system).reason is Refusal.BUDGET
    await system.executor.close()


async def test_limits_change_whole_or_not_at_all_and_are_stored(system: System) -> None:
    with pytest.raises(ConfigError):
        await system.executor.set_limits({"daily_loss": "5", "max_open_orders": "-1"})
    assert {item.name: item.value for item in await system.executor.limits()}["daily_loss"] == "200"
    await system.executor.set_limits({"daily_loss": "5"})
    assert dict((await system.journal.load("main")).limits) == {"daily_loss": "5"}
    system.journal.is_down = True
    with pytest.raises(StoreError):
        await system.executor.set_limits({"daily_loss": "6"})
    assert {item.name: item.value for item in await system.executor.limits()}["daily_loss"] == "5"
    system.journal.is_down = False


async def test_status_tells_latencies_and_counters(system: System) -> None:
    await submit(system, system.intent())
    status = await system.executor.status()
    assert status.is_ready
    assert status.open_orders == 1
    assert dict(status.counters)["placed"] == 1
    assert [item.count for item in status.latencies] == [1, 1, 1]
