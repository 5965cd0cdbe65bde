"""The journal on the embedded server: what a durable commit costs. May import the store and psycopg."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.depth_frames import INSTRUMENT, MID_TICKS
from bench.figures import Benchmark, CannotRunError, Effort, Figure, percentile
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.migrations import migrate
from trading.engine.ports import JournalEntry, OrderRecord
from trading.model.errors import TradingError
from trading.model.market import Side
from trading.model.orders import Delivery, OrderAccepted, OrderStatus, OrderType, Purpose
from trading.model.session import Lease
from trading.model.units import NS_PER_MS, NS_PER_S

ACCOUNT = "main"
SESSION = "bench"
BATCHES = (1, 10, 50)
LEASE_TTL_S = 3_600.0
WARM_UP = 20
# As many pairs as the engine keeps with an order of spread_capture: book, edge terms, parameters' digest.
DECISION = tuple((f"input_{number}", f"{number}.123456") for number in range(20))


def _order(number: int) -> OrderRecord:
    now_ns = time.time_ns()
    return OrderRecord(
        client_order_id=f"mx-bench-1-{number}",
        symbol=INSTRUMENT.symbol,
        run_id="bench",
        owner_epoch=1,
        executor_epoch=1,
        side=Side.BUY,
        type=OrderType.LIMIT_MAKER,
        price_ticks=MID_TICKS,
        qty_lots=400,
        purpose=Purpose.ENTRY,
        strategy="spread_capture",
        status=OrderStatus.SENT,
        created_ns=now_ns,
        valid_until_ns=now_ns + 2 * NS_PER_S,
        signed_ms=now_ns // NS_PER_MS,
        recv_window_ms=2_000,
        updated_ns=now_ns,
        decision=DECISION,
    )


class _Desk:
    """Commits one after the other and keeps each one's time."""

    def __init__(self, journal: PostgresJournal, lease: Lease) -> None:
        self._journal = journal
        self._lease = lease
        self._number = 0
        self._seq = 0

    async def intents(self, commits: int, batch: int) -> list[float]:
        """Commit intents, `batch` in each; return ms per commit."""
        times = []
        for _ in range(commits):
            orders = [_order(self._number + offset) for offset in range(batch)]
            self._number += batch
            began = time.perf_counter()
            conflicts = await self._journal.commit_intents(self._lease, orders)
            times.append((time.perf_counter() - began) * 1e3)
            if conflicts:
                raise CannotRunError(f"{len(conflicts)} intents were not written")
        return times

    async def steps(self, commits: int) -> list[float]:
        """Commit one order's acceptance each; return ms per commit."""
        times = []
        for _ in range(commits):
            order = replace(_order(self._number), status=OrderStatus.OPEN)
            self._number += 1
            await self._journal.commit_intents(self._lease, [replace(order, status=OrderStatus.SENT)])
            self._seq += 1
            event = OrderAccepted(order.symbol, order.client_order_id, f"v-{self._number}", order.created_ns)
            began = time.perf_counter()
            await self._journal.commit_entries(self._lease, [JournalEntry(order, Delivery(self._seq, event))])
            times.append((time.perf_counter() - began) * 1e3)
        return times


async def _timed(url: str, effort: Effort) -> dict[str, tuple[int, list[float]]]:
    """Return (rows a commit, ms of each commit) by name."""
    store = FleetStore.open(url, ACCOUNT, SESSION)
    await store.begin_session("paper", "sim", {}, os.getpid(), time.time_ns())
    await store.close()
    journal = PostgresJournal(url, ACCOUNT, SESSION)
    try:
        await journal.open()
        await journal.register_instruments([INSTRUMENT], time.time_ns())
        desk = _Desk(journal, await journal.acquire_lease(f"executor:{ACCOUNT}", "bench", LEASE_TTL_S))
        commits = effort.choose(1_000, 100)
        found = {}
        for batch in BATCHES:
            await desk.intents(WARM_UP, batch)
            found[f"intents_{batch}"] = (batch, await desk.intents(commits, batch))
        await desk.steps(WARM_UP)
        found["order_step"] = (1, await desk.steps(commits))
    finally:
        await journal.close()
    return found


def measure(effort: Effort) -> Iterator[Figure]:
    """Run a server of our own, write, and take it away."""
    folder = Path(tempfile.mkdtemp(prefix="mxb"))
    server = EmbeddedPostgres(folder / "postgres")
    try:
        url = server.start()
        migrate(url)
        found = asyncio.run(_timed(url, effort))
    except TradingError as error:
        raise CannotRunError(str(error)) from error
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for name, (rows, times) in found.items():
        note = f"{len(times)} commits one after the other, fsync on, rows in each: {rows}"
        yield Figure(f"{name}_p50", "ms", percentile(times, 50), note=note)
        yield Figure(f"{name}_p99", "ms", percentile(times, 99), note=note)
        seconds = sum(times) / 1e3
        yield Figure(f"{name}_rate", "rows/s", rows * len(times) / seconds, note=note, is_more_better=True)


BENCHMARKS = (Benchmark("journal", "durable commits to the embedded Postgres", measure),)
