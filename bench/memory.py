"""Memory of a running system: proportional set sizes (shared pages split among their users). May import psutil.

Source: /proc/PID/smaps_rollup (Linux). Sums of it count every page once, which resident set sizes do not.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

import psutil

from bench.figures import Benchmark, CannotRunError, Effort, Figure, median
from bench.process_tree import kind_of, weigh
from bench.system import System, items, running_up
from bench.viewer import Viewer, watching

MIB = 2**20
SYMBOL_ACTOR_TARGET_MIB = 75.0
SYSTEM_TARGET_MIB = 1_536.0
SAMPLES = 3
SAMPLE_PAUSE_S = 3.0


def _sample(system: System, actor_pids: set[int]) -> tuple[dict[int, float], dict[str, float], int]:
    """Weigh all once: MiB by symbol actor's pid, MiB by kind, number of processes."""
    actors: dict[int, float] = {}
    kinds: dict[str, float] = {}
    processes = system.family()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            weight = weigh(process) / MIB
            if process.pid in actor_pids:
                actors[process.pid] = weight
                kind = "symbol_actors"
            else:
                kind = kind_of(process.name(), " ".join(process.cmdline()))
            kinds[kind] = kinds.get(kind, 0.0) + weight
    return actors, kinds, len(processes)


def _seen(viewer: Viewer | None) -> str:
    """Say in a note whether the dashboard was in use."""
    if viewer is None:
        return "no dashboard"
    if viewer.error or not viewer.runs:
        return f"dashboard not looked at ({viewer.error or 'its page never finished'})"
    return f"one person at the dashboard ({viewer.runs} page runs)"


def measure(effort: Effort) -> Iterator[Figure]:
    """Five symbols on paper with the dashboard, a while after ready."""
    if sys.platform != "linux":
        raise CannotRunError("proportional set sizes are read from /proc, which only Linux has")
    wait_s = effort.choose(60, 10)
    samples = []
    with running_up() as system, watching(system.ready["dashboard"]) as viewer:
        time.sleep(wait_s)
        with system.client() as client:
            pids = {int(item["pid"]) for item in items(client, "/v1/symbols") if item["pid"] is not None}
        for _ in range(SAMPLES):
            samples.append(_sample(system, pids))
            time.sleep(SAMPLE_PAUSE_S)
        seen = _seen(viewer)
    if not pids or any(len(actors) != len(pids) for actors, _, _ in samples):
        raise CannotRunError(f"the API names {len(pids)} symbol actors, and not all of them were found")
    note = f"{len(pids)} symbols on paper, {wait_s} s after ready, {seen}"
    weights = [weight for actors, _, _ in samples for weight in actors.values()]
    yield Figure("symbol_actor_pss_median", "MiB", median(weights), SYMBOL_ACTOR_TARGET_MIB, note)
    yield Figure("symbol_actor_pss_max", "MiB", max(weights), SYMBOL_ACTOR_TARGET_MIB, note)
    totals = [sum(kinds.values()) for _, kinds, _ in samples]
    whole = f"{note}; {samples[-1][2]} processes, Postgres, Ray, simulator, API and dashboard among them"
    yield Figure("system_pss", "MiB", median(totals), SYSTEM_TARGET_MIB, whole)
    for kind in sorted(samples[-1][1]):
        yield Figure(f"pss_{kind}", "MiB", median([kinds.get(kind, 0.0) for _, kinds, _ in samples]))


BENCHMARKS = (Benchmark("memory", "PSS of a symbol actor and of everything, five symbols", measure),)
