"""One unit of a sweep: a trial on a piece of the recording. Runs in a worker; may import `trading`.

Pure but for reading the recording: running it twice gives the same, so that a lost worker's job is simply run again.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trading.adapters.plugins import load_strategies
from trading.adapters.recording.events import collected_seldom
from trading.adapters.recording.pieces import Piece, piece_events
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_tape import Mark, ReplayTape
from trading.engine.strategy.registry import register
from trading.engine.sweep.ranking import PieceResult
from trading.model.errors import TradingError
from trading.model.instrument import Instrument
from trading.model.market import MarketEvent

PERIODS_MAX = 60
"""Periods a piece is divided into, for the Sharpe ratio; none is shorter than a second."""

# The worker's last piece, decoded: jobs come ordered by piece, so one is enough, whatever the recording's size.
_decoded: tuple[tuple[Path, Piece], list[tuple[int, MarketEvent]]] | None = None


@dataclass(frozen=True, slots=True)
class SweepJob:
    """What a worker is told."""

    trial: int
    recording: Path
    instrument: Instrument
    piece: Piece
    settings: ReplaySettings


@dataclass(frozen=True, slots=True)
class JobUnread:
    """A job without a result, and why: its worker lacked the recording or the strategy. To be run again."""

    trial: int
    piece: int
    reason: str


def run_job(job: SweepJob) -> PieceResult | JobUnread:
    """Replay one piece under one parameter set. Never raises for what a strategy or a parameter does: see `error`."""
    tape = ReplayTape(job.instrument)
    try:
        _load_plugins()
        replay = ReplayRun(job.instrument, _events(job), job.settings, tape)
    except Exception as error:  # noqa: BLE001 - the sweep's own process has read the same: it is this worker's trouble
        text = str(error) if isinstance(error, TradingError) else f"{type(error).__name__}: {error}"
        return JobUnread(job.trial, job.piece.number, " ".join(text.split()).rstrip("."))
    try:
        with collected_seldom():
            result = replay.run()
    except TradingError as error:
        return _failed(job, str(error))
    except Exception as error:  # noqa: BLE001 - one bad trial must not end a night's sweep; it is shown as failed
        return _failed(job, f"{type(error).__name__}: {error}")
    model = result.pessimistic
    fault = dict(result.notes).get("strategy_failed", 0)
    return PieceResult(
        trial=job.trial,
        piece=job.piece.number,
        orders=result.orders,
        fills=model.fills,
        traded=float(model.traded),
        gross=float(model.gross),
        fees=float(model.fees),
        net=float(model.net_closed),
        net_probabilistic=float(result.probabilistic.net_closed),
        max_drawdown=float(tape.max_drawdown),
        periods=periods(tape.marks, job.piece, float(model.net_closed)),
        error="the strategy raised an exception (mexcbot replay with these parameters shows it)" if fault else "",
        round_trips=tape.round_trips,
    )


def periods(marks: Sequence[Mark], piece: Piece, net: float) -> tuple[float, ...]:
    """Divide the piece's result by periods of equal length: what equity gained in each; the sum is `net`."""
    count = max(1, min(PERIODS_MAX, (piece.to_ns - piece.from_ns) // 1_000_000_000))
    times = [mark.now_ns for mark in marks]
    levels = [0.0]
    for number in range(1, count):
        at_ns = piece.from_ns + (piece.to_ns - piece.from_ns) * number // count
        index = bisect_right(times, at_ns) - 1
        levels.append(float(marks[index].pessimistic) if index >= 0 else 0.0)
    levels.append(net)
    return tuple(after - before for before, after in itertools.pairwise(levels))


@cache
def _load_plugins() -> None:
    """Once a worker: looking through the installed packages takes longer than a small replay."""
    load_strategies(register)


def _events(job: SweepJob) -> list[tuple[int, MarketEvent]]:
    global _decoded  # noqa: PLW0603 - the worker process is reused; see above
    key = (job.recording, job.piece)
    if _decoded is None or _decoded[0] != key:
        _decoded = None
        _decoded = (key, list(piece_events(job.recording, job.instrument, job.piece)))
    return _decoded[1]


def _failed(job: SweepJob, error: str) -> PieceResult:
    return PieceResult(job.trial, job.piece.number, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, (), " ".join(error.split()))
