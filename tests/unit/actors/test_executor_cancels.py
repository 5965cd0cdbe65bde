"""A cancel's answer is no end of its order: until the venue says so it counts, and a halt is not confirmed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

from tests.unit.actors.executor_fakes import System, settle, submit
from trading.engine.ports import Submission
from trading.model.orders import OrderCancelled, OrderStatus


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


async def test_end_of_an_order_keeps_why_its_cancel_was_wanted_since_when_and_when_it_was_sent(system: System) -> None:
    first, second = (f"mx-1-{system.epoch}-{number}" for number in (1, 2))
    await submit(system, system.intent(1), system.intent(2))
    asked_ns = system.clock.now_ns()
    wish = replace(system.cancel(first), reason="stop loss")
    system.clock.advance(5_000)
    await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (), (wish,)))
    await settle()
    report = await system.executor.halt("account", None, False, "lunch")
    assert report.confirmed
    await settle()
    told = [item.event for item in system.symbol.deliveries]
    ends = {event.client_order_id: event for event in told if isinstance(event, OrderCancelled)}
    assert (ends[first].why, ends[first].asked_ns, ends[first].sent_ns) == ("stop loss", asked_ns, asked_ns + 5_000)
    assert (ends[second].why, ends[second].asked_ns) == ("halted: lunch", asked_ns + 5_000)
    trackers = (system.executor.core.state.orders.get(name) for name in (first, second))
    reasons = [tracker.record.reason for tracker in trackers if tracker is not None]
    assert reasons == ["stop loss", "halted: lunch"]
