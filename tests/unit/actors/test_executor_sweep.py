"""The sweep of a halt: few calls where all is ours, one by one beside foreign orders; groups, progress, flatten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.executor_sweep import STEP_S
from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, UNLIMITED, System, rounds, settle, submit
from trading.engine.ports import Submission
from trading.engine.reconcile import OrphanPolicy
from trading.model.orders import OrderStatus, Purpose, VenueOrder
from trading.model.session import HaltState
from trading.model.units import NS_PER_S


async def test_halt_ends_what_is_all_ours_by_one_call(system: System) -> None:
    await submit(system, *(system.intent(number) for number in range(1, 6)))
    report = await system.executor.halt("account", None, False, "test")
    assert (report.confirmed, report.open_orders) == (True, 0)
    assert system.venue.swept == [("BTCUSDT",)]
    assert len(system.venue.cancelled) == 5
    assert {
        item.record.status for item in map(system.executor.core.state.orders.get, system.venue.cancelled) if item
    } == {OrderStatus.CANCELLED}


async def test_halt_beside_a_foreign_order_ends_ours_one_by_one_and_leaves_it(system: System) -> None:
    system.venue.hold("by-hand")
    await submit(system, system.intent(1), system.intent(2))
    report = await system.executor.halt("account", None, False, "test")
    assert (report.confirmed, report.open_orders) == (True, 0)
    assert system.venue.swept == []
    assert system.venue.book["by-hand"].status is OrderStatus.OPEN
    assert sorted(system.venue.cancelled) == [f"mx-1-{system.epoch}-{number}" for number in (1, 2)]


@pytest.mark.parametrize("foreign", [True, False])
async def test_halt_ends_orders_of_ours_that_only_the_venue_knows(system: System, foreign: bool) -> None:
    system.venue.hold("mx-9-9-9")
    if foreign:
        system.venue.hold("by-hand")
    system.venue.is_mute = True
    report = await system.executor.halt("account", None, False, "test")
    assert (report.confirmed, report.open_orders) == (True, 0)
    assert system.venue.book["mx-9-9-9"].status is OrderStatus.CANCELLED
    await rounds(system, 0)
    told = [text for _, name, text, *_ in system.journal.alerts if name == "orphan_order"]
    assert [text.partition(":")[0] for text in told] == ["mx-9-9-9"]


async def test_halt_of_a_group_ends_its_symbols_and_no_other(system: System) -> None:
    attached = await system.executor.attach_symbol("ETHUSDT", "run-2", 2, "test")
    await system.executor.mark("ETHUSDT", BID, 0)
    other = replace(system.intent(1), client_order_id="mx-2-1-1", symbol="ETHUSDT", owner_epoch=attached.owner_epoch)
    await system.executor.submit(Submission("ETHUSDT", attached.owner_epoch, "run-2", (other,), ()))
    await submit(system, system.intent(1))
    report = await system.executor.halt_group(("BTCUSDT",), False, "a group of one")
    assert report.confirmed
    assert system.venue.book["mx-2-1-1"].status is OrderStatus.OPEN
    report = await system.executor.halt_group(("BTCUSDT", "ETHUSDT"), False, "both")
    assert (report.state, report.confirmed) == (HaltState.HALTED, True)
    assert system.venue.book["mx-2-1-1"].status is OrderStatus.CANCELLED
    assert await system.journal.halts() == (
        ("symbol:BTCUSDT", HaltState.HALTED, "both"),
        ("symbol:ETHUSDT", HaltState.HALTED, "both"),
    )
    await system.executor.resume_group(("BTCUSDT", "ETHUSDT"))
    assert system.executor.core.account.halts() == ()


async def test_halt_under_way_says_how_many_orders_are_left(system: System) -> None:
    system.venue.is_down = True
    await submit(system, system.intent(1), system.intent(2))
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    report = await system.executor.halt_report()
    assert (report.confirmed, report.open_orders) == (False, 2)
    assert "2 orders are not over yet" in report.reason
    system.venue.is_down = False
    system.clock.advance(4 * NS_PER_S)
    async with asyncio.timeout(5):
        assert (await halting).confirmed


async def test_flatten_offers_a_few_exits_at_a_time_and_each_three_times(system: System) -> None:
    await submit(system, system.intent(1))
    system.venue.fill(f"mx-1-{system.epoch}-1", 1000)
    await settle()
    halting = asyncio.create_task(system.executor.halt("account", None, True, "test"))
    for _ in range(3):
        await asyncio.sleep(4 * STEP_S)
        system.venue.end(system.venue.placed[-1].client_order_id)  # an IOC that met nobody
    async with asyncio.timeout(5):
        report = await halting
    assert (report.confirmed, report.reason) == (True, "test; still held: 0.1 BTCUSDT")
    assert [order.purpose for order in system.venue.placed] == [Purpose.ENTRY, *[Purpose.EXIT] * 3]


class Waits:
    """Holds back what the venue's list answers in a halt until the halt's cancel cannot have its token for a while."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.asked = 0
        self.answer = system.venue.open_orders
        system.venue.open_orders = self.open_orders  # type: ignore[method-assign]

    async def open_orders(self, symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        shown = await self.answer(symbols)
        self.asked += 1
        if self.asked == 1:
            self.system.executor.core.budget.on_rate_limited(3.0, self.system.clock.now_ns())
        return shown


async def wait_for_tokens(system: System) -> None:
    system.clock.advance(4 * NS_PER_S)
    async with asyncio.timeout(5):
        while system.executor.core.sends.cancels.is_sweeping("BTCUSDT"):
            await settle()


async def test_sweep_that_waited_looks_again_and_leaves_what_was_placed_by_hand(system: System) -> None:
    await submit(system, system.intent(1))
    waits = Waits(system)
    sweeping = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    assert (waits.asked, system.venue.swept) == (1, [])
    system.venue.hold("by-hand")
    await wait_for_tokens(system)
    async with asyncio.timeout(10):
        report = await sweeping
    assert system.venue.swept == []
    assert system.venue.book["by-hand"].status is OrderStatus.OPEN
    assert report.confirmed
    assert system.venue.cancelled == [f"mx-1-{system.epoch}-1"]


async def test_sweep_whose_halt_was_lifted_while_it_waited_ends_nothing(system: System) -> None:
    await submit(system, system.intent(1))
    Waits(system)
    sweeping = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    await system.executor.resume("account", None)
    await wait_for_tokens(system)
    async with asyncio.timeout(10):
        assert (await sweeping).state is HaltState.ACTIVE
    assert (system.venue.swept, system.venue.cancelled) == ([], [])


async def test_halt_ends_orphans_that_the_policy_leaves_alone_and_no_foreign_order() -> None:
    system = System(ExecutorSettings("main", "one", is_paper=False, budget=UNLIMITED, orphan_policy=OrphanPolicy.LEAVE))
    await system.start()
    system.venue.hold("mx-another-life-1")
    system.venue.hold("by-hand")
    await rounds(system, 61 * NS_PER_S, 61 * NS_PER_S)
    assert system.venue.cancelled == []
    assert [name for _, name, *_ in system.journal.alerts].count("orphan_order") == 1
    async with asyncio.timeout(10):
        report = await system.executor.halt("account", None, False, "stop")
    assert (report.confirmed, report.open_orders) == (True, 0)
    assert system.venue.cancelled == ["mx-another-life-1"]
    await system.executor.close()
