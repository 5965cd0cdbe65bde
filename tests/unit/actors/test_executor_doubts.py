"""Doubts that one answer does not settle: lists beside the query, pushes in between, what a refusal leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import System, rounds, settle, submit
from trading.engine.budget import BudgetSettings
from trading.engine.ports import Submission
from trading.model.errors import StoreError
from trading.model.orders import OrderStatus, VenueOrder, VenueStreamLost, VenueStreamRestored, VenueTrade
from trading.model.units import NS_PER_MS, NS_PER_S

PROVABLE_NS = (2_000 + 500 + 2_000) * NS_PER_MS  # window, clock bound and query lag


async def nothing(symbol: str, client_order_id: str) -> VenueOrder | None:
    """Know of no order: the venue's query of one lags."""
    return None


async def lost(system: System) -> str:
    """Place an order whose answer is lost, and that the query does not show; return its id."""
    system.venue.answer, system.venue.order = "lose", nothing  # type: ignore[method-assign]
    await submit(system, system.intent(1))
    return f"mx-1-{system.epoch}-1"


def status(system: System, name: str) -> OrderStatus:
    tracker = system.executor.core.state.orders.get(name)
    assert tracker is not None
    return tracker.record.status


async def test_order_that_only_the_list_of_orders_shows_is_not_absent(system: System) -> None:
    name = await lost(system)
    await rounds(system, PROVABLE_NS, NS_PER_S)
    assert status(system, name) is OrderStatus.OPEN


async def test_order_that_only_the_list_of_trades_shows_is_not_absent(system: System) -> None:
    name = await lost(system)
    system.venue.fill(name, 400, pushes=False)

    async def no_orders(symbol: str, since_ms: int) -> tuple[VenueOrder, ...]:
        return ()

    system.venue.recent_orders = no_orders  # type: ignore[method-assign]
    await rounds(system, PROVABLE_NS, NS_PER_S)
    assert status(system, name) is not OrderStatus.NOT_SENT
    assert system.executor.core.state.counters["not_sent"] == 0


async def test_push_between_the_questions_is_believed_and_contradicts_nothing(system: System) -> None:
    name = await lost(system)
    system.venue.is_blind = True

    async def no_trades(symbol: str, venue_order_id: str, since_ms: int) -> tuple[VenueTrade, ...]:
        system.venue.push(system.venue.book[name])  # while the last of the lists is on its way
        return ()

    system.venue.trades = no_trades  # type: ignore[method-assign]
    await rounds(system, PROVABLE_NS)
    assert status(system, name) is OrderStatus.OPEN
    assert "order_contradiction" not in [alert for _, alert, *_ in system.journal.alerts]


async def test_all_is_compared_when_the_stream_is_back_though_it_was_when_it_went(system: System) -> None:
    await submit(system, system.intent(1))
    name, now_ns = f"mx-1-{system.epoch}-1", system.clock.now_ns()
    system.venue.push(VenueStreamLost("cut", now_ns))
    await rounds(system, NS_PER_S)
    system.venue.end(name, pushes=False)
    system.venue.push(VenueStreamRestored(system.clock.now_ns()))
    await rounds(system, NS_PER_MS, NS_PER_MS)
    assert status(system, name) is OrderStatus.CANCELLED


async def test_cancel_that_finds_nothing_open_reads_what_became_of_the_order(system: System) -> None:
    await submit(system, system.intent(1))
    name = f"mx-1-{system.epoch}-1"
    system.venue.end(name, pushes=False)
    await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (), (system.cancel(name),)))
    await settle()
    assert status(system, name) is OrderStatus.CANCELLED


async def test_order_whose_commit_fails_gives_its_place_back(system: System) -> None:
    class DeadJournal:
        async def commit_intents(self, *args: object) -> tuple[str, ...]:
            raise StoreError("connection lost")

    system.executor.core.intents._journal = DeadJournal()  # type: ignore[assignment]
    assert await submit(system, system.intent(1), system.intent(2)) == ()
    assert system.executor.core.budget._committing == [0, 0, 0]


@pytest.mark.parametrize("wait_ms", [700])
async def test_signed_window_begins_when_the_token_is_there_not_when_the_order_was_made(wait_ms: int) -> None:
    system = System(replace(ExecutorSettings("main", "one", is_paper=False), budget=BudgetSettings()))
    await system.start()
    core = system.executor.core
    core.budget.on_rate_limited(wait_ms / 1_000, system.clock.now_ns())
    made_ms = system.venue.now_ms()
    sending = asyncio.create_task(submit(system, system.intent(1)))
    await settle()
    system.clock.advance((wait_ms + 200) * NS_PER_MS)
    async with asyncio.timeout(5):
        await sending
    (placed,) = system.venue.placed
    assert placed.signed_ms == made_ms + wait_ms + 200
    await system.executor.close()


# How an administrator may set the host's clock.
STEPS_NS = [0, 3_600 * NS_PER_S, -3_600 * NS_PER_S]


@pytest.mark.parametrize("step_ns", STEPS_NS)
async def test_order_that_has_just_ended_and_is_still_listed_becomes_an_orphan_after_the_lag_only(
    system: System, step_ns: int
) -> None:
    await submit(system, system.intent(1))
    name = f"mx-1-{system.epoch}-1"
    listed = system.venue.book[name]
    system.venue.end(name)
    system.venue.book[name] = listed  # its list lags
    system.clock.step(step_ns)
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, NS_PER_S)
    assert (system.venue.cancelled, system.executor.core.state.counters["orphans"]) == ([], 0)
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, NS_PER_S + 1)
    await rounds(system, 0)
    assert (set(system.venue.cancelled), system.executor.core.state.counters["orphans"]) == ({name}, 1)


@pytest.mark.parametrize("step_ns", STEPS_NS)
async def test_order_that_is_listed_no_more_is_asked_about_whatever_the_clock_says(
    system: System, step_ns: int
) -> None:
    await submit(system, system.intent(1))
    name = f"mx-1-{system.epoch}-1"
    system.venue.end(name, pushes=False)
    system.clock.step(step_ns)
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, 1)
    assert status(system, name) is OrderStatus.CANCELLED


async def test_order_that_changed_after_the_venue_was_asked_is_not_missed(system: System) -> None:
    await submit(system, system.intent(1))
    core, name = system.executor.core, f"mx-1-{system.epoch}-1"
    system.venue.is_blind, listing = True, system.venue.open_orders

    async def meanwhile(symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        shown = await listing(symbols)
        system.venue.fill(name, 400)
        return shown

    system.venue.open_orders = meanwhile  # type: ignore[method-assign]
    core.desk.is_reconcile_wanted = True
    await rounds(system, 1)
    assert (status(system, name), core.reconciler._suspects) == (OrderStatus.PARTIALLY_FILLED, {})
