"""Orders that the executor adopted, as the engine of their symbol takes them: its own, as if there at the start."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.engine_desk import config, engine
from tests.market_scenes import MS, SYMBOL, S, delta, snapshot
from tests.unit.engine.test_live_others import ASK, PARAMS
from trading.engine.bootstrap import SymbolBootstrap
from trading.engine.messages import Action, CancelOrder, DrainRequested, EngineEvent, NoteRaised, PlaceOrder, TimerFired
from trading.model.market import FeedConnected, FeedDisconnected, Level, Side
from trading.model.orders import (
    Delivery,
    Fill,
    OrderAdopted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderIntent,
    OrderStatus,
    OrderType,
    Purpose,
    Refusal,
)
from trading.model.position import Position

ORPHAN = "mx-9-9-9"
BIDS = [(9_990, 200), (9_900, 1_000)]


def adopted(side: Side, price_ticks: int, lots: int = 250, kind: OrderType = OrderType.LIMIT_MAKER) -> OrderAdopted:
    purpose = Purpose.EXIT if side is Side.SELL else Purpose.ENTRY
    return OrderAdopted(SYMBOL, ORPHAN, "v1", side, kind, price_ticks, lots, purpose, S // 2, S)


class AdoptingDesk:
    """A live engine at a market by hand; the executor and the venue are the test."""

    def __init__(self, held_lots: int = 0, **params: str) -> None:
        qty = Decimal(held_lots) * Decimal("0.001")
        position = Position(SYMBOL, qty, qty * 100, Decimal(0), Decimal(0), S // 2)
        self.engine = engine(config({**PARAMS, **params}, is_paper=False), SymbolBootstrap(position))
        self.placed: list[OrderIntent] = []
        self.cancelled: list[str] = []
        self.notes: list[str] = []
        self.seq = 0

    def step(self, event: EngineEvent, now_ns: int) -> None:
        actions: list[Action] = self.engine.step(event, now_ns)
        self.placed += [action.intent for action in actions if isinstance(action, PlaceOrder)]
        self.cancelled += [action.cancel.client_order_id for action in actions if isinstance(action, CancelOrder)]
        self.notes += [action.name for action in actions if isinstance(action, NoteRaised)]

    def tell(self, event: OrderEvent, at_ns: int = S) -> None:
        self.seq += 1
        self.step(Delivery(self.seq, event), at_ns)

    def prove(self, bids: list[Level] = BIDS, asks: list[Level] = ASK) -> None:
        self.step(FeedConnected(SYMBOL, S), S)
        self.step(snapshot(bids, asks, 1, S), S)
        self.step(delta(2, at_ns=S + MS), S + MS)


@pytest.fixture
def adopting() -> AdoptingDesk:
    """A desk in a proven market; its own entry was denied, and an order like it adopted a moment later."""
    desk = AdoptingDesk()
    desk.prove()
    denied = OrderDenied(SYMBOL, desk.placed.pop().client_order_id, Refusal.ORDER_RATE, "", S + MS)
    desk.tell(denied, S + MS)
    desk.step(delta(3, bids=[(9_990, 450)], at_ns=S + 2 * MS), S + 2 * MS)
    assert desk.engine.others.best_bid == (9_990, 450)
    desk.tell(adopted(Side.BUY, 9_990), S + 3 * MS)
    return desk


def fill(lots: int, status: OrderStatus, side: Side = Side.BUY) -> OrderFilled:
    made = Fill(
        "live", f"t{lots}", ORPHAN, "v1", SYMBOL, side, 9_990, lots, Decimal(1), Decimal(0), "BBB", True, S, S
    )  # fmt: skip
    return OrderFilled(SYMBOL, ORPHAN, made, status, S)


def test_adopted_order_is_ours_no_market_and_stays_where_it_is_what_the_strategy_wants(adopting: AdoptingDesk) -> None:
    assert [order.client_order_id for order in adopting.engine.own_orders] == [ORPHAN]
    assert adopting.engine.others.best_bid == (9_990, 200)
    adopting.step(TimerFired(3 * S), 3 * S)
    assert (adopting.placed, adopting.cancelled) == ([], [])
    assert "order_adopted" in adopting.notes
    assert "order_event_odd" not in adopting.notes


def test_adopted_order_without_a_proof_is_cancelled_at_once() -> None:
    desk = AdoptingDesk()
    desk.tell(adopted(Side.BUY, 9_990))
    assert desk.cancelled == [ORPHAN]


def test_adopted_order_that_is_not_wanted_makes_way_for_the_one_that_is() -> None:
    desk = AdoptingDesk()
    desk.prove()
    (own,) = desk.placed
    desk.tell(adopted(Side.BUY, 9_950), 2 * S)
    assert desk.cancelled == [ORPHAN], "one entry is enough"
    desk.tell(OrderCancelled(SYMBOL, ORPHAN, 0, "", 2 * S), 2 * S)
    assert [order.client_order_id for order in desk.engine.own_orders] == [own.client_order_id]
    assert (len(desk.placed), desk.cancelled) == (1, [ORPHAN])


def test_executions_of_an_adopted_order_move_order_and_position_and_nothing_is_odd(
    adopting: AdoptingDesk,
) -> None:
    desk = adopting
    desk.tell(fill(100, OrderStatus.PARTIALLY_FILLED))
    (order,) = desk.engine.own_orders
    assert (order.filled_lots, order.status, desk.engine.view().held_lots) == (100, OrderStatus.PARTIALLY_FILLED, 100)
    desk.tell(adopted(Side.BUY, 9_990))  # told again, as after a death in between
    assert desk.engine.own_orders == (order,)
    desk.tell(fill(150, OrderStatus.FILLED))
    assert desk.engine.view().held_lots == 250
    assert [(item.side, item.qty_lots) for item in desk.engine.own_orders] == [(Side.SELL, 250)], "its exit"
    assert "order_event_odd" not in desk.notes


def test_adopted_order_is_cancelled_when_the_proof_is_lost(adopting: AdoptingDesk) -> None:
    adopting.step(FeedDisconnected(SYMBOL, "test", 2 * S), 2 * S)
    assert adopting.cancelled == [ORPHAN]


def test_adopted_order_is_cancelled_by_a_drain_and_the_drain_waits_for_its_end(adopting: AdoptingDesk) -> None:
    desk = adopting
    desk.step(DrainRequested(False, 2 * S), 2 * S)
    assert (desk.cancelled, desk.engine.view().is_drained) == ([ORPHAN], False)
    desk.tell(OrderCancelled(SYMBOL, ORPHAN, 0, "", 2 * S), 2 * S)
    assert desk.engine.view().is_drained


def test_adopted_sale_makes_way_for_an_exit_that_sells_the_same_coins() -> None:
    desk = AdoptingDesk(held_lots=250)
    desk.prove()
    (own,) = desk.placed
    assert (own.side, own.qty_lots) == (Side.SELL, 250)
    desk = AdoptingDesk(held_lots=250)
    desk.tell(adopted(Side.SELL, 12_000, kind=OrderType.LIMIT))
    desk.prove()
    assert (desk.placed, desk.cancelled) == ([], [ORPHAN])
    desk.tell(OrderCancelled(SYMBOL, ORPHAN, 0, "", S + 2 * MS), S + 2 * MS)
    assert [(order.side, order.price_ticks, order.qty_lots) for order in desk.placed] == [
        (Side.SELL, own.price_ticks, 250)
    ]


def test_flatten_cancels_an_adopted_sale_then_sells_what_it_left() -> None:
    desk = AdoptingDesk(held_lots=250)
    desk.tell(adopted(Side.SELL, 12_000))
    desk.prove()
    desk.step(DrainRequested(True, 2 * S), 2 * S)
    assert set(desk.cancelled) == {ORPHAN}
    assert desk.placed == []
    desk.tell(fill(100, OrderStatus.PARTIALLY_FILLED, Side.SELL), 2 * S)
    desk.tell(OrderCancelled(SYMBOL, ORPHAN, 100, "", 2 * S), 2 * S)
    assert [(order.type, order.qty_lots) for order in desk.placed] == [(OrderType.IOC, 150)]
