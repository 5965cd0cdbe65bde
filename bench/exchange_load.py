"""Listeners of the simulator in a process of their own, so that they cost no measured client any time.

`python -m bench.exchange_load URL COUNT INTERVAL` subscribes to depth, deals and book ticker of the first COUNT pairs,
says `ready`, and answers each line on stdin with what came since the last one, as JSON. May import websockets.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from websockets.asyncio.client import connect

from bench.figures import CannotRunError
from bench.report import ROOT
from simulator.market.profiles import default_symbols
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.topics import market_topics, subscription

SYMBOLS_PER_SOCKET = 10
SETTLE_S = 3.0
STOP_TIMEOUT_S = 10.0
# Ages are of every so many frames: decoding all of them would make the listener late itself.
AGE_EVERY = 20


@dataclass(frozen=True, slots=True)
class Heard:
    """What came in one stretch: frames, bytes, frames of the least and the median symbol, ages in ms of a sample."""

    frames: int
    bytes: int
    least: int
    median: int
    ages_ms: tuple[float, ...]


class _Listeners:
    def __init__(self, url: str, symbols: Sequence[str], interval: str) -> None:
        self._url = url
        self._interval = interval
        step = SYMBOLS_PER_SOCKET
        self._shares = [symbols[start : start + step] for start in range(0, len(symbols), step)]
        self._by_symbol: Counter[str] = Counter(dict.fromkeys(symbols, 0))
        self._bytes = 0
        self._frames = 0
        self._ages_ms: list[float] = []

    async def run(self) -> None:
        """Listen until stdin ends."""
        tasks = [asyncio.create_task(self._one(share)) for share in self._shares]
        await asyncio.sleep(SETTLE_S)
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            broken = [task.exception() for task in tasks if task.done() and not task.cancelled()]
            if broken:
                print(json.dumps({"broken": repr(broken[0])}), flush=True)
                break
            print(json.dumps(self._taken()), flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _taken(self) -> dict[str, object]:
        counts = sorted(self._by_symbol.values())
        taken = {
            "frames": self._frames,
            "bytes": self._bytes,
            "least": counts[0],
            "median": counts[len(counts) // 2],
            "ages_ms": self._ages_ms,
        }
        self._frames = self._bytes = 0
        self._ages_ms = []
        self._by_symbol = Counter(dict.fromkeys(self._by_symbol, 0))
        return taken

    async def _one(self, symbols: Sequence[str]) -> None:
        options = {"compression": None, "proxy": None, "ping_interval": None, "max_queue": None, "close_timeout": 1}
        async with connect(self._url, **options) as link:  # type: ignore[arg-type]
            for symbol in symbols:
                await link.send(subscription(market_topics(symbol, self._interval), 1))
            async for frame in link:
                if isinstance(frame, bytes):
                    now_ms = time.time() * 1_000
                    self._frames += 1
                    self._bytes += len(frame)
                    topic = frame[2 : 2 + frame[1]].decode()  # field 1, the channel, comes first and is short
                    self._by_symbol[topic.rpartition("@")[2]] += 1
                    if self._frames % AGE_EVERY == 0:
                        self._ages_ms.append(now_ms - pb.PushDataV3ApiWrapper.FromString(frame).sendTime)


class Load:
    """The listeners' process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def take(self) -> Heard:
        """Return what came since the last call. Raises: CannotRunError when a listener was cut off."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line or "broken" in (fields := json.loads(line)):
            raise CannotRunError(f"a listener was cut off: {line.strip() or 'the process ended'}")
        return Heard(**(fields | {"ages_ms": tuple(fields["ages_ms"])}))


@contextmanager
def listening(url: str, count: int, interval: str) -> Iterator[Load]:
    """Run the listeners for the length of a block, settled. Raises: CannotRunError."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.exchange_load", url, str(count), interval],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise CannotRunError(f"the listeners ended with exit code {process.wait(STOP_TIMEOUT_S)}")
        yield Load(process)
        process.stdin.close()
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


if __name__ == "__main__":
    asyncio.run(_Listeners(sys.argv[1], default_symbols(int(sys.argv[2])), sys.argv[3]).run())
