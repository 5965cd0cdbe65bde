"""One public form of recordings: lines of `<receive time, ns> <json>` from Binance's combined streams.

Pure: lines in, source events out; may import orjson and `trading.model`. Known events: depthUpdate, trade, aggTrade,
bookTicker and REST depth snapshots, spot and USDT-margined futures (whose chain is `pu`). It is the form of the
examples of nkaz001/hftbacktest (MIT) and of its collector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from trading.model.errors import ConfigError

Texts = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """Levels as (price, quantity) texts, valid after `version`."""

    line: int
    recv_ts_ns: int
    version: int
    bids: tuple[Texts, ...]
    asks: tuple[Texts, ...]


@dataclass(frozen=True, slots=True)
class SourceDepth:
    """Absolute quantities after versions from_version..to_version; exch_ms is the source exchange's clock."""

    line: int
    recv_ts_ns: int
    symbol: str
    from_version: int
    to_version: int
    bids: tuple[Texts, ...]
    asks: tuple[Texts, ...]
    exch_ms: int


@dataclass(frozen=True, slots=True)
class SourceTrade:
    """One trade; `is_buyer_maker`: the taker sold."""

    line: int
    recv_ts_ns: int
    symbol: str
    price: str
    qty: str
    is_buyer_maker: bool
    trade_id: str
    exch_ms: int


@dataclass(frozen=True, slots=True)
class SourceQuote:
    """Best bid and ask at a version. Spot pushes carry no time: exch_ms is 0 then."""

    line: int
    recv_ts_ns: int
    symbol: str
    version: int
    bid: Texts
    ask: Texts
    exch_ms: int


SourceEvent = SourceSnapshot | SourceDepth | SourceTrade | SourceQuote


def is_binance_line(line: str) -> bool:
    """Tell this form by a line: digits, a blank, a JSON object."""
    time_text, _, body = line.partition(" ")
    return time_text.isdecimal() and body.lstrip().startswith("{")


def binance_events(lines: Iterable[str]) -> Iterator[SourceEvent]:
    """Read lines in order; subscription answers and blank lines are passed over.

    Raises: ConfigError naming the first line that is broken or of an unknown kind.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = _event(number, line)
        except (KeyError, TypeError, ValueError) as error:
            missing = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise ConfigError(f"line {number} is broken: {missing}")
        if event is not None:
            yield event


def _event(number: int, line: str) -> SourceEvent | None:
    time_text, _, text = line.partition(" ")
    if not time_text.isdecimal() or len(time_text) > 19:
        raise ValueError(f"expected a receive time in ns first, was {time_text[:40]!r}")
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"expected JSON after the receive time: {error}")
    if not isinstance(body, dict):
        raise ValueError("expected a JSON object after the receive time")
    if "result" in body and "id" in body:
        return None
    data = body.get("data", body)
    if not isinstance(data, dict):
        raise ValueError("expected an object as data")
    recv_ts_ns = int(time_text)
    if "lastUpdateId" in data:
        return SourceSnapshot(
            number, recv_ts_ns, _integer(data, "lastUpdateId"), _levels(data["bids"]), _levels(data["asks"])
        )
    # Spot book tickers name no event type; their stream does.
    kind = str(data.get("e") or str(body.get("stream", "")).partition("@")[2])
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueError(f"unknown event {kind!r}; known are {', '.join(_READERS)} and depth snapshots")
    return reader(number, recv_ts_ns, data)


def _depth(number: int, recv_ts_ns: int, data: dict[str, Any]) -> SourceDepth:
    # Futures skip versions between pushes and chain by `pu`, the last version of the push before.
    first = _integer(data, "pu") + 1 if "pu" in data else _integer(data, "U")
    last = _integer(data, "u")
    if first > last:
        raise ValueError(f"expected versions in order, was {first} to {last}")
    return SourceDepth(
        number, recv_ts_ns, _symbol(data), first, last, _levels(data["b"]), _levels(data["a"]), _integer(data, "E")
    )


def _trade(number: int, recv_ts_ns: int, data: dict[str, Any]) -> SourceTrade:
    is_buyer_maker = data["m"]
    if not isinstance(is_buyer_maker, bool):
        raise ValueError(f"expected m as true or false, was {is_buyer_maker!r}")
    trade_id = str(data["a"] if data.get("e") == "aggTrade" else data["t"])
    price, qty = _texts(data["p"], data["q"])
    return SourceTrade(number, recv_ts_ns, _symbol(data), price, qty, is_buyer_maker, trade_id, _integer(data, "T"))


def _quote(number: int, recv_ts_ns: int, data: dict[str, Any]) -> SourceQuote:
    bid, ask = _texts(data["b"], data["B"]), _texts(data["a"], data["A"])
    exch_ms = _integer(data, "E") if "E" in data else 0
    return SourceQuote(number, recv_ts_ns, _symbol(data), _integer(data, "u"), bid, ask, exch_ms)


_READERS: dict[str, Callable[[int, int, dict[str, Any]], SourceEvent]] = {
    "depthUpdate": _depth,
    "trade": _trade,
    "aggTrade": _trade,
    "bookTicker": _quote,
}


def _integer(data: dict[str, Any], name: str) -> int:
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"expected {name} as a whole number, was {value!r}")
    return value


def _symbol(data: dict[str, Any]) -> str:
    symbol = data["s"]
    if not isinstance(symbol, str) or not symbol:
        raise ValueError(f"expected s as a symbol, was {symbol!r}")
    return symbol


def _texts(price: Any, qty: Any) -> Texts:
    if not isinstance(price, str) or not isinstance(qty, str):
        raise ValueError(f"expected price and quantity as texts, was {price!r}, {qty!r}")
    return price, qty


def _levels(rows: Any) -> tuple[Texts, ...]:
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= 2 for row in rows):
        raise ValueError("expected levels as a list of [price, quantity]")
    return tuple(_texts(row[0], row[1]) for row in rows)
