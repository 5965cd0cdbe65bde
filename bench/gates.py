"""Wall time of the gates, in a fresh clone of the commit: `make check` and `make test`. May import bench.

A gate that fails yields no figure: how long a broken build takes is of no interest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

from bench.depth_frames import sample_path
from bench.figures import Benchmark, CannotRunError, Effort, Figure
from bench.fresh_clone import FreshClone, fresh_clone
from bench.system import last_words

CHECK_TARGET_S = 60.0
TEST_TARGET_S = 360.0
TIMEOUT_S = 1_800.0
END_TIMEOUT_S = 60.0


def _gate(clone: FreshClone, target: str) -> tuple[float, str]:
    """Run a gate; return its seconds and its last line. Raises: CannotRunError when it fails."""
    log = clone.folder / f"{target}.log"
    environment = dict(clone.environment)
    with contextlib.suppress(CannotRunError):  # without the sample its tests skip
        environment["MEXCBOT_SAMPLE"] = str(sample_path())
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            clone.make(target),
            cwd=clone.tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise CannotRunError(f"make {target} took longer than {TIMEOUT_S:g} s: {last_words(log)}") from None
        finally:
            _end(process)
    if code:
        raise CannotRunError(f"make {target} failed with exit code {code}: {last_words(log)}")
    return time.monotonic() - began, last_words(log).rpartition(" | ")[2].strip("= ")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End make and what it runs: pytest sweeps its own children when it is interrupted."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _measure(target: str, target_s: float) -> Iterator[Figure]:
    with fresh_clone() as clone:
        clone.set_up("setup-dev")
        seconds, words = _gate(clone, target)
    yield Figure(f"make_{target}", "s", seconds, target_s, f"fresh clone, set up before; {words}")


def measure_check(effort: Effort) -> Iterator[Figure]:
    """The fast gate."""
    yield from _measure("check", CHECK_TARGET_S)


def measure_test(effort: Effort) -> Iterator[Figure]:
    """The whole suite."""
    yield from _measure("test", TEST_TARGET_S)


BENCHMARKS = (
    Benchmark("check", "wall time of make check", measure_check),
    Benchmark("test", "wall time of make test", measure_test),
)
