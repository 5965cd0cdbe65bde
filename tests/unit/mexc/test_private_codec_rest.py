"""Signed REST bodies of MEXC: orders, my-trades, balances and fee rates."""

from decimal import Decimal
from typing import Any

import pytest

from trading.adapters.mexc.private_codec import (
    balances_from_rest,
    fee_rates_from_rest,
    order_from_rest,
    trade_from_rest,
)
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderStatus, OrderType, VenueBalance

INSTRUMENTS = {
    "BTCUSDT": Instrument(
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.000001"),
        min_qty=Decimal(0),
        min_notional=Decimal(1),
        max_notional=Decimal(0),
        maker_fee_rate=Decimal(0),
        taker_fee_rate=Decimal("0.0005"),
    )
}
# mexc-protocol §3.4.
ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": "C02__1",
    "orderListId": -1,
    "clientOrderId": "cid1",
    "price": "80000",
    "origQty": "0.01",
    "executedQty": "0.004",
    "cummulativeQuoteQty": "320",
    "status": "PARTIALLY_FILLED",
    "timeInForce": None,
    "type": "LIMIT",
    "side": "BUY",
    "stopPrice": None,
    "icebergQty": None,
    "time": 1700000000000,
    "updateTime": 1700000000500,
    "isWorking": True,
    "origQuoteOrderQty": "800",
}
TRADE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "id": "fad2af9e942049b6adbda1a271f990c6",
    "orderId": "C02__1",
    "orderListId": -1,
    "price": "80000.5",
    "qty": "0.004",
    "quoteQty": "320.002",
    "commission": "0.160001",
    "commissionAsset": "USDT",
    "time": 1700000000000,
    "isBuyer": False,
    "isMaker": True,
    "isBestMatch": True,
    "isSelfTrade": False,
    "clientOrderId": None,
}


def test_order_answer_is_read_in_full() -> None:
    order = order_from_rest(ORDER, INSTRUMENTS, 7)
    assert order is not None
    assert (order.symbol, order.client_order_id, order.venue_order_id) == ("BTCUSDT", "cid1", "C02__1")
    assert (order.status, order.side, order.type) == (OrderStatus.PARTIALLY_FILLED, Side.BUY, OrderType.LIMIT)
    assert (order.price_ticks, order.qty_lots, order.filled_lots) == (8_000_000, 10_000, 4_000)
    assert (order.filled_quote, order.exch_ts_ns, order.recv_ts_ns) == (
        Decimal(320),
        1700000000500 * 1_000_000,
        7,
    )
    assert order.created_ts_ns == 1700000000000 * 1_000_000


@pytest.mark.parametrize(
    ("word", "executed", "status"),
    [
        ("NEW", "0", OrderStatus.OPEN),
        ("FILLED", "0.01", OrderStatus.FILLED),
        ("CANCELED", "0", OrderStatus.CANCELLED),
        ("CANCELED", "0.004", OrderStatus.PARTIALLY_CANCELLED),
        ("PARTIALLY_CANCELED", "0.004", OrderStatus.PARTIALLY_CANCELLED),
    ],
)
def test_order_answer_states_map(word: str, executed: str, status: OrderStatus) -> None:
    order = order_from_rest({**ORDER, "status": word, "executedQty": executed}, INSTRUMENTS, 7)
    assert order is not None
    assert order.status is status


def test_order_answer_with_nulls_is_tolerated() -> None:
    order = order_from_rest(
        {
            **ORDER,
            "clientOrderId": None,
            "price": None,
            "cummulativeQuoteQty": None,
            "executedQty": None,
            "updateTime": None,
        },
        INSTRUMENTS,
        7,
    )
    assert order is not None
    assert (order.client_order_id, order.price_ticks, order.filled_lots) == ("", 0, 0)
    assert order.exch_ts_ns == 1700000000000 * 1_000_000


def test_order_answer_of_an_unlisted_symbol_is_none() -> None:
    assert order_from_rest(ORDER, {}, 7) is None
    assert trade_from_rest(TRADE, {}, "mexc", 7) is None


def test_trade_answer_is_a_fill_from_rest() -> None:
    trade = trade_from_rest(TRADE, INSTRUMENTS, "sim", 7)
    assert trade is not None
    fill = trade.fill
    assert (trade.source, fill.venue, fill.trade_id) == ("rest", "sim", "fad2af9e942049b6adbda1a271f990c6")
    assert (fill.client_order_id, fill.venue_order_id, fill.side) == ("", "C02__1", Side.SELL)
    assert (fill.price_ticks, fill.qty_lots, fill.quote_qty) == (8_000_050, 4_000, Decimal("320.002"))
    assert (fill.fee, fill.fee_asset, fill.is_maker) == (Decimal("0.160001"), "USDT", True)


def test_account_answer_lists_balances() -> None:
    body = {"balances": [{"asset": "USDT", "free": "10", "locked": "0.5", "available": "10"}]}
    assert balances_from_rest(body, 5, 7) == (VenueBalance("USDT", Decimal(10), Decimal("0.5"), 5, 7),)


def test_fee_answer_numbers_are_exact_fractions() -> None:
    body = {"data": {"makerCommission": 0.0, "takerCommission": 0.0005}, "code": 0}
    assert fee_rates_from_rest(body) == (Decimal(0), Decimal("0.0005"))
    assert fee_rates_from_rest({"data": {"makerCommission": "-0.0001", "takerCommission": 5e-05}}) == (
        Decimal("-0.0001"),
        Decimal("0.00005"),
    )


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {**ORDER, "status": "EXPIRED_IN_MATCH"},
        {**ORDER, "side": "HOLD"},
        {**ORDER, "orderId": None},
        {**ORDER, "executedQty": "0.0000001"},
        {**ORDER, "origQty": "many"},
    ],
)
def test_order_answer_unsound_is_a_decode_error_or_unlisted(body: Any) -> None:
    if body == {}:
        assert order_from_rest(body, INSTRUMENTS, 7) is None
        return
    with pytest.raises(DecodeError):
        order_from_rest(body, INSTRUMENTS, 7)


@pytest.mark.parametrize("changes", [{"isBuyer": None}, {"isMaker": "yes"}, {"qty": "0"}, {"price": ""}, {"id": None}])
def test_trade_answer_unsound_is_a_decode_error(changes: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        trade_from_rest({**TRADE, **changes}, INSTRUMENTS, "mexc", 7)


@pytest.mark.parametrize("body", [{}, [], {"balances": {}}, {"balances": [{"free": "1"}]}, {"balances": ["USDT"]}])
def test_account_answer_unsound_is_a_decode_error(body: Any) -> None:
    with pytest.raises(DecodeError):
        balances_from_rest(body, 5, 7)


@pytest.mark.parametrize("data", [None, {}, {"makerCommission": 0.0}, {"makerCommission": 0, "takerCommission": 5}])
def test_fee_answer_unsound_is_a_decode_error(data: Any) -> None:
    with pytest.raises(DecodeError):
        fee_rates_from_rest({"data": data})
