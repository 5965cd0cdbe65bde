"""The paper venue while nobody vouches for its book: who waits, who ends, and what a fresh quote allows."""

from __future__ import annotations

import pytest

from tests.market_scenes import MS, SYMBOL, S, book, instrument, intent, trade
from tests.unit.engine.matching_desk import fills, statuses, venue_on
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import NO_LATENCY, LatencyModel
from trading.model.market import BestQuote, Side
from trading.model.orders import (
    OrderStatus,
    OrderType,
    VenueOrder,
    VenueTrade,
)

BUY, SELL = Side.BUY, Side.SELL
TAKERS = [OrderType.IOC, OrderType.FOK, OrderType.MARKET]


def test_requeued_order_waits_for_a_book_and_goes_on_from_what_is_booked() -> None:
    venue = PaperVenue(instrument(), owner_epoch=4, latency=NO_LATENCY)
    venue.requeue(intent("a", BUY, 9_999, 50), 20, 0)
    assert [order.filled_lots for order in venue.open_orders()] == [20]
    venue.on_book(book([(9_999, 10)], [(10_001, 100)]), 5)
    venue.on_trade(trade(9_999, 100, SELL), 6)
    (report, word) = venue.drain_events()
    assert isinstance(report, VenueTrade)
    assert (report.fill.qty_lots, report.fill.trade_id, report.owner_epoch) == (30, "a.50", 4)
    assert isinstance(word, VenueOrder)
    assert word.status is OrderStatus.FILLED


def test_resting_order_that_arrives_without_a_proven_book_waits_and_can_be_cancelled() -> None:
    venue = venue_on(book([(9_999, 10)], [(10_001, 100)]))
    venue.on_book_lost(1)
    venue.place(intent("a", BUY, 9_999, 50, OrderType.LIMIT_MAKER), 2)
    assert venue.drain_events() == ()
    assert venue.cancel("a", 3)
    assert statuses(venue.drain_events()) == [OrderStatus.CANCELLED]


@pytest.mark.parametrize("type", TAKERS)
@pytest.mark.parametrize("side", list(Side))
def test_taker_that_arrives_without_a_proven_book_ends_and_never_fills_in_a_later_one(
    type: OrderType, side: Side
) -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 100)]), LatencyModel(0, 10 * MS, 0))
    venue.place(intent("a", side, 10_001 if side is BUY else 9_950, 50, type), 0)
    venue.on_book_lost(5 * MS)  # while it is on its way
    venue.on_timer(10 * MS)
    (word,) = venue.drain_events()
    assert isinstance(word, VenueOrder)
    assert (word.status, word.filled_lots, word.reason) == (OrderStatus.CANCELLED, 0, "no proven book to take from")
    venue.on_book(book([(10_100, 100)], [(10_101, 100)]), 40 * S)
    assert venue.drain_events() == ()
    assert venue.open_orders() == ()


def quote(bid: tuple[int, int] | None, at_ns: int) -> BestQuote:
    return BestQuote(SYMBOL, 0, bid, (9_990, 40), at_ns, at_ns)


@pytest.mark.parametrize("type", TAKERS)
def test_exit_without_a_proven_book_takes_what_a_fresh_quote_shows_and_no_more(type: OrderType) -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 100)]))
    venue.on_book_lost(S)
    venue.quote = quote((9_970, 30), 2 * S)
    venue.place(intent("a", SELL, 9_930, 50 if type is not OrderType.FOK else 30, type), 3 * S)
    assert fills(venue.drain_events()) == [(9_970, 30, False)]
    venue.quote = quote((9_970, 30), 4 * S)  # the same lots, which are gone for us
    venue.place(intent("b", SELL, 9_930, 20, type), 4 * S)
    assert fills(venue.drain_events()) == []
    venue.quote = quote((9_969, 30), 5 * S)
    venue.place(intent("c", SELL, 9_930, 20, type), 5 * S)
    assert fills(venue.drain_events()) == [(9_969, 20, False)]


@pytest.mark.parametrize(
    ("side", "type", "price_ticks", "shown", "at_ns"),
    [
        (BUY, OrderType.IOC, 9_999, (9_970, 30), 2 * S),  # an entry needs a proof
        (SELL, OrderType.LIMIT, 9_930, (9_970, 30), 2 * S),  # this one may wait
        (SELL, OrderType.IOC, 9_930, (9_970, 30), 4 * S + 1),  # too old
        (SELL, OrderType.IOC, 9_971, (9_970, 30), 2 * S),  # below its bound
        (SELL, OrderType.FOK, 9_930, (9_970, 30), 2 * S),  # less than all of it
        (SELL, OrderType.MARKET, 9_930, None, 2 * S),  # nobody bids
    ],
)
def test_quote_fills_nothing_but_a_bounded_exit(
    side: Side, type: OrderType, price_ticks: int, shown: tuple[int, int] | None, at_ns: int
) -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 100)]))
    venue.on_book_lost(S)
    venue.quote = quote(shown, 2 * S)
    venue.place(intent("a", side, price_ticks, 50, type), at_ns)
    assert fills(venue.drain_events()) == []


@pytest.mark.parametrize(("stamp_ns", "left"), [(2 * S + 1, 10), (2 * S, 30), (0, 30)])
def test_exit_finds_gone_what_was_printed_after_the_quote(stamp_ns: int, left: int) -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 100)]))
    venue.on_book_lost(S)
    venue.quote = quote((9_970, 30), 2 * S)
    venue.on_trade(trade(9_970, 20, SELL, 2 * S + MS, stamp_ns), 2 * S + MS)
    venue.place(intent("a", SELL, 9_930, 50, OrderType.IOC), 2 * S + 2 * MS)
    assert fills(venue.drain_events()) == [(9_970, left, False)]


def test_prints_of_before_the_hole_take_nothing_from_quotes_without_a_stamp() -> None:
    market = book([(9_990, 1_000)], [(10_010, 1_000)])
    market.exch_ts_ns = S
    venue = venue_on(market)
    venue.on_trade(trade(9_990, 900, SELL, S + MS, S + MS), S + MS)
    venue.on_book_lost(S + 2 * MS)
    venue.quote = BestQuote(SYMBOL, 0, (9_990, 800), (10_010, 5), 0, 2 * S)
    venue.place(intent("a", SELL, 9_950, 500, OrderType.IOC), 2 * S)
    assert fills(venue.drain_events()) == [(9_990, 500, False)]


@pytest.mark.parametrize("is_requeued", [False, True])
def test_limit_order_that_waited_for_its_book_is_given_nothing_better_than_its_price(is_requeued: bool) -> None:
    venue = venue_on(book([(9_999, 100)], [(10_001, 100)]))
    venue.on_book_lost(1)
    order = intent("a", SELL, 9_950, 50)
    if is_requeued:
        venue.requeue(order, 20, 2)
    else:
        venue.place(order, 2)
    venue.on_book(book([(10_100, 100)], [(10_101, 100)]), 40 * S)
    assert fills(venue.drain_events()) == [(9_950, 30 if is_requeued else 50, True)]


def test_requeued_post_only_order_that_the_market_has_passed_fills_at_its_own_price() -> None:
    venue = PaperVenue(instrument(), latency=NO_LATENCY)
    venue.requeue(intent("a", BUY, 9_999, 50, OrderType.LIMIT_MAKER), 0, 0)
    venue.on_book(book([(9_900, 100)], [(9_901, 30)]), S)  # it rested at the venue while the market fell through it
    assert fills(venue.drain_events()) == [(9_999, 30, True)]
