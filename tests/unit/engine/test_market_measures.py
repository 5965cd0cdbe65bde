"""Measures of the market that do not depend on what is told first."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.engine_desk import EAGER, Desk, config, engine
from tests.market_scenes import MS, SYMBOL, S, delta, instrument, snapshot, trade
from trading.engine.accounting import book_fill
from trading.engine.edge import HORIZONS_NS
from trading.engine.strategy.measures import MarketMeasures
from trading.engine.strategy.protocol import OwnOrder
from trading.model.market import FeedConnected, Side
from trading.model.orders import Fill, OrderStatus, OrderType, Purpose


@pytest.mark.parametrize("is_depth_first", [False, True])
@pytest.mark.parametrize("apart_ms", [0, 5, 140])
def test_markout_of_a_trade_is_the_same_whether_its_depth_is_told_before_or_after_it(
    is_depth_first: bool, apart_ms: int
) -> None:
    measures = MarketMeasures()
    now_ns = S
    for _ in range(50):
        now_ns += 20 * S
        measures.before_book(now_ns)
        measures.on_book((9_999, 10), (10_001, 10), now_ns, now_ns - 10 * MS)
        stamp_ns = now_ns + S - 10 * MS
        for place in (0, 1):
            told_ns = now_ns + S + place * apart_ms * MS
            measures.before_book(told_ns)
            if (place == 0) is is_depth_first:
                measures.on_book((9_989, 10), (9_991, 10), told_ns, stamp_ns)
            else:
                measures.on_trade(trade(9_999, 10, Side.SELL, told_ns, stamp_ns), told_ns)
        measures.before_book(now_ns + 15 * S)
    for horizon_ns in HORIZONS_NS:
        if horizon_ns > apart_ms * MS:
            assert measures.markouts.estimate(Side.BUY, horizon_ns).mean_bps == pytest.approx(10.0)


def test_mid_before_a_moment_is_remembered_for_as_long_as_trades_are_late_and_forgotten_without_proof() -> None:
    measures = MarketMeasures()
    for second in range(1_000):
        measures.on_book((9_999 + second, 10), (10_001 + second, 10), second * S, second * S)
    assert measures.mid_before(999 * S) == 10_998.0
    assert measures.mid_before(1) == 10_998.0  # as far back as anything is remembered
    assert measures.mid_before(0) == measures.mid_before(1_000 * S) == 10_999.0
    measures.on_unproven()
    assert measures.mid_before(999 * S) == 0.0


def test_passive_share_of_exits_counts_lots_of_the_position_and_not_of_each_order() -> None:
    """100 lots, 90 sold passively and 10 by a taker: nine tenths, not one order of each."""
    desk = Desk(engine(config({**EAGER, "min_depth_quote": "0"})))
    desk.play(FeedConnected(SYMBOL, S), S)
    desk.play(snapshot([(9_990, 1_000)], [(10_010, 1_000)], 1, S), S)
    desk.play(delta(2, at_ns=S), S)
    (entry,) = desk.intents
    desk.play(trade(entry.price_ticks, 5_000, Side.SELL, S + 1), S + 1)
    held = desk.engine.view().held_lots
    exit_order = desk.intents[-1]
    passive = held * 9 // 10
    desk.play(trade(exit_order.price_ticks, passive, Side.BUY, 2 * S), 2 * S)
    assert desk.engine.view().held_lots == held - passive
    desk.play(delta(3, bids=[(9_990, 0), (9_900, 1_000)], at_ns=10 * S), 10 * S)  # the stop
    desk.play(delta(4, at_ns=11 * S), 11 * S)
    assert desk.engine.view().held_lots == 0
    mix = desk.engine._decider.measures.exit_mix
    assert mix.total == pytest.approx(1.0, abs=0.1)
    assert mix.maker_ratio(0.5, 0.0) == pytest.approx(passive / held, abs=0.01)


def test_exits_after_a_trip_that_left_dust_weigh_whole_trips_again() -> None:
    """A large trip that left dust does not make the exits of the small ones after it count for next to nothing."""
    made = engine(config({**EAGER, "min_depth_quote": "0"}))
    decider, pair, count = made._decider, instrument(), 0

    def trip(lots: int, left: int, is_maker: bool) -> None:
        nonlocal count
        for side, size in ((Side.BUY, lots), (Side.SELL, lots - left)):
            count += 1
            name = f"o{count}"
            value = pair.notional(10_000, size)
            fill = Fill(
                "paper", name, name, "v", SYMBOL, side, 10_000, size,
                value, Decimal(0), "BBB", is_maker, count * S, count * S,
            )  # fmt: skip
            purpose = Purpose.EXIT if side is Side.SELL else Purpose.ENTRY
            order = OwnOrder(name, side, OrderType.LIMIT, 10_000, size, size, purpose, OrderStatus.FILLED, 0, 0)
            decider.on_fill(fill, order, count * S)
            decider.set_position(book_fill(decider.position, fill, pair)[0])
            decider.judge_trip(count * S)

    trip(10_000, 5, is_maker=True)
    for _ in range(20):
        trip(100, 0, is_maker=False)
    mix = decider.measures.exit_mix
    assert mix.total == pytest.approx(14.8, abs=0.5)  # 21 whole exits, of which the last 20 count for more than half
    assert mix.maker_ratio(0.8, 0.0) < 0.05
