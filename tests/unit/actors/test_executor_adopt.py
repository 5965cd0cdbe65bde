"""Orphans by the policy `adopt`: they get a row, their executions are booked, and they end like any order of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.executor_compare import UNTOLD_MAX
from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, UNLIMITED, System, rounds, settle, submit
from trading.engine.locks import CONFIRM_NS
from trading.engine.ports import Crashpoint, OrderRecord
from trading.engine.reconcile import OrphanPolicy
from trading.model.market import Side
from trading.model.orders import OrderAdopted, OrderStatus, OrderType, Purpose
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

D = Decimal
ORPHAN = "mx-9-9-9"
SETTINGS = ExecutorSettings("main", "one", False, budget=UNLIMITED, orphan_policy=OrphanPolicy.ADOPT)
MINUTE_NS = 60 * NS_PER_S


class Moments:
    """Lets something happen at a named point, once."""

    def __init__(self) -> None:
        self.at: dict[Crashpoint, Callable[[], None]] = {}

    def reach(self, point: Crashpoint) -> None:
        if point in self.at:
            self.at.pop(point)()


@pytest.fixture
def moments() -> Moments:
    return Moments()


@pytest.fixture
async def system(moments: Moments) -> AsyncIterator[System]:
    """A started executor that adopts; whatever a test did, its books hold and nothing of it crashed."""
    made = System(SETTINGS, moments)
    await made.start()
    yield made
    assert await made.journal.audit() == ()
    await made.executor.close()
    assert made.crashes == []


async def look(system: System) -> None:
    """Compare everything, then let what is missing be fetched."""
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, 1, NS_PER_S)


async def rounds_of_a_journal_that_is_down(system: System) -> None:
    await system.executor.core.reconciler.round()
    await settle()


async def row(system: System, name: str = ORPHAN) -> OrderRecord:
    (found,) = await system.journal.orders_by_id((name,))
    return found


def reports(system: System) -> list[str]:
    return [text for _, name, text, *_ in system.journal.alerts if name == "orphan_order"]


async def ledger(system: System) -> dict[str, Decimal]:
    """The stored ledger's totals, by asset, without those at zero."""
    loaded = await system.journal.load("main")
    return {asset: total for asset, total in loaded.ledger_totals if total}


def held(system: System) -> dict[str, Decimal]:
    return {asset: total for asset, total in system.venue.free.items() if total}


async def test_open_orphan_gets_a_row_and_is_committed_reported_and_never_sent(system: System) -> None:
    system.venue.hold(ORPHAN)
    await look(system)
    await look(system)
    record = await row(system)
    assert (record.status, record.side, record.price_ticks, record.qty_lots) == (OrderStatus.OPEN, Side.BUY, BID, 1000)
    assert (record.venue_order_id, record.run_id, record.strategy) == (f"v-{ORPHAN}", "adopted", "adopted")
    assert record.created_ns == system.venue.book[ORPHAN].exch_ts_ns
    core = system.executor.core
    assert core.account.symbol_exposure("BTCUSDT") == D(10)
    assert core.account.commitments.count() == 1
    assert core.state.unexplained_locks == {}
    assert (core.state.counters["orphans"], core.state.counters["adopted"]) == (1, 1)
    assert reports(system) == [
        f"{ORPHAN}: known to the venue, without a journal row: adopted, BUY 1000 lots at 10000 ticks, "
        "0 of them executed before"
    ]
    assert (system.venue.placed, system.venue.cancelled) == ([], [])
    assert (await system.executor.status()).order_drift == ()


async def test_adopted_orphan_is_filled_by_pushes_and_told_to_its_symbol(system: System) -> None:
    system.venue.hold(ORPHAN)
    await look(system)
    system.venue.fill(ORPHAN, 400)
    system.venue.fill(ORPHAN, 600)
    await settle()
    record = await row(system)
    assert (record.status, record.filled_lots) == (OrderStatus.FILLED, 1000)
    assert system.symbol.kinds == ["Adopted", "Filled", "Filled"]
    told = await system.executor.read_events("BTCUSDT", 0)
    assert [item.seq for item in told] == [1, 2, 3]
    terms = (Side.BUY, OrderType.LIMIT, BID, 1000, Purpose.ENTRY)
    created_ns = record.created_ns
    assert told[0].event == OrderAdopted("BTCUSDT", ORPHAN, f"v-{ORPHAN}", *terms, created_ns, told[0].event.at_ns)
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.1")
    await rounds(system, *[CONFIRM_NS] * 3)
    assert await ledger(system) == held(system)
    assert [line.kind for line in system.journal.ledger if line.kind == "adjustment"] == []


async def test_what_an_orphan_executed_before_is_booked_from_its_trades_once(system: System) -> None:
    system.venue.hold(ORPHAN)
    system.venue.fill(ORPHAN, 400, pushes=False, fee="0.01")
    await look(system)
    record = await row(system)
    assert (record.status, record.filled_lots, record.filled_quote) == (OrderStatus.PARTIALLY_FILLED, 400, D(4))
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.04")
    system.venue.push(system.venue.executions[0])  # the stream tells it late, under its own id
    system.venue.fill(ORPHAN, 600)
    await look(system)
    assert (await row(system)).status is OrderStatus.FILLED
    assert [fill.qty_lots for fill in await system.journal.fills_of(ORPHAN)] == [400, 600]
    await rounds(system, *[CONFIRM_NS] * 3)
    assert await ledger(system) == held(system)


async def test_orphan_that_traded_before_the_opening_is_not_in_the_books_twice() -> None:
    system = System(SETTINGS)
    system.venue.hold(ORPHAN)
    system.venue.fill(ORPHAN, 400, pushes=False)
    await system.executor.start(with_loops=False)
    await system.attach()
    await rounds(system, *[CONFIRM_NS] * 8)
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.04")
    assert await ledger(system) == held(system)
    assert [line.kind for line in system.journal.ledger if line.kind == "adjustment"] == []
    await system.executor.close()


async def test_orphan_elsewhere_is_adopted_told_to_nobody_running_and_ended_by_a_halt(system: System) -> None:
    system.venue.hold(ORPHAN, "ETHUSDT")  # not attached: found by what it locks
    system.symbols["ETHUSDT"].is_down = True
    await rounds(system, MINUTE_NS, CONFIRM_NS, *[NS_PER_S] * 3)
    assert (await row(system)).status is OrderStatus.OPEN
    system.venue.fill(ORPHAN, 400)
    await rounds(system, *[CONFIRM_NS] * 8)
    assert system.executor.core.account.position("ETHUSDT").qty == D("0.4")
    assert await ledger(system) == held(system)
    report = await system.executor.halt("account", None, False, "test")
    assert (report.confirmed, (await row(system)).status) == (True, OrderStatus.PARTIALLY_CANCELLED)


async def test_orphan_found_after_the_opening_that_counted_its_trades_leaves_the_ledger_as_the_venue() -> None:
    system = System(SETTINGS)
    system.venue.hold(ORPHAN, "ETHUSDT")
    system.venue.fill(ORPHAN, 400, pushes=False)
    await system.start()
    assert (await ledger(system))["ETH"] == D("0.4"), "the opening counted what it had executed"
    assert await system.journal.orders_by_id((ORPHAN,)) == ()
    await rounds(system, MINUTE_NS, CONFIRM_NS, *[NS_PER_S] * 20)
    assert (await row(system)).filled_lots == 400
    assert await ledger(system) == held(system)
    assert system.executor.core.account.position("ETHUSDT").qty == D("0.4")
    assert system.executor.core.account.halts() == ()
    changes = [text for _, name, text, *_ in system.journal.alerts if name == "outside_change"]
    assert len(changes) == 2
    assert all(f"(counted before {ORPHAN} was adopted)" in text for text in changes)
    assert await system.journal.audit() == ()
    await system.executor.close()


async def test_orphan_that_ends_between_look_and_row_ends_in_the_books(system: System, moments: Moments) -> None:
    def meanwhile() -> None:
        system.venue.fill(ORPHAN, 400)
        system.venue.end(ORPHAN)

    system.venue.hold(ORPHAN)
    moments.at[Crashpoint.RECONCILE_AFTER_QUERY] = meanwhile
    await look(system)
    record = await row(system)
    assert (record.status, record.filled_lots) == (OrderStatus.PARTIALLY_CANCELLED, 400)
    assert system.executor.core.account.commitments.count() == 0
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.04")
    assert len(reports(system)) == 1


async def test_orphan_that_ends_unheard_after_its_adoption_is_looked_for_and_ended(system: System) -> None:
    system.venue.hold(ORPHAN)
    await look(system)
    system.venue.fill(ORPHAN, 400, pushes=False)
    system.venue.end(ORPHAN, pushes=False)
    await look(system)
    await rounds(system, NS_PER_S)
    record = await row(system)
    assert (record.status, record.filled_lots) == (OrderStatus.PARTIALLY_CANCELLED, 400)
    await rounds(system, *[CONFIRM_NS] * 3)
    assert await ledger(system) == held(system)


async def test_orphan_that_is_filled_before_it_was_ever_seen_open_is_adopted_by_its_pushes(system: System) -> None:
    system.venue.hold(ORPHAN)
    system.clock.advance(1)
    system.venue.fill(ORPHAN, 1000)
    await rounds(system, 0, NS_PER_S)
    record = await row(system)
    assert (record.status, record.filled_lots) == (OrderStatus.FILLED, 1000)
    assert len(reports(system)) == 1
    assert [fill.qty_lots for fill in await system.journal.fills_of(ORPHAN)] == [1000]


async def test_stray_that_the_venue_refuses_to_tell_holds_up_nothing_and_is_reported_in_the_end(
    system: System,
) -> None:
    refused, core = "mx-9-9-8", system.executor.core
    system.venue.untold[refused] = 0
    for name in (refused, ORPHAN):
        system.venue.hold(name)
        system.clock.advance(1)
        system.venue.fill(name, 1000)
    system.venue.locked_otherwise = {"USDT": D(5)}
    await rounds(system, 0, NS_PER_S)
    assert (await row(system)).filled_lots == 1000, "the one behind it is adopted at once"
    assert len(core.desk.strays) == 2
    await rounds(system, *[NS_PER_S] * 20)
    assert system.venue.untold[refused] < UNTOLD_MAX, "it is asked about more and more seldom"
    assert [text for text in reports(system) if refused in text] == []
    await rounds(system, *[NS_PER_S] * 15)
    assert system.venue.untold[refused] == UNTOLD_MAX
    assert not core.desk.strays
    what = "known to the venue, without a journal row: the venue refuses to tell it"
    assert [text for text in reports(system) if refused in text] == [f"{refused}: {what}"]
    await rounds(system, *[5 * NS_PER_S] * 24)
    assert core.state.counters["lock_searches"] > 0
    assert not core.state.is_venue_down
    assert not core.desk.strays


async def test_stray_that_the_venue_tells_after_all_is_adopted(system: System) -> None:
    system.venue.untold[ORPHAN] = 0
    system.venue.hold(ORPHAN)
    system.clock.advance(1)
    system.venue.fill(ORPHAN, 1000)
    await rounds(system, *[NS_PER_S] * 3)
    assert system.venue.untold.pop(ORPHAN) > 1
    await rounds(system, *[NS_PER_S] * 5)
    assert ((await row(system)).status, (await row(system)).filled_lots) == (OrderStatus.FILLED, 1000)
    assert await ledger(system) == held(system)


async def test_execution_of_before_the_start_that_a_search_finds_is_not_adopted(system: System) -> None:
    system.venue.hold(ORPHAN)
    told_ns = system.clock.now_ns() - MINUTE_NS
    trade = system.venue.fill(ORPHAN, 1000, pushes=False)
    system.venue.push(replace(trade, fill=replace(trade.fill, exch_ts_ns=told_ns)))
    system.venue.push(replace(system.venue.book[ORPHAN], exch_ts_ns=told_ns))
    await rounds(system, 0, NS_PER_S)
    assert await system.journal.orders_by_id((ORPHAN,)) == ()
    assert reports(system) == [f"{ORPHAN}: known to the venue, without a journal row"]


async def test_adoption_survives_a_crash_between_row_and_fills(system: System) -> None:
    system.venue.hold(ORPHAN)
    system.venue.fill(ORPHAN, 400, pushes=False)
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, 0)
    assert ((await row(system)).venue_filled_lots, (await row(system)).filled_lots) == (400, 0)
    await system.crash()
    await rounds(system, 0, NS_PER_S, NS_PER_S)
    record = await row(system)
    assert (record.status, record.filled_lots) == (OrderStatus.PARTIALLY_FILLED, 400)
    assert system.executor.core.account.symbol_exposure("BTCUSDT") > 0
    assert system.executor.core.state.counters["adopted"] == 0
    system.venue.fill(ORPHAN, 600)
    await rounds(system, *[CONFIRM_NS] * 5)
    assert [fill.qty_lots for fill in await system.journal.fills_of(ORPHAN)] == [400, 600]
    assert await ledger(system) == held(system)
    assert len(reports(system)) == 1


async def test_death_between_row_and_word_tells_the_symbol_later(system: System, moments: Moments) -> None:
    system.venue.hold(ORPHAN)
    moments.at[Crashpoint.INTENT_AFTER_COMMIT] = lambda: setattr(system.journal, "is_down", True)
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds_of_a_journal_that_is_down(system)
    system.journal.is_down = False
    assert (await row(system)).status is OrderStatus.SENT
    assert system.symbol.kinds == []
    await system.crash()
    await rounds(system, 0, NS_PER_S)
    assert ((await row(system)).status, system.symbol.kinds[-1]) == (OrderStatus.OPEN, "Adopted")
    assert system.symbol.kinds.count("Adopted") == 1
    assert system.executor.core.account.symbol_exposure("BTCUSDT") == D(10)
    assert (system.venue.placed, system.venue.cancelled) == ([], [])


@pytest.mark.parametrize("ends", [False, True])
async def test_adoption_whose_commit_is_not_answered_is_carried_through(
    system: System, moments: Moments, ends: bool
) -> None:
    system.venue.hold(ORPHAN)
    moments.at[Crashpoint.INTENT_BEFORE_COMMIT] = lambda: setattr(system.journal, "loses_answers", 1)
    system.executor.core.desk.is_reconcile_wanted = True
    await rounds(system, 0)
    assert system.executor.core.state.counters["journal_errors"] == 1
    assert system.executor.core.state.orders.get(ORPHAN) is None
    if ends:  # in nobody's list any more when the journal is back
        system.venue.end(ORPHAN, pushes=False)
    await look(system)
    await look(system)
    assert (await row(system)).status is (OrderStatus.CANCELLED if ends else OrderStatus.OPEN)
    assert system.executor.core.account.commitments.count() == (0 if ends else 1)
    assert len(reports(system)) == 1
    assert system.venue.cancelled == []


async def test_halt_and_drain_end_an_adopted_orphan(system: System) -> None:
    system.venue.hold(ORPHAN)
    system.venue.hold("mx-9-9-8")
    await look(system)
    await system.executor.detach_symbol("BTCUSDT", False)
    await settle()
    assert {(await row(system, name)).status for name in (ORPHAN, "mx-9-9-8")} == {OrderStatus.CANCELLED}


@pytest.mark.parametrize("halt", [HaltState.REDUCING, HaltState.HALTED])
async def test_orphan_that_a_halt_forbids_is_cancelled(system: System, halt: HaltState) -> None:
    await system.journal.save_halt("account", halt, "test", system.clock.now_ns())
    system.venue.hold(ORPHAN)
    await look(system)
    assert system.venue.cancelled == [ORPHAN]
    assert await system.journal.orders_by_id((ORPHAN,)) == ()
    assert "cancelled, not adopted: " in reports(system)[0]


async def test_sale_is_adopted_only_when_the_books_hold_what_it_sells(system: System) -> None:
    entry = system.intent(1)
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 1000)
    await settle()
    for name, lots in (("mx-9-9-1", 700), ("mx-9-9-2", 700)):
        system.venue.hold(name)
        system.venue.book[name] = replace(system.venue.book[name], side=Side.SELL, qty_lots=lots, price_ticks=BID + 100)
    await look(system)
    first = await row(system, "mx-9-9-1")
    assert (first.status, first.purpose) == (OrderStatus.OPEN, Purpose.EXIT)
    assert system.venue.cancelled == ["mx-9-9-2"]
    assert "not adopted: it sells 0.07 BTC, and the books hold 0.03" in reports(system)[1]
    await look(system)  # the venue locks only the first one now
    assert system.executor.core.account.sellable_lots("BTCUSDT") == 300
    system.venue.fill("mx-9-9-1", 700)
    await settle()
    assert (await row(system, "mx-9-9-1")).status is OrderStatus.FILLED
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.03")


async def test_intent_under_the_id_of_an_adopted_orphan_is_never_sent(system: System) -> None:
    intent = system.intent(1)
    system.venue.hold(intent.client_order_id)
    await look(system)
    await submit(system, intent)
    assert (system.venue.placed, (await row(system, intent.client_order_id)).strategy) == ([], "adopted")
