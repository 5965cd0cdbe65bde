"""Round trips across restarts: a position is stored with its fill, the record of its trips a moment later."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.engine_desk import record
from tests.market_scenes import intent
from trading.engine.account import Account
from trading.engine.account_limits import AccountLimits
from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill, OrderStatus, OrderType, Purpose
from trading.model.position import LOSSES_KEPT_MAX, LossStreak, Position, TripRecord
from trading.model.units import NS_PER_S

D = Decimal
SYMBOL = "BTCUSDT"
BTC = Instrument(SYMBOL, "BTC", "USDT", D("0.01"), D("0.1"), D(0), D(1), D(0), D(0), D(0))
BID = 10_000  # 100.00; ten lots are one coin, and a hundred ticks a quote unit of it


class Life:
    """An account that trades, has its record stored now and then, and is killed; its position is always stored."""

    def __init__(self, instrument: Instrument = BTC) -> None:
        self.instrument = instrument
        self.account = Account(AccountLimits(), {SYMBOL: instrument})
        self.stored: tuple[tuple[tuple[str, TripRecord], ...], LossStreak] = ((), LossStreak())
        self.count = 0

    def trade(self, side: Side, lots: int, gain: int = 0, fee: str = "0") -> None:
        """Trade at 100, or `gain` quote units a coin above it."""
        self.count += 1
        price = BID + 100 * gain
        quote = BTC.notional(price, lots)
        name, at_ns = str(self.count), self.count * NS_PER_S
        self.account.on_fill(Fill("p", name, "x", "", SYMBOL, side, price, lots, quote, D(fee), "USDT", True, 0, at_ns))

    def trip(self, gain: int) -> None:
        """Buy one coin and sell it."""
        self.trade(Side.BUY, 10)
        self.trade(Side.SELL, 10, gain)

    def store(self) -> None:
        """Let the guard look."""
        self.stored = (self.account.trips(), self.account.streak())

    def kill(self, *orders: OrderRecord) -> None:
        """Begin anew from what is stored, these orders too."""
        positions, trips, streak = self.account.positions(), *self.stored
        self.account = Account(AccountLimits(), {SYMBOL: self.instrument})
        self.account.restore_streak(streak)
        for position in positions:
            self.account.set_position(position)
        for order in orders:
            self.account.on_order(order)
        self.account.restore_trips(trips)

    @property
    def losses(self) -> tuple[int, int]:
        """Losses in a row: the symbol's, the account's."""
        return self.account.trip_record(SYMBOL).losses_in_row, self.account.streak().losses_in_row


@pytest.fixture
def life() -> Life:
    return Life()


def test_loss_of_a_part_that_was_stored_does_not_outlive_its_trip(life: Life) -> None:
    life.trade(Side.BUY, 20)
    life.trade(Side.SELL, 10, -5)
    life.store()
    life.trade(Side.SELL, 10, 6)  # the trip gains 1, and nobody stores that
    life.kill()
    assert life.losses == (0, 0)
    life.trip(3)
    assert life.losses == (0, 0)


def test_trip_whose_end_was_not_stored_is_judged_by_the_position(life: Life) -> None:
    life.trip(-1)
    life.store()
    life.trip(-2)
    ended_ns = life.count * NS_PER_S
    life.kill()
    assert life.losses == (2, 2)
    assert life.account.trip_record(SYMBOL) == TripRecord(2, ended_ns, D(-3), (2 * NS_PER_S, ended_ns), D(-3))
    life.store()
    life.kill()
    assert life.losses == (2, 2), "it is judged once"


def test_part_of_a_trip_that_was_not_stored_counts_into_it(life: Life) -> None:
    life.trip(7)
    life.store()
    life.trade(Side.BUY, 20)
    life.trade(Side.SELL, 10, -5)
    life.kill()
    life.trade(Side.SELL, 10, 4)
    assert life.losses == (1, 1)


def test_trip_does_not_inherit_what_was_gained_before_it(life: Life) -> None:
    life.trip(-5)
    life.trip(3)
    assert life.losses == (0, 0)
    life.trip(-1)
    assert life.losses == (1, 1)


def test_restart_without_anything_lost_judges_nothing(life: Life) -> None:
    for gain in (-1, -2):
        life.trip(gain)
    life.trade(Side.BUY, 10)
    life.store()
    held = life.account.trip_record(SYMBOL)
    life.kill()
    assert (life.losses, life.account.trip_record(SYMBOL)) == ((2, 2), held)


def test_trip_whose_coins_left_by_no_order_of_ours_is_not_judged(life: Life) -> None:
    life.trade(Side.BUY, 20)
    life.trade(Side.SELL, 10, -5)
    life.account.withdraw(Position(SYMBOL, realized_pnl=D(-5)))
    life.store()
    life.kill()
    assert life.losses == (0, 0)


def test_losing_trips_that_leave_more_than_a_lot_of_dust_are_counted_in_a_row() -> None:
    life = Life(replace(BTC, min_notional=D(50)))
    life.trade(Side.BUY, 3)  # too little to be sold, and nothing sold of it: no trip
    for number in range(1, 4):
        life.trade(Side.BUY, 10)
        life.trade(Side.SELL, 10, -1)  # three lots are left, worth 30
        assert life.losses == (number, number)
    life.trip(2)
    assert life.losses == (0, 0)


def test_trip_is_judged_when_its_last_offer_is_over() -> None:
    life = Life(replace(BTC, min_notional=D(50)))
    sale = replace(intent("x", Side.SELL, BID, 10, OrderType.LIMIT), symbol=SYMBOL, purpose=Purpose.EXIT)
    offered = record(sale).changed(status=OrderStatus.OPEN)
    life.trade(Side.BUY, 10)
    life.account.on_order(offered)
    life.trade(Side.SELL, 7, -1)
    offered = offered.changed(filled_lots=7)
    life.account.on_order(offered)
    assert life.losses == (0, 0), "three lots are still offered, and could make up for it"
    life.account.on_order(offered.changed(status=OrderStatus.PARTIALLY_CANCELLED))
    assert life.losses == (1, 1)
    assert life.account.trip_record(SYMBOL).ended_ns == 2 * NS_PER_S, "with its last sale"


def test_forgiven_losses_leave_the_running_trip_alone(life: Life) -> None:
    life.trip(-1)
    life.trade(Side.BUY, 20)
    life.trade(Side.SELL, 10, -5)
    life.account.forgive_losses(SYMBOL, life.count * NS_PER_S)
    life.store()
    life.kill()
    life.trade(Side.SELL, 10, 4)
    assert life.losses[0] == 1


def test_forgiveness_that_is_repeated_forgives_no_loss_after_it(life: Life) -> None:
    for gain in (-1, -2):
        life.trip(gain)
    said_ns = life.count * NS_PER_S
    life.account.forgive_losses(SYMBOL, said_ns)
    assert life.account.trip_record(SYMBOL) == TripRecord(start_net=D(-3), start_realized=D(-3))
    life.trip(-3)
    held = life.account.trip_record(SYMBOL)
    life.account.forgive_losses(SYMBOL, said_ns)
    assert life.account.trip_record(SYMBOL) == held
    assert (held.losses_in_row, held.ended_ns) == (1, life.count * NS_PER_S)


def test_forgiveness_that_is_heard_late_and_after_a_death_forgives_what_came_before_it(life: Life) -> None:
    for gain in (-1, -2):
        life.trip(gain)
    life.store()
    said_ns = life.count * NS_PER_S
    life.trip(-3)
    life.kill()
    life.account.forgive_losses(SYMBOL, said_ns)
    last_ns = life.count * NS_PER_S
    assert life.account.trip_record(SYMBOL) == TripRecord(1, last_ns, D(-6), (last_ns,), D(-6))


def test_times_of_losses_that_are_kept_are_bounded(life: Life) -> None:
    for _ in range(LOSSES_KEPT_MAX + 8):
        life.trip(-1)
    record = life.account.trip_record(SYMBOL)
    assert (record.losses_in_row, len(record.losses_ns)) == (LOSSES_KEPT_MAX + 8, LOSSES_KEPT_MAX)
    assert record.losses_ns[-1] == record.ended_ns


def test_trip_that_left_dust_and_was_not_recorded_is_judged_before_the_next_one() -> None:
    life = Life(replace(BTC, min_notional=D(50)))
    life.trip(-1)
    life.store()
    life.trade(Side.BUY, 13)
    life.trade(Side.SELL, 10, -2)  # three lots are left, worth 30: nobody sells them alone
    life.kill()
    assert life.losses == (2, 2)
    life.trip(3)
    assert life.losses == (0, 0), "a trip of its own, which gained"


def test_dust_of_which_nothing_was_sold_is_no_trip_after_a_restart_either() -> None:
    life = Life(replace(BTC, min_notional=D(50), maker_fee_rate=D("0.001")))
    life.trip(-1)
    life.store()
    life.trade(Side.BUY, 3, fee="0.03")
    life.kill()
    assert life.losses == (1, 1)


def test_trip_whose_rest_is_still_offered_is_not_judged_by_a_restart() -> None:
    life = Life(replace(BTC, min_notional=D(50)))
    sale = replace(intent("x", Side.SELL, BID, 10, OrderType.LIMIT), symbol=SYMBOL, purpose=Purpose.EXIT)
    offered = record(sale).changed(status=OrderStatus.OPEN, filled_lots=7)
    life.trade(Side.BUY, 10)
    life.trade(Side.SELL, 7, -1)
    life.kill(offered)
    assert life.losses == (0, 0)
    life.account.on_order(offered.changed(status=OrderStatus.PARTIALLY_CANCELLED))
    assert life.losses == (1, 1), "now its last offer is over"
