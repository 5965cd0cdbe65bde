"""MEXC's public history as trades and candles. Pure: takes decoded JSON, opens nothing.

May import `trading.model`, the REST codec and the standard library. Source: mexc-protocol §3.2 (read 2026-11-22).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from trading.adapters.mexc.rest_codec import amount_of, is_whole, level_of
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.market import Candle, MarketTrade, Side
from trading.model.units import MS_MAX, ns_from_ms

INTERVALS = ("1m", "5m", "15m", "30m", "60m", "4h", "1d", "1W", "1M")
"""Candle intervals of REST; the stream names them otherwise."""

_SHOWN = 200


def trades_of(body: Any, instrument: Instrument, recv_ts_ns: int) -> tuple[MarketTrade, ...]:
    """Read a trades answer, oldest first whatever order it came in. Raises: DecodeError."""
    try:
        trades = [_trade(row, instrument, recv_ts_ns) for row in _rows(body)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DecodeError(f"{instrument.symbol}: expected trades: {error!r}"[:_SHOWN])
    return tuple(sorted(trades, key=lambda trade: trade.exch_ts_ns))


def candles_of(body: Any) -> tuple[Candle, ...]:
    """Read a klines answer, oldest first. Raises: DecodeError."""
    try:
        candles = [_candle(row) for row in _rows(body)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DecodeError(f"expected candles: {error!r}"[:_SHOWN])
    return tuple(sorted(candles, key=lambda candle: candle.open_ns))


def _rows(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise TypeError(f"expected a list, was {type(body).__name__}")
    return body


def _trade(row: Any, instrument: Instrument, recv_ts_ns: int) -> MarketTrade:
    price, qty = level_of(row["price"], row["qty"], instrument)
    if not price or not qty:
        raise ValueError("expected a price and a quantity above 0")
    is_buyer_maker = row["isBuyerMaker"]
    if not isinstance(is_buyer_maker, bool):
        raise ValueError(f"expected isBuyerMaker as true or false, was {is_buyer_maker!r}")
    side = Side.SELL if is_buyer_maker else Side.BUY
    return MarketTrade(instrument.symbol, price, qty, side, ns_from_ms(_time_ms(row["time"])), recv_ts_ns)


def _time_ms(value: Any) -> int:
    if not is_whole(value, MS_MAX):
        raise ValueError(f"expected a time in ms, was {value!r}")
    return value


def _candle(row: Any) -> Candle:
    open_ms, close_ms = _time_ms(row[0]), _time_ms(row[6])
    if close_ms <= open_ms:
        raise ValueError(f"expected a close time after {open_ms}, was {close_ms}")
    close, volume = _finite(row[4]), _finite(row[5])
    return Candle(
        open_ns=ns_from_ms(open_ms),
        close_ns=ns_from_ms(close_ms),
        open=_finite(row[1]),
        high=_finite(row[2]),
        low=_finite(row[3]),
        close=close,
        volume_base=volume,
        # The quote volume is null now and then, as other figures of REST are.
        volume_quote=_finite(row[7]) if len(row) > 7 and row[7] is not None else volume * close,
    )


def _finite(value: Any) -> Decimal:
    number = amount_of(value)
    if number is None or number < 0:
        raise ValueError(f"expected a number of at least 0, was {value!r}")
    return number
