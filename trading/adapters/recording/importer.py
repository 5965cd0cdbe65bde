"""Turns a public recording of another venue into one of ours: its dynamics, on MEXC's wire.

May import `trading.model`, `trading.adapters.mexc` and pyarrow (through `parquet`). A further form of input needs a
line in `FORMS`: a test for its first line, and a reader that gives the source events of `binance_lines`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import assert_never

from trading.adapters.recording.binance_lines import (
    SourceDepth,
    SourceEvent,
    SourceQuote,
    SourceSnapshot,
    SourceTrade,
    Texts,
    binance_events,
    is_binance_line,
)
from trading.adapters.recording.parquet import write_recording
from trading.adapters.recording.rows import Row
from trading.adapters.recording.transcoder import Transcoder
from trading.model.errors import ConfigError
from trading.model.instrument import Instrument
from trading.model.units import NS_PER_MS, parse_decimal, plain

FORMS: tuple[tuple[str, Callable[[str], bool], Callable[[Iterable[str]], Iterator[SourceEvent]]], ...] = (
    ("lines of '<receive time, ns> <json>' from Binance's combined streams", is_binance_line, binance_events),
)

MAKER_FEE = "0"
TAKER_FEE = "0.0005"
"""MEXC's standard spot fees (mexc-protocol §6): another venue's market, traded on MEXC's terms."""

# Assets that pairs are quoted in, longest first where one ends another.
# fmt: off
_QUOTES = (
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "USDE", "USD1", "DAI", "USD",
    "EUR", "GBP", "TRY", "BRL", "JPY", "BTC", "ETH", "BNB", "SOL", "MX",
)
# fmt: on
_GZIP_MAGIC = b"\x1f\x8b"
_DECIMALS_MAX = 18
# MEXC's bounds of an order's value on USDT markets (mexc-protocol §3.3 and §4): 1 and 4,000,000.
_MIN_NOTIONAL = Decimal(1)
_MAX_NOTIONAL = Decimal(4_000_000)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import wrote. `gaps`: breaks in the source's own version chain, which a replay will show as gaps too."""

    symbol: str
    rows: int
    depth: int
    trades: int
    quotes: int
    snapshots: int
    gaps: int
    tick_size: str
    lot_size: str
    first_recv_ns: int
    last_recv_ns: int


@dataclass(slots=True)
class _Survey:
    """What the first pass saw."""

    symbols: set[str]
    price_decimals: int = 0
    qty_decimals: int = 0
    depth: int = 0
    trades: int = 0
    quotes: int = 0
    snapshots: int = 0
    gaps: int = 0
    last_version: int = 0
    first_recv_ns: int = 0
    last_recv_ns: int = 0
    clock_offset_ms: int | None = None

    def add_levels(self, line: int, levels: Iterable[Texts]) -> None:
        for price, qty in levels:
            self.price_decimals = max(self.price_decimals, _decimals(price, line))
            self.qty_decimals = max(self.qty_decimals, _decimals(qty, line))


def import_public(
    path: Path | str,
    out: Path | str,
    symbol: str | None = None,
    tick: str | None = None,
    lot: str | None = None,
    maker: str | None = None,
    taker: str | None = None,
) -> ImportReport:
    """Read `path` (plain or gzip) and write the recording `out`, whole or not at all.

    Args:
        symbol: which one, when the file holds several. tick, lot: price and quantity steps, powers of ten; by default
            the finest that occur. maker, taker: fee rates as fractions, by default MEXC's standard 0 and 0.0005.
    Raises: ConfigError with one sentence that names the line, for a broken file, an unknown form, a value off the
        given steps, or an argument that makes no sense.
    """
    path = Path(path)
    reader = _reader(path)
    survey = _survey(reader(_lines(path)))
    name = _chosen_symbol(path, survey, symbol)
    if not survey.snapshots:
        raise ConfigError(
            f"{path} holds no order book snapshot, so no book can be built from it; choose another recording"
        )
    instrument = _instrument(name, survey, tick, lot, maker, taker)
    transcoder = Transcoder(instrument, survey.clock_offset_ms or 0)
    rows = _transcoded(transcoder, reader(_lines(path)), survey, len(survey.symbols) > 1)
    count = write_recording(out, rows)
    return ImportReport(
        symbol=name,
        rows=count,
        depth=survey.depth,
        trades=survey.trades,
        quotes=survey.quotes,
        snapshots=survey.snapshots,
        gaps=survey.gaps,
        tick_size=plain(instrument.tick_size),
        lot_size=plain(instrument.lot_size),
        first_recv_ns=survey.first_recv_ns,
        last_recv_ns=survey.last_recv_ns,
    )


def _transcoded(
    transcoder: Transcoder, events: Iterable[SourceEvent], survey: _Survey, is_mixed: bool
) -> Iterator[Row]:
    symbol = transcoder.instrument.symbol
    yield transcoder.listing(survey.first_recv_ns)
    for event in events:
        if isinstance(event, SourceSnapshot):
            if is_mixed:
                raise ConfigError(
                    f"line {event.line}: a snapshot names no symbol, and the file holds several; split it"
                )
        elif event.symbol != symbol:
            continue
        yield transcoder.row(event)


def _survey(events: Iterable[SourceEvent]) -> _Survey:
    survey = _Survey(set())
    for event in events:
        survey.first_recv_ns = survey.first_recv_ns or event.recv_ts_ns
        survey.last_recv_ns = event.recv_ts_ns
        if not isinstance(event, SourceSnapshot):
            survey.symbols.add(event.symbol)
            if survey.clock_offset_ms is None and event.exch_ms:
                survey.clock_offset_ms = event.exch_ms - event.recv_ts_ns // NS_PER_MS
        match event:
            case SourceSnapshot():
                survey.snapshots += 1
                survey.add_levels(event.line, (*event.bids, *event.asks))
            case SourceDepth():
                survey.depth += 1
                if survey.last_version and event.from_version > survey.last_version + 1:
                    survey.gaps += 1
                survey.last_version = event.to_version
                survey.add_levels(event.line, (*event.bids, *event.asks))
            case SourceTrade():
                survey.trades += 1
                survey.add_levels(event.line, ((event.price, event.qty),))
            case SourceQuote():
                survey.quotes += 1
                survey.add_levels(event.line, (event.bid, event.ask))
            case _:
                assert_never(event)
    return survey


def _chosen_symbol(path: Path, survey: _Survey, symbol: str | None) -> str:
    held = sorted(survey.symbols)
    if not held:
        raise ConfigError(f"{path} holds no market data of any symbol; choose another recording")
    if symbol is not None and symbol not in survey.symbols:
        raise ConfigError(f"{path} holds {', '.join(held)}, not {symbol}; choose one of them with --symbol")
    if symbol is None and len(held) > 1:
        raise ConfigError(f"{path} holds several symbols ({', '.join(held)}); choose one with --symbol")
    return symbol or held[0]


def _instrument(
    symbol: str, survey: _Survey, tick: str | None, lot: str | None, maker: str | None, taker: str | None
) -> Instrument:
    quote = next((asset for asset in _QUOTES if symbol.endswith(asset) and symbol != asset), None)
    if quote is None:
        raise ConfigError(
            f"{symbol}: its quote asset is none of {', '.join(_QUOTES)}; import a pair quoted in one of them"
        )
    lot_size = _step(lot, survey.qty_decimals, "--lot")
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix(quote),
        quote=quote,
        tick_size=_step(tick, survey.price_decimals, "--tick"),
        lot_size=lot_size,
        min_qty=lot_size,
        min_notional=_MIN_NOTIONAL,
        max_notional=_MAX_NOTIONAL,
        maker_fee_rate=_rate(maker, MAKER_FEE, "--maker-fee"),
        taker_fee_rate=_rate(taker, TAKER_FEE, "--taker-fee"),
    )


def _step(text: str | None, decimals: int, name: str) -> Decimal:
    """Read a step; MEXC states steps as a number of decimals, so only 1, 0.1, 0.01, … can be said on its wire."""
    if text is None:
        return Decimal(1).scaleb(-decimals)
    step = parse_decimal(str(text), name)
    if step not in {Decimal(1).scaleb(-places) for places in range(_DECIMALS_MAX + 1)}:
        raise ConfigError(f"{name}: expected 1, 0.1, 0.01 or a finer power of ten, was {text}")
    return step.normalize() if step < 1 else Decimal(1)


def _rate(text: str | None, default: str, name: str) -> Decimal:
    rate = parse_decimal(str(text if text is not None else default), name)
    if not Decimal("-0.01") <= rate <= Decimal("0.1"):
        raise ConfigError(f"{name}: expected a fraction from -0.01 to 0.1 (0.0005 is 5 bps), was {text}")
    return rate


def _reader(path: Path) -> Callable[[Iterable[str]], Iterator[SourceEvent]]:
    first = next((line for line in _lines(path) if line.strip()), None)
    if first is None:
        raise ConfigError(f"{path} is empty; choose another recording")
    for _, is_form, reader in FORMS:
        if is_form(first):
            return reader
    known = "; ".join(name for name, _, _ in FORMS)
    raise ConfigError(f"{path}: line 1 is of no known form; known are: {known}")


def _lines(path: Path) -> Iterator[str]:
    """Read text lines of a plain or gzip file. Raises: ConfigError saying how far it could be read."""
    number = 0
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if is_gzip else raw as source:
                for line in source:
                    number += 1
                    yield line.decode()
    except FileNotFoundError:
        raise ConfigError(f"no file at {path}")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: line {number} is broken: it is no UTF-8 text")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ConfigError(f"{path} is broken: its compressed data ends or fails after line {number}; fetch it again")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}")


def _decimals(text: str, line: int) -> int:
    head, point, tail = text.partition(".")
    if not (head.isascii() and head.isdecimal()) or (point and not (tail.isascii() and tail.isdecimal())):
        raise ConfigError(f"line {line} is broken: expected a plain decimal number, was {text[:40]!r}")
    places = len(tail.rstrip("0"))
    if places > _DECIMALS_MAX:
        raise ConfigError(f"line {line}: expected at most {_DECIMALS_MAX} decimals, was {text[:40]!r}")
    return places
