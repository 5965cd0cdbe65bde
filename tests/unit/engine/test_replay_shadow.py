"""The shadow of a replay is a spot account of its own: it sells what it holds, and buys with what it has."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.market_scenes import S, book, delta, instrument, intent, trade
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import DEFAULT_RULES, NO_LATENCY, LatencyModel, QueueModel
from trading.engine.replay_shadow import Shadow
from trading.model.market import BookState, Side
from trading.model.orders import OrderIntent, OrderType

IOC, POST = OrderType.IOC, OrderType.LIMIT_MAKER


class Scene:
    """The driver's venue and its shadow, on one market whose ask is 1000 lots at 10010."""

    def __init__(self, money: int | str = 10_000, latency: LatencyModel = NO_LATENCY) -> None:
        self.pair = instrument()
        self.shadow = Shadow(self.pair, QueueModel.PROBABILISTIC, latency, DEFAULT_RULES, Decimal(money))
        self.driver = PaperVenue(self.pair, QueueModel.PESSIMISTIC, latency)
        self.market = book([(9_990, 1_000)], [(10_010, 1_000)])
        self.version = 1
        self.asks(1, 1_000)

    def asks(self, second: int, lots: int) -> None:
        """Tell both of the book."""
        self.version += 1
        self.market.apply_delta(delta(self.version, asks=[(10_010, lots)], at_ns=second * S))
        self.pass_until(second * S)
        self.driver.on_book(self.market, second * S)
        self.shadow.on_book(self.market, BookState.PROVEN, second * S)

    def pass_until(self, now_ns: int) -> None:
        self.shadow.before(now_ns)
        self.driver.on_timer(now_ns)

    def place(self, order: OrderIntent) -> None:
        self.pass_until(order.created_ns)
        self.shadow.place(order, order.created_ns)
        self.driver.place(order, order.created_ns)

    def trade(self, second: int, lots: int) -> None:
        """Somebody buys at 10010."""
        told = trade(10_010, lots, Side.BUY, second * S, second * S)
        self.pass_until(second * S)
        self.shadow.on_trade(told, second * S)
        self.driver.on_trade(told, second * S)

    @property
    def held(self) -> int:
        return self.pair.qty_lots_floor(self.shadow.books.position.qty)


def offered_to_the_shadow_alone(scene: Scene) -> None:
    """Hold 100 lots in both, and let a passive sale of them fill in the shadow only: cancels had moved it up."""
    scene.place(intent("in", Side.BUY, 10_010, 100, IOC, S))
    scene.place(intent("tp", Side.SELL, 10_010, 100, POST, S + 1))
    scene.asks(2, 2_000)
    scene.asks(3, 1_000)
    scene.asks(4, 1_000)
    scene.trade(5, 900)
    order = scene.driver.order("tp")
    assert order is not None
    assert (order.filled_lots, scene.held) == (0, 0)


def test_what_only_the_shadow_has_sold_it_does_not_sell_again() -> None:
    scene = Scene()
    offered_to_the_shadow_alone(scene)
    net = scene.shadow.books.result(9_990).net
    scene.driver.cancel("tp", 6 * S)
    scene.shadow.cancel("tp", 6 * S)
    scene.place(intent("stop", Side.SELL, 9_950, 100, IOC, 7 * S))
    assert scene.held == 0
    assert (scene.shadow.books.result(9_000).net, scene.shadow.books.fills) == (net, 2)


def test_shadow_sells_of_a_larger_sale_what_it_holds() -> None:
    scene = Scene()
    offered_to_the_shadow_alone(scene)
    scene.place(intent("more", Side.BUY, 10_010, 40, IOC, 6 * S))
    scene.place(intent("stop", Side.SELL, 9_950, 140, IOC, 7 * S))
    assert scene.shadow.books.position.qty == 0


def test_coins_that_an_open_sale_binds_are_not_offered_twice() -> None:
    scene = Scene()
    scene.place(intent("in", Side.BUY, 10_010, 100, IOC, S))
    scene.place(intent("one", Side.SELL, 10_010, 70, POST, 2 * S))
    scene.place(intent("two", Side.SELL, 10_010, 100, POST, 2 * S + 1))
    scene.trade(3, 5_000)
    assert scene.shadow.books.position.qty == 0


def test_sale_that_is_filled_and_not_told_yet_binds_its_coins() -> None:
    scene = Scene(latency=LatencyModel(0, 0, 10 * S))
    scene.place(intent("in", Side.BUY, 10_010, 100, IOC, S))
    scene.pass_until(20 * S)
    scene.place(intent("one", Side.SELL, 9_950, 100, IOC, 21 * S))
    scene.place(intent("two", Side.SELL, 9_950, 100, IOC, 22 * S))
    scene.pass_until(60 * S)
    assert scene.shadow.books.position.qty == 0


@pytest.mark.parametrize(("money", "held"), [(5, 49), (10_000, 100)])
def test_shadow_buys_with_no_more_money_than_it_has(money: int, held: int) -> None:
    scene = Scene(money)
    scene.place(intent("rest", Side.BUY, 9_980, 1, POST, S))  # too little for the venue: it binds nothing
    scene.place(intent("in", Side.BUY, 10_010, 100, IOC, S))
    assert scene.held == held
    scene.place(replace(intent("again", Side.BUY, 10_010, 100, IOC, 2 * S)))
    assert scene.held == (held if money == 5 else 200)


def test_shadow_keeps_the_fee_of_what_it_buys() -> None:
    scene = Scene("10.01")  # what 100 lots are worth; they cost 0.005005 more
    scene.place(intent("in", Side.BUY, 10_010, 100, IOC, S))
    position = scene.shadow.books.position
    assert (scene.held, Decimal("10.01") + position.net_pnl - position.cost > 0) == (99, True)
