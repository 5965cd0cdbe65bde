"""Which benchmarks there are, cheap and quiet ones first. May import the benchmark groups."""

from __future__ import annotations

from bench import (
    book,
    exchange,
    gates,
    halt,
    journal,
    market_data,
    market_quality,
    memory,
    order_flow,
    order_latency,
    queue_models,
    recorder,
    replay,
    restart,
    start,
    strategies,
    submit_to_venue,
)
from bench.figures import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    *book.BENCHMARKS,
    *recorder.BENCHMARKS,
    *replay.BENCHMARKS,
    *queue_models.BENCHMARKS,
    *strategies.BENCHMARKS,
    *journal.BENCHMARKS,
    *order_flow.BENCHMARKS,
    *submit_to_venue.BENCHMARKS,
    *halt.BENCHMARKS,
    *restart.BENCHMARKS,
    *exchange.BENCHMARKS,
    *market_data.BENCHMARKS,
    *market_quality.BENCHMARKS,
    *order_latency.BENCHMARKS,
    *memory.BENCHMARKS,
    *start.BENCHMARKS,
    *gates.BENCHMARKS,
)
