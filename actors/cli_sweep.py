"""`mexcbot sweep`: many parameter sets over a recording, walk-forward, on all cores or a Ray cluster.

May import typer, rich and, when it runs, `trading` and Ray through `handles`. What is tried, ranked and called luck is
decided in `trading.engine.sweep`; this file fans out, shows progress and keeps results.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from random import Random
from secrets import token_hex
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.cli_fleet import Json
from actors.cli_output import OK, answer, answer_json, assignments, say, stdout_for_answers_only, without_none
from trading.model.errors import ConfigError

if TYPE_CHECKING:
    from actors.sweep_job import JobUnread, SweepJob
    from trading.adapters.recording.pieces import Piece
    from trading.adapters.sweep_store import SweepStore
    from trading.engine.replay import ReplaySettings
    from trading.engine.sweep.ranking import Ranking
    from trading.engine.sweep.space import Params

NAMESPACE = "mexcbot-sweep"
_told: list[int] = []


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """Everything that decides the results. `digest` names it: the same digest, the same results."""

    recording: Path
    trials: tuple[Params, ...]
    pieces: tuple[Piece, ...]
    settings: ReplaySettings
    digest: str

    def jobs(self, done: Mapping[tuple[int, int], object], instrument: Any) -> Iterator[SweepJob]:
        """List what is not done yet, by piece first: a worker keeps the piece it has decoded."""
        from actors.sweep_job import SweepJob

        for piece in self.pieces:
            for trial, params in enumerate(self.trials):
                if (trial, piece.number) not in done:
                    merged = tuple(sorted({**dict(self.settings.params), **dict(params)}.items()))
                    settings = replace(self.settings, params=merged, trade_from_ns=piece.from_ns)
                    yield SweepJob(trial, self.recording.absolute(), instrument, piece, settings)


def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording (Parquet).")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.parquet", help="Where the results go.")] = Path(
        "sweep.parquet"
    ),
    grid: Annotated[list[str] | None, typer.Option("--grid", metavar="K=A,B,…", help="Values to try.")] = None,
    range_: Annotated[
        list[str] | None, typer.Option("--range", metavar="K=LO:HI[:log]", help="Interval to draw from.")
    ] = None,
    random: Annotated[int | None, typer.Option("--random", metavar="N", min=1, help="Draw N sets at random.")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Strategy (default spread_capture).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="Parameter kept fixed.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of every draw.")] = None,
    folds: Annotated[int, typer.Option("--folds", min=1, max=100, help="Walk-forward steps out of sample.")] = 4,
    warmup_s: Annotated[float, typer.Option("--warmup-s", min=0, help="Seconds watched before a piece.")] = 30.0,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Replays at once (default: cores).")] = None,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="An existing Ray cluster.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away earlier results in OUT.")] = False,
    top: Annotated[int, typer.Option("--top", min=1, help="Rows of the table.")] = 15,
    json: Json = False,
) -> int:
    """Try many parameter sets on a recording and rank them, walk-forward; run it again to go on after a stop."""
    from actors.cli_replay import check_folder, load_plugins, replay_settings
    from trading.adapters.recording.events import recording_instrument
    from trading.adapters.settings import load_settings
    from trading.adapters.sweep_store import SweepStore
    from trading.engine.sweep.ranking import rank
    from trading.engine.sweep.space import Space, parse_grid, parse_ranges

    fixed = assignments(set_, "--set")
    values = {"strategy": strategy, "strategy_params": fixed or None, "seed": seed, "ray_address": ray_address}
    settings = load_settings(without_none(values))
    check_folder(out, "--out")
    load_plugins()
    instrument = recording_instrument(file)
    assumed = replay_settings(settings, instrument)
    space = Space(parse_grid(grid or []), parse_ranges(range_ or []))
    plan = _plan(file, space, random, assumed, folds, int(warmup_s * 1e9))
    signal.signal(signal.SIGTERM, _note)  # from here on there is something to keep
    store = SweepStore(out, plan.digest, fresh)
    try:
        kept = len(store.results)
        try:
            unread = _run(plan, store, instrument, jobs or os.cpu_count() or 1, settings.ray_address)
        except (KeyboardInterrupt, SystemExit) as end:  # Ray makes a SystemExit of a SIGTERM while it starts
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            store.seal(plan.trials, plan.pieces)
            say(f"mexcbot: stopped after {len(store.results)} replays; the same command goes on from there")
            raise KeyboardInterrupt from end
        store.seal(plan.trials, plan.pieces)
    finally:
        store.close()
    if unread:
        text = f"{len(unread)} of {len(plan.trials) * len(plan.pieces)} replays could not be run: {unread[0].reason}"
        raise ConfigError(f"{text}. Put that right; the same command runs what is missing")
    ranking = rank(plan.trials, store.results, len(plan.pieces))
    body = body_of(ranking, plan, kept, out)
    if json:
        answer_json(body)
    else:
        _show(ranking, plan, body, top)
    return OK


def _note(number: int, frame: FrameType | None) -> None:
    """Take note of a SIGTERM; `_obey` acts on it. Raised amid imports, it may end in a callback of Python's."""
    _told.append(number)


def _stop(number: int, frame: FrameType | None) -> None:
    """Take a SIGTERM as a Ctrl-C."""
    _told.append(number)
    _obey()


def _obey() -> None:
    if _told:
        raise KeyboardInterrupt


def _plan(file: Path, space: Any, count: int | None, assumed: ReplaySettings, folds: int, warmup_ns: int) -> SweepPlan:
    from actors.cli_replay import data_sha256
    from trading.adapters.plugins import code_of
    from trading.adapters.recording.pieces import pieces_of, recording_span
    from trading.engine.strategy.registry import parse_parameters, strategy_class
    from trading.engine.sweep.space import trials

    if twice := (set(space.grid) | set(space.ranges)) & {name for name, _ in assumed.params}:
        raise ConfigError(f"{sorted(twice)[0]} is fixed by --set and varied as well: choose one")
    drawn = trials(space, count, Random(f"sweep:{assumed.seed}").random)
    distinct: dict[str, Params] = {}
    for params in drawn:
        distinct.setdefault(parse_parameters(assumed.strategy_name, (*assumed.params, *params)).digest(), params)
    listed = tuple(distinct.values())
    if len(listed) < len(drawn):
        say(f"sweep: {len(drawn) - len(listed)} of {len(drawn)} sets repeat another one's values and are left out")
    pieces = pieces_of(recording_span(file), folds + 1, warmup_ns)
    code = code_of(assumed.strategy_name, strategy_class(assumed.strategy_name))
    text = repr((version("mexcbot"), code, data_sha256(file), listed, pieces, assumed))
    return SweepPlan(file, listed, pieces, assumed, sha256(text.encode()).hexdigest())


def _run(plan: SweepPlan, store: SweepStore, instrument: Any, jobs: int, ray_address: str | None) -> list[JobUnread]:
    """Run what is missing and keep its results; return the jobs whose worker had not what it takes, which have none."""
    todo = len(plan.trials) * len(plan.pieces) - len(store.results)
    unread: list[JobUnread] = []
    if not todo:
        return unread
    from actors import ray_environment

    with tempfile.TemporaryDirectory(prefix="mxs") as folder:
        token = Path(folder) / "token"
        if ray_address is None:
            # Ray listens on every interface: nobody else shall hand work to it.
            token.touch(mode=0o600)
            token.write_text(token_hex(32), encoding="ascii")
        ray_environment.prepare(token if ray_address is None else None)
        from actors import handles
        from actors.sweep_job import JobUnread, run_job

        _obey()
        if ray_address is None:
            handles.start_local(Path(folder), NAMESPACE, slots=0, cores=min(jobs, todo))
        else:
            handles.connect(ray_address, NAMESPACE)
        signal.signal(signal.SIGTERM, _stop)  # Ray has set its own
        try:
            _obey()  # what was told while Ray started: the first result may be minutes away
            with stdout_for_answers_only(), _progress(len(store.results), len(store.results) + todo) as advance:
                for result in handles.run_jobs(run_job, plan.jobs(dict(store.results), instrument), 2 * jobs):
                    _obey()
                    if isinstance(result, JobUnread):
                        unread.append(result)
                    else:
                        store.append(result)
                    advance()
        finally:
            handles.disconnect()
    return unread


@contextmanager
def _progress(done: int, total: int) -> Iterator[Any]:
    """A bar on stderr; where that is no terminal, a line each tenth."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        count = done

        def tell() -> None:
            nonlocal count
            count += 1
            if count * 10 // total != (count - 1) * 10 // total:
                say(f"sweep: {count} of {total} replays")

        yield tell
        return
    columns = (TextColumn("sweep"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, expand=True) as bar:
        task = bar.add_task("sweep", total=total, completed=done)
        yield lambda: bar.advance(task)


def body_of(ranking: Ranking, plan: SweepPlan, kept: int, out: Path) -> dict[str, Any]:
    """Render the answer as JSON. Amounts are quote units, net of fees, pessimistic queue unless named otherwise."""
    luck = ranking.luck
    last = len(plan.pieces) - 1
    return {
        "trials": len(plan.trials),
        "pieces": [{"from_ns": piece.from_ns, "to_ns": piece.to_ns} for piece in plan.pieces],
        "replays": len(plan.trials) * len(plan.pieces),
        "resumed": kept,
        "out": str(out),
        "ranked_by": "net of fees in sample",
        "ranking": [
            {
                "rank": place,
                "trial": item.trial,
                "params": dict(item.params),
                "in_sample": {"pieces": list(range(last)), "net": round(item.net_in, 10)},
                "out_of_sample": {
                    "pieces": [last],
                    "net": round(item.net_out, 10),
                    "net_probabilistic": round(item.net_out_probabilistic, 10),
                    "sharpe_per_period": round(item.sharpe_out, 6),
                    "fills": item.fills_out,
                    "round_trips": item.round_trips_out,
                    "traded": round(item.traded_out, 10),
                    "fees": round(item.fees_out, 10),
                    "max_drawdown": round(item.max_drawdown_out, 10),
                },
                "times_chosen": item.chosen,
            }
            for place, item in enumerate(ranking.ranked, 1)
        ],
        "walk_forward": {
            "net": round(ranking.walk_net, 10),
            "folds": [
                {
                    "piece": fold.piece,
                    "trial": fold.trial,
                    "params": dict(plan.trials[fold.trial]),
                    "in_sample_net": round(fold.net_in, 10),
                    "out_of_sample_net": round(fold.net_out, 10),
                }
                for fold in ranking.walk
            ],
        },
        "luck": {
            "of": "the walk: what was best on the pieces before, on the piece after",
            "deflated_sharpe": None if luck.probability is None else round(luck.probability, 6),
            "sharpe_per_period": round(luck.sharpe, 6),
            "hurdle": round(luck.hurdle, 6),
            "periods": luck.observations,
            "round_trips": luck.round_trips,
            "is_distinguishable": not luck.warning,
            "warning": luck.warning,
            "source": "Bailey and López de Prado, The Deflated Sharpe Ratio, J. Portfolio Management 40(5), 2014",
        },
        "failed": [
            {"trial": trial, "params": dict(plan.trials[trial]), "error": text} for trial, text in ranking.failed
        ],
    }


def _show(ranking: Ranking, plan: SweepPlan, body: Mapping[str, Any], top: int) -> None:
    from rich.console import Console
    from rich.table import Table

    names = [name for name, _ in plan.trials[0]]
    last = len(plan.pieces) - 1
    _tell_walk(ranking, plan)
    table = Table(
        title=f"{len(plan.trials)} parameter sets, ranked by net of fees in sample (pieces 0..{last - 1}); "
        f"right of it what each made after that, on piece {last}"
    )
    for name in (
        "#",
        *names,
        "in sample",
        "net after",
        "prob.",
        "Sharpe",
        "fills",
        "trips",
        "fees",
        "max dd",
        "chosen",
    ):
        table.add_column(name, justify="left" if name in names else "right", overflow="fold")
    for place, item in enumerate(ranking.ranked[:top], 1):
        amounts = (item.net_in, item.net_out, item.net_out_probabilistic)
        table.add_row(
            str(place),
            *(value for _, value in item.params),
            *(f"{amount:+.4f}" for amount in amounts),
            f"{item.sharpe_out:.3f}",
            str(item.fills_out),
            str(item.round_trips_out),
            f"{item.fees_out:.4f}",
            f"{item.max_drawdown_out:.4f}",
            str(item.chosen),
        )
    width = None if sys.stdout.isatty() else 60 + 12 * (len(names) + 9)
    Console(width=width).print(table)
    for trial, error in ranking.failed:
        answer(f"failed: {dict(plan.trials[trial])}: {error}")
    luck = ranking.luck
    if luck.warning:
        answer(f"WARNING: {luck.warning}.")
    else:
        answer(
            f"choosing by the past is distinguishable from luck: deflated Sharpe ratio {luck.probability:.3f} over "
            f"{luck.trials} trials, {luck.round_trips} round trips and {luck.observations} periods "
            "(Bailey and López de Prado 2014)"
        )
    answer(f"results: {body['out']}")


def _tell_walk(ranking: Ranking, plan: SweepPlan) -> None:
    """Lead with the one figure that nothing of itself was chosen by."""
    if not ranking.walk:
        return
    steps = ", ".join(f"{fold.net_out:+.4f}" for fold in ranking.walk)
    answer(
        f"walk-forward, out of sample: taking on each of the pieces 1..{len(plan.pieces) - 1} what was best on those "
        f"before it made {ranking.walk_net:+.4f} ({steps})"
    )


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(sweep)
