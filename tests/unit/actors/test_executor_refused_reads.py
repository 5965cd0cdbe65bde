"""A venue that refuses one read: what the others can tell is learnt all the same."""

from __future__ import annotations

from tests.unit.actors.executor_fakes import System, rounds, submit
from trading.model.errors import VenueUnavailable
from trading.model.orders import OrderStatus, VenueBalance
from trading.model.units import NS_PER_S


async def test_unknown_order_is_resolved_while_the_account_cannot_be_read(system: System) -> None:
    async def refused() -> tuple[VenueBalance, ...]:
        raise VenueUnavailable("GET account: code 700007")

    core, venue = system.executor.core, system.venue
    venue.answer = "lose"
    order = system.intent(1)
    await submit(system, order)
    system.venue.balances = refused  # type: ignore[method-assign]
    core.desk.is_reconcile_wanted = True
    for _ in range(30):
        await rounds(system, NS_PER_S)
    tracker = core.state.orders.get(order.client_order_id)
    assert tracker is not None
    assert tracker.record.status is OrderStatus.OPEN
    assert core.desk.is_reconcile_wanted, "the comparison is still owed"
