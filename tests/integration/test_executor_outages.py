"""Postgres killed under load, and a venue that is away: no orders go out, cancels do, people hear, none is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from actors.executor import ExecutorActor
from tests.integration.test_executor_live import agree
from tests.live_account import SHORT_WINDOW, SYMBOL, LiveAccount, submit, until
from tests.mexc_account import QUICK
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.migrations import migrate
from trading.engine.ports import Submission
from trading.model.orders import CancelIntent, OrderIntent, OrderStatus, OrderType, Refusal

pytestmark = pytest.mark.timeout(400)


class Load:
    """Places orders without a pause, some that rest and some that trade, until it is told to stop."""

    def __init__(self, account: LiveAccount, executor: ExecutorActor) -> None:
        self._account = account
        self._executor = executor
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        bid, ask = self._account.best()
        while True:
            await self._account.mark(self._executor)
            resting = self._account.intent(OrderType.LIMIT, bid * 97 // 100, 6)
            taking = self._account.intent(OrderType.IOC, ask + ask // 100, 6)
            await submit(self._account, self._executor, resting, taking)
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


@asynccontextmanager
async def journaled(account: LiveAccount, folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Give the account a journal on a server of its own."""
    server = EmbeddedPostgres(folder)
    try:
        url = server.start()
        migrate(url)
        fleet = FleetStore.open(url, "main", "session-1")
        await fleet.begin_session("live", "sim", {}, 1, 1)
        await fleet.close()
        journal = PostgresJournal(url, "main", "session-1")
        account.journal = journal
        try:
            yield server
        finally:
            await journal.close()
    finally:
        server.stop()
        shutil.rmtree(folder)


def open_ids(account: LiveAccount) -> set[str]:
    return {row["clientOrderId"] for row in account.truth()["orders"] if row["status"] in ("NEW", "PARTIALLY_FILLED")}


async def test_postgres_killed_under_load_stops_orders_not_cancels_and_loses_nothing() -> None:
    settings = replace(SHORT_WINDOW, limits=(("max_entries_per_minute", "100000"),))
    with running_simulator("--limits", "off", "--symbols", SYMBOL, "--seed", "7") as simulator:
        account = LiveAccount(simulator, settings)
        async with (
            journaled(account, Path(tempfile.mkdtemp(prefix="mx"))) as server,
            account.executor("one") as executor,
        ):
            state = executor.core.state
            load = Load(account, executor)
            await until(lambda: state.counters["fills"] >= 10)
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: state.is_journal_down and not state.sending)
            placed, held = state.counters["placed"], len(account.truth()["orders"])
            chosen = next(item.record for item in state.orders.live() if item.record.status is OrderStatus.OPEN)
            cancel = CancelIntent(chosen.client_order_id, SYMBOL, account.clock.now_ns(), "test")
            await executor.submit(Submission(SYMBOL, account.epoch, "run-1", (), (cancel,)))
            await until_venue(account, lambda ids: chosen.client_order_id not in ids)
            # What rests is called back, since nobody could follow its fills.
            await until_venue(account, lambda ids: not ids)
            assert (state.counters["placed"], len(account.truth()["orders"])) == (placed, held)
            assert not await executor.is_ready()
            assert state.counters["alert:journal_down"] == 1
            server.start()
            await until(lambda: not state.is_journal_down)
            await until(lambda: state.counters["placed"] > placed)
            await load.stop()
            await agree(account, executor)
            await until(lambda: state.counters["alert:journal_back"] == 1)
            report = await executor.halt("account", None, False, "test")
            assert report.confirmed
            await agree(account, executor)
    assert account.crashes == []


async def test_venue_that_is_away_stops_orders_and_is_traded_on_again_by_itself() -> None:
    with running_simulator("--limits", "off", "--symbols", SYMBOL, "--seed", "7") as simulator:
        account = LiveAccount(simulator, replace(SHORT_WINDOW, limits=(("mark_max_age_s", "600"),)))
        account.rest = QUICK
        async with account.executor("one") as executor:
            state, bid = executor.core.state, account.best()[0] * 97 // 100
            resting = await open_order(account, executor, bid)
            # A busy machine may have kept the venue away for a moment before.
            await until(lambda: not state.is_venue_down)
            before = {name: state.counters[f"alert:venue_{name}"] for name in ("down", "back")}
            with frozen(simulator):
                await submit(account, executor, account.intent(OrderType.LIMIT, bid))  # UNKNOWN: who could say?
                await until(lambda: state.is_venue_down, 40)
                await until(lambda: state.counters["alert:venue_down"] > before["down"])
                assert not await executor.is_ready()
                placed = state.counters["placed"]
                await submit(account, executor, *(account.intent(OrderType.LIMIT, bid) for _ in range(3)))
                assert state.counters["placed"] == placed
                assert state.counters[f"denied:{Refusal.NOT_READY}"] == 3
                cancel = CancelIntent(resting.client_order_id, SYMBOL, account.clock.now_ns(), "test")
                await executor.submit(Submission(SYMBOL, account.epoch, "run-1", (), (cancel,)))
            await until(lambda: not state.is_venue_down)
            await until(lambda: not state.orders.is_live(resting.client_order_id))
            await until(lambda: state.counters["alert:venue_back"] > before["back"])
            await open_order(account, executor, bid)
            await agree(account, executor)
            assert (await executor.halt("account", None, False, "test")).confirmed
    assert account.crashes == []


async def until_venue(account: LiveAccount, is_so: Callable[[set[str]], bool]) -> None:
    """Look at the venue itself, seldom and beside the loop: its whole state is a large answer."""
    async with asyncio.timeout(60):
        while True:
            if is_so(await asyncio.to_thread(open_ids, account)):
                return
            await asyncio.sleep(0.3)


async def open_order(account: LiveAccount, executor: ExecutorActor, price_ticks: int) -> OrderIntent:
    """Place until an order rests: on a busy machine the simulator may be slow enough to count as away."""
    orders = executor.core.state.orders
    async with asyncio.timeout(60):
        while True:
            intent = account.intent(OrderType.LIMIT, price_ticks)
            await submit(account, executor, intent)
            await asyncio.sleep(0.2)
            tracker = orders.get(intent.client_order_id)
            if tracker is not None and tracker.record.status is OrderStatus.OPEN:
                return intent


@contextmanager
def frozen(simulator: SimulatorProcess) -> Iterator[None]:
    """Let nobody answer: connections stand, and stay silent."""
    os.kill(simulator.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(simulator.process.pid, signal.SIGCONT)
