"""Exits of the house: what is sold when no strategy can be asked, without proof or without asks."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.engine_desk import EAGER, Desk, config, engine
from tests.market_scenes import MS, SYMBOL, S, delta, instrument, snapshot, trade
from trading.engine.bootstrap import SymbolBootstrap
from trading.engine.matching_models import DEFAULT_LATENCY
from trading.engine.messages import DrainRequested, PlaceOrder, TimerFired
from trading.model.market import BestQuote, BookState, FeedConnected, FeedDisconnected, Side
from trading.model.orders import OrderType
from trading.model.position import Position

BIDS = [(9_990, 1_000), (9_980, 5_000)]
ASKS = [(10_010, 1_000), (10_020, 5_000)]


def proven(desk: Desk) -> Desk:
    """Connect, and prove a book of 20 bps around 100.00 at version 2."""
    desk.play(FeedConnected(SYMBOL, S), S)
    desk.play(snapshot(BIDS, ASKS, version=1, at_ns=S), S)
    desk.play(delta(2, at_ns=S), S)
    return desk


def bought(desk: Desk) -> Desk:
    """Let the entry of a proven desk be filled whole."""
    (order,) = desk.intents
    desk.play(trade(order.price_ticks, order.qty_lots, Side.SELL, S), S)
    return desk


def test_long_without_proof_sells_after_a_while_against_a_fresh_ticker_only() -> None:
    desk = bought(proven(Desk(engine(config({**EAGER, "risk_unproven_exit_after_s": "10"})))))
    desk.is_withholding = False
    desk.play(FeedDisconnected(SYMBOL, "cut", 2 * S), 2 * S)
    count = len(desk.intents)
    desk.play(TimerFired(13 * S), 13 * S)
    assert len(desk.intents) == count
    assert "exit_waits_for_a_quote" in desk.note_names()
    desk.play(BestQuote(SYMBOL, 0, (9_970, 5), (9_990, 5), 14 * S, 14 * S), 14 * S)
    actions = desk.engine.step(TimerFired(14 * S), 14 * S)
    (place,) = [action for action in actions if isinstance(action, PlaceOrder)]
    assert (place.intent.type, place.intent.price_ticks) == (OrderType.IOC, 9_921)


def test_long_without_proof_holds_when_told_to() -> None:
    desk = bought(proven(Desk(engine(config({**EAGER, "risk_unproven_exit_after_s": "0"})))))
    desk.play(FeedDisconnected(SYMBOL, "cut", 2 * S), 2 * S)
    count = len(desk.intents)
    for second in range(3, 300):
        desk.play(BestQuote(SYMBOL, 0, (9_970, 5), (9_990, 5), second * S, second * S), second * S)
        desk.play(TimerFired(second * S), second * S)
    assert len(desk.intents) == count


ASKS_GONE = [(10_010, 0), (10_020, 0)]


@pytest.mark.parametrize("patience_s", ["0", "30"])
def test_long_when_the_asks_vanish_is_sold_at_once_to_the_proven_bid(patience_s: str) -> None:
    desk = bought(proven(Desk(engine(config({**EAGER, "risk_unproven_exit_after_s": patience_s})))))
    desk.play(delta(3, asks=ASKS_GONE, at_ns=2 * S), 2 * S)
    assert desk.engine.view().book_state is BookState.PROVEN
    order = desk.intents[-1]
    assert (order.side, order.type) == (Side.SELL, OrderType.IOC)
    assert dict(order.decision)["reason"] == "market_maker_gone"
    assert order.price_ticks == 9_941  # 9940.05, rounded up
    assert desk.engine.view().held_lots == 0
    assert desk.engine.view().current_refusals == ("one_sided_book",)


def test_draining_long_is_not_sold_because_the_asks_vanish() -> None:
    desk = bought(proven(Desk(engine(config(EAGER)))))
    desk.play(DrainRequested(False, 2 * S), 2 * S)
    count = len(desk.intents)
    desk.play(delta(3, asks=ASKS_GONE, at_ns=3 * S), 3 * S)
    assert len(desk.intents) == count


LARGEST = Decimal(30)


def long_above_the_largest_order(largest: Decimal = LARGEST, **params: str) -> Desk:
    """Hold 95 quote units of an instrument whose orders may be worth 30."""
    listed = replace(instrument(), max_notional=largest)
    made = replace(config({**EAGER, "risk_unproven_exit_after_s": "10", **params}), instrument=listed)
    return Desk(engine(made, SymbolBootstrap(Position(SYMBOL, qty=Decimal("0.95"), cost=Decimal(95)))))


def sold(desk: Desk) -> list[int]:
    """Lots of each sale; no order was worth more than the venue takes."""
    assert all(instrument().notional(order.price_ticks, order.qty_lots) <= LARGEST for order in desk.intents)
    return [fill.qty_lots for fill in desk.fills if fill.side is Side.SELL]


def test_flatten_above_the_largest_order_goes_out_in_parts() -> None:
    desk = proven(long_above_the_largest_order())
    desk.play(DrainRequested(True, S), S)
    for tenth in range(1, 40):
        desk.play(TimerFired(S + tenth * S // 10), S + tenth * S // 10)
    assert (sum(sold(desk)), desk.engine.view().held_lots, desk.engine.view().is_drained) == (950, 0, True)
    assert len(sold(desk)) == 4


def test_passive_exit_above_the_largest_order_keeps_the_place_of_a_part_that_has_filled_in_part() -> None:
    desk = proven(long_above_the_largest_order())
    (first,) = desk.intents
    assert first.type is OrderType.LIMIT_MAKER
    assert first.price_ticks * first.qty_lots <= 3_000_000 < first.price_ticks * (first.qty_lots + 1)
    desk.play(trade(first.price_ticks, first.qty_lots // 2, Side.BUY, 2 * S), 2 * S)
    for tenth in range(1, 20):
        desk.play(TimerFired(2 * S + tenth * S // 10), 2 * S + tenth * S // 10)
    assert (desk.cancels, len(desk.intents)) == ([], 1)
    assert 0 < sum(sold(desk)) < first.qty_lots


def test_part_of_a_passive_exit_heeds_its_requote_rules_when_its_price_goes_up() -> None:
    """At a higher price a part has to be smaller: no reason to give up the place of the one that works."""
    largest = Decimal("30.027")  # 300 lots at 100.09, and 299 a tick above it
    desk = proven(long_above_the_largest_order(largest, requote_min_ticks="5", requote_min_age_ms="0", patience_s="0"))
    (first,) = desk.intents
    assert (first.price_ticks, first.qty_lots) == (10_009, 300)
    for tick in range(1, 5):
        best = ASKS[0][0] + tick - 1
        desk.play(delta(2 + tick, asks=[(best, 0), (best + 1, 1_000)], at_ns=S + tick), S + tick)
    assert (desk.cancels, desk.intents) == ([], [first])
    desk.play(delta(7, asks=[(ASKS[0][0] + 4, 0)], at_ns=2 * S), 2 * S)  # now it is worth a move
    desk.play(TimerFired(2 * S), 2 * S)
    assert desk.cancels == [first.client_order_id]
    assert (desk.intents[1].price_ticks, desk.intents[1].qty_lots) == (10_019, 299)


def test_sale_without_proof_above_the_largest_order_goes_out_in_parts() -> None:
    desk = proven(long_above_the_largest_order())
    desk.play(FeedDisconnected(SYMBOL, "cut", 2 * S), 2 * S)
    desk.play(BestQuote(SYMBOL, 0, (9_970, 5), (9_990, 5), 14 * S, 14 * S), 14 * S)
    desk.play(TimerFired(14 * S), 14 * S)
    order = desk.intents[-1]
    assert order.type is OrderType.IOC
    assert 2_900_000 < order.price_ticks * order.qty_lots <= 3_000_000


@pytest.mark.parametrize("has_quote", [True, False])
def test_stop_under_way_when_the_line_is_lost_meets_the_fresh_ticker_or_nothing(has_quote: bool) -> None:
    """Never the book that comes back after the hole, whatever it would pay."""
    params = {**EAGER, "min_hold_ms": "0", "min_depth_quote": "0"}
    desk = bought_later(Desk(engine(config(params, latency=DEFAULT_LATENCY))))
    start_ns = 10 * S
    if has_quote:
        desk.play(BestQuote(SYMBOL, 0, (9_950, 1_000), (10_010, 5), start_ns, start_ns), start_ns)
    desk.play(delta(3, bids=[(9_990, 0), (9_980, 0), (9_950, 1_000)], at_ns=start_ns), start_ns)
    desk.play(TimerFired(start_ns + 40 * MS), start_ns + 40 * MS)
    (stop,) = [order for order in desk.intents if order.type is OrderType.IOC]
    desk.play(FeedDisconnected(SYMBOL, "cut", start_ns + 41 * MS), start_ns + 41 * MS)
    for step in range(1, 8):
        desk.play(TimerFired(start_ns + 41 * MS + step * 100 * MS), start_ns + 41 * MS + step * 100 * MS)
    got = [(fill.price_ticks, fill.qty_lots) for fill in desk.fills if fill.side is Side.SELL]
    assert got == ([(9_950, stop.qty_lots)] if has_quote else [])
    end_ns = start_ns + 30 * S
    desk.play(FeedConnected(SYMBOL, end_ns), end_ns)
    desk.play(snapshot([(10_100, 1_000)], [(10_120, 1_000)], version=50, at_ns=end_ns), end_ns)
    desk.play(delta(51, at_ns=end_ns), end_ns)
    desk.play(TimerFired(end_ns + 20 * MS), end_ns + 20 * MS)  # no order of this book has arrived yet
    assert [fill.price_ticks for fill in desk.fills if fill.side is Side.SELL] == [price for price, _ in got]


def bought_later(desk: Desk) -> Desk:
    """As `bought`, where orders take their time to the venue."""
    proven(desk).play(TimerFired(S + 100 * MS), S + 100 * MS)
    (order,) = desk.intents
    desk.play(trade(order.price_ticks, 5_000, Side.SELL, 2 * S), 2 * S)
    desk.play(TimerFired(2 * S + 100 * MS), 2 * S + 100 * MS)
    return desk


def test_flatten_without_proof_is_tried_again_ever_more_seldom_while_nobody_bids_enough() -> None:
    desk = bought(proven(Desk(engine(config(EAGER)))))
    desk.play(FeedDisconnected(SYMBOL, "cut", 2 * S), 2 * S)
    desk.play(DrainRequested(True, 2 * S), 2 * S)
    count = len(desk.intents)
    tries: list[int] = []
    for step in range(60):
        now_ns = 3 * S + step * 100 * MS
        desk.play(BestQuote(SYMBOL, 0, (9_970, 5), (9_990, 5), now_ns, now_ns), now_ns)
        desk.play(TimerFired(now_ns), now_ns)
        tries += [step] * (len(desk.intents) - count)
        count = len(desk.intents)
    assert tries == [0, 2, 4, 8, 16, 26, 36, 46, 56]  # five lots at once, then 200, 400, 800 ms, and each second
    assert desk.engine.view().held_lots == desk.fills[0].qty_lots - 5
