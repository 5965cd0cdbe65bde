"""Any JSON of the venue is what was asked for or a DecodeError, never anything else: public and private REST bodies."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.adapters.mexc.errors import read_answer
from trading.adapters.mexc.history_codec import candles_of, trades_of
from trading.adapters.mexc.private_codec import (
    balances_from_rest,
    bid_from_rest,
    fee_rates_from_rest,
    order_from_rest,
    trade_from_rest,
)
from trading.adapters.mexc.rest_codec import best_quote_of, instruments_of, listing_of, snapshot_of, tickers_of
from trading.model.errors import DecodeError, VenueError
from trading.model.instrument import Instrument
from trading.model.units import UNITS_MAX

ZERO = Decimal(0)
X = Instrument("XUSDT", "X", "USDT", Decimal("0.001"), Decimal("0.1"), ZERO, Decimal(1), ZERO, ZERO, ZERO)
KNOWN = {"XUSDT": X}
NOW_NS = 1_789_897_517_500_000_000

ORDER = {
    "symbol": "XUSDT", "orderId": "C02__1", "clientOrderId": "c", "price": "8", "origQty": "1", "executedQty": "0.1",
    "cummulativeQuoteQty": "0.8", "status": "PARTIALLY_FILLED", "type": "LIMIT", "side": "BUY", "time": 1700000000000,
    "updateTime": 1700000000500,
}  # fmt: skip
TRADE = {
    "symbol": "XUSDT", "id": "1", "orderId": "C02__1", "clientOrderId": "c", "price": "8", "qty": "0.1",
    "quoteQty": "0.8", "commission": "0.1", "commissionAsset": "MX", "time": 1700000000000, "isBuyer": True,
    "isMaker": False,
}  # fmt: skip
TICKER = {"symbol": "XUSDT", "lastPrice": "8", "bidPrice": "7", "askPrice": "9", "volume": "1", "quoteVolume": None}
BODIES: dict[str, tuple[Callable[[Any], object], Any]] = {
    "exchangeInfo": (instruments_of, listing_of(X, 1700000000000)),
    "depth": (
        lambda body: snapshot_of(body, X, NOW_NS),
        {"lastUpdateId": 7, "bids": [["8.000", "0.5"]], "asks": [["9", "1"]], "timestamp": 1700000000000},
    ),
    "bookTicker": (
        lambda body: best_quote_of(body, X, NOW_NS),
        {"symbol": "XUSDT", "bidPrice": "8", "bidQty": "1", "askPrice": "9", "askQty": "1"},
    ),
    "tickers": (tickers_of, [TICKER, {**TICKER, "symbol": "Y"}]),
    "trades": (
        lambda body: trades_of(body, X, NOW_NS),
        [{"price": "8", "qty": "0.1", "time": 1700000000000, "isBuyerMaker": True}],
    ),
    "klines": (candles_of, [[1700000000000, "1", "2", "0.5", "1.5", "10", 1700000060000, "15"]]),
    "order": (lambda body: order_from_rest(body, KNOWN, NOW_NS), ORDER),
    "myTrades": (lambda body: trade_from_rest(body, KNOWN, "mexc", NOW_NS), TRADE),
    "account": (
        lambda body: balances_from_rest(body, NOW_NS, NOW_NS),
        {"balances": [{"asset": "X", "free": "1", "locked": "0"}]},
    ),
    "tradeFee": (fee_rates_from_rest, {"data": {"makerCommission": 0.0, "takerCommission": 0.0005}}),
    "bid": (bid_from_rest, {"bidPrice": "8"}),
}

odd_numbers = st.sampled_from(
    ["1E+999999", "1E-999999", "9" * 30, "9" * 5000, "NaN", "-Infinity", "-0", "", " 1", "1_0", "٣", "1e5", "0x1", "."]
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=6), odd_numbers
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def read(reader: Callable[[Any], object], body: object) -> object:
    try:
        return reader(body)
    except DecodeError:
        return None


def places(body: object) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    found: list[tuple[Any, Any]] = []
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        found += [(body, key), *places(value)]
    return found


@pytest.mark.parametrize("name", BODIES)
def test_rest_body_as_it_should_be_is_read(name: str) -> None:
    reader, body = BODIES[name]
    assert read(reader, body), name


@given(body=values, name=st.sampled_from(sorted(BODIES)))
def test_rest_body_of_anything_is_an_answer_or_a_decode_error(body: object, name: str) -> None:
    read(BODIES[name][0], body)


@given(data=st.data(), value=values, name=st.sampled_from(sorted(BODIES)), is_gone=st.booleans())
def test_rest_body_with_one_odd_value_is_an_answer_or_a_decode_error(
    data: st.DataObject, value: object, name: str, is_gone: bool
) -> None:
    reader, sound = BODIES[name]
    body = copy.deepcopy(sound)
    container, key = data.draw(st.sampled_from(places(body)))
    if is_gone:
        del container[key]
    else:
        container[key] = value
    read(reader, body)


@given(status=st.sampled_from([200, 400, 403, 404, 418, 429, 500]), body=st.binary(max_size=60) | values.map(
    lambda value: orjson.dumps(value, default=str) if not _is_huge(value) else b"{}"
), retry_after=st.none() | st.text(max_size=6) | odd_numbers)  # fmt: skip
def test_rest_answer_of_any_bytes_is_json_or_an_error_of_the_venue(
    status: int, body: bytes, retry_after: str | None
) -> None:
    with suppress(VenueError):
        read_answer(status, body, retry_after)


def _is_huge(value: object) -> bool:
    """orjson writes 64 bits only."""
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


@pytest.mark.parametrize("version", [True, -1, 1.5, "7", None, 2**63])
def test_rest_depth_of_no_version_is_a_decode_error(version: object) -> None:
    with pytest.raises(DecodeError, match="expected lastUpdateId"):
        snapshot_of({"lastUpdateId": version, "bids": [], "asks": []}, X, NOW_NS)


@pytest.mark.parametrize("name", ["depth", "bookTicker", "trades"])
@pytest.mark.parametrize("is_price", [True, False])
def test_rest_figures_beyond_64_bits_are_a_decode_error(name: str, is_price: bool) -> None:
    reader, sound = BODIES[name]
    fits, beyond = (X.price_text(UNITS_MAX), X.price_text(UNITS_MAX + 1)) if is_price else (
        X.qty_text(UNITS_MAX), X.qty_text(UNITS_MAX + 1)
    )  # fmt: skip
    for text, is_read in ((fits, True), (beyond, False)):
        body = copy.deepcopy(sound)
        row = body[0] if name == "trades" else body
        if name == "depth":
            row["bids"][0][0 if is_price else 1] = text
        elif name == "bookTicker":
            row["bidPrice" if is_price else "bidQty"] = text
        else:
            row["price" if is_price else "qty"] = text
        assert (read(reader, body) is not None) is is_read


def test_rest_candle_of_an_endless_price_is_a_decode_error() -> None:
    row = [1700000000000, "1E+999999", "1E+999999", "1E+999999", "1E+999999", "1E+999999", 1700000060000, None]
    with pytest.raises(DecodeError, match="expected candles"):
        candles_of([row])
