"""The supervisor makes the observed fleet equal to the one that was asked for, through faults of every neighbour."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.fleet import FleetCommand, OperationStatus, ShutdownReport, StaleEpoch, UnknownSymbol
from actors.workflow import CommandKind
from tests.unit.actors.fleet_fakes import Fleet, fleet
from trading.model.errors import ConfigError, Refused, StoreError
from trading.model.session import DesiredState, RunState

A, B, C = "AAAUSDT", "BBBUSDT", "CCCUSDT"


async def spawned(*symbols: str) -> Fleet:
    """A fleet with these symbols trading."""
    world = fleet()
    await world.supervisor.request(FleetCommand(CommandKind.SPAWN, symbols))
    await world.settle()
    await world.trade(*symbols)
    return world


async def finished(world: Fleet, operation_id: str) -> tuple[OperationStatus, str | None]:
    """The operation's end, from the supervisor; the store must say the same."""
    operation = await world.supervisor.operation(operation_id)
    assert operation is not None
    assert world.store.operations[operation_id].status is operation.status
    return operation.status, operation.error


async def test_spawn_commits_then_brings_symbols_up_to_trading() -> None:
    world = fleet()
    operation_id = await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A, B)))
    assert set(world.store.wishes) == {A, B}
    assert not world.factory.actors
    await world.settle()
    assert await world.state(A) is RunState.SYNCING
    assert await finished(world, operation_id) == (OperationStatus.SUCCEEDED, None)
    await world.trade(A, B)
    assert await world.state(A) is await world.state(B) is RunState.TRADING
    moves = [event for symbol, event, _ in world.store.events if symbol == A and not event.startswith("step:")]
    assert moves == ["started", "spawned", "book proven"]
    assert world.store.runs["run-1"].state is RunState.TRADING


async def test_heartbeat_reason_of_a_moment_does_not_stick_to_the_run() -> None:
    world = await spawned(A)
    beat = replace(world.factory.heartbeat(A), state=RunState.PAUSED, reason="paused by hand")
    await world.supervisor.heartbeat(beat)
    assert (await world.supervisor.table())[0].reason == "paused by hand"
    await world.supervisor.heartbeat(replace(beat, state=RunState.TRADING, reason="not_ready, trade_rate"))
    (row,) = await world.supervisor.table()
    assert (row.state, row.reason) == (RunState.TRADING, "")


async def test_spawn_of_a_symbol_that_does_not_exist_changes_nothing() -> None:
    world = fleet()
    with pytest.raises(ConfigError, match="no symbol XXX"):
        await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A, "XXX")))
    with pytest.raises(ConfigError, match="named twice"):
        await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A, A)))
    with pytest.raises(ConfigError, match="unknown parameter"):
        await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,), params=(("edgy", "1"),)))
    assert not world.store.wishes
    assert not world.store.operations


async def test_command_while_the_store_is_down_is_not_taken() -> None:
    world = fleet()
    world.store.is_down = True
    with pytest.raises(StoreError):
        await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,)))
    world.store.is_down = False
    await world.settle()
    assert not world.factory.actors


async def test_spawn_of_a_running_symbol_is_refused() -> None:
    world = await spawned(A)
    with pytest.raises(Refused, match="already TRADING"):
        await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,)))


async def test_command_with_a_stale_epoch_is_refused_and_with_the_right_one_taken() -> None:
    world = await spawned(A)
    with pytest.raises(StaleEpoch):
        await world.supervisor.request(FleetCommand(CommandKind.PAUSE, (A,), expected_epoch=7))
    await world.supervisor.request(FleetCommand(CommandKind.PAUSE, (A,), expected_epoch=1))


async def test_command_for_a_symbol_never_spawned_is_unknown() -> None:
    world = await spawned(A)
    with pytest.raises(UnknownSymbol):
        await world.supervisor.request(FleetCommand(CommandKind.KILL, (B,)))


async def test_kill_drains_verifies_and_ends_the_actor() -> None:
    world = await spawned(A, B)
    world.executor.open_orders[A] = 2
    operation_id = await world.supervisor.request(FleetCommand(CommandKind.KILL, (A,), is_flatten=True))
    await world.settle()
    assert await world.state(A) is RunState.STOPPED
    assert await finished(world, operation_id) == (OperationStatus.SUCCEEDED, None)
    assert A not in world.factory.actors
    assert A in world.executor.detached
    assert await world.state(B) is RunState.TRADING
    with pytest.raises(Refused, match="STOPPED"):
        await world.supervisor.request(FleetCommand(CommandKind.PAUSE, (A,)))


async def test_kill_of_an_actor_that_does_not_answer_ends_it_after_the_executor_cancelled() -> None:
    world = await spawned(A)
    world.factory.actors[A].is_stuck_in_drain = True
    world.executor.open_orders[A] = 1
    operation_id = await world.supervisor.request(FleetCommand(CommandKind.KILL, (A,)))
    await wait_for_task(world, A)
    assert await world.state(A) is RunState.STOPPED
    assert (await finished(world, operation_id))[0] is OperationStatus.SUCCEEDED


async def test_kill_that_the_venue_does_not_confirm_is_killed_and_says_so() -> None:
    world = await spawned(A)
    world.executor.open_orders[A] = 1
    world.executor.is_venue_away = True
    operation_id = await world.supervisor.request(FleetCommand(CommandKind.KILL, (A,)))
    await world.settle()
    assert await world.state(A) is RunState.KILLED
    status, error = await finished(world, operation_id)
    assert status is OperationStatus.FAILED
    assert error is not None
    assert "NOT CONFIRMED" in error
    assert ("alert", "symbol_drain", A) in world.store.alerts


async def test_killed_symbol_can_be_spawned_again_under_a_new_run() -> None:
    world = await spawned(A)
    await world.supervisor.request(FleetCommand(CommandKind.KILL, (A,)))
    await world.settle()
    await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,)))
    await world.settle()
    await world.trade(A)
    row = (await world.supervisor.table())[0]
    assert (row.state, row.run_number, row.restarts) == (RunState.TRADING, 2, 0)


async def test_actor_killed_by_the_host_comes_back_with_one_restart_counted() -> None:
    world = await spawned(A, B)
    world.factory.crash(A)
    await world.settle()
    assert await world.state(A) is RunState.SYNCING
    await world.trade(A)
    rows = {row.symbol: row for row in await world.supervisor.table()}
    assert (rows[A].restarts, rows[A].epoch, rows[B].restarts) == (1, 2, 0)
    assert rows[A].state is RunState.TRADING
    assert ("warning", "symbol_restarted", A) in world.store.alerts


async def test_actor_that_vanished_for_good_is_spawned_anew_after_a_back_off() -> None:
    world = await spawned(A)
    del world.factory.actors[A]
    await world.settle(4, 2.0)
    assert ("warning", "symbol_failed", A) in world.store.alerts
    await world.settle(8, 1.0)
    await world.trade(A)
    assert await world.state(A) is RunState.TRADING


async def test_actor_that_falls_silent_is_replaced() -> None:
    world = await spawned(A)
    first = world.factory.actors[A]
    await world.settle(14, 2.0, beats=False)
    await world.settle(8)
    assert world.factory.actors[A] is not first
    assert await world.state(A) is RunState.SYNCING
    (why,) = [detail for _, event, detail in world.store.events if event == "failed"]
    assert "silent for" in why
    assert "its strategy is stuck" in why


async def test_actor_that_cannot_start_fails_and_backs_off_longer_each_time() -> None:
    world = fleet()
    world.factory.is_barren = True
    operation_id = await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,), timeout_s=20.0))
    await world.settle(40, 0.5)
    failures = [detail for _, event, detail in world.store.events if event == "failed"]
    assert 3 <= len(failures) <= 6
    await world.settle(10, 2.0)
    status, error = await finished(world, operation_id)
    assert status is OperationStatus.FAILED
    assert error is not None
    assert A in error
    world.factory.is_barren = False
    await world.settle(20, 2.0)
    assert await world.state(A) is RunState.SYNCING


async def test_one_symbol_that_hangs_holds_no_other_back() -> None:
    world = await spawned(A, B)
    world.factory.actors[A].is_deaf = True
    await world.supervisor.request(FleetCommand(CommandKind.PAUSE, (A,)))
    await world.supervisor.request(FleetCommand(CommandKind.PAUSE, (B,)))
    await world.settle()
    assert await world.state(B) is RunState.PAUSED
    assert await world.state(A) is RunState.TRADING


async def test_pause_and_resume_change_state_and_survive_a_restart_of_the_actor() -> None:
    world = await spawned(A)
    await world.supervisor.request(FleetCommand(CommandKind.PAUSE, (A,)))
    await world.settle()
    assert await world.state(A) is RunState.PAUSED
    world.factory.crash(A)
    await world.trade(A)
    await world.settle()
    assert await world.state(A) is RunState.PAUSED
    resumed = await world.supervisor.request(FleetCommand(CommandKind.RESUME, (A,)))
    await world.settle()
    assert await world.state(A) is RunState.TRADING
    assert (await finished(world, resumed))[0] is OperationStatus.SUCCEEDED


async def test_pause_that_the_actor_took_by_itself_is_left_to_people() -> None:
    world = await spawned(A)
    world.factory.actors[A].state = RunState.PAUSED
    await world.settle()
    assert await world.state(A) is RunState.PAUSED
    assert "resume" not in world.factory.actors[A].calls


async def test_set_reaches_the_actor_and_is_repeated_after_its_restart() -> None:
    world = await spawned(A)
    operation_id = await world.supervisor.request(FleetCommand(CommandKind.SET, (A,), params=(("edge", "5"),)))
    await world.settle()
    assert world.factory.actors[A].params == {"edge": "5.0"}
    assert (await finished(world, operation_id))[0] is OperationStatus.SUCCEEDED
    world.factory.crash(A)
    assert world.factory.actors[A].params == {}
    await world.settle()
    assert world.factory.actors[A].params == {"edge": "5.0"}


async def test_flatten_drains_pauses_and_a_resume_brings_a_new_actor() -> None:
    world = await spawned(A)
    operation_id = await world.supervisor.request(FleetCommand(CommandKind.FLATTEN, (A,)))
    await world.settle()
    assert await world.state(A) is RunState.PAUSED
    assert (await finished(world, operation_id))[0] is OperationStatus.SUCCEEDED
    drained = world.factory.actors[A]
    assert "drain+flatten" in drained.calls
    await world.supervisor.request(FleetCommand(CommandKind.RESUME, (A,)))
    await world.settle(20)
    assert world.factory.actors[A] is not drained
    await world.trade(A)
    assert await world.state(A) is RunState.TRADING


async def test_supervisor_that_died_re_adopts_the_fleet_without_touching_it() -> None:
    world = await spawned(A, B)
    actors = dict(world.factory.actors)
    reborn = world.reborn()
    await reborn.settle()
    assert world.factory.actors == actors
    assert not world.factory.killed or set(world.factory.killed) == {A, B}  # only the clean-up before the first spawn
    assert {row.symbol: row.restarts for row in await reborn.supervisor.table()} == {A: 0, B: 0}
    assert await reborn.state(A) is RunState.TRADING
    assert [name for _, name, _ in reborn.store.alerts].count("supervisor_restarted") == 1


async def test_supervisor_that_died_resumes_a_half_done_kill() -> None:
    world = await spawned(A)
    await world.supervisor.request(FleetCommand(CommandKind.KILL, (A,)))
    reborn = world.reborn()
    await reborn.settle()
    assert await reborn.state(A) is RunState.STOPPED
    assert all(operation.status.is_over for operation in world.store.operations.values())


async def test_supervisor_that_died_counts_a_restart_it_did_not_see() -> None:
    world = await spawned(A)
    world.factory.crash(A)
    reborn = world.reborn()
    await reborn.settle()
    assert (await reborn.supervisor.table())[0].restarts == 1


async def test_only_so_many_symbols_start_at_once_and_the_others_wait_for_their_turn() -> None:
    world = fleet(starts_at_once=2)
    await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A, B, C)))
    await world.settle(beats=False)
    assert set(world.factory.actors) == {A, B}, "their processes have not said a word yet"
    assert await world.state(C) is RunState.REQUESTED
    # The first word of the others makes room; the time until then counts against nobody.
    await world.settle()
    assert set(world.factory.actors) == {A, B, C}
    assert {row.state for row in await world.supervisor.table()} == {RunState.SYNCING}


async def test_actor_that_no_run_explains_is_ended_after_its_orders_are_cancelled() -> None:
    world = await spawned(A)
    stray = fleet(factory=world.factory, clock=world.clock, executor=world.executor)
    world.executor.open_orders[A] = 1
    await stray.settle(4, 2.0)
    assert A not in world.factory.actors
    assert world.executor.open_orders.get(A) is None


async def test_store_that_is_away_keeps_moves_until_it_is_back() -> None:
    world = await spawned(A)
    world.store.is_down = True
    world.factory.crash(A)
    await world.settle()
    world.factory.actors[A].state = RunState.TRADING
    await world.settle()
    assert await world.state(A) is RunState.TRADING
    assert not [event for _, event, _ in world.store.events if event == "restarted by Ray"]
    world.store.is_down = False
    await world.settle()
    assert [event for _, event, _ in world.store.events].count("restarted by Ray") == 1
    assert world.store.runs["run-1"].restarts == 1


async def test_heartbeat_of_an_older_process_is_ignored() -> None:
    world = await spawned(A)
    old = world.factory.heartbeat(A)
    world.factory.crash(A)
    await world.settle()
    await world.supervisor.heartbeat(old)
    row = (await world.supervisor.table())[0]
    assert (row.epoch, row.restarts) == (2, 1)


async def test_shutdown_drains_all_ends_the_session_and_refuses_what_comes_later() -> None:
    world = await spawned(A, B, C)
    world.executor.open_orders = {A: 1, B: 3}
    report = await shut_down(world)
    assert (report.is_confirmed, report.open_orders, len(report.drains)) == (True, 0, 3)
    assert world.store.ended == "confirmed"
    assert not world.factory.actors
    with pytest.raises(Refused, match="stopping"):
        await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,)))
    assert await world.supervisor.shutdown(False) == report


async def test_shutdown_without_venue_says_not_confirmed() -> None:
    world = await spawned(A)
    world.executor.is_venue_away = True
    report = await shut_down(world)
    assert (report.is_confirmed, report.open_orders) == (False, None)
    assert world.store.ended == "NOT CONFIRMED"


async def test_shutdown_without_database_still_drains() -> None:
    world = await spawned(A)
    world.store.is_down = True
    report = await shut_down(world)
    assert report.is_confirmed
    assert not world.factory.actors


async def test_desired_state_is_what_the_table_shows() -> None:
    world = await spawned(A)
    await world.supervisor.request(FleetCommand(CommandKind.PAUSE, (A,)))
    assert (await world.supervisor.table())[0].desired is DesiredState.PAUSED


async def shut_down(world: Fleet) -> ShutdownReport:
    """Run the shutdown beside the loop that does its work."""
    task = asyncio.create_task(world.supervisor.shutdown(False))
    while not task.done():
        await world.settle(1, 0.01, beats=False)
    return task.result()


async def wait_for_task(world: Fleet, symbol: str) -> None:
    """Reconcile until the symbol is over; bounded by the test's own timeout."""
    while await world.state(symbol) not in (RunState.STOPPED, RunState.KILLED):
        await world.settle(1, 0.01)
    await world.settle(1)


async def test_order_that_a_silent_actor_sent_at_its_very_end_is_cancelled_after_it() -> None:
    world = await spawned(A)
    world.factory.actors[A].is_deaf = True
    kill = world.factory.kill

    async def kill_after_a_last_order(symbol: str) -> bool:
        world.executor.open_orders[symbol] = 1
        return await kill(symbol)

    world.factory.kill = kill_after_a_last_order  # type: ignore[method-assign]
    await world.supervisor.request(FleetCommand(CommandKind.KILL, (A,)))
    await world.settle()
    assert await world.state(A) is RunState.STOPPED
    assert world.executor.open_orders.get(A) is None
