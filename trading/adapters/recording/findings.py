"""What is odd about a sealed recording that can be played all the same, in sentences. May import pyarrow, numpy.

Such a recording is played: someone may have cut a piece out of a longer one, or set a clock. But a result of it is told
together with what was found.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading.adapters.recording.recorded_engine import ENGINE_EVENT, ENGINE_INTENT, ENGINE_START, ENGINE_STEP
from trading.adapters.recording.rows import EVENT_DISCONNECTED, OWN_STREAMS, REST_DEPTH, REST_EXCHANGE_INFO
from trading.model.errors import ConfigError
from trading.model.units import NS_PER_MS, NS_PER_S

DIGEST_KEY = b"mexcbot.rows"
"""In a file's metadata: how many rows were sealed, and their digest."""

FORMAT_KEY, SEALED_FORMAT = b"mexcbot.recording", b"2"
"""In a file's schema: from 2 on it was sealed with a digest. Programs that write it anew keep the schema only."""

COLUMNS = ("recv_ts_ns", "stream", "payload")
KNOWN = frozenset(
    {REST_DEPTH, REST_EXCHANGE_INFO, EVENT_DISCONNECTED, ENGINE_START, ENGINE_STEP, ENGINE_EVENT, ENGINE_INTENT}
)
BATCH_ROWS = 65_536
KINDS_MAX = 10
"""Unknown kinds that are named; of more, how many there are."""

ROLLOVER_NS = 2 * NS_PER_S
"""Once in a file the time may run back by less: a line that takes over from another (`mexc.market_stream`) begins with
what it heard beside it, for a second and a little."""


def check_places(path: Path, batch: pa.RecordBatch) -> None:
    """Raises: ConfigError when a place is empty."""
    for name in COLUMNS:
        if batch.column(name).null_count:
            raise ConfigError(f"{path} is no recording of mexcbot: column {name} has an empty place")


class RowsDigest:
    """Counts and digests rows, batch by batch; how they are cut into batches makes no difference."""

    def __init__(self) -> None:
        self._rows = 0
        self._hashes = tuple(sha256() for _ in range(5))

    def take(self, batch: pa.RecordBatch) -> None:
        """Take the next rows: columns recv_ts_ns, stream, payload."""
        times, streams, payloads = (batch.column(name) for name in COLUMNS)
        parts: list[Any] = [_whole(times).tobytes()]
        for column in (streams, payloads):
            parts += _lengths_and_bytes(column.cast(pa.large_binary()))
        for one, part in zip(self._hashes, parts, strict=True):
            one.update(part)
        self._rows += len(batch)

    def text(self) -> str:
        """Return "ROWS DIGEST"."""
        return f"{self._rows} {sha256(b''.join(one.digest() for one in self._hashes)).hexdigest()}"


def _whole(column: pa.Int64Array) -> np.ndarray[Any, Any]:
    """Return whole numbers without pyarrow's own way, which imports pandas first: half a second of a start."""
    return np.frombuffer(column.buffers()[1] or b"", dtype="<i8")[column.offset : column.offset + len(column)]


def _lengths_and_bytes(column: pa.LargeBinaryArray) -> tuple[bytes, memoryview]:
    """Return the lengths of the values, and all of them one after the other, without making each an object."""
    _, places, values = column.buffers()
    ends = np.frombuffer(places, dtype="<i8")[column.offset : column.offset + len(column) + 1]
    return np.diff(ends).tobytes(), memoryview(values or b"")[int(ends[0]) : int(ends[-1])]


def findings(path: Path) -> tuple[str, ...]:
    """Say what is odd about a sealed recording: changed since, time that runs backwards, rows of no known kind.

    Raises: ConfigError when it cannot be read.
    """
    digest, odd = RowsDigest(), _Odd()
    try:
        with pq.ParquetFile(path) as file:
            sealed = (file.metadata.metadata or {}).get(DIGEST_KEY, b"").decode(errors="replace")
            is_sealed = (file.schema_arrow.metadata or {}).get(FORMAT_KEY) == SEALED_FORMAT
            for batch in file.iter_batches(BATCH_ROWS, columns=list(COLUMNS), use_threads=False):
                check_places(path, batch)
                digest.take(batch)
                odd.take(_whole(batch.column("recv_ts_ns")), batch.column("stream"))
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} is broken ({error}); record or import it again")
    found = odd.sentences(path.name)
    if is_sealed and not sealed:
        return (
            f"{path.name} was written anew by another program: nothing tells whether its rows are those sealed",
            *found,
        )
    if sealed and sealed != digest.text():
        was, now = sealed.partition(" ")[0], digest.text().partition(" ")[0]
        how = (
            f"it was sealed with {was} rows and has {now}" if was != now else "its rows are not those that were sealed"
        )
        return (f"{path.name} was changed since: {how}", *found)
    return found


class _Odd:
    """Time that runs backwards, and streams that no reader knows."""

    def __init__(self) -> None:
        self._last_ns = self._back = self._most_ns = 0
        self._unknown: dict[str, int] = {}

    def take(self, times: np.ndarray[Any, Any], streams: pa.Array) -> None:
        if not len(times):
            return
        steps_ns = -np.diff(times, prepend=self._last_ns or times[0])
        if (most_ns := int(steps_ns.max())) >= NS_PER_MS:
            self._back += int((steps_ns >= NS_PER_MS).sum())
            self._most_ns = max(self._most_ns, most_ns)
        self._last_ns = times[-1]
        for item in pc.value_counts(streams).to_pylist():
            name, count = item["values"], item["counts"]
            if name not in KNOWN and name.partition(":")[0] in OWN_STREAMS:
                self._unknown[name] = self._unknown.get(name, 0) + count

    def sentences(self, name: str) -> tuple[str, ...]:
        found = []
        if self._back > 1 or self._most_ns >= ROLLOVER_NS:
            ms = self._most_ns // NS_PER_MS
            times = "once, by" if self._back == 1 else f"{self._back} times, by up to"
            found.append(f"the time in {name} runs backwards {times} {ms:,} ms")
        if self._unknown:
            kinds = ", ".join(f"{kind!r} {count}" for kind, count in sorted(self._unknown.items())[:KINDS_MAX])
            if (more := len(self._unknown) - KINDS_MAX) > 0:
                kinds += f" and {more} kinds more"
            found.append(f"{name} holds rows of a kind that this version does not know, which were left out: {kinds}")
        return tuple(found)
