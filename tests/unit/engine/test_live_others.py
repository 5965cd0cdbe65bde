"""Live, our own orders are no market, neither before nor while nor after the depth shows them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.engine_desk import EAGER, config, engine
from tests.market_scenes import MS, SYMBOL, S, delta, snapshot
from tests.unit.engine.test_shadow_twin import filled
from trading.engine.bootstrap import SymbolBootstrap
from trading.engine.messages import Action, CancelOrder, EngineEvent, PlaceOrder, TimerFired
from trading.model.market import FeedConnected, Level, Side
from trading.model.orders import Delivery, OrderAccepted, OrderCancelled, OrderEvent, OrderIntent, OrderType
from trading.model.position import Position

PARAMS = {
    **EAGER, "order_quote": "25", "cooldown_s": "600", "min_depth_quote": "0", "entry_improve_ticks": "0",
    "exit_improve_ticks": "0", "requote_min_age_ms": "0",
}  # fmt: skip
ASK = [(10_010, 1_000)]


class LiveDesk:
    """A live engine at a market by hand; the executor and the venue are the test."""

    def __init__(self, bids: Sequence[Level], asks: Sequence[Level], **params: str) -> None:
        self.engine = engine(config({**PARAMS, **params}, is_paper=False), SymbolBootstrap(Position(SYMBOL)))
        self.placed: list[OrderIntent] = []
        self.cancels: list[str] = []
        self.seq = 0
        self.version = 1
        self._step(FeedConnected(SYMBOL, S), S)
        self._step(snapshot(bids, asks, 1, S), S)
        self.push(S + 1)

    def _step(self, event: EngineEvent, now_ns: int) -> None:
        actions: list[Action] = self.engine.step(event, now_ns)
        self.placed += [action.intent for action in actions if isinstance(action, PlaceOrder)]
        self.cancels += [action.cancel.reason for action in actions if isinstance(action, CancelOrder)]

    def push(self, at_ns: int, bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> None:
        self.version += 1
        self._step(delta(self.version, bids, asks, at_ns), at_ns)

    def tell(self, event: OrderEvent) -> None:
        self.seq += 1
        self._step(Delivery(self.seq, event), event.at_ns)

    def accept(self, order: OrderIntent, at_ns: int) -> None:
        self.tell(OrderAccepted(SYMBOL, order.client_order_id, f"v-{order.client_order_id}", at_ns))

    def tick(self, at_ns: int) -> None:
        self._step(TimerFired(at_ns), at_ns)

    @property
    def mid_ticks(self) -> float:
        return self.engine._decider.measures.mid_ticks


@pytest.mark.parametrize("pushes_between", [0, 1, 3])
def test_entry_that_the_depth_does_not_show_yet_moves_no_market(pushes_between: int) -> None:
    desk = LiveDesk([(9_990, 200), (9_900, 1_000)], ASK)
    (entry,) = desk.placed
    assert (entry.price_ticks, entry.qty_lots) == (9_990, 250)  # more than all others have there
    now_ns = S + 20 * MS
    desk.accept(entry, now_ns)
    assert desk.engine.others.best_bid == (9_990, 200)
    for step in range(pushes_between):
        now_ns += 10 * MS
        desk.push(now_ns, bids=[(9_900, 1_001 + step)])
        assert desk.mid_ticks == 10_000.0
    desk.push(now_ns + 10 * MS, bids=[(9_990, 450)])
    assert desk.engine.others.best_bid == (9_990, 200)
    assert desk.mid_ticks == 10_000.0
    assert (len(desk.placed), desk.cancels) == (1, [])


@pytest.mark.parametrize("pushes_between", [0, 1, 3])
def test_exit_that_the_depth_does_not_show_yet_is_no_market_maker_gone(pushes_between: int) -> None:
    desk = LiveDesk([(9_990, 1_000)], [(10_010, 100), (10_110, 1_000)])
    (entry,) = desk.placed
    desk.accept(entry, S + 20 * MS)
    desk.push(S + 30 * MS, bids=[(9_990, 1_250)])
    desk.tell(filled(entry, 250, S + 40 * MS))
    desk.push(S + 50 * MS, bids=[(9_990, 1_000)])
    (exit_order,) = desk.placed[1:]
    assert (exit_order.side, exit_order.type) == (Side.SELL, OrderType.LIMIT_MAKER)
    assert (exit_order.price_ticks, exit_order.qty_lots) == (10_010, 250)
    now_ns = S + 60 * MS
    desk.accept(exit_order, now_ns)
    assert desk.engine.others.best_ask == (10_010, 100)
    for step in range(pushes_between):
        now_ns += 10 * MS
        desk.push(now_ns, asks=[(10_110, 1_001 + step)])
        desk.tick(now_ns + MS)
        assert desk.mid_ticks == 10_000.0
    desk.push(now_ns + 10 * MS, asks=[(10_010, 350)])
    desk.tick(now_ns + 500 * MS)
    assert desk.engine.others.best_ask == (10_010, 100)
    assert desk.mid_ticks == 10_000.0
    assert (len(desk.placed), desk.cancels) == (2, [])


def test_ended_order_that_the_depth_shows_still_is_no_market() -> None:
    desk = LiveDesk([(9_990, 1_000)], ASK, entry_improve_ticks="8")
    (entry,) = desk.placed
    assert entry.price_ticks == 9_998
    desk.accept(entry, S + 20 * MS)
    desk.push(S + 30 * MS, bids=[(9_998, entry.qty_lots)])
    desk.tell(OrderCancelled(SYMBOL, entry.client_order_id, 0, "", 2 * S))
    assert desk.engine.others.best_bid == (9_990, 1_000)
    desk.push(2 * S + 10 * MS, bids=[(9_990, 1_001)])  # gathered before the end
    assert desk.mid_ticks == 10_000.0
    desk.push(2 * S + 20 * MS, bids=[(9_998, 0)])
    assert desk.mid_ticks == 10_000.0
    desk.push(2 * S + 30 * MS, bids=[(9_998, 40)])  # and now it is another's
    assert desk.mid_ticks == 10_004.0


def test_lone_ask_of_our_own_is_a_market_maker_gone() -> None:
    """As in paper, where ours would not show: nobody else asks, so that the proven bid is what is left to sell to."""
    desk = LiveDesk([(9_990, 1_000)], [(10_010, 100)])
    (entry,) = desk.placed
    desk.accept(entry, S + 20 * MS)
    desk.tell(filled(entry, 250, S + 40 * MS))
    exit_order = desk.placed[1]
    desk.accept(exit_order, S + 60 * MS)
    desk.push(S + 70 * MS, asks=[(10_010, 350)])
    assert desk.cancels == []
    desk.push(S + 80 * MS, asks=[(10_010, 250)])
    assert desk.cancels == ["market_maker_gone"]


def test_depth_that_is_our_own_order_is_no_depth_for_a_strategy() -> None:
    desk = LiveDesk([(9_990, 200), (9_900, 1_000)], ASK, min_depth_quote="15", depth_bps="5")
    (entry,) = desk.placed
    desk.accept(entry, S + 20 * MS)
    desk.push(S + 30 * MS, bids=[(9_990, 450)])
    assert desk.cancels == []
    desk.push(S + 2_000 * MS, bids=[(9_990, 350)])  # others have 100 lots there now, worth 10
    assert len(desk.cancels) == 1
