"""Fetches depth snapshots for one symbol, at the pace the node is granted. May import `trading` and the ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.ip_turns import IpTurns
from actors.symbol_ports import Clock, SnapshotPort
from trading.engine.messages import EngineEvent
from trading.model.errors import TradingError
from trading.model.instrument import Instrument
from trading.model.market import SnapshotFailed
from trading.model.units import NS_PER_S


class SnapshotFetcher:
    """At most one fetch is under way; its answer, or its failure, goes into the engine as an event.

    A fetch for an audit gives way to one that a proof waits for, unless it is on the wire already: then its answer
    serves both.
    """

    def __init__(
        self,
        instrument: Instrument,
        snapshots: SnapshotPort,
        turns: IpTurns,
        clock: Clock,
        sink: Callable[[EngineEvent], None],
        crash: Callable[[str], None],
    ) -> None:
        self._instrument = instrument
        self._snapshots = snapshots
        self._turns = turns
        self._clock = clock
        self._sink = sink
        self._crash = crash
        self._task: asyncio.Task[None] | None = None
        self._can_give_way = False

    def fetch(self, not_before_ns: int, is_audit: bool = False) -> None:
        """Start a fetch, not before the given time; while one is under way that serves as well this does nothing."""
        if self._task is not None:
            if is_audit or not self._can_give_way:
                return
            self._task.cancel()
        self._can_give_way = is_audit
        kind = "audit" if is_audit else "snapshot"
        self._task = asyncio.create_task(self._fetch(kind, not_before_ns), name=f"{self._instrument.symbol}:snapshot")
        self._task.add_done_callback(self._on_done)

    async def close(self) -> None:
        """End a fetch that is under way; idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash(f"{task.get_name()}: {type(error).__name__}: {error}")

    async def _fetch(self, kind: str, not_before_ns: int) -> None:
        await self._turns.take(kind, max(0.0, (not_before_ns - self._clock.now_ns()) / NS_PER_S))
        self._can_give_way = False
        event: EngineEvent
        try:
            event = await self._snapshots.depth(self._instrument)
        except TradingError as error:
            event = SnapshotFailed(self._instrument.symbol, str(error), self._clock.now_ns())
            await self._turns.tell(error)
        self._task = None  # the engine may ask for the next one in the very step that takes this one
        self._sink(event)
