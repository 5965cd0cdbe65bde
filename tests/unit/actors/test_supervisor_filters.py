"""Filters that change while a symbol runs: orders are cancelled by the old ones, and it starts anew by the new ones."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from actors.fleet import FleetCommand
from actors.workflow import CommandKind
from tests.unit.actors.executor_fakes import BTC
from tests.unit.actors.fleet_fakes import Fleet, fleet
from trading.model.instrument import Instrument
from trading.model.session import MarketHealth, RunState

A = "AAAUSDT"
COARSE = replace(BTC, symbol=A, tick_size=Decimal("0.01"))
FINE = replace(COARSE, tick_size=Decimal("0.001"))


async def trading(instrument: Instrument = COARSE) -> Fleet:
    world = fleet()
    world.catalog.listed[A] = instrument
    await world.supervisor.request(FleetCommand(CommandKind.SPAWN, (A,)))
    await world.settle()
    await world.trade(A)
    return world


async def test_filters_that_change_replace_the_actor_under_a_new_epoch() -> None:
    world = await trading()
    first = world.factory.actors[A]
    await world.settle()
    assert world.factory.actors[A] is first, "filters that stay replace nobody"
    world.catalog.listed[A] = FINE
    await world.settle()
    second = world.factory.actors[A]
    assert first.calls == ["drain"], "quotes by the old filters are cancelled, nothing is sold"
    assert A in world.executor.detached
    assert (second.epoch, second.filters) == (first.epoch + 1, FINE.filters)
    assert world.executor.instruments[A] == FINE
    assert await world.state(A) is RunState.SYNCING
    assert any("its filters changed: tick 0.001" in detail for _, _, detail in world.store.events)
    await world.settle(20)
    assert world.factory.actors[A] is second, "once"


async def test_filters_that_change_wait_until_orders_by_the_old_ones_are_gone() -> None:
    world = await trading()
    world.executor.open_orders[A] = 1
    world.executor.is_venue_away = True
    world.catalog.listed[A] = FINE
    await world.settle(20)
    assert A not in world.factory.actors
    assert world.executor.instruments[A] == COARSE
    world.executor.is_venue_away = False
    world.executor.open_orders.clear()
    await world.settle(30, 1.0)
    assert world.factory.actors[A].filters == FINE.filters


async def test_symbol_that_the_venue_stops_ends_with_the_reason_and_comes_back() -> None:
    world = await trading()
    world.catalog.listed[A] = replace(COARSE, exclusion="paused by the venue")
    await world.settle(20)
    assert A not in world.factory.actors
    assert await world.state(A) is RunState.FAILED
    (row,) = await world.supervisor.table()
    assert "paused by the venue" in row.reason
    world.catalog.listed[A] = COARSE
    await world.settle(30, 1.0)
    assert world.factory.actors[A].filters == COARSE.filters


async def test_frames_that_do_not_fit_let_the_list_be_read_anew() -> None:
    world = await trading()
    beat = replace(world.factory.heartbeat(A), market=MarketHealth(decode_errors=1))
    await world.supervisor.heartbeat(beat)
    assert world.catalog.refreshes == 1


@pytest.mark.parametrize(
    "change",
    [
        {"tick_size": Decimal("0.1")},
        {"lot_size": Decimal("1")},
        {"min_qty": Decimal("3")},
        {"min_notional": Decimal("5")},
        {"max_notional": Decimal("7")},
    ],
)
def test_filters_text_differs_with_each_of_them_and_not_with_fees_or_spelling(change: dict[str, Decimal]) -> None:
    assert replace(COARSE, **change).filters != COARSE.filters
    assert replace(
        COARSE, maker_fee_rate=Decimal("0.1"), min_notional=COARSE.min_notional * Decimal("1.000")
    ).filters == (COARSE.filters)
