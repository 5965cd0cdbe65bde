"""The executor on the real journal: group commit, a restart in mid-flight, and two executors on one account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, BTC, ETH, UNLIMITED, FakeSymbol, FakeVenue
from trading.adapters.clock import SystemClock
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.journal import PostgresJournal
from trading.engine.ports import Submission
from trading.engine.reconcile import Patience
from trading.model.errors import NotRunning
from trading.model.market import Side
from trading.model.orders import OrderIntent, OrderStatus, OrderType, Purpose
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

SETTINGS = ExecutorSettings(
    "main",
    "one",
    is_paper=False,
    budget=UNLIMITED,
    limits=(("max_open_orders", "1000"), ("max_entries_per_minute", "100000")),
    patience=Patience(clock_bound_ms=0, query_lag_ms=100),
    allocation_quote=Decimal(100_000),
    recv_window_ms=500,
    # No shorter: on a busy machine it would lapse under a healthy executor.
    lease_ttl_s=3.0,
    resolve_interval_s=0.05,
    halt_timeout_s=30.0,
    equity_interval_s=0.2,
)


class World:
    """One venue and one database, over which executors come and go."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        self.clock = SystemClock()
        self.venue = FakeVenue(self.clock)
        self.symbols = {"BTCUSDT": FakeSymbol(), "ETHUSDT": FakeSymbol()}
        self.crashes: list[str] = []
        self.number = 0

    @asynccontextmanager
    async def executor(self, owner: str) -> AsyncIterator[ExecutorActor]:
        journal = PostgresJournal(self.url, "main", "session-1")
        await journal.open()
        made = ExecutorActor(
            replace(SETTINGS, owner=owner),
            journal,
            self.venue,
            {"BTCUSDT": BTC, "ETHUSDT": ETH},
            self.symbols.__getitem__,
            self.clock,
            self.crashes.append,
        )
        try:
            yield made
        finally:
            await journal.close()

    def intents(self, count: int, epoch: int) -> tuple[OrderIntent, ...]:
        now_ns = self.clock.now_ns()
        made = []
        for _ in range(count):
            self.number += 1
            made.append(
                OrderIntent(
                    f"mx-1-{epoch}-{self.number}",
                    "BTCUSDT",
                    Side.BUY,
                    OrderType.LIMIT,
                    BID,
                    100,
                    Purpose.ENTRY,
                    now_ns,
                    now_ns + 2 * NS_PER_S,
                    epoch,
                    "s",
                )
            )
        return tuple(made)

    async def attach(self, executor: ExecutorActor) -> int:
        attachment = await executor.attach_symbol("BTCUSDT", "run-1", 1, "test")
        await executor.mark("BTCUSDT", BID, 0)
        return attachment.owner_epoch


async def kill(executor: ExecutorActor) -> None:
    """End every task at once, as a kill would; nothing is written, released or told any more."""
    tasks = tuple(executor.core._tasks) + tuple(executor.core.deliveries._busy.values())
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def until(is_done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    fleet = FleetStore.open(database_url, "main", "session-1")
    await fleet.begin_session("live", "sim", {}, 1, 1)
    await fleet.close()
    made = World(database_url)
    yield made
    assert made.crashes == []


async def test_batch_is_durable_sent_once_and_booked(world: World) -> None:
    async with world.executor("one") as executor:
        await executor.start()
        await until(lambda: executor.core.state.is_reconciled)
        epoch = await world.attach(executor)
        receipts = await asyncio.gather(
            *(executor.submit(Submission("BTCUSDT", epoch, "run-1", world.intents(10, epoch), ())) for _ in range(10))
        )
        names = [name for receipt in receipts for name in receipt.durable]
        assert len(names) == 100
        await until(lambda: len(world.symbols["BTCUSDT"].deliveries) == 100)
        for name in names[:20]:
            world.venue.fill(name, 100, fee="0.0005")
        await until(lambda: len(world.symbols["BTCUSDT"].deliveries) == 120)
        assert [item.seq for item in world.symbols["BTCUSDT"].deliveries] == list(range(1, 121))
        loaded = await executor.core.journal.load("main")
        assert len(loaded.unfinished) == 80
        assert [(item.qty, item.cost, item.fees) for item in loaded.positions] == [
            (Decimal("0.2"), Decimal(20), Decimal("0.01"))
        ]
        report = await executor.halt("account", None, False, "test")
        assert (report.state, report.confirmed, report.open_orders) == (HaltState.HALTED, True, 0)
        await executor.close()


async def test_restart_in_mid_flight_loses_and_repeats_nothing(world: World) -> None:
    async with world.executor("one") as first:
        await first.start()
        await until(lambda: first.core.state.is_reconciled)
        epoch = await world.attach(first)
        done = await first.submit(Submission("BTCUSDT", epoch, "run-1", world.intents(5, epoch), ()))
        await until(lambda: len(world.symbols["BTCUSDT"].deliveries) == 5)
        world.venue.gate = asyncio.Event()  # accepted, and no answer will ever come
        hanging = await first.submit(Submission("BTCUSDT", epoch, "run-1", world.intents(5, epoch), ()))
        await until(lambda: len(world.venue.placed) == 10)
        world.venue.answer = "vanish"
        lost = await first.submit(Submission("BTCUSDT", epoch, "run-1", world.intents(5, epoch), ()))
        await until(lambda: len(world.venue.placed) == 15)
        await kill(first)
    world.venue.gate, world.venue.answer = None, "accept"
    for name in (done.durable[0], hanging.durable[0]):
        world.venue.fill(name, 100, pushes=False)
    async with world.executor("two") as second:
        await second.start()
        await until(lambda: not second.core.state.orders.live() or not tuple(second.core.state.orders.unknown()))
        await until(lambda: second.core.account.position("BTCUSDT").qty == Decimal("0.02"))
        await until(lambda: len(second.core.state.orders.live()) == 8)
        await second.core.outcomes.flush()
        rows = await second.core.journal.orders_by_id([*done.durable, *hanging.durable, *lost.durable])
        statuses = {row.client_order_id: row.status for row in rows}
        assert statuses[done.durable[0]] is OrderStatus.FILLED
        assert statuses[hanging.durable[0]] is OrderStatus.FILLED
        assert {statuses[name] for name in (*done.durable[1:], *hanging.durable[1:])} == {OrderStatus.OPEN}
        assert {statuses[name] for name in lost.durable} == {OrderStatus.NOT_SENT}
        assert len(world.venue.placed) == len({order.client_order_id for order in world.venue.placed}) == 15
        events = await second.read_events("BTCUSDT", 0)
        assert [item.seq for item in events] == list(range(1, len(events) + 1))
        epoch = await world.attach(second)
        more = await second.submit(Submission("BTCUSDT", epoch, "run-1", world.intents(1, epoch), ()))
        assert len(more.durable) == 1
        await second.close()


async def test_second_executor_of_an_account_does_not_start_while_the_first_lives(world: World) -> None:
    async with world.executor("one") as first, world.executor("two") as second:
        await first.start()
        with pytest.raises(NotRunning, match="another executor"):
            await second.start()
        assert first.core.keeper.is_valid()
        await first.close()
        await second.start()
        assert second.core.keeper.epoch > 1
        await second.close()
