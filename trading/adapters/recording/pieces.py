"""Pieces of a recording that can be traded alone: each begins with the book as it was. May import pyarrow.

A recording has a snapshot where it began and hardly another one; a piece from its middle is given one, made of the book
that the frames before it built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import pyarrow as pa
import pyarrow.parquet as pq

from trading.adapters.recording.events import market_events
from trading.adapters.recording.parquet import read_recording
from trading.engine.book_sync import BookSync
from trading.model.errors import ConfigError
from trading.model.instrument import Instrument
from trading.model.market import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    BookState,
    FeedAlive,
    FeedConnected,
    FeedDisconnected,
    Level,
    MarketEvent,
    MarketTrade,
    SnapshotFailed,
)

LEVELS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a recording: traded in [from_ns, to_ns), watched from `watch_ns` on so that measures are warm."""

    number: int
    watch_ns: int
    from_ns: int
    to_ns: int


def recording_span(path: Path) -> tuple[int, int]:
    """Return the receive times of the first and last row. Raises: ConfigError when there are none."""
    read_recording(path)  # checks the file and its columns, in the words of a person
    try:
        with pq.ParquetFile(path) as file:
            times = [
                time
                for batch in file.iter_batches(65_536, columns=["recv_ts_ns"], use_threads=False)
                if batch.num_rows
                for time in (batch.column(0)[0].as_py(), batch.column(0)[-1].as_py())
            ]
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} is broken ({error}); record or import it again")
    if not times:
        raise ConfigError(f"{path} holds no rows; record or import it again")
    return min(times), max(times)


def pieces_of(span: tuple[int, int], count: int, warmup_ns: int) -> tuple[Piece, ...]:
    """Cut a time span into `count` pieces of equal length. Raises: ConfigError when they would be under a second."""
    first_ns, last_ns = span
    length = (last_ns - first_ns) // count
    if length < 1_000_000_000:
        seconds = (last_ns - first_ns) / 1e9
        raise ConfigError(f"{seconds:.1f} s of market cannot be cut into {count} pieces: use fewer --folds")
    starts = [first_ns + number * length for number in range(count)] + [last_ns + 1]
    return tuple(
        Piece(number, max(first_ns, starts[number] - warmup_ns), starts[number], starts[number + 1])
        for number in range(count)
    )


def piece_events(path: Path, instrument: Instrument, piece: Piece) -> Iterator[tuple[int, MarketEvent]]:
    """Read the events of a piece, its warm-up included; the first ones give the book as it was then."""
    return cut(market_events(read_recording(path), instrument), instrument.symbol, piece)


def cut(events: Iterable[tuple[int, MarketEvent]], symbol: str, piece: Piece) -> Iterator[tuple[int, MarketEvent]]:
    """Cut a piece out of a stream of events that begins at the recording's start."""
    sync = BookSync(symbol)
    has_begun = is_connected = False
    for now_ns, event in events:
        if now_ns >= piece.to_ns:
            return
        if now_ns >= piece.watch_ns:
            if not has_begun:
                has_begun = True
                yield from _opening(sync, symbol, is_connected, now_ns)
            yield now_ns, event
            continue
        match event:
            case BookDelta():
                sync.on_delta(event, now_ns)
            case BookSnapshot():
                sync.on_snapshot(event, now_ns)
            case FeedConnected():
                is_connected = True
                sync.on_connected(now_ns)
            case FeedDisconnected():
                is_connected = False
                sync.on_disconnected(event.reason, now_ns)
            case MarketTrade() | BestQuote() | FeedAlive() | SnapshotFailed():
                pass  # says nothing of the levels
            case _:
                assert_never(event)


def _opening(sync: BookSync, symbol: str, is_connected: bool, now_ns: int) -> Iterator[tuple[int, MarketEvent]]:
    if not is_connected:
        return
    yield now_ns, FeedConnected(symbol, now_ns)
    book = sync.book
    if sync.state is BookState.PROVEN:
        bids, asks = tuple(book.bids(LEVELS_MAX)), tuple(book.asks(LEVELS_MAX))
        cuts = (_cut(bids, book.deepest_known_bid), _cut(asks, book.deepest_known_ask))
        yield now_ns, BookSnapshot(symbol, book.version, bids, asks, book.exch_ts_ns, now_ns, *cuts)


def _cut(levels: tuple[Level, ...], deepest_known: int | None) -> int | None:
    return levels[-1][0] if len(levels) == LEVELS_MAX else deepest_known
