"""Snapshots at the node's pace: one at a time, audits last, and nothing on a turn that was granted before a block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.ip_turns import IpTurns
from actors.symbol_snapshots import SnapshotFetcher
from tests.unit.actors.executor_fakes import BTC, settle
from trading.adapters.clock import ManualClock
from trading.engine.messages import EngineEvent
from trading.model.errors import NotRunning, RateLimited, TradingError
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, SnapshotFailed
from trading.model.session import Heartbeat


class FakeSupervisor:
    """Leases without waiting, unless told to; remembers who asked for what."""

    def __init__(self) -> None:
        self.leases: list[str] = []
        self.blocks: list[float] = []
        self.wait_s = 0.0
        self.held: list[float] = []
        self.is_away = False

    async def heartbeat(self, beat: Heartbeat) -> None:
        """Not of interest here."""

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        if self.is_away:
            raise NotRunning("the supervisor is away")
        self.leases.append(kind)
        return self.wait_s

    async def ip_held(self, node: str) -> float:
        return self.held.pop(0) if self.held else 0.0

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        self.blocks.append(retry_after_s)


class FakeDepth:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: TradingError | None = None

    async def depth(self, instrument: Instrument) -> BookSnapshot:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return BookSnapshot(instrument.symbol, self.asked, (), (), 0, 0)


class Desk:
    """A fetcher in its small world."""

    def __init__(self, on_event: Callable[[EngineEvent], None] | None = None) -> None:
        self.supervisor = FakeSupervisor()
        self.depth = FakeDepth()
        self.events: list[EngineEvent] = []
        self.crashes: list[str] = []
        self.fetcher = SnapshotFetcher(
            BTC,
            self.depth,
            IpTurns("n1", self.supervisor),
            ManualClock(),
            on_event or self.events.append,
            self.crashes.append,
        )

    def versions(self) -> list[int]:
        return [event.version for event in self.events if isinstance(event, BookSnapshot)]


async def test_fetch_while_one_is_under_way_is_that_one() -> None:
    desk = Desk()
    for _ in range(3):
        desk.fetcher.fetch(0)
    await settle()
    assert (desk.supervisor.leases, desk.versions()) == (["snapshot"], [1])
    desk.fetcher.fetch(0)
    await settle()
    assert desk.versions() == [1, 2]


async def test_fetch_that_a_proof_waits_for_goes_before_an_audit_that_waits_for_its_turn() -> None:
    desk = Desk()
    desk.supervisor.wait_s = 3_600.0
    desk.fetcher.fetch(0, is_audit=True)
    await settle()
    assert (desk.supervisor.leases, desk.depth.asked) == (["audit"], 0)
    desk.fetcher.fetch(0, is_audit=True)
    desk.supervisor.wait_s = 0.0
    desk.fetcher.fetch(0)
    await settle()
    assert (desk.supervisor.leases, desk.versions()) == (["audit", "snapshot"], [1])
    assert not desk.crashes


async def test_fetch_while_an_audit_is_on_the_wire_takes_its_answer() -> None:
    desk = Desk()
    desk.depth.gate.clear()
    desk.fetcher.fetch(0, is_audit=True)
    await settle()
    desk.fetcher.fetch(0)
    desk.depth.gate.set()
    await settle()
    assert (desk.depth.asked, desk.versions()) == (1, [1])


async def test_fetch_that_the_venue_refuses_for_its_pace_blocks_the_node() -> None:
    desk = Desk()
    desk.depth.error = RateLimited("429", 7.0)
    desk.fetcher.fetch(0)
    await settle()
    assert desk.supervisor.blocks == [7.0]
    assert isinstance(desk.events[0], SnapshotFailed)


async def test_turn_that_was_granted_before_a_block_is_taken_anew() -> None:
    desk = Desk()
    desk.supervisor.wait_s, desk.supervisor.held = 0.000_001, [5.0, 5.0]
    desk.fetcher.fetch(0)
    for _ in range(20):
        await settle()
        await asyncio.sleep(0)
    assert desk.supervisor.leases == ["snapshot"] * 3
    assert desk.versions() == [1]


async def test_engine_that_asks_again_in_the_very_step_gets_another() -> None:
    events: list[EngineEvent] = []

    def sink(event: EngineEvent) -> None:
        events.append(event)
        if len(events) < 3:
            desk.fetcher.fetch(0)

    desk = Desk(sink)
    desk.fetcher.fetch(0)
    await settle()
    await settle()
    assert len(events) == 3
