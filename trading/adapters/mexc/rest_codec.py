"""MEXC's public REST bodies as instruments, snapshots and tickers. Pure: takes decoded JSON, opens nothing.

May import `trading.model` and the standard library. Source: mexc-protocol §3.2 and §3.3 (read 2026-11-22).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard

from trading.model.errors import DecodeError
from trading.model.instrument import MAGNITUDE_MAX, Instrument
from trading.model.market import BestQuote, BookSnapshot, Level, Ticker24h
from trading.model.units import MS_MAX, UNITS_MAX, ns_from_ms, plain

DEPTH_LIMIT = 1_000
"""Levels a side asked for; far beyond what a strategy looks at, and a fifth of the bytes of the documented maximum."""

DEPTH_LEVELS_MAX = 2_000
"""Levels a side at which live answers stop, whatever was asked for (measured by others; documented are 5000)."""

ALIKE_MIN = 100
"""Two sides of the same length are no chance from here on: something has cut them. Shorter ones are small markets."""

WHOLE = "isWhole"
"""Our own mark in the snapshot of an imported recording: it cuts nothing off. No venue sends it."""

_DECIMALS_MAX = 18
_ONLINE = ("1", "ENABLED")
_OFFLINE = {"2": "paused by the venue", "3": "offline"}
_ONE = Decimal(1)
# Fees are fractions: no spot fee is above 10 %, and no rebate above 1 %. Percents would be a hundred times too much.
_FEE_RATE_MIN, _FEE_RATE_MAX = Decimal("-0.01"), Decimal("0.1")


def instruments_of(body: Any) -> dict[str, Instrument]:
    """Read an exchangeInfo answer: every listed symbol, in the venue's order.

    Those that cannot be traded carry `exclusion`; where it says that a precision is missing, the steps are 1 and mean
    nothing. Nothing is guessed: a null or absent figure excludes.
    Raises: DecodeError when it is no exchangeInfo at all.
    """
    symbols = body.get("symbols") if isinstance(body, dict) else None
    if not isinstance(symbols, list):
        raise DecodeError("expected exchangeInfo with a list of symbols, was something else")
    found = {}
    for row in symbols:
        if isinstance(row, dict) and isinstance(row.get("symbol"), str) and row["symbol"]:
            found[row["symbol"]] = _instrument(row)
    return found


def listing_of(instrument: Instrument, server_time_ms: int) -> dict[str, Any]:
    """Write an exchangeInfo body with one symbol, as MEXC lists a tradable one; `instruments_of` reads it back."""
    price_decimals, qty_decimals = _places(instrument.tick_size), _places(instrument.lot_size)
    symbol = {
        "symbol": instrument.symbol,
        "status": "1",
        "baseAsset": instrument.base,
        "baseAssetPrecision": qty_decimals,
        "quoteAsset": instrument.quote,
        "quotePrecision": price_decimals,
        "quoteAssetPrecision": price_decimals,
        "baseCommissionPrecision": qty_decimals,
        "quoteCommissionPrecision": price_decimals,
        "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "quoteAmountPrecision": plain(instrument.min_notional),
        "baseSizePrecision": plain(instrument.min_qty),
        "permissions": ["SPOT"],
        "filters": [],
        "maxQuoteAmount": plain(instrument.max_notional),
        "makerCommission": plain(instrument.maker_fee_rate),
        "takerCommission": plain(instrument.taker_fee_rate),
        "quoteAmountPrecisionMarket": plain(instrument.min_notional),
        "maxQuoteAmountMarket": plain(instrument.max_notional),
        "fullName": instrument.base,
        "tradeSideType": 1,
    }
    return {
        "timezone": "CST",
        "serverTime": server_time_ms,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [symbol],
    }


def snapshot_of(body: Any, instrument: Instrument, recv_ts_ns: int, limit: int = DEPTH_LIMIT) -> BookSnapshot:
    """Read a depth answer. Raises: DecodeError when it is none, or off the instrument's grid.

    limit: levels a side that were asked for, and a recording's were. A side that has as many is cut off at its deepest
    level; so are two sides of the very same length, which some other limit of the venue may have made.
    """
    try:
        version = body["lastUpdateId"]
        if not is_whole(version, UNITS_MAX):
            raise ValueError(f"expected lastUpdateId as a number, was {version!r}")
        bids = sorted(_levels(body["bids"], instrument), reverse=True)
        asks = sorted(_levels(body["asks"], instrument))
        timestamp = body.get("timestamp")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DecodeError(f"{instrument.symbol}: expected a depth snapshot: {error}")
    exch_ts_ns = ns_from_ms(timestamp) if is_whole(timestamp, MS_MAX) else 0
    if body.get(WHOLE) is True:
        return BookSnapshot(instrument.symbol, version, tuple(bids), tuple(asks), exch_ts_ns, recv_ts_ns)
    least = min(limit, DEPTH_LEVELS_MAX)
    if len(bids) == len(asks) >= ALIKE_MIN:
        least = min(least, len(bids))
    return BookSnapshot(
        instrument.symbol,
        version,
        tuple(bids),
        tuple(asks),
        exch_ts_ns,
        recv_ts_ns,
        bids[-1][0] if len(bids) >= least else None,
        asks[-1][0] if len(asks) >= least else None,
    )


def best_quote_of(body: Any, instrument: Instrument, recv_ts_ns: int) -> BestQuote:
    """Read a ticker/bookTicker answer; REST names no version (0). Raises: DecodeError."""
    try:
        bid = _best(body["bidPrice"], body["bidQty"], instrument)
        ask = _best(body["askPrice"], body["askQty"], instrument)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DecodeError(f"{instrument.symbol}: expected a book ticker: {error}")
    return BestQuote(instrument.symbol, 0, bid, ask, 0, recv_ts_ns)


def level_of(price_text: str, qty_text: str, instrument: Instrument) -> Level:
    """Read a price and a quantity as ticks and lots. Raises: ValueError when one is none, or beyond 2^63."""
    price, qty = instrument.price_ticks(price_text), instrument.qty_lots(qty_text)
    if price > UNITS_MAX or qty > UNITS_MAX:
        raise ValueError(f"expected ticks and lots below 2^63, was {price_text[:40]!r}, {qty_text[:40]!r}")
    return price, qty


def is_whole(value: Any, at_most: int) -> TypeGuard[int]:
    """Tell whether a JSON value is a whole number from 0 to `at_most`; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= at_most


def amount_of(value: Any) -> Decimal | None:
    """Read a decimal text or a JSON number that is an amount of something; None for anything else, 1E+999999 too."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= MAGNITUDE_MAX else None


def tickers_of(body: Any) -> tuple[Ticker24h, ...]:
    """Read a ticker/24hr answer, one or many; rows without a symbol are left out. Raises: DecodeError."""
    rows = body if isinstance(body, list) else [body]
    if not all(isinstance(row, dict) for row in rows):
        raise DecodeError("expected 24 h tickers, was something else")
    return tuple(
        Ticker24h(
            row["symbol"],
            *(
                amount_of(row.get(name))
                for name in ("lastPrice", "bidPrice", "askPrice", "volume", "quoteVolume", "priceChangePercent")
            ),
        )
        for row in rows
        if isinstance(row.get("symbol"), str)
    )


def _instrument(row: dict[str, Any]) -> Instrument:
    price_decimals, qty_decimals = _decimals(row.get("quotePrecision")), _decimals(row.get("baseAssetPrecision"))
    min_qty, min_notional = amount_of(row.get("baseSizePrecision")), amount_of(row.get("quoteAmountPrecision"))
    max_notional = amount_of(row.get("maxQuoteAmount"))
    maker, taker = amount_of(row.get("makerCommission")), amount_of(row.get("takerCommission"))
    base, quote = _name(row.get("baseAsset")), _name(row.get("quoteAsset"))
    missing = [
        name
        for name, value in (
            ("base asset", base),
            ("quote asset", quote),
            ("price precision", price_decimals),
            ("quantity precision", qty_decimals),
            ("minimum quantity", min_qty),
            ("minimum notional", min_notional),
            ("maximum notional", max_notional),
            ("maker fee", maker),
            ("taker fee", taker),
        )
        if value is None
    ]
    instrument = Instrument(
        symbol=row["symbol"],
        base=base or "",
        quote=quote or "",
        tick_size=_ONE.scaleb(-(price_decimals or 0)),
        lot_size=_ONE.scaleb(-(qty_decimals or 0)),
        min_qty=min_qty or Decimal(0),
        min_notional=min_notional or Decimal(0),
        max_notional=max_notional or Decimal(0),
        maker_fee_rate=maker or Decimal(0),
        taker_fee_rate=taker or Decimal(0),
    )
    unfit = f"missing {', '.join(missing)}" if missing else _implausible(instrument)
    reasons = [reason for reason in (_closed(row), unfit) if reason]
    return replace(instrument, exclusion="; ".join(reasons)) if reasons else instrument


def _implausible(instrument: Instrument) -> str | None:
    """Say which figure cannot be meant as it stands; None when all may be."""
    for name, bound in (
        ("minimum quantity", instrument.min_qty),
        ("minimum notional", instrument.min_notional),
        ("maximum notional", instrument.max_notional),
    ):
        if bound < 0:
            return f"negative {name} {plain(bound)}"
    if 0 < instrument.max_notional < instrument.min_notional:
        return f"maximum notional {plain(instrument.max_notional)} below the minimum {plain(instrument.min_notional)}"
    for name, rate in (("maker fee", instrument.maker_fee_rate), ("taker fee", instrument.taker_fee_rate)):
        if not _FEE_RATE_MIN <= rate <= _FEE_RATE_MAX:
            return f"{name} of {plain(rate)}, expected a fraction from {_FEE_RATE_MIN} to {_FEE_RATE_MAX}"
    return None


def _closed(row: dict[str, Any]) -> str | None:
    """Say why the venue takes no orders for a symbol; None when it does (mexc-protocol §3.3, "Tradable set")."""
    status = row.get("status")
    if status is None:
        return "missing status"
    if str(status) not in _ONLINE:
        return _OFFLINE.get(str(status), f"status {status}")
    if row.get("isSpotTradingAllowed") is None:
        return "missing word on spot trading through the API"
    if row["isSpotTradingAllowed"] is not True:
        return "not tradable through the API"
    permissions = row.get("permissions")
    if not isinstance(permissions, list) or "SPOT" not in permissions:
        return "no spot permission"
    side_type = row.get("tradeSideType")
    if side_type is None:
        return "missing trade side type"
    if isinstance(side_type, bool) or side_type not in (1, "1"):
        names = {"2": "buying only", "3": "selling only", "4": "closed"}
        return names.get(str(side_type), f"trade side type {side_type!r}"[:60])
    return None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _decimals(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _DECIMALS_MAX else None


def _places(step: Decimal) -> int:
    """Count the decimals of a step; MEXC lists steps as such counts, and all its steps are powers of ten."""
    return len(plain(step).partition(".")[2])


def _levels(rows: Any, instrument: Instrument) -> list[Level]:
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= 2 for row in rows):
        raise ValueError("expected levels as a list of [price, quantity]")
    levels = []
    for price_text, qty_text, *_ in rows:
        price, qty = level_of(price_text, qty_text, instrument)
        if price > 0 and qty > 0:
            levels.append((price, qty))
    return levels


def _best(price_text: str | None, qty_text: str | None, instrument: Instrument) -> Level | None:
    if not price_text or not qty_text:
        return None
    price, qty = level_of(price_text, qty_text, instrument)
    return (price, qty) if price and qty else None
