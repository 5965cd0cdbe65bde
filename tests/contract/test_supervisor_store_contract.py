"""One suite over the supervisor's memory: the one in Postgres, and the fake of the unit tests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from actors.fleet import FleetCommand, Operation, OperationStatus
from actors.supervisor_ports import SupervisorStore, Wanted
from actors.supervisor_store import PostgresSupervisorStore
from actors.workflow import CommandKind
from tests.embedded_database import database_url, postgres_server
from tests.unit.actors.fleet_fakes import FakeStore
from trading.adapters.store.fleet import FleetStore
from trading.model.session import DesiredState, RunState

__all__ = ["database_url", "postgres_server"]

A, B = "AAAUSDT", "币安人生USDT"
PARAMS = (("edge", "5.0"), ("size", "2"))


@pytest.fixture(params=["postgres", "fake"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[SupervisorStore]:
    """An empty store of one session."""
    if request.param == "fake":
        yield FakeStore()
        return
    fleet = FleetStore.open(request.getfixturevalue("database_url"), "main", "s1")
    await fleet.begin_session("paper", "sim", {}, 1, time.time_ns())
    yield PostgresSupervisorStore(fleet)
    await fleet.close()


def operation(name: str, kind: CommandKind, *symbols: str) -> Operation:
    now_ns = time.time_ns()
    return Operation(name, kind, symbols, OperationStatus.PENDING, None, now_ns, now_ns)


async def test_command_is_kept_whole_with_wishes_and_operation(store: SupervisorStore) -> None:
    spawn = operation("op-1", CommandKind.SPAWN, A, B)
    wishes = [Wanted(A, DesiredState.TRADING, "capture", PARAMS), Wanted(B, DesiredState.TRADING, "capture", ())]
    await store.accept(FleetCommand(CommandKind.SPAWN, (A, B), by="test"), spawn, wishes)
    assert set(await store.wanted()) == set(wishes)
    assert await store.unfinished_operations() == (spawn,)
    assert await store.operation("op-1") == spawn
    assert await store.operation("op-2") is None


async def test_later_wish_replaces_the_earlier_one(store: SupervisorStore) -> None:
    wish = Wanted(A, DesiredState.TRADING, "capture", PARAMS)
    await store.accept(FleetCommand(CommandKind.SPAWN, (A,)), operation("op-1", CommandKind.SPAWN, A), [wish])
    killed = replace(wish, desired=DesiredState.STOPPED, is_flatten=True)
    await store.accept(FleetCommand(CommandKind.KILL, (A,)), operation("op-2", CommandKind.KILL, A), [killed])
    assert await store.wanted() == (killed,)
    assert [item.operation_id for item in await store.unfinished_operations()] == ["op-1", "op-2"]


async def test_operation_that_is_over_is_not_unfinished_any_more(store: SupervisorStore) -> None:
    await store.accept(FleetCommand(CommandKind.SPAWN, (A,)), operation("op-1", CommandKind.SPAWN, A), [])
    await store.set_operation("op-1", OperationStatus.FAILED, "one sentence", 7)
    found = await store.operation("op-1")
    assert found is not None
    assert (found.status, found.error, found.updated_ns) == (OperationStatus.FAILED, "one sentence", 7)
    assert await store.unfinished_operations() == ()


async def test_run_gets_a_number_of_its_own_and_is_saved_with_its_events(store: SupervisorStore) -> None:
    first = await store.open_run(A, "capture", PARAMS, 5)
    second = await store.open_run(B, "capture", (), 6)
    assert first.state is RunState.REQUESTED
    assert second.run_number > first.run_number > 0
    assert (first.symbol, first.strategy, first.params, first.restarts, first.epoch) == (A, "capture", PARAMS, 0, 0)
    assert set(await store.unfinished_runs()) == {first, second}
    trading = replace(first, state=RunState.TRADING, reason="why", restarts=2, epoch=3, updated_ns=9)
    await store.save_run(trading, "book proven", "")
    await store.save_run(trading, "book proven", "")
    assert set(await store.unfinished_runs()) == {trading, second}


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.KILLED])
async def test_run_that_is_over_is_not_unfinished_any_more(store: SupervisorStore, state: RunState) -> None:
    run = await store.open_run(A, "capture", (), 5)
    await store.save_run(replace(run, state=state), "over", "")
    assert await store.unfinished_runs() == ()


async def test_alerts_and_the_end_of_the_session_are_taken(store: SupervisorStore) -> None:
    await store.raise_alert("alert", "symbol_failed", "one sentence", A, 5)
    await store.raise_alert("info", "fleet", "one sentence", None, 6)
    await store.end_session("confirmed", 7)
    await store.end_session("confirmed", 8)
