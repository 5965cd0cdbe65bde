"""Growing recordings: append-only segments of checksummed rows. May import the standard library only.

A segment is the magic line, then records:

    length u32 | crc32 u32 | recv_ts_ns i64 | stream length u16 | stream UTF-8 | payload        (little endian)

`length` counts what follows the checksum, and the checksum covers it. What is flushed survives the death of the
process; a torn end is noticed by length or checksum. While a segment is written it ends in `.open` and is locked.
Nothing here writes over a file that exists.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, ENOENT
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from trading.adapters.recording.rows import Row

# Windows has no advisory lock: there, not to recover a living recording is up to the person.
if sys.platform != "win32":
    import fcntl

MAGIC = b"mexcbot segment 1\n"
OPEN_SUFFIX = ".open"
SEALED_SUFFIX = ".parquet"
DAMAGED_SUFFIX = ".damaged"
SEGMENT_SUFFIX = ".segment"
UNNAMED_SUFFIX = ".new"
UNNAMED_AGE_S = 10.0
"""A file that still waits for its name after so long belongs to nobody: naming takes a millisecond."""
RECORD_BYTES_MAX = 16 << 20
"""A longer record is none: the largest real one is a depth answer of some hundred kilobytes."""

_HEAD = struct.Struct("<II")
_BODY = struct.Struct("<qH")
_BUFFER_BYTES = 1 << 20


class SegmentWriter:
    """Writes one segment. Owned by one recorder; `append` touches memory only, `flush` the file."""

    def __init__(self, path: Path) -> None:
        """Create `path` + ".open"; its folder exists.

        Raises: FileExistsError when a segment of this name is, or was, there, in whatever state; OSError.
        """
        self.path = path
        self._open_path = path.with_name(path.name + OPEN_SUFFIX)
        for taken in (self._open_path, path, sealed_path(path), sealed_path(path).with_suffix(DAMAGED_SUFFIX)):
            if taken.exists():
                raise FileExistsError(EEXIST, "the segment exists already", str(taken))
        # Under its own name it is locked from the first moment on: nobody takes it for a dead one.
        unnamed = path.with_name(path.name + UNNAMED_SUFFIX)
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
        """Write out and take the `.open` off the name; idempotent. Raises: OSError, also when the name is taken.

        Nothing is synced here, on the loop that trades: sealing syncs the Parquet file before the segment goes.
        """
        if self._file.closed:
            return
        try:
            self._file.flush()
            if self.path.exists():
                raise FileExistsError(EEXIST, "the segment exists already", str(self.path))
            self._open_path.rename(self.path)
        finally:
            self._file.close()


class SegmentReader:
    """Reads a segment, finished or torn; more than once if need be.

    After an iteration `rows` says how many there were, and `dropped_bytes` how much of the end was no record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.dropped_bytes = 0

    def __iter__(self) -> Iterator[Row]:
        """Give the rows up to the first torn or damaged one: behind it no boundary is sure. Raises: OSError."""
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            good = self.rows = 0
            if file.read(len(MAGIC)) == MAGIC:
                good = len(MAGIC)
                while (row := _next_row(file)) is not None:
                    good = file.tell()
                    self.rows += 1
                    yield row
            self.dropped_bytes = size - good


def sealed_path(segment: Path) -> Path:
    """Return where a segment's rows go: the Parquet file beside it."""
    return segment.with_name(segment.name.removesuffix(OPEN_SUFFIX).removesuffix(SEGMENT_SUFFIX) + SEALED_SUFFIX)


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold a segment for sealing; gives False when somebody else has it (it is written, or sealed, just now).

    Raises: OSError; FileNotFoundError when it is gone, also between a look at it and the lock: what we would hold then
    is what its recorder has finished, or somebody has sealed, meanwhile.
    """
    with path.open("rb") as file:
        is_ours = _is_lockable(file)
        if is_ours and not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise FileNotFoundError(ENOENT, "another file has taken its place", str(path))
        yield is_ours


def is_empty(path: Path) -> bool:
    """True when a segment holds no byte of a row. Raises: OSError."""
    return path.stat().st_size <= len(MAGIC)


def remove_unnamed(directory: Path) -> int:
    """Remove below `directory` what recorders left that were killed before they gave a segment its name: no row was in
    it. Returns: how many. Raises: OSError."""
    oldest_s = time.time() - UNNAMED_AGE_S
    gone = 0
    for path in directory.rglob(f"*{SEGMENT_SUFFIX}{UNNAMED_SUFFIX}"):
        # A look first: the lock that we hold for a moment would fail a recorder that is just naming its file.
        with suppress(FileNotFoundError):
            if not _is_forgotten(path, oldest_s):
                continue
            with claimed(path) as is_ours:
                if is_ours and _is_forgotten(path, oldest_s):
                    path.unlink()
                    gone += 1
    return gone


def _is_forgotten(path: Path, oldest_s: float) -> bool:
    return is_empty(path) and path.stat().st_mtime < oldest_s


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
