"""What others move on the account: booked with its reason, told, and never taken for a trade or a loss of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal

import pytest

from actors.executor_outside import CONFIRM_NS
from tests.unit.actors.executor_fakes import BID, System, settle
from tests.unit.actors.outside_scenes import assert_books_hold, bought, compared, pass_time, submit
from trading.adapters.store.memory_journal import MemoryJournal
from trading.engine.ports import LedgerLine
from trading.model.errors import FencedOut
from trading.model.market import Side
from trading.model.orders import Fill, VenueBalance, VenueTrade
from trading.model.position import Position
from trading.model.session import HaltState, Lease
from trading.model.units import NS_PER_S

D = Decimal


@pytest.fixture
async def system() -> AsyncIterator[System]:
    made = System()
    made.venue.free["BTC"] = D("0.5")
    await made.start()
    yield made
    await made.executor.close()
    assert made.crashes == []


def push_deposit(system: System, asset: str, amount: str, cause: str = "DEPOSIT") -> None:
    system.venue.free[asset] = system.venue.free.get(asset, D(0)) + D(amount)
    now_ns = system.clock.now_ns()
    system.venue.push(VenueBalance(asset, system.venue.free[asset], D(0), now_ns, now_ns, cause))


async def test_live_account_opens_with_what_the_venue_holds_once(system: System) -> None:
    opening = [line for line in system.journal.ledger if line.kind == "opening"]
    assert {line.asset: line.amount for line in opening} == {"USDT": D(10_000), "BTC": D("0.5")}
    await bought(system)
    await system.crash()
    assert await compared(system) == []
    assert [line for line in system.journal.ledger if line.kind == "opening"] == opening
    await assert_books_hold(system)


class WithoutOpening(MemoryJournal):
    """A journal as a process leaves it that dies before its opening is committed, until told otherwise."""

    is_dying = True

    async def append_ledger(
        self,
        lease: Lease,
        lines: Sequence[LedgerLine],
        positions: Sequence[Position] = (),
        departed_pnl: Decimal | None = None,
    ) -> None:
        if not self.is_dying:
            await super().append_ledger(lease, lines, positions, departed_pnl)


async def test_execution_on_its_way_is_no_part_of_the_opening() -> None:
    system = System()
    system.venue.free["BTC"] = D("0.5")
    system.journal = journal = WithoutOpening("main", system.clock.now_ns)
    system.executor = system.make("one")
    await system.start()
    intent = system.intent(1, lots=1000)
    await submit(system, intent)
    assert journal.ledger == ()
    journal.is_dying = False
    await system.crash()
    # The next life sees balances after an execution of which it is told only later.
    before, qty = dict(system.venue.free), 1000 * system.instruments["BTCUSDT"].lot_size
    system.venue.free["BTC"] += qty
    system.venue.free["USDT"] -= qty * system.instruments["BTCUSDT"].price(intent.price_ticks)
    await compared(system, 1)
    system.venue.free = before
    system.venue.fill(intent.client_order_id, 1000)
    await settle()
    assert await compared(system, 3) == []
    opening = {line.asset: line.amount for line in journal.ledger if line.kind == "opening"}
    assert opening == {"USDT": D(10_000), "BTC": D("0.5")}
    await assert_books_hold(system)
    await system.executor.close()
    assert system.crashes == []


async def test_deposit_is_booked_with_the_venues_reason_and_is_no_gain(system: System) -> None:
    await bought(system)
    push_deposit(system, "USDT", "250")
    (line,) = await compared(system)
    assert (line.symbol, line.asset, line.amount, line.reference.split("/")[0]) == ("", "USDT", D(250), "DEPOSIT")
    ((level, name, text, *_),) = system.journal.alerts
    assert (level, name) == ("warning", "outside_change")
    assert "+250 USDT" in text
    assert system.executor.core.account.net_pnl_today(system.clock.now_ns()) == 0
    assert await compared(system) == [line]
    await assert_books_hold(system)


async def test_withdrawal_of_coins_that_no_position_holds_leaves_positions_alone(system: System) -> None:
    await bought(system)
    push_deposit(system, "BTC", "-0.5", "WITHDRAW")
    (line,) = await compared(system)
    assert (line.symbol, line.amount) == ("", D("-0.5"))
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.1")
    assert system.executor.core.account.halts() == ()
    await assert_books_hold(system)


async def test_trade_by_hand_is_booked_in_both_assets_as_foreign(system: System) -> None:
    now_ns = system.clock.now_ns()
    fill = Fill("fake", "t9", "by-hand", "v9", "BTCUSDT", Side.SELL, BID, 1000, D(10), D("0.005"), "USDT", False,
                now_ns, now_ns)  # fmt: skip
    system.venue.free |= {"BTC": D("0.4"), "USDT": D("10009.995")}
    system.venue.push(VenueTrade(fill, "stream"))
    lines = await compared(system)
    assert {(line.asset, line.amount) for line in lines} == {("BTC", D("-0.1")), ("USDT", D("9.995"))}
    assert {line.reference.split("/")[0] for line in lines} == {"foreign sell of BTCUSDT"}
    await assert_books_hold(system)


async def test_coins_of_a_position_that_left_shrink_it_alarm_and_stop_entries_of_its_symbol(system: System) -> None:
    system.venue.free["BTC"] = D(0)
    await compared(system)
    await bought(system, 2000)
    await system.executor.mark("BTCUSDT", BID * 9 // 10, system.clock.now_ns())
    lost = system.executor.core.account.net_pnl_today(system.clock.now_ns())
    assert lost == D(-2)
    system.venue.free["BTC"] = D("0.05")
    lines = await compared(system)
    assert [(line.symbol, line.amount) for line in lines][1:] == [("BTCUSDT", D("-0.15"))]
    position = system.executor.core.account.position("BTCUSDT")
    assert (position.qty, position.cost, position.realized_pnl) == (D("0.05"), D(5), D(0))
    assert (await system.journal.load("main")).positions == (position,)
    alerts = [(level, text) for level, name, text, *_ in system.journal.alerts if name == "outside_change"]
    assert alerts[-1][0] == "alert"
    assert "0.15 of it was held in BTCUSDT, worth 13.5" in alerts[-1][1]
    # A loss is not forgotten because its coins are gone.
    assert system.executor.core.account.net_pnl_today(system.clock.now_ns()) == lost
    ((scope, state, reason),) = system.executor.core.account.halts()
    assert (scope, state, reason[:6]) == ("symbol:BTCUSDT", HaltState.REDUCING, "drift:")
    # Its owner believed to hold more: it is fenced, and starts again from the truth.
    with pytest.raises(FencedOut):
        await submit(system, system.intent(7))
    attachment = await system.executor.attach_symbol("BTCUSDT", "run-1", 1, "test")
    assert attachment.bootstrap.position.qty == D("0.05")
    await assert_books_hold(system)


async def test_unexplained_loss_of_quote_alarms_and_an_unexplained_gain_warns(system: System) -> None:
    system.venue.free["USDT"] -= 7
    await compared(system)
    system.venue.free["USDT"] += 3
    await compared(system)
    told = [(level, text) for level, name, text, *_ in system.journal.alerts if name == "outside_change"]
    assert [level for level, _ in told] == ["alert", "warning"]
    assert "-7 USDT by no order of ours (unexplained)" in told[0][1]


async def test_fill_that_nobody_told_is_fetched_and_not_taken_for_an_outside_change(system: System) -> None:
    intent = system.intent(1)
    await submit(system, intent)
    system.venue.fill(intent.client_order_id, 1000, pushes=False)
    assert await compared(system, 4) == []
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.1")
    await assert_books_hold(system)


async def test_order_of_unknown_outcome_holds_every_booking_of_its_assets_back(system: System) -> None:
    system.venue.answer = "lose"
    intent = system.intent(1)
    await submit(system, intent)
    system.venue.fill(intent.client_order_id, 1000, pushes=False)
    system.venue.is_blind = True
    assert await compared(system, 3) == []
    system.venue.is_blind = False
    assert await compared(system, 3) == []
    await assert_books_hold(system)


async def test_difference_that_changes_from_look_to_look_is_not_booked(system: System) -> None:
    for amount in ("5", "-4", "2", "-3"):
        push_deposit(system, "USDT", amount)
        assert await compared(system, 1) == []
    await assert_books_hold(system)


async def test_booking_whose_answer_is_lost_stands_once(system: System) -> None:
    push_deposit(system, "USDT", "250")
    await compared(system, 1)
    await pass_time(system, CONFIRM_NS)
    system.journal.loses_answers = 1
    await system.executor.core.reconciler.round()
    assert len(await compared(system, 3)) == 1
    await assert_books_hold(system)


async def test_second_look_comes_soon_and_not_for_ever(system: System) -> None:
    counters = system.executor.core.state.counters
    system.venue.free["USDT"] += 1
    await pass_time(system, 60 * NS_PER_S)
    await system.executor.core.reconciler.round()
    before = counters["reconciles"]
    await pass_time(system, CONFIRM_NS)
    await system.executor.core.reconciler.round()
    assert counters["reconciles"] == before + 1
    assert counters["adjustments"] == 1
    await pass_time(system, CONFIRM_NS)
    await system.executor.core.reconciler.round()  # nothing waits any more
    await system.executor.core.reconciler.round()
    assert counters["reconciles"] == before + 1


async def test_somebody_who_trades_without_a_pause_costs_a_bounded_number_of_comparisons(system: System) -> None:
    counters = system.executor.core.state.counters
    before = counters["reconciles"]
    for _ in range(120):
        push_deposit(system, "USDT", "1")
        await pass_time(system, NS_PER_S // 2)
        await system.executor.core.reconciler.round()
    # A minute: one comparison of its own, and ever rarer ones for what never stands still.
    assert 3 <= counters["reconciles"] - before <= 8


async def test_coin_that_came_and_went_between_two_looks_is_looked_for_a_few_times_and_forgotten(
    system: System,
) -> None:
    counters = system.executor.core.state.counters
    push_deposit(system, "XYZ", "5")
    push_deposit(system, "XYZ", "-5", "WITHDRAW")
    del system.venue.free["XYZ"]
    before = counters["reconciles"]
    for _ in range(120):
        await pass_time(system, NS_PER_S // 4)
        await system.executor.core.reconciler.round()
    assert 1 <= counters["reconciles"] - before <= 4
    assert system.executor.core.state.outside_causes == {}
    assert not system.executor.core.outside.is_due()


async def test_cause_outlives_a_query_that_is_behind_the_push(system: System) -> None:
    now_ns = system.clock.now_ns()
    system.venue.push(VenueBalance("USDT", D(10_250), D(0), now_ns, now_ns, "DEPOSIT"))
    await compared(system, 1)  # the query does not show it yet
    system.venue.free["USDT"] += 250
    (line,) = await compared(system)
    assert line.reference.split("/")[0] == "DEPOSIT"


@pytest.mark.parametrize("is_forgotten", [False, True])
@pytest.mark.parametrize("is_named", [True, False])
async def test_execution_that_not_even_the_orders_last_word_told_is_searched_before_anything_is_booked(
    system: System, is_forgotten: bool, is_named: bool
) -> None:
    intent = system.intent(1)
    await submit(system, intent)
    system.venue.names_trades = is_named
    system.venue.end(intent.client_order_id)  # "cancelled, nothing traded"
    await settle()
    if is_forgotten:
        await system.crash()
    system.venue.fill(intent.client_order_id, 400, pushes=False)
    system.venue.end(intent.client_order_id, pushes=False)
    assert await compared(system, 6) == []
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.04")
    assert system.executor.core.state.counters["trade_searches"] == 1
    await assert_books_hold(system)


class BusyJournal(MemoryJournal):
    """A journal in which something happens while a position's adjustment is written."""

    def __init__(self, account: str, now_ns: Callable[[], int]) -> None:
        super().__init__(account, now_ns)
        self.meanwhile: Callable[[], object] | None = None

    async def append_ledger(
        self,
        lease: Lease,
        lines: Sequence[LedgerLine],
        positions: Sequence[Position] = (),
        departed_pnl: Decimal | None = None,
    ) -> None:
        if positions and self.meanwhile is not None:
            happen, self.meanwhile = self.meanwhile, None
            happen()
        await super().append_ledger(lease, lines, positions, departed_pnl)


@pytest.mark.parametrize("lost", [0, 1])
async def test_execution_that_comes_while_a_cut_is_written_is_booked_on_top_of_it(lost: int) -> None:
    system = System()
    journal = BusyJournal("main", system.clock.now_ns)
    system.journal = journal
    system.executor = system.make("one")
    await system.start()
    await bought(system, 2000)
    name = system.intent(2).client_order_id
    await submit(system, system.intent(2))
    system.venue.end(name)  # "cancelled, nothing traded"
    await settle()
    system.venue.free["BTC"] -= D("0.15")

    def fill() -> None:
        system.journal.loses_answers = lost
        system.venue.fill(name, 400)

    journal.meanwhile = fill
    (line,) = await compared(system, 4)
    assert (line.symbol, line.amount) == ("BTCUSDT", D("-0.15"))
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.09")
    assert (await system.journal.load("main")).positions[0].qty == D("0.09")
    assert [name for _, name, *_ in system.journal.alerts].count("outside_change") == 1
    await system.executor.core.books.round()
    assert await system.journal.audit() == ()
    await system.executor.close()
    assert system.crashes == []


async def test_loss_of_less_than_a_lot_of_a_position_stops_nothing(system: System) -> None:
    system.venue.free["BTC"] = D(0)
    await compared(system)
    await bought(system, 2000)
    system.venue.free["BTC"] -= D("0.00005")
    lines = await compared(system)
    assert (lines[-1].symbol, lines[-1].amount) == ("BTCUSDT", D("-0.00005"))
    assert system.executor.core.account.halts() == ()
    await submit(system, system.intent(7))  # its owner goes on
    await assert_books_hold(system)
