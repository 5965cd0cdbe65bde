"""The fleet's records, and how they lie in their rows. May import trading.model and sqlalchemy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row as ResultRow

from trading.adapters.store.journal_rows import storable_text
from trading.model.session import DesiredState, RunState


@dataclass(frozen=True, slots=True)
class WantedRow:
    """What was asked for a symbol, as committed."""

    symbol: str
    desired: DesiredState
    strategy: str
    params: tuple[tuple[str, str], ...]
    is_flatten: bool = False


@dataclass(frozen=True, slots=True)
class RunRow:
    """A symbol run. `run_number` is unique in the database, and above those of a database it replaced."""

    run_id: str
    run_number: int
    symbol: str
    state: RunState
    reason: str
    strategy: str
    params: tuple[tuple[str, str], ...]
    restarts: int
    epoch: int
    updated_ns: int


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A command. status: pending, running, succeeded or failed; `error` is one sentence when it failed."""

    operation_id: str
    kind: str
    symbols: tuple[str, ...]
    status: str
    error: str | None
    created_ns: int
    updated_ns: int


def event_values(run: RunRow, event: str, detail: str) -> dict[str, Any]:
    """Return a run event as a row; its time is the run's."""
    return {
        "run_id": run.run_id,
        "symbol": run.symbol,
        "event": event,
        "state": run.state.value,
        "detail": storable_text(detail),
        "at_ns": run.updated_ns,
    }


def operation_from_row(row: ResultRow[Any]) -> OperationRow:
    """Read an operation back."""
    return OperationRow(
        row.operation_id, row.kind, tuple(row.symbols), row.status, row.error, row.created_ns, row.updated_ns
    )


def run_from_row(row: ResultRow[Any]) -> RunRow:
    """Read a run back."""
    return RunRow(
        row.run_id,
        row.run_number,
        row.symbol,
        RunState(row.state),
        row.reason,
        row.strategy,
        pairs_from_json(row.params),
        row.restarts,
        row.epoch,
        row.updated_ns,
    )


def pairs_from_json(stored: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """Read parameters back: [[name, text], ...]."""
    return tuple((str(name), str(value)) for name, value in stored)


def json_pairs(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return parameters as JSON, in their order."""
    return [[name, storable_text(value)] for name, value in pairs]
