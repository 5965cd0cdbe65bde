"""One suite over every journal: leases, intents and the account."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from tests.contract.journals import (
    ODD,
    SYMBOL,
    D,
    Reopen,
    a_fill,
    a_filled,
    a_position,
    an_accepted,
    an_order,
    database_url,
    journal,
    lease,
    now_ns_of_a_day,
    postgres_server,
    reopen,
)
from trading.engine.ports import Journal, JournalEntry, LedgerLine, OrderRecord
from trading.model.errors import FencedOut, InvariantViolated
from trading.model.market import Side
from trading.model.orders import (
    Delivery,
    OrderStatus,
    Purpose,
    VenueBalance,
)
from trading.model.position import EquityPoint, LossStreak, Position, TripRecord
from trading.model.session import HaltState, Lease
from trading.model.units import NS_PER_DAY, NS_PER_MS, NS_PER_S

__all__ = ["database_url", "journal", "lease", "postgres_server", "reopen"]

# The database's clock and ours are the same host's.
CLOCK_STEP_MS = 1_000


async def test_instruments_are_given_back_as_they_were_registered_last(journal: Journal, reopen: Reopen) -> None:
    finer = replace(ODD, tick_size=ODD.tick_size / 10, exclusion="paused")
    await journal.register_instruments([ODD, finer], 2)
    stored = {item.symbol: item for item in (await reopen().load("main")).instruments}
    assert stored[ODD.symbol] == finer
    assert (await reopen().load("another")).instruments == ()


# --- leases --------------------------------------------------------------------------------------------------------


async def test_lease_while_held_is_refused_to_another(journal: Journal, reopen: Reopen) -> None:
    first = await journal.acquire_lease("executor:main", "a", 30.0)
    with pytest.raises(FencedOut, match="executor:main"):
        await reopen().acquire_lease("executor:main", "b", 30.0)
    assert first.epoch == 1
    assert (await reopen().acquire_lease("executor:other", "b", 30.0)).epoch == 1


async def test_lease_when_expired_goes_to_the_next_epoch_and_fences_the_old(journal: Journal, reopen: Reopen) -> None:
    old = await journal.acquire_lease("executor:main", "a", 0.05)
    await asyncio.sleep(0.1)
    heir = reopen()
    new = await heir.acquire_lease("executor:main", "b", 30.0)
    assert new.epoch == old.epoch + 1
    with pytest.raises(FencedOut):
        await journal.renew_lease(old, 30.0)
    with pytest.raises(FencedOut):
        await journal.commit_intents(old, [an_order("late")])
    await journal.release_lease(old)  # idempotent, and no harm to the successor
    await heir.renew_lease(new, 30.0)
    assert await heir.orders_by_id(["late"]) == ()


async def test_lease_of_a_dead_owner_goes_to_its_heir_and_to_nobody_else(journal: Journal, reopen: Reopen) -> None:
    assert await journal.lease_owner("executor:main") == ""
    old = await journal.acquire_lease("executor:main", "a", 30.0)
    heir = reopen()
    assert await heir.lease_owner("executor:main") == "a"
    for wrong in ("", "b"):
        with pytest.raises(FencedOut):
            await heir.acquire_lease("executor:main", "c", 30.0, wrong)
    new = await heir.acquire_lease("executor:main", "c", 30.0, "a")
    assert new.epoch == old.epoch + 1
    with pytest.raises(FencedOut):
        await journal.renew_lease(old, 30.0)
    with pytest.raises(FencedOut):
        await reopen().acquire_lease("executor:main", "d", 30.0, "a")  # a second heir of the same dead comes too late


async def test_lease_that_lapsed_forbids_writes_until_it_is_renewed(journal: Journal) -> None:
    lease = await journal.acquire_lease("executor:main", "a", 0.05)
    await asyncio.sleep(0.1)
    with pytest.raises(FencedOut):
        await journal.commit_intents(lease, [an_order("x")])
    await journal.renew_lease(lease, 30.0)
    assert await journal.commit_intents(lease, [an_order("x")]) == ()


async def test_lease_when_released_is_free_at_once_and_gone_for_its_owner(journal: Journal, lease: Lease) -> None:
    await journal.release_lease(lease)
    await journal.release_lease(lease)
    with pytest.raises(FencedOut):
        await journal.renew_lease(lease, 30.0)
    assert (await journal.acquire_lease("executor:main", "a", 30.0)).epoch == lease.epoch + 1


async def test_every_leased_write_with_an_old_epoch_writes_nothing(journal: Journal, lease: Lease) -> None:
    old = replace(lease, epoch=lease.epoch - 1)
    stranger = replace(lease, owner="b")
    order = an_order("o1")
    line = LedgerLine("opening", "", "USDT", D(100), 1, "opening")
    point = EquityPoint(1, D(1), D(1), D(0), D(0), D(0))
    for wrong in (old, stranger):
        for write in (
            lambda held: journal.commit_intents(held, [order]),
            lambda held: journal.commit_entries(held, [JournalEntry(order, Delivery(1, an_accepted("o1")))]),
            lambda held: journal.commit_entries(held, [a_filled(1, a_fill("o1", "t1"), a_position("0.001"))]),
            lambda held: journal.tombstone(held, SYMBOL, ["o1"], 1),
            lambda held: journal.append_ledger(held, [line]),
            lambda held: journal.save_balances(held, [VenueBalance("USDT", D(1), D(0), 1, 1)]),
            lambda held: journal.save_limits(held, [("max_open_orders", "3")], 1),
            lambda held: journal.save_losses(held, [(SYMBOL, TripRecord(1, 2, D(3)))], LossStreak(2, 5), 1),
            lambda held: journal.save_equity(held, point),
            lambda held: journal.next_symbol_epoch(held, SYMBOL, "b"),
        ):
            with pytest.raises(FencedOut):
                await write(wrong)
    state = await journal.load("main")
    assert state.unfinished == state.positions == state.last_seq == state.balances == state.limits == ()
    assert state.ledger_totals == state.symbol_epochs == ()
    assert (state.day_open, state.peak_net_pnl, state.trips) == (None, None, ())
    assert await journal.commit_intents(lease, [order]) == ()  # neither written nor buried above


async def test_symbol_epochs_grow_each_for_itself_and_are_never_below_the_time(journal: Journal, lease: Lease) -> None:
    began_ms = time.time_ns() // NS_PER_MS
    first = await journal.next_symbol_epoch(lease, SYMBOL, "n1")
    second = await journal.next_symbol_epoch(lease, SYMBOL, "n1")
    other = await journal.next_symbol_epoch(lease, ODD.symbol, "n1")
    # A database that is new, or restored from an older copy, must not give an owner's order ids once more.
    assert began_ms - CLOCK_STEP_MS <= first < second <= time.time_ns() // NS_PER_MS + CLOCK_STEP_MS
    assert other >= began_ms - CLOCK_STEP_MS
    assert dict((await journal.load("main")).symbol_epochs) == {SYMBOL: second, ODD.symbol: other}


async def test_a_hundred_owners_within_a_moment_have_a_hundred_epochs(journal: Journal, lease: Lease) -> None:
    epochs = [await journal.next_symbol_epoch(lease, SYMBOL, "n1") for _ in range(100)]
    assert epochs == sorted(set(epochs))


# --- intents -------------------------------------------------------------------------------------------------------


async def test_intents_are_read_back_as_they_were_written(journal: Journal, lease: Lease, reopen: Reopen) -> None:
    plain, odd = (
        an_order("o1"),
        replace(an_order("o2", symbol=ODD.symbol), decision=(), reason="\ud800 and \x00 and 牛"),
    )
    assert await journal.commit_intents(lease, [plain, odd]) == ()
    found = {order.client_order_id: order for order in await reopen().orders_by_id(["o1", "o2", "nobody"])}
    assert found["o1"] == plain
    assert replace(found["o2"], reason="") == replace(odd, reason="")
    assert found["o2"].reason.endswith("牛")


async def test_intents_of_which_some_conflict_are_written_but_for_those(journal: Journal, lease: Lease) -> None:
    await journal.commit_intents(lease, [an_order("o1")])
    changed = replace(an_order("o1"), price_ticks=1)
    assert await journal.commit_intents(lease, [an_order("o0"), changed, an_order("o2")]) == ("o1",)
    found = await journal.orders_by_id(["o0", "o1", "o2"])
    assert sorted((order.client_order_id, order.price_ticks) for order in found) == [
        ("o0", 6_000_012),
        ("o1", 6_000_012),
        ("o2", 6_000_012),
    ]


async def test_intents_with_an_id_twice_in_a_batch_are_a_bug(journal: Journal, lease: Lease) -> None:
    with pytest.raises(InvariantViolated):
        await journal.commit_intents(lease, [an_order("o1"), an_order("o1")])
    assert await journal.orders_by_id(["o1"]) == ()


async def test_intent_of_an_instrument_nobody_registered_is_a_bug(journal: Journal, lease: Lease) -> None:
    with pytest.raises(InvariantViolated, match="XUSDT"):
        await journal.commit_intents(lease, [an_order("o1", symbol="XUSDT")])


async def test_no_intents_are_written_without_a_question(journal: Journal, lease: Lease) -> None:
    assert await journal.commit_intents(lease, []) == ()
    await journal.commit_entries(lease, [])


async def test_buried_id_conflicts_for_ever_and_a_living_one_is_left_alone(
    journal: Journal, lease: Lease, reopen: Reopen
) -> None:
    await journal.commit_intents(lease, [an_order("alive")])
    await journal.tombstone(lease, SYMBOL, ["alive", "dead"], 7)
    await journal.tombstone(lease, SYMBOL, ["dead"], 8)
    assert await reopen().orders_by_id(["dead"]) == ()
    assert await journal.commit_intents(lease, [an_order("dead"), an_order("new")]) == ("dead",)
    assert [order.client_order_id for order in await journal.orders_by_id(["alive", "dead"])] == ["alive"]


# --- the account ---------------------------------------------------------------------------------------------------


async def test_standing_ledger_lines_are_written_once(journal: Journal, lease: Lease) -> None:
    opening = LedgerLine("opening", "", "USDT", D("10000"), 1, "opening")
    await journal.append_ledger(lease, [opening])
    await journal.append_ledger(lease, [replace(opening, amount=D(5)), replace(opening, reference="gift", amount=D(1))])
    assert (await journal.load("main")).ledger_totals == (("USDT", D("10001")),)


async def test_adjustment_moves_ledger_and_position_together_and_once(journal: Journal, lease: Lease) -> None:
    assert not (await journal.load("main")).has_opening
    await journal.append_ledger(lease, [LedgerLine("opening", "", "USDT", D("10000"), 1, "opening")])
    assert (await journal.load("main")).has_opening
    line = LedgerLine("adjustment", SYMBOL, "BTC", D("-0.001"), 2, "WITHDRAW/2")
    await journal.append_ledger(lease, [line], [Position(SYMBOL, D("0.002"), D(120), D(1), D(2), 2)])
    # Its answer was lost; meanwhile a fill has moved the position: the repeat writes neither.
    held = Position(SYMBOL, D("0.003"), D(180), D(1), D(2), 3)
    await journal.append_ledger(lease, [replace(line, reference="fill"), line], [held])
    await journal.append_ledger(lease, [line], [Position(SYMBOL, D("0.002"), D(120), D(1), D(2), 2)])
    state = await journal.load("main")
    assert state.positions == (held,)
    assert dict(state.ledger_totals) == {"BTC": D("-0.002"), "USDT": D(10_000)}


async def test_balances_limits_and_halts_are_replaced_by_name(journal: Journal, lease: Lease, reopen: Reopen) -> None:
    await journal.save_balances(lease, [VenueBalance("USDT", D(1), D(2), 3, 4), VenueBalance("BTC", D(0), D(0), 3, 4)])
    await journal.save_balances(lease, [VenueBalance("USDT", D("5.5"), D(0), 5, 6)])
    await journal.save_limits(lease, [("max_open_orders", "3"), ("daily_loss", "2")], 1)
    await journal.save_limits(lease, [("max_open_orders", "4")], 2)
    other = TripRecord(2, 7, D(0), (6, 7), D("-1.5"))
    first = [(SYMBOL, TripRecord(4, 5, D("-0.10"))), ("ETHUSDT", other)]
    await journal.save_losses(lease, first, LossStreak(19, 0), 1)
    second = [(SYMBOL, TripRecord(0, 1_800_000_000_000_000_000, D("1E-9")))]
    await journal.save_losses(lease, second, LossStreak(1, 1_800_000_000_000_000_000), 2)
    await journal.save_halt("account", HaltState.HALTED, "test", 1)
    await journal.save_halt("symbol:BTCUSDT", HaltState.REDUCING, "", 1)
    await journal.save_halt("account", HaltState.ACTIVE, "resumed", 2)
    state = await reopen().load("main")
    assert state.balances == (VenueBalance("BTC", D(0), D(0), 3, 4), VenueBalance("USDT", D("5.5"), D(0), 5, 6))
    assert state.limits == (("daily_loss", "2"), ("max_open_orders", "4"))
    assert state.streak == LossStreak(1, 1_800_000_000_000_000_000)
    assert state.trips == (*second, ("ETHUSDT", other))
    assert state.halts == (("account", HaltState.ACTIVE, "resumed"), ("symbol:BTCUSDT", HaltState.REDUCING, ""))
    assert await reopen().halts() == state.halts


async def test_flatten_is_remembered_until_the_next_state_of_its_scope(journal: Journal, reopen: Reopen) -> None:
    assert await journal.flattening() == ()
    for symbol in ("ETHUSDT", "SOLUSDT"):
        await journal.save_halt(f"symbol:{symbol}", HaltState.REDUCING, "sell", 3, True)
    await journal.save_halt("symbol:SOLUSDT", HaltState.HALTED, "sold", 4)
    await journal.save_halt("symbol:BTCUSDT", HaltState.REDUCING, "no sale", 4)
    assert await reopen().flattening() == ("symbol:ETHUSDT",)
    assert [(scope, state) for scope, state, _ in await reopen().halts()] == [
        ("symbol:BTCUSDT", HaltState.REDUCING),
        ("symbol:ETHUSDT", HaltState.REDUCING),
        ("symbol:SOLUSDT", HaltState.HALTED),
    ]
    await journal.save_halt("symbol:ETHUSDT", HaltState.ACTIVE, "", 5)
    assert await journal.flattening() == ()


async def test_guarded_halt_state_replaces_nothing_stricter(journal: Journal) -> None:
    scope, unread = "symbol:BTCUSDT", ("symbol:ETHUSDT", HaltState.ACTIVE)
    active, reducing, halted = HaltState.ACTIVE, HaltState.REDUCING, HaltState.HALTED
    assert await journal.save_halt(scope, reducing, "first", 1, False, active), "nothing was stored"
    assert not await journal.save_halt(scope, reducing, "again", 2, False, active)
    assert await journal.save_halt(scope, reducing, "sell", 3, True, reducing)
    assert not await journal.save_halt(scope, reducing, "automatic", 4, False, active)
    assert (await journal.halts(), await journal.flattening()) == (((scope, reducing, "sell"),), (scope,))
    assert await journal.save_halt(scope, halted, "a person", 5)
    for over in (active, reducing):
        assert not await journal.save_halt(scope, reducing, "weaker", 6, True, over)
    assert (await journal.halts(), await journal.flattening()) == (((scope, halted, "a person"),), ())
    assert await journal.save_halt(scope, active, "", 7)
    assert await journal.save_halt(scope, reducing, "automatic", 8, False, active)
    assert await journal.save_halt(*unread, "", 8, False, active), "of another scope nothing is stored"
    assert [state for _, state, _ in await journal.halts()] == [reducing, active]


async def test_todays_figures_are_those_of_fills_since_midnight(journal: Journal, lease: Lease) -> None:
    now_ns = await now_ns_of_a_day()
    long_ago = a_filled(1, a_fill("o1", "t1", now_ns - 2 * NS_PER_DAY), a_position("0.001", realized="7", fees="1"))
    today = a_filled(2, a_fill("o1", "t2", now_ns), a_position("0.002", realized="4.5", fees="1.25"))
    more = a_filled(3, a_fill("o1", "t3", now_ns), a_position("0.003", realized="5", fees="1.5"))
    await journal.commit_entries(lease, [long_ago])
    await journal.commit_entries(lease, [today, more])
    state = await journal.load("main")
    assert (state.realized_today, state.fees_today) == (D("-2"), D("0.5"))


async def test_equity_gives_the_days_opening_and_the_peak(journal: Journal, lease: Lease) -> None:
    now_ns = await now_ns_of_a_day()

    def point(at_ns: int, net: str) -> EquityPoint:
        return EquityPoint(at_ns, D(net), D(net), D(0), D(0), D("10.5"))

    await journal.save_equity(lease, point(now_ns, "1"))
    assert (await journal.load("main")).day_open == point(now_ns, "1")
    for at_ns, net in ((now_ns - 3 * NS_PER_DAY, "9"), (now_ns - 2 * NS_PER_DAY, "-4"), (now_ns + NS_PER_S, "2")):
        await journal.save_equity(lease, point(at_ns, net))
    state = await journal.load("main")
    assert state.day_open == point(now_ns - 2 * NS_PER_DAY, "-4")
    assert state.peak_net_pnl == D(9)
    await journal.save_losses(lease, (), LossStreak(drawdown_since_ns=now_ns), 1)
    state = await journal.load("main")
    assert (state.peak_net_pnl, state.streak.drawdown_since_ns) == (D(2), now_ns)


async def test_unfinished_orders_are_loaded_oldest_first_and_no_finished_one(journal: Journal, lease: Lease) -> None:
    orders = [replace(an_order(f"o-{status}", status), created_ns=100 - at) for at, status in enumerate(OrderStatus)]
    await journal.commit_intents(lease, orders)
    expected = [order for order in reversed(orders) if not order.status.is_terminal]
    assert list((await journal.load("main")).unfinished) == expected
    assert (await journal.load("other")).unfinished == ()


async def test_alert_needs_no_lease(journal: Journal) -> None:
    await journal.raise_alert("alert", "book_gap", "text with \x00 and 牛", SYMBOL, 1)
    await journal.raise_alert("info", "started", "", None, 2)


@pytest.mark.parametrize("scope", ["account", f"symbol:{SYMBOL}"])
async def test_stored_halt_refuses_intents_whoever_holds_the_lease(journal: Journal, lease: Lease, scope: str) -> None:
    def sale(order_id: str) -> OrderRecord:
        return replace(an_order(order_id), side=Side.SELL, purpose=Purpose.EXIT)

    assert await journal.commit_intents(lease, [an_order("before")]) == ()
    await journal.save_halt(scope, HaltState.REDUCING, "by another process", 1)
    assert await journal.commit_intents(lease, [an_order("e1"), sale("x1")]) == ("e1",)
    await journal.save_halt(scope, HaltState.HALTED, "by another process", 2)
    other = () if scope != "account" else ("o2",)
    batch = [an_order("e2"), sale("x2"), an_order("o2", symbol=ODD.symbol)]
    assert await journal.commit_intents(lease, batch) == ("e2", "x2", *other)
    assert await journal.orders_by_id(("e1", "e2", "x2")) == ()
    await journal.save_halt(scope, HaltState.ACTIVE, "", 3)
    assert await journal.commit_intents(lease, [an_order("e3")]) == ()
