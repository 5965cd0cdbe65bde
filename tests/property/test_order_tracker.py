"""Whatever order a venue's words come in, an order ends where the venue ended it and every execution is booked once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from trading.engine.order_tracker import OrderTracker, Step
from trading.engine.orders import TRANSITIONS, OrderEventKind, TransitionRefused, kind_of, next_status
from trading.engine.ports import OrderRecord
from trading.model.market import Side
from trading.model.orders import (
    Fill,
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceAnswer,
    PlaceRejected,
    PlaceUnknown,
    Purpose,
    Refusal,
    VenueOrder,
    VenueTrade,
)
from trading.model.units import NS_PER_S

D = Decimal
SENT = OrderRecord(
    "mx-1-1-1", "S", "r", 1, 1, Side.BUY, OrderType.LIMIT, 100, 10, Purpose.ENTRY, "s", OrderStatus.SENT, 1, 9, 1, 2000
)


@dataclass(frozen=True)
class Life:
    """The truth at the venue: executions as (lots, second), and whether the rest was cancelled."""

    fills: tuple[tuple[int, int], ...]
    is_cancelled: bool

    @property
    def filled(self) -> int:
        return sum(lots for lots, _ in self.fills)

    @property
    def status(self) -> OrderStatus:
        if self.filled == SENT.qty_lots:
            return OrderStatus.FILLED
        if self.is_cancelled:
            return OrderStatus.PARTIALLY_CANCELLED if self.filled else OrderStatus.CANCELLED
        return OrderStatus.PARTIALLY_FILLED if self.filled else OrderStatus.OPEN


@st.composite
def lives(draw: st.DrawFn) -> Life:
    left, fills = SENT.qty_lots, []
    for _ in range(draw(st.integers(0, 4))):
        lots = draw(st.integers(1, 3))
        if lots <= left:
            fills.append((lots, draw(st.integers(0, 2))))
            left -= lots
    if left and draw(st.booleans()):
        fills.append((left, 3))
    return Life(tuple(fills), draw(st.booleans()))


def trade(index: int, lots: int, second: int, source: str) -> VenueTrade:
    exact_ns = second * NS_PER_S + index * 1000
    at_ns = exact_ns if source == "stream" else second * NS_PER_S
    fill = Fill(
        "v", f"{source}-{index}", "mx-1-1-1", "v1", "S", Side.BUY, 100, lots, D(lots), D(0), "Q", True, at_ns, at_ns
    )
    return VenueTrade(fill, source)


def as_taker(told: VenueTrade) -> VenueTrade:
    return replace(told, fill=replace(told.fill, is_maker=False))


def report(life: Life, upto: int, is_final: bool) -> VenueOrder:
    filled = sum(lots for lots, _ in life.fills[:upto])
    partly = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
    return VenueOrder(
        "S",
        "mx-1-1-1",
        "v1",
        life.status if is_final else partly,
        Side.BUY,
        OrderType.LIMIT,
        100,
        10,
        life.filled if is_final else filled,
        D(0),
        0,
        0,
    )


@st.composite
def stories(draw: st.DrawFn) -> tuple[Life, list[VenueOrder | VenueTrade | PlaceAnswer]]:
    """All words that tell a life: one source tells every execution, the other some; some twice, in any order."""
    life = draw(lives())
    words: list[VenueOrder | VenueTrade | PlaceAnswer] = [report(life, len(life.fills), True)]
    words += [report(life, upto, False) for upto in draw(st.lists(st.integers(0, len(life.fills)), max_size=3))]
    whole, other = draw(st.permutations(["stream", "rest"]))
    for index, (lots, second) in enumerate(life.fills):
        for source in (whole, other) if draw(st.booleans()) else (whole,):
            words += [trade(index, lots, second, source)] * draw(st.integers(1, 2))
    answers: list[PlaceAnswer] = [PlaceAccepted("mx-1-1-1", "v1", 5), PlaceUnknown("mx-1-1-1", "timeout", 5)]
    words += draw(st.lists(st.sampled_from(answers), max_size=2))
    return life, draw(st.permutations(words))


def take(tracker: OrderTracker, word: VenueOrder | VenueTrade | PlaceAnswer) -> tuple[Step, ...]:
    match word:
        case VenueOrder():
            return tracker.on_report(word, 7)
        case VenueTrade():
            return tracker.on_trade(word, 7)
        case _:
            step = tracker.on_answer(word, 7)
            return (step,) if step is not None else ()


@given(stories())
def test_any_order_of_words_ends_at_the_venues_truth(
    story: tuple[Life, list[VenueOrder | VenueTrade | PlaceAnswer]],
) -> None:
    life, words = story
    tracker = OrderTracker(SENT)
    symbol_status, booked = OrderStatus.PENDING, 0
    for word in words:
        for step in take(tracker, word):
            assert not step.alert
            booked += step.fill.qty_lots if step.fill else 0
            if step.event is not None:
                after = next_status(symbol_status, kind_of(step.event))
                assert not isinstance(after, TransitionRefused), (symbol_status, step.event)
                symbol_status = after
            assert step.order.filled_lots == booked <= life.filled
    assert booked == life.filled
    assert tracker.missing_lots == 0
    assert tracker.record.filled_quote == D(life.filled)
    assert tracker.record.status is life.status
    if life.status.is_terminal or life.filled:
        assert symbol_status is life.status


@given(stories())
def test_terminal_order_has_all_its_executions(
    story: tuple[Life, list[VenueOrder | VenueTrade | PlaceAnswer]],
) -> None:
    tracker = OrderTracker(SENT)
    for word in story[1]:
        take(tracker, word)
        if tracker.record.status.is_terminal:
            assert tracker.record.filled_lots >= tracker.record.venue_filled_lots


@dataclass(frozen=True)
class Restart:
    """Only what is journaled is left: the record and the fills."""


@st.composite
def histories(draw: st.DrawFn) -> tuple[Life, list[VenueOrder | VenueTrade | Restart]]:
    """Equal executions told late, twice, in part or not at all, by either source, with restarts in between."""
    life = draw(lives())
    ways = st.integers(0, 2)
    words: list[VenueOrder | VenueTrade | Restart] = []
    for index, (lots, second) in enumerate(life.fills):
        words += [trade(index, lots, second, "stream")] * draw(ways)
        words += [trade(index, lots, second, "rest")] * draw(ways)
    words += [report(life, upto, False) for upto in draw(st.lists(st.integers(0, len(life.fills)), max_size=3))]
    words += [report(life, len(life.fills), True)] * draw(st.integers(0, 1))
    return life, draw(st.permutations(words + [Restart()] * draw(ways)))


@settings(max_examples=400)
@given(histories(), st.booleans())
def test_equal_executions_are_each_booked_once_over_restarts(
    history: tuple[Life, list[VenueOrder | VenueTrade | Restart]], is_newest_first: bool
) -> None:
    """What is short after all of it is fetched, as the reconciler does; then the books are the venue's."""
    life, words = history
    tracker, fills = OrderTracker(SENT), list[Fill]()
    final = report(life, len(life.fills), True)
    listed = [trade(index, lots, second, "rest") for index, (lots, second) in enumerate(life.fills)]
    pushes = [trade(index, lots, second, "stream") for index, (lots, second) in enumerate(life.fills)]
    fetched = listed[::-1] if is_newest_first else listed
    for word in [*words, final, *fetched, final, *pushes, Restart(), *pushes, *fetched]:
        if isinstance(word, Restart):
            tracker = OrderTracker(tracker.record, fills)
            continue
        for step in take(tracker, word):
            assert not step.alert
            fills += [step.fill] if step.fill else []
        booked = sum(fill.qty_lots for fill in fills)
        assert booked == tracker.record.filled_lots <= life.filled
        assert len({fill.trade_id for fill in fills}) == len(fills)
    assert (tracker.record.filled_lots, tracker.record.status) == (life.filled, life.status)
    assert {fill.source for fill in fills} <= {"stream", "rest"}


def test_equal_executions_of_which_each_source_told_first_another_are_not_booked_twice() -> None:
    tracker = OrderTracker(SENT)
    equal = Life(((1, 0), (1, 1), (1, 2)), True)
    tracker.on_report(report(equal, 2, False), 7)
    told = [trade(0, 1, 0, "rest"), trade(1, 1, 1, "rest"), trade(1, 1, 1, "stream"), trade(2, 1, 2, "stream")]
    for word in told:
        tracker.on_trade(word, 7)
    assert tracker.record.filled_lots == 2
    tracker.on_report(report(equal, 3, True), 7)
    for word in [trade(index, 1, index, source) for source in ("rest", "stream") for index in range(3)]:
        tracker.on_trade(word, 7)
    assert (tracker.record.filled_lots, tracker.record.venue_filled_lots) == (3, 3)
    assert tracker.record.status is OrderStatus.PARTIALLY_CANCELLED


def test_push_that_looks_like_none_of_the_list_waits_for_the_venues_word() -> None:
    """REST told it first, in another way: the order's word decides, since the pushes alone do not prove two."""
    tracker = OrderTracker(SENT)
    tracker.on_report(report(Life(((4, 1),), True), 1, True), 7)
    assert tracker.on_trade(trade(0, 4, 1, "rest"), 7)[0].fill is not None
    (step,) = tracker.on_trade(as_taker(trade(0, 4, 1, "stream")), 7)
    assert (step.fill, "beyond what the venue says" in step.alert) == (None, True)
    assert tracker.is_waiting
    (booked,) = (step for step in tracker.on_report(report(Life(((4, 1), (4, 2)), True), 2, True), 7) if step.fill)
    assert (booked.order.filled_lots, tracker.is_waiting) == (8, False)


@given(st.lists(st.sampled_from(list(OrderEventKind)), max_size=25))
def test_walks_over_the_table_stay_inside_it(kinds: list[OrderEventKind]) -> None:
    status = OrderStatus.PENDING
    for kind in kinds:
        after = next_status(status, kind)
        if isinstance(after, TransitionRefused):
            assert (status, kind) not in TRANSITIONS
            assert after.reason
        else:
            status = after


def test_fills_known_before_a_restart_are_not_booked_again_by_either_source() -> None:
    stream = trade(0, 4, 1, "stream")
    tracker = OrderTracker(replace(SENT, filled_lots=4, status=OrderStatus.PARTIALLY_FILLED), [stream.fill])
    assert tracker.on_trade(stream, 7) == ()
    assert tracker.on_trade(trade(0, 4, 1, "rest"), 7) == ()
    assert tracker.duplicates == 2
    tracker.on_report(report(Life(((4, 1), (4, 1)), False), 2, False), 7)
    assert len(tracker.on_trade(trade(1, 4, 1, "rest"), 7)) == 1


def test_execution_beyond_the_order_is_refused_with_an_alert() -> None:
    tracker = OrderTracker(SENT)
    tracker.on_trade(trade(0, 10, 1, "stream"), 7)
    (step,) = tracker.on_trade(trade(1, 1, 1, "stream"), 7)
    assert "exceeds" in step.alert
    assert step.fill is None


def test_execution_told_by_rest_alone_waits_for_the_venues_executed_quantity() -> None:
    tracker = OrderTracker(SENT)
    assert tracker.on_trade(trade(0, 4, 1, "stream"), 7)[-1].fill is not None
    # The same execution, told as if it were another one.
    assert tracker.on_trade(as_taker(trade(0, 4, 1, "rest")), 7) == ()
    assert tracker.on_report(report(Life(((4, 1),), False), 1, False), 7)[-1].fill is None
    assert tracker.record.filled_lots == 4
    # The venue says 8 now: there was a second one.
    (step,) = (step for step in tracker.on_report(report(Life(((4, 1), (4, 9)), False), 2, False), 7) if step.fill)
    assert step.order.filled_lots == 8
    assert tracker.missing_lots == 0


def test_execution_that_only_the_list_of_trades_tells_is_not_booked_before_the_orders_word_covers_it() -> None:
    tracker = OrderTracker(SENT)
    assert tracker.on_trade(trade(0, 4, 1, "rest"), 7) == ()
    assert (tracker.is_waiting, tracker.record.filled_lots) == (True, 0)
    (step,) = (step for step in tracker.on_report(report(Life(((4, 1),), False), 1, False), 7) if step.fill)
    assert (step.order.filled_lots, tracker.is_waiting) == (4, False)


def test_execution_told_by_rest_of_an_order_that_ended_with_less_is_not_booked_and_alarms() -> None:
    tracker = OrderTracker(SENT)
    tracker.on_trade(trade(0, 4, 1, "stream"), 7)
    tracker.on_report(report(Life(((4, 1),), True), 1, True), 7)
    assert tracker.record.status is OrderStatus.PARTIALLY_CANCELLED
    late = as_taker(trade(0, 4, 1, "rest"))
    (step,) = tracker.on_trade(late, 7)
    assert (step.fill, "beyond what the venue says" in step.alert) == (None, True)
    assert tracker.on_trade(late, 7) == ()
    assert tracker.record.filled_lots == 4


def test_not_sent_order_that_fills_is_booked_and_alarms() -> None:
    tracker = OrderTracker(replace(SENT, status=OrderStatus.UNKNOWN))
    tracker.on_absent("nowhere", 7)
    (step,) = tracker.on_trade(trade(0, 4, 1, "stream"), 7)
    assert step.fill is not None
    assert "contradicts" in step.alert
    assert tracker.record.status is OrderStatus.PARTIALLY_FILLED


def test_reject_denial_and_cancel_request_move_once() -> None:
    rejected = OrderTracker(SENT)
    step = rejected.on_answer(PlaceRejected("mx-1-1-1", 30004, "no", 5), 7)
    assert step is not None
    assert step.order.status is OrderStatus.REJECTED
    assert OrderTracker(SENT).deny(Refusal.HALTED, "halted", 7).order.status is OrderStatus.DENIED
    open_order = OrderTracker(replace(SENT, status=OrderStatus.OPEN))
    asked = open_order.request_cancel(7)
    assert asked is not None
    assert asked.order.status is OrderStatus.CANCELLING
    assert rejected.request_cancel(7) is None


def test_filled_with_less_than_the_order_is_over_with_what_the_venue_says_has_traded() -> None:
    tracker = OrderTracker(SENT)
    short = replace(report(Life(((4, 1),), False), 1, False), status=OrderStatus.FILLED)
    tracker.on_report(report(Life((), False), 0, False), 7)
    alert = next(step.alert for step in tracker.on_report(short, 7) if step.alert)
    assert "FILLED with 4 of 10 lots" in alert
    assert (tracker.missing_lots, tracker.record.status.is_terminal) == (4, False)
    tracker.on_trade(trade(0, 4, 1, "rest"), 7)
    assert (tracker.record.status, tracker.record.filled_lots) == (OrderStatus.PARTIALLY_CANCELLED, 4)
    assert tracker.on_report(short, 7) == ()
    # Should more of it have traded after all, that is booked.
    (late,) = tracker.on_trade(trade(1, 6, 2, "stream"), 7)
    assert late.fill is None
    assert "beyond" in late.alert  # no source alone has told more than 6 lots
    whole = report(Life(((4, 1), (6, 2)), False), 2, False)
    (booked,) = (step for step in tracker.on_report(whole, 7) if step.fill)
    assert (booked.order.status, booked.order.filled_lots) == (OrderStatus.FILLED, 10)
