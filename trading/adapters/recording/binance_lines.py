"""One public form of recordings: lines of `<receive time, ns> <json>` from Binance's combined streams.

Pure: lines in, source events out; may import orjson and `trading.model`. Known events: depthUpdate, trade, aggTrade,
bookTicker and REST depth snapshots, spot and USDT-margined futures (whose chain is `pu`); other events are told as
skipped. It is the form of the examples of nkaz001/hftbacktest (MIT) and of its collector.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from trading.model.errors import ConfigError
from trading.model.units import MS_MAX

Texts = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """Levels as (price, quantity) texts, valid after `version`. symbol: "" when the answer names none (REST)."""

    line: int
    recv_ts_ns: int
    symbol: str
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


@dataclass(frozen=True, slots=True)
class SourceSkipped:
    """A line that carries nothing for us. kind: its event, or `BROKEN`."""

    line: int
    kind: str


SourceEvent = SourceSnapshot | SourceDepth | SourceTrade | SourceQuote | SourceSkipped

BROKEN = "broken"
_INT64_MAX = 2**63 - 1
# Exchange times come in ms, and in µs where the stream was asked for them (timeUnit=MICROSECOND). Both reach to 2262,
# so that ns fit 64 bits; in µs they begin in 1973, so that nothing is both.
_US_PER_MS = 1_000
_US_MIN, _US_MAX = 10**14, MS_MAX * _US_PER_MS
_PLAIN = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,30})?")


def is_binance_line(line: str) -> bool:
    """Tell this form by a line: digits, a blank, a JSON object."""
    time_text, _, body = line.partition(" ")
    return time_text.isdecimal() and body.lstrip().startswith("{")


def binance_events(lines: Iterable[str], is_lenient: bool = False) -> Iterator[SourceEvent]:
    """Read lines in order; subscription answers and blank lines are passed over, events we have no use for are skipped.

    Args:
        is_lenient: tell a broken line as skipped instead of refusing the file. A lost depth push shows as a gap.
    Raises: ConfigError naming the first broken line.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = _event(number, line)
        except (KeyError, TypeError, ValueError) as error:
            if is_lenient:
                yield SourceSkipped(number, BROKEN)
                continue
            missing = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise ConfigError(f"line {number} is broken: {missing}; --skip-broken leaves such lines out")
        if event is not None:
            yield event


def _event(number: int, line: str) -> SourceEvent | None:
    time_text, _, text = line.partition(" ")
    if not (time_text.isascii() and time_text.isdecimal()) or not 0 < int(time_text) <= _INT64_MAX:
        raise ValueError(f"expected a receive time in ns first, was {time_text[:40]!r}")
    try:
        body = orjson.loads(text.strip())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"expected JSON after the receive time: {error.msg} at character {error.pos + 1} of it")
    if not isinstance(body, dict):
        raise ValueError("expected a JSON object after the receive time")
    if "result" in body and "id" in body:
        return None
    data = body.get("data", body)
    if not isinstance(data, dict):
        return SourceSkipped(number, _kind(body, {}))
    recv_ts_ns = int(time_text)
    if "lastUpdateId" in data and "@depth" not in str(body.get("stream", "")):
        return _snapshot(number, recv_ts_ns, data)
    kind = _kind(body, data)
    reader = _READERS.get(kind)
    return reader(number, recv_ts_ns, data) if reader is not None else SourceSkipped(number, kind)


def _kind(body: dict[str, Any], data: dict[str, Any]) -> str:
    """Name the event. Spot book tickers name no event type; their stream does."""
    return str(data.get("e") or str(body.get("stream", "")).partition("@")[2] or "unnamed")[:40]


def _snapshot(number: int, recv_ts_ns: int, data: dict[str, Any]) -> SourceSnapshot:
    symbol = str(data.get("symbol") or data.get("s") or "")
    bids, asks = _levels(data["bids"]), _levels(data["asks"])
    return SourceSnapshot(number, recv_ts_ns, symbol, _integer(data, "lastUpdateId"), bids, asks)


def _depth(number: int, recv_ts_ns: int, data: dict[str, Any]) -> SourceDepth:
    # Futures skip versions between pushes and chain by `pu`, the last version of the push before.
    first = _integer(data, "pu") + 1 if "pu" in data else _integer(data, "U")
    last = _integer(data, "u")
    if first > last:
        raise ValueError(f"expected versions in order, was {first} to {last}")
    return SourceDepth(
        number, recv_ts_ns, _symbol(data), first, last, _levels(data["b"]), _levels(data["a"]), _time_ms(data, "E")
    )


def _trade(number: int, recv_ts_ns: int, data: dict[str, Any]) -> SourceTrade | SourceSkipped:
    is_buyer_maker = data["m"]
    if not isinstance(is_buyer_maker, bool):
        raise ValueError(f"expected m as true or false, was {is_buyer_maker!r}")
    trade_id = str(data["a"] if data.get("e") == "aggTrade" else data["t"])
    price, qty = _texts(data["p"], data["q"])
    if not price.strip("0.") or not qty.strip("0."):
        # Futures tell transfers of the insurance fund as trades of nothing.
        return SourceSkipped(number, "trade of nothing")
    return SourceTrade(number, recv_ts_ns, _symbol(data), price, qty, is_buyer_maker, trade_id, _time_ms(data, "T"))


def _quote(number: int, recv_ts_ns: int, data: dict[str, Any]) -> SourceQuote:
    bid, ask = _texts(data["b"], data["B"]), _texts(data["a"], data["A"])
    exch_ms = _time_ms(data, "E") if "E" in data else 0
    return SourceQuote(number, recv_ts_ns, _symbol(data), _integer(data, "u"), bid, ask, exch_ms)


_READERS: dict[str, Callable[[int, int, dict[str, Any]], SourceEvent]] = {
    "depthUpdate": _depth,
    "trade": _trade,
    "aggTrade": _trade,
    "bookTicker": _quote,
}


def _integer(data: dict[str, Any], name: str) -> int:
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _INT64_MAX:
        raise ValueError(f"expected {name} as a whole number, was {value!r}")
    return value


def _time_ms(data: dict[str, Any], name: str) -> int:
    """Read a time of the exchange's, told in ms or µs, as ms."""
    value = _integer(data, name)
    if value <= MS_MAX:
        return value
    if _US_MIN <= value <= _US_MAX:
        return value // _US_PER_MS
    raise ValueError(f"expected {name} in ms or µs since 1970, was {value}")


def _symbol(data: dict[str, Any]) -> str:
    symbol = data["s"]
    if not isinstance(symbol, str) or not symbol or "@" in symbol or not symbol.isprintable():
        raise ValueError(f"expected s as a symbol, was {symbol!r}")
    return symbol


def _texts(price: Any, qty: Any) -> Texts:
    for text in (price, qty):
        if not isinstance(text, str):
            raise ValueError(f"expected price and quantity as texts, was {price!r}, {qty!r}")
        if _PLAIN.fullmatch(text) is None:
            raise ValueError(f"expected a plain decimal number, was {text[:40]!r}")
    return price, qty


def _levels(rows: Any) -> tuple[Texts, ...]:
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= 2 for row in rows):
        raise ValueError("expected levels as a list of [price, quantity]")
    levels = tuple(_texts(row[0], row[1]) for row in rows)
    if not all(price.strip("0.") for price, _ in levels):
        raise ValueError("expected levels with a price above 0")
    return levels
