"""Public REST bodies: what makes an instrument, what excludes it, and what is no snapshot."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trading.adapters.mexc.rest_codec import WHOLE, best_quote_of, instruments_of, listing_of, snapshot_of, tickers_of
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument

# mexc-protocol §3.3: values as seen live.
BTCUSDT: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "status": "1",
    "baseAsset": "BTC",
    "baseAssetPrecision": 8,
    "quoteAsset": "USDT",
    "quotePrecision": 2,
    "quoteAssetPrecision": 2,
    "isSpotTradingAllowed": True,
    "quoteAmountPrecision": "1",
    "baseSizePrecision": "0.000001",
    "permissions": ["SPOT"],
    "filters": [],
    "maxQuoteAmount": "4000000",
    "makerCommission": "0",
    "takerCommission": "0.0005",
    "tradeSideType": 1,
}


def one(**changes: Any) -> Instrument:
    (instrument,) = instruments_of({"symbols": [{**BTCUSDT, **changes}]}).values()
    return instrument


def test_rest_public_listing_gives_the_instruments_steps_and_bounds() -> None:
    assert one() == Instrument(
        "BTCUSDT",
        "BTC",
        "USDT",
        Decimal("0.01"),
        Decimal("0.00000001"),
        Decimal("0.000001"),
        Decimal(1),
        Decimal(4_000_000),
        Decimal(0),
        Decimal("0.0005"),
    )


@pytest.mark.parametrize(
    ("changes", "exclusion"),
    [
        ({"status": "2"}, "paused by the venue"),
        ({"status": "3"}, "offline"),
        ({"status": None}, "missing status"),
        ({"status": "7"}, "status 7"),
        ({"isSpotTradingAllowed": False}, "not tradable through the API"),
        ({"isSpotTradingAllowed": None}, "missing word on spot trading through the API"),
        ({"permissions": []}, "no spot permission"),
        ({"permissions": None}, "no spot permission"),
        ({"tradeSideType": 2}, "buying only"),
        ({"tradeSideType": 4}, "closed"),
        ({"tradeSideType": None}, "missing trade side type"),
        ({"tradeSideType": "9"}, "trade side type '9'"),
        ({"tradeSideType": True}, "trade side type True"),
        ({"status": "3", "makerCommission": None}, "offline; missing maker fee"),
        ({"quoteAmountPrecision": "-1"}, "negative minimum notional -1"),
        ({"baseSizePrecision": "-0.1"}, "negative minimum quantity -0.1"),
        ({"maxQuoteAmount": "0.5"}, "maximum notional 0.5 below the minimum 1"),
        ({"takerCommission": "5"}, "taker fee of 5, expected a fraction from -0.01 to 0.1"),
        ({"makerCommission": "Infinity"}, "missing maker fee"),
        ({"quotePrecision": True}, "missing price precision"),
        ({"quotePrecision": -1}, "missing price precision"),
        ({"quoteAsset": 5}, "missing quote asset"),
        ({"quoteAmountPrecision": None}, "missing minimum notional"),
        ({"maxQuoteAmount": ""}, "missing maximum notional"),
        ({"baseSizePrecision": "NaN"}, "missing minimum quantity"),
        ({"makerCommission": None, "takerCommission": "x"}, "missing maker fee, taker fee"),
        ({"quotePrecision": None}, "missing price precision"),
        ({"quotePrecision": 1000}, "missing price precision"),
        ({"baseAssetPrecision": "8"}, "missing quantity precision"),
        ({"baseAsset": None}, "missing base asset"),
    ],
)
def test_rest_public_listing_excludes_with_a_reason_instead_of_a_guess(changes: dict[str, Any], exclusion: str) -> None:
    assert one(**changes).exclusion == exclusion


@pytest.mark.parametrize("name", sorted(set(BTCUSDT) - {"symbol", "quoteAssetPrecision", "filters"}))
def test_rest_public_listing_without_a_field_excludes_the_symbol(name: str) -> None:
    row = {field: value for field, value in BTCUSDT.items() if field != name}
    (instrument,) = instruments_of({"symbols": [row]}).values()
    assert instrument.exclusion is not None
    (instrument,) = instruments_of({"symbols": [{**BTCUSDT, name: None}]}).values()
    assert instrument.exclusion is not None


@pytest.mark.parametrize("changes", [{"status": "ENABLED"}, {"baseSizePrecision": "0"}, {"makerCommission": 0.0}])
def test_rest_public_listing_takes_older_spellings(changes: dict[str, Any]) -> None:
    assert one(**changes).exclusion is None


def test_rest_public_listing_keeps_symbols_of_any_script_and_skips_nameless_rows() -> None:
    named = [{**BTCUSDT, "symbol": symbol} for symbol in ("龙虾USDT", "GOLD(PAXG)USDT", "1000[X]USDT")]
    found = instruments_of({"symbols": [*named, {**BTCUSDT, "symbol": None}, 5, {}]})
    assert list(found) == ["龙虾USDT", "GOLD(PAXG)USDT", "1000[X]USDT"]
    assert all(instrument.exclusion is None for instrument in found.values())


@pytest.mark.parametrize("body", [None, [], {}, {"symbols": None}, "x"])
def test_rest_public_listing_of_something_else_is_a_decode_error(body: Any) -> None:
    with pytest.raises(DecodeError):
        instruments_of(body)


def test_rest_public_listing_written_is_read_back() -> None:
    assert instruments_of(listing_of(one(), 5)) == {"BTCUSDT": one()}


def test_rest_public_snapshot_is_sorted_best_first_without_empty_levels() -> None:
    body = {
        "lastUpdateId": 83_332_997_012,
        "bids": [["82990.60", "1"], ["82990.70", "0.50000000"], ["82990.50", "0"]],
        "asks": [["82990.80", "2"], ["82990.71", "1", "more"]],
        "timestamp": 1_791_570_241_216,
    }
    snapshot = snapshot_of(body, one(), 7)
    assert snapshot.version == 83_332_997_012
    assert snapshot.bids == ((8_299_070, 50_000_000), (8_299_060, 100_000_000))
    assert snapshot.asks == ((8_299_071, 100_000_000), (8_299_080, 200_000_000))
    assert (snapshot.exch_ts_ns, snapshot.recv_ts_ns) == (1_791_570_241_216_000_000, 7)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"code": -1121, "msg": "x"},
        {"lastUpdateId": None, "bids": [], "asks": []},
        {"lastUpdateId": 1, "bids": None, "asks": []},
        {"lastUpdateId": 1, "bids": [["1"]], "asks": []},
        {"lastUpdateId": 1, "bids": [[1.5, 2]], "asks": []},
        {"lastUpdateId": 1, "bids": [["0.001", "2"]], "asks": []},
        {"lastUpdateId": -1, "bids": [], "asks": []},
    ],
)
def test_rest_public_snapshot_of_something_else_is_a_decode_error(body: Any) -> None:
    with pytest.raises(DecodeError, match="expected a depth snapshot"):
        snapshot_of(body, one(), 7)


def test_rest_public_book_ticker_with_an_empty_side_has_none_there() -> None:
    body = {"symbol": "BTCUSDT", "bidPrice": "82990.70", "bidQty": "1", "askPrice": "", "askQty": None}
    quote = best_quote_of(body, one(), 7)
    assert (quote.bid, quote.ask, quote.version) == ((8_299_070, 100_000_000), None, 0)
    with pytest.raises(DecodeError):
        best_quote_of({"bidPrice": "1"}, one(), 7)


def test_rest_public_tickers_tolerate_nulls() -> None:
    rows = [{"symbol": "A", "lastPrice": "1.5", "quoteVolume": None, "volume": "3"}, {"lastPrice": "1"}]
    (ticker,) = tickers_of(rows)
    assert (ticker.symbol, ticker.last_price, ticker.volume_base, ticker.volume_quote) == (
        "A",
        Decimal("1.5"),
        Decimal(3),
        None,
    )
    assert tickers_of({"symbol": "A"})[0].last_price is None
    with pytest.raises(DecodeError):
        tickers_of(["x"])


@pytest.mark.parametrize(
    ("bids", "asks", "limit", "cuts"),
    [
        (1_000, 1_000, 1_000, (True, True)),
        (1_000, 400, 1_000, (True, False)),
        (24, 24, 1_000, (False, False)),  # a small market, alike by chance
        (500, 500, 1_000, (True, True)),  # alike: the venue's limit is another than asked for
        (2_000, 700, 5_000, (True, False)),  # live answers stop there
        (0, 3, 1_000, (False, False)),
    ],
)
def test_rest_public_snapshot_names_the_cut_of_a_side_that_is_as_long_as_was_asked_for(
    bids: int, asks: int, limit: int, cuts: tuple[bool, bool]
) -> None:
    body = {
        "lastUpdateId": 7,
        "bids": [[f"{3000 - step}", "1"] for step in range(bids)],
        "asks": [[f"{3001 + step}", "1"] for step in range(asks)],
    }
    snapshot = snapshot_of(body, one(), 7, limit)
    assert (snapshot.bid_cut is not None, snapshot.ask_cut is not None) == cuts
    if cuts[0]:
        assert snapshot.bid_cut == snapshot.bids[-1][0]
    whole = snapshot_of({**body, WHOLE: True}, one(), 7, limit)
    assert (whole.bid_cut, whole.ask_cut) == (None, None)
