"""From `make run` to ready: cold (a fresh clone that downloads everything) and warm. May import bench.

Cold is what somebody who just cloned waits, virtual environment and download included; warm is every start after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bench.figures import Benchmark, Effort, Figure, median
from bench.fresh_clone import FreshClone, fresh_clone
from bench.system import System, started, up_arguments

COLD_TARGET_S = 90.0
WARM_TARGET_S = 15.0


def _run(clone: FreshClone, data_dir: Path) -> AbstractContextManager[System]:
    flags = " ".join(up_arguments(data_dir))
    return started(clone.make("run", f"ARGS={flags}"), data_dir, clone.folder, clone.environment, clone.tree)


def measure(effort: Effort) -> Iterator[Figure]:
    """Cold once, then warm on the same data directory and on a new one."""
    with fresh_clone() as clone:
        data_dir = clone.folder / "data"
        stops = []
        with _run(clone, data_dir) as system:
            note = "make run in a fresh clone: venv, download without cache, five symbols, dashboard"
            yield Figure("cold_run_to_ready", "s", system.ready_s, COLD_TARGET_S, note)
            stops.append(system.stop())
        warm = []
        for _ in range(effort.choose(3, 1)):
            with _run(clone, data_dir) as system:
                warm.append(system.ready_s)
                stops.append(system.stop())
        note = f"make run again, same data directory; median of {len(warm)}"
        yield Figure("warm_run_to_ready", "s", median(warm), WARM_TARGET_S, note)
        new = []
        for number in range(effort.choose(3, 1)):
            with _run(clone, clone.folder / f"new{number}") as system:
                new.append(system.ready_s)
                stops.append(system.stop())
        note = f"make run again, new data directory (initdb, migrations); median of {len(new)}"
        yield Figure("warm_run_new_data_to_ready", "s", median(new), WARM_TARGET_S, note)
        yield Figure("drain_and_stop", "s", median(stops), note=f"Ctrl-C to the end; median of {len(stops)}")


BENCHMARKS = (Benchmark("start", "make run to ready, cold and warm", measure),)
