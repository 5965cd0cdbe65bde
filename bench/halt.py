"""A halt of 100 symbols with 300 open orders, at the venue's effective rate limits: until it is CONFIRMED.

Real executor, journal on the embedded Postgres, signed REST and private stream, a simulator process that counts as MEXC
is said to (12 order operations and 20 requests a second). Once by whole symbols; once one by one, since a foreign order
stands in each symbol. Afterwards the venue itself is asked: nothing of ours open, foreign orders untouched, no 429.
May import the actors, the adapters and httpx.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from bench.exchange_process import running_exchange
from bench.figures import Benchmark, CannotRunError, Effort, Figure, percentile
from bench.system import temporary_folder
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.rest_codec import instruments_of
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.migrations import migrate
from trading.engine.ports import OrderRecord, Submission
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Delivery, OrderIntent, OrderStatus, OrderType, PlaceAccepted, Purpose
from trading.model.units import NS_PER_S

SYMBOLS, ORDERS_EACH = 100, 3
ACCOUNT, SESSION = "main", "halt"
BULK_TARGET_S, SINGLE_TARGET_S = 6.0, 35.0
MANY = "1000000000"
# A lively market may trade against a few of them before the halt.
OPEN_SHARE_MIN = 0.95


@dataclass(frozen=True, slots=True)
class Venue:
    """A running simulator."""

    rest: str
    ws: str
    key: str
    secret: str

    def get(self, path: str) -> Any:
        """Read an unsigned route."""
        answer = httpx.get(self.rest + path, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def open_orders(self) -> list[str]:
        """Return the client ids of what is open, as the venue itself knows it."""
        orders = self.get("/sim/state")["accounts"][self.key]["orders"]
        return [row["clientOrderId"] for row in orders if row["status"] in ("NEW", "PARTIALLY_FILLED")]


@contextmanager
def venue(*flags: str) -> Iterator[Venue]:
    """Run a simulator of our own on a free port."""
    with running_exchange(*flags) as (_, ready):
        yield Venue(ready["rest"], ready["ws"], ready["api_key"], ready["secret"])


class _Deaf:
    """A symbol that nobody has to tell anything."""

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        """Take it."""


class _Desk:
    """An executor on a venue, with the symbols attached, and orders to place."""

    def __init__(self, executor: ExecutorActor, gateway: MexcGateway, instruments: dict[str, Instrument]) -> None:
        self.executor = executor
        self._gateway = gateway
        self._instruments = instruments
        self._bids: dict[str, int] = {}
        self._epochs: dict[str, int] = {}
        self._number = 0

    async def attach(self, at: Venue) -> None:
        """Own every symbol, and mark it at its bid."""
        tickers = {row["symbol"]: row["bidPrice"] for row in at.get("/api/v3/ticker/bookTicker")}
        for symbol, instrument in self._instruments.items():
            attached = await self.executor.attach_symbol(symbol, "run", 1, "bench")
            self._epochs[symbol] = attached.owner_epoch
            self._bids[symbol] = instrument.price_ticks(tickers[symbol])

    async def place(self, each: int) -> list[str]:
        """Place resting buys in every symbol; return their ids when all are acknowledged."""
        names = []
        for _ in range(each):
            for symbol, bid in self._bids.items():
                await self.executor.mark(symbol, bid, 0)
                intent = self._intent(symbol, bid)
                names.append(intent.client_order_id)
                await self.executor.submit(Submission(symbol, self._epochs[symbol], "run", (intent,), ()))
        orders = self.executor.core.state.orders
        async with asyncio.timeout(180):
            while any(item.record.status is not OrderStatus.OPEN for item in orders.live()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return names

    async def place_foreign(self) -> list[str]:
        """Place an order in every symbol that is not ours by its name, past the executor."""
        names = []
        for number, (symbol, bid) in enumerate(self._bids.items()):
            intent = self._intent(symbol, bid)
            record = OrderRecord(
                **{name: getattr(intent, name) for name in intent.__slots__ if name != "decision"},
                run_id="",
                executor_epoch=0,
                status=OrderStatus.SENT,
                signed_ms=self._gateway.now_ms(),
                recv_window_ms=2_000,
            )
            answer = await self._gateway.place(replace(record, client_order_id=f"by-hand-{number}"))
            if not isinstance(answer, PlaceAccepted):
                raise CannotRunError(f"a foreign order was not taken: {answer}")
            names.append(answer.client_order_id)
            await asyncio.sleep(0.1)
        return names

    def _intent(self, symbol: str, bid: int) -> OrderIntent:
        self._number += 1
        now_ns, instrument, price = time.time_ns(), self._instruments[symbol], bid * 96 // 100
        lots = max(instrument.min_lots(price), instrument.qty_lots_ceil(Decimal(6) / instrument.price(price)))
        return OrderIntent(
            client_order_id=f"mx-{os.getpid()}-{self._epochs[symbol]}-{self._number}",
            symbol=symbol,
            side=Side.BUY,
            type=OrderType.LIMIT,
            price_ticks=price,
            qty_lots=lots,
            purpose=Purpose.ENTRY,
            created_ns=now_ns,
            valid_until_ns=now_ns + 60 * NS_PER_S,
            owner_epoch=self._epochs[symbol],
            strategy="bench",
        )


@asynccontextmanager
async def _desk(folder: Path, at: Venue) -> AsyncIterator[_Desk]:
    server = EmbeddedPostgres(folder / "postgres")
    try:
        url = server.start()
        migrate(url)
        store = FleetStore.open(url, ACCOUNT, SESSION)
        await store.begin_session("live", "sim", {}, os.getpid(), time.time_ns())
        await store.close()
        clock, instruments = SystemClock(), instruments_of(at.get("/api/v3/exchangeInfo"))
        journal = PostgresJournal(url, ACCOUNT, SESSION)
        await journal.open()
        gateway = MexcGateway(
            MexcGatewaySettings(at.rest, at.ws, "sim"), Credentials(at.key, at.secret), instruments, clock
        )
        limits = tuple((name, MANY) for name in ("max_gross_exposure", "max_symbol_exposure", "max_order_notional"))
        more = (("max_open_orders", "1000"), ("max_entries_per_minute", "100000"), ("mark_max_age_s", "600"))
        settings = ExecutorSettings(ACCOUNT, f"bench:{os.getpid()}", is_paper=False, limits=(*limits, *more))
        executor = ExecutorActor(settings, journal, gateway, instruments, lambda _: _Deaf(), clock, _fail)
        await executor.start()
        try:
            async with asyncio.timeout(30):
                while not executor.core.state.is_reconciled:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            desk = _Desk(executor, gateway, instruments)
            await desk.attach(at)
            yield desk
        finally:
            await executor.close()
            await journal.close()
    finally:
        server.stop()


def _fail(reason: str) -> None:
    raise CannotRunError(f"the executor crashed: {reason}")


async def _rounds(folder: Path, at: Venue, rounds: int, foreign: bool) -> tuple[list[float], int]:
    """Place, halt, look, resume; return the seconds of each halt, and the orders it ended."""
    times, ended = [], 0
    async with _desk(folder, at) as desk:
        kept = await desk.place_foreign() if foreign else []
        for _ in range(rounds):
            placed = set(await desk.place(ORDERS_EACH))
            ended = len(placed & set(at.open_orders()))
            if ended < len(placed) * OPEN_SHARE_MIN:
                raise CannotRunError(f"{ended} orders of {len(placed)} are open")
            began = time.perf_counter()
            report = await desk.executor.halt("account", None, False, "bench")
            times.append(time.perf_counter() - began)
            if not report.confirmed or sorted(at.open_orders()) != sorted(kept):
                raise CannotRunError(f"not confirmed, or not true: {report}, {len(at.open_orders())} are open")
            await desk.executor.resume("account", None)
            await asyncio.sleep(2)
    return times, ended


def _measure(effort: Effort, foreign: bool, rounds: int) -> Iterator[Figure]:
    count = effort.choose(SYMBOLS, 10)
    with temporary_folder() as folder, venue("--limits", "effective", "--count", str(count)) as at:
        times, ended = asyncio.run(_rounds(folder, at, rounds, foreign))
        refused = int(at.get("/sim/state")["rate_limited"])
    name = "single" if foreign else "bulk"
    target = SINGLE_TARGET_S if foreign else BULK_TARGET_S
    note = f"{len(times)} halts of {ended} orders in {count} symbols, effective limits, venue asked afterwards"
    yield Figure(f"{name}_verified_p50", "s", percentile(times, 50), target, note)
    yield Figure(f"{name}_verified_p99", "s", percentile(times, 99), target, note)
    text = "429 answers; each would slow the rest by a quarter"
    yield Figure(f"{name}_rate_limited", "requests", refused, 0, text)


def measure_bulk(effort: Effort) -> Iterator[Figure]:
    """Everything that is open is ours."""
    yield from _measure(effort, foreign=False, rounds=effort.choose(5, 2))


def measure_single(effort: Effort) -> Iterator[Figure]:
    """A foreign order stands in every symbol."""
    yield from _measure(effort, foreign=True, rounds=effort.choose(3, 1))


BENCHMARKS = (
    Benchmark("halt_bulk", "halt of 100 symbols with 300 orders of ours, until verified", measure_bulk),
    Benchmark("halt_single", "the same beside foreign orders, one by one", measure_single),
)
