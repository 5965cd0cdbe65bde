"""What the shipped strategies make in the generated market, over seeds that chose nothing: a table.

May import trading and the generated market. Two questions. With informed takers and fees on both legs (MEXC's schedule
for small caps, 0.05 % each): does `spread_capture` with the edge filter beat itself without it? With no informed takers
and no fees: do both strategies make money? The floor of the filter is chosen on other seeds than those of the table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from multiprocessing import get_context
from statistics import mean, stdev

from bench.figures import Benchmark, Effort, Figure
from bench.generated_market import GeneratedMarket
from simulator.market.generator import INFORMED_RATE
from trading.engine.replay import ReplayRun, ReplaySettings

SYMBOLS = ("XRPUSDT", "DOGEUSDT")
FLOORS = ("0", "0.5", "2")
OFF = "-1000"
TRAINING_SEEDS, TABLE_SEEDS = range(101, 107), range(1, 21)
SECONDS = 240


@dataclass(frozen=True, slots=True)
class Trial:
    """One market and what is played on it: strategy and edge floor of each run."""

    symbol: str
    seed: int
    fee: str
    informed_rate: float
    seconds: int
    runs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Net of fees in quote units, and fills, of one run."""

    net: float
    fills: int


def play(trial: Trial) -> tuple[Outcome, ...]:
    """Make the market once and replay every run on it. The pessimistic queue counts."""
    taker = "0" if trial.fee == "0" else "0.0005"
    market = GeneratedMarket(trial.symbol, trial.seed, trial.fee, taker, informed_rate=trial.informed_rate)
    events = list(market.events(trial.seconds))
    outcomes = []
    for strategy, floor in trial.runs:
        params = () if floor is None else (("min_edge_bps", floor),)
        result = ReplayRun(market.instrument, events, ReplaySettings(strategy, params)).run()
        outcomes.append(Outcome(float(result.pessimistic.net), result.pessimistic.fills))
    return tuple(outcomes)


def measure_edge_filter(effort: Effort) -> Iterator[Figure]:
    """Choose the floor on the training seeds, then hold it against no floor on the others."""
    training = _played(
        Trial(symbol, seed, "0.0005", INFORMED_RATE, SECONDS, tuple(("spread_capture", floor) for floor in FLOORS))
        for symbol in SYMBOLS
        for seed in tuple(TRAINING_SEEDS)[: effort.choose(6, 1)]
    )
    totals = [sum(row[index].net for row in training) for index in range(len(FLOORS))]
    floor = FLOORS[totals.index(max(totals))]
    chosen = ", ".join(f"{name}: {total:+.3f}" for name, total in zip(FLOORS, totals, strict=True))
    yield Figure("chosen_floor", "bps", float(floor), note=f"net on {len(training)} other markets by floor: {chosen}")
    runs = (("spread_capture", floor), ("spread_capture", OFF))
    seeds = tuple(TABLE_SEEDS)[: effort.choose(20, 2)]
    rows = _by_seed(seeds, "0.0005", INFORMED_RATE, runs)
    print(f"    {'seed':>4} {'filter on':>12} {'fills':>6} {'filter off':>12} {'fills':>6} {'difference':>12}")
    for seed, (on, off) in zip(seeds, rows, strict=True):
        print(f"    {seed:>4} {on.net:>12.4f} {on.fills:>6} {off.net:>12.4f} {off.fills:>6} {on.net - off.net:>12.4f}")
    differences = [on.net - off.net for on, off in rows]
    better = sum(difference > 0 for difference in differences)
    note = f"{len(seeds)} seeds, {len(SYMBOLS)} symbols, {SECONDS} s each, fees 5/5 bps; better in {better} seeds"
    yield Figure("filter_on_net", "quote", mean(on.net for on, _ in rows), note=f"a seed; {note}")
    yield Figure("filter_off_net", "quote", mean(off.net for _, off in rows), note="a seed")
    yield _against_zero("filter_on_less_off", differences)


def measure_fair_market(effort: Effort) -> Iterator[Figure]:
    """Both strategies where nobody knows more than they do and nothing costs."""
    runs = (("spread_capture", None), ("market_maker", None))
    seeds = tuple(TABLE_SEEDS)[: effort.choose(20, 2)]
    rows = _by_seed(seeds, "0", 0.0, runs)
    print(f"    {'seed':>4} {'spread_capture':>15} {'fills':>6} {'market_maker':>15} {'fills':>6}")
    for seed, (capture, maker) in zip(seeds, rows, strict=True):
        print(f"    {seed:>4} {capture.net:>15.4f} {capture.fills:>6} {maker.net:>15.4f} {maker.fills:>6}")
    for index, (name, _) in enumerate(runs):
        yield _against_zero(f"{name}_net", [row[index].net for row in rows])


def _against_zero(metric: str, values: Sequence[float]) -> Figure:
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    positive = sum(value > 0 for value in values)
    note = f"a seed, mean of {len(values)}; standard error {error:.4f}; above 0 in {positive}"
    return Figure(metric, "quote", mean(values), 0.0, note, is_more_better=True)


def _by_seed(
    seeds: Sequence[int], fee: str, informed_rate: float, runs: tuple[tuple[str, str | None], ...]
) -> list[tuple[Outcome, ...]]:
    """Play every symbol of every seed; return per seed the sum over symbols, run by run."""
    trials = [Trial(symbol, seed, fee, informed_rate, SECONDS, runs) for seed in seeds for symbol in SYMBOLS]
    played = _played(trials)
    rows = []
    for index in range(len(seeds)):
        parts = played[index * len(SYMBOLS) : (index + 1) * len(SYMBOLS)]
        rows.append(
            tuple(
                Outcome(sum(part[run].net for part in parts), sum(part[run].fills for part in parts))
                for run in range(len(runs))
            )
        )
    return rows


def _played(trials: Iterator[Trial] | Sequence[Trial]) -> list[tuple[Outcome, ...]]:
    """Play trials on all cores, in order."""
    with get_context("spawn").Pool(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.imap(play, trials))


BENCHMARKS = (
    Benchmark("edge_filter", "spread_capture with and without its edge filter, informed market", measure_edge_filter),
    Benchmark("fair_market", "what both strategies make without fees and informed takers", measure_fair_market),
)
