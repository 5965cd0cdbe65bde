"""CPU per frame that recording adds to the loop of a symbol actor, flushes included. May import trading.

CPU time of this process, so that a neighbour costs little; median of rounds. The engine's own work on the same bytes is
the figure of `book`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.book import FAT_LEVELS, NS_PER_US, THIN_LEVELS, cpu_us
from bench.depth_frames import NOW_NS, FrameSet, generated
from bench.figures import Benchmark, CannotRunError, Effort, Figure
from trading.adapters.clock import SystemClock
from trading.adapters.mexc.topics import market_topics
from trading.adapters.recording.recorder import SegmentRecorder
from trading.adapters.recording.seal import recover

# A busy symbol's frames between two flushes (half a second at 200 a second).
FRAMES_A_FLUSH = 100


def _record(given: FrameSet) -> float:
    """Record every frame; return µs of CPU a frame, system calls included. Raises: CannotRunError when one is lost."""
    symbol = given.instrument.symbol
    with tempfile.TemporaryDirectory(prefix="mxb") as folder:
        recorder = SegmentRecorder(Path(folder), given.instrument, market_topics(symbol, "100ms"), SystemClock())
        began = time.process_time_ns()
        for index, frame in enumerate(given.frames):
            recorder.on_frame(NOW_NS + index, frame)
            if index % FRAMES_A_FLUSH == 0:
                recorder.flush()
        spent = time.process_time_ns() - began
        recorder.close()
        rows = sum(item.rows for item in recover(folder).sealed)
        if rows != len(given.frames) + 1:
            raise CannotRunError(f"{len(given.frames)} frames became {rows} rows")
    return spent / len(given.frames) / NS_PER_US


def measure(effort: Effort) -> Iterator[Figure]:
    """Thin and fat frames; the target is issue 4's "a few µs a frame"."""
    rounds = effort.choose(7, 3)
    for name, count, levels in (("thin", effort.choose(20_000, 2_000), THIN_LEVELS), ("fat", 4_000, FAT_LEVELS)):
        given = generated(count, levels)
        yield Figure(f"{name}_record", "us/frame", cpu_us(partial(_record, given), rounds), 5.0, given.note)


BENCHMARKS = (Benchmark("recorder", "CPU per frame that recording costs a symbol's loop", measure),)
