"""The last look before the socket: whatever forbids an order between its commit and its send, it is not sent.

Each case changes one thing and nothing else, and names what says no: another check would not do in its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.unit.actors.executor_fakes import System, settle, submit
from trading.engine.account import ACCOUNT_SCOPE, symbol_scope
from trading.model.orders import OrderStatus, Refusal
from trading.model.session import HaltState
from trading.model.units import NS_PER_MS, NS_PER_S


def halt(scope: str, state: HaltState) -> Callable[[System], None]:
    return lambda system: system.executor.core.account.set_halt(scope, state, "a person")


def replace_owner(system: System) -> None:
    system.executor.core.state.epochs["BTCUSDT"] += 1


def replace_executor(system: System) -> None:
    """It was committed under another epoch than the one that would send it."""
    (tracker,) = system.executor.core.state.orders.live()
    tracker.record = tracker.record.changed(executor_epoch=tracker.record.executor_epoch - 1)


def withdraw(system: System) -> None:
    system.executor.core.state.withdrawn.add(f"mx-1-{system.epoch}-1")


def lapse(system: System) -> None:
    system.clock.advance(int(system.settings.lease_ttl_s * NS_PER_S))


def let_the_window_run_out(system: System) -> None:
    system.clock.advance(1_801 * NS_PER_MS)


@pytest.mark.parametrize(
    ("change", "reason", "text"),
    [
        (halt(ACCOUNT_SCOPE, HaltState.HALTED), Refusal.HALTED, "halted: a person"),
        (halt(symbol_scope("BTCUSDT"), HaltState.HALTED), Refusal.HALTED, "halted: a person"),
        (halt(ACCOUNT_SCOPE, HaltState.REDUCING), Refusal.REDUCING, "exits only: a person"),
        (lapse, Refusal.FENCED, "lease has lapsed"),
        (replace_executor, Refusal.FENCED, "lease has lapsed"),
        (replace_owner, Refusal.FENCED, "owner epoch is"),
        (withdraw, Refusal.STALE_INTENT, "withdrawn"),
        (let_the_window_run_out, Refusal.STALE_INTENT, "signed window"),
    ],
    ids=["account", "symbol", "reducing", "lapsed", "replaced", "new_owner", "withdrawn", "window"],
)
async def test_order_forbidden_between_commit_and_send_is_never_sent(
    change: Callable[[System], None], reason: Refusal, text: str, system: System
) -> None:
    committed, original = asyncio.Event(), system.journal.commit_intents

    class SlowJournal:
        async def commit_intents(self, *args: object) -> tuple[str, ...]:
            taken = await original(*args)  # type: ignore[arg-type]
            await committed.wait()
            return taken

    system.executor.core.intents._journal = SlowJournal()  # type: ignore[assignment]
    sending = asyncio.create_task(submit(system, system.intent(1)))
    await settle()
    (row,) = await system.journal.orders_by_id((f"mx-1-{system.epoch}-1",))
    assert row.status is OrderStatus.SENT, "it is committed, and as good as sent"
    change(system)
    committed.set()
    async with asyncio.timeout(5):
        assert await sending == ()
    assert system.venue.placed == []
    events = [event for event in system.executor.core.state.counters if event.startswith("denied:")]
    assert events == [f"denied:{reason}"]
    tracker = system.executor.core.state.orders.get(f"mx-1-{system.epoch}-1")
    assert tracker is not None
    assert (tracker.record.status, text in tracker.record.reason) == (OrderStatus.DENIED, True)
