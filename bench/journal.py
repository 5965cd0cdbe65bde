"""The journal on the embedded server: what a durable commit costs. May import the store and psycopg."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from bench.depth_frames import INSTRUMENT, MID_TICKS
from bench.figures import Benchmark, CannotRunError, Effort, Figure, percentile
from trading.adapters.event_loop import run
from trading.adapters.store.database_url import parse_url
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.lane import Lane
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
COMMIT_TARGET_MS = 1.0
TURN = 25
# wal_writer_delay is 200 ms.
LOG_WRITER_S = 0.25
WARM_UP = 20
# As many pairs as the engine keeps with an order of spread_capture: book, edge terms, parameters' digest.
DECISION = tuple((f"input_{number}", f"{number}.123456") for number in range(20))


def _order(number: int, run: str = "bench") -> OrderRecord:
    now_ns = time.time_ns()
    return OrderRecord(
        client_order_id=f"mx-{run}-1-{number}",
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

    def __init__(self, journal: PostgresJournal, lease: Lease, run: str = "bench") -> None:
        self._journal = journal
        self._run = run
        self._lease = lease
        self._number = 0
        self._seq = 0

    async def intents(self, commits: int, batch: int) -> list[float]:
        """Commit intents, `batch` in each; return ms per commit."""
        times = []
        for _ in range(commits):
            orders = [_order(self._number + offset, self._run) for offset in range(batch)]
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


@contextmanager
def _server() -> Iterator[str]:
    """Run a server of our own with the schema; give its URL."""
    folder = Path(tempfile.mkdtemp(prefix="mxb"))
    server = EmbeddedPostgres(folder / "postgres")
    try:
        url = server.start()
        migrate(url)
        yield url
    except TradingError as error:
        raise CannotRunError(str(error)) from error
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _begin_session(url: str) -> None:
    store = FleetStore.open(url, ACCOUNT, SESSION)
    await store.begin_session("paper", "sim", {}, os.getpid(), time.time_ns())
    await store.close()


async def _timed(url: str, effort: Effort) -> dict[str, tuple[int, list[float]]]:
    """Return (rows a commit, ms of each commit) by name."""
    await _begin_session(url)
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
    with _server() as url:
        found = run(_timed(url, effort))
    for name, (rows, times) in found.items():
        note = f"{len(times)} commits one after the other, fsync on, rows in each: {rows}"
        yield Figure(f"{name}_p50", "ms", percentile(times, 50), note=note)
        yield Figure(f"{name}_p99", "ms", percentile(times, 99), note=note)
        seconds = sum(times) / 1e3
        yield Figure(f"{name}_rate", "rows/s", rows * len(times) / seconds, note=note, is_more_better=True)


async def _split(url: str, effort: Effort) -> dict[str, list[float]]:
    """Return ms of: an empty round trip, a commit that waits for no disk, a durable commit; one intent each."""
    await _begin_session(url)
    journal = PostgresJournal(url, ACCOUNT, SESSION)
    # The same statements on connections that answer before the disk does.
    hasty = PostgresJournal(f"{url}?options={quote('-c synchronous_commit=off')}", ACCOUNT, SESSION)
    lane = Lane(parse_url(url), "bench")
    found: dict[str, list[float]] = {"round_trip": [], "undurable": [], "durable": []}
    try:
        for each in (journal, hasty):
            await each.register_instruments([INSTRUMENT], time.time_ns())
        lease = await journal.acquire_lease(f"executor:{ACCOUNT}", "bench", LEASE_TTL_S)
        desks = {"durable": _Desk(journal, lease), "undurable": _Desk(hasty, lease, "hasty")}
        for desk in desks.values():
            await desk.intents(WARM_UP, 1)
        # By turns, so that all meet the same machine; with a pause, so that what the hasty one leaves to the log's
        # writer is not on the disk's way when the other commits.
        for _ in range(effort.choose(40, 8)):
            for name, desk in desks.items():
                found[name] += await desk.intents(TURN, 1)
            for _ in range(TURN):
                began = time.perf_counter()
                await lane.read("SELECT 1", {})
                found["round_trip"].append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(LOG_WRITER_S)
    finally:
        for closing in (journal, hasty, lane):
            await closing.close()
    return found


def measure_commit(effort: Effort) -> Iterator[Figure]:
    """What committing before the send adds to an order that meets an idle lane, and what it goes into."""
    with _server() as url:
        found = run(_split(url, effort))
    middle = {name: percentile(times, 50) for name, times in found.items()}
    note = f"{len(found['durable'])} commits of one intent with 20 pairs of its decision, idle lane, fsync on"
    yield Figure("commit_adds_p50", "ms", middle["durable"], COMMIT_TARGET_MS, note)
    yield Figure("commit_adds_p99", "ms", percentile(found["durable"], 99), note=note)
    yield Figure("commit_round_trip_p50", "ms", middle["round_trip"], note="an empty statement on the same machine")
    text = "rows made and read, statement run; without the disk"
    yield Figure("commit_statement_p50", "ms", middle["undurable"] - middle["round_trip"], note=text)
    yield Figure("commit_fsync_p50", "ms", middle["durable"] - middle["undurable"], note="waiting for the disk")


BENCHMARKS = (
    Benchmark("journal", "durable commits to the embedded Postgres", measure),
    Benchmark("commit", "what the commit before the send adds, and where it goes", measure_commit),
)
