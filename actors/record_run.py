"""Recording without trading: the real feed of each symbol, kept whole by snapshots, into one folder.

May import `trading` and the actors' snapshot fetcher and IP budget. Nothing here decides or trades: a `BookSync` for
each symbol says when a snapshot is wanted, so that what is recorded can be replayed to a proven book.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.ip_turns import IpTurns
from actors.node_budget import NodeBudget
from actors.symbol_snapshots import SnapshotFetcher
from trading.adapters.clock import SystemClock
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.market_stream import MarketStream
from trading.adapters.mexc.rest_public import PublicRest, PublicRestSettings
from trading.adapters.mexc.topics import market_topics
from trading.adapters.recording.recorder import FLUSH_S, RecorderSettings, SegmentRecorder
from trading.adapters.recording.seal import seal_segment
from trading.adapters.recording.sealer import BackgroundSealer
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncResult
from trading.engine.messages import EngineEvent
from trading.model.errors import ConfigError, InvariantViolated
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
from trading.model.units import NS_PER_S

TIMER_S = 0.1


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """What to record, from where, into which folder. `seconds`: None until told to stop."""

    rest_url: str
    ws_url: str
    instruments: tuple[Instrument, ...]
    folder: Path
    depth_interval: str
    ip_request_rate: float
    request_timeout_s: float
    connect_timeout_s: float
    seconds: float | None = None
    segments: RecorderSettings | None = None
    venue_time_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class SymbolReport:
    """What was recorded of one symbol. `proven`: the share of the time with a proven book, 0..1. `fault`: "" or why it
    stopped."""

    symbol: str
    rows: int
    bytes: int
    files: tuple[str, ...]
    gaps: int
    losses: int
    proven: float
    fault: str


class SymbolRecording:
    """One symbol: its stream, its recorder, and the book that tells which snapshots are needed."""

    def __init__(
        self, plan: RecordPlan, instrument: Instrument, rest: PublicRest, turns: IpTurns, clock: SystemClock,
        on_finished: Callable[[Path], None], crash: Callable[[str], None],
    ) -> None:  # fmt: skip
        topics = market_topics(instrument.symbol, plan.depth_interval)
        self.symbol = instrument.symbol
        self.files: list[Path] = []
        self._on_finished = on_finished
        self._clock = clock
        self._began_ns = clock.now_ns()
        self._sync = BookSync(instrument.symbol)
        self.recorder = SegmentRecorder(
            plan.folder, instrument, topics, clock, plan.segments, self._on_rotated, self._on_segment
        )
        self._snapshots = SnapshotFetcher(instrument, rest, turns, clock, self._take, crash)
        settings = MarketStreamSettings(interval=plan.depth_interval).scaled(plan.venue_time_scale)
        self.stream = MarketStream(
            plan.ws_url, instrument, settings, clock,
            random.Random(instrument.symbol), self.recorder, lambda: turns.take("connect"), turns.tell,
        )  # fmt: skip

    @property
    def is_live(self) -> bool:
        """True once the book is proven: what is recorded from here can be replayed."""
        return self._sync.state is BookState.PROVEN

    async def run(self) -> None:
        """Record for ever."""
        await self.stream.run(self._take)

    def tick(self) -> None:
        """Look after silence and unanswered snapshots; call it every `TIMER_S`."""
        self._follow(self._sync.on_timer(self._clock.now_ns()))

    def report(self, fault: str) -> SymbolReport:
        """Sum up. fault: what ended the whole run, "" when it was the person."""
        now_ns = self._clock.now_ns()
        status, counters = self.recorder.status(), self._sync.counters
        proven = self._sync.proven_total_ns(now_ns) / max(1, now_ns - self._began_ns)
        return SymbolReport(
            self.symbol, status.rows, status.bytes_written, tuple(str(path) for path in self.files if path.exists()),
            counters.gaps, self.stream.counters.losses, round(min(1.0, proven), 4), status.fault or fault,
        )  # fmt: skip

    def _take(self, event: EngineEvent) -> None:
        sync, now_ns = self._sync, self._clock.now_ns()
        match event:
            case BookDelta():
                self._follow(sync.on_delta(event, now_ns))
            case BestQuote():
                self._follow(sync.on_best_quote(event, now_ns))
            case MarketTrade():
                sync.on_trade(now_ns)
            case FeedAlive():
                self._follow(sync.on_alive(now_ns))
            case BookSnapshot():
                self._follow(sync.on_snapshot(event, now_ns))
            case SnapshotFailed():
                self._follow(sync.on_snapshot_failed(now_ns))
            case FeedConnected():
                self._follow(sync.on_connected(now_ns))
            case FeedDisconnected():
                self._follow(sync.on_disconnected(event.reason, now_ns))
            case _:
                raise InvariantViolated(f"a feed gave {type(event).__name__}")

    def _follow(self, result: SyncResult) -> None:
        if result.fetch_not_before_ns is not None:
            self._snapshots.fetch(result.fetch_not_before_ns, result.is_audit)
        if result.reconnect:
            self.stream.reconnect(result.reconnect)

    def _on_rotated(self) -> None:
        """A segment must be readable alone: the new one begins with a snapshot of its own."""
        self._snapshots.fetch(0)

    def _on_segment(self, segment: Path) -> None:
        self.files.append(segment.with_suffix(".parquet"))
        self._on_finished(segment)


class RecordRun:
    """Records every symbol of a plan until told to stop. Used once, on one loop."""

    def __init__(self, plan: RecordPlan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._sealer = BackgroundSealer(say)
        self._is_stopping = False
        self._unsealed: list[Path] = []
        self._symbols: dict[str, SymbolRecording] = {}

    def stop(self) -> None:
        """End the recording; idempotent."""
        self._stop.set()

    async def run(self) -> tuple[SymbolReport, ...]:
        """Record until `stop` or the plan's time is over, then seal. Raises: ConfigError for a bad folder."""
        plan = self._plan
        _check_folder(plan.folder)
        settings = PublicRestSettings(plan.connect_timeout_s, plan.request_timeout_s)
        turns = NodeBudget(plan.ip_request_rate, self._clock).turns()
        rest = PublicRest(plan.rest_url, self._clock, settings, self._on_depth)
        faults: list[str] = []

        def crash(reason: str) -> None:
            faults.append(reason)
            self._stop.set()

        for instrument in plan.instruments:
            self._symbols[instrument.symbol] = SymbolRecording(
                plan, instrument, rest, turns, self._clock, self._on_segment, crash
            )
        tasks = [asyncio.create_task(item.run(), name=item.symbol) for item in self._symbols.values()]
        tasks += [asyncio.create_task(self._look_after()), asyncio.create_task(self._sealer.run())]
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({*tasks, stopped}, timeout=plan.seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            ended = await asyncio.gather(*tasks, stopped, return_exceptions=True)
            await asyncio.to_thread(self._seal_all)
            await rest.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error
        return tuple(item.report(next(iter(faults), "")) for item in self._symbols.values())

    async def _look_after(self) -> None:
        """Timers, flushes, and a word to people when a symbol is live or its recording stopped."""
        waiting = dict(self._symbols)
        told: set[str] = set()
        flush_ns = 0
        while True:
            await asyncio.sleep(TIMER_S)
            now_ns = self._clock.monotonic_ns()
            is_flush = now_ns - flush_ns >= int(FLUSH_S * NS_PER_S)
            for item in self._symbols.values():
                item.tick()
                if is_flush:
                    item.recorder.flush()
                    fault = item.recorder.status().fault
                    if fault and item.symbol not in told:
                        told.add(item.symbol)
                        self._say(fault)
            flush_ns = now_ns if is_flush else flush_ns
            for symbol in [name for name, item in waiting.items() if item.is_live]:
                del waiting[symbol]
                self._say(f"{symbol}: recording, its book is proven")
            if len(told) == len(self._symbols):
                self._stop.set()

    def _on_depth(self, symbol: str, recv_ts_ns: int, body: bytes) -> None:
        self._symbols[symbol].recorder.on_depth(symbol, recv_ts_ns, body)

    def _on_segment(self, segment: Path) -> None:
        self._unsealed.append(segment)
        if not self._is_stopping:
            self._sealer.submit(segment)

    def _seal_all(self) -> None:
        """Finish every segment and seal what is not sealed yet."""
        self._is_stopping = True
        for item in self._symbols.values():
            item.recorder.close()
        for segment in self._unsealed:
            try:
                if segment.exists():
                    seal_segment(segment)
            except ConfigError as error:
                self._say(f"{error}: run mexcbot recover {segment.parent}")


def _check_folder(folder: Path) -> None:
    """Make the folder and try it. Raises: ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".mexcbot-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"cannot record into {folder} ({error.strerror or error}): choose another folder with -o")
