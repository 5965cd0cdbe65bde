"""Unknown outcomes, restarts, missing executions, orphans: what the executor finds out, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from actors.executor_state import FINISHED_MAX, OrderTable
from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, UNLIMITED, System, settle
from trading.engine.order_tracker import OrderTracker
from trading.engine.ports import OrderRecord, Submission
from trading.engine.reconcile import OrphanPolicy
from trading.model.market import Side
from trading.model.orders import OrderIntent, OrderStatus, Purpose, VenueStreamLost, VenueStreamRestored
from trading.model.units import NS_PER_MS, NS_PER_S

PROVABLE_NS = 4_500 * NS_PER_MS  # 2000 window + 500 clock + 2000 lag


async def submit(system: System, *intents: OrderIntent) -> None:
    await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", intents, ()))
    await settle()


async def rounds(system: System, *waits_ns: int) -> None:
    for wait_ns in waits_ns:
        system.clock.advance(wait_ns)
        await system.executor.core.reconciler.round()
        await settle()


async def pass_time(system: System, ns: int) -> None:
    """Let time pass under a renewed lease, and do a round."""
    await system.executor.core.keeper.renew()
    await rounds(system, ns)


async def row(system: System, name: str) -> OrderRecord:
    (found,) = await system.journal.orders_by_id((name,))
    return found


async def test_lost_reply_is_unknown_and_found_by_query(system: System) -> None:
    system.venue.answer = "lose"
    intent = system.intent()
    await submit(system, intent)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.UNKNOWN
    assert system.executor.core.account.symbol_exposure("BTCUSDT") == Decimal(10)
    await rounds(system, 0)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.OPEN
    assert system.symbol.kinds == ["OutcomeUnknown", "Accepted"]


async def test_execution_like_one_that_was_fetched_before_the_restart_is_booked_too(system: System) -> None:
    """Both are known from my-trades only; price, quantity and second are the same."""
    intent = system.intent(lots=1000)
    await submit(system, intent)
    name = intent.client_order_id
    system.venue.fill(name, 300, pushes=False)
    system.venue.push(system.venue.book[name])
    await rounds(system, 0, NS_PER_S)
    assert [(fill.qty_lots, fill.source) for fill in await system.journal.fills_of(name)] == [(300, "rest")]
    system.venue.fill(name, 300, pushes=False)
    await system.crash()
    await rounds(system, 0, NS_PER_S, 60 * NS_PER_S)
    assert [fill.qty_lots for fill in await system.journal.fills_of(name)] == [300, 300]
    assert (await row(system, name)).filled_lots == 600


async def test_query_that_lags_proves_nothing_until_the_window_has_passed(system: System) -> None:
    system.venue.answer = "lose"
    system.venue.is_blind = True
    intent = system.intent()
    await submit(system, intent)
    await rounds(system, NS_PER_S, NS_PER_S, NS_PER_S)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.UNKNOWN
    system.venue.is_blind = False
    await rounds(system, NS_PER_S)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.OPEN


async def test_vanished_send_is_not_sent_after_the_window_and_never_resent(system: System) -> None:
    system.venue.answer = "vanish"
    intent = system.intent()
    await submit(system, intent)
    await rounds(system, PROVABLE_NS - 1)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.UNKNOWN
    await rounds(system, 2)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.NOT_SENT
    assert system.symbol.kinds == ["OutcomeUnknown", "NotSent"]
    assert system.executor.core.account.available("USDT") == Decimal(10_000)
    await submit(system, replace(intent, valid_until_ns=system.clock.now_ns() + NS_PER_S))
    assert len(system.venue.placed) == 1


async def test_unknown_that_traded_meanwhile_is_booked_from_the_trades(system: System) -> None:
    system.venue.answer = "lose"
    intent = system.intent()
    await submit(system, intent)
    system.venue.fill(intent.client_order_id, 1000, pushes=False)
    await rounds(system, 0, NS_PER_S, NS_PER_S)
    record = await row(system, intent.client_order_id)
    assert (record.status, record.filled_lots) == (OrderStatus.FILLED, 1000)
    assert system.symbol.kinds == ["OutcomeUnknown", "Accepted", "Filled"]


async def test_unknown_exit_allows_no_second_exit(system: System) -> None:
    entry = system.intent(1)
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 1000)
    system.venue.answer = "vanish"
    await submit(system, system.intent(2, Side.SELL, 400, BID, Purpose.EXIT))
    await submit(system, system.intent(3, Side.SELL, 400, BID, Purpose.EXIT))
    assert len(system.venue.placed) == 2
    assert "exit_outcome_unknown" in (await row(system, f"mx-1-{system.epoch}-3")).reason


async def test_cancelled_order_waits_for_its_missing_execution(system: System) -> None:
    intent = system.intent()
    await submit(system, intent)
    system.venue.fill(intent.client_order_id, 400, pushes=False)
    system.venue.end(intent.client_order_id)
    await settle()
    assert (await row(system, intent.client_order_id)).status is OrderStatus.OPEN
    assert system.executor.core.account.commitments.count() == 1
    await rounds(system, 0, NS_PER_S)
    record = await row(system, intent.client_order_id)
    assert (record.status, record.filled_lots) == (OrderStatus.PARTIALLY_CANCELLED, 400)
    assert system.symbol.kinds == ["Accepted", "Filled", "Cancelled"]


async def test_execution_that_the_venue_counts_only_after_the_end_is_fetched_and_booked(system: System) -> None:
    intent = system.intent()
    await submit(system, intent)
    name = intent.client_order_id
    system.venue.end(name)  # "cancelled, nothing traded"
    await settle()
    assert (await row(system, name)).status is OrderStatus.CANCELLED
    system.venue.fill(name, 400, pushes=False)
    system.venue.end(name)  # "cancelled, 400 traded", and no push of the execution
    await rounds(system, 0, NS_PER_S, NS_PER_S)
    record = await row(system, name)
    assert (record.status, record.filled_lots) == (OrderStatus.PARTIALLY_CANCELLED, 400)
    assert system.executor.core.account.position("BTCUSDT").qty == Decimal("0.04")
    assert system.executor.core.state.orders.watched() == ()


async def test_execution_that_the_venue_counts_only_after_the_end_survives_a_restart(system: System) -> None:
    intent = system.intent()
    await submit(system, intent)
    name = intent.client_order_id
    system.venue.end(name)  # "cancelled, nothing traded"
    await settle()
    system.venue.fill(name, 400, pushes=False)
    system.venue.end(name)  # "cancelled, 400 traded"
    await settle()
    assert (await row(system, name)).venue_filled_lots == 400
    await system.crash()  # before its trades were fetched
    assert [item.record.client_order_id for item in system.executor.core.state.orders.watched()] == [name]
    assert system.executor.core.state.orders.live() == ()
    await rounds(system, 0, NS_PER_S, NS_PER_S)
    record = await row(system, name)
    assert (record.status, record.filled_lots) == (OrderStatus.PARTIALLY_CANCELLED, 400)
    assert system.executor.core.account.position("BTCUSDT").qty == Decimal("0.04")
    assert [line.kind for line in system.journal.ledger if line.kind == "adjustment"] == []


def test_finished_order_that_is_short_of_executions_is_never_evicted() -> None:
    system = System()
    table = OrderTable()
    cancelled = _record(system, "short").changed(status=OrderStatus.CANCELLED, venue_filled_lots=400)
    table.put(OrderTracker(cancelled))
    for number in range(FINISHED_MAX + 1):
        table.put(OrderTracker(cancelled.changed(client_order_id=f"done-{number}", venue_filled_lots=0)))
    assert (table.get("done-1"), table.get("done-2") is not None) == (None, True)
    assert [item.record.client_order_id for item in table.watched()] == ["short"]
    assert table.get("short") is not None


async def test_executions_that_the_venue_never_lists_are_asked_for_rarer_and_rarer_and_told_once(
    system: System,
) -> None:
    intent = system.intent()
    await submit(system, intent)
    system.venue.fill(intent.client_order_id, 400, pushes=False)
    execution = system.venue.executions.pop()  # counted by the order, in no list of trades
    system.venue.end(intent.client_order_id)
    await settle()
    counters = system.executor.core.state.counters
    for _ in range(600):
        await pass_time(system, NS_PER_S // 2)
    assert 8 <= counters["fills_fetched"] <= 20
    told = [(name, symbol) for _, name, _, symbol, *_ in system.journal.alerts if name == "fills_missing"]
    assert told == [("fills_missing", "BTCUSDT")]
    system.venue.executions.append(execution)
    for _ in range(121):
        await pass_time(system, NS_PER_S // 2)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.PARTIALLY_CANCELLED
    assert system.executor.core.account.position("BTCUSDT").qty == Decimal("0.04")


async def test_events_missed_while_the_stream_was_down_are_found(system: System) -> None:
    intent = system.intent()
    await submit(system, intent)
    system.venue.push(VenueStreamLost("closed", system.clock.now_ns()))
    system.venue.fill(intent.client_order_id, 1000, pushes=False)
    system.clock.advance(NS_PER_S)
    system.venue.push(VenueStreamRestored(system.clock.now_ns()))
    await rounds(system, 0, 0, NS_PER_S)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.FILLED


async def test_restart_in_flight_makes_unknown_and_resolves_without_resending(system: System) -> None:
    system.venue.answer = "lose"
    first, second = system.intent(1), system.intent(2)
    await submit(system, first)
    system.venue.answer = "vanish"
    await submit(system, second)
    seq = system.symbol.deliveries[-1].seq
    await system.crash()
    assert {item.record.status for item in system.executor.core.state.orders.live()} == {OrderStatus.UNKNOWN}
    await rounds(system, 0)
    assert (await row(system, first.client_order_id)).status is OrderStatus.OPEN
    assert (await row(system, second.client_order_id)).status is OrderStatus.NOT_SENT
    assert [order.client_order_id for order in system.venue.placed] == [first.client_order_id, second.client_order_id]
    seqs = [item.seq for item in system.symbol.deliveries]
    assert seqs == list(range(1, len(seqs) + 1))
    assert seqs[-1] > seq


async def test_row_of_a_crash_between_commit_and_send_ends_not_sent(system: System) -> None:
    lease = system.executor.core.keeper.lease
    now_ns = system.clock.now_ns()
    intent = system.intent()
    record = OrderRecord(
        intent.client_order_id,
        "BTCUSDT",
        "run-1",
        system.epoch,
        lease.epoch,
        intent.side,
        intent.type,
        intent.price_ticks,
        intent.qty_lots,
        intent.purpose,
        intent.strategy,
        OrderStatus.SENT,
        now_ns,
        intent.valid_until_ns,
        now_ns // NS_PER_MS,
        2000,
    )
    await system.journal.commit_intents(lease, [record])
    await system.crash()
    await rounds(system, 0)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.NOT_SENT
    assert system.venue.placed == []
    assert system.symbol.kinds == ["OutcomeUnknown", "NotSent"]


async def test_restart_keeps_positions_epochs_limits_and_the_next_sequence(system: System) -> None:
    entry = system.intent(1)
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 400)
    await system.executor.set_limits({"max_open_orders": "7"})
    await settle()
    await system.crash()
    await rounds(system, 0)
    await system.executor.mark("BTCUSDT", BID, 0)
    core = system.executor.core
    assert core.account.position("BTCUSDT").qty == Decimal("0.04")
    assert core.account.limits.max_open_orders == 7
    for trade in await system.venue.trades("BTCUSDT", "", 0):
        system.venue.push(trade)
    system.venue.fill(entry.client_order_id, 600)
    await submit(system, system.intent(2))
    assert core.account.position("BTCUSDT").qty == Decimal("0.1")
    assert [item.seq for item in system.symbol.deliveries] == [1, 2, 3, 4]


async def test_order_of_ours_without_a_row_is_an_orphan_cancelled_and_reported(system: System) -> None:
    stranger = replace(_record(system, "mx-9-9-9"))
    system.venue.book["mx-9-9-9"] = system.venue._word(stranger)
    system.venue.book["manual"] = system.venue._word(replace(stranger, client_order_id="manual"))
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, 0, NS_PER_S)
    assert system.venue.cancelled == ["mx-9-9-9"]
    status = await system.executor.status()
    assert [order.client_order_id for order in status.foreign] == ["manual"]
    assert dict(status.counters)["orphans"] == 1
    assert [name for _, name, *_ in system.journal.alerts] == ["orphan_order", "foreign_orders"]


async def test_orphan_placed_after_the_start_is_another_instances_and_people_are_told_once(system: System) -> None:
    for number, pause_s in enumerate((4, 2, 1)):
        system.clock.advance(pause_s * NS_PER_S)
        system.venue.book[f"mx-9-9-{number}"] = system.venue._word(_record(system, f"mx-9-9-{number}"))
        system.executor.core.desk.is_reconcile_wanted = True
        await rounds(system, 0)
        told = [text for _, name, text, *_ in system.journal.alerts if name == "another_instance"]
        assert len(told) == min(number, 1)
    assert "mx-9-9-1" in told[0]
    assert "stop one of them" in told[0]


async def test_orphan_is_left_alone_when_the_policy_says_so() -> None:
    settings = ExecutorSettings("main", "one", False, budget=UNLIMITED, orphan_policy=OrphanPolicy.LEAVE)
    system = System(settings)
    await system.start()
    system.venue.book["mx-9-9-9"] = system.venue._word(_record(system, "mx-9-9-9"))
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, 0)
    assert system.venue.cancelled == []
    assert (await system.executor.status()).order_drift == (("BTCUSDT", 1),)
    await system.executor.close()


async def test_acknowledged_order_that_is_shown_nowhere_ends_after_the_lag(system: System) -> None:
    intent = system.intent()
    await submit(system, intent)
    del system.venue.book[intent.client_order_id]
    system.clock.advance(1)
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, 0)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.OPEN
    await rounds(system, 2 * NS_PER_S)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.CANCELLED


@pytest.mark.parametrize("step_ns", [0, -3_600 * NS_PER_S])
async def test_cancel_that_did_not_get_through_is_repeated_also_when_the_clock_is_set_back(
    system: System, step_ns: int
) -> None:
    intent = system.intent()
    await submit(system, intent)
    system.venue.is_down = True
    cancel = system.cancel(intent.client_order_id)
    await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (), (cancel,)))
    await settle()
    assert (await row(system, intent.client_order_id)).status is OrderStatus.CANCELLING
    system.venue.is_down = False
    system.clock.step(step_ns)
    await rounds(system, NS_PER_S, 3 * NS_PER_S)
    assert (await row(system, intent.client_order_id)).status is OrderStatus.CANCELLED


async def test_account_is_not_ready_before_the_venue_was_compared() -> None:
    system = System()
    system.venue.is_down = True
    await system.executor.start(with_loops=False)
    await system.executor.core.reconciler.round()
    await system.attach()
    assert not await system.executor.is_ready()
    await submit(system, system.intent())
    assert system.venue.placed == []
    system.venue.is_down = False
    await system.executor.core.reconciler.round()
    assert await system.executor.is_ready()
    await system.executor.close()


def _record(system: System, name: str) -> OrderRecord:
    intent = system.intent()
    return OrderRecord(
        name, "BTCUSDT", "r", 1, 1, intent.side, intent.type, intent.price_ticks, intent.qty_lots, intent.purpose, "s",
        OrderStatus.SENT, 1, 2, 3, 2000,
    )  # fmt: skip


async def test_restarted_executor_takes_orders_of_a_symbol_that_had_none_open(system: System) -> None:
    await system.crash()
    assert not (await system.executor.mark("BTCUSDT", BID, system.clock.now_ns())).is_ready
    await system.executor.core.reconciler.round()
    assert (await system.executor.mark("BTCUSDT", BID, system.clock.now_ns())).is_ready
    intent = system.intent()
    await submit(system, intent)  # its actor lived on, and attaches only when it starts
    assert system.crashes == []
    assert (await row(system, intent.client_order_id)).status is OrderStatus.OPEN


async def test_fee_in_a_third_asset_without_a_rate_is_told_once(system: System) -> None:
    await submit(system, system.intent())
    name = f"mx-1-{system.epoch}-1"
    for number in (1, 2):
        trade = system.venue.fill(name, 100, pushes=False, fee="0.01")
        system.venue.push(replace(trade, fill=replace(trade.fill, fee_asset="MX", trade_id=f"t{number}")))
        system.clock.advance(NS_PER_S * 2)
    await settle()
    assert [name for _, name, *_ in system.journal.alerts] == ["fee_not_converted"]
