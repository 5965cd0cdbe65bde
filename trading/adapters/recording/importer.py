"""Turns a public recording of another venue into one of ours: its dynamics, on MEXC's wire.

May import `trading.model`, `trading.adapters.mexc` and pyarrow (through `parquet`). A further form of input needs a
line in `FORMS`: a test for its first line, and a reader that gives the source events of `binance_lines`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import assert_never

from trading.adapters.recording.binance_lines import (
    SourceDepth,
    SourceEvent,
    SourceQuote,
    SourceSkipped,
    SourceSnapshot,
    SourceTrade,
    Texts,
    binance_events,
    is_binance_line,
)
from trading.adapters.recording.parquet import check_place, write_recording
from trading.adapters.recording.rows import Row
from trading.adapters.recording.transcoder import Transcoder
from trading.model.errors import ConfigError
from trading.model.instrument import Instrument
from trading.model.units import NS_PER_MS, parse_decimal, plain

Reader = Callable[[Iterable[str], bool], Iterator[SourceEvent]]
"""Lines, and whether broken ones are left out, to events."""

FORMS: tuple[tuple[str, Callable[[str], bool], Reader], ...] = (
    ("lines of '<receive time, ns> <json>' from Binance's combined streams", is_binance_line, binance_events),
)

LINE_BYTES_MAX = 64 << 20
"""A longer line is none: the largest real one is a snapshot of some hundred kilobytes."""

FORM_LINES = 20
"""Lines looked at to tell the form."""

MAKER_FEE = "0"
TAKER_FEE = "0.0005"
"""MEXC's standard spot fees (mexc-protocol §6): another venue's market, traded on MEXC's terms."""

# Assets that pairs are quoted in, longest first where one ends another.
# fmt: off
_QUOTES = (
    "FDUSD", "AEUR", "BIDR", "EURI", "IDRT", "USDT", "USDC", "TUSD", "BUSD", "USDP", "USDE", "USD1", "USDS", "XUSD",
    "DAI", "PAX", "UST", "VAI", "USD", "EUR", "GBP", "TRY", "BRL", "JPY", "ARS", "AUD", "COP", "CZK", "IDR", "MXN",
    "NGN", "PLN", "RON", "RUB", "UAH", "ZAR", "BTC", "ETH", "BNB", "SOL", "XRP", "TRX", "DOGE", "DOT", "MX",
)
# fmt: on
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = "\ufeff"
_DECIMALS_MAX = 18
# MEXC's bounds of an order's value (mexc-protocol §3.3 and §4): from 1 to 4,000,000 on USDT markets; 0.000005 on BTC
# and 0.0001 on ETH markets at least. Where nothing is known, none is stated.
_MIN_NOTIONAL = {"BTC": Decimal("0.000005"), "ETH": Decimal("0.0001")}
_NO_MIN_NOTIONAL = ("BNB", "SOL", "XRP", "TRX", "DOGE", "DOT", "MX")
_MAX_NOTIONAL = Decimal(4_000_000)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import wrote.

    Attributes:
        gaps: breaks in the source's own version chain, which a replay will show as gaps too.
        skipped: lines that were left out, by event ("kline", "broken", …).
    """

    symbol: str
    rows: int
    depth: int
    trades: int
    quotes: int
    snapshots: int
    gaps: int
    skipped: dict[str, int]
    tick_size: str
    lot_size: str
    first_recv_ns: int
    last_recv_ns: int


@dataclass(slots=True)
class _Survey:
    """What the first pass saw of one symbol, or of the snapshots that name none."""

    price_decimals: int = 0
    qty_decimals: int = 0
    depth: int = 0
    trades: int = 0
    quotes: int = 0
    snapshots: int = 0
    gaps: int = 0
    first_version: int = 0
    last_version: int = 0
    first_recv_ns: int = 0
    last_recv_ns: int = 0
    clock_offset_ms: int | None = None

    def take(self, event: SourceDepth | SourceTrade | SourceQuote | SourceSnapshot) -> None:
        """Count an event, and the decimals of its numbers."""
        self.first_recv_ns = self.first_recv_ns or event.recv_ts_ns
        self.last_recv_ns = max(self.last_recv_ns, event.recv_ts_ns)
        match event:
            case SourceSnapshot():
                self.snapshots += 1
                self._add_levels(event.line, (*event.bids, *event.asks))
                return
            case SourceDepth():
                self.depth += 1
                self.first_version = self.first_version or event.from_version
                if self.last_version and event.from_version > self.last_version + 1:
                    self.gaps += 1
                self.last_version = max(self.last_version, event.to_version)
                self._add_levels(event.line, (*event.bids, *event.asks))
            case SourceTrade():
                self.trades += 1
                self._add_levels(event.line, ((event.price, event.qty),))
            case SourceQuote():
                self.quotes += 1
                self._add_levels(event.line, (event.bid, event.ask))
            case _:
                assert_never(event)
        if self.clock_offset_ms is None and event.exch_ms:
            self.clock_offset_ms = event.exch_ms - event.recv_ts_ns // NS_PER_MS

    def _add_levels(self, line: int, levels: Iterable[Texts]) -> None:
        for price, qty in levels:
            self.price_decimals = max(self.price_decimals, _decimals(price, line))
            self.qty_decimals = max(self.qty_decimals, _decimals(qty, line))


@dataclass(slots=True)
class _Contents:
    """What a file holds: a survey for each symbol, and the snapshots that name none."""

    symbols: dict[str, _Survey] = field(default_factory=dict)
    unnamed: list[SourceSnapshot] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    def owns(self, symbol: str, snapshot: SourceSnapshot) -> bool:
        """Tell whether a snapshot is a symbol's: it says so, the file holds no other, or only its versions fit.

        Raises: ConfigError when nobody can know.
        """
        if snapshot.symbol or len(self.symbols) == 1:
            return snapshot.symbol in ("", symbol)
        fitting = [
            name
            for name, survey in self.symbols.items()
            if survey.depth and survey.first_version - 1 <= snapshot.version <= survey.last_version
        ]
        if len(fitting) > 1:
            raise ConfigError(
                f"line {snapshot.line}: a snapshot names no symbol, and its version fits several "
                f"({', '.join(sorted(fitting))}): split the file"
            )
        return fitting == [symbol]


def import_public(
    path: Path | str,
    out: Path | str,
    symbol: str | None = None,
    tick: str | None = None,
    lot: str | None = None,
    maker: str | None = None,
    taker: str | None = None,
    is_lenient: bool = False,
) -> ImportReport:
    """Read `path` (plain or gzip) and write the recording `out`, whole or not at all.

    Args:
        symbol: which one, when the file holds several. tick, lot: price and quantity steps, powers of ten; by default
            the finest that occur. maker, taker: fee rates as fractions, by default MEXC's standard 0 and 0.0005.
        is_lenient: leave broken lines and a cut-off end out, and count them, instead of refusing the file.
    Raises: ConfigError with one sentence that names the line, for a broken file, an unknown form, a value off the
        given steps, or an argument that makes no sense.
    """
    path, out = Path(path), Path(out)
    _check_places(path, out)
    reader = _reader(path, is_lenient)
    contents = _contents(reader(_lines(path, is_lenient), is_lenient))
    name = _chosen_symbol(path, contents, symbol)
    survey = contents.symbols[name]
    for snapshot in contents.unnamed:
        if contents.owns(name, snapshot):
            survey.take(snapshot)
    if not survey.snapshots:
        raise ConfigError(
            f"{path} holds no order book snapshot of {name}, so no book can be built from it; choose another recording"
        )
    instrument = _instrument(name, survey, tick, lot, maker, taker)
    transcoder = Transcoder(instrument, survey.clock_offset_ms or 0)
    rows = _transcoded(transcoder, reader(_lines(path, is_lenient), is_lenient), contents)
    count = write_recording(out, rows)
    return ImportReport(
        symbol=name,
        rows=count,
        depth=survey.depth,
        trades=survey.trades,
        quotes=survey.quotes,
        snapshots=survey.snapshots,
        gaps=survey.gaps,
        skipped=contents.skipped,
        tick_size=plain(instrument.tick_size),
        lot_size=plain(instrument.lot_size),
        first_recv_ns=survey.first_recv_ns,
        last_recv_ns=survey.last_recv_ns,
    )


def _transcoded(transcoder: Transcoder, events: Iterable[SourceEvent], contents: _Contents) -> Iterator[Row]:
    symbol = transcoder.instrument.symbol
    last_ns = 0
    for event in events:
        if isinstance(event, SourceSkipped):
            continue
        if isinstance(event, SourceSnapshot):
            if not contents.owns(symbol, event):
                continue
        elif event.symbol != symbol:
            continue
        row = transcoder.row(event)
        if not last_ns:
            yield transcoder.listing(row.recv_ts_ns)
        # The recorder's clock may have been set back; the order of the lines is the order of arrival.
        last_ns = max(last_ns, row.recv_ts_ns)
        yield row if row.recv_ts_ns == last_ns else Row(last_ns, row.stream, row.payload)


def _contents(events: Iterable[SourceEvent]) -> _Contents:
    found = _Contents()
    for event in events:
        if isinstance(event, SourceSkipped):
            found.skipped[event.kind] = found.skipped.get(event.kind, 0) + 1
        elif isinstance(event, SourceSnapshot) and not event.symbol:
            found.unnamed.append(event)
        else:
            found.symbols.setdefault(event.symbol, _Survey()).take(event)
    return found


def _chosen_symbol(path: Path, contents: _Contents, symbol: str | None) -> str:
    held = sorted(contents.symbols)
    if not held:
        kinds = ", ".join(sorted(contents.skipped))
        only = f" (only {kinds})" if kinds else ""
        raise ConfigError(f"{path} holds no market data of any symbol{only}; choose another recording")
    if symbol is not None and symbol not in contents.symbols:
        raise ConfigError(f"{path} holds {', '.join(held)}, not {symbol}; choose one of them with --symbol")
    if symbol is None and len(held) > 1:
        raise ConfigError(f"{path} holds several symbols ({', '.join(held)}); choose one with --symbol")
    return symbol or held[0]


def _instrument(
    symbol: str, survey: _Survey, tick: str | None, lot: str | None, maker: str | None, taker: str | None
) -> Instrument:
    pair = symbol.partition("_")[0]  # a delivery date or PERP comes after the pair
    quote = next((asset for asset in _QUOTES if pair.endswith(asset) and pair != asset), None)
    if quote is None:
        raise ConfigError(
            f"{symbol}: its quote asset is none of {', '.join(_QUOTES)}; import a pair quoted in one of them"
        )
    lot_size = _step(lot, survey.qty_decimals, "--lot")
    return Instrument(
        symbol=symbol,
        base=pair.removesuffix(quote),
        quote=quote,
        tick_size=_step(tick, survey.price_decimals, "--tick"),
        lot_size=lot_size,
        min_qty=lot_size,
        min_notional=Decimal(0) if quote in _NO_MIN_NOTIONAL else _MIN_NOTIONAL.get(quote, Decimal(1)),
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


def _check_places(path: Path, out: Path) -> None:
    """Refuse places before any work. Raises: ConfigError."""
    try:
        is_same = out.exists() and path.exists() and out.samefile(path)
        check_place(out)
    except OSError as error:  # a name that is too long, a loop of links
        raise ConfigError(f"cannot write {out}: {error.strerror or error}; choose another place")
    except ValueError as error:
        raise ConfigError(f"cannot write {out!r}: {error}; choose another place")
    if is_same:
        raise ConfigError(f"{out} is the file to be read itself: name another one with -o, this one stays as it is")


def _reader(path: Path, is_lenient: bool) -> Reader:
    """Choose the form by the first line that is of one: the very first may be broken."""
    first = list(islice((line for line in _lines(path, is_lenient) if line.strip()), FORM_LINES))
    if not first:
        raise ConfigError(f"{path} is empty; choose another recording")
    for line in first:
        for _, is_form, reader in FORMS:
            if is_form(line):
                return reader
    known = "; ".join(name for name, _, _ in FORMS)
    raise ConfigError(f"{path}: its first lines are of no known form; known are: {known}")


def _lines(path: Path, is_lenient: bool) -> Iterator[str]:
    """Read text lines of a plain or gzip file. Raises: ConfigError saying how far it could be read."""
    number = 0
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if is_gzip else raw as source:
                while line := source.readline(LINE_BYTES_MAX):
                    number += 1
                    if len(line) == LINE_BYTES_MAX:
                        raise ConfigError(f"{path}: line {number} is broken: it is longer than {LINE_BYTES_MAX} bytes")
                    text = line.decode(errors="replace" if is_lenient else "strict")
                    yield text.removeprefix(_BYTE_ORDER_MARK) if number == 1 else text
    except FileNotFoundError:
        raise ConfigError(f"no file at {path}")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: line {number} is broken: it is no UTF-8 text")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        if is_lenient and number:
            return
        raise ConfigError(f"{path} is broken: its compressed data ends or fails after line {number}; fetch it again")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}")


def _decimals(text: str, line: int) -> int:
    """Count the decimals of a plain decimal number, trailing zeros left out."""
    places = len(text.partition(".")[2].rstrip("0"))
    if places > _DECIMALS_MAX:
        raise ConfigError(f"line {line}: expected at most {_DECIMALS_MAX} decimals, was {text[:40]!r}")
    return places
