"""From wishes to orders: one per slot, moves priced against the budget, pauses after a no."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.market_scenes import MS, S
from trading.engine.own_orders import OwnOrders
from trading.engine.quoting import CANCEL_RETRY_NS, SELF_TRADE_PATIENCE_NS, Quoting
from trading.engine.risk import SymbolRiskLimits
from trading.engine.strategy.protocol import DesiredQuote, OwnOrder, Requote
from trading.model.market import Side
from trading.model.orders import OrderAccepted, OrderIntent, OrderStatus, OrderType, Purpose

REQUOTE = Requote(min_age_ns=S, min_move_ticks=2, max_age_ns=30 * S)
BUY = DesiredQuote(Side.BUY, Purpose.ENTRY, OrderType.LIMIT_MAKER, 100, 50, "entry", REQUOTE)
SELL = DesiredQuote(Side.SELL, Purpose.EXIT, OrderType.LIMIT_MAKER, 110, 50, "passive", REQUOTE)
TAKE = SELL._replace(type=OrderType.IOC, price_ticks=90, reason="hard_stop", is_urgent=True)


def working(quote: DesiredQuote, created_ns: int = 0, status: OrderStatus = OrderStatus.OPEN) -> OwnOrder:
    return OwnOrder(
        "mx-0-1-1",
        quote.side,
        quote.type,
        quote.price_ticks,
        quote.qty_lots,
        0,
        quote.purpose,
        status,
        created_ns,
        created_ns + S,
        accepted_ns=created_ns + 1 if status is OrderStatus.OPEN else 0,
    )


def quoting(ops_per_s: float = 0.5, burst: int = 6) -> Quoting:
    return Quoting(SymbolRiskLimits(risk_order_ops_per_s=ops_per_s, risk_order_ops_burst=burst))


def test_wish_without_an_order_is_placed_and_with_one_is_left_alone() -> None:
    assert quoting().plan((BUY, SELL), (), 0).places == (SELL, BUY)
    plan = quoting().plan((BUY,), (working(BUY),), 5 * S)
    assert (plan.cancels, plan.places) == ((), ())


def test_order_that_is_not_wanted_is_cancelled_even_with_an_empty_budget() -> None:
    planner = quoting(burst=2)
    planner.plan((BUY, SELL), (), 0)
    order = working(BUY)
    assert planner.plan((), (order,), 0).cancels == ((order, "not wanted"),)


@pytest.mark.parametrize(
    ("change", "age_ns", "reason"),
    [
        ({"price_ticks": 101}, 5 * S, None),  # not far enough
        ({"price_ticks": 102}, S - 1, None),  # too young
        ({"price_ticks": 102}, S, "moved"),
        ({"price_ticks": 98}, S, "moved"),
        ({"qty_lots": 51}, S, "resized"),
        ({}, 30 * S, "renewed"),
    ],
)
def test_order_moves_only_when_old_enough_and_far_enough(
    change: dict[str, int], age_ns: int, reason: str | None
) -> None:
    plan = quoting().plan((BUY._replace(**change),), (working(BUY),), age_ns)  # type: ignore[arg-type]
    assert [text for _, text in plan.cancels] == ([reason] if reason else [])
    assert plan.places == ()  # never two orders of one slot


def test_order_larger_than_what_is_wanted_is_cancelled_at_once() -> None:
    plan = quoting().plan((SELL._replace(qty_lots=49),), (working(SELL),), 1)
    assert len(plan.cancels) == 1


def test_successor_waits_for_the_end_of_its_predecessor() -> None:
    planner = quoting()
    leaving = replace(working(SELL), cancel_requested_ns=5 * S, status=OrderStatus.CANCELLING)
    assert planner.plan((TAKE,), (leaving,), 5 * S + 1).places == ()
    assert planner.plan((TAKE,), (), 5 * S + 2).places == (TAKE,)


def test_unknown_exit_blocks_a_second_one() -> None:
    unknown = working(TAKE, status=OrderStatus.UNKNOWN)
    assert quoting().plan((TAKE,), (unknown,), 60 * S).places == ()


def test_passive_exit_makes_way_for_an_urgent_taker_at_any_age_and_budget() -> None:
    planner = quoting(burst=2)
    planner.plan((BUY, SELL), (), 0)
    order = working(SELL)
    assert planner.plan((TAKE,), (order,), 1).cancels == ((order, "hard_stop"),)
    assert planner.plan((TAKE,), (), 2).places == (TAKE,)


def test_moves_and_placements_wait_for_the_operation_budget_and_say_so() -> None:
    planner = quoting(ops_per_s=0.5, burst=2)
    assert len(planner.plan((BUY, SELL), (), 0).places) == 2
    held = planner.plan((BUY,), (), S)
    assert (held.places, held.is_held_back) == ((), True)
    assert planner.plan((BUY,), (), 2 * S).places == (BUY,)


def test_average_of_operations_keeps_to_the_rate_whatever_is_wanted() -> None:
    planner = quoting(ops_per_s=0.5, burst=6)
    operations, order = 0, None
    for tick in range(6_000):  # ten minutes
        now_ns = tick * 100 * MS
        wish = BUY._replace(price_ticks=100 + 5 * (tick % 7), requote=Requote(0, 1))
        plan = planner.plan((wish,), (order,) if order is not None else (), now_ns)
        operations += len(plan.cancels) + len(plan.places)
        if plan.cancels:
            order = None
        elif plan.places:
            order = working(plan.places[0], now_ns)
    assert 200 <= operations <= 0.5 * 600 + 6 + 1


def test_cancel_without_an_answer_is_asked_again() -> None:
    leaving = replace(working(BUY), cancel_requested_ns=10 * S, status=OrderStatus.CANCELLING)
    planner = quoting()
    assert planner.plan((), (leaving,), 10 * S + CANCEL_RETRY_NS - 1).cancels == ()
    assert planner.plan((), (leaving,), 10 * S + CANCEL_RETRY_NS).cancels == ((leaving, "asked again"),)


def test_cancel_that_overtook_its_order_is_asked_again_once_the_venue_has_it() -> None:
    young = replace(working(BUY, status=OrderStatus.PENDING), cancel_requested_ns=5)
    assert quoting().plan((), (young,), 6).cancels == ()
    accepted = replace(young, status=OrderStatus.OPEN, accepted_ns=7)
    assert quoting().plan((), (accepted,), 7).cancels == ((accepted, "asked again"),)
    at_once = replace(accepted, accepted_ns=5)  # accepted, and by that very step cancelled: nothing was overtaken
    assert quoting().plan((), (at_once,), 7).cancels == ()


def test_slot_waits_longer_after_each_no_and_forgets_on_acceptance() -> None:
    planner = quoting(ops_per_s=1000, burst=1000)
    pending = working(BUY, status=OrderStatus.PENDING)
    denied = replace(pending, status=OrderStatus.DENIED)
    now_ns = 0
    for wait_s in (1, 2, 4, 8, 15, 15):
        planner.on_change(pending, denied, now_ns)
        assert planner.plan((BUY,), (), now_ns + wait_s * S - 1).places == ()
        now_ns += wait_s * S
        assert planner.plan((BUY,), (), now_ns).places == (BUY,)
    assert planner.plan((SELL,), (), 0).places == (SELL,)  # another slot does not wait
    planner.on_change(pending, replace(pending, status=OrderStatus.OPEN, accepted_ns=now_ns), now_ns)
    planner.on_change(pending, denied, now_ns)
    assert planner.plan((BUY,), (), now_ns + S).places == (BUY,)


def test_order_that_ended_by_itself_is_not_repeated_at_once() -> None:
    planner = quoting(ops_per_s=1000, burst=1000)
    order = working(TAKE)
    planner.on_change(order, replace(order, status=OrderStatus.PARTIALLY_CANCELLED), 0)
    assert planner.plan((TAKE,), (), 199 * MS).places == ()
    assert planner.plan((TAKE,), (), 200 * MS).places == (TAKE,)


def test_order_that_got_lost_on_its_way_is_no_refusal() -> None:
    planner = quoting()
    pending = working(BUY, status=OrderStatus.PENDING)
    for now_ns in (0, S, 2 * S, 3 * S):
        planner.on_change(pending, replace(pending, status=OrderStatus.NOT_SENT), now_ns)
        assert planner.plan((BUY,), (), now_ns + 199 * MS).places == ()
        assert planner.plan((BUY,), (), now_ns + 200 * MS).places == (BUY,)
    unknown = working(BUY, status=OrderStatus.UNKNOWN)  # the venue never had it: whoever asked waited for that
    planner.on_change(unknown, replace(unknown, status=OrderStatus.NOT_SENT), 4 * S)
    assert planner.plan((BUY,), (), 5 * S - 1).places == ()


def test_pauses_are_forgotten_when_trading_is_switched_on() -> None:
    planner = quoting()
    pending = working(BUY, status=OrderStatus.PENDING)
    planner.on_change(pending, replace(pending, status=OrderStatus.REJECTED), 0)
    planner.forget_pauses()
    assert planner.plan((BUY,), (), 1).places == (BUY,)


def test_exit_follows_a_falling_price_however_often_the_bid_ends_and_comes_back() -> None:
    planner = quoting()
    working_orders: dict[Side, OwnOrder] = {}
    touch, moves, bids = 10_000, 0, 0
    for second in range(60):
        now_ns, touch = second * S, touch - 1
        bid = BUY._replace(price_ticks=touch - 5, requote=Requote(S, 1))
        ask = SELL._replace(price_ticks=touch + 5, requote=Requote(S, 1))
        old_bid = working_orders.get(Side.BUY)
        is_bid_wanted = old_bid is None or old_bid.price_ticks <= bid.price_ticks + 1  # market_maker's "too generous"
        for _ in range(2):  # the look itself, and the one after the cancels were answered
            desired = (bid, ask) if is_bid_wanted else (ask,)
            plan = planner.plan(desired, tuple(working_orders.values()), now_ns)
            for order, reason in plan.cancels:
                del working_orders[order.side]
                moves += reason == "moved" and order.side is Side.SELL
            for quote in plan.places:
                working_orders[quote.side] = working(quote, now_ns)
                bids += quote.side is Side.BUY
    assert moves >= 10  # 30 + 6 operations in all, two a move
    assert bids >= 1  # before the ask needed them


def test_entry_waits_while_an_exit_waits_for_the_budget() -> None:
    planner = quoting(ops_per_s=0.5, burst=2)
    planner.plan((BUY, SELL), (), 0)
    order = working(SELL)
    lower = SELL._replace(price_ticks=105)
    held = planner.plan((BUY, lower), (order,), 3 * S)  # one operation and a half: a placement, but no move
    assert (held.cancels, held.places, held.is_held_back) == ((), (), True)
    assert planner.plan((BUY, lower), (order,), 4 * S).cancels == ((order, "moved"),)
    leaving = replace(order, cancel_requested_ns=4 * S, status=OrderStatus.CANCELLING)
    assert planner.plan((BUY, lower), (leaving,), 4 * S + 1).places == ()  # it is the successor's
    assert planner.plan((BUY, lower), (), 4 * S + 2).places == (lower,)


def test_exit_is_placed_before_an_entry_when_one_operation_is_left() -> None:
    planner = quoting(ops_per_s=0.5, burst=2)
    planner.plan((BUY,), (), 0)
    assert planner.plan((BUY, SELL), (), 0).places == (SELL,)


@pytest.mark.parametrize("quote", [TAKE, SELL._replace(price_ticks=100)], ids=["taker", "passive"])
def test_exit_that_would_meet_our_own_buy_waits_for_its_end(quote: DesiredQuote) -> None:
    planner, entry = quoting(), working(BUY)
    first = planner.plan((quote,), (entry,), 2 * S)
    assert (first.cancels, first.places) == (((entry, "not wanted"),), ())
    ending = replace(entry, status=OrderStatus.CANCELLING, cancel_requested_ns=2 * S, cancel_first_ns=2 * S)
    assert planner.plan((quote,), (ending,), 3 * S - 1).places == ()
    assert planner.plan((quote,), (), 3 * S - 1).places == (quote,)


def test_exit_does_not_wait_for_ever_for_our_own_buy() -> None:
    entry = replace(working(BUY), status=OrderStatus.CANCELLING, cancel_requested_ns=2 * S, cancel_first_ns=2 * S)
    assert quoting().plan((TAKE,), (entry,), 2 * S + SELF_TRADE_PATIENCE_NS).places == (TAKE,)


def test_exit_waits_for_our_own_buy_once_however_often_its_cancel_is_repeated() -> None:
    orders, planner, entry = OwnOrders(), quoting(), working(BUY)
    name = entry.client_order_id
    orders.add(OrderIntent(name, "A", Side.BUY, OrderType.LIMIT_MAKER, 100, 50, Purpose.ENTRY, 0, S, 1, ""))
    orders.on_event(OrderAccepted("A", name, "v1", S), S)
    for now_ns in (2 * S, 2 * S + CANCEL_RETRY_NS):  # the venue is sick: no cancel is answered
        orders.request_cancel(name, now_ns)
    for waited_ns in (0, SELF_TRADE_PATIENCE_NS // 2):
        assert planner.plan((TAKE,), orders.active, 2 * S + CANCEL_RETRY_NS + waited_ns).places == (TAKE,)


def test_buy_that_is_wanted_makes_way_for_an_exit_that_would_meet_it() -> None:
    entry = working(BUY)
    plan = quoting().plan((BUY, TAKE), (entry,), S)
    assert [order for order, _ in plan.cancels] == [entry]
    assert plan.places == ()


def test_buy_is_not_placed_beside_an_exit_that_it_would_meet() -> None:
    assert quoting().plan((BUY, TAKE), (), S).places == (TAKE,)


def test_exit_above_our_own_buy_does_not_wait() -> None:
    assert quoting().plan((BUY, SELL), (working(BUY),), S).places == (SELL,)
