"""Records one symbol while it trades: the ear of its stream and its snapshots, the hand that writes segments.

May import `trading.model`, the public REST codec, orjson and the standard library; never pyarrow, since it lives in the
symbol actor's process. A recorder that fails stops recording and says so; it never stops trading.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import orjson

from trading.adapters.clock import Clock
from trading.adapters.mexc.rest_codec import listing_of
from trading.adapters.recording.rows import EVENT_DISCONNECTED, RAW_FRAME, REST_DEPTH, REST_EXCHANGE_INFO, depth_payload
from trading.adapters.recording.segments import SEGMENT_SUFFIX, SegmentWriter
from trading.model.instrument import Instrument
from trading.model.units import NS_PER_S, ms_from_ns

FLUSH_S = 0.5
"""How often to call `flush`. A kill loses what came since: half of the second that may be lost, since a busy loop is
late now and then."""

_FLUSH_NS = int(FLUSH_S * NS_PER_S)
_ASK_AGAIN_NS = 10 * NS_PER_S
"""A later segment's snapshot is asked for again after so long, until it has come: the venue may refuse one."""
_NAMES_MAX = 1_000
"""Names tried for a segment; the first is free unless a process of the same number wrote here before."""


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """A segment is closed and the next begun after so many bytes or seconds."""

    segment_bytes_max: int = 128 << 20
    segment_s_max: float = 3_600.0


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """Counters since the start; `fault` is empty while all is well."""

    rows: int
    bytes_written: int
    segments: int
    fault: str


class SegmentRecorder:
    """Writes what a symbol hears. Implements the taps of `MarketStream` and `PublicRest`; none of its methods raises.

    Each segment starts with the listing, so that it can be read alone. Call `flush` every `FLUSH_S` seconds: then a
    kill loses less than a second.
    """

    def __init__(
        self,
        directory: Path,
        instrument: Instrument,
        topics: tuple[str, ...],
        clock: Clock,
        settings: RecorderSettings | None = None,
        on_rotated: Callable[[], None] | None = None,
        on_finished: Callable[[Path], None] | None = None,
    ) -> None:
        """
        Args:
            directory: made if missing. topics: what the stream subscribes to; frames of other channels are kept as raw.
            on_rotated: called when a later segment begins, and again until a REST snapshot of its own has come.
            on_finished: called with each segment that is whole: it can be sealed.
        """
        self._directory = directory
        self._instrument = instrument
        self._clock = clock
        self._settings = settings or RecorderSettings()
        self._on_rotated = on_rotated
        self._on_finished = on_finished
        self._names = {topic.encode(): topic.encode() for topic in topics}
        self._raw = f"{RAW_FRAME}@{instrument.symbol}".encode()
        self._writer: SegmentWriter | None = None
        self._began_ns = 0
        self._flushed_ns = 0
        self._last_ns = 0
        self._count = 0
        self._is_snapshot_wanted = False
        self._asked_ns = 0
        self._rows = self._bytes = self._segments = 0
        self._fault = ""

    def on_frame(self, recv_ts_ns: int, payload: bytes) -> None:
        """Take a frame of the stream."""
        channel = self._names.get(_channel(payload), self._raw)
        self._append(recv_ts_ns, channel, payload)

    def on_lost(self, recv_ts_ns: int, reason: str) -> None:
        """Take note that the stream was lost."""
        self._append(recv_ts_ns, EVENT_DISCONNECTED.encode(), reason.encode(errors="replace"))

    def on_depth(self, symbol: str, recv_ts_ns: int, body: bytes) -> None:
        """Take a depth answer as it came; those of other symbols are not ours."""
        if symbol == self._instrument.symbol:
            self._is_snapshot_wanted = False
            self._append(recv_ts_ns, REST_DEPTH.encode(), depth_payload(symbol, body))

    def on_input(self, stream: str, payload: bytes) -> None:
        """Take an input of the engine (see `recorded_engine`), at the time of the row before: rows stay ascending."""
        self._append(self._last_ns or self._clock.now_ns(), stream.encode(), payload)

    def flush(self) -> None:
        """Hand what is buffered to the operating system, and begin the next segment when this one is full."""
        writer = self._writer
        if writer is None or self._fault:
            return
        try:
            writer.flush()
        except OSError as error:
            self._fail(error)
            return
        now_ns = self._flushed_ns = self._clock.monotonic_ns()
        is_old = now_ns - self._began_ns >= self._settings.segment_s_max * NS_PER_S
        if is_old or writer.bytes_written >= self._settings.segment_bytes_max:
            self.close()
            self._is_snapshot_wanted = True
            self._asked_ns = 0
        if self._is_snapshot_wanted and (not self._asked_ns or now_ns - self._asked_ns >= _ASK_AGAIN_NS):
            self._asked_ns = now_ns
            if self._on_rotated is not None:
                self._on_rotated()

    def close(self) -> None:
        """Finish the segment; the next row begins another. Idempotent."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as error:
                self._fail(error)
                return
            if self._on_finished is not None:
                self._on_finished(writer.path)

    def status(self) -> RecorderStatus:
        """Return the counters."""
        return RecorderStatus(self._rows, self._bytes, self._segments, self._fault)

    def _append(self, recv_ts_ns: int, stream: bytes, payload: bytes) -> None:
        if self._fault:
            return
        try:
            self._last_ns = max(self._last_ns, recv_ts_ns)
            writer = self._writer or self._begin(recv_ts_ns)
            before = writer.bytes_written
            writer.append(recv_ts_ns, stream, payload)
        except OSError as error:
            self._fail(error)
            return
        self._rows += 1
        self._bytes += writer.bytes_written - before
        if self._clock.monotonic_ns() - self._flushed_ns >= _FLUSH_NS:
            self.flush()

    def _begin(self, recv_ts_ns: int) -> SegmentWriter:
        self._directory.mkdir(parents=True, exist_ok=True)
        writer = self._writer = self._new_writer(recv_ts_ns)
        self._began_ns = self._flushed_ns = self._clock.monotonic_ns()
        self._segments += 1
        listing = orjson.dumps(listing_of(self._instrument, ms_from_ns(recv_ts_ns)))
        writer.append(recv_ts_ns, REST_EXCHANGE_INFO.encode(), listing)
        self._rows += 1
        self._bytes += writer.bytes_written
        return writer

    def _new_writer(self, recv_ts_ns: int) -> SegmentWriter:
        """Begin a segment under a name that nothing has. Raises: OSError.

        The time alone is no name: without a feed the engine's inputs carry the last one's, segment after segment.
        """
        while True:
            self._count += 1
            # Symbols are any Unicode; a file name is not.
            stem = f"{quote(self._instrument.symbol, safe='')}-{recv_ts_ns}-{os.getpid()}-{self._count:06d}"
            try:
                return SegmentWriter(self._directory / f"{stem}{SEGMENT_SUFFIX}")
            except FileExistsError:
                if self._count >= self._segments + _NAMES_MAX:
                    raise

    def _fail(self, error: OSError) -> None:
        self._fault = f"recording of {self._instrument.symbol} stopped: {error.strerror or error}"
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError:
                return  # told already


def _channel(payload: bytes) -> bytes:
    """Cut the channel out of a frame without decoding it: its first field, shorter than 128 bytes for our topics."""
    return payload[2 : 2 + payload[1]] if len(payload) > 2 and payload[0] == 0x0A else b""
