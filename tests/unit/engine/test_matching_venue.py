"""The paper venue: arrivals, fills, ends, latency, and what it says about them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.market_scenes import MS, SYMBOL, S, book, delta, instrument, intent, trade
from tests.unit.engine.matching_desk import fills, statuses, venue_on
from trading.engine.book import Book
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import NO_LATENCY, LatencyModel
from trading.model.market import BookSnapshot, Side
from trading.model.orders import (
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceRejected,
    VenueTrade,
)

BUY, SELL = Side.BUY, Side.SELL


def test_order_resting_behind_a_queue_fills_with_the_excess_of_a_trade() -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 100)]))
    venue.place(intent("a", BUY, 9_999, 50), 0)
    venue.on_trade(trade(9_999, 90, SELL), 1)
    assert fills(venue.drain_events()) == []
    venue.on_trade(trade(9_999, 30, SELL), 2)
    events = venue.drain_events()
    assert fills(events) == [(9_999, 20, True)]
    assert statuses(events) == [OrderStatus.PARTIALLY_FILLED]


def test_order_below_the_snapshot_has_an_unknown_queue_until_somebody_names_it() -> None:
    market = Book(SYMBOL)
    market.apply_snapshot(BookSnapshot(SYMBOL, 1, ((9_999, 100),), ((10_001, 100),), 0, 0, bid_cut=9_999))
    venue = venue_on(market)
    venue.place(intent("a", BUY, 9_990, 50), 0)
    market.apply_delta(delta(2, asks=[(10_002, 7)], at_ns=1))
    venue.on_book(market, 1)  # says nothing of that price
    venue.on_trade(trade(9_990, 5, SELL), 2)
    assert fills(venue.drain_events()) == []
    market.apply_delta(delta(3, bids=[(9_990, 20)], at_ns=3))
    venue.on_book(market, 3)
    venue.on_trade(trade(9_990, 25, SELL), 4)
    assert fills(venue.drain_events()) == [(9_990, 5, True)]


def test_order_at_a_better_price_than_the_trade_fills_up_to_its_size() -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 100)]))
    venue.place(intent("a", BUY, 9_999, 50), 0)
    venue.on_trade(trade(9_998, 30, SELL), 1)
    assert fills(venue.drain_events()) == [(9_999, 30, True)]


def test_trade_of_the_other_taker_side_fills_nothing() -> None:
    venue = venue_on(book([(9_999, 1)], [(10_001, 100)]))
    venue.place(intent("a", BUY, 9_999, 50), 0)
    venue.on_trade(trade(9_999, 500, BUY), 1)
    assert fills(venue.drain_events()) == []


def test_trade_older_than_the_market_we_joined_fills_nothing() -> None:
    market = book([(9_999, 0)], [(10_001, 100)])
    market.exch_ts_ns = 1_000
    venue = PaperVenue(instrument(), latency=NO_LATENCY)
    venue.on_book(market, 1_000)
    venue.place(intent("a", BUY, 9_999, 50), 1_000)
    venue.on_trade(trade(9_998, 50, SELL, exch_ts_ns=999), 1_001)
    assert fills(venue.drain_events()) == []
    venue.on_trade(trade(9_998, 50, SELL, exch_ts_ns=1_000), 1_002)
    assert fills(venue.drain_events()) == [(9_999, 50, True)]


def test_two_orders_at_one_price_share_a_trade_oldest_first() -> None:
    venue = venue_on(book([(9_998, 5)], [(10_001, 100)]))
    venue.place(intent("a", BUY, 9_999, 50), 0)
    venue.place(intent("b", BUY, 9_999, 50), 0)
    venue.on_trade(trade(9_999, 70, SELL), 1)
    assert fills(venue.drain_events()) == [(9_999, 50, True), (9_999, 20, True)]


def test_opposite_best_that_comes_to_our_price_fills_its_displayed_size_once() -> None:
    market = book([(9_990, 5)], [(10_001, 100)])
    venue = venue_on(market)
    venue.place(intent("a", BUY, 9_999, 50), 0)
    market.apply_delta(delta(2, asks=[(9_998, 30)]))
    venue.on_book(market, 1)
    venue.on_book(market, 2)
    assert fills(venue.drain_events()) == [(9_999, 30, True)]
    market.apply_delta(delta(3, asks=[(9_998, 31)]))
    venue.on_book(market, 3)
    assert fills(venue.drain_events()) == [(9_999, 1, True)], "what was added"


def test_level_that_vanishes_is_not_a_fill() -> None:
    market = book([(9_999, 100)], [(10_001, 100)])
    venue = venue_on(market)
    venue.place(intent("a", BUY, 9_999, 50), 0)
    market.apply_delta(delta(2, bids=[(9_999, 0)]))
    venue.on_book(market, 10 * S)
    assert fills(venue.drain_events()) == []


def test_post_only_order_that_would_take_ends_without_a_fill() -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 100)]))
    answer = venue.place(intent("a", BUY, 10_001, 50, OrderType.LIMIT_MAKER), 0)
    assert isinstance(answer, PlaceAccepted)
    events = venue.drain_events()
    assert statuses(events) == [OrderStatus.CANCELLED]
    assert fills(events) == []


def test_immediate_order_walks_the_book_and_ends_the_rest() -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 20), (10_003, 20), (10_009, 100)]))
    venue.place(intent("a", BUY, 10_003, 50, OrderType.IOC), 0)
    events = venue.drain_events()
    assert fills(events) == [(10_001, 20, False), (10_003, 20, False)]
    assert statuses(events)[-1] is OrderStatus.PARTIALLY_CANCELLED
    done = venue.order("a")
    assert done is not None
    assert done.filled_quote == Decimal("100.01") * Decimal("0.020") + Decimal("100.03") * Decimal("0.020")


def test_fill_or_kill_that_cannot_fill_ends_untouched() -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 20), (10_003, 20)]))
    venue.place(intent("a", BUY, 10_003, 41, OrderType.FOK), 0)
    assert fills(venue.drain_events()) == []
    venue.place(intent("b", BUY, 10_003, 40, OrderType.FOK), 1)
    assert fills(venue.drain_events()) == [(10_001, 20, False), (10_003, 20, False)]


def test_takers_use_up_what_a_level_shows_and_get_of_it_only_what_is_added() -> None:
    market = book([(9_999, 100)], [(10_001, 20), (10_003, 20)])
    venue = venue_on(market)
    venue.place(intent("a", BUY, 10_001, 15, OrderType.IOC), 0)
    venue.place(intent("b", BUY, 10_003, 15, OrderType.IOC), 1)
    assert fills(venue.drain_events()) == [(10_001, 15, False), (10_001, 5, False), (10_003, 10, False)]
    for number, (displayed, left) in enumerate([(25, 5), (20, 0), (12, 0), (20, 8), (0, 0), (20, 20)]):
        market.apply_delta(delta(2 + number, asks=[(10_001, displayed)]))
        venue.on_book(market, 2 + number)
        venue.place(intent(f"c{number}", BUY, 10_001, 25, OrderType.IOC), 3 + number)
        assert sum(lots for _, lots, _ in fills(venue.drain_events())) == left, displayed


def test_resting_order_at_a_flickering_level_is_filled_by_what_was_ever_added_alone() -> None:
    market = book([(9_999, 100)], [(10_002, 20)])
    venue = venue_on(market)
    venue.place(intent("a", BUY, 10_000, 100, OrderType.LIMIT_MAKER), 0)
    venue.drain_events()
    for number in range(10):
        market.apply_delta(delta(2 + number, asks=[(10_000, 10 if number % 2 == 0 else 9)]))
        venue.on_book(market, 2 + number)
    assert sum(lots for _, lots, _ in fills(venue.drain_events())) == 10 + 4 * 1


def test_order_takes_effect_after_the_legs_and_is_reported_after_the_answer_leg() -> None:
    latency = LatencyModel(feed_ns=10 * MS, entry_ns=20 * MS, response_ns=25 * MS)
    market = book([(9_990, 5)], [(10_001, 100)])
    venue = venue_on(market, latency)
    venue.place(intent("a", BUY, 9_999, 50), 100 * MS)
    assert venue.next_due_ns == 130 * MS
    venue.on_trade(trade(9_998, 50, SELL), 129 * MS)  # it is not there yet
    venue.on_trade(trade(9_998, 50, SELL), 131 * MS)
    assert venue.drain_events() == ()
    venue.on_timer(145 * MS)
    assert statuses(venue.drain_events()) == [OrderStatus.OPEN]
    venue.on_timer(146 * MS)
    (report, word) = venue.drain_events()
    assert isinstance(report, VenueTrade)
    assert (report.fill.exch_ts_ns, report.fill.recv_ts_ns) == (131 * MS, 146 * MS)
    assert statuses((word,)) == [OrderStatus.FILLED]


def test_order_meets_the_book_of_its_arrival_not_of_the_next_event() -> None:
    latency = LatencyModel(0, 10 * MS, 0)
    market = book([(9_999, 5)], [(10_001, 100)])
    venue = venue_on(market, latency)
    venue.place(intent("a", BUY, 10_001, 50, OrderType.IOC), 0)
    venue.on_timer(20 * MS)
    market.apply_delta(delta(2, asks=[(10_001, 0), (10_009, 5)]))
    venue.on_book(market, 20 * MS)
    assert fills(venue.drain_events()) == [(10_001, 50, False)]


def test_cancel_takes_effect_after_the_entry_leg_and_loses_to_an_earlier_fill() -> None:
    venue = venue_on(book([(9_990, 5)], [(10_001, 100)]), LatencyModel(0, 10 * MS, 0))
    venue.place(intent("a", BUY, 9_999, 50), 0)
    assert venue.cancel("a", 20 * MS)
    venue.on_trade(trade(9_999, 20, SELL), 29 * MS)
    venue.on_trade(trade(9_999, 30, SELL), 30 * MS)
    events = venue.drain_events()
    assert fills(events) == [(9_999, 20, True)]
    assert statuses(events)[-1] is OrderStatus.PARTIALLY_CANCELLED
    assert not venue.cancel("a", 40 * MS)


def test_repeated_placement_changes_nothing() -> None:
    venue = venue_on(book([(9_990, 5)], [(10_001, 100)]))
    first = venue.place(intent("a", BUY, 9_999, 50), 0)
    again = venue.place(intent("a", BUY, 9_999, 50), 5)
    assert isinstance(first, PlaceAccepted)
    assert isinstance(again, PlaceAccepted)
    assert len(venue.open_orders()) == 1
    venue.on_trade(trade(9_999, 500, SELL), 6)
    assert fills(venue.drain_events()) == [(9_999, 50, True)]
    venue.place(intent("a", BUY, 9_999, 50), 7)
    assert venue.open_orders() == ()


@pytest.mark.parametrize("bad", [intent("a", BUY, 9_999, 0), intent("a", BUY, 9_999, 9), intent("a", BUY, 0, 50)])
def test_order_that_no_venue_would_take_is_rejected_for_good(bad: object) -> None:
    venue = venue_on(book([(9_990, 5)], [(10_001, 100)]))
    first = venue.place(bad, 0)  # type: ignore[arg-type]
    assert isinstance(first, PlaceRejected)
    assert venue.place(bad, 1) == first  # type: ignore[arg-type]
    assert venue.order("a") is None


def test_fill_carries_fee_in_quote_at_the_rate_of_its_role() -> None:
    venue = PaperVenue(instrument(maker="0.0001", taker="0.0005"), latency=NO_LATENCY)
    venue.on_book(book([(9_999, 5)], [(10_001, 100)]), 0)
    venue.place(intent("a", BUY, 10_001, 100, OrderType.IOC), 0)
    venue.place(intent("b", SELL, 10_001, 100), 1)
    venue.on_trade(trade(10_002, 200, BUY), 2)
    taken, made = (event.fill for event in venue.drain_events() if isinstance(event, VenueTrade))
    assert (taken.fee, taken.fee_asset) == (Decimal("10.001") * Decimal("0.0005"), "BBB")
    assert made.fee == Decimal("10.001") * Decimal("0.0001")
    assert made.symbol == SYMBOL


def test_order_in_a_quiet_book_is_not_filled_by_a_trade_older_than_its_arrival() -> None:
    venue = PaperVenue(instrument(), latency=LatencyModel(10 * MS, 15 * MS, 15 * MS))
    market = book([(9_990, 50)], [(10_010, 40)])
    market.exch_ts_ns = 1_000 * MS  # stamps come 10 ms late at least; nothing moves after this
    venue.on_book(market, 1_010 * MS)
    venue.place(intent("a", BUY, 9_991, 100), 5_000 * MS)  # at the venue at 5,015 of its time
    venue.on_timer(5_025 * MS)
    venue.on_trade(trade(9_990, 8, SELL, 5_060 * MS, 5_014 * MS), 5_060 * MS)
    assert fills(venue.drain_events()) == []
    venue.on_trade(trade(9_990, 8, SELL, 5_110 * MS, 5_015 * MS), 5_110 * MS)  # told late, but it met us
    venue.on_timer(6 * S)
    assert fills(venue.drain_events()) == [(9_991, 8, True)]


@pytest.mark.parametrize("offset_s", [-3_600, -1, 0, 1, 3_600])
def test_clocks_that_are_apart_do_not_change_which_trades_met_an_order(offset_s: int) -> None:
    venue = PaperVenue(instrument(), latency=LatencyModel(10 * MS, 15 * MS, 15 * MS))
    market, base_ns = book([(9_990, 50)], [(10_010, 40)]), 10_000 * S
    market.exch_ts_ns = base_ns + offset_s * S
    venue.on_book(market, base_ns + 10 * MS)
    venue.place(intent("a", BUY, 9_991, 100), base_ns + S)
    for late_ms, lots in ((-1, 3), (0, 5)):
        stamp_ns = base_ns + offset_s * S + S + (15 + late_ms) * MS
        venue.on_trade(trade(9_990, lots, SELL, base_ns + S + 60 * MS, stamp_ns), base_ns + S + 60 * MS)
    venue.on_timer(base_ns + 2 * S)
    assert fills(venue.drain_events()) == [(9_991, 5, True)]


def test_cancelled_order_is_filled_by_nothing_that_is_told_later() -> None:
    venue = PaperVenue(instrument(), latency=LatencyModel(10 * MS, 15 * MS, 15 * MS))
    market = book([(9_990, 50)], [(10_010, 40)])
    market.exch_ts_ns = 1_000 * MS
    venue.on_book(market, 1_010 * MS)
    venue.place(intent("a", BUY, 9_991, 100), 1_100 * MS)
    venue.cancel("a", 5_000 * MS)
    venue.on_trade(trade(9_990, 8, SELL, 5_020 * MS, 4_990 * MS), 5_020 * MS)  # told in time
    venue.on_trade(trade(9_990, 8, SELL, 5_080 * MS, 4_991 * MS), 5_080 * MS)  # told after the end was said
    venue.on_timer(6 * S)
    events = venue.drain_events()
    assert fills(events) == [(9_991, 8, True)]
    assert statuses(events)[-1] is OrderStatus.PARTIALLY_CANCELLED


@pytest.mark.parametrize(("stamp_ms", "left"), [(1_001, 20), (1_000, 100), (0, 100)])
def test_taker_finds_gone_what_a_trade_has_printed_and_the_depth_does_not_show_yet(stamp_ms: int, left: int) -> None:
    market = book([(9_999, 100)], [(10_001, 100)])
    market.exch_ts_ns = 1_000 * MS
    venue = venue_on(market)
    venue.on_trade(trade(10_001, 80, BUY, 1_010 * MS, stamp_ms * MS), 1_010 * MS)
    venue.place(intent("a", BUY, 10_001, 100, OrderType.IOC), 1_011 * MS)
    assert fills(venue.drain_events()) == [(10_001, left, False)]
    market.apply_delta(delta(2, asks=[(10_001, 101)], at_ns=1_002 * MS))
    venue.on_book(market, 1_020 * MS)
    venue.place(intent("b", BUY, 10_001, 101, OrderType.IOC), 1_021 * MS)
    assert fills(venue.drain_events()) == [(10_001, 101 - left, False)]


def test_taker_finds_gone_only_what_was_printed_after_the_venues_time_of_the_book() -> None:
    """Where trades run ahead of the depth, each push settles those up to its own time, and the younger wait."""
    market = book([(9_990, 1_000)], [(10_010, 1_000)])
    market.exch_ts_ns = S
    venue = venue_on(market)
    for beat in range(1, 31):
        at_ns = S + beat * 100 * MS
        venue.on_trade(trade(9_990, 50, SELL, at_ns, at_ns), at_ns)
        venue.on_trade(trade(9_990, 50, SELL, at_ns + 50 * MS, at_ns + 50 * MS), at_ns + 50 * MS)
        market.apply_delta(delta(1 + beat, bids=[(9_990, 1_000)], at_ns=at_ns + 20 * MS))
        venue.on_book(market, at_ns + 60 * MS)
    venue.place(intent("a", SELL, 9_990, 1_000, OrderType.IOC), 5 * S)
    assert fills(venue.drain_events()) == [(9_990, 950, False)]


def test_print_stamped_far_ahead_is_gone_for_no_longer_than_a_push_can_be_late() -> None:
    market = book([(9_990, 100)], [(10_010, 100)])
    market.exch_ts_ns = S
    venue = venue_on(market)
    venue.on_trade(trade(9_990, 80, SELL, S, 3_600 * S), S)
    for version, at_ns, left in ((2, S + 900 * MS, 20), (3, 2 * S + 1, 80)):
        market.apply_delta(delta(version, asks=[(10_010, 100 + version)], at_ns=at_ns))
        venue.on_book(market, at_ns)
        venue.place(intent(f"o{version}", SELL, 9_990, 100, OrderType.IOC), at_ns)
        assert fills(venue.drain_events()) == [(9_990, left, False)]


@pytest.mark.parametrize("is_depth_first", [False, True])
def test_own_order_behind_another_has_no_more_ahead_than_the_level_shows_whichever_is_told_first(
    is_depth_first: bool,
) -> None:
    market = book([(9_990, 5)], [(10_001, 100)])
    venue = venue_on(market)
    venue.place(intent("a", BUY, 9_998, 20), 0)
    market.apply_delta(delta(2, bids=[(9_998, 100)]))
    venue.on_book(market, S)
    venue.place(intent("b", BUY, 9_998, 200), S)
    for place in (0, 1):
        if (place == 0) is is_depth_first:
            market.apply_delta(delta(3, bids=[(9_998, 40)]))
            venue.on_book(market, 2 * S + place)
        else:
            venue.on_trade(trade(9_998, 60, SELL), 2 * S + place)  # 20 of it ours, in paper alone
    venue.on_trade(trade(9_998, 50, SELL), 3 * S)
    assert fills(venue.drain_events()) == [(9_998, 20, True), (9_998, 10, True)]
