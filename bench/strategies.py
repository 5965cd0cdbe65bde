"""What the shipped strategies make in the generated market, over seeds that chose nothing: a table.

May import trading and the generated market. Two questions. With informed takers and fees: does `spread_capture` with
the edge filter beat itself without it? With no informed takers and no fees: do both strategies make money? What is
chosen, the floor of the filter and the market maker's risk aversion, is chosen on other seeds than those of the table.
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
AVERSIONS = ("0.03", "0.1", "0.5")
SCHEDULES = (("0.0005", "0.0005"), ("0", "0.0005"))
"""(maker, taker) fees as MEXC has them: of some small caps, and of most pairs."""

Run = tuple[str, tuple[tuple[str, str], ...]]
"""A strategy by name, and the parameters that are set."""
TRAINING_SEEDS, TABLE_SEEDS = range(101, 107), range(1, 21)
SECONDS = 240


@dataclass(frozen=True, slots=True)
class Trial:
    """One market and what is played on it. fees: maker, taker."""

    symbol: str
    seed: int
    fees: tuple[str, str]
    informed_rate: float
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Net of fees in quote units, that of selling what is left included, and fills, of one run."""

    net: float
    fills: int


def play(trial: Trial) -> tuple[Outcome, ...]:
    """Make the market once and replay every run on it. The pessimistic queue counts."""
    market = GeneratedMarket(trial.symbol, trial.seed, *trial.fees, informed_rate=trial.informed_rate)
    events = list(market.events(SECONDS))
    outcomes = []
    for strategy, params in trial.runs:
        result = ReplayRun(market.instrument, events, ReplaySettings(strategy, params)).run()
        outcomes.append(Outcome(float(result.pessimistic.net_closed), result.pessimistic.fills))
    return tuple(outcomes)


def measure_edge_filter(effort: Effort) -> Iterator[Figure]:
    """Choose the floor on the training seeds, then hold it against no floor on the others; each fee schedule apart."""
    for maker, taker in SCHEDULES:
        fees, name = (maker, taker), f"{float(maker) * 1e4:g}_{float(taker) * 1e4:g}"
        candidates: tuple[Run, ...] = tuple(("spread_capture", (("min_edge_bps", floor),)) for floor in FLOORS)
        index, note = _chosen(effort, fees, INFORMED_RATE, candidates, FLOORS)
        yield Figure(f"chosen_floor_{name}", "bps", float(FLOORS[index]), note=note)
        seeds = tuple(TABLE_SEEDS)[: effort.choose(20, 2)]
        runs: tuple[Run, ...] = (candidates[index], ("spread_capture", (("min_edge_bps", OFF),)))
        rows = _by_seed(seeds, fees, INFORMED_RATE, runs)
        print(f"    {'seed':>4} {'filter on':>12} {'fills':>6} {'filter off':>12} {'fills':>6} {'difference':>12}")
        for seed, (on, off) in zip(seeds, rows, strict=True):
            line = f"{on.net:>12.4f} {on.fills:>6} {off.net:>12.4f} {off.fills:>6} {on.net - off.net:>12.4f}"
            print(f"    {seed:>4} {line}")
        note = f"{len(SYMBOLS)} symbols, {SECONDS} s each, fees {name.replace('_', '/')} bps"
        yield _against_zero(f"filter_on_net_{name}", [on.net for on, _ in rows], note, is_required=False)
        yield _against_zero(f"filter_off_net_{name}", [off.net for _, off in rows], is_required=False)
        yield _against_zero(f"filter_on_less_off_{name}", [on.net - off.net for on, off in rows])


def measure_fair_market(effort: Effort) -> Iterator[Figure]:
    """Both strategies where nobody knows more than they do and nothing costs; risk aversion chosen on other seeds."""
    free = ("0", "0")
    candidates: tuple[Run, ...] = tuple(("market_maker", (("risk_aversion", value),)) for value in AVERSIONS)
    index, note = _chosen(effort, free, 0.0, candidates, AVERSIONS)
    yield Figure("chosen_risk_aversion", "", float(AVERSIONS[index]), note=note)
    runs: tuple[Run, ...] = (("spread_capture", ()), ("market_maker", ()), candidates[index])
    names = ("spread_capture", "market_maker", "market_maker_chosen")
    seeds = tuple(TABLE_SEEDS)[: effort.choose(20, 2)]
    rows = _by_seed(seeds, free, 0.0, runs)
    print(f"    {'seed':>4}" + "".join(f" {name:>20} {'fills':>6}" for name in names))
    for seed, row in zip(seeds, rows, strict=True):
        print(f"    {seed:>4}" + "".join(f" {outcome.net:>20.4f} {outcome.fills:>6}" for outcome in row))
    for place, name in enumerate(names):
        yield _against_zero(f"{name}_net", [row[place].net for row in rows])


def _chosen(
    effort: Effort, fees: tuple[str, str], informed_rate: float, candidates: tuple[Run, ...], names: Sequence[str]
) -> tuple[int, str]:
    """Return which candidate made most on the training seeds, and what each made."""
    seeds = tuple(TRAINING_SEEDS)[: effort.choose(6, 1)]
    rows = _by_seed(seeds, fees, informed_rate, candidates)
    totals = [sum(row[place].net for row in rows) for place in range(len(candidates))]
    told = ", ".join(f"{name}: {total:+.3f}" for name, total in zip(names, totals, strict=True))
    return totals.index(max(totals)), f"net on {len(seeds)} other seeds: {told}"


def _against_zero(metric: str, values: Sequence[float], note: str = "", *, is_required: bool = True) -> Figure:
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    positive = sum(value > 0 for value in values)
    told = f"a seed, mean of {len(values)}; standard error {error:.4f}; above 0 in {positive}"
    told = f"{told}; {note}" if note else told
    return Figure(metric, "quote", mean(values), 0.0 if is_required else None, told, is_more_better=True)


def _by_seed(
    seeds: Sequence[int], fees: tuple[str, str], informed_rate: float, runs: tuple[Run, ...]
) -> list[tuple[Outcome, ...]]:
    """Play every symbol of every seed on all cores; return per seed the sum over symbols, run by run."""
    trials = [Trial(symbol, seed, fees, informed_rate, runs) for seed in seeds for symbol in SYMBOLS]
    with get_context("spawn").Pool(min(4, os.cpu_count() or 1)) as pool:
        played = list(pool.imap(play, trials))
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


BENCHMARKS = (
    Benchmark("edge_filter", "spread_capture with and without its edge filter, informed market", measure_edge_filter),
    Benchmark("fair_market", "what both strategies make without fees and informed takers", measure_fair_market),
)
