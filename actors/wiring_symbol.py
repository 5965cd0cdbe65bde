"""Builds a symbol actor inside its worker. May import `trading.adapters` but nothing of the database or the web.

Imported by `actors.recipes` inside the worker only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import structlog

from actors import handles
from actors.clients import ExecutorHandle, SupervisorHandle
from actors.ip_turns import IpTurns
from actors.recipes import SymbolSpec, SystemConfig
from actors.symbol import SymbolActor
from actors.symbol_ports import FeedStats, SymbolAttachment, SymbolSettings
from actors.symbol_snapshots import SnapshotFetcher
from actors.wiring_logging import log_to_file
from trading.adapters.clock import SystemClock
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.market_stream import MarketStream
from trading.adapters.mexc.rest_public import PublicRest, PublicRestSettings
from trading.adapters.mexc.topics import market_topics
from trading.adapters.plugins import load_strategies
from trading.adapters.recording.recorded_engine import InputRecorder
from trading.adapters.recording.recorder import FLUSH_S, SegmentRecorder
from trading.adapters.recording.sealer import BackgroundSealer
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.engine import SymbolEngine
from trading.engine.matching_models import matching_rules
from trading.engine.messages import EngineEvent
from trading.engine.shadow_twin import ShadowTwin
from trading.engine.strategy.registry import register
from trading.engine.watched_engine import EngineWatcher, WatchedEngine
from trading.model.market import MarketEvent
from trading.model.session import Mode

log = structlog.get_logger("symbol")


class _Feed:
    """A `MarketStream` with the counters the heartbeat wants, and the recorder that listens to it, if any."""

    def __init__(self, stream: MarketStream, recorder: SegmentRecorder | None, sealer: BackgroundSealer) -> None:
        self._stream = stream
        self._recorder = recorder
        self._sealer = sealer

    async def run(self, sink: Callable[[MarketEvent], None]) -> None:
        """Push events for ever; what is recorded reaches the disk within a second, and Parquet at each rotation."""
        if self._recorder is None:
            await self._stream.run(sink)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stream.run(sink))
            group.create_task(self._flush(self._recorder))
            group.create_task(self._sealer.run())

    async def _flush(self, recorder: SegmentRecorder) -> None:
        fault = ""
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                recorder.flush()
                if recorder.status().fault != fault:
                    fault = recorder.status().fault
                    log.error("recording_stopped", reason=fault)
        finally:
            recorder.close()

    def reconnect(self, reason: str) -> None:
        """See the port."""
        self._stream.reconnect(reason)

    def stats(self) -> FeedStats:
        """Return the counters; the largest age begins anew."""
        stream, counters, codec = self._stream, self._stream.counters, self._stream.codec
        age_max_ns, codec.age_max_ns = codec.age_max_ns, 0
        return FeedStats(
            frames=counters.frames,
            bytes_in=counters.bytes_in,
            inbox_depth=stream.inbox_depth,
            inbox_high=counters.inbox_high,
            reconnects=max(0, counters.connections - 1 - counters.rollovers),
            connects=counters.connections,
            inbox_max=stream.inbox_max,
            losses=counters.losses,
            rollovers=counters.rollovers,
            overflows=counters.overflows,
            decode_errors=stream.decode_errors,
            event_age_ns=codec.age_ns,
            event_age_max_ns=age_max_ns,
            drift=codec.drift.alarm,
            last_fault=stream.last_fault,
        )


class _Wiring:
    """Makes the pieces of one symbol actor, once its instrument is known."""

    def __init__(self, config: SystemConfig, spec: SymbolSpec, crash: Callable[[str], None]) -> None:
        self._config = config
        self._spec = spec
        self._crash = crash
        self._recorder: SegmentRecorder | None = None
        self._sealer = BackgroundSealer(lambda reason: log.error("recording_not_sealed", reason=reason))
        self._snapshots: SnapshotFetcher | None = None
        self.clock = SystemClock()
        self.node = handles.node_id()
        self.supervisor = SupervisorHandle()
        self._turns = IpTurns(self.node, self.supervisor)
        settings = PublicRestSettings(config.connect_timeout_s, config.request_timeout_s, 1)
        self._rest = PublicRest(config.rest_url, self.clock, settings, self._on_depth)

    def engine(self, symbol: SymbolConfig, bootstrap: SymbolBootstrap) -> SymbolEngine:
        """Make the engine, with its shadow twin, and the recorder of its inputs if this instance records."""
        config, instrument = self._config, symbol.instrument
        watchers: list[EngineWatcher] = []
        if config.record_dir:
            topics = market_topics(instrument.symbol, config.depth_interval)
            self._recorder = SegmentRecorder(
                Path(config.record_dir), instrument, topics, self.clock, None, self._on_rotated, self._sealer.submit
            )
            watchers.append(InputRecorder(symbol, bootstrap, self._recorder))
        twin = ShadowTwin(instrument, symbol.latency, symbol.matching, is_paper=symbol.is_paper)
        return WatchedEngine(symbol, bootstrap, watchers, twin)

    def feed(self, attachment: SymbolAttachment) -> _Feed:
        """Make the market-data connection; the recorder, if any, listens to it."""
        config, instrument = self._config, attachment.instrument
        rng = random.Random(f"{instrument.symbol}:{self._spec.run_number}:{attachment.owner_epoch}")  # jitter only
        settings = MarketStreamSettings(interval=config.depth_interval).scaled(config.venue_time_scale)
        tap, turns = self._recorder, self._turns
        stream = MarketStream(config.ws_url, instrument, settings, self.clock, rng, tap, self._pace, turns.tell)
        return _Feed(stream, self._recorder, self._sealer)

    def snapshots(self, attachment: SymbolAttachment, sink: Callable[[EngineEvent], None]) -> SnapshotFetcher:
        """Make the way to REST snapshots."""
        self._snapshots = SnapshotFetcher(attachment.instrument, self._rest, self._turns, self.clock, sink, self._crash)
        return self._snapshots

    async def _pace(self) -> None:
        """Wait for this node's turn to connect."""
        await self._turns.take("connect")

    def _on_depth(self, symbol: str, recv_ts_ns: int, body: bytes) -> None:
        if self._recorder is not None:
            self._recorder.on_depth(symbol, recv_ts_ns, body)

    def _on_rotated(self) -> None:
        """A segment must be readable alone: the new one begins with a snapshot of its own."""
        if self._snapshots is not None:
            self._snapshots.fetch(0)


async def build_symbol(config: SystemConfig, spec: SymbolSpec, crash: Callable[[str], None]) -> SymbolActor:
    """Return a started symbol actor, wired to the executor, the supervisor and the venue's public side."""
    log_to_file(config, f"symbol-{spec.symbol}")
    load_strategies(register)
    wiring = _Wiring(config, spec, crash)
    actor = SymbolActor(
        spec,
        SymbolSettings(
            config.mode is Mode.PAPER,
            wiring.node,
            config.seed,
            config.paper_latency,
            matching_rules(config.paper_queue_power),
        ),
        ExecutorHandle(config.account),
        wiring.supervisor,
        wiring.feed,
        wiring.snapshots,
        wiring.clock,
        crash,
        wiring.engine,
    )
    await actor.start()
    return actor
