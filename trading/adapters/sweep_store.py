"""Results of a sweep on disk: a journal that survives kill -9, and the Parquet file made of it. May import pyarrow.

The journal is one line of JSON a result; its first line names the sweep (recording, space, settings), so that another
one is never mixed in. A torn last line is left out. The Parquet file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from trading.adapters.recording.pieces import Piece
from trading.engine.sweep.ranking import PieceResult
from trading.engine.sweep.space import Params
from trading.model.errors import ConfigError

JOURNAL_SUFFIX = ".journal"
JOURNAL_HEAD = b'{"sweep":'
DIGEST_KEY = b"mexcbot.sweep"
Results = dict[tuple[int, int], PieceResult]

try:
    import fcntl
except ImportError:  # Windows: no advisory lock there
    fcntl = None  # type: ignore[assignment]


class SweepStore:
    """The files of one sweep. Owned by one process, which a lock on the journal makes sure of. Close it."""

    def __init__(self, out: Path, digest: str, is_fresh: bool) -> None:
        """Open or continue. `results` then holds what was done before.

        Args: digest: the sweep's name; is_fresh: throw away what is there.
        Raises: ConfigError when the place holds another sweep, is in use, or cannot be written.
        """
        self.out = out
        self.journal = out.with_name(out.name + JOURNAL_SUFFIX)
        self.results: Results = {}
        self._digest = digest
        is_new = not self.journal.exists()
        try:
            self._file: BinaryIO = self.journal.open("ab+")
        except OSError as error:
            raise ConfigError(f"--out: {self.journal} cannot be written: {error.strerror or error}")
        try:
            self._lock()
            self._check_journal()
            if is_fresh:
                if out.exists() and not _is_sweep(out):
                    raise ConfigError(f"--out: {out} is no result of a sweep and stays: name another file")
                self._file.truncate(0)
                out.unlink(missing_ok=True)
            self._read()
        except BaseException:
            self._file.close()
            if is_new:
                self.journal.unlink(missing_ok=True)
            raise

    def append(self, result: PieceResult) -> None:
        """Keep a result; from here a kill of this process does not lose it."""
        self.results[(result.trial, result.piece)] = result
        self._file.write(orjson.dumps(asdict(result)) + b"\n")
        self._file.flush()

    def seal(self, trials: Sequence[Params], pieces: Sequence[Piece]) -> None:
        """Write the Parquet file: a row a trial and piece, the parameters as columns `param_…`. Raises: ConfigError.

        `is_out_of_sample`: a fold of the walk is judged on this piece (all but the first).
        """
        rows = [item for _, item in sorted(self.results.items())]
        names = sorted({name for params in trials for name, _ in params})
        by_trial = [dict(params) for params in trials]
        columns: dict[str, list[object]] = {name: [getattr(row, name) for row in rows] for name in _COLUMNS}
        columns["from_ns"] = [pieces[row.piece].from_ns for row in rows]
        columns["to_ns"] = [pieces[row.piece].to_ns for row in rows]
        columns["is_out_of_sample"] = [row.piece > 0 for row in rows]
        columns["periods"] = [list(row.periods) for row in rows]
        types: dict[str, pa.DataType] = {
            **_COLUMNS,
            "from_ns": pa.int64(),
            "to_ns": pa.int64(),
            "is_out_of_sample": pa.bool_(),
            "periods": pa.list_(pa.float64()),
        }
        for name in names:
            columns[f"param_{name}"] = [by_trial[row.trial].get(name) for row in rows]
            types[f"param_{name}"] = pa.string()
        schema = pa.schema(list(types.items()), metadata={DIGEST_KEY: self._digest.encode()})
        partial = self.out.with_name(f".{self.out.name}.partial")
        try:
            pq.write_table(pa.table(columns, schema=schema), partial, compression="zstd")
            partial.replace(self.out)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ConfigError(f"--out: {self.out} cannot be written: {error.strerror or error}")

    def close(self) -> None:
        """Let go of the journal; idempotent."""
        self._file.close()

    def _lock(self) -> None:
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"--out: another sweep writes {self.out} now: wait for it or name another file")

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        if not content:
            self._check_parquet()
            self._file.write(orjson.dumps({"sweep": self._digest}) + b"\n")
            self._file.flush()
            return
        lines = content.split(b"\n")
        whole = len(content) - len(lines[-1])
        try:
            head = orjson.loads(lines[0])
        except orjson.JSONDecodeError:
            head = None
        if not isinstance(head, dict) or head.get("sweep") != self._digest:
            raise self._other()
        for line in lines[1:-1]:
            try:
                row = PieceResult(**{**(loaded := orjson.loads(line)), "periods": tuple(loaded["periods"])})
            except (orjson.JSONDecodeError, TypeError, KeyError):
                raise ConfigError(f"--out: {self.journal} is broken: begin anew with --fresh")
            self.results[(row.trial, row.piece)] = row
        self._file.truncate(whole)  # what was torn by a kill is run again

    def _check_journal(self) -> None:
        """Refuse a file that is no journal of a sweep before anything of it is touched."""
        self._file.seek(0)
        head = self._file.read(len(JOURNAL_HEAD))
        if not JOURNAL_HEAD.startswith(head):
            raise ConfigError(f"--out: {self.journal} is no journal of a sweep and stays: name another file")

    def _check_parquet(self) -> None:
        """Refuse to overwrite a file that is no journalled sweep of ours."""
        if self.out.exists():
            raise self._other()

    def _other(self) -> ConfigError:
        return ConfigError(
            f"--out: {self.out} holds something else (another recording, space, setting or code): name another file, "
            "or throw an old result away with --fresh"
        )


def _is_sweep(path: Path) -> bool:
    """Tell whether a file is a result of ours, by what `seal` writes into its head."""
    try:
        return DIGEST_KEY in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False


_COLUMNS: Mapping[str, pa.DataType] = {
    "trial": pa.int32(),
    "piece": pa.int32(),
    "orders": pa.int64(),
    "fills": pa.int64(),
    "round_trips": pa.int64(),
    "traded": pa.float64(),
    "gross": pa.float64(),
    "fees": pa.float64(),
    "net": pa.float64(),
    "net_probabilistic": pa.float64(),
    "max_drawdown": pa.float64(),
    "error": pa.string(),
}
