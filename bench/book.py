"""CPU per depth frame: decode, and decode plus apply with the gap check, beside ccxt on the same bytes.

May import trading and ccxt. CPU time of this process, so that a neighbour costs little; median of rounds.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.depth_frames import NOW_NS, FrameSet, generated, recorded, sample_path
from bench.figures import Benchmark, CannotRunError, Effort, Figure, median
from trading.adapters.mexc.codec import PublicCodec
from trading.engine.book_sync import BookSync
from trading.model.market import BookDelta, BookState

THIN_LEVELS = (2, 3, 4, 5)
FAT_LEVELS = (35, 40, 45)
NS_PER_US = 1_000


def cpu_us(measure: Callable[[], float], rounds: int) -> float:
    """Return the median of `measure`'s answers, each after a collection, so that no round pays for another's litter."""
    answers = []
    for _ in range(rounds):
        gc.collect()
        answers.append(measure())
    return median(answers)


def _decode(given: FrameSet) -> float:
    """Decode every frame; return µs of CPU a frame."""
    codec = PublicCodec(given.instrument)
    began = time.process_time_ns()
    for frame in given.frames:
        codec.decode(frame, NOW_NS)
    return (time.process_time_ns() - began) / len(given.frames) / NS_PER_US


def _apply(given: FrameSet) -> float:
    """Decode and apply as the symbol actor does; return µs of CPU a frame. Raises: CannotRunError on a broken chain."""
    codec, sync = PublicCodec(given.instrument), BookSync(given.instrument.symbol)
    sync.on_connected(NOW_NS)
    sync.on_snapshot(given.snapshot, NOW_NS)
    began = time.process_time_ns()
    for frame in given.frames:
        for event in codec.decode(frame, NOW_NS):
            if isinstance(event, BookDelta):
                sync.on_delta(event, NOW_NS)
    spent = time.process_time_ns() - began
    if sync.state is not BookState.PROVEN or sync.counters.gaps:
        raise CannotRunError(f"the book is {sync.state} after {sync.counters.gaps} gaps")
    return spent / len(given.frames) / NS_PER_US


async def _apply_with_ccxt(given: FrameSet) -> float:
    """Feed ccxt.pro's MEXC order book with the bytes; its socket is never opened, but its client wants a loop."""
    from ccxt.pro import mexc

    exchange: Any = mexc({"enableRateLimit": False})
    client: Any = exchange.client("ws://127.0.0.1:1/unused")
    symbol = exchange.safe_symbol(given.instrument.symbol)
    book = exchange.orderbooks[symbol] = exchange.order_book()
    scale = given.instrument
    for side, levels in (("bids", given.snapshot.bids), ("asks", given.snapshot.asks)):
        for price, lots in levels:
            book[side].store(float(scale.price(price)), float(scale.qty(lots)))
    book["nonce"] = given.snapshot.version
    began = time.process_time_ns()
    for frame in given.frames:
        exchange.handle_message(client, frame)
    spent = time.process_time_ns() - began
    await exchange.close()
    if int(book["nonce"]) <= given.snapshot.version:
        raise CannotRunError("ccxt applied nothing")
    return spent / len(given.frames) / NS_PER_US


def _measure(given: FrameSet, name: str, rounds: int) -> Iterator[Figure]:
    yield Figure(f"{name}_decode", "us/frame", cpu_us(lambda: _decode(given), rounds), note=given.note)
    yield Figure(f"{name}_decode_apply", "us/frame", cpu_us(lambda: _apply(given), rounds), note=given.note)
    try:
        import ccxt
    except ImportError:
        return
    peer = cpu_us(lambda: asyncio.run(_apply_with_ccxt(given)), max(1, rounds // 2))
    note = f"peer, same bytes: ccxt.pro {ccxt.__version__}, decode and apply, no gap check"
    yield Figure(f"{name}_ccxt", "us/frame", peer, note=note)


def measure_generated(effort: Effort) -> Iterator[Figure]:
    """Thin and fat frames made here."""
    rounds = effort.choose(7, 3)
    yield from _measure(generated(effort.choose(20_000, 2_000), THIN_LEVELS), "thin", rounds)
    yield from _measure(generated(effort.choose(4_000, 400), FAT_LEVELS), "fat", rounds)


def measure_sample(effort: Effort) -> Iterator[Figure]:
    """The frames of the recorded market."""
    from trading.adapters.recording.events import recording_instrument
    from trading.adapters.recording.importer import import_public
    from trading.adapters.recording.parquet import read_recording

    source = sample_path()
    with tempfile.TemporaryDirectory(prefix="mxb") as folder:
        path = Path(folder) / "sample.parquet"
        import_public(source, path)
        given = recorded(read_recording(path), recording_instrument(path))
    yield from _measure(given, "sample", effort.choose(7, 3))


BENCHMARKS = (
    Benchmark("book", "CPU per depth frame, generated: decode, decode + gap check + apply", measure_generated),
    Benchmark("book_sample", "CPU per depth frame of the sample recording", measure_sample),
)
