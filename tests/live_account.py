"""One live account at a simulator process, over which executors come and go. May import the executor and adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import psycopg

from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from tests.embedded_database import plain_url
from tests.mexc_account import PATIENT
from tests.simulator_process import SimulatorProcess
from tests.unit.actors.executor_fakes import UNLIMITED, FakeSymbol
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.rest_codec import instruments_of
from trading.adapters.mexc.signing import signed_query
from trading.adapters.mexc.user_stream import UserStreamSettings
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.memory_journal import MemoryJournal
from trading.engine.ports import Submission
from trading.engine.reconcile import Patience
from trading.model.market import Side
from trading.model.orders import OrderIntent, OrderType, Purpose
from trading.model.units import NS_PER_S

SYMBOL = "BTCUSDT"
SETTINGS = ExecutorSettings(
    "main",
    "one",
    is_paper=False,
    budget=UNLIMITED,
    patience=Patience(clock_bound_ms=200, query_lag_ms=500),
    allocation_quote=Decimal(100_000),
    recv_window_ms=30_000,
    lease_ttl_s=6.0,
    resolve_interval_s=0.05,
    reconcile_interval_s=1.0,
    halt_timeout_s=20.0,
)
# Where outcomes become unknown, and nobody wants to wait for long until the venue can have them no more.
SHORT_WINDOW = replace(SETTINGS, recv_window_ms=500)
# Where a successor waits for the lease. No shorter: on a busy machine it would lapse under a healthy executor.
HANDED_OVER = replace(SHORT_WINDOW, lease_ttl_s=2.0)


class LiveAccount:
    """One account at a simulator, over which executors come and go."""

    def __init__(self, simulator: SimulatorProcess, settings: ExecutorSettings) -> None:
        self.simulator = simulator
        self.settings = settings
        self.clock = SystemClock()
        self.journal: MemoryJournal | PostgresJournal = MemoryJournal("main", self.clock.now_ns)
        self.instruments = instruments_of(simulator.get("/api/v3/exchangeInfo"))
        self.instrument = self.instruments[SYMBOL]
        self.symbol = FakeSymbol()
        self.crashes: list[str] = []
        self.rest = PATIENT
        self.number = 0
        self.epoch = 0
        self.epochs: list[int] = []

    def gateway(self) -> MexcGateway:
        """Make a gateway to the account."""
        stream = UserStreamSettings(backoff_min_s=0.05)
        return MexcGateway(
            MexcGatewaySettings(self.simulator.rest, self.simulator.ws, "sim", self.rest, stream),
            Credentials(self.simulator.api_key, self.simulator.secret),
            self.instruments,
            self.clock,
        )

    @asynccontextmanager
    async def executor(self, owner: str) -> AsyncIterator[ExecutorActor]:
        """Start an executor; when the block ends it is killed, not closed."""
        gateway = self.gateway()
        made = ExecutorActor(
            replace(self.settings, owner=owner),
            self.journal,
            gateway,
            self.instruments,
            lambda _: self.symbol,
            self.clock,
            self.crashes.append,
        )
        await made.start()
        try:
            await until(lambda: made.core.state.is_reconciled)
            attachment = await made.attach_symbol(SYMBOL, "run-1", 1, "test")
            self.epoch = attachment.owner_epoch
            self.epochs.append(self.epoch)
            await self.mark(made)
            yield made
        finally:
            tasks = tuple(made.core._tasks) + tuple(made.core.deliveries._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await gateway.close()

    def best(self) -> tuple[int, int]:
        bid, ask = self.simulator.best(SYMBOL)
        return self.instrument.price_ticks(bid), self.instrument.price_ticks(ask)

    async def mark(self, executor: ExecutorActor) -> None:
        await executor.mark(SYMBOL, self.best()[0], 0)

    def intent(self, kind: OrderType, price_ticks: int, quote: int = 20) -> OrderIntent:
        self.number += 1
        now_ns = self.clock.now_ns()
        return OrderIntent(
            f"mx-1-{self.epoch}-{self.number}",
            SYMBOL,
            Side.BUY,
            kind,
            price_ticks,
            self.instrument.qty_lots_ceil(Decimal(quote) / self.instrument.price(price_ticks)),
            Purpose.ENTRY,
            now_ns,
            now_ns + 5 * NS_PER_S,
            self.epoch,
            "s",
        )

    async def by_hand(self, side: str, quantity: str) -> None:
        """Trade on the account as a person would: at the market, under no id of ours."""
        now_ms = str(self.simulator.state()["now_ms"])
        params = [("symbol", SYMBOL), ("side", side), ("type", "MARKET"), ("quantity", quantity)]
        query = signed_query(self.simulator.secret, [*params, ("timestamp", now_ms), ("recvWindow", "50000")])
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            headers = {"X-MEXC-APIKEY": self.simulator.api_key}
            answer = await client.post(f"{self.simulator.rest}/api/v3/order?{query}", headers=headers)
        assert answer.status_code == 200, answer.text

    def truth(self) -> Any:
        return self.simulator.state()["accounts"][self.simulator.api_key]


@asynccontextmanager
async def stored_journal(database_url: str) -> AsyncIterator[PostgresJournal]:
    """Give a live session's journal in an empty database of the embedded server."""
    with psycopg.connect(plain_url(database_url)) as link:
        link.execute(
            "INSERT INTO sessions (session_id, account, mode, venue, settings, pid, started_ns) "
            "VALUES ('s1', 'main', 'live', 'sim', '{}', 1, 1)"
        )
    made = PostgresJournal(database_url, "main", "s1")
    yield made
    await made.close()


async def until(is_done: Callable[[], bool], timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_done():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def submit(account: LiveAccount, executor: ExecutorActor, *intents: OrderIntent) -> None:
    await executor.submit(Submission(SYMBOL, account.epoch, "run-1", intents, ()))
