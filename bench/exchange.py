"""How much market one core of the simulator carries: without sockets, and as the real process over real sockets.

May import simulator, psutil and websockets.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
from websockets.asyncio.client import connect

from bench.figures import Benchmark, CannotRunError, Effort, Figure
from bench.report import ROOT
from bench.virtual_exchange import VirtualExchange
from simulator.market.profiles import default_symbols
from trading.adapters.mexc.topics import market_topics, subscription

SYMBOLS = 40
# On the wire more of them, so that the pushes and not the idle beats are what the core works at.
SYMBOLS_ON_THE_WIRE = 200
INTERVAL = "10ms"
SYMBOLS_PER_SOCKET = 10
STOP_TIMEOUT_S = 10.0
SETTLE_S = 2.0


def measure_virtual(effort: Effort) -> Iterator[Figure]:
    """Market, feeds and fan-out on virtual time."""
    seconds = effort.choose(60, 5)
    exchange = VirtualExchange(SYMBOLS, INTERVAL)
    for _ in exchange.beats(1):
        pass
    before, began = exchange.pushes, time.process_time()
    for _ in exchange.beats(seconds):
        for sink in exchange.sinks.values():
            sink.frames.clear()
    spent, pushes = time.process_time() - began, exchange.pushes - before
    note = f"{SYMBOLS} symbols, depth + deals + ticker @{INTERVAL}, generated, no sockets; CPU time"
    yield Figure("pushes_virtual", "pushes/s", pushes / spent, note=note, is_more_better=True)
    yield Figure("market_virtual", "x real time", seconds / spent, note=note, is_more_better=True)


@contextmanager
def running_exchange(*flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the simulator on a free port; give the process and its ready line. Raises: CannotRunError."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--json", *flags],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise CannotRunError(f"the simulator ended with exit code {process.wait(STOP_TIMEOUT_S)}")
        yield process, json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Listeners:
    """Clients that subscribe and count what comes."""

    def __init__(self, url: str, symbols: Sequence[str]) -> None:
        self._url = url
        step = SYMBOLS_PER_SOCKET
        self._shares = [symbols[start : start + step] for start in range(0, len(symbols), step)]
        self.frames = 0
        self.bytes = 0

    async def listen(self, pid: int, seconds: int) -> tuple[float, float]:
        """Listen; return the simulator's CPU seconds and the wall seconds of the measured stretch."""
        tasks = [asyncio.create_task(self._one(share)) for share in self._shares]
        try:
            await asyncio.sleep(SETTLE_S)
            process = psutil.Process(pid)
            self.frames = self.bytes = 0
            cpu, began = process.cpu_times(), time.monotonic()
            await asyncio.sleep(seconds)
            after, wall_s = process.cpu_times(), time.monotonic() - began
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        broken = [error for error in outcomes if isinstance(error, Exception)]
        if broken:
            raise CannotRunError(f"a listener was cut off: {broken[0]}")
        return after.user + after.system - cpu.user - cpu.system, wall_s

    async def _one(self, symbols: Sequence[str]) -> None:
        options = {"compression": None, "proxy": None, "ping_interval": None, "max_queue": None, "close_timeout": 1}
        async with connect(self._url, **options) as link:  # type: ignore[arg-type]
            for symbol in symbols:
                await link.send(subscription(market_topics(symbol, INTERVAL), 1))
            async for frame in link:
                if isinstance(frame, bytes):
                    self.frames += 1
                    self.bytes += len(frame)


def measure_process(effort: Effort) -> Iterator[Figure]:
    """The process itself, listened to over sockets."""
    seconds = effort.choose(20, 4)
    count = effort.choose(SYMBOLS_ON_THE_WIRE, SYMBOLS)
    symbols = default_symbols(count)
    with running_exchange("--count", str(count)) as (process, ready):
        listeners = _Listeners(ready["ws"], symbols)
        cpu_s, wall_s = asyncio.run(listeners.listen(process.pid, seconds))
    if not listeners.frames or cpu_s <= 0:
        raise CannotRunError(f"{listeners.frames} frames came for {cpu_s} s of CPU")
    note = f"{count} symbols, depth + deals + ticker @{INTERVAL}, {len(symbols) // SYMBOLS_PER_SOCKET} sockets"
    rate = f"{note}; {listeners.frames / wall_s:,.0f} pushes/s of {listeners.bytes / listeners.frames:.0f} B came"
    yield Figure("pushes_per_core", "pushes/s", listeners.frames / cpu_s, note=rate, is_more_better=True)
    yield Figure("core_used", "%", 100 * cpu_s / wall_s, note=note)


BENCHMARKS = (
    Benchmark("simulator", "market on virtual time: pushes per second of one core", measure_virtual),
    Benchmark("simulator_wire", "the simulator process over sockets: pushes per second of one core", measure_process),
)
