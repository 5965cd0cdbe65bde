"""Fetches depth snapshots for one symbol, at the pace the node is granted. May import `trading` and the ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.symbol_ports import Clock, SnapshotPort, SupervisorPort
from trading.engine.messages import EngineEvent
from trading.model.errors import RateLimited, TradingError
from trading.model.instrument import Instrument
from trading.model.market import SnapshotFailed
from trading.model.units import NS_PER_S

# With nobody to ask for a slot, go slowly: a fleet that cannot reach its supervisor must not storm the venue.
UNLEASED_WAIT_S = 0.5


class SnapshotFetcher:
    """At most one fetch is under way; its answer, or its failure, goes into the engine as an event."""

    def __init__(
        self,
        instrument: Instrument,
        node: str,
        snapshots: SnapshotPort,
        supervisor: SupervisorPort,
        clock: Clock,
        sink: Callable[[EngineEvent], None],
        crash: Callable[[str], None],
    ) -> None:
        self._instrument = instrument
        self._node = node
        self._snapshots = snapshots
        self._supervisor = supervisor
        self._clock = clock
        self._sink = sink
        self._crash = crash
        self._task: asyncio.Task[None] | None = None

    def fetch(self, not_before_ns: int) -> None:
        """Start a fetch, not before the given time; while one is under way this does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._fetch(not_before_ns), name=f"{self._instrument.symbol}:snapshot")
            self._task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash(f"{task.get_name()}: {type(error).__name__}: {error}")

    async def _fetch(self, not_before_ns: int) -> None:
        wait_s = max(0.0, (not_before_ns - self._clock.now_ns()) / NS_PER_S)
        try:
            leased_s = await self._supervisor.lease_ip(self._node, "snapshot", 1)
        except TradingError:
            leased_s = UNLEASED_WAIT_S
        await asyncio.sleep(max(wait_s, leased_s))
        event: EngineEvent
        try:
            event = await self._snapshots.depth(self._instrument)
        except TradingError as error:
            event = SnapshotFailed(self._instrument.symbol, str(error), self._clock.now_ns())
            if isinstance(error, RateLimited):
                await self._tell_blocked(error.retry_after_s)
        self._task = None  # the engine may ask for the next one in the very step that takes this one
        self._sink(event)

    async def _tell_blocked(self, retry_after_s: float) -> None:
        try:
            await self._supervisor.ip_blocked(self._node, retry_after_s)
        except TradingError:
            await asyncio.sleep(min(retry_after_s, 10.0))
