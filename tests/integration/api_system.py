"""The API over real parts: store, journal, executor and supervisor are the product's own; venue and Ray are fakes.

May import the product and the fakes of the actors' unit tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from actors.supervisor import SupervisorActor
from actors.supervisor_steps import SupervisorSettings
from actors.supervisor_store import PostgresSupervisorStore
from actors.workflow import BackOff
from api.app import create_app
from api.auth import Tokens
from api.fleet_view import MAX_AGE_S
from api.ports import Dependencies, Identity
from tests.integration.calls_under_way import PATIENCE_S, Working
from tests.unit.actors.executor_fakes import BID, BTC, ETH, UNLIMITED, FakeSymbol, FakeVenue
from tests.unit.actors.fleet_fakes import FakeFactory
from trading.adapters.clock import ManualClock
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.reads import Reads
from trading.engine.ports import Submission
from trading.model.errors import ConfigError, NotRunning, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, Candle, MarketTrade, Side, Ticker24h
from trading.model.orders import OrderIntent, OrderType, Purpose
from trading.model.session import RunState
from trading.model.units import NS_PER_S

ACCOUNT, SESSION = "main", "s1"
CONTROL, READ = "control-token-0123456789", "read-token-0123456789abc"
# A manual clock near the database's own: leases expire by the latter.
START_NS = 1_790_000_000 * NS_PER_S


# Listed, and never traded: what somebody may start while others look.
SOL = dataclasses.replace(ETH, symbol="SOLUSDT", base="SOL")


class Catalog:
    """Knows the symbols of the fake venue, and one strategy with the float parameter `edge`."""

    def instrument(self, symbol: str) -> Instrument | None:
        return {"BTCUSDT": BTC, "ETHUSDT": ETH, "SOLUSDT": SOL}.get(symbol)

    def refresh_soon(self) -> None:
        return

    def clock(self) -> tuple[int, int] | None:
        return None

    async def await_list(self, timeout_s: float) -> None:
        return

    def check_symbol(self, symbol: str) -> None:
        if self.instrument(symbol) is None:
            raise ConfigError(f"the venue has no symbol {symbol}: see its exchangeInfo")

    def normal_params(self, strategy: str, params: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        if strategy != "capture":
            raise ConfigError(f"unknown strategy {strategy!r}")
        if unknown := [name for name, _ in params if name != "edge"]:
            raise ConfigError(f"unknown parameter {unknown[0]!r}")
        return tuple(sorted((name, str(float(text))) for name, text in params))


class BookStand:
    """Stands for a symbol's actor, as far as its book goes; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def book(self, depth: int) -> dict[str, Any]:
        self.asked += 1
        bids = [[f"{100 - step}.00", "1.0000"] for step in range(depth)]
        return {
            "symbol": "BTCUSDT", "state": "PROVEN", "version": 7, "bids": bids, "asks": [["101.00", "2.0000"]],
            "exch_ts_ns": 1, "recv_ts_ns": 2,
        }  # fmt: skip


class MarketStand:
    """Stands for the venue's public reads: three symbols, one of them closed, one wide and one tight."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_away = False

    def _hear(self, what: str) -> None:
        self.asked.append(what)
        if self.is_away:
            raise VenueUnavailable("the venue does not answer")

    async def exchange_info(self) -> Mapping[str, Instrument]:
        self._hear("exchangeInfo")
        listed = (replace(BTC, exclusion=None), replace(ETH, exclusion=None), replace(BTC, symbol="OLDUSDT"))
        return {item.symbol: item for item in (*listed[:2], replace(listed[2], exclusion="offline"))}

    async def tickers_24h(self) -> tuple[Ticker24h, ...]:
        self._hear("tickers")
        prices = {"BTCUSDT": ("100.00", "100.05"), "ETHUSDT": ("100.00", "100.40")}
        return tuple(
            Ticker24h(name, Decimal(100), Decimal(bid), Decimal(ask), Decimal(9), Decimal(2_000_000), Decimal(0))
            for name, (bid, ask) in prices.items()
        )

    async def depth(self, instrument: Instrument, limit: int) -> BookSnapshot:
        self._hear(f"depth {instrument.symbol}")
        ask = "100.05" if instrument.symbol == "BTCUSDT" else "100.40"
        bids, asks = ((instrument.price_ticks("100.00"), 5_000),), ((instrument.price_ticks(ask), 5_000),)
        return BookSnapshot(instrument.symbol, 7, bids, asks, 0, 0)

    async def trades(self, instrument: Instrument, limit: int) -> tuple[MarketTrade, ...]:
        self._hear(f"trades {instrument.symbol}")
        now_ns = time.time_ns()
        price = instrument.price_ticks("100.00")
        return tuple(
            MarketTrade(instrument.symbol, price, 10, Side.SELL, now_ns - (60 - second) * NS_PER_S, now_ns)
            for second in range(60)
        )

    async def candles(self, symbol: str, interval: str, limit: int, since_ns: int | None = None) -> tuple[Candle, ...]:
        self._hear(f"candles {symbol} {interval} {since_ns}")
        first = START_NS - 10 * 60 * NS_PER_S
        minutes = [first + minute * 60 * NS_PER_S for minute in range(11)]
        chosen = [at for at in minutes if at >= (since_ns or 0)]
        chosen = chosen[:limit] if since_ns is not None else chosen[-limit:]
        low, high = Decimal("99.5"), Decimal("100.5")
        return tuple(Candle(at, at + 60 * NS_PER_S, low, high, low, high, Decimal(3), Decimal(300)) for at in chosen)


@dataclass
class SwitchableExecutor:
    """The executor behind its door: `is_away` makes every call raise, as when its actor is dead."""

    actor: ExecutorActor
    is_away: bool = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            raise NotRunning("executor:main is not running")
        return getattr(self.actor, name)


@dataclass
class ApiSystem:
    """Everything the API stands on, and the hands to turn it."""

    clock: ManualClock
    reads: Reads
    fleet: FleetStore
    journal: PostgresJournal
    venue: FakeVenue
    executor: SwitchableExecutor
    factory: FakeFactory
    supervisor: SupervisorActor
    books: BookStand = field(default_factory=BookStand)
    market: MarketStand = field(default_factory=MarketStand)
    working: Working = field(default_factory=Working)
    epoch: int = 0

    def app(
        self, dashboard_url: str | None = None, symbols: tuple[str, ...] = (), read_age_s: float = MAX_AGE_S
    ) -> FastAPI:
        """Build the application."""
        deps = Dependencies(
            Identity(SESSION, "paper", "sim", symbols), self.reads, self.fleet, self.supervisor, self.executor,
            lambda symbol: self.books, self.clock.now_ns, self.market,
        )  # fmt: skip
        return create_app(deps, Tokens(CONTROL, READ), dashboard_url, read_age_s)

    async def spawn(self, client: httpx.AsyncClient, *symbols: str) -> None:
        """Start symbols through the API and let them trade."""
        answer = await client.post("/v1/symbols", json={"symbols": list(symbols)})
        assert answer.status_code == 202, answer.text
        await self.settle()
        for symbol in symbols:
            self.factory.actors[symbol].state = RunState.TRADING
        await self.settle()

    async def settle(self, rounds: int = 6) -> None:
        """Let time pass: heartbeats, reconcile, tasks."""
        for _ in range(rounds):
            self.clock.advance(NS_PER_S // 5)
            for symbol in tuple(self.factory.actors):
                await self.supervisor.heartbeat(self.factory.heartbeat(symbol))
            await self.supervisor.reconcile_once()
            await asyncio.sleep(0.02)
            await self.working.over()

    async def attach(self) -> None:
        """Let BTCUSDT trade with the executor."""
        attachment = await self.executor.attach_symbol("BTCUSDT", "run-1", 1, "test")
        self.epoch = attachment.owner_epoch
        await self.executor.mark("BTCUSDT", BID, self.clock.now_ns())

    async def order(self, number: int, side: Side = Side.BUY, lots: int = 1000, price: int = BID) -> str:
        """Send an order of 0.0001 BTC lots at ticks of 0.01 and wait until the venue has it; return its id."""
        now_ns = self.clock.now_ns()
        purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
        intent = OrderIntent(
            f"mx-1-{self.epoch}-{number}", "BTCUSDT", side, OrderType.LIMIT, price, lots, purpose, now_ns,
            now_ns + NS_PER_S, self.epoch, "capture", (("net_edge_bps", "3.5"), ("book_version", "7")),
        )  # fmt: skip
        await self.executor.submit(Submission("BTCUSDT", self.epoch, "run-1", (intent,), ()))
        async with asyncio.timeout(PATIENCE_S):
            while intent.client_order_id not in self.venue.book:  # noqa: ASYNC110 - the venue is a fake
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        return intent.client_order_id

    async def trade(self, client: httpx.AsyncClient) -> None:
        """One round trip at 100 and 101 of 0.1, fees 0.01 and 0.02; 0.05 bought again at 100, and held; one order open.

        BTCUSDT trades, and ETHUSDT runs beside it.
        """
        await self.spawn(client, "BTCUSDT", "ETHUSDT")
        await self.attach()
        await self.fill(await self.order(1), 1000, fee="0.01")
        await self.fill(await self.order(2, Side.SELL, 1000, 10_100), 1000, fee="0.02")
        await self.fill(await self.order(3, lots=500), 500)
        await self.order(4)

    async def fill(self, order_id: str, lots: int, fee: str = "0") -> None:
        """Execute some lots and wait until they are booked."""
        self.venue.fill(order_id, lots, fee=fee)
        async with asyncio.timeout(PATIENCE_S):
            while not any(fill["client_order_id"] == order_id for fill in await self._fills()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _fills(self) -> tuple[dict[str, Any], ...]:
        from api.ports import ListQuery

        return (await self.reads.fills(ListQuery())).items


@asynccontextmanager
async def api_system(database_url: str) -> AsyncIterator[ApiSystem]:
    """Build the system over a migrated database."""
    clock = ManualClock(START_NS)
    fleet = FleetStore.open(database_url, ACCOUNT, SESSION)
    await fleet.begin_session("paper", "sim", {"seed": "1"}, 1, clock.now_ns())
    journal = PostgresJournal(database_url, ACCOUNT, SESSION)
    await journal.open()
    await journal.register_instruments([BTC, ETH], clock.now_ns())
    venue, factory = FakeVenue(clock), FakeFactory(clock)
    symbols = {"BTCUSDT": FakeSymbol(), "ETHUSDT": FakeSymbol()}
    settings = ExecutorSettings(
        ACCOUNT, "test", is_paper=False, opening=(("USDT", Decimal(10_000)),), budget=UNLIMITED, lease_ttl_s=600.0
    )
    executor = ExecutorActor(
        settings, journal, venue, {"BTCUSDT": BTC, "ETHUSDT": ETH}, symbols.__getitem__, clock, _crashed
    )
    await executor.start(with_loops=False)
    await executor.core.reconciler.round()
    store = PostgresSupervisorStore(FleetStore.open(database_url, ACCOUNT, SESSION))
    working = Working()
    supervisor = SupervisorActor(
        working.through(store), factory, working.through(executor), Catalog(), clock,
        SupervisorSettings(
            session=SESSION, strategy="capture", reconcile_interval_s=0.001, start_timeout_s=30.0,
            call_timeout_s=30.0, drain_timeout_s=30.0, back_off=BackOff(1.0, 8.0), snapshot_rate=10_000.0,
        ),
    )  # fmt: skip
    reads = Reads.open(database_url, ACCOUNT)
    try:
        made = ApiSystem(clock, reads, fleet, journal, venue, SwitchableExecutor(executor), factory, supervisor)
        made.working = working
        yield made
    finally:
        await supervisor.close()
        with contextlib.suppress(NotRunning):
            await executor.close()
        for part in (reads, fleet, store, journal):
            await part.close()


def _crashed(reason: str) -> None:
    raise AssertionError(f"the executor crashed: {reason}")


@asynccontextmanager
async def client_of(app: FastAPI, token: str | None = CONTROL) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to the app in this process, without sockets."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        yield client


async def items_of(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """Read the items of a list; it must answer."""
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


class ApiServer:
    """The app on a port of its own, which it keeps when it is stopped and started again."""

    def __init__(self, app: FastAPI, graceful_s: int = 2) -> None:
        self._app = app
        self._graceful_s = graceful_s
        self._port = 0
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Serve."""
        sock = socket.create_server(("127.0.0.1", self._port))
        self._port = sock.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            lifespan="on",
            log_config=None,
            access_log=False,
            ws="websockets-sansio",
            timeout_graceful_shutdown=self._graceful_s,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._serve(self._server, sock))
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End, streams first; idempotent."""
        if self._server is None or self._task is None:
            return
        self._app.state.context.hub.close()
        self._server.should_exit = True
        await self._task
        self._server = self._task = None

    @staticmethod
    async def _serve(server: _Server, sock: socket.socket) -> None:
        with sock:
            await server.serve(sockets=[sock])


@asynccontextmanager
async def served(app: FastAPI, graceful_s: int = 2) -> AsyncIterator[str]:
    """Serve the app on a free port; yields its base URL. graceful_s: how long its end waits for open requests."""
    server = ApiServer(app, graceful_s)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()
