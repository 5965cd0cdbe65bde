"""Growing recordings: append-only segments of checksummed rows. May import the standard library only.

A segment is the magic line, then records:

    length u32 | crc32 u32 | recv_ts_ns i64 | stream length u16 | stream UTF-8 | payload        (little endian)

`length` counts what follows the checksum, and the checksum covers it. What is flushed survives the death of the
process; a torn end is noticed by length or checksum. While a segment is written it ends in `.open` and is locked.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from trading.adapters.recording.rows import Row

# Windows has no advisory lock: there, not to recover a living recording is up to the person.
if sys.platform != "win32":
    import fcntl

MAGIC = b"mexcbot segment 1\n"
OPEN_SUFFIX = ".open"
SEGMENT_SUFFIX = ".segment"
RECORD_BYTES_MAX = 16 << 20
"""A longer record is none: the largest real one is a depth answer of some hundred kilobytes."""

_HEAD = struct.Struct("<II")
_BODY = struct.Struct("<qH")
_BUFFER_BYTES = 1 << 20


class SegmentWriter:
    """Writes one segment. Owned by one recorder; `append` touches memory only, `flush` the file."""

    def __init__(self, path: Path) -> None:
        """Create `path` + ".open"; its folder exists. Raises: OSError, also when the file exists."""
        self.path = path
        self._open_path = path.with_name(path.name + OPEN_SUFFIX)
        if self._open_path.exists():
            raise FileExistsError(EEXIST, "the segment exists already", str(self._open_path))
        # Under its own name it is locked from the first moment on: nobody takes it for a dead one.
        unnamed = path.with_name(path.name + ".new")
        self._file: BinaryIO = unnamed.open("xb", buffering=_BUFFER_BYTES)
        if sys.platform != "win32":
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.write(MAGIC)
        self._file.flush()
        unnamed.rename(self._open_path)
        self.bytes_written = len(MAGIC)
        self.rows = 0

    def append(self, recv_ts_ns: int, stream: bytes, payload: bytes) -> None:
        """Add a row to the buffer (about 1 µs); a full buffer of 1 MiB is written out. Raises: OSError."""
        body = _BODY.pack(recv_ts_ns, len(stream)) + stream + payload
        record = _HEAD.pack(len(body), crc32(body)) + body
        self._file.write(record)
        self.bytes_written += len(record)
        self.rows += 1

    def flush(self) -> None:
        """Hand everything to the operating system: from here a kill of the process loses nothing. Raises: OSError."""
        self._file.flush()

    def close(self) -> None:
        """Write out, sync and take the `.open` off the name; idempotent. Raises: OSError."""
        if self._file.closed:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._open_path.rename(self.path)
        finally:
            self._file.close()


class SegmentReader:
    """Reads a segment, finished or torn. After the iteration `dropped_bytes` says how much of the end was no record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.dropped_bytes = 0

    def __iter__(self) -> Iterator[Row]:
        """Give the rows up to the first torn or damaged one: behind it no boundary is sure. Raises: OSError."""
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            good = 0
            if file.read(len(MAGIC)) == MAGIC:
                good = len(MAGIC)
                while (row := _next_row(file)) is not None:
                    good = file.tell()
                    self.rows += 1
                    yield row
            self.dropped_bytes = size - good


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold a segment for sealing; gives False when somebody else has it (it is written, or sealed, just now).

    Raises: OSError, also when the file is gone.
    """
    with path.open("rb") as file:
        yield _is_lockable(file)


def is_being_written(path: Path) -> bool:
    """True when a living writer (or a sealing) holds the segment's lock. Raises: OSError."""
    with claimed(path) as is_ours:
        return not is_ours


def _is_lockable(file: BinaryIO) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _next_row(file: BinaryIO) -> Row | None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if not _BODY.size <= length <= RECORD_BYTES_MAX:
        return None
    body = file.read(length)
    if len(body) < length or crc32(body) != checksum:
        return None
    recv_ts_ns, name_length = _BODY.unpack_from(body)
    name_end = _BODY.size + name_length
    try:
        return Row(recv_ts_ns, body[_BODY.size : name_end].decode(), body[name_end:])
    except UnicodeDecodeError:
        return None
