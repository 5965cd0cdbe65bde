"""The live book without our own orders: when they begin to show, and what is left of each level."""

from __future__ import annotations

from tests.market_scenes import MS, SYMBOL, S, book, delta, intent
from trading.engine.others_book import SHOWN_AFTER_NS, BookOfOthers
from trading.engine.strategy.protocol import OwnOrder
from trading.model.market import Side
from trading.model.orders import OrderIntent, OrderStatus

BIDS, ASKS = [(99, 40), (98, 70)], [(101, 50)]


def own(order: OrderIntent, filled: int = 0, accepted_ns: int = 0) -> OwnOrder:
    return OwnOrder(
        order.client_order_id, order.side, order.type, order.price_ticks, order.qty_lots, filled, order.purpose,
        OrderStatus.OPEN, 0, 10 * S, accepted_ns=accepted_ns,
    )  # fmt: skip


def test_own_order_inside_the_spread_is_no_level_of_others() -> None:
    others, market, order = BookOfOthers(SYMBOL), book(BIDS, ASKS), intent("a", Side.BUY, 100, 7)
    others.expect(order, market)
    market.apply_delta(delta(2, bids=[(100, 7)], at_ns=S))
    others.look(market, (own(order),), S)
    assert others.best_bid == (99, 40)
    assert others.bids(2) == [(99, 40), (98, 70)]
    assert others.qty_at(Side.BUY, 100) == 0
    assert others.best_ask == (101, 50)


def test_own_order_is_taken_off_only_once_its_level_has_grown_by_it() -> None:
    others, market, order = BookOfOthers(SYMBOL), book(BIDS, ASKS), intent("a", Side.BUY, 99, 7)
    others.expect(order, market)
    others.look(market, (own(order),), S)
    market.apply_delta(delta(2, bids=[(99, 46)], at_ns=S))  # six more: not ours
    others.look(market, (own(order),), S)
    assert others.qty_at(Side.BUY, 99) == 46
    market.apply_delta(delta(3, bids=[(99, 53)], at_ns=S))
    others.look(market, (own(order),), S)
    assert others.qty_at(Side.BUY, 99) == 46
    others.look(market, (own(order, filled=5),), S)
    assert others.qty_at(Side.BUY, 99) == 51
    others.look(market, (), S)
    assert others.qty_at(Side.BUY, 99) == 53


def test_own_order_whose_coming_was_not_seen_is_taken_off_a_while_after_its_acceptance() -> None:
    others, market, order = BookOfOthers(SYMBOL), book(BIDS, ASKS), intent("a", Side.SELL, 101, 7)
    others.expect(order, market)
    market.apply_delta(delta(2, asks=[(101, 55)], at_ns=S))  # ours came as two of another's left
    working = own(order, accepted_ns=S)
    others.look(market, (working,), S + SHOWN_AFTER_NS - MS)
    assert others.qty_at(Side.SELL, 101) == 55
    others.look(market, (working,), S + SHOWN_AFTER_NS)
    assert others.qty_at(Side.SELL, 101) == 48


def test_order_of_a_former_owner_shows_from_the_first_look() -> None:
    others, market = BookOfOthers(SYMBOL), book(BIDS, ASKS)
    others.look(market, (own(intent("a", Side.SELL, 101, 50)),), S)
    assert others.best_ask is None
    assert others.asks(5) == []
    assert others.is_known(Side.SELL, 101)
