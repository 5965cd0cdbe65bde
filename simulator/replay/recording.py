"""What is in a recording: listings, streams, first snapshots. May import trading.adapters.recording."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import orjson

from simulator.exchange.amounts import AMOUNT_DECIMALS, RATE_DECIMALS
from simulator.exchange.listings import Listing
from simulator.wire.topics import Channel
from trading.adapters.mexc.rest_codec import instruments_of, snapshot_of
from trading.adapters.recording.rows import REST_DEPTH, REST_EXCHANGE_INFO, Row
from trading.model.errors import ConfigError, TradingError
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot

RECORDED_CHANNELS = (Channel.DEPTH, Channel.DEALS, Channel.BOOK_TICKER)


@dataclass(frozen=True, slots=True)
class RecordedPair:
    """One symbol of a recording, and the first snapshot of its book."""

    instrument: Instrument
    listing: Listing
    snapshot: BookSnapshot


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be played: at least one pair. `streams` holds (channel, symbol) of what was recorded."""

    path: Path
    pairs: tuple[RecordedPair, ...]
    streams: frozenset[tuple[Channel, str]]
    first_ns: int

    def rows(self) -> Iterator[Row]:
        """Iterate the rows. Raises ConfigError when the file has become unreadable."""
        return _read(self.path)


def _read(path: Path) -> Iterator[Row]:
    from trading.adapters.recording.parquet import read_recording  # pyarrow only where a recording is played

    return read_recording(path)


def _steps(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def listing_of(instrument: Instrument, max_market_notional: int) -> Listing:
    """Return the listing of a recorded instrument."""
    return Listing(
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        full_name=instrument.base,
        price_decimals=_steps(instrument.tick_size),
        qty_decimals=_steps(instrument.lot_size),
        min_lots=instrument.qty_lots_ceil(instrument.min_qty),
        min_notional=int(instrument.min_notional.scaleb(AMOUNT_DECIMALS)),
        max_notional=int(instrument.max_notional.scaleb(AMOUNT_DECIMALS)),
        max_market_notional=max_market_notional,
        maker_fee_e8=int(instrument.maker_fee_rate.scaleb(RATE_DECIMALS)),
        taker_fee_e8=int(instrument.taker_fee_rate.scaleb(RATE_DECIMALS)),
    )


def stream_of(stream: str) -> tuple[Channel, str] | None:
    """Return (channel, symbol) of a recorded topic that can be played, None for any other stream."""
    parts = stream.split("@")
    name = "@".join(parts[:2])
    for channel in RECORDED_CHANNELS:
        if name == channel.value and len(parts) == 4:
            return channel, parts[3]
    return None


def open_recording(path: Path, symbols: tuple[str, ...], max_market_notional: int) -> Recording:
    """Read a recording through once and return what it holds of `symbols` (of all when empty).

    Raises: ConfigError with one sentence: unreadable, broken, or without a book of a wanted symbol.
    """
    instruments: dict[str, Instrument] = {}
    snapshots: dict[str, BookSnapshot] = {}
    streams: set[tuple[Channel, str]] = set()
    known: dict[str, tuple[Channel, str] | None] = {}
    first_ns: int | None = None
    for row in _read(path):
        first_ns = row.recv_ts_ns if first_ns is None else first_ns
        if row.stream == REST_EXCHANGE_INFO:
            for symbol, instrument in _instruments(path, row).items():
                instruments.setdefault(symbol, instrument)
        elif row.stream == REST_DEPTH:
            _read_snapshot(path, row, instruments, snapshots)
        else:
            if row.stream not in known:
                known[row.stream] = stream_of(row.stream)
            stream = known[row.stream]
            if stream is not None:
                streams.add(stream)
    wanted = symbols or tuple(snapshots)
    for symbol in wanted:
        if symbol not in snapshots:
            held = ", ".join(snapshots) or "no symbol"
            raise ConfigError(f"{path} holds no book of {symbol} (it holds {held}); name another --symbols")
    if not wanted or first_ns is None:
        raise ConfigError(f"{path} holds no book snapshot, so there is nothing to replay; record or import it again")
    pairs = tuple(
        RecordedPair(instruments[symbol], listing_of(instruments[symbol], max_market_notional), snapshots[symbol])
        for symbol in wanted
    )
    return Recording(path, pairs, frozenset(stream for stream in streams if stream[1] in wanted), first_ns)


def _instruments(path: Path, row: Row) -> dict[str, Instrument]:
    try:
        return instruments_of(orjson.loads(row.payload))
    except (orjson.JSONDecodeError, TradingError) as error:
        raise ConfigError(
            f"{path} has a broken {REST_EXCHANGE_INFO} row ({error}); record or import it again"
        ) from None


def _read_snapshot(
    path: Path, row: Row, instruments: dict[str, Instrument], snapshots: dict[str, BookSnapshot]
) -> None:
    """Remember the first snapshot of each symbol."""
    try:
        body = orjson.loads(row.payload)
        symbol = body["symbol"]
        if symbol in instruments and symbol not in snapshots:
            snapshots[symbol] = snapshot_of(body, instruments[symbol], row.recv_ts_ns)
    except (orjson.JSONDecodeError, KeyError, TypeError, TradingError) as error:
        raise ConfigError(f"{path} has a broken {REST_DEPTH} row ({error}); record or import it again") from None
