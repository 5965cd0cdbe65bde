"""The fleet's memory: sessions, wishes, runs, commands, audit, halts and idempotency keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from tests.embedded_database import plain_url
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.fleet_rows import OperationRow, WantedRow
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.pages import ListQuery, StoredResponse
from trading.adapters.store.reads import Reads
from trading.model.errors import StoreError
from trading.model.session import DesiredState, HaltState, RunState
from trading.model.units import NS_PER_DAY, NS_PER_S

PARAMS = (("zeta", "1"), ("alpha", "2"))
SPAWN = OperationRow("op1", "spawn", ("BTCUSDT", "牛市USDT"), "pending", None, 5, 5)
WANTED = (
    WantedRow("BTCUSDT", DesiredState.TRADING, "spread_capture", PARAMS),
    WantedRow("牛市USDT", DesiredState.PAUSED, "market_maker", (), is_flatten=True),
)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[FleetStore]:
    made = FleetStore.open(database_url, "main", "s1")
    await made.begin_session("paper", "sim", {"api_key": "***", "nul": "a\x00b"}, 7, 100)
    yield made
    await made.close()


@pytest.fixture
async def reads(database_url: str) -> AsyncIterator[Reads]:
    made = Reads.open(database_url, "main")
    yield made
    await made.close()


async def test_session_begins_once_and_keeps_its_first_end(store: FleetStore, reads: Reads) -> None:
    await store.begin_session("live", "mexc", {}, 8, 200)
    await store.end_session("confirmed", 300)
    await store.end_session("NOT CONFIRMED", 400)
    page = await reads.sessions(ListQuery())
    assert page.items == (
        {
            "session": "s1",
            "account": "main",
            "mode": "paper",
            "venue": "sim",
            "started_ns": 100,
            "ended_ns": 300,
            "end_reason": "confirmed",
        },
    )


async def test_command_is_committed_whole_and_once(store: FleetStore, reads: Reads) -> None:
    await store.accept(SPAWN, WANTED, "cli", {"strategy": "spread_capture"}, 5)
    assert await store.wanted() == WANTED
    later = replace(WANTED[0], desired=DesiredState.STOPPED)
    await store.accept(SPAWN, [later], "cli", {}, 6)  # a repeat of the same operation changes nothing
    assert await store.wanted() == WANTED
    await store.accept(OperationRow("op2", "kill", ("BTCUSDT",), "pending", None, 7, 7), [later], "api", {}, 7)
    assert await store.wanted() == (later, WANTED[1])
    rows = (await reads.audit(ListQuery())).items
    assert [(row["actor"], row["action"], row["symbol"]) for row in rows] == [
        ("api", "kill", "BTCUSDT"),
        ("cli", "spawn", None),
    ]
    assert rows[1]["detail"] == {
        "operation_id": "op1",
        "symbols": ["BTCUSDT", "牛市USDT"],
        "strategy": "spread_capture",
    }


async def test_session_that_was_killed_ends_where_the_next_one_of_its_account_begins(
    store: FleetStore, reads: Reads, database_url: str
) -> None:
    for account, session, now_ns in (("other", "s2", 150), ("main", "s3", 200)):
        later = FleetStore.open(database_url, account, session)
        await later.begin_session("paper", "sim", {}, 8, now_ns)
        await later.begin_session("paper", "sim", {}, 8, now_ns + 1)
        await later.close()
    await store.begin_session("paper", "sim", {}, 7, 300)  # said again: changes nothing
    ends = {row["session"]: (row["ended_ns"], row["end_reason"]) for row in (await reads.sessions(ListQuery())).items}
    assert ends["s3"] == (None, "")
    assert ends["s1"][0] == 200
    assert ends["s1"][1].startswith("killed")
    others = Reads.open(database_url, "other")
    assert [row["ended_ns"] for row in (await others.sessions(ListQuery())).items] == [None]
    await others.close()


async def test_wishes_of_another_session_are_not_ours(store: FleetStore, database_url: str) -> None:
    await store.accept(SPAWN, WANTED, "cli", {}, 5)
    other = FleetStore.open(database_url, "main", "s2")
    await other.begin_session("paper", "sim", {}, 8, 200)
    assert await other.wanted() == ()
    assert await other.unfinished_operations() == ()
    await other.close()


async def test_operation_moves_on_until_it_is_over(store: FleetStore) -> None:
    await store.accept(SPAWN, WANTED, "cli", {}, 5)
    await store.set_operation("op1", "running", None, 6)
    assert await store.unfinished_operations() == (replace(SPAWN, status="running", updated_ns=6),)
    await store.set_operation("op1", "failed", "no such\x00 symbol", 8)
    assert await store.unfinished_operations() == ()
    found = await store.operation("op1")
    assert found is not None
    assert (found.status, found.updated_ns, found.error) == ("failed", 8, "no such\ufffd symbol")
    assert await store.operation("nobody\x00") is None


async def test_runs_are_numbered_and_found_until_they_are_over(store: FleetStore, reads: Reads) -> None:
    first = await store.open_run("BTCUSDT", "spread_capture", PARAMS, 10)
    second = await store.open_run("ETHUSDT", "spread_capture", (), 11)
    assert second.run_number == first.run_number + 1
    assert first.run_id != second.run_id
    assert first.state is RunState.REQUESTED
    assert await store.unfinished_runs() == (first, second)
    trading = replace(first, state=RunState.TRADING, epoch=4, restarts=1, reason="", updated_ns=12)
    await store.save_run(trading, "synced", "book proven")
    await store.save_run(trading, "synced", "book proven")  # after a lost answer
    await store.save_run(replace(second, state=RunState.STOPPED, updated_ns=13), "drained", "0 open orders")
    assert await store.unfinished_runs() == (trading,)
    events = (await reads.run_events(ListQuery(symbol="BTCUSDT"))).items
    assert [(row["event"], row["state"], row["detail"], row["at_ns"]) for row in events] == [
        ("synced", "TRADING", "book proven", 12),
        ("requested", "REQUESTED", "", 10),
    ]
    assert {row["run_id"] for row in events} == {first.run_id}
    assert len((await reads.run_events(ListQuery(session="s1"))).items) == 4
    assert (await reads.run_events(ListQuery(session="s2"))).items == ()


async def test_run_of_an_unknown_session_is_refused(database_url: str) -> None:
    store = FleetStore.open(database_url, "main", "never begun")
    with pytest.raises(StoreError, match="sessions"):
        await store.open_run("BTCUSDT", "spread_capture", (), 10)
    await store.close()


async def test_halts_are_replaced_and_an_unreadable_one_means_halted(store: FleetStore, database_url: str) -> None:
    await store.save_halt("account", HaltState.REDUCING, "why \x00", 1)
    await store.save_halt("account", HaltState.ACTIVE, "", 2)
    await store.save_halt("symbol:BTCUSDT", HaltState.REDUCING, "thin", 2)
    with psycopg.connect(plain_url(database_url)) as link:
        link.execute("UPDATE risk_state SET value = 'garbled' WHERE name = 'symbol:BTCUSDT'")
    assert await store.halts() == (
        ("account", HaltState.ACTIVE, ""),
        ("symbol:BTCUSDT", HaltState.HALTED, "thin"),
    )


async def test_alerts_and_audit_are_listed_newest_first(store: FleetStore, reads: Reads) -> None:
    await store.raise_alert("warning", "actor_restarted", "again \x00", "BTCUSDT", 5)
    await store.raise_alert("alert", "halted", "by hand", None, 6)
    await store.append_audit("api:control", "halt", None, {"reason": "牛\x00"}, 7)
    assert [row["name"] for row in (await reads.alerts(ListQuery())).items] == ["halted", "actor_restarted"]
    assert [row["name"] for row in (await reads.alerts(ListQuery(status="warning"))).items] == ["actor_restarted"]
    assert [row["name"] for row in (await reads.alerts(ListQuery(symbol="BTCUSDT", since_ns=5))).items] == [
        "actor_restarted"
    ]
    assert await reads.alert_count("s1") == 2
    assert await reads.alert_count("s2") == 0
    (row,) = (await reads.audit(ListQuery(status="halt"))).items
    assert row["detail"] == {"reason": "牛\ufffd"}


async def test_lease_of_the_accounts_executor_is_told_while_it_lasts(store: FleetStore, database_url: str) -> None:
    assert await store.executor_lease() is None
    journal = PostgresJournal(database_url, "main", "s1")
    await journal.open()
    try:
        lease = await journal.acquire_lease("executor:main", "s1:me", 60.0)
        await journal.acquire_lease("executor:other", "s1:another", 60.0)
        first = await store.executor_lease()
        await journal.renew_lease(lease, 60.0)
        second = await store.executor_lease()
        assert first is not None
        assert second is not None
        assert (first[0], second[0], first[1] < second[1]) == ("s1:me", "s1:me", True)
        assert 0 < second[1] / NS_PER_S - time.time() <= 60
        await journal.release_lease(lease)
        assert await store.executor_lease() is None
    finally:
        await journal.close()


async def test_key_is_bound_to_its_first_request(store: FleetStore) -> None:
    assert await store.claim_key("k", "h1", 100, 0) is None
    assert await store.claim_key("k", "h1", 101, 0) == StoredResponse("h1", None, None)
    await store.keep_response("k", 202, {"operation_id": "op1"})
    assert await store.claim_key("k", "h2", 102, 0) == StoredResponse("h1", 202, {"operation_id": "op1"})
    await store.release_key("k")  # an answered key is not forgotten
    assert await store.claim_key("k", "h1", 103, 10**18) == StoredResponse("h1", 202, {"operation_id": "op1"})


async def test_key_that_was_abandoned_or_released_is_free_again(store: FleetStore) -> None:
    await store.claim_key("k", "h1", 100, 0)
    assert await store.claim_key("k", "h2", 300, 200) == StoredResponse("h1", None, None)
    assert await store.claim_key("k", "h1", 300, 200) is None
    await store.release_key("k")
    assert await store.claim_key("k", "h2", 301, 0) is None
    assert await store.claim_key("k", "h3", 301 + 2 * NS_PER_DAY, 0) is None


async def test_key_claimed_by_many_at_once_is_given_to_one(database_url: str, store: FleetStore) -> None:
    others = [FleetStore.open(database_url, "main", "s1") for _ in range(3)]
    claims = await asyncio.gather(*(item.claim_key("k", "h", 1, 0) for item in [store, *others] for _ in range(4)))
    assert claims.count(None) == 1
    for other in others:
        await other.close()
