"""Walk-forward: trials chosen on the past, judged on what came after. Pure; may import `trading.engine.sweep`.

The recording is cut into pieces of equal length, 0 .. K. Fold k (1 .. K) chooses the trial with the highest net result
on the pieces before k and takes what that one made on piece k; the sum of these is out of sample, and it is what is
tested against luck. The trials are ranked by what they made on the pieces 0 .. K-1, in sample; beside it stands what
each made on the last piece, K, which has no say in the ranking. The first of the ranking is the choice of fold K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trading.engine.sweep.luck import Luck, judge, moments
from trading.engine.sweep.space import Params


@dataclass(frozen=True, slots=True)
class PieceResult:
    """What one trial made on one piece. Quote units, net of fees, pessimistic queue unless named otherwise.

    net: `ModelResult.net_closed`: the taker fee of what is held at the end is off.
    periods: net result by period of equal length, whose sum is `net`. error: empty, or why there is no result.
    round_trips: how often it entered and left, see `ReplayTape.round_trips`.
    """

    trial: int
    piece: int
    orders: int
    fills: int
    traded: float
    gross: float
    fees: float
    net: float
    net_probabilistic: float
    max_drawdown: float
    periods: tuple[float, ...]
    error: str = ""
    round_trips: int = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """One trial: its sum over the pieces before the last (`net_in`, in sample), and the last piece (`..._out`).

    chosen: how many folds chose it.
    """

    trial: int
    params: Params
    net_in: float
    net_out: float
    net_out_probabilistic: float
    sharpe_out: float
    fills_out: int
    round_trips_out: int
    traded_out: float
    fees_out: float
    max_drawdown_out: float
    chosen: int


@dataclass(frozen=True, slots=True)
class Fold:
    """One step of the walk: what was chosen on the pieces before, and what it made on this one."""

    piece: int
    trial: int
    net_in: float
    net_out: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer. ranked: best in sample first. walk: by piece; its sum is what choosing by the past made.

    The walk is out of sample, and `luck` is the verdict on it.
    """

    ranked: tuple[Ranked, ...]
    walk: tuple[Fold, ...]
    luck: Luck
    failed: tuple[tuple[int, str], ...]

    @property
    def walk_net(self) -> float:
        """What the walk-forward choice made in all."""
        return sum(fold.net_out for fold in self.walk)


def rank(trials: Sequence[Params], results: Mapping[tuple[int, int], PieceResult], pieces: int) -> Ranking:
    """Rank what was tried.

    Args: results: by (trial, piece); a trial that lacks a piece, or failed on one, is left out. pieces: K + 1, >= 2.
    Ties go to the earlier trial, so that the same results give the same ranking.
    """
    whole: dict[int, list[PieceResult]] = {}
    failed: list[tuple[int, str]] = []
    for trial in range(len(trials)):
        found = [results.get((trial, piece)) for piece in range(pieces)]
        done = [item for item in found if item is not None]
        error = next((item.error for item in done if item.error), "")
        if error:
            failed.append((trial, error))
        elif len(done) == pieces:
            whole[trial] = done
    walk = tuple(_fold(whole, piece) for piece in range(1, pieces)) if whole else ()
    chosen = [fold.trial for fold in walk]
    ranked = sorted(
        (_ranked(trial, trials[trial], items, chosen.count(trial)) for trial, items in whole.items()),
        key=lambda item: (-item.net_in, item.trial),
    )
    taken = [whole[fold.trial][fold.piece] for fold in walk]
    chosen_periods = [value for item in taken for value in item.periods]
    sharpes = [moments([value for item in items[1:] for value in item.periods]).sharpe for items in whole.values()]
    luck = judge(chosen_periods, sharpes, sum(item.round_trips for item in taken))
    return Ranking(tuple(ranked), walk, luck, tuple(failed))


def _fold(whole: Mapping[int, list[PieceResult]], piece: int) -> Fold:
    before = {trial: sum(item.net for item in items[:piece]) for trial, items in whole.items()}
    trial = max(before, key=lambda name: (before[name], -name))
    return Fold(piece, trial, before[trial], whole[trial][piece].net)


def _ranked(trial: int, params: Params, items: Sequence[PieceResult], chosen: int) -> Ranked:
    last = items[-1]
    return Ranked(
        trial=trial,
        params=params,
        net_in=sum(item.net for item in items[:-1]),
        net_out=last.net,
        net_out_probabilistic=last.net_probabilistic,
        sharpe_out=moments(last.periods).sharpe,
        fills_out=last.fills,
        round_trips_out=last.round_trips,
        traded_out=last.traded,
        fees_out=last.fees,
        max_drawdown_out=last.max_drawdown,
        chosen=chosen,
    )
