"""Builds a symbol actor inside its worker. May import `trading.adapters` but nothing of the database or the web.

Imported by `actors.recipes` inside the worker only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from actors import handles
from actors.clients import ExecutorHandle, SupervisorHandle
from actors.recipes import SymbolSpec, SystemConfig
from actors.symbol import SymbolActor, SymbolSettings
from actors.symbol_ports import FeedStats, SymbolAttachment
from actors.symbol_snapshots import SnapshotFetcher
from actors.wiring_logging import log_to_file
from trading.adapters.clock import SystemClock
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.market_stream import MarketStream
from trading.adapters.mexc.rest_public import PublicRest, PublicRestSettings
from trading.adapters.plugins import load_strategies
from trading.engine.messages import EngineEvent
from trading.engine.strategy.registry import register
from trading.model.errors import TradingError
from trading.model.market import MarketEvent
from trading.model.session import Mode


class _Feed:
    """A `MarketStream` with the counters the heartbeat wants."""

    def __init__(self, stream: MarketStream) -> None:
        self._stream = stream

    async def run(self, sink: Callable[[MarketEvent], None]) -> None:
        """Push events for ever."""
        await self._stream.run(sink)

    def stats(self) -> FeedStats:
        """Return the counters."""
        counters = self._stream.counters
        return FeedStats(
            frames=counters.frames,
            bytes_in=counters.bytes_in,
            inbox_depth=self._stream.inbox_depth,
            inbox_high=counters.inbox_high,
            reconnects=max(0, counters.connections - 1 - counters.rollovers),
        )


async def build_symbol(config: SystemConfig, spec: SymbolSpec, crash: Callable[[str], None]) -> SymbolActor:
    """Return a started symbol actor, wired to the executor, the supervisor and the venue's public side."""
    log_to_file(config, f"symbol-{spec.symbol}")
    load_strategies(register)
    clock, node, supervisor = SystemClock(), handles.node_id(), SupervisorHandle()
    rest = PublicRest(config.rest_url, clock, PublicRestSettings(config.connect_timeout_s, config.request_timeout_s, 1))
    stream_settings = MarketStreamSettings(interval=config.depth_interval)

    async def pace() -> None:
        """Wait for this node's turn to connect; with nobody to ask the stream's own back-off must do."""
        try:
            wait_s = await supervisor.lease_ip(node, "connect", 1)
        except TradingError:
            return
        await asyncio.sleep(wait_s)

    def make_feed(attachment: SymbolAttachment) -> _Feed:
        rng = random.Random(f"{spec.symbol}:{spec.run_number}:{attachment.owner_epoch}")  # jitter only
        return _Feed(MarketStream(config.ws_url, attachment.instrument, stream_settings, clock, rng, None, pace))

    def make_snapshots(attachment: SymbolAttachment, sink: Callable[[EngineEvent], None]) -> SnapshotFetcher:
        return SnapshotFetcher(attachment.instrument, node, rest, supervisor, clock, sink, crash)

    actor = SymbolActor(
        spec,
        SymbolSettings(config.mode is Mode.PAPER, node, config.seed),
        ExecutorHandle(config.account),
        supervisor,
        make_feed,
        make_snapshots,
        clock,
        crash,
    )
    await actor.start()
    return actor
