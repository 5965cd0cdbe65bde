"""The Postgres journal when the database misbehaves: certain, uncertain and impossible commits are told apart."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.contract.journals import INSTRUMENT, SYMBOL, a_booked_position, a_fill, a_filled, a_position, an_order
from tests.embedded_database import plain_url
from trading.adapters.store.database_url import parse_url
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.lane import Lane
from trading.adapters.store.migrations import migrate
from trading.engine.ports import JournalEntry
from trading.model.errors import ConfigError, FencedOut, InvariantViolated, NotRunning, StoreError
from trading.model.orders import OrderStatus
from trading.model.session import Lease

SESSION = (
    "INSERT INTO sessions (session_id, account, mode, venue, settings, pid, started_ns) "
    "VALUES ('s1', 'main', 'paper', 'sim', '{}', 1, 1)"
)


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[PostgresJournal]:
    with psycopg.connect(plain_url(database_url)) as link:
        link.execute(SESSION)
    made = PostgresJournal(database_url, "main", "s1")
    await made.open()
    await made.register_instruments([INSTRUMENT], 1)
    yield made
    await made.close()


@pytest.fixture
async def lease(journal: PostgresJournal) -> Lease:
    return await journal.acquire_lease("executor:main", "a", 30.0)


def _end_connections(url: str, lane: str) -> int:
    """End a lane's connections at the server and wait until they are gone: their farewell is sent by then."""
    with psycopg.connect(plain_url(url), autocommit=True) as link:
        rows = link.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = %s",
            (f"mexcbot-{lane}",),
        ).fetchall()
        deadline = time.monotonic() + 30
        while link.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s LIMIT 1",
            (f"mexcbot-{lane}",),
        ).fetchone():
            assert time.monotonic() < deadline, f"the connection of {lane} did not end"
            time.sleep(0.01)
    return len(rows)


async def _waits_for_a_lock(url: str, lane: str) -> None:
    """Wait until a lane's statement has come to a row that somebody else holds."""
    async with asyncio.timeout(60):
        with psycopg.connect(plain_url(url), autocommit=True) as link:
            while not link.execute(  # noqa: ASYNC110 - another process is waited for
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s "
                "AND wait_event_type = 'Lock' LIMIT 1",
                (f"mexcbot-{lane}",),
            ).fetchone():
                await asyncio.sleep(0.01)


async def test_write_whose_connection_breaks_is_uncertain_and_the_next_one_works(
    journal: PostgresJournal, lease: Lease, database_url: str
) -> None:
    await journal.commit_intents(lease, [an_order("o1")])
    with psycopg.connect(plain_url(database_url)) as blocker:
        blocker.execute("SELECT 1 FROM leases FOR UPDATE")
        writing = asyncio.create_task(journal.commit_intents(lease, [an_order("o2")]))
        await _waits_for_a_lock(database_url, "intents")
        assert _end_connections(database_url, "intents") == 1
        with pytest.raises(StoreError, match="did not commit"):
            await writing
    assert await journal.commit_intents(lease, [an_order("o3")]) == ()
    assert [order.client_order_id for order in await journal.orders_by_id(["o1", "o2", "o3"])] == ["o1", "o3"]


async def test_write_on_a_connection_that_was_lost_while_idle_goes_through(
    journal: PostgresJournal, lease: Lease, database_url: str
) -> None:
    await journal.commit_intents(lease, [an_order("o1")])
    assert _end_connections(database_url, "intents") == 1
    assert await journal.commit_intents(lease, [an_order("o2")]) == ()


async def test_read_on_a_connection_that_broke_is_asked_again(
    journal: PostgresJournal, lease: Lease, database_url: str
) -> None:
    await journal.commit_intents(lease, [an_order("o1")])
    assert _end_connections(database_url, "reads") == 1
    assert len(await journal.orders_by_id(["o1"])) == 1


async def test_commit_in_flight_holds_a_successor_back(journal: PostgresJournal, database_url: str) -> None:
    with psycopg.connect(plain_url(database_url)) as slow:
        lease = await journal.acquire_lease("executor:main", "a", 3.0)
        # A writer that has passed its lease check and not committed yet.
        held = slow.execute(
            "SELECT 1 FROM leases WHERE name = 'executor:main' AND epoch = 1 AND expires_at > now() FOR SHARE"
        )
        assert held.fetchone(), "the writer was in time"
        await asyncio.sleep(3.1)
        taking = asyncio.create_task(journal.acquire_lease("executor:main", "b", 30.0))
        done, _ = await asyncio.wait({taking}, timeout=0.3)
        assert done == set()
        slow.commit()
    assert (await taking).epoch == lease.epoch + 1
    with pytest.raises(FencedOut):
        await journal.commit_intents(lease, [an_order("late")])


async def test_commits_while_the_lease_changes_hands_belong_to_one_epoch_each(
    journal: PostgresJournal, database_url: str
) -> None:
    """Two writers, one of them paused over its lease: whatever the old one commits, it commits before the new epoch."""
    rival = PostgresJournal(database_url, "main", "s1")
    await rival.register_instruments([INSTRUMENT], 1)
    old = await journal.acquire_lease("executor:main", "a", 1.5)
    written: list[str] = []

    async def write() -> None:
        for number in range(10_000):
            try:
                await journal.commit_intents(old, [an_order(f"o{number}")])
            except FencedOut:
                return
            written.append(f"o{number}")

    async def take() -> Lease:
        while True:
            try:
                return await rival.acquire_lease("executor:main", "b", 30.0)
            except FencedOut:
                await asyncio.sleep(0.005)

    _, new = await asyncio.gather(write(), take())
    after = len(await rival.orders_by_id(written))
    await asyncio.sleep(0.1)
    assert new.epoch == old.epoch + 1
    assert len(written) > 10
    assert after == len(written) == len((await rival.load("main")).unfinished)
    await rival.close()


async def test_rows_the_database_refuses_are_a_bug_and_leave_nothing(database_url: str) -> None:
    journal = PostgresJournal(database_url, "main", "no such session")
    await journal.register_instruments([INSTRUMENT], 1)
    lease = await journal.acquire_lease("executor:main", "a", 30.0)
    with pytest.raises(InvariantViolated, match="sessions"):
        await journal.commit_intents(lease, [an_order("o1")])
    assert await journal.orders_by_id(["o1"]) == ()
    await journal.close()


async def test_pnl_columns_of_fills_add_up_to_the_position(
    journal: PostgresJournal, lease: Lease, database_url: str
) -> None:
    entries = [
        a_filled(1, a_fill("o1", "t1"), a_position("0.001", realized="0", fees="0.5")),
        a_filled(2, a_fill("o1", "t2"), a_position("0.002", realized="-3.25", fees="1")),
        a_filled(3, a_fill("o1", "t1"), a_position("0.009", realized="99", fees="99")),  # booked already: no part in it
        a_filled(4, a_fill("o1", "t3"), a_position("0.001", realized="1.125", fees="1.75")),
    ]
    await journal.commit_entries(lease, entries[:1])
    await journal.commit_entries(lease, entries[1:])
    with psycopg.connect(plain_url(database_url)) as link:
        rows = link.execute("SELECT trade_id, realized_pnl, fee_quote FROM fills ORDER BY id").fetchall()
    assert [(row[0], str(row[1]), str(row[2])) for row in rows] == [
        ("t1", "0", "0.5"),
        ("t2", "-3.25", "0.5"),
        ("t3", "4.375", "0.75"),
    ]


async def test_audit_names_a_fee_in_a_third_asset_that_the_ledger_lost(
    journal: PostgresJournal, lease: Lease, database_url: str
) -> None:
    await journal.commit_intents(lease, [an_order("x")])
    fill = a_fill("x", "t1")
    await journal.commit_entries(lease, [a_filled(1, fill, a_booked_position(fill))])
    assert await journal.audit() == ()
    with psycopg.connect(plain_url(database_url), autocommit=True) as link:
        link.execute("DELETE FROM ledger WHERE asset = 'MX'")
    broken = await journal.audit()
    assert len(broken) == 1, broken
    assert SYMBOL in broken[0]
    assert "0.0000001" in broken[0]


async def test_lane_of_a_frozen_server_gives_up_and_recovers(database_url: str) -> None:
    lane = Lane(parse_url(database_url), "frozen", answer_timeout_s=2.0)
    ((pid,),) = await lane.read("SELECT pg_backend_pid()", {})
    backend = psutil.Process(pid)
    backend.suspend()
    started = time.monotonic()
    try:
        with pytest.raises(StoreError):
            await lane.write("SELECT 1", {})
        assert time.monotonic() - started < 60
    finally:
        backend.resume()
    assert await lane.write("SELECT 1", {}) == [(1,)]
    await lane.close()


async def test_cancelled_write_leaves_a_lane_that_works(database_url: str) -> None:
    lane = Lane(parse_url(database_url), "cancelled")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await lane.write("SELECT pg_sleep(30)", {})
    assert await lane.write("SELECT 1", {}) == [(1,)]
    await lane.close()


async def test_journal_that_cannot_reach_its_server_says_so_at_once() -> None:
    journal = PostgresJournal("postgresql://u:secret@127.0.0.1:1/x", "main", "s1")
    started = time.monotonic()
    with pytest.raises(NotRunning, match="not reachable") as refusal:
        await journal.open()
    assert time.monotonic() - started < 60
    assert "secret" not in str(refusal.value)
    with pytest.raises(StoreError):
        await journal.halts()


async def test_acknowledged_commits_survive_kill_minus_nine_of_the_server() -> None:
    folder = Path(tempfile.mkdtemp(prefix="mx"))
    server = EmbeddedPostgres(folder)
    try:
        url = server.start()
        migrate(url)
        with psycopg.connect(plain_url(url)) as link:
            link.execute(SESSION)
        journal = PostgresJournal(url, "main", "s1")
        await journal.register_instruments([INSTRUMENT], 1)
        lease = await journal.acquire_lease("executor:main", "a", 300.0)
        acknowledged: list[str] = []
        for round_number in range(2):
            writing = asyncio.create_task(_write_until_lost(journal, lease, round_number, acknowledged))
            known = len(acknowledged)
            async with asyncio.timeout(60):
                while len(acknowledged) < known + 5:  # noqa: ASYNC110 - a list has no event
                    await asyncio.sleep(0.02)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await writing
            assert server.start() == url
            found = await journal.orders_by_id(acknowledged)
            assert len(found) == len(acknowledged) > 0
        assert await journal.commit_intents(lease, [an_order("after")]) == ()
        await journal.close()
        with psycopg.connect(plain_url(url), autocommit=True) as link:
            link.execute("ALTER SYSTEM SET fsync = off")
            link.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 60
        while _shown(url, "fsync") != "off":
            assert time.monotonic() < deadline, "the server did not read its settings again"
            await asyncio.sleep(0.05)
        with pytest.raises(ConfigError, match="fsync = off"):
            await PostgresJournal(url, "main", "s1").open()
    finally:
        server.stop()
        shutil.rmtree(folder)


def _shown(url: str, name: str) -> object:
    """What a new connection is told of a setting."""
    with psycopg.connect(plain_url(url)) as link:
        row = link.execute(f"SHOW {name}".encode()).fetchone()
        return row and row[0]


async def _write_until_lost(journal: PostgresJournal, lease: Lease, round_number: int, acknowledged: list[str]) -> None:
    for number in range(100_000):
        order_id = f"r{round_number}-{number}"
        try:
            await journal.commit_intents(lease, [an_order(order_id)])
            await journal.commit_entries(lease, [JournalEntry(an_order(order_id, OrderStatus.OPEN), None)])
        except StoreError:
            return
        acknowledged.append(order_id)


async def test_session_and_symbol_are_kept_with_the_order(
    journal: PostgresJournal, lease: Lease, database_url: str
) -> None:
    await journal.commit_intents(lease, [an_order("o1")])
    with psycopg.connect(plain_url(database_url)) as link:
        row = link.execute("SELECT session_id, symbol, price, qty, created_at FROM orders").fetchone()
    assert row is not None
    assert row[:2] == ("s1", SYMBOL)
    assert (str(row[2]), str(row[3])) == ("60000.12", "0.0025")
