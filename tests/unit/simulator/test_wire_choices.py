"""What the venue does where its sources leave a choice: late cancels, orders that never rest, candles of all kinds."""

import json
from decimal import Decimal
from itertools import pairwise

import pytest

from simulator.exchange.orders import NewOrder, Order
from simulator.exchange.rules import CancelAnswer, ExchangeRules
from simulator.wire.connection import UNSUBSCRIBED_MS
from simulator.wire.intervals import REST_INTERVALS, window_end, window_start
from tests.unit.simulator.test_wire_routes import ORDER, statuses
from tests.venue_desk import Desk, body_of, code_of
from trading.model.market import Side
from trading.model.orders import OrderType


def test_cancel_as_seen_live_comes_after_its_answer_and_may_come_too_late() -> None:
    desk = Desk(rules=ExchangeRules(cancel_answer=CancelAnswer.LIVE, cancel_delay_ms=100))
    one, two = (body_of(desk.ask("POST", "order", **ORDER))["orderId"] for _ in range(2))
    best = Decimal(body_of(desk.ask("GET", "ticker/bookTicker", symbol="XRPUSDT"))["askPrice"])
    late = body_of(
        desk.ask("POST", "order", **ORDER | {"type": "LIMIT_MAKER", "price": str(best - Decimal("0.00001"))})
    )

    def state(order_id: str) -> str:
        status: str = body_of(desk.ask("GET", "order", symbol="XRPUSDT", orderId=order_id))["status"]
        return status

    desk.ask("DELETE", "order", symbol="XRPUSDT", orderId=one)
    assert desk.ask("DELETE", "order", symbol="XRPUSDT", orderId=one).status == 200, "still open: taken again"
    answers = body_of(desk.ask("DELETE", "openOrders", symbol="XRPUSDT"))
    assert {answer["status"] for answer in answers} == {"NEW"}
    assert (state(one), state(two), state(late["orderId"])) == ("NEW", "NEW", "NEW")
    # Somebody takes it meanwhile: the cancel finds it filled.
    other = desk.venue.exchange.accounts["second"]
    pair = desk.venue.exchange.pairs["XRPUSDT"]
    lots = desk.account.orders[late["orderId"]].orig_lots
    taker = NewOrder("XRPUSDT", Side.SELL, OrderType.IOC, desk.account.orders[late["orderId"]].price_ticks, lots)
    assert isinstance(desk.venue.exchange.place(other, taker, desk.now_ms), Order)
    desk.pass_ms(90)
    assert (state(one), state(late["orderId"])) == ("NEW", "FILLED")
    desk.pass_ms(20)
    assert (state(one), state(two), state(late["orderId"])) == ("CANCELED", "CANCELED", "FILLED")
    assert code_of(desk.ask("DELETE", "order", symbol="XRPUSDT", orderId=one)) == -2011
    assert not [order for order in desk.account.open_orders.values() if order.pair is pair]


def test_orders_that_never_rest_are_taken_at_the_most_open_orders() -> None:
    desk = Desk(rules=ExchangeRules(max_open_orders=2))
    assert statuses(desk, 3, "POST", "order", **ORDER) == [200, 200, 400]
    assert code_of(desk.ask("POST", "order", **ORDER | {"type": "LIMIT_MAKER"})) == 30029
    for kind in ("IMMEDIATE_OR_CANCEL", "FILL_OR_KILL", "MARKET"):
        assert code_of(desk.ask("POST", "order", **ORDER | {"type": kind, "side": "SELL"})) is None, kind
    assert len(desk.account.open_orders) == 2


@pytest.mark.parametrize(
    "request_of_nothing",
    ['{"method":"UNSUBSCRIPTION","params":[]}', '{"method":"UNSUBSCRIPTION","params":["spot@nothing"]}'],
)
def test_unsubscription_of_nothing_does_not_put_off_the_rule_of_thirty_seconds(request_of_nothing: str) -> None:
    desk = Desk()
    connection, frames = desk.connect()
    for seconds in (10, 20, 29):
        connection.receive(request_of_nothing, desk.now_ms + seconds * 1_000, echoes_id=True)
        assert json.loads(frames.payloads[-1])["msg"] == ""
    assert not connection.is_overdue(desk.now_ms + UNSUBSCRIBED_MS, 1.0)
    assert connection.is_overdue(desk.now_ms + UNSUBSCRIBED_MS + 1, 1.0)


@pytest.mark.parametrize("interval", ["5m", "15m", "30m", "60m", "4h", "8h", "1d", "1W", "1M"])
def test_candles_of_every_interval_are_many_whole_and_without_a_gap(interval: str) -> None:
    desk = Desk()
    name = REST_INTERVALS[interval]
    for minutes in (0, 7):  # as time goes on the oldest minutes become part of longer candles
        desk.now_ms += minutes * 60_000
        rows = body_of(desk.ask("GET", "klines", symbol="XRPUSDT", interval=interval))
        assert len(rows) == {"8h": 288, "1W": 157, "1M": 36}.get(interval, 500) or len(rows) in (287, 156, 37)
        assert all(row[6] == window_end(name, row[0]) for row in rows)
        assert all(row[0] == window_start(name)(row[0]) for row in rows)
        for row, later in pairwise(rows):
            assert later[0] == row[6]
        for row, later in pairwise(rows[:-4]):  # the last ones are the market's own
            assert later[1] == row[4], "begins where the one before ends"
        assert all(Decimal(row[3]) <= min(Decimal(row[1]), Decimal(row[4])) for row in rows)
        assert all(Decimal(row[2]) >= max(Decimal(row[1]), Decimal(row[4])) for row in rows)
        since = rows[-20][0]
        assert (
            body_of(desk.ask("GET", "klines", symbol="XRPUSDT", interval=interval, startTime=since))[:19]
            == rows[-20:-1]
        )
        until = rows[-10][0]
        asked = {"symbol": "XRPUSDT", "interval": interval, "endTime": until, "limit": 11}
        assert body_of(desk.ask("GET", "klines", **asked)) == rows[-20:-9]
    day = body_of(desk.ask("GET", "klines", symbol="XRPUSDT", interval="1d", limit=2))[-1]
    minutes_of_it = body_of(desk.ask("GET", "klines", symbol="XRPUSDT", interval="1m", startTime=day[0], limit=1000))
    assert day[1] == minutes_of_it[0][1]
