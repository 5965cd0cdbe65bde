"""Rows of a recording as market events, the way the live stream would have told them.

May import `trading.model`, `trading.adapters.mexc` (codecs) and the rows. Deterministic: same rows, same events.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import orjson

from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.mexc.rest_codec import instruments_of, snapshot_of
from trading.adapters.mexc.topics import is_depth, symbol_of
from trading.adapters.recording.frame_columns import FrameColumns
from trading.adapters.recording.rows import EVENT_DISCONNECTED, REST_DEPTH, REST_EXCHANGE_INFO, Row
from trading.model.errors import ConfigError, DecodeError
from trading.model.instrument import Instrument
from trading.model.market import FeedConnected, FeedDisconnected, MarketEvent, SnapshotFailed

BATCH_ROWS = 4_096
"""Rows decoded at a time: what is done once a batch (`frame_columns`) costs an event the less the more there are, and
decoding and deciding in turns, event by event, push each other's code and tables out of the processor's caches."""

BATCH_BYTES = 8 << 20
"""Payload that ends a batch before: the events of snapshots, ten thousand levels each, take many times their text."""

COLLECT_AFTER = 50_000
"""New objects after which Python looks for cycles while a recording is played."""


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Let Python look for cycles less often while events are played; as before afterwards. For the whole process.

    A batch of events is some thousand objects, and all of them die by themselves. By Python's own 700 new objects each
    is looked at once before that: some 3 % of a replay.
    """
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def market_events(rows: Iterable[Row], instrument: Instrument | None = None) -> Iterator[tuple[int, MarketEvent]]:
    """Decode rows to (recv_ts_ns, event), in the order of the rows.

    The first depth frame or snapshot of a connection is preceded by FeedConnected: on a quiet symbol the snapshot comes
    first. `event:disconnected` becomes FeedDisconnected; an undecodable frame costs the proof, as it does live.
    Rows are read up to `BATCH_ROWS` ahead, so that where they break off, the events of that many may be missing.

    Args:
        instrument: whose events are wanted, and its scale. None: that of the first rest:exchangeInfo row.
    Raises: ConfigError when no instrument is given and market data comes before any rest:exchangeInfo row.
    """
    rows = iter(rows)
    if instrument is None:
        first = next(rows, None)
        if first is None:
            return
        if first.stream != REST_EXCHANGE_INFO:
            text = f"expected a {REST_EXCHANGE_INFO} row first, was {first.stream}: the recording has no scale"
            raise ConfigError(text)
        instrument = _listed(first)
    player = _Player(instrument)
    for batch in _batches(rows):
        yield from player.play(batch)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row.payload)
        if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Player:
    """Decodes one symbol's rows, in batches; what is to be known of the batches before is whether there was a line."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._symbol = instrument.symbol
        self._codec = PublicCodec(instrument)
        self._columns = FrameColumns(instrument)
        self._is_connected = False

    def play(self, rows: list[Row]) -> list[tuple[int, MarketEvent]]:
        """Return the events of these rows with their times of receipt."""
        read = self._columns.read(rows)
        if self._is_connected and all(read):  # nearly always
            return [(event.recv_ts_ns, event) for events in read if events for event in events]
        played: list[tuple[int, MarketEvent]] = []
        for row, events in zip(rows, read, strict=True):
            now_ns = row.recv_ts_ns
            if events is None:
                events = self._other(row)
            if events and not self._is_connected and (is_depth(row.stream) or row.stream == REST_DEPTH):
                self._is_connected = True
                played.append((now_ns, FeedConnected(self._symbol, now_ns)))
            for event in events:
                played.append((now_ns, event))
        return played

    def _other(self, row: Row) -> tuple[MarketEvent, ...]:
        """Decode a row by itself: a frame that the columns leave to the codec, or what is no frame."""
        now_ns, stream, payload = row
        if _is_frame(stream, self._symbol):
            return self._codec.read(payload, now_ns)
        if stream == REST_DEPTH:
            event = _snapshot(row, self._instrument)
            return () if event is None else (event,)
        if stream == EVENT_DISCONNECTED and self._is_connected:
            self._is_connected = False
            return (FeedDisconnected(self._symbol, payload.decode(errors="replace"), now_ns),)
        return ()


def recording_instrument(path: Path | str) -> Instrument:
    """Return the instrument of a recording, from its first rest:exchangeInfo row (read no further than needed).

    Raises: ConfigError when the file is unreadable or names no instrument.
    """
    from trading.adapters.recording.parquet import read_recording  # pyarrow stays out of whoever has rows already

    for row in read_recording(path):
        if row.stream == REST_EXCHANGE_INFO:
            return _listed(row)
    raise ConfigError(
        f"{path} holds no {REST_EXCHANGE_INFO} row, so ticks and lots are unknown; record or import it again"
    )


@lru_cache(maxsize=64)
def _is_frame(stream: str, symbol: str) -> bool:
    """Return whether rows of a stream are frames of this symbol; a recording has a handful of streams."""
    return not stream.startswith(("rest:", "event:", "engine:")) and symbol_of(stream) == symbol


def _listed(row: Row) -> Instrument:
    try:
        listed = list(instruments_of(orjson.loads(row.payload)).values())
    except (orjson.JSONDecodeError, DecodeError) as error:
        raise ConfigError(f"broken {REST_EXCHANGE_INFO} row: {error}")
    if len(listed) != 1:
        raise ConfigError(f"expected one symbol in the {REST_EXCHANGE_INFO} row, was {len(listed)}")
    return listed[0]


def _snapshot(row: Row, instrument: Instrument) -> MarketEvent | None:
    """Return the snapshot, None for another symbol's, SnapshotFailed for one that cannot be read."""
    try:
        body = orjson.loads(row.payload)
        if isinstance(body, dict) and body.get("symbol", instrument.symbol) != instrument.symbol:
            return None
        return snapshot_of(body, instrument, row.recv_ts_ns)
    except (orjson.JSONDecodeError, DecodeError) as error:
        return SnapshotFailed(instrument.symbol, str(error), row.recv_ts_ns)
