"""Paper mode: orders go to the symbols' paper venues, executions count once journaled, balances are the ledger's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, BTC, UNLIMITED, settle
from trading.adapters.clock import ManualClock
from trading.adapters.paper import PaperGateway
from trading.adapters.store.memory_journal import MemoryJournal
from trading.engine.budget import BudgetSettings
from trading.engine.ports import OrderRecord, Submission
from trading.model.errors import FencedOut, NotRunning, OutcomeUnknown, VenueUnavailable
from trading.model.market import Side
from trading.model.orders import (
    Delivery,
    Fill,
    OrderIntent,
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceAnswer,
    Purpose,
    VenueOrder,
    VenueTrade,
)
from trading.model.position import Position
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

D = Decimal
SETTINGS = ExecutorSettings(
    "main", "one", is_paper=True, opening=(("USDT", D(1000)),), budget=UNLIMITED, detach_patience_s=0
)


class PaperSymbol:
    """One symbol's paper venue: holds what it is given; `error` is raised instead of an answer."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.open: dict[str, OrderRecord] = {}
        self.calls: list[int] = []
        self.deliveries: list[Delivery] = []
        self.error: type[NotRunning] | type[OutcomeUnknown] | None = None

    def _check(self) -> None:
        if self.error is not None:
            raise self.error("the actor is away")

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        self.deliveries.extend(deliveries)

    async def paper_place(self, orders: tuple[OrderRecord, ...]) -> tuple[PlaceAnswer, ...]:
        self._check()
        self.calls.append(len(orders))
        self.open.update({order.client_order_id: order for order in orders})
        return tuple(PlaceAccepted(o.client_order_id, f"p-{o.client_order_id}", self.clock.now_ns()) for o in orders)

    async def paper_cancel(self, ids: tuple[str, ...]) -> tuple[bool, ...]:
        self._check()
        return tuple(self.open.pop(name, None) is not None for name in ids)

    async def paper_orders(self) -> tuple[VenueOrder, ...]:
        self._check()
        return tuple(self.word(name, OrderStatus.OPEN) for name in self.open)

    def word(self, name: str, status: OrderStatus, filled: int = 0) -> VenueOrder:
        return VenueOrder(
            "BTCUSDT", name, f"p-{name}", status, Side.BUY, OrderType.LIMIT, BID, 1000, filled, D(0), 0, 0
        )

    def trade(self, name: str, lots: int, epoch: int, number: int = 1) -> VenueTrade:
        now_ns = self.clock.now_ns()
        quote = BTC.notional(BID, lots)
        if lots == 1000:
            self.open.pop(name)
        fill = Fill(
            "paper",
            f"{name}.{number}",
            name,
            f"p-{name}",
            "BTCUSDT",
            Side.BUY,
            BID,
            lots,
            quote,
            D(0),
            "USDT",
            True,
            now_ns,
            now_ns,
        )
        return VenueTrade(fill, "paper", epoch)


class PaperSystem:
    """A paper executor with one symbol."""

    def __init__(self) -> None:
        self.settings = SETTINGS
        self.clock = ManualClock()
        self.journal = MemoryJournal("main", self.clock.now_ns)
        self.symbol = PaperSymbol(self.clock)
        self.crashes: list[str] = []
        self.executor = self.make("one")
        self.epoch = 0

    def make(self, owner: str) -> ExecutorActor:
        gateway = PaperGateway(lambda _: self.symbol, self.clock)
        return ExecutorActor(
            replace(self.settings, owner=owner),
            self.journal,
            gateway,
            {"BTCUSDT": BTC},
            lambda _: self.symbol,
            self.clock,
            self.crashes.append,
        )

    async def start(self) -> None:
        await self.executor.start(with_loops=False)
        await self.executor.core.reconciler.round()
        await self.attach()

    async def attach(self) -> tuple[OrderRecord, ...]:
        attachment = await self.executor.attach_symbol("BTCUSDT", "run-1", 1, "test")
        self.epoch = attachment.owner_epoch
        await self.executor.mark("BTCUSDT", BID, 0)
        return attachment.bootstrap.open_orders

    async def submit(self, *numbers: int) -> None:
        now_ns = self.clock.now_ns()
        intents = tuple(
            OrderIntent(
                f"mx-1-{self.epoch}-{number}",
                "BTCUSDT",
                Side.BUY,
                OrderType.LIMIT,
                BID,
                1000,
                Purpose.ENTRY,
                now_ns,
                now_ns + NS_PER_S,
                self.epoch,
                "s",
            )
            for number in numbers
        )
        await self.executor.submit(Submission("BTCUSDT", self.epoch, "run-1", intents, ()))
        await settle()

    async def status_of(self, name: str) -> OrderStatus:
        (record,) = await self.journal.orders_by_id((name,))
        return record.status

    @property
    def kinds(self) -> list[str]:
        return [type(item.event).__name__.removeprefix("Order") for item in self.symbol.deliveries]


@pytest.fixture
async def system() -> PaperSystem:
    made = PaperSystem()
    await made.start()
    return made


async def test_opening_balance_is_booked_once_in_the_accounts_life(system: PaperSystem) -> None:
    assert system.executor.core.account.total("USDT") == D(1000)
    await system.executor.close()
    system.executor = system.make("two")
    await system.executor.start(with_loops=False)
    assert system.executor.core.account.total("USDT") == D(1000)
    assert [line.kind for line in system.journal.ledger] == ["opening"]
    await system.executor.close()


async def test_placements_of_one_moment_share_a_call(system: PaperSystem) -> None:
    await system.submit(1, 2, 3)
    assert system.symbol.calls == [3]
    assert system.kinds == ["Accepted"] * 3


async def test_execution_is_journaled_before_the_report_is_answered_and_counts_once(system: PaperSystem) -> None:
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    trade = system.symbol.trade(name, 400, system.epoch)
    assert await system.executor.paper_reports("BTCUSDT", system.epoch, (trade,)) == 1
    assert len(await system.journal.fills_of(name)) == 1
    assert await system.executor.paper_reports("BTCUSDT", system.epoch, (trade,)) == 1
    assert len(await system.journal.fills_of(name)) == 1
    account = system.executor.core.account
    assert account.total("USDT") == D(996)
    assert account.available("USDT") == D(996) - D(6) * D("1.0005")
    await system.executor.core.books.round()
    assert system.crashes == []
    assert account.halt_state()[0] is HaltState.ACTIVE


async def test_execution_of_an_old_owner_never_happened(system: PaperSystem) -> None:
    await system.submit(1)
    old = system.epoch
    trade = system.symbol.trade(f"mx-1-{old}-1", 400, old)
    await system.attach()
    with pytest.raises(FencedOut):
        await system.executor.paper_reports("BTCUSDT", old, (trade,))
    assert await system.journal.fills_of(f"mx-1-{old}-1") == ()


async def test_restarted_symbol_gets_its_open_orders_back_and_loses_unknown_ones(system: PaperSystem) -> None:
    await system.submit(1)
    first = f"mx-1-{system.epoch}-1"
    system.symbol.error = OutcomeUnknown
    await system.submit(2)
    second = f"mx-1-{system.epoch}-2"
    assert await system.status_of(second) is OrderStatus.UNKNOWN
    system.symbol.error = None
    assert [order.client_order_id for order in await system.attach()] == [first]
    assert await system.status_of(second) is OrderStatus.CANCELLED


async def test_unknown_order_is_resolved_by_the_default_budget_though_the_venue_answers_at_once() -> None:
    """Its bucket holds one read at a time; three are needed, and no answer takes long enough for the next to come."""
    system = PaperSystem()
    system.settings = replace(SETTINGS, budget=BudgetSettings())
    system.executor = system.make("one")
    await system.start()
    system.symbol.error = OutcomeUnknown
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    assert await system.status_of(name) is OrderStatus.UNKNOWN
    system.symbol.error = None
    system.clock.advance(10 * NS_PER_S)
    for _ in range(3):  # the first of them compares all orders, which takes a token too
        system.clock.advance(NS_PER_S)
        looking = asyncio.create_task(system.executor.core.reconciler.round())
        for _ in range(1_000):
            if looking.done():
                break
            system.clock.advance(NS_PER_S // 100)
            await asyncio.sleep(0.01)
        await looking
    await settle()
    assert await system.status_of(name) is OrderStatus.NOT_SENT
    await system.executor.close()


async def test_order_for_an_absent_actor_is_certainly_not_placed(system: PaperSystem) -> None:
    system.symbol.error = NotRunning
    await system.submit(1)
    assert system.kinds == ["Rejected"]
    assert system.executor.core.account.available("USDT") == D(1000)


async def test_reads_and_cancels_of_an_absent_actor_raise(system: PaperSystem) -> None:
    gateway = system.executor.core.gateway
    system.symbol.error = NotRunning
    with pytest.raises(VenueUnavailable):
        await gateway.open_orders(("BTCUSDT",))
    with pytest.raises(VenueUnavailable):
        await gateway.cancel("BTCUSDT", "x", "")


async def test_halt_with_an_absent_paper_venue_fences_it_and_confirms(system: PaperSystem) -> None:
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    system.symbol.error = NotRunning
    halting = asyncio.create_task(system.executor.halt("account", None, False, "test"))
    await settle()
    system.clock.advance(4 * NS_PER_S)
    async with asyncio.timeout(5):
        report = await halting
    assert report.confirmed
    assert system.executor.core.state.epochs["BTCUSDT"] > system.epoch
    assert (await system.status_of(name)).is_terminal


async def test_detach_ends_paper_orders_whose_venue_is_gone(system: PaperSystem) -> None:
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    system.symbol.error = NotRunning
    await system.executor.detach_symbol("BTCUSDT", False)
    assert await system.status_of(name) is OrderStatus.CANCELLED
    assert system.executor.core.account.available("USDT") == D(1000)


async def test_cancel_in_the_paper_venue_ends_by_its_report(system: PaperSystem) -> None:
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    ended = system.symbol.word(name, OrderStatus.CANCELLED)
    await system.executor.paper_reports("BTCUSDT", system.epoch, (ended,))
    await settle()
    assert system.kinds == ["Accepted", "Cancelled"]


async def test_broken_books_halt_the_account(system: PaperSystem) -> None:
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    await system.executor.paper_reports("BTCUSDT", system.epoch, (system.symbol.trade(name, 1000, system.epoch),))
    system.executor.core.account.set_position(Position("BTCUSDT", qty=D(5)))
    await system.executor.core.books.round()
    await settle()
    assert system.executor.core.account.halt_state()[0] is HaltState.HALTED
    assert "books_broken" in [name for _, name, *_ in system.journal.alerts]


async def test_equity_is_stored_when_it_changes_and_survives(system: PaperSystem) -> None:
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    await system.executor.paper_reports("BTCUSDT", system.epoch, (system.symbol.trade(name, 1000, system.epoch),))
    await system.executor.core.books.round()
    await system.executor.mark("BTCUSDT", BID - 1000, 0)
    await system.executor.core.books.round()
    await system.executor.core.books.round()
    loaded = await system.journal.load("main")
    assert loaded.peak_net_pnl == D(0)
    assert system.executor.core.account.drawdown(system.clock.now_ns()) == D(1)
    await system.executor.close()
    system.executor = system.make("two")
    await system.executor.start(with_loops=False)
    await system.executor.mark("BTCUSDT", BID - 1000, 0)
    assert system.executor.core.account.drawdown(system.clock.now_ns()) == D(1)
    assert system.executor.core.account.net_pnl_today(system.clock.now_ns()) == D(-1)
    await system.executor.close()


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_fills_that_a_dead_paper_venue_only_mentioned_hold_no_order_open(
    system: PaperSystem, is_restarted: bool
) -> None:
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    core = system.executor.core
    # A query shows what has traded; the report of it dies with the symbol's process.
    core.desk.take(system.symbol.word(name, OrderStatus.PARTIALLY_FILLED, 400))
    if is_restarted:
        (order,) = await system.attach()
        assert (order.filled_lots, order.venue_filled_lots) == (0, 0)
        ended = system.symbol.word(name, OrderStatus.CANCELLED)
        await system.executor.paper_reports("BTCUSDT", system.epoch, (ended,))
    else:
        await core.retire("BTCUSDT")
        await settle()
    assert await system.status_of(name) is OrderStatus.CANCELLED
    assert core.state.orders.live() == ()
    assert core.account.available("USDT") == D(1000)


async def test_equity_of_a_restart_waits_for_the_marks_of_what_is_held(system: PaperSystem) -> None:
    await system.submit(1)
    name = f"mx-1-{system.epoch}-1"
    await system.executor.paper_reports("BTCUSDT", system.epoch, (system.symbol.trade(name, 1000, system.epoch),))
    await system.executor.mark("BTCUSDT", BID // 2, 0)
    await system.executor.core.books.round()
    assert [point.net_pnl for point in system.journal._equity] == [D(-5)]
    await system.executor.close()
    system.executor = system.make("two")
    await system.executor.start(with_loops=False)
    await system.executor.core.books.round()
    assert len(system.journal._equity) == 1  # at cost it would be a gain of 5 that never was
    await system.executor.mark("BTCUSDT", BID // 2, 0)
    await system.executor.core.books.round()
    assert [point.net_pnl for point in system.journal._equity] == [D(-5), D(-5)]


async def test_order_on_its_way_to_a_paper_venue_that_was_given_up_is_ended(system: PaperSystem) -> None:
    gate, original = asyncio.Event(), system.symbol.paper_place

    async def hang(orders: tuple[OrderRecord, ...]) -> tuple[PlaceAnswer, ...]:
        await gate.wait()
        system.symbol.error = OutcomeUnknown  # the actor was ended meanwhile
        return await original(orders)

    system.symbol.paper_place = hang  # type: ignore[method-assign]
    name = f"mx-1-{system.epoch}-1"
    await system.submit(1)
    await system.executor.core.retire("BTCUSDT")
    gate.set()
    async with asyncio.timeout(2):
        while True:
            if not system.executor.core.state.orders.live():
                break
            await asyncio.sleep(0.01)
    await system.executor.core.outcomes.flush()
    assert await system.status_of(name) is OrderStatus.CANCELLED
    await system.executor.close()
