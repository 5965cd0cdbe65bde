"""The symbol actor's shell: whose paper orders it takes, what ends it, and who may be away without harm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from actors.recipes import SymbolSpec
from actors.symbol import SymbolActor
from actors.symbol_ports import FeedStats, MarkAnswer, SymbolAttachment, SymbolSettings
from tests.unit.actors.executor_fakes import BID, BTC, settle
from trading.adapters.clock import ManualClock
from trading.engine.bootstrap import SymbolBootstrap
from trading.engine.messages import EngineEvent, OrdersReopened
from trading.engine.ports import OrderRecord, Submission
from trading.model.errors import InvariantViolated, NotRunning, TradingError
from trading.model.market import MarketEvent, Side
from trading.model.orders import (
    Delivery,
    OrderAccepted,
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceRejected,
    Purpose,
    VenueEvent,
)
from trading.model.position import Position
from trading.model.session import HaltState, Heartbeat, RunState

EPOCH = 7


def a_record(name: str, epoch: int) -> OrderRecord:
    return OrderRecord(
        name, "BTCUSDT", "run-1", epoch, 1, Side.BUY, OrderType.LIMIT, BID, 1000, Purpose.ENTRY, "spread_capture",
        OrderStatus.SENT, 1, 2, 0, 2000,
    )  # fmt: skip


class FakeExecutor:
    """Attaches at once, with the open orders it is given."""

    def __init__(self, open_orders: tuple[OrderRecord, ...] = ()) -> None:
        self.open_orders = open_orders
        self.marks = 0
        self.halt = HaltState.ACTIVE
        self.is_ready = True
        self.mark_errors: list[TradingError] = []
        self.is_away = False
        self.forgiven: list[str] = []

    async def attach_symbol(self, symbol: str, run_id: str, run_number: int, owner: str) -> SymbolAttachment:
        bootstrap = SymbolBootstrap(Position("BTCUSDT"), self.open_orders, 0, HaltState.ACTIVE)
        return SymbolAttachment(EPOCH, bootstrap, BTC, Decimal(200))

    async def submit(self, submission: Submission) -> None:
        """Take it."""

    async def paper_reports(self, symbol: str, owner_epoch: int, events: tuple[VenueEvent, ...]) -> int:
        return len(events)

    async def mark(self, symbol: str, bid_ticks: int, at_ns: int) -> MarkAnswer:
        self.marks += 1
        if self.mark_errors:
            raise self.mark_errors.pop(0)
        return MarkAnswer(0, self.halt, self.is_ready)

    async def forgive_losses(self, symbol: str, at_ns: int) -> None:
        if self.is_away:
            raise NotRunning("the executor is away")
        self.forgiven.append(symbol)


class HungSupervisor:
    """Never answers."""

    async def heartbeat(self, beat: Heartbeat) -> None:
        await asyncio.Event().wait()


class SilentFeed:
    """A connection on which nothing comes."""

    def __init__(self) -> None:
        self.reconnects: list[str] = []

    async def run(self, sink: Callable[[MarketEvent], None]) -> None:
        await asyncio.Event().wait()

    def reconnect(self, reason: str) -> None:
        self.reconnects.append(reason)

    def stats(self) -> FeedStats:
        return FeedStats(0, 0, 0, 0, 0)


class SilentSnapshots:
    """Fetches nothing."""

    def fetch(self, not_before_ns: int) -> None:
        """Take the wish."""


class Shell:
    """A started symbol actor in paper mode."""

    def __init__(self, executor: FakeExecutor) -> None:
        self.crashes: list[str] = []
        self.executor = executor
        make: Any = SymbolActor
        self.actor: SymbolActor = make(
            SymbolSpec("BTCUSDT", "run-1", 1, "spread_capture", (), False),
            SymbolSettings(is_paper=True, node="n", seed=1),
            executor,
            HungSupervisor(),
            lambda attachment: SilentFeed(),
            lambda attachment, sink: SilentSnapshots(),
            ManualClock(),
            self.crashes.append,
        )

    async def __aenter__(self) -> Shell:
        await self.actor.start()
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = tuple(self.actor._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def test_paper_place_order_of_a_former_owner_is_refused() -> None:
    async with Shell(FakeExecutor()) as shell:
        late, own = await shell.actor.paper_place((a_record("mx-1-6-1", EPOCH - 1), a_record("mx-1-7-1", EPOCH)))
        assert isinstance(late, PlaceRejected)
        assert isinstance(own, PlaceAccepted)
        assert [order.client_order_id for order in await shell.actor.paper_orders()] == ["mx-1-7-1"]


async def test_paper_place_order_that_was_taken_over_is_accepted_once_more() -> None:
    former = a_record("mx-1-6-1", EPOCH - 1)
    async with Shell(FakeExecutor((former,))) as shell:
        (answer,) = await shell.actor.paper_place((former,))
        assert isinstance(answer, PlaceAccepted)
        assert len(await shell.actor.paper_orders()) == 1


async def test_step_that_fails_ends_the_actor_whoever_called() -> None:
    async with Shell(FakeExecutor()) as shell:
        actor: Any = shell.actor

        def fail(event: object, now_ns: int) -> None:
            raise InvariantViolated("expected something else")

        actor._engine.step = fail
        with pytest.raises(InvariantViolated):
            await actor.deliver((Delivery(1, OrderAccepted("BTCUSDT", "mx-1-7-1", "v", 1)),))
        assert len(shell.crashes) == 1


async def test_marks_go_on_while_the_supervisor_hangs() -> None:
    async with Shell(FakeExecutor()) as shell:
        assert shell.executor.marks == 1


@pytest.mark.parametrize("halt", [HaltState.HALTED, HaltState.REDUCING])
async def test_halted_symbol_proposes_no_entries_until_the_halt_is_lifted(halt: HaltState) -> None:
    async with Shell(FakeExecutor()) as shell:
        actor: Any = shell.actor
        assert actor._engine.view().is_enabled
        shell.executor.halt = halt
        await actor._link.mark()
        assert not actor._engine.view().is_enabled
        await actor.resume()  # of a pause, not of the halt
        assert not actor._engine.view().is_enabled
        assert (await actor.view()).state is RunState.SYNCING  # a halt is no pause of the run
        shell.executor.halt = HaltState.ACTIVE
        await actor._link.mark()
        assert actor._engine.view().is_enabled


async def test_resume_tells_the_executor_that_losses_are_forgiven_again_until_it_has_heard() -> None:
    async with Shell(FakeExecutor()) as shell:
        actor: Any = shell.actor
        await actor._link.mark()
        assert shell.executor.forgiven == []  # nobody forgave anything: a start does not
        await actor.pause("by hand")
        shell.executor.is_away = True
        await actor.resume()
        await settle()
        assert shell.executor.forgiven == []
        shell.executor.is_away = False
        await actor._link.mark()
        await actor._link.mark()
        assert shell.executor.forgiven == ["BTCUSDT"]


async def test_forgiveness_that_nobody_heard_outlasts_a_halt() -> None:
    async with Shell(FakeExecutor()) as shell:
        actor: Any = shell.actor
        await actor.pause("by hand")
        shell.executor.is_away = True
        await actor.resume()
        shell.executor.halt = HaltState.HALTED
        await actor._link.mark()
        shell.executor.is_away = False
        await actor._link.mark()
        assert shell.executor.forgiven == ["BTCUSDT"]


async def test_pause_outlasts_a_halt() -> None:
    async with Shell(FakeExecutor()) as shell:
        actor: Any = shell.actor
        await actor.pause("by hand")
        for halt in (HaltState.HALTED, HaltState.ACTIVE):
            shell.executor.halt = halt
            await actor._link.mark()
            assert not actor._engine.view().is_enabled
        assert (await actor.view()).state is RunState.PAUSED


async def test_executor_that_takes_orders_again_is_told_to_the_engine_once() -> None:
    async with Shell(FakeExecutor()) as shell:
        actor: Any = shell.actor
        told: list[EngineEvent] = []
        step = actor._engine.step

        def listen(event: EngineEvent, now_ns: int) -> Any:
            told.append(event)
            return step(event, now_ns)

        actor._engine.step = listen
        await actor._link.mark()
        assert told == []  # it was never away
        shell.executor.mark_errors = [NotRunning("gone"), NotRunning("starting")]
        shell.executor.is_ready = False
        for _ in range(3):
            await actor._link.mark()
        assert told == []  # it answers, but takes no orders before it has compared the account
        shell.executor.is_ready = True
        await actor._link.mark()
        await actor._link.mark()
        assert [type(event) for event in told] == [OrdersReopened]
