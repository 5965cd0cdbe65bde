"""The shadow twin: live orders mirrored in the paper venue, and how far apart they are."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.engine_desk import EAGER
from tests.market_scenes import MS, SYMBOL, S, book, delta, instrument, intent, snapshot, trade
from tests.queue_market import Reading
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.engine import SymbolEngine
from trading.engine.matching_models import NO_LATENCY, PLAIN_RULES, LatencyModel
from trading.engine.messages import (
    Action,
    CancelOrder,
    EngineEvent,
    NoteRaised,
    PaperCancelRequested,
    PaperOrderPlaced,
    PlaceOrder,
    TimerFired,
)
from trading.engine.shadow_twin import GRACE_NS, ShadowTwin
from trading.engine.watched_engine import WatchedEngine
from trading.model.market import BookDelta, BookState, FeedConnected, Side
from trading.model.orders import (
    Delivery,
    Fill,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderIntent,
    OrderStatus,
    OrderType,
    Refusal,
)
from trading.model.position import Position

PARAMS = {**EAGER, "order_quote": "25", "cooldown_s": "600", "min_depth_quote": "0", "entry_improve_ticks": "0"}


class Desk:
    """A live engine with its twin, at a market by hand."""

    def __init__(self, with_twin: bool = True, latency: LatencyModel = NO_LATENCY) -> None:
        pair = instrument()
        config = self.config = SymbolConfig(pair, "spread_capture", tuple(PARAMS.items()), 1, 1, False, Decimal(500))
        self.twin = ShadowTwin(pair, latency, PLAIN_RULES) if with_twin else None
        self.engine = WatchedEngine(config, SymbolBootstrap(Position(SYMBOL)), (), self.twin)
        self.placed: list[OrderIntent] = []
        self.log: list[Action] = []
        self.seq = 0

    def feed(self, *events: EngineEvent) -> None:
        for event in events:
            for action in self.engine.step(event, getattr(event, "recv_ts_ns", 0)):
                self.log.append(action)
                if isinstance(action, PlaceOrder):
                    self.placed.append(action.intent)

    def tell(self, event: OrderEvent) -> None:
        self.seq += 1
        for action in self.engine.step(Delivery(self.seq, event), event.at_ns):
            self.log.append(action)

    def open(self) -> OrderIntent:
        """Make the strategy place its entry at the bid, 9990, behind 1000 lots, and let the venue take it."""
        self.feed(FeedConnected(SYMBOL, S), snapshot([(9_990, 1_000)], [(10_010, 1_000)], 1, S), delta(2, at_ns=S + 1))
        entry = self.placed[0]
        self.tell(OrderAccepted(SYMBOL, entry.client_order_id, "v1", S + 20 * MS))
        return entry


def filled(order: OrderIntent, lots: int, at_ns: int) -> OrderFilled:
    fill = Fill(
        "live", f"t{at_ns}", order.client_order_id, "v1", SYMBOL, order.side, order.price_ticks, lots,
        Decimal(1), Decimal(0), "BBB", True, at_ns, at_ns,
    )  # fmt: skip
    status = OrderStatus.FILLED if lots == order.qty_lots else OrderStatus.PARTIALLY_FILLED
    return OrderFilled(SYMBOL, order.client_order_id, fill, status, at_ns)


@pytest.mark.parametrize("is_filled", [False, True])
def test_live_fill_rate_stands_beside_both_queue_models(is_filled: bool) -> None:
    desk = Desk()
    entry = desk.open()
    # 1000 lots are ahead of us, 1000 more join behind, 1000 are cancelled somewhere, 1000 trade: the pessimistic twin
    # is just not reached, the probabilistic one is.
    own = entry.qty_lots
    desk.feed(delta(3, bids=[(9_990, 1_000 + own)], at_ns=S + 30 * MS))
    desk.feed(
        delta(4, bids=[(9_990, 2_000 + own)], at_ns=2 * S), delta(5, bids=[(9_990, 1_000 + own)], at_ns=2 * S + 1)
    )
    desk.feed(trade(9_990, 1_000, Side.SELL, 3 * S))
    if is_filled:
        desk.tell(filled(entry, entry.qty_lots, 3 * S + 2))
    else:
        desk.tell(OrderCancelled(SYMBOL, entry.client_order_id, 0, "", 4 * S))
    desk.feed(TimerFired(5 * S))
    found = desk.engine.view().twin
    assert found is not None
    assert found.live is not None
    assert (found.orders, found.pessimistic.fill_rate, found.probabilistic.fill_rate) == (1, 0.0, 1.0)
    assert found.live.fill_rate == (1.0 if is_filled else 0.0)
    assert (found.queue.telling, found.queue.power) == (1, None)  # one order tells, and is no evidence yet


def test_live_fill_is_compared_in_rate_time_and_markout() -> None:
    desk = Desk()
    entry = desk.open()
    desk.tell(filled(entry, entry.qty_lots, 2 * S))  # the venue filled us while nobody here saw a trade
    desk.feed(delta(3, bids=[(9_994, 100)], at_ns=2 * S + 500 * MS))
    desk.feed(TimerFired(4 * S))
    assert desk.twin is not None
    found = desk.twin.report()
    assert found.live is not None
    assert (found.orders, found.live.fill_rate, found.live.filled_orders) == (1, 1.0, 1)
    assert found.live.time_to_fill_ms is None  # no order that all sides have filled: nothing to compare
    assert found.live.markout_bps == pytest.approx(2 / 10_000 * 10_000)  # the mid rose two ticks of 10,000
    assert (found.pessimistic.fill_rate, found.pessimistic.time_to_fill_ms) == (0.0, None)
    assert found.queue.telling == 0  # all twins agree: nothing to tell the queues apart


def test_twin_is_filled_by_the_trade_that_passed_the_live_order_by() -> None:
    desk = Desk()
    entry = desk.open()
    desk.feed(trade(9_990, 5_000, Side.SELL, 2 * S))  # through the whole queue: both twins are filled
    desk.tell(OrderCancelled(SYMBOL, entry.client_order_id, 0, "", 3 * S))
    desk.feed(TimerFired(3 * S + GRACE_NS))
    assert desk.twin is not None
    found = desk.twin.report()
    assert found.live is not None
    assert (found.live.fill_rate, found.pessimistic.fill_rate, found.probabilistic.fill_rate) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("arrives_ms", [0, 30], ids=["before_our_order_shows", "after_our_order_shows"])
@pytest.mark.parametrize("joins", [0, 700], ids=["alone", "with_another"])
def test_twin_queues_where_the_live_order_does_and_not_behind_it(arrives_ms: int, joins: int) -> None:
    desk = Desk(latency=LatencyModel(0, arrives_ms * MS, 0))
    entry = desk.open()
    own = entry.qty_lots
    # The book shows our own order, then perhaps another behind it; then all but our last ten lots trade away.
    desk.feed(delta(3, bids=[(9_990, 1_000 + own)], at_ns=S + 21 * MS), TimerFired(S + 40 * MS))
    desk.feed(delta(4, bids=[(9_990, 1_000 + own + joins)], at_ns=S + 60 * MS))
    desk.feed(trade(9_990, 1_000 + own - 10, Side.SELL, 2 * S))
    desk.tell(filled(entry, own - 10, 2 * S + 1))
    desk.feed(delta(5, bids=[(9_990, 10 + joins)], at_ns=2 * S + 2))
    desk.tell(OrderCancelled(SYMBOL, entry.client_order_id, own - 10, "", 3 * S))
    desk.feed(TimerFired(3 * S + GRACE_NS))
    assert desk.twin is not None
    found = desk.twin.report()
    assert found.live is not None
    assert found.live.fill_rate == pytest.approx(1 - 10 / own)
    assert (found.pessimistic.fill_rate, found.probabilistic.fill_rate) == (found.live.fill_rate,) * 2


@pytest.mark.parametrize("is_push_between", [False, True])
def test_twin_is_not_moved_on_by_the_end_of_the_order_it_stands_for(is_push_between: bool) -> None:
    desk = Desk(latency=LatencyModel(0, 30 * MS, 0))
    entry = desk.open()
    desk.feed(delta(3, bids=[(9_990, 1_000 + entry.qty_lots)], at_ns=S + 21 * MS), TimerFired(S + 60 * MS))
    # Our order leaves, as the private line says first; what stood before it stands before the twin still.
    desk.tell(OrderCancelled(SYMBOL, entry.client_order_id, 0, "", 2 * S))
    if is_push_between:  # gathered before the end
        desk.feed(delta(4, asks=[(10_010, 1_001)], at_ns=2 * S + 1))
    after = delta(5 if is_push_between else 4, bids=[(9_990, 1_000)], at_ns=2 * S + 2)
    desk.feed(after, trade(9_990, 1_000, Side.SELL, 2 * S + 3))
    desk.feed(TimerFired(2 * S + GRACE_NS))
    assert desk.twin is not None
    found = desk.twin.report()
    assert found.live is not None
    assert (found.live.fill_rate, found.pessimistic.fill_rate, found.probabilistic.fill_rate) == (0.0, 0.0, 0.0)


def test_twin_ends_when_the_live_order_is_cancelled_by_somebody_else() -> None:
    desk = Desk()
    entry = desk.open()
    desk.tell(OrderCancelled(SYMBOL, entry.client_order_id, 0, "halt", 2 * S))
    desk.feed(trade(9_990, 5_000, Side.SELL, 2 * S + 400 * MS), TimerFired(4 * S))
    assert desk.twin is not None
    found = desk.twin.report()
    assert (found.orders, found.pessimistic.fill_rate, found.probabilistic.fill_rate) == (1, 0.0, 0.0)


@pytest.mark.parametrize("is_same_trade", [True, False])
def test_twin_ends_with_the_fill_of_the_live_order_but_not_before_its_trade_is_told(is_same_trade: bool) -> None:
    desk = Desk()
    entry = desk.open()
    desk.tell(filled(entry, entry.qty_lots, 2 * S))  # the private line is ahead of the public one
    stamp_ns = 2 * S if is_same_trade else 2 * S + 300 * MS
    desk.feed(trade(9_990, 5_000, Side.SELL, 2 * S + 400 * MS, stamp_ns), TimerFired(4 * S))
    assert desk.twin is not None
    found = desk.twin.report()
    assert found.live is not None
    rate = 1.0 if is_same_trade else 0.0
    assert (found.live.fill_rate, found.pessimistic.fill_rate, found.probabilistic.fill_rate) == (1.0, rate, rate)
    waits = (found.live.time_to_fill_ms, found.pessimistic.time_to_fill_ms)
    if is_same_trade:
        assert waits == (
            pytest.approx((2 * S - entry.created_ns) / MS),
            pytest.approx((2_400 * MS - entry.created_ns) / MS),
        )
    else:
        assert waits == (None, None)


def test_order_that_the_venue_never_held_does_not_count() -> None:
    desk = Desk()
    desk.feed(FeedConnected(SYMBOL, S), snapshot([(9_990, 1_000)], [(10_010, 1_000)], 1, S), delta(2, at_ns=S + 1))
    entry = desk.placed[0]
    desk.tell(OrderDenied(SYMBOL, entry.client_order_id, Refusal.BALANCE, "", S + 2))
    desk.feed(trade(9_990, 5_000, Side.SELL, 2 * S), TimerFired(4 * S))
    assert desk.twin is not None
    assert desk.twin.report().orders == 0


def test_paper_orders_have_a_probabilistic_twin_beside_what_the_pessimist_books() -> None:
    twin = ShadowTwin(instrument(), NO_LATENCY, PLAIN_RULES, is_paper=True)
    market = Reading(book([(9_990, 1_000)], [(10_010, 1_000)]))
    order = intent("o1", Side.BUY, 9_990, 100, OrderType.LIMIT_MAKER, S)

    def feed(event: EngineEvent, at_ns: int) -> None:
        twin.before(event, at_ns)
        if isinstance(event, BookDelta):
            market.others.apply_delta(event)
        if isinstance(event, Delivery):
            market.last_seq = event.seq
        twin.after(event, at_ns, (), market)

    feed(delta(2, bids=[(9_990, 1_000)]), S)
    twin.after(TimerFired(S), S, (PlaceOrder(order),), market)  # the executor has not let it go yet
    feed(PaperOrderPlaced(order, S), S)
    feed(delta(3, bids=[(9_990, 2_000)]), 2 * S)
    feed(delta(4, bids=[(9_990, 1_000)]), 3 * S)
    feed(trade(9_990, 1_000, Side.SELL, 4 * S), 4 * S)  # to the end of what the pessimist holds to be in front
    feed(PaperCancelRequested("o1", 5 * S), 5 * S)
    feed(Delivery(1, OrderCancelled(SYMBOL, "o1", 0, "", 5 * S)), 5 * S)
    feed(TimerFired(6 * S), 6 * S)
    found = twin.report()
    assert (found.orders, found.live, found.queue.telling) == (1, None, 0)
    assert (found.pessimistic.fill_rate, found.probabilistic.fill_rate) == (0.0, 1.0)


def test_twin_hears_of_a_proof_that_a_timer_took_away_before_the_next_depth() -> None:
    """An order that arrives then waits for a book, in the twin as in the venue that it stands beside."""
    desk = Desk(latency=LatencyModel(0, 21 * S, 0))
    entry = desk.open()
    desk.feed(TimerFired(S + 20 * S + 2 * MS))
    assert desk.engine.view().book_state is BookState.STALE
    desk.feed(TimerFired(23 * S))  # it has arrived
    desk.feed(trade(9_980, 5_000, Side.SELL, 23 * S + 1))
    desk.tell(OrderCancelled(SYMBOL, entry.client_order_id, 0, "", 23 * S + 2))
    desk.feed(TimerFired(24 * S))
    assert desk.twin is not None
    found = desk.twin.report()
    assert (found.orders, found.pessimistic.fill_rate, found.probabilistic.fill_rate) == (1, 0.0, 0.0)


def test_twin_changes_no_decision() -> None:
    def run(desk: Desk) -> Sequence[Action]:
        entry = desk.open()
        desk.tell(filled(entry, entry.qty_lots, 2 * S))
        desk.feed(trade(9_990, 5_000, Side.SELL, 2 * S + 1), delta(3, bids=[(9_900, 5)], at_ns=2 * S + 2))
        desk.feed(*(TimerFired(2 * S + step * 100 * MS) for step in range(1, 60)))
        return desk.log

    with_twin, without = run(Desk()), run(Desk(with_twin=False))
    assert with_twin == without
    assert any(isinstance(action, PlaceOrder) for action in with_twin)
    assert isinstance(Desk(with_twin=False).engine, SymbolEngine)
    assert CancelOrder in {type(action) for action in with_twin} or len(with_twin) > 2


def test_live_market_is_measured_without_our_own_order_in_it() -> None:
    """An own bid inside the spread is no market: its end is no fall of the mid, and our fill not adverse for it."""
    pair = instrument()
    params = {**PARAMS, "entry_improve_ticks": "8"}
    engine = SymbolEngine(
        SymbolConfig(pair, "spread_capture", tuple(params.items()), 1, 1, False, Decimal(500)),
        SymbolBootstrap(Position(SYMBOL)),
    )
    placed: list[OrderIntent] = []

    def feed(event: EngineEvent) -> None:
        for action in engine.step(event, getattr(event, "recv_ts_ns", 0)):
            if isinstance(action, PlaceOrder):
                placed.append(action.intent)

    for event in (FeedConnected(SYMBOL, S), snapshot([(9_990, 1_000)], [(10_010, 1_000)], 1, S), delta(2, at_ns=S + 1)):
        feed(event)
    (entry,) = placed
    assert entry.price_ticks == 9_998
    feed(Delivery(1, OrderAccepted(SYMBOL, entry.client_order_id, "v1", S + 20 * MS)))
    feed(delta(3, bids=[(9_998, entry.qty_lots)], at_ns=S + 30 * MS))
    measures = engine._decider.measures
    assert measures.mid_ticks == 10_000.0
    feed(delta(4, bids=[(9_998, 0)], at_ns=2 * S))
    assert measures.mid_ticks == 10_000.0


class Broken:
    """A listener that fails at its third step."""

    def __init__(self) -> None:
        self.heard = 0

    def before(self, event: EngineEvent, now_ns: int) -> None:
        self.heard += 1
        if self.heard == 3:
            raise RuntimeError("full")

    def after(self, event: EngineEvent, now_ns: int, actions: Sequence[Action], engine: SymbolEngine) -> None:
        pass


def test_listener_that_fails_is_dropped_and_said_and_the_engine_goes_on() -> None:
    plain, broken = Desk(with_twin=False), Broken()
    watched = Desk(with_twin=False)
    watched.engine = WatchedEngine(watched.config, SymbolBootstrap(Position(SYMBOL)), (broken,))
    for desk in (plain, watched):
        entry = desk.open()
        desk.tell(filled(entry, entry.qty_lots, 2 * S))
    notes = [action for action in watched.log if isinstance(action, NoteRaised) and action.name == "watcher_dropped"]
    assert [dict(note.fields) for note in notes] == [{"watcher": "Broken", "error": "RuntimeError: full"}]
    assert [action for action in watched.log if action not in notes] == plain.log
    assert broken.heard == 3


def test_fill_that_the_engine_did_not_take_is_none_of_the_live_order_either() -> None:
    desk = Desk()
    entry = desk.open()
    half = entry.qty_lots // 2
    told = filled(entry, half, 2 * S)
    desk.engine.step(Delivery(desk.seq + 2, told), 2 * S)  # the one before it is missing: it is read again
    desk.tell(told)
    desk.engine.step(Delivery(desk.seq, told), 2 * S + 1)  # and told twice
    desk.tell(OrderCancelled(SYMBOL, entry.client_order_id, half, "", 3 * S))
    desk.feed(TimerFired(3 * S + GRACE_NS))
    assert desk.twin is not None
    found = desk.twin.report()
    assert found.live is not None
    assert found.live.fill_rate == pytest.approx(half / entry.qty_lots)
