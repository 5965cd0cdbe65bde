"""The account's yes and no, limit by limit."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from trading.engine.account import ACCOUNT_SCOPE, Account, symbol_scope
from trading.engine.account_commitments import buy_reserve
from trading.engine.account_limits import AccountLimits
from trading.engine.parameters import as_texts, parse
from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill, OrderIntent, OrderStatus, OrderType, Purpose, Refusal, VenueBalance
from trading.model.position import EquityPoint, Position
from trading.model.session import HaltState
from trading.model.units import NS_PER_DAY, NS_PER_S

D = Decimal
NOW = 1_700_000_000 * NS_PER_S
BTC = Instrument("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.0001"), D(0), D(1), D(0), D(0), D("0.0005"))
ETH = Instrument("ETHUSDT", "ETH", "USDT", D("0.01"), D("0.001"), D(0), D(1), D(0), D(0), D("0.0005"))
BID = 10_000  # 100.00


def account(limits: AccountLimits | None = None, quote: str = "10000") -> Account:
    made = Account(
        limits or AccountLimits(),
        {"BTCUSDT": BTC, "ETHUSDT": ETH},
        [VenueBalance("USDT", D(quote), D(0), 0, 0)],
    )
    made.on_mark("BTCUSDT", BID, NOW)
    made.on_mark("ETHUSDT", BID, NOW)
    return made


def intent(
    side: Side = Side.BUY, price: int = BID, lots: int = 1000, purpose: Purpose = Purpose.ENTRY, name: str = "mx-1-1-1"
) -> OrderIntent:
    return OrderIntent(
        name, "BTCUSDT", side, OrderType.LIMIT, price, lots, purpose, NOW, NOW + NS_PER_S, 1, "spread_capture"
    )


def record(of: OrderIntent, status: OrderStatus = OrderStatus.OPEN, symbol: str = "BTCUSDT") -> OrderRecord:
    return OrderRecord(
        of.client_order_id,
        symbol,
        "run",
        1,
        1,
        of.side,
        of.type,
        of.price_ticks,
        of.qty_lots,
        of.purpose,
        of.strategy,
        status,
        of.created_ns,
        of.valid_until_ns,
        0,
        0,
    )


def fill(side: Side, lots: int, price: int = BID, name: str = "t1", at_ns: int = NOW) -> Fill:
    return Fill(
        "paper",
        name,
        "mx-1-1-1",
        "",
        "BTCUSDT",
        side,
        price,
        lots,
        BTC.notional(price, lots),
        D(0),
        "USDT",
        True,
        0,
        at_ns,
    )


def reason(of: Account, asked: OrderIntent, now_ns: int = NOW) -> Refusal | None:
    denial = of.decide(asked, now_ns)
    return denial.reason if denial is not None else None


def test_sane_entry_is_approved() -> None:
    assert account().decide(intent(), NOW) is None


@pytest.mark.parametrize(
    ("values", "asked", "expected"),
    [
        ({"max_order_notional": "9"}, intent(), Refusal.MAX_NOTIONAL),
        ({"max_symbol_exposure": "9.99"}, intent(), Refusal.SYMBOL_EXPOSURE),
        ({"max_gross_exposure": "9.99"}, intent(), Refusal.GROSS_EXPOSURE),
        ({"max_open_orders": "0"}, intent(), Refusal.OPEN_ORDERS),
        ({"max_entries_per_minute": "0"}, intent(), Refusal.ORDER_RATE),
        ({"daily_loss": "0"}, intent(), Refusal.DAILY_LOSS),
        ({"max_drawdown": "0"}, intent(), Refusal.DRAWDOWN),
        ({"price_collar_bps": "100"}, intent(price=BID + 101), Refusal.PRICE_COLLAR),
        ({"price_collar_bps": "100"}, intent(price=BID - 101), Refusal.PRICE_COLLAR),
        ({}, intent(lots=99), Refusal.MIN_NOTIONAL),
        ({}, intent(lots=0), Refusal.MIN_NOTIONAL),
        ({}, intent(side=Side.SELL), Refusal.NOTHING_TO_SELL),
        ({}, intent(side=Side.SELL, purpose=Purpose.EXIT), Refusal.NOTHING_TO_SELL),
        ({}, intent(side=Side.BUY, purpose=Purpose.EXIT), Refusal.NOTHING_TO_SELL),
    ],
)
def test_entry_beyond_a_limit_is_denied(values: dict[str, str], asked: OrderIntent, expected: Refusal) -> None:
    assert reason(account(parse(AccountLimits, values)), asked) is expected


@pytest.mark.parametrize(("side", "purpose"), [(Side.BUY, Purpose.ENTRY), (Side.SELL, Purpose.EXIT)])
def test_order_above_the_venues_largest_value_is_denied(side: Side, purpose: Purpose) -> None:
    made = account()
    made.instruments = {"BTCUSDT": replace(BTC, max_notional=D("9.99"))}
    made.set_position(Position("BTCUSDT", D(1), D(100), D(0), D(0), 0))
    made.on_balance(VenueBalance("BTC", D(1), D(0), NOW, NOW))
    assert reason(made, intent(side, purpose=purpose)) is Refusal.MAX_NOTIONAL
    assert reason(made, intent(side, lots=999, purpose=purpose)) is None


def test_price_at_the_collar_is_approved() -> None:
    assert reason(account(parse(AccountLimits, {"price_collar_bps": "100"})), intent(price=BID + 100)) is None


def test_stale_or_missing_mark_denies_entries() -> None:
    made = account()
    assert (
        reason(made, replace(intent(), valid_until_ns=NOW + 60 * NS_PER_S), NOW + 11 * NS_PER_S) is Refusal.BOOK_STALE
    )
    unmarked = Account(AccountLimits(), {"BTCUSDT": BTC}, [VenueBalance("USDT", D(100), D(0), 0, 0)])
    assert reason(unmarked, intent()) is Refusal.BOOK_STALE


def test_stale_intent_is_denied() -> None:
    assert reason(account(), intent(), NOW + NS_PER_S + 1) is Refusal.STALE_INTENT


def test_balance_counts_open_buys_and_the_fee() -> None:
    made = account(quote="20")
    assert reason(made, intent()) is None
    made.on_order(record(intent(), OrderStatus.SENT))
    assert made.available("USDT") == D(20) - D(10) * D("1.0005")
    assert reason(made, intent(name="mx-1-1-2")) is Refusal.BALANCE
    made.on_order(record(intent(), OrderStatus.CANCELLED))
    assert made.available("USDT") == D(20)


def test_balance_locked_by_the_venue_is_not_counted_twice() -> None:
    made = account()
    made.on_order(record(intent(), OrderStatus.OPEN))
    made.on_balance(VenueBalance("USDT", D(9990), D(10), NOW, NOW))
    assert made.available("USDT") == D(10_000) - D("10.005")
    made.on_balance(VenueBalance("USDT", D(5000), D(5000), NOW + 1, NOW + 1))
    assert made.available("USDT") == D(5000)
    made.on_balance(VenueBalance("USDT", D(1), D(1), NOW - 1, NOW + 2))
    assert made.available("USDT") == D(5000)


def test_what_the_venue_cannot_show_yet_comes_on_top_of_what_others_have_locked() -> None:
    made = account()
    made.on_balance(VenueBalance("USDT", D(15), D(85), NOW, NOW))  # a foreign order's
    assert reason(made, intent()) is None
    made.on_order(record(intent(), OrderStatus.UNKNOWN))
    assert reason(made, intent(name="mx-1-1-2")) is Refusal.BALANCE
    assert made.available("USDT") == D(15) - buy_reserve(D(10), BTC)


def test_fill_moves_balances_unless_a_younger_push_shows_it() -> None:
    made = account()
    made.on_fill(fill(Side.BUY, 1000))
    assert (made.total("USDT"), made.total("BTC")) == (D(9990), D("0.1"))
    made.on_balance(VenueBalance("BTC", D("0.2"), D(0), NOW, NOW))
    made.on_fill(replace(fill(Side.BUY, 1000, name="t2"), exch_ts_ns=NOW))
    assert made.total("BTC") == D("0.2")


def test_exit_passes_where_every_entry_limit_is_exhausted() -> None:
    values = {name: "0" for name, _ in as_texts(AccountLimits()) if name.startswith("max_") or name == "daily_loss"}
    made = account(parse(AccountLimits, values))
    made.on_fill(fill(Side.BUY, 1000))
    leave = intent(side=Side.SELL, purpose=Purpose.EXIT, price=BID - 3000)
    assert reason(made, intent()) is not None
    assert reason(made, leave) is None
    made.disable_symbol("BTCUSDT", "10007")
    assert reason(made, leave) is None
    assert reason(made, intent()) is Refusal.INSTRUMENT


def test_sellable_is_what_is_held_and_free_rounded_down_to_whole_lots() -> None:
    made = account()
    made.set_position(Position("BTCUSDT", D("0.10005"), D(10), D(0), D(0), 0))
    made.on_balance(VenueBalance("BTC", D("0.30"), D(0), NOW, NOW))
    assert made.sellable_lots("BTCUSDT") == 1_000  # of 0.0001; not what else is in the account
    made.on_balance(VenueBalance("BTC", D("0.04019"), D("0.06"), NOW + 1, NOW + 1))
    assert made.sellable_lots("BTCUSDT") == 401  # the rest is locked by others


def test_drawdown_counts_from_the_best_moment_whatever_comes_after_it() -> None:
    made = account(parse(AccountLimits, {"max_drawdown": "5"}))
    for realized, drawdown in ((D(10), 0), (D(7), 3), (D(8), 2), (D(4), 6)):
        made.set_position(Position("BTCUSDT", D(0), D(0), realized, D(0), 0))
        made.on_equity(NOW)
        assert made.drawdown(NOW) == drawdown
    assert reason(made, intent()) is Refusal.DRAWDOWN


def test_exits_together_never_exceed_the_position() -> None:
    made = account()
    made.on_fill(fill(Side.BUY, 1500))
    leave = intent(side=Side.SELL, purpose=Purpose.EXIT)
    assert reason(made, leave) is None
    made.on_order(record(leave))
    assert made.sellable_lots("BTCUSDT") == 500
    assert reason(made, replace(leave, client_order_id="mx-1-1-2")) is Refusal.NOTHING_TO_SELL


def test_unknown_exit_blocks_a_second_exit() -> None:
    made = account()
    made.on_fill(fill(Side.BUY, 2000))
    leave = intent(side=Side.SELL, purpose=Purpose.EXIT, lots=500)
    made.on_order(record(leave, OrderStatus.UNKNOWN))
    assert reason(made, replace(leave, client_order_id="mx-1-1-2")) is Refusal.EXIT_UNKNOWN
    made.on_order(record(leave, OrderStatus.NOT_SENT))
    assert reason(made, replace(leave, client_order_id="mx-1-1-2")) is None


def test_unknown_buy_counts_as_filled_for_exposure() -> None:
    made = account(parse(AccountLimits, {"max_symbol_exposure": "15"}))
    made.on_order(record(intent(), OrderStatus.UNKNOWN))
    assert made.symbol_exposure("BTCUSDT") == D(10)
    assert reason(made, intent(name="mx-1-1-2")) is Refusal.SYMBOL_EXPOSURE


def test_unknown_sell_does_not_reduce_exposure() -> None:
    made = account()
    made.on_fill(fill(Side.BUY, 1000))
    made.on_order(record(intent(side=Side.SELL, purpose=Purpose.EXIT), OrderStatus.UNKNOWN))
    assert made.symbol_exposure("BTCUSDT") == D(10)


def test_entry_meeting_our_own_order_is_a_self_trade() -> None:
    made = account()
    made.on_fill(fill(Side.BUY, 1000))
    made.on_order(record(intent(side=Side.SELL, purpose=Purpose.EXIT, price=BID + 5)))
    assert reason(made, intent(price=BID + 5, name="mx-1-1-2")) is Refusal.SELF_TRADE
    assert reason(made, intent(price=BID + 4, name="mx-1-1-2")) is None


def test_halt_states_of_account_and_symbol_add_up_to_the_stricter() -> None:
    made = account()
    made.on_fill(fill(Side.BUY, 1000))
    leave = intent(side=Side.SELL, purpose=Purpose.EXIT)
    made.set_halt(ACCOUNT_SCOPE, HaltState.REDUCING, "test")
    assert reason(made, intent()) is Refusal.REDUCING
    assert reason(made, leave) is None
    made.set_halt(symbol_scope("BTCUSDT"), HaltState.HALTED, "test")
    assert reason(made, leave) is Refusal.HALTED
    assert made.halt_state("ETHUSDT")[0] is HaltState.REDUCING
    made.set_halt(symbol_scope("BTCUSDT"), HaltState.ACTIVE, "")
    made.set_halt(ACCOUNT_SCOPE, HaltState.ACTIVE, "")
    assert reason(made, intent()) is None


def test_allocation_bounds_cost_and_open_buys() -> None:
    made = account()
    made.set_allocation("BTCUSDT", D(25))
    made.on_fill(fill(Side.BUY, 1000))
    assert reason(made, intent()) is None
    made.on_order(record(intent()))
    assert reason(made, intent(name="mx-1-1-2")) is Refusal.ALLOCATION


def test_daily_loss_counts_unrealised_at_the_bid_and_ends_at_midnight() -> None:
    made = account(parse(AccountLimits, {"daily_loss": "1"}))
    made.on_fill(fill(Side.BUY, 1000))
    made.on_equity(NOW)
    made.on_mark("BTCUSDT", BID - 1000, NOW)
    assert made.net_pnl_today(NOW) == D(-1)
    assert reason(made, intent(price=BID - 1000)) is Refusal.DAILY_LOSS
    made.on_equity(NOW + 1)
    tomorrow = NOW + NS_PER_DAY
    made.on_mark("BTCUSDT", BID - 1000, tomorrow)
    later = replace(intent(price=BID - 1000), valid_until_ns=tomorrow)
    assert reason(made, later, tomorrow) is None


def test_daily_loss_and_peak_survive_a_restart() -> None:
    point = EquityPoint(NOW, D(50), D(50), D(0), D(0), D(0))
    made = Account(AccountLimits(), {"BTCUSDT": BTC}, (), day_open=point, peak_net_pnl=D(80))
    made.set_position(Position("BTCUSDT", realized_pnl=D(20)))
    assert made.net_pnl_today(NOW) == D(-30)
    assert made.drawdown(NOW) == D(60)


def test_loss_streak_starts_a_cooldown_that_ends() -> None:
    made = account(parse(AccountLimits, {"loss_streak": "2", "loss_cooldown_s": "60"}))
    made.on_fill(fill(Side.BUY, 3000, BID, "t1"))
    made.on_fill(fill(Side.SELL, 1000, BID - 1, "t2"))
    made.on_fill(fill(Side.SELL, 2000, BID - 1, "t3"))
    assert reason(made, intent()) is None, "an exit in two pieces is one loss"
    made.on_fill(fill(Side.BUY, 3000, BID, "t4"))
    made.on_fill(fill(Side.SELL, 3000, BID - 1, "t5"))
    assert reason(made, intent()) is Refusal.LOSS_STREAK
    made.on_mark("BTCUSDT", BID, NOW + 60 * NS_PER_S)
    later = replace(intent(), valid_until_ns=NOW + 61 * NS_PER_S)
    assert reason(made, later, NOW + 60 * NS_PER_S) is None


def test_order_rate_counts_the_last_minute_only() -> None:
    made = account(parse(AccountLimits, {"max_entries_per_minute": "1"}))
    made.on_entry_approved(NOW - 60 * NS_PER_S)
    assert reason(made, intent()) is None
    made.on_entry_approved(NOW)
    assert reason(made, intent()) is Refusal.ORDER_RATE


def test_limits_read_back_from_their_texts() -> None:
    limits = parse(AccountLimits, {"daily_loss": "12.5"})
    assert parse(AccountLimits, dict(as_texts(limits))) == limits


def test_approval_lists_each_limit_beside_the_orders_figure() -> None:
    made, asked = account(), intent(price=BID - 10)
    assert made.decide(asked, NOW + 2) is None
    measured = dict(made.verdicts(asked, NOW + 2))
    assert measured["account_judged_ns"] == str(NOW + 2)
    assert measured["account_price_collar"].startswith("10.00 bps from the bid")
    assert measured["account_order_value"].startswith("9.99, at most ")
    assert {"account_balance", "account_symbol_exposure", "account_drawdown"} <= set(measured)
    sale = dict(made.verdicts(intent(Side.SELL, purpose=Purpose.EXIT), NOW))
    assert sale["account_sellable"] == "0.1000 of 0.0000 BTC"
    assert made.verdicts(asked, NOW + 2) == tuple(measured.items())  # looking changes nothing


def test_clock_that_is_set_back_freezes_no_mark_and_denies_by_none_of_before() -> None:
    made = account()
    before_ns = NOW - 3_600 * NS_PER_S
    assert made.bid_ticks("BTCUSDT", before_ns) is None, "nobody knows how old it is"
    made.on_mark("BTCUSDT", BID - 1000, before_ns)
    assert made.bid_ticks("BTCUSDT", before_ns) == BID - 1000


def test_clock_that_is_set_back_counts_no_entry_of_before_against_the_order_rate() -> None:
    made = account()
    made.on_entry_approved(NOW)
    assert made.entries_last_minute(NOW) == 1
    made.on_entry_approved(NOW - 3_600 * NS_PER_S)
    assert made.entries_last_minute(NOW - 3_600 * NS_PER_S) == 1
