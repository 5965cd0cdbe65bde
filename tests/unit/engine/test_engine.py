"""The engine behind its door: proof, orders, deliveries, faults, commands."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from tests.engine_desk import EAGER, Desk, config, engine, record
from tests.market_scenes import MS, SYMBOL, S, delta, instrument, intent, snapshot, trade
from trading.engine.bootstrap import SymbolBootstrap
from trading.engine.messages import (
    CancelOrder,
    DrainRequested,
    NoteRaised,
    OrdersReopened,
    ParametersChanged,
    PlaceOrder,
    TimerFired,
    TradingSwitched,
)
from trading.engine.order_tracker import OrderTracker
from trading.engine.strategy import registry
from trading.engine.strategy.protocol import Desires, StrategyView
from trading.engine.strategy.spread_capture import SpreadCapture
from trading.engine.strategy.spread_capture_parameters import SpreadCaptureParameters
from trading.model.errors import ConfigError
from trading.model.market import BookState, FeedConnected, FeedDisconnected, Side
from trading.model.orders import (
    Delivery,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderNotSent,
    OrderStatus,
    OrderType,
    Purpose,
    Refusal,
)
from trading.model.position import Position

BIDS = [(9_990, 1_000), (9_980, 5_000)]
ASKS = [(10_010, 1_000), (10_020, 5_000)]


class Fragile(SpreadCapture):
    """Breaks as soon as it holds an order."""

    name: ClassVar[str] = "fragile_for_tests"

    def decide(self, view: StrategyView) -> Desires:
        if view.orders:
            raise ZeroDivisionError("a bug of the strategy")
        return super().decide(view)


registry.register(Fragile.name, Fragile)


def proven(desk: Desk, now_ns: int = S) -> Desk:
    """Connect, and prove a book of 20 bps around 100.00 at version 2."""
    desk.play(FeedConnected(SYMBOL, now_ns), now_ns)
    desk.play(snapshot(BIDS, ASKS, version=1, at_ns=now_ns), now_ns)
    desk.play(delta(2, at_ns=now_ns), now_ns)
    assert desk.engine.view().book_state is BookState.PROVEN
    return desk


def bought(desk: Desk, now_ns: int = S) -> Desk:
    """Let the entry of a proven desk be filled whole."""
    (order,) = desk.intents
    desk.play(trade(order.price_ticks, order.qty_lots, Side.SELL, now_ns), now_ns)
    assert desk.engine.view().held_lots == order.qty_lots
    return desk


# --- the way of an order --------------------------------------------------------------------------------------------


def test_engine_asks_for_a_snapshot_as_soon_as_the_line_is_there() -> None:
    desk = Desk(engine())
    desk.play(FeedConnected(SYMBOL, S), S)
    assert desk.fetches == [S]


def test_engine_with_a_proven_book_enters_and_offers_what_it_bought() -> None:
    desk = bought(proven(Desk(engine())))
    entry, exit_order = desk.intents
    assert (entry.side, entry.purpose, entry.type) == (Side.BUY, Purpose.ENTRY, OrderType.LIMIT_MAKER)
    assert (exit_order.side, exit_order.purpose) == (Side.SELL, Purpose.EXIT)
    assert [entry.client_order_id, exit_order.client_order_id] == ["mx-7-1-1", "mx-7-1-2"]
    desk.play(trade(exit_order.price_ticks, 10_000, Side.BUY, 2 * S), 2 * S)
    position = desk.engine.view().position
    assert position.qty == 0
    earned = (exit_order.price_ticks - entry.price_ticks) * entry.qty_lots * Decimal("0.00001")
    assert position.realized_pnl == earned > 0


def test_intent_carries_its_inputs_and_terms() -> None:
    desk = proven(Desk(engine()))
    decision = dict(desk.intents[0].decision)
    assert (decision["reason"], decision["book_version"], decision["bid"], decision["ask"]) == (
        "entry",
        "2",
        "99.90",
        "100.10",
    )
    assert {"edge_net_bps", "edge_fees_bps", "edge_adverse_bps", "params", "state"} <= set(decision)


def test_no_intent_leaves_before_the_book_is_proven() -> None:
    desk = Desk(engine())
    desk.play(FeedConnected(SYMBOL, S), S)
    desk.play(snapshot(BIDS, ASKS, version=1, at_ns=S), S)
    desk.play(TimerFired(S + 1), S + 1)
    assert desk.intents == []
    assert ("book_unproven", 1) in desk.engine.view().refusals


@pytest.mark.parametrize(
    "loss",
    [
        FeedDisconnected(SYMBOL, "cut", 3 * S),
        delta(9, at_ns=3 * S),  # a gap
        delta(3, bids=[(10_015, 5)], at_ns=3 * S),  # crossed
    ],
)
@pytest.mark.parametrize("is_long", [False, True])
def test_lost_proof_cancels_every_quote_in_the_same_step(loss: Any, is_long: bool) -> None:
    desk = proven(Desk(engine()))
    if is_long:
        bought(desk)
    working = [order.client_order_id for order in desk.engine.view().open_orders]
    assert len(working) == 1
    actions = desk.play(loss, 3 * S)
    assert [action.cancel.client_order_id for action in actions if isinstance(action, CancelOrder)] == working
    assert not any(isinstance(action, PlaceOrder) for action in actions)
    assert desk.engine.view().open_orders == ()


def test_silence_makes_the_book_stale_and_cancels() -> None:
    desk = proven(Desk(engine()))
    desk.play(TimerFired(30 * S), 30 * S)
    assert len(desk.cancels) == 1
    assert desk.engine.view().current_refusals == ("book_stale",)


# --- deliveries -----------------------------------------------------------------------------------------------------


def test_repeated_delivery_is_taken_once() -> None:
    desk = bought(proven(Desk(engine())))
    held = desk.engine.view().held_lots
    for delivery in tuple(desk.journal):
        desk.play(delivery, 2 * S)
    assert desk.engine.view().held_lots == held


def test_hole_in_the_deliveries_is_told_and_nothing_beyond_it_is_taken_until_it_is_filled() -> None:
    desk = proven(Desk(engine()))
    desk.is_withholding = True
    (order,) = desk.intents
    for lots in (100, order.qty_lots - 100):
        desk.play(trade(order.price_ticks, lots, Side.SELL, 2 * S), 2 * S)
    missing = desk.undelivered.popleft()
    desk.deliver(2 * S)
    assert desk.engine.view().held_lots == 0
    assert "delivery_gap" in desk.note_names()
    after = desk.engine.last_seq
    assert missing.seq == after + 1
    for delivery in desk.journal[after:]:
        desk.engine.step(delivery, 3 * S)
    assert desk.engine.view().held_lots == order.qty_lots


def test_order_buried_by_the_executor_frees_its_slot_without_a_sequence() -> None:
    made = engine()
    desk = Desk(made)
    desk.is_withholding = True
    proven(desk)
    (order,) = desk.intents
    late = order.valid_until_ns + 2 * S
    desk.undelivered.clear()
    made.step(TimerFired(late), late)
    assert made.view().unanswered == (order.client_order_id,)
    made.step(Delivery(0, OrderNotSent(SYMBOL, order.client_order_id, "never had it", late)), late)
    assert made.view().unanswered == ()
    assert made.last_seq == 0


def test_late_fill_after_the_end_of_an_order_is_booked() -> None:
    desk = bought(proven(Desk(engine())))
    entry = desk.intents[0]
    before = desk.engine.view()
    fill = replace(desk.fills[0], trade_id="late", qty_lots=10, quote_qty=Decimal("1"))
    event = OrderFilled(SYMBOL, entry.client_order_id, fill, OrderStatus.FILLED, 3 * S)
    desk.engine.step(Delivery(before.last_seq + 1, event), 3 * S)
    assert desk.engine.view().held_lots == before.held_lots + 10


def test_executions_and_end_of_an_order_it_never_made_move_the_position_and_are_told() -> None:
    desk = bought(proven(Desk(engine())))
    before = desk.engine.view()
    fill = replace(desk.fills[0], trade_id="its", client_order_id="mx-9-9-9", qty_lots=10, quote_qty=Decimal("1"))
    adopted: tuple[OrderEvent, ...] = (
        OrderFilled(SYMBOL, "mx-9-9-9", fill, OrderStatus.PARTIALLY_FILLED, 3 * S),
        OrderCancelled(SYMBOL, "mx-9-9-9", 10, "", 3 * S),
    )
    for seq, event in enumerate(adopted, before.last_seq + 1):
        notes = [item for item in desk.engine.step(Delivery(seq, event), 3 * S) if isinstance(item, NoteRaised)]
        assert [note.name for note in notes] == ["order_event_odd"]
    after = desk.engine.view()
    assert (after.held_lots, after.last_seq) == (before.held_lots + 10, before.last_seq + 2)


def test_denial_is_counted_and_makes_the_slot_wait() -> None:
    made = engine()
    made.step(FeedConnected(SYMBOL, S), S)
    made.step(snapshot(BIDS, ASKS, version=1, at_ns=S), S)
    actions = made.step(delta(2, at_ns=S), S)
    (place,) = [action for action in actions if isinstance(action, PlaceOrder)]
    denied = OrderDenied(SYMBOL, place.intent.client_order_id, Refusal.DAILY_LOSS, "enough for today", S)
    actions = made.step(Delivery(1, denied), S)
    assert not any(isinstance(action, PlaceOrder) for action in actions)
    assert ("daily_loss", 1) in made.view().refusals
    assert any(isinstance(action, PlaceOrder) for action in made.step(TimerFired(2 * S), 2 * S))


def test_slot_waits_no_longer_when_the_executor_takes_orders_again() -> None:
    made = engine()
    made.step(FeedConnected(SYMBOL, S), S)
    made.step(snapshot(BIDS, ASKS, version=1, at_ns=S), S)
    (place,) = [action for action in made.step(delta(2, at_ns=S), S) if isinstance(action, PlaceOrder)]
    denied = OrderDenied(SYMBOL, place.intent.client_order_id, Refusal.NOT_READY, "not reconciled yet", S)
    actions = [*made.step(Delivery(1, denied), S), *made.step(TimerFired(S + 1), S + 1)]
    assert not any(isinstance(action, PlaceOrder) for action in actions)
    assert any(isinstance(action, PlaceOrder) for action in made.step(OrdersReopened(S + 2), S + 2))


# --- one fault, one symbol ------------------------------------------------------------------------------------------


def test_exception_in_a_strategy_cancels_alerts_once_and_stops_entries() -> None:
    desk = proven(Desk(engine(config(strategy_name=Fragile.name))))
    desk.play(TimerFired(2 * S), 2 * S)
    desk.play(TimerFired(3 * S), 3 * S)
    alerts = [note for note in desk.notes if note.level == "alert"]
    assert [note.name for note in alerts] == ["strategy_failed"]
    assert "a bug of the strategy" in dict(alerts[0].fields)["error"]
    seen = desk.engine.view()
    assert (seen.open_orders, len(desk.intents), seen.machine_state) == ((), 1, "FAULT")
    assert "ZeroDivisionError" in seen.fault


def test_resume_forgives_a_fault_and_starts_the_strategy_anew() -> None:
    desk = proven(Desk(engine(config(strategy_name=Fragile.name))))
    desk.play(TimerFired(2 * S), 2 * S)
    desk.play(TradingSwitched(True, "try again", 60 * S), 60 * S)
    desk.play(delta(3, at_ns=60 * S), 60 * S)
    assert len(desk.intents) == 2


# --- commands -------------------------------------------------------------------------------------------------------


def test_cancel_of_an_entry_says_what_spoke_against_it() -> None:
    desk = proven(Desk(engine()))
    actions = desk.play(FeedDisconnected(SYMBOL, "gone", 2 * S), 2 * S)
    assert [item.cancel.reason for item in actions if isinstance(item, CancelOrder)] == ["not wanted: book_unproven"]


def test_pause_cancels_entries_keeps_exits_and_resume_enters_again() -> None:
    desk = proven(Desk(engine()))
    desk.play(TradingSwitched(False, "lunch", 2 * S), 2 * S)
    desk.play(delta(3, at_ns=3 * S), 3 * S)
    assert (len(desk.intents), len(desk.cancels), desk.engine.view().is_enabled) == (1, 1, False)
    desk.play(TradingSwitched(True, "", 4 * S), 4 * S)
    assert len(desk.intents) == 2
    bought_desk = bought(proven(Desk(engine())))
    bought_desk.play(TradingSwitched(False, "lunch", 2 * S), 2 * S)
    assert [order.side for order in bought_desk.engine.view().open_orders] == [Side.SELL]


def test_drain_cancels_everything_for_good_and_says_when_it_is_done() -> None:
    desk = bought(proven(Desk(engine())))
    assert not desk.engine.view().is_drained
    desk.play(DrainRequested(False, 2 * S), 2 * S)
    desk.play(TradingSwitched(True, "", 3 * S), 3 * S)
    desk.play(delta(3, at_ns=4 * S), 4 * S)
    seen = desk.engine.view()
    assert (seen.open_orders, seen.is_drained, len(desk.intents)) == ((), True, 2)
    assert seen.held_lots > 0
    assert dict(seen.refusals)["draining"] > 0


def test_drain_with_flatten_sells_by_a_bounded_taker_order() -> None:
    desk = bought(proven(Desk(engine())))
    desk.play(DrainRequested(True, 2 * S), 2 * S)
    desk.play(TimerFired(2 * S + 300 * MS), 2 * S + 300 * MS)
    flatten = desk.intents[-1]
    assert (flatten.type, flatten.side, flatten.purpose) == (OrderType.IOC, Side.SELL, Purpose.EXIT)
    assert flatten.price_ticks == 9_941  # 9940.05, rounded up
    seen = desk.engine.view()
    assert (seen.held_lots, seen.is_drained) == (0, True)


def test_parameters_change_whole_or_not_at_all() -> None:
    desk = proven(Desk(engine()))
    before = desk.engine.view().params
    desk.play(ParametersChanged((("timeout_s", "9"), ("order_quote", "lots")), 2 * S), 2 * S)
    assert (desk.engine.view().params, desk.notes[-1].name) == (before, "parameters_refused")
    desk.play(ParametersChanged((("timeout_s", "9"),), 3 * S), 3 * S)
    assert dict(desk.engine.view().params)["timeout_s"] == "9.0"
    assert dict(desk.engine.view().params)["min_edge_bps"] == "-100.0"


def test_unknown_strategy_or_parameter_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="unknown strategy"):
        engine(config(strategy_name="nope"))
    with pytest.raises(ConfigError, match="no parameter"):
        engine(config({"nope": "1"}))


# --- restarts and holdings without proof ----------------------------------------------------------------------------


def test_restart_requeues_the_paper_order_and_cancels_it_while_the_book_is_unproven() -> None:
    left = record(intent("mx-7-1-9", Side.BUY, 9_991, 250, OrderType.LIMIT_MAKER), OrderStatus.PARTIALLY_FILLED, 100)
    made = instrument()
    position = Position(SYMBOL, made.qty(100), made.notional(9_991, 100), updated_ns=S)
    restarted = engine(config(epoch=2), SymbolBootstrap(position, (left,), last_seq=4))
    assert [order.filled_lots for order in restarted.paper_orders()] == [100]
    actions = restarted.step(TimerFired(2 * S), 2 * S)
    assert [action.cancel.client_order_id for action in actions if isinstance(action, CancelOrder)] == ["mx-7-1-9"]
    seen = restarted.view()
    assert (seen.held_lots, seen.last_seq) == (100, 4)


def test_restart_ends_a_taker_order_of_the_former_life() -> None:
    left = record(intent("mx-7-1-9", Side.SELL, 9_900, 250, OrderType.IOC))
    restarted = engine(config(epoch=2), SymbolBootstrap(Position(SYMBOL), (left,)))
    desk = Desk(restarted)
    desk.trackers["mx-7-1-9"] = OrderTracker(left)
    proven(desk)
    assert desk.fills == []
    assert restarted.paper_order("mx-7-1-9") is not None
    assert all(order.client_order_id != "mx-7-1-9" for order in restarted.view().open_orders)


def test_ids_of_a_new_owner_never_repeat_those_of_the_old_one() -> None:
    ids = [proven(Desk(engine(config(epoch=epoch)))).intents[0].client_order_id for epoch in (1, 2, 36)]
    assert ids == ["mx-7-1-1", "mx-7-2-1", "mx-7-10-1"]


# --- live -----------------------------------------------------------------------------------------------------------


def test_live_strategy_does_not_outbid_its_own_order() -> None:
    made = engine(config({**EAGER, "requote_min_age_ms": "0"}, is_paper=False))
    made.step(FeedConnected(SYMBOL, S), S)
    made.step(snapshot(BIDS, ASKS, version=1, at_ns=S), S)
    (place,) = [a for a in made.step(delta(2, at_ns=S), S) if isinstance(a, PlaceOrder)]
    order = place.intent
    made.step(Delivery(1, OrderAccepted(SYMBOL, order.client_order_id, "C02__1", S)), S)
    for version in range(3, 60):  # our own order now shows in the book, alone at the best price
        now_ns = S + version * 100 * MS
        actions = made.step(delta(version, bids=[(order.price_ticks, order.qty_lots)], at_ns=now_ns), now_ns)
        assert not any(isinstance(action, (CancelOrder, PlaceOrder)) for action in actions)


def test_clock_that_runs_backwards_stands_still() -> None:
    desk = proven(Desk(engine()), now_ns=10 * S)
    desk.play(delta(3, at_ns=5 * S), 5 * S)
    assert all(order.created_ns >= 10 * S for order in desk.intents)


def test_same_events_give_the_same_actions() -> None:
    runs = []
    for _ in range(2):
        desk = bought(proven(Desk(engine())))
        runs.append((desk.intents, desk.notes, desk.fills))
    assert runs[0] == runs[1]
    assert any(isinstance(note, NoteRaised) for note in runs[0][1])


def test_shipped_parameters_are_what_an_engine_shows() -> None:
    shown = {name for name, _ in engine(config({})).view().params}
    assert {"order_quote", "risk_order_ops_per_s"} <= shown
    assert dict(engine(config({})).view().params)["order_quote"] == str(SpreadCaptureParameters().order_quote)
