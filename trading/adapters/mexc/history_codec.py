"""MEXC's public history as trades and candles. Pure: takes decoded JSON, opens nothing.

May import `trading.model` and the standard library. Source: mexc-protocol §3.2 (read 2026-11-22).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.market import Candle, MarketTrade, Side
from trading.model.units import ns_from_ms

INTERVALS = ("1m", "5m", "15m", "30m", "60m", "4h", "1d", "1W", "1M")
"""Candle intervals of REST; the stream names them otherwise."""


def trades_of(body: Any, instrument: Instrument, recv_ts_ns: int) -> tuple[MarketTrade, ...]:
    """Read a trades answer, oldest first whatever order it came in. Raises: DecodeError."""
    try:
        rows = sorted(body, key=lambda row: int(row["time"]))
        return tuple(
            MarketTrade(
                instrument.symbol,
                instrument.price_ticks(row["price"]),
                instrument.qty_lots(row["qty"]),
                Side.SELL if row["isBuyerMaker"] else Side.BUY,
                ns_from_ms(int(row["time"])),
                recv_ts_ns,
            )
            for row in rows
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DecodeError(f"{instrument.symbol}: expected trades: {error!r}")


def candles_of(body: Any) -> tuple[Candle, ...]:
    """Read a klines answer, oldest first. Raises: DecodeError."""
    try:
        candles = [_candle(row) for row in body]
    except (KeyError, IndexError, TypeError, ValueError, InvalidOperation) as error:
        raise DecodeError(f"expected candles: {error!r}")
    return tuple(sorted(candles, key=lambda candle: candle.open_ns))


def _candle(row: Any) -> Candle:
    open_ms, close_ms = int(row[0]), int(row[6])
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
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"expected a number, was {value!r}")
    number = Decimal(str(value))
    if not number.is_finite() or number < 0:
        raise ValueError(f"expected a number of at least 0, was {value!r}")
    return number
