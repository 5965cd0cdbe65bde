"""One symbol's market data, wired as in a symbol actor but without engine and Ray: stream, snapshots, pace, book.

May import actors and trading. Benchmarks and tests follow the simulator with it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from actors.ip_budget import IpBudget
from actors.ip_turns import IpTurns
from actors.symbol_snapshots import SnapshotFetcher
from actors.wiring_supervisor import AUDIT_SHARE, CONNECT_SHARE, SNAPSHOT_SHARE
from trading.adapters.clock import SystemClock
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.market_stream import MarketStream
from trading.adapters.mexc.rest_public import PublicRest
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncResult
from trading.engine.book_sync_settings import BookSyncSettings
from trading.engine.messages import EngineEvent
from trading.model.instrument import Instrument
from trading.model.market import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    BookState,
    FeedAlive,
    FeedConnected,
    FeedDisconnected,
    MarketTrade,
    SnapshotFailed,
)
from trading.model.session import Heartbeat

NODE = "here"
TIMER_S = 0.1


class LocalPace:
    """The supervisor's part for followers of one process: one address, one budget. Implements `SupervisorPort`."""

    def __init__(self, requests_per_s: float) -> None:
        self._budget = IpBudget(
            {
                "snapshot": requests_per_s * SNAPSHOT_SHARE,
                "connect": requests_per_s * CONNECT_SHARE,
                "audit": requests_per_s * AUDIT_SHARE,
            }
        )
        self._clock = SystemClock()
        self.blocks = 0

    async def heartbeat(self, beat: Heartbeat) -> None:
        """Nobody listens."""

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """See the port."""
        return self._budget.lease(node, kind, weight, self._clock.now_ns())

    async def ip_held(self, node: str) -> float:
        """See the port."""
        return self._budget.held_s(node, self._clock.now_ns())

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """See the port."""
        self.blocks += 1
        self._budget.block(node, retry_after_s, self._clock.now_ns())


class BookFollower:
    """Follows one symbol from `start` to `close`, and compares its book with the simulator's truth on demand."""

    def __init__(
        self,
        ws_url: str,
        rest: PublicRest,
        truth: httpx.AsyncClient,
        instrument: Instrument,
        pace: LocalPace,
        stream: MarketStreamSettings | None = None,
        book: BookSyncSettings | None = None,
        seed: int = 7,
    ) -> None:
        self.instrument = instrument
        self.clock = SystemClock()
        self.sync = BookSync(instrument.symbol, book)
        turns = IpTurns(NODE, pace)
        self.stream = MarketStream(
            ws_url,
            instrument,
            stream or MarketStreamSettings(),
            self.clock,
            random.Random(f"{instrument.symbol}:{seed}"),
            pace=lambda: turns.take("connect"),
            on_refused=turns.tell,
        )
        self.losses: list[str] = []
        self.kinds: set[type[EngineEvent]] = set()
        self.trades: deque[MarketTrade] = deque(maxlen=1_000)
        self.checked = 0
        self.first_answer_ns = 0
        self.first_proof_ns = 0
        self.snapshots_to_proof = 0
        self.crashes: list[str] = []
        self._rest = rest
        self._truth = truth
        self._fetcher = SnapshotFetcher(instrument, self, turns, self.clock, self.on_event, self.crashes.append)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow."""
        self._tasks = [asyncio.create_task(self.stream.run(self.on_event)), asyncio.create_task(self._tick())]

    async def close(self) -> None:
        """Stop, and wait until everything has ended. Raises what ended the stream before."""
        done = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._fetcher.close()
        for task in done:
            task.result()

    async def depth(self, instrument: Instrument) -> BookSnapshot:
        """Fetch a snapshot for the fetcher; the first request is what the time to the proof counts from."""
        if not self.first_answer_ns:
            self.first_answer_ns = self.clock.monotonic_ns()
        return await self._rest.depth(instrument)

    @property
    def is_proven(self) -> bool:
        """True while the book says that it is proven."""
        return self.sync.state is BookState.PROVEN

    def on_event(self, event: EngineEvent) -> None:
        """Take what stream and fetcher say, as an engine does."""
        sync, now_ns = self.sync, self.clock.now_ns()
        self.kinds.add(type(event))
        match event:
            case BookDelta():
                self._act(sync.on_delta(event, now_ns))
            case BestQuote():
                self._act(sync.on_best_quote(event, now_ns))
            case MarketTrade():
                sync.on_trade(now_ns)
                self.trades.append(event)
            case FeedAlive():
                self._act(sync.on_alive(now_ns))
            case FeedConnected():
                self._act(sync.on_connected(now_ns))
            case FeedDisconnected():
                self.losses.append(event.reason)
                self._act(sync.on_disconnected(event.reason, now_ns))
            case BookSnapshot():
                self._act(sync.on_snapshot(event, now_ns))
            case SnapshotFailed():
                self._act(sync.on_snapshot_failed(now_ns))
            case _:
                raise TypeError(f"expected a market event, was {type(event).__name__}")
        if not self.first_proof_ns and self.is_proven:
            self.first_proof_ns = self.clock.monotonic_ns()
            self.snapshots_to_proof = sync.counters.snapshots

    def _act(self, result: SyncResult) -> None:
        if result.fetch_not_before_ns is not None:
            self._fetcher.fetch(result.fetch_not_before_ns, result.is_audit)
        if result.reconnect:
            self.stream.reconnect(result.reconnect)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TIMER_S)
            self._act(self.sync.on_timer(self.clock.now_ns()))

    async def differences(self, depth: int = 50) -> list[str]:
        """Compare a proven book with the simulator's at the same version; [] when equal, or with nothing to compare."""
        book, instrument = self.sync.book, self.instrument
        if not self.is_proven:
            return []
        version, ours = book.version, (book.bids(depth), book.asks(depth))
        answer = await self._truth.get("/sim/book", params={"symbol": instrument.symbol, "version": version})
        if answer.status_code == 404:
            return []
        self.checked += 1
        truth: dict[str, Any] = answer.json()
        return [
            f"{instrument.symbol} {name} at version {version}"
            for name, levels in zip(("bids", "asks"), ours, strict=True)
            if _levels(truth[name][:depth], instrument) != levels
        ]


def _levels(rows: Sequence[Sequence[str]], instrument: Instrument) -> list[tuple[int, int]]:
    return [(instrument.price_ticks(price), instrument.qty_lots(qty)) for price, qty in rows]


async def until(condition: Callable[[], bool], patience_s: float, describe: Callable[[], object]) -> None:
    """Wait until the condition holds. Raises: TimeoutError with `describe()` when it does not in time."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"not within {patience_s:g} s: {describe()}")
        await asyncio.sleep(0.05)
