"""Turns segments into Parquet: at the end of a recording, or after a crash (`mexcbot recover`). May import pyarrow.

A segment goes only after its Parquet file is whole and on disk; doing it twice does no harm.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from trading.adapters.recording.parquet import write_recording
from trading.adapters.recording.segments import OPEN_SUFFIX, SEGMENT_SUFFIX, SegmentReader, claimed
from trading.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """One segment's end: where its rows are now (None: it held none), and how many bytes of it were no record."""

    segment: Path
    recording: Path | None
    rows: int
    dropped_bytes: int


@dataclass(frozen=True, slots=True)
class RecoverReport:
    """What became of a folder. `busy`: segments that a living recorder still writes; they were left alone."""

    sealed: tuple[SealedSegment, ...]
    busy: tuple[Path, ...]


def seal_segment(path: Path) -> SealedSegment | None:
    """Write a segment's rows into a Parquet file beside it and remove the segment; None when somebody else has it.

    Raises: ConfigError when the segment cannot be read or the Parquet file cannot be written; the segment stays then.
    """
    try:
        with claimed(path) as is_ours:
            return _seal(path) if is_ours else None
    except OSError as error:
        raise ConfigError(f"cannot seal {path}: {error.strerror or error}")


def _seal(path: Path) -> SealedSegment:
    reader = SegmentReader(path)
    stem = path.name.removesuffix(OPEN_SUFFIX).removesuffix(SEGMENT_SUFFIX)
    target = path.with_name(f"{stem}.parquet")
    rows = iter(reader)
    first = next(rows, None)
    if first is not None:
        write_recording(target, chain((first,), rows))
    path.unlink()
    return SealedSegment(path, target if first is not None else None, reader.rows, reader.dropped_bytes)


def recover(directory: Path | str) -> RecoverReport:
    """Seal every segment below `directory` that nobody writes any more, oldest first.

    Raises: ConfigError when there is no such folder, or a segment cannot be sealed (those before it are).
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"no folder at {directory}; give the folder that --record or mexcbot record wrote into")
    sealed, busy = [], []
    found = (path for path in directory.rglob(f"*{SEGMENT_SUFFIX}*") if path.is_file())
    for path in sorted(path for path in found if path.name.endswith((SEGMENT_SUFFIX, SEGMENT_SUFFIX + OPEN_SUFFIX))):
        done = seal_segment(path)
        if done is None:
            busy.append(path)
        else:
            sealed.append(done)
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
