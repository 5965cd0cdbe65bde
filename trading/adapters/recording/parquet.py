"""Sealed recordings: Parquet files of rows. May import pyarrow; symbol actors must not import this module.

Columns: recv_ts_ns int64, stream string, payload binary (not null). The file appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice, repeat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trading.adapters.recording.findings import DIGEST_KEY, FORMAT_KEY, SEALED_FORMAT, RowsDigest, check_places
from trading.adapters.recording.rows import Row
from trading.model.errors import ConfigError

SCHEMA = pa.schema(
    [
        pa.field("recv_ts_ns", pa.int64(), nullable=False),
        pa.field("stream", pa.string(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ],
    metadata={FORMAT_KEY: SEALED_FORMAT},
)

_KINDS = {
    "recv_ts_ns": (pa.int64(),),
    "stream": (pa.string(), pa.large_string()),
    "payload": (pa.binary(), pa.large_binary()),
}
"""Types that a column may have: ours, and what other programs make of it when they write the file anew."""

GROUP_ROWS = 32_768
"""Rows a row group: some megabytes in memory while reading or writing, whatever the file's size."""

BATCH_ROWS = 4_096


def read_recording(path: Path | str) -> Iterator[Row]:
    """Read the rows of a recording in order, a batch at a time.

    The file is opened and its columns are checked before this returns.
    Raises: ConfigError with one sentence when there is no such file, or it is broken (perhaps only while reading).
    """
    path = Path(path)
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise ConfigError(f"no recording at {path}")
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} is no readable Parquet file ({_first_line(error)}); give a recording of mexcbot")
    for name, kinds in _KINDS.items():
        index = file.schema_arrow.get_field_index(name)
        if index < 0 or file.schema_arrow.field(index).type not in kinds:
            file.close()
            fault = "is missing" if index < 0 else f"holds {file.schema_arrow.field(index).type}, expected {kinds[0]}"
            raise ConfigError(f"{path} is no recording of mexcbot: column {name} {fault}")
    return _rows(path, file)


def check_place(path: Path) -> None:
    """See whether a recording can be written to `path`, before any work is done; touches nothing.

    Raises: ConfigError when its folder is missing or closed to us, or it is there and is no file: a folder, a device.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ConfigError(f"cannot write {path}: there is no folder {folder}: make it first")
    if path.is_dir():
        raise ConfigError(f"cannot write {path}: it is a folder: name a file")
    if path.exists() and not path.is_file():
        raise ConfigError(f"cannot write {path}: it is no regular file: name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write {path}: the folder {folder} is closed to you: choose another place")


def write_recording(path: Path | str, rows: Iterable[Row]) -> int:
    """Write rows into a new file beside `path` and rename it to `path` once it is whole and on disk.

    A symbolic link is followed. Returns: the number of rows. Raises: ConfigError when the place cannot be written;
    whatever `rows` raises. In both cases `path` is as it was before.
    """
    path = Path(path)
    check_place(path)
    path = path.resolve() if path.is_symlink() else path
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        count = _write(partial, rows)
        _flush(partial)
        partial.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}; make room, or choose another place")
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return count


def _write(partial: Path, rows: Iterable[Row]) -> int:
    count, waiting, digest = 0, iter(rows), RowsDigest()
    with pq.ParquetWriter(partial, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        while group := list(islice(waiting, GROUP_ROWS)):
            batch = _batch(group)
            writer.write_batch(batch)
            digest.take(batch)
            count += len(group)
        writer.add_key_value_metadata({DIGEST_KEY: digest.text().encode()})
    return count


def _rows(path: Path, file: pq.ParquetFile) -> Iterator[Row]:
    with file:
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=SCHEMA.names, use_threads=False):
                check_places(path, batch)
                times, streams, payloads = (batch.column(name).to_pylist() for name in SCHEMA.names)
                # What `Row._make` does, without a call of Python's a row.
                yield from map(tuple.__new__, repeat(Row), zip(times, streams, payloads, strict=True))
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(f"{path} is broken ({_first_line(error)}); record or import it again")


def _batch(rows: list[Row]) -> pa.RecordBatch:
    columns = ([row.recv_ts_ns for row in rows], [row.stream for row in rows], [row.payload for row in rows])
    return pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
