"""The venue's time by the least delay of its stamps: what one wrong stamp, or a clock that was set, does to it."""

from __future__ import annotations

import pytest

from tests.market_scenes import MS, S, book, instrument, intent, trade
from trading.engine.matching import PaperVenue
from trading.engine.matching_clock import WINDOW_NS, MarketClock
from trading.engine.matching_models import NO_LATENCY
from trading.model.market import Side
from trading.model.orders import VenueTrade

BASE = 1_000 * S


def clock(*delays_ms: int) -> MarketClock:
    """A clock that has seen stamps with these delays, one each 100 ms up to BASE."""
    made = MarketClock()
    for number, delay_ms in enumerate(delays_ms, start=1 - len(delays_ms)):
        now_ns = BASE + number * 100 * MS
        made.observe(now_ns - delay_ms * MS, now_ns)
    return made


@pytest.mark.parametrize(
    ("delays_ms", "delay_ms"),
    [
        ((30,), 30),
        ((30, 20, 40), 20),
        ((20, 30, -3_600_000, 25), 20),  # one stamp an hour ahead
        ((-3_600_000, 30, 20), 20),  # the first one
        ((20, 25, -3_600_000, -3_600_010), -3_600_010),  # a clock that was set: a second one bears it out
        ((2_000, 30, 35), 30),  # a first one that was held up
        ((600, 500, -400), -400),  # within a second: a fast way is no wrong stamp
    ],
)
def test_least_delay_counts_unless_one_stamp_alone_is_far_ahead(delays_ms: tuple[int, ...], delay_ms: int) -> None:
    now_ns = BASE + 5 * S
    assert clock(*delays_ms).at(now_ns) == now_ns - delay_ms * MS


def test_pieces_of_one_frame_do_not_bear_each_other_out() -> None:
    made = clock(20, 30)
    for _ in range(3):
        made.observe(BASE + 3_600 * S, BASE + S)
    assert made.at(BASE + S) == BASE + S - 20 * MS


def test_longer_way_is_learned_within_two_windows() -> None:
    made = clock(20, 25)
    for second in range(1, 2 * WINDOW_NS // S + 10):
        made.observe(BASE + second * S - 400 * MS, BASE + second * S)
    assert made.at(BASE + 200 * S) == BASE + 200 * S - 400 * MS


def test_clock_without_a_stamp_knows_nothing() -> None:
    made = MarketClock()
    made.observe(0, BASE)
    assert made.at(BASE) == 0


def test_order_is_filled_by_the_trades_that_follow_one_stamp_of_the_future() -> None:
    venue = PaperVenue(instrument(), latency=NO_LATENCY)
    market = book([(9_990, 50)], [(10_010, 40)])
    for beat in range(3):
        market.exch_ts_ns = BASE + beat * 100 * MS + (3_600 * S if beat == 2 else 0)
        venue.on_book(market, BASE + beat * 100 * MS + 10 * MS)
    venue.place(intent("a", Side.BUY, 9_991, 100), BASE + S)
    venue.on_trade(trade(9_991, 30, Side.SELL, BASE + 2 * S, BASE + 2 * S - 10 * MS), BASE + 2 * S)
    assert [event.fill.qty_lots for event in venue.drain_events() if isinstance(event, VenueTrade)] == [30]
