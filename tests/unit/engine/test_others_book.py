"""The live book without our own orders: when they begin and cease to show, and what is left of each level."""

from __future__ import annotations

from dataclasses import replace

from tests.market_scenes import MS, S, book, delta, intent
from trading.engine.book import Book
from trading.engine.others_book import SHOWN_AFTER_NS, BookOfOthers
from trading.engine.strategy.protocol import OwnOrder
from trading.model.market import Level, Side
from trading.model.orders import OrderStatus

BIDS, ASKS = [(99, 40), (98, 70)], [(101, 50)]


def own(name: str, side: Side, price: int, lots: int) -> OwnOrder:
    """An order as it was just decided."""
    made = intent(name, side, price, lots)
    return OwnOrder(name, side, made.type, price, lots, 0, made.purpose, OrderStatus.PENDING, 0, 10 * S)


class Scene:
    """A book with our orders in it, told as an engine tells it."""

    def __init__(self) -> None:
        self.market: Book = book(BIDS, ASKS)
        self.others = BookOfOthers(self.market)
        self.orders: dict[str, OwnOrder] = {}
        self.version = 1

    def decide(self, name: str, side: Side, price: int, lots: int) -> None:
        order = self.orders[name] = own(name, side, price, lots)
        self.others.expect(order)

    def change(self, name: str, status: OrderStatus, at_ns: int, filled: int = 0) -> None:
        before = self.orders.pop(name)
        accepted_ns = before.accepted_ns or (at_ns if status is OrderStatus.OPEN else 0)
        after = replace(before, status=status, filled_lots=filled or before.filled_lots, accepted_ns=accepted_ns)
        if not status.is_terminal:
            self.orders[name] = after
        self.others.on_change(before, after, at_ns)
        self.look(at_ns)

    def push(self, at_ns: int, bids: list[Level] | None = None, asks: list[Level] | None = None) -> None:
        self.version += 1
        self.market.apply_delta(delta(self.version, bids or [], asks or [], at_ns))
        self.look(at_ns)

    def look(self, at_ns: int) -> None:
        self.others.look(tuple(self.orders.values()), at_ns)

    def at(self, price: int, side: Side = Side.BUY) -> int:
        return self.others.qty_at(side, price)

    def show(self, name: str, price: int, lots: int) -> None:
        """Bring a bid of ours into the book at S."""
        self.decide(name, Side.BUY, price, lots)
        self.change(name, OrderStatus.OPEN, S)
        self.push(S + MS, bids=[(price, self.market.qty_at(Side.BUY, price) + lots)])


def test_own_order_inside_the_spread_is_no_level_of_others() -> None:
    scene = Scene()
    scene.decide("a", Side.BUY, 100, 7)
    scene.push(S, bids=[(100, 7)])
    assert scene.others.best_bid == (99, 40)
    assert scene.others.bids(2) == [(99, 40), (98, 70)]
    assert scene.at(100) == 0
    assert scene.others.best_ask == (101, 50)


def test_own_order_is_taken_off_only_once_its_level_has_grown_by_it() -> None:
    scene = Scene()
    scene.decide("a", Side.BUY, 99, 7)
    scene.look(S)
    scene.push(S, bids=[(99, 46)])  # six more: not ours
    assert scene.at(99) == 46
    scene.push(S, bids=[(99, 53)])
    assert scene.at(99) == 46


def test_accepted_order_larger_than_its_level_takes_nothing_off_before_it_shows() -> None:
    scene = Scene()
    scene.decide("a", Side.BUY, 99, 50)
    scene.change("a", OrderStatus.OPEN, S)
    assert scene.others.best_bid == (99, 40)
    scene.push(S + 10 * MS, bids=[(98, 71)])
    assert scene.others.best_bid == (99, 40)
    scene.look(S + SHOWN_AFTER_NS)  # whatever the clock says: a level of 40 does not hold our 50
    assert scene.others.best_bid == (99, 40)
    scene.push(S + 2 * SHOWN_AFTER_NS, bids=[(99, 90)])
    assert scene.others.best_bid == (99, 40)


def test_own_order_whose_coming_was_not_seen_is_taken_off_a_while_after_its_acceptance() -> None:
    scene = Scene()
    scene.decide("a", Side.SELL, 101, 7)
    scene.change("a", OrderStatus.OPEN, S)
    scene.push(S, asks=[(101, 55)])  # ours came as two of another's left
    scene.look(S + SHOWN_AFTER_NS - MS)
    assert scene.at(101, Side.SELL) == 55
    scene.look(S + SHOWN_AFTER_NS)
    assert scene.at(101, Side.SELL) == 48


def test_one_growth_is_not_taken_for_two_orders() -> None:
    scene = Scene()
    scene.decide("a", Side.BUY, 99, 7)
    scene.decide("b", Side.BUY, 99, 7)
    scene.push(S, bids=[(99, 47)])
    assert scene.at(99) == 40
    scene.push(S, bids=[(99, 54)])
    assert scene.at(99) == 40


def test_order_of_a_former_owner_shows_from_the_first_look() -> None:
    scene = Scene()
    scene.orders["a"] = replace(own("a", Side.SELL, 101, 50), status=OrderStatus.OPEN)
    scene.look(S)
    assert scene.others.best_ask is None
    assert scene.others.asks(5) == []
    assert scene.others.is_known(Side.SELL, 101)


def test_order_of_a_former_owner_that_was_never_sent_shows_nowhere() -> None:
    scene = Scene()
    scene.orders["a"] = own("a", Side.SELL, 101, 50)
    scene.look(S)
    assert scene.others.best_ask == (101, 50)


def test_what_has_ended_is_ours_until_its_level_has_shrunk_by_it() -> None:
    scene = Scene()
    scene.show("a", 100, 7)
    scene.change("a", OrderStatus.CANCELLED, 2 * S)  # the private line says it before the depth does
    assert scene.others.best_bid == (99, 40)
    scene.push(2 * S + 50 * MS, bids=[(100, 0)])
    scene.push(2 * S + 60 * MS, bids=[(100, 7)])  # another's
    assert scene.others.best_bid == (100, 7)


def test_what_has_traded_is_ours_until_its_level_has_shrunk_by_it() -> None:
    scene = Scene()
    scene.show("a", 99, 7)
    scene.change("a", OrderStatus.PARTIALLY_FILLED, 2 * S, filled=5)
    assert scene.at(99) == 40
    scene.push(2 * S + MS, bids=[(99, 42)])
    assert scene.at(99) == 40
    scene.change("a", OrderStatus.FILLED, 2 * S + 2 * MS, filled=7)
    assert scene.at(99) == 40
    scene.push(2 * S + 3 * MS, bids=[(99, 40)])
    assert scene.at(99) == 40


def test_what_has_ended_is_ours_for_a_while_only() -> None:
    scene = Scene()
    scene.show("a", 99, 7)
    scene.change("a", OrderStatus.CANCELLED, 2 * S)
    scene.push(2 * S + MS, bids=[(99, 44)])  # ours left as four of another's came
    assert scene.at(99) == 37
    scene.look(2 * S + SHOWN_AFTER_NS)
    assert scene.at(99) == 44


def test_level_smaller_than_what_we_had_there_is_others() -> None:
    scene = Scene()
    scene.show("a", 100, 50)
    scene.push(2 * S, bids=[(100, 9)])  # ours was taken, another stood behind it
    scene.change("a", OrderStatus.FILLED, 2 * S + MS, filled=50)  # and now it is said
    assert scene.others.best_bid == (100, 9)


def test_order_that_the_venue_refused_leaves_nothing_behind() -> None:
    scene = Scene()
    scene.decide("a", Side.BUY, 100, 7)
    scene.push(S, bids=[(100, 7)])  # another's, as it turns out
    scene.change("a", OrderStatus.REJECTED, S + MS)
    assert scene.others.best_bid == (100, 7)


def test_successor_at_the_same_price_is_seen_when_the_depth_shows_both_steps() -> None:
    scene = Scene()
    scene.show("a", 99, 7)
    scene.change("a", OrderStatus.CANCELLED, 2 * S)
    scene.decide("b", Side.BUY, 99, 7)
    scene.push(2 * S + 10 * MS, bids=[(99, 40)])
    assert scene.at(99) == 40
    scene.change("b", OrderStatus.OPEN, 2 * S + 20 * MS)
    assert scene.at(99) == 40
    scene.push(2 * S + 30 * MS, bids=[(99, 47)])
    assert scene.at(99) == 40


def test_successor_that_came_in_the_push_that_took_its_predecessor_is_never_others() -> None:
    scene = Scene()
    scene.show("a", 99, 7)
    scene.change("a", OrderStatus.CANCELLED, 2 * S)
    scene.decide("b", Side.BUY, 99, 7)
    scene.change("b", OrderStatus.OPEN, 2 * S + 60 * MS)
    for step in range(1, 60):  # the level shows 47 all the time
        scene.push(2 * S + 60 * MS + step * 10 * MS, bids=[(98, 70 + step)])
        assert scene.at(99) == 40


def test_nothing_of_ours_is_remembered_once_all_is_over() -> None:
    scene = Scene()
    scene.show("a", 99, 7)
    scene.change("a", OrderStatus.CANCELLED, 2 * S)
    scene.decide("b", Side.BUY, 98, 7)
    scene.change("b", OrderStatus.DENIED, 2 * S + MS)
    scene.look(3 * S)
    assert scene.others.bids(9) == scene.market.bids(9)
    scene.push(3 * S, bids=[(98, 77)])
    assert scene.at(98) == 77


def test_depth_up_to_a_price_leaves_our_own_orders_out() -> None:
    scene = Scene()
    scene.show("a", 99, 30)
    scene.show("b", 98, 5)
    assert (scene.market.qty_within(Side.BUY, 98), scene.others.qty_within(Side.BUY, 98)) == (145, 110)
    assert [scene.others.qty_within(Side.BUY, limit) for limit in (100, 99, 97)] == [0, 40, 110]
    assert scene.others.qty_within(Side.SELL, 101) == 50
    assert scene.others.version == scene.market.version
