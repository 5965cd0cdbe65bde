"""Public trades and candles: order, sides, and what is none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trading.adapters.mexc.history_codec import candles_of, trades_of
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.market import Candle, MarketTrade, Side

D = Decimal
INSTRUMENT = Instrument("ABCUSDT", "ABC", "USDT", D("0.01"), D("0.1"), D(0), D(1), D(0), D(0), D("0.0005"))
KLINE = [60_000, "1", "3", "0.5", "2", "10", 120_000, "15.5"]


def trade(time: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": None,
        "price": "1.50",
        "qty": "2.0",
        "time": time,
        "isBuyerMaker": True,
        "tradeType": "ASK",
        **changes,
    }


def test_history_trades_are_oldest_first_with_the_takers_side() -> None:
    body = [trade(9, isBuyerMaker=False), trade(7)]
    assert trades_of(body, INSTRUMENT, 5) == (
        MarketTrade("ABCUSDT", 150, 20, Side.SELL, 7_000_000, 5),
        MarketTrade("ABCUSDT", 150, 20, Side.BUY, 9_000_000, 5),
    )


@pytest.mark.parametrize("body", [None, 5, {"code": 1}, [{}], [trade(1, price="1.505")], [trade(1, qty=None)]])
def test_history_trades_of_something_else_are_a_decode_error(body: Any) -> None:
    with pytest.raises(DecodeError, match="ABCUSDT: expected trades"):
        trades_of(body, INSTRUMENT, 5)


def test_history_candles_are_oldest_first_and_estimate_a_missing_quote_volume() -> None:
    later = [120_000, "2", "2", "2", "2", "4", 180_000, None]
    first, second = candles_of([later, KLINE])
    assert first == Candle(60_000_000_000, 120_000_000_000, D(1), D(3), D("0.5"), D(2), D(10), D("15.5"))
    assert second.volume_quote == D(8)


@pytest.mark.parametrize("row", [[], KLINE[:6], [*KLINE[:6], 60_000, "1"], [60_000, "x", *KLINE[2:]], "text", 5])
def test_history_candles_of_something_else_are_a_decode_error(row: Any) -> None:
    with pytest.raises(DecodeError):
        candles_of([row])
