"""Turns segments into Parquet: at the end of a recording, or after a crash (`mexcbot recover`). May import pyarrow.

A segment goes only after its Parquet file is whole and on disk; doing it twice does no harm. Bytes that are no rows
are kept: such a segment stays beside its Parquet file, under a name of its own. No file is written over.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, zip_longest
from pathlib import Path

from trading.adapters.recording.parquet import read_recording, write_recording
from trading.adapters.recording.segments import (
    DAMAGED_SUFFIX,
    OPEN_SUFFIX,
    SEGMENT_SUFFIX,
    SegmentReader,
    claimed,
    remove_unnamed,
    sealed_path,
)
from trading.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """One segment's end: where its rows are now (None: it held none), how many bytes of it were no record, and where
    it is kept for their sake (None: there were none, and it is gone)."""

    segment: Path
    recording: Path | None
    rows: int
    dropped_bytes: int
    kept: Path | None = None


@dataclass(frozen=True, slots=True)
class RecoverReport:
    """What became of a folder. `busy`: segments that a living recorder still writes; they were left alone."""

    sealed: tuple[SealedSegment, ...]
    busy: tuple[Path, ...]


def seal_segment(path: Path) -> SealedSegment | None:
    """Write a segment's rows into a Parquet file beside it and remove the segment; None when somebody else has it, or
    had it: a recorder that finished it, a sealing that was quicker.

    Raises: ConfigError when the segment cannot be read or the Parquet file cannot be written; the segment stays then.
    """
    try:
        with claimed(path) as is_ours:
            return _seal(path) if is_ours else None
    except OSError as error:
        if isinstance(error, FileNotFoundError) and _was_taken(path):
            return None
        raise ConfigError(f"cannot seal {path}: {error.strerror or error}")


def _seal(path: Path) -> SealedSegment:
    target = kept = None
    reader = SegmentReader(path)
    if next(iter(reader), None) is not None:
        target = next(place for place in _places(sealed_path(path)) if not place.exists() or _holds(place, reader))
        if not target.exists():
            write_recording(target, reader)
    if reader.dropped_bytes:
        damaged = sealed_path(path).with_suffix(DAMAGED_SUFFIX)
        kept = path.rename(next(place for place in _places(damaged) if not place.exists()))
    else:
        path.unlink()
    return SealedSegment(path, target, reader.rows, reader.dropped_bytes, kept)


def _places(first: Path) -> Iterator[Path]:
    """Give names beside `first`, `first` itself first."""
    yield first
    yield from (first.with_name(f"{first.stem}-{number}{first.suffix}") for number in count(2))


def _holds(recording: Path, segment: SegmentReader) -> bool:
    """True when a recording has the very rows of a segment: somebody died between sealing it and removing it."""
    try:
        return all(ours == theirs for ours, theirs in zip_longest(read_recording(recording), segment))
    except ConfigError:
        return False


def _was_taken(segment: Path) -> bool:
    """True when what is left of a segment that is gone is its finished form, or its rows."""
    finished = segment.with_name(segment.name.removesuffix(OPEN_SUFFIX))
    return sealed_path(segment).exists() or (finished != segment and finished.exists())


def recover(directory: Path | str) -> RecoverReport:
    """Seal every segment below `directory` that nobody writes any more, oldest first.

    Raises: ConfigError when there is no such folder, or a segment cannot be sealed (those before it are).
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"no folder at {directory}; give the folder that --record or mexcbot record wrote into")
    sealed, busy = [], []
    with suppress(OSError):
        remove_unnamed(directory)
    found = (path for path in directory.rglob(f"*{SEGMENT_SUFFIX}*") if path.is_file())
    for path in sorted(path for path in found if path.name.endswith((SEGMENT_SUFFIX, SEGMENT_SUFFIX + OPEN_SUFFIX))):
        done = seal_segment(path)
        if done is not None:
            sealed.append(done)
        elif path.exists():
            busy.append(path)
    return RecoverReport(tuple(sealed), tuple(busy))


def main(arguments: list[str]) -> int:
    """Seal the named segments: `python -m trading.adapters.recording.seal FILE…`, as `sealer` starts it."""
    code = 0
    for name in arguments:
        try:
            seal_segment(Path(name))
        except ConfigError as error:
            sys.stderr.write(f"{error}\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
