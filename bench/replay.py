"""Events a second through the whole engine: book, paper fills, edge, strategy, risk, account rules, booking.

May import trading and the virtual exchange.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench.depth_frames import sample_path
from bench.figures import Benchmark, CannotRunError, Effort, Figure, median
from bench.virtual_exchange import VirtualExchange
from trading.adapters.recording.events import collected_seldom, market_events, recording_instrument
from trading.adapters.recording.importer import import_public
from trading.adapters.recording.parquet import read_recording
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_result import ReplayResult
from trading.engine.strategy.demonstration import DEMONSTRATION
from trading.model.instrument import Instrument
from trading.model.market import MarketEvent
from trading.model.units import NS_PER_S

SYMBOL = "ETHUSDT"
Events = Iterable[tuple[int, MarketEvent]]


def _measure(
    name: str, instrument: Instrument, events: Callable[[], Events], settings: ReplaySettings, rounds: int, source: str
) -> Iterator[Figure]:
    """Replay several times; the rounds must agree on every decision. Raises: CannotRunError when they do not."""
    seconds: list[float] = []
    results: list[ReplayResult] = []
    for _ in range(rounds):
        run = ReplayRun(instrument, events(), settings)
        gc.collect()
        began = time.process_time()
        with collected_seldom():  # as the command does
            results.append(run.run())
        seconds.append(time.process_time() - began)
    first = results[0]
    if len({result.order_log_sha256 for result in results}) > 1:
        raise CannotRunError(f"{name}: two replays of one input differ; its speed means nothing")
    market_s = (first.last_ns - first.first_ns) / NS_PER_S
    pace = first.events / median(seconds)
    note = (
        f"{source}; {first.events} events, {first.orders} orders, {first.pessimistic.fills} fills, "
        f"{market_s / median(seconds):,.0f} times real time; CPU time"
    )
    yield Figure(name, "events/s", pace, note=note, is_more_better=True)


def measure_generated(effort: Effort) -> Iterator[Figure]:
    """The simulator's market from its frames, and decoded before: the engine alone."""
    exchange = VirtualExchange(2, "100ms")
    opening = exchange.opening(SYMBOL)
    frames = list(exchange.frames(SYMBOL, effort.choose(600, 60)))
    rounds = effort.choose(5, 2)
    instrument = exchange.instrument(SYMBOL)

    def events() -> Events:
        return exchange.decoded(SYMBOL, opening, frames)

    yield from _measure("generated_frames", instrument, events, ReplaySettings(), rounds, "decoded on the way")
    decoded = list(events())
    yield from _measure("generated", instrument, lambda: decoded, ReplaySettings(), rounds, "decoded before")


def measure_sample(effort: Effort) -> Iterator[Figure]:
    """The recorded market from its file: read, decode, engine; and the engine alone."""
    with tempfile.TemporaryDirectory(prefix="mxb") as folder:
        path = Path(folder) / "sample.parquet"
        import_public(sample_path(), path)
        instrument = recording_instrument(path)

        def events() -> Events:
            return market_events(read_recording(path), instrument)

        for name, params in (("sample_defaults", ()), ("sample_demonstration", DEMONSTRATION)):
            settings = ReplaySettings(params=params)
            yield from _measure(name, instrument, events, settings, effort.choose(3, 2), "read and decoded on the way")
        decoded = list(events())
        settings = ReplaySettings(params=DEMONSTRATION)
        name = "sample_demonstration_decoded"
        yield from _measure(name, instrument, lambda: decoded, settings, effort.choose(5, 2), "decoded before")


BENCHMARKS = (
    Benchmark("replay", "events/s through the engine, generated market", measure_generated),
    Benchmark("replay_sample", "events/s from the sample recording's file through the engine", measure_sample),
)
