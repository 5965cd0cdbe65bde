"""How much market one core of the simulator carries: without sockets, and as the real process over real sockets.

May import simulator and psutil.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import psutil

from bench.exchange_client import Timings, trading_client
from bench.exchange_load import Heard, listening
from bench.exchange_process import running_exchange
from bench.figures import Benchmark, CannotRunError, Effort, Figure, percentile
from bench.process_tree import weigh
from bench.virtual_exchange import VirtualExchange

SYMBOLS = 40
SYMBOLS_ON_THE_WIRE = 200
MESSAGES_PER_SYMBOL = 10
# An order that rests far below the market of a pair everybody can afford.
TRADED = "XRPUSDT"
MIB = 2**20


def measure_virtual(effort: Effort) -> Iterator[Figure]:
    """Market, feeds and fan-out on virtual time."""
    interval = "10ms"
    seconds = effort.choose(60, 5)
    exchange = VirtualExchange(SYMBOLS, interval)
    for _ in exchange.beats(1):
        pass
    before, began = exchange.pushes, time.process_time()
    for _ in exchange.beats(seconds):
        for sink in exchange.sinks.values():
            sink.frames.clear()
    spent, pushes = time.process_time() - began, exchange.pushes - before
    note = f"{SYMBOLS} symbols, depth + deals + ticker @{interval}, generated, no sockets; CPU time"
    yield Figure("pushes_virtual", "pushes/s", pushes / spent, note=note, is_more_better=True)
    yield Figure("market_virtual", "x real time", seconds / spent, note=note, is_more_better=True)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _wire(count: int, interval: str, seconds: int) -> tuple[Heard, float, float, float]:
    """Listen to everything; return what came, CPU and wall seconds of the simulator, and its PSS in bytes."""
    with running_exchange("--count", str(count)) as (started, ready), listening(ready["ws"], count, interval) as load:
        process = psutil.Process(started.pid)
        load.take()
        cpu, began = _cpu_s(process), time.monotonic()
        time.sleep(seconds)
        heard, spent, wall_s = load.take(), _cpu_s(process) - cpu, time.monotonic() - began
        weight = weigh(process)
    if not heard.frames or spent <= 0 or not heard.ages_ms:
        raise CannotRunError(f"{heard.frames} frames came for {spent} s of CPU")
    return heard, spent, wall_s, weight


def measure_wire(effort: Effort) -> Iterator[Figure]:
    """The process itself, listened to over sockets by another process."""
    seconds = effort.choose(20, 4)
    count = effort.choose(SYMBOLS_ON_THE_WIRE, SYMBOLS)
    for interval in ("100ms", "10ms"):
        heard, cpu_s, wall_s, weight = _wire(count, interval, seconds)
        what = f"{count} symbols, depth + deals + ticker @{interval}"
        spread = f"least symbol {heard.least / wall_s:.1f}/s, median {heard.median / wall_s:.1f}/s"
        size = f"{heard.bytes / heard.frames:.0f} B each"
        rate = Figure(
            f"pushes_{interval}",
            "pushes/s",
            heard.frames / wall_s,
            count * MESSAGES_PER_SYMBOL,
            f"{what}; {spread}, {size}",
            is_more_better=True,
        )
        yield rate
        yield Figure(f"core_used_{interval}", "%", 100 * cpu_s / wall_s, 100.0, f"{what}; the whole process")
        per_core = f"{what}; pushes that came by CPU spent"
        yield Figure(f"pushes_per_core_{interval}", "pushes/s", heard.frames / cpu_s, None, per_core, True)
        age = f"{what}; sendTime to receipt, {len(heard.ages_ms)} frames, both clocks in whole ms"
        yield from _percentiles(f"push_age_{interval}", [age_ms / 1_000 for age_ms in heard.ages_ms], age)
        yield Figure(f"memory_{interval}", "MiB", weight / MIB, note=f"{what}; PSS, while listened to")


def _percentiles(metric: str, seconds: Sequence[float], note: str) -> Iterator[Figure]:
    for percent in (50, 99):
        yield Figure(f"{metric}_p{percent}", "ms", 1_000 * percentile(seconds, percent), note=note)


async def _rounds(ready: dict[str, str], count: int) -> Timings:
    async with trading_client(ready) as (client, link):
        await client.rounds(20, TRADED, 0.0, link)
        return await client.rounds(count, TRADED, 0.02, link)


def measure_rest(effort: Effort) -> Iterator[Figure]:
    """REST and the user stream, alone and while everybody listens."""
    count = effort.choose(SYMBOLS_ON_THE_WIRE, SYMBOLS)
    rounds = effort.choose(500, 30)
    with running_exchange("--count", str(count), "--limits", "off") as (_, ready):
        yield from _rest_figures("quiet", asyncio.run(_rounds(ready, rounds)), f"{count} symbols, nobody else listens")
        with listening(ready["ws"], count, "100ms") as load:
            load.take()
            began = time.monotonic()
            timings = asyncio.run(_rounds(ready, rounds))
            rate = load.take().frames / (time.monotonic() - began)
        yield from _rest_figures("loaded", timings, f"{count} symbols, {rate:,.0f} pushes/s to others meanwhile")


def _rest_figures(state: str, timings: Timings, note: str) -> Iterator[Figure]:
    note = f"{note}; {len(timings.place)} of each, one after the other, on one kept connection"
    yield from _percentiles(f"rest_depth_{state}", timings.depth, note)
    yield from _percentiles(f"rest_order_{state}", timings.place, note)
    yield from _percentiles(f"rest_cancel_{state}", timings.cancel, note)
    yield from _percentiles(f"order_to_push_{state}", timings.push, note)


BENCHMARKS = (
    Benchmark("simulator", "market on virtual time: pushes per second of one core", measure_virtual),
    Benchmark("simulator_wire", "the simulator process over sockets: pushes, core, memory", measure_wire),
    Benchmark("simulator_rest", "the simulator process: REST and order-to-push latencies", measure_rest),
)
