"""What hangs on its way out, in the journal or at the venue, holds back the next orders, and no cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, System, settle, submit
from trading.adapters.store.memory_journal import MemoryJournal
from trading.engine.budget import BudgetSettings
from trading.engine.ports import OrderRecord, Submission
from trading.model.market import Side
from trading.model.orders import Purpose
from trading.model.session import Lease
from trading.model.units import NS_PER_MS, NS_PER_S

# As many tokens as anybody wants, so that only what may arrive in a second bounds: twelve.
BUDGET = BudgetSettings(orders_per_s=10, order_burst=1_000, requests_per_s=0, request_burst=0)
LIMITS = (
    ("max_open_orders", "200"),
    ("max_gross_exposure", "100000"),
    ("max_symbol_exposure", "100000"),
    ("max_entries_per_minute", "10000"),
)


class StallingJournal(MemoryJournal):
    """A journal whose commits of intents are answered when `goes_on` is set."""

    def __init__(self, account: str, now_ns: Callable[[], int]) -> None:
        super().__init__(account, now_ns)
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.committed: list[str] = []

    async def commit_intents(self, lease: Lease, orders: Sequence[OrderRecord]) -> tuple[str, ...]:
        await self.goes_on.wait()
        conflicts = await super().commit_intents(lease, orders)
        self.committed += [order.client_order_id for order in orders]
        return conflicts


@pytest.fixture
async def system() -> AsyncIterator[System]:
    made = System(ExecutorSettings("main", "one", is_paper=False, budget=BUDGET, limits=LIMITS, lease_ttl_s=60.0))
    made.journal = StallingJournal("main", made.clock.now_ns)
    made.executor = made.make("one")
    await made.start()
    yield made
    journal(made).goes_on.set()
    made.venue.gate = None
    await made.executor.close()
    assert made.crashes == []


def journal(system: System) -> StallingJournal:
    assert isinstance(system.journal, StallingJournal)
    return system.journal


async def until(is_done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_done():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def resting(system: System, count: int) -> tuple[str, ...]:
    """Let some orders rest at the venue, and what they cost be over."""
    names = await submit(system, *(system.intent(number, price=BID - number) for number in range(1, count + 1)))
    assert len(names) == count
    system.clock.advance(2 * NS_PER_S)
    await system.executor.mark("BTCUSDT", BID, system.clock.now_ns())
    return names


def propose(system: System, count: int) -> asyncio.Task[object]:
    """Submit so many more, and wait for nothing."""
    intents = tuple(system.intent(number, price=BID - number) for number in range(101, 101 + count))
    batch = Submission("BTCUSDT", system.epoch, "run-1", intents, ())
    return asyncio.create_task(system.executor.submit(batch))


async def cancel(system: System, names: Sequence[str]) -> None:
    cancels = tuple(system.cancel(name) for name in names)
    await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (), cancels))


async def test_cancels_go_out_while_the_journal_answers_no_commit(system: System) -> None:
    names = await resting(system, 5)
    journal(system).goes_on.clear()
    waiting = propose(system, 30)
    await settle()
    await cancel(system, names)
    await until(lambda: sorted(system.venue.cancelled) == sorted(names))
    assert len(system.venue.placed) == 5
    assert len(system.executor.core.state.sending) == 9, "the rest waits without being signed"
    journal(system).goes_on.set()
    system.clock.advance(1_100 * NS_PER_MS)
    async with asyncio.timeout(10):
        await waiting


async def test_cancels_go_out_while_the_venue_answers_no_order(system: System) -> None:
    names = await resting(system, 3)
    system.venue.gate = asyncio.Event()
    waiting = propose(system, 30)
    await until(lambda: len(system.venue.placed) == 3 + 9)
    await cancel(system, names)
    await until(lambda: sorted(system.venue.cancelled) == sorted(names))
    assert len(system.venue.placed) == 3 + 9
    system.venue.gate.set()
    system.clock.advance(1_100 * NS_PER_MS)
    async with asyncio.timeout(10):
        await waiting


async def test_orders_that_the_journal_lets_go_at_once_leave_no_faster_than_the_venue_allows(system: System) -> None:
    names = await resting(system, 8)
    journal(system).goes_on.clear()
    waiting = propose(system, 9)
    await settle()
    await cancel(system, names)
    await until(lambda: len(system.venue.cancelled) == 8)
    journal(system).goes_on.set()
    await until(lambda: len(system.venue.placed) == 8 + 4)
    await settle()
    assert len(system.venue.placed) == 8 + 4, "twelve in this second, with the cancels"
    system.clock.advance(1_100 * NS_PER_MS)
    async with asyncio.timeout(10):
        await waiting
    await until(lambda: len(system.venue.placed) == 8 + 9)


async def test_an_exit_leaves_before_entries_that_were_committed_first_and_wait_for_room(system: System) -> None:
    (bought,) = await resting(system, 1)
    system.venue.fill(bought, 1000)
    names = await submit(system, *(system.intent(number, price=BID - number) for number in range(2, 10)))
    system.clock.advance(2 * NS_PER_S)
    await system.executor.mark("BTCUSDT", BID, system.clock.now_ns())
    journal(system).goes_on.clear()
    waiting = propose(system, 9)
    await settle()
    await cancel(system, names)
    await until(lambda: len(system.venue.cancelled) == 8)
    journal(system).goes_on.set()
    await until(lambda: len(system.venue.placed) == 9 + 4)
    exit_intent = system.intent(50, side=Side.SELL, lots=1000, price=BID + 100, purpose=Purpose.EXIT)
    selling = asyncio.create_task(submit(system, exit_intent))
    await until(lambda: exit_intent.client_order_id in journal(system).committed)
    await settle()
    assert len(system.venue.placed) == 9 + 4, "twelve in this second, with the cancels"
    system.clock.advance(1_100 * NS_PER_MS)
    async with asyncio.timeout(10):
        assert await selling == (exit_intent.client_order_id,)
        await waiting
    await until(lambda: len(system.venue.placed) == 9 + 4 + 6)
    assert system.venue.placed[9 + 4].client_order_id == exit_intent.client_order_id


async def test_an_exit_leaves_before_entries_that_are_committed_with_it(system: System) -> None:
    (bought,) = await resting(system, 1)
    system.venue.fill(bought, 1000)
    journal(system).goes_on.clear()
    tasks = []
    exit_intent = system.intent(50, side=Side.SELL, lots=1000, price=BID + 100, purpose=Purpose.EXIT)
    for intent in (*(system.intent(number, price=BID - number) for number in range(101, 105)), exit_intent):
        tasks.append(asyncio.create_task(submit(system, intent)))
        await settle()  # the first is in a commit of its own, and the others gather
    journal(system).goes_on.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    await until(lambda: len(system.venue.placed) == 1 + 5)
    assert system.venue.placed[2].client_order_id == exit_intent.client_order_id


async def test_orders_that_wait_for_room_are_withheld_by_a_halt(system: System) -> None:
    names = await resting(system, 8)
    journal(system).goes_on.clear()
    waiting = propose(system, 9)
    await settle()
    await cancel(system, names)
    await until(lambda: len(system.venue.cancelled) == 8)
    journal(system).goes_on.set()
    await until(lambda: len(system.venue.placed) == 8 + 4)
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    async with asyncio.timeout(10):
        await waiting
    assert len(system.venue.placed) == 8 + 4
    system.clock.advance(1_100 * NS_PER_MS)
    async with asyncio.timeout(10):
        assert (await halting).confirmed
    assert not [word for word in system.venue.book.values() if not word.status.is_terminal]
