"""A crash at every named point: afterwards nothing is lost, nothing was sent twice, nothing is booked twice."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.unit.actors.executor_fakes import System, settle
from trading.engine.ports import Crashpoint, Submission
from trading.model.errors import InvariantViolated
from trading.model.units import NS_PER_S

# What one life on fakes does not come by; `tests/chaos` dies there in real processes.
ELSEWHERE = frozenset(
    {
        Crashpoint.START_AFTER_LEASE,
        Crashpoint.START_AFTER_RECOVER,
        Crashpoint.ATTACH_AFTER_EPOCH,
        Crashpoint.FETCH_BEFORE_BOOK,
        Crashpoint.DELIVER_AFTER,
    }
)
POINTS = tuple(point for point in Crashpoint if point not in ELSEWHERE)


class CrashOnce:
    """Dies at a point, the n-th time it is reached; `reached` says whether it was."""

    def __init__(self, name: Crashpoint, after: int) -> None:
        self._name = name
        self._left = after
        self.is_armed = False
        self.has_died = False

    def reach(self, name: Crashpoint) -> None:
        if not self.is_armed or name != self._name or self.has_died:
            return
        if self._left:
            self._left -= 1
            return
        self.has_died = True
        raise InvariantViolated(f"killed at {name}")


async def one_life(system: System) -> None:
    """Three orders: one fills in two parts, one is cancelled, one never arrives. Ends early when the executor dies."""
    first, second, third = (system.intent(number) for number in (1, 2, 3))
    batch = Submission("BTCUSDT", system.epoch, "run-1", (first, second), ())
    submitting = asyncio.create_task(system.executor.submit(batch))
    await settle()
    if first.client_order_id in system.venue.book:
        system.venue.fill(first.client_order_id, 400)
    await settle()
    cancel = system.cancel(second.client_order_id)
    cancelling = asyncio.create_task(
        system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (), (cancel,)))
    )
    await settle()
    system.venue.answer = "vanish"
    lost = asyncio.create_task(system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (third,), ())))
    await settle()
    system.executor.core.desk.is_reconcile_wanted = True
    try:
        await system.executor.core.reconciler.round()
        system.clock.advance(5 * NS_PER_S)
        await system.executor.core.reconciler.round()
    except InvariantViolated as error:
        system.crashes.append(str(error))
    await settle()
    for task in (submitting, cancelling, lost):
        task.cancel()


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("point", POINTS)
async def test_crash_at_a_named_point_loses_and_repeats_nothing(point: Crashpoint, after: int) -> None:
    crashpoints = CrashOnce(point, after)
    system = System(crashpoints=crashpoints)
    await system.start()
    crashpoints.is_armed = True
    await one_life(system)
    if after == 0:
        assert crashpoints.has_died, f"{point} was never reached"
        assert system.crashes
    crashpoints.has_died = True
    system.venue.answer = "accept"
    await system.crash()
    name = f"mx-1-{system.epoch}-1"
    if name in system.venue.book and not system.venue.book[name].status.is_terminal:
        system.venue.fill(name, 600 if system.venue.book[name].filled_lots else 1000)
    for _ in range(4):
        system.clock.advance(2 * NS_PER_S)
        await system.executor.core.keeper.renew()
        system.executor.core.desk.is_reconcile_wanted = True
        await system.executor.core.reconciler.round()
        await settle()
    await _check(system)
    await system.executor.close()


async def _check(system: System) -> None:
    """Venue and journal agree on every order, fill and sequence."""
    placed = [order.client_order_id for order in system.venue.placed]
    assert len(placed) == len(set(placed))
    rows = {
        row.client_order_id: row
        for row in await system.journal.orders_by_id([f"mx-1-{system.epoch}-{number}" for number in (1, 2, 3)])
    }
    assert set(placed) <= set(rows), "an order without a journal row"
    for name, row in rows.items():
        at_venue = system.venue.book.get(name)
        if at_venue is None:
            assert row.status.value in ("NOT_SENT", "DENIED")
        else:
            assert (row.status, row.filled_lots) == (at_venue.status, at_venue.filled_lots)
    traded = sum((item.fill.qty_lots for item in system.venue.executions), 0)
    loaded = await system.journal.load("main")
    held = sum((item.qty for item in loaded.positions), Decimal(0))
    assert held == traded * Decimal("0.0001")
    booked = [fill.qty_lots for name in rows for fill in await system.journal.fills_of(name)]
    assert sum(booked) == traded
    assert dict(loaded.ledger_totals).get("BTC", Decimal(0)) == held
    events = await system.journal.events_after("BTCUSDT", 0, 1000)
    assert [item.seq for item in events] == list(range(1, len(events) + 1))
    told = {item.seq: item.event for item in system.symbol.deliveries}
    assert all(told.get(item.seq, item.event) == item.event for item in events), "a symbol was told what never happened"
