"""Exits of the house: what is sold when no strategy can be asked, without proof or without asks."""

from __future__ import annotations

import pytest

from tests.engine_desk import EAGER, Desk, config, engine
from tests.market_scenes import SYMBOL, S, delta, snapshot, trade
from trading.engine.messages import DrainRequested, PlaceOrder, TimerFired
from trading.model.market import BestQuote, BookState, FeedConnected, FeedDisconnected, Side
from trading.model.orders import OrderType

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
