"""A cancel's answer is no end of its order: until the venue says so it counts, and a halt is not confirmed."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.unit.actors.executor_fakes import System, settle, submit
from trading.engine.ports import Submission
from trading.model.orders import OrderStatus


async def test_cancel_answered_with_new_leaves_the_order_open_until_its_end_is_told(system: System) -> None:
    name, core = f"mx-1-{system.epoch}-1", system.executor.core
    await submit(system, system.intent(1))

    async def answers_new(symbol: str, client_order_id: str, venue_order_id: str) -> bool:
        system.venue.cancelled.append(client_order_id)
        system.venue.push(system.venue.book[client_order_id])  # "NEW": taken, and not done
        return True

    system.venue.cancel = answers_new  # type: ignore[method-assign]
    await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (), (system.cancel(name),)))
    await settle()
    tracker = core.state.orders.get(name)
    assert tracker is not None
    assert (system.venue.cancelled, tracker.record.status) == ([name], OrderStatus.CANCELLING)
    assert core.account.commitments.reserved("USDT") > 0
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    assert not halting.done()
    assert not (await system.executor.halt_report()).confirmed
    system.venue.end(name)
    async with asyncio.timeout(5):
        assert (await halting).confirmed
    assert (tracker.record.status, core.account.commitments.reserved("USDT")) == (OrderStatus.CANCELLED, Decimal(0))
