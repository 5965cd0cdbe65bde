"""The exchange's rules one by one: fees, switches, self-trade prevention, order ends, candles."""

import pytest

from simulator.exchange.amounts import ONE, amount_text
from simulator.exchange.exchange import Exchange
from simulator.exchange.listings import Listing
from simulator.exchange.orders import AccountTrade, NewOrder, Order, OrderState, OrderUpdated, Refusal, StpMode
from simulator.exchange.pair import Pair, Sequence
from simulator.exchange.rules import ExchangeRules, FeeAsset
from simulator.exchange.tape import MINUTE_MS, Tape, Trade
from trading.model.market import Side
from trading.model.orders import OrderType

NOW_MS = 1_700_000_000_000
LISTING = Listing("AUSDT", "A", "USDT", "A", 2, 2, maker_fee_e8=0, taker_fee_e8=50_000)


def open_exchange(rules: ExchangeRules | None = None) -> Exchange:
    exchange = Exchange(rules)
    pair = Pair(LISTING, 1_000, Sequence())
    exchange.list_pair(pair)
    exchange.open_account("key", "secret", {"USDT": 1_000 * ONE, "A": 100 * ONE, "MX": ONE})
    pair.agent_order(Side.SELL, 1_000, 300, NOW_MS, rests=True)
    pair.agent_order(Side.SELL, 1_010, 300, NOW_MS, rests=True)
    pair.agent_order(Side.BUY, 990, 300, NOW_MS, rests=True)
    return exchange


def place(
    exchange: Exchange, side: Side, kind: OrderType, price: int | None, lots: int | None, **more: object
) -> Order:
    new = NewOrder("AUSDT", side, kind, price, lots, **more)  # type: ignore[arg-type]
    result = exchange.place(exchange.accounts["key"], new, NOW_MS)
    assert isinstance(result, Order), result
    return result


def trades(exchange: Exchange) -> list[AccountTrade]:
    return list(exchange.accounts["key"].trades)


def test_market_buy_by_quantity_walks_the_book_and_pays_taker_fees() -> None:
    exchange = open_exchange()
    order = place(exchange, Side.BUY, OrderType.MARKET, None, 400)
    assert order.state is OrderState.FILLED
    assert [(trade.price_ticks, trade.lots) for trade in trades(exchange)] == [(1_000, 300), (1_010, 100)]
    assert amount_text(sum(trade.fee for trade in trades(exchange))) == "0.02005"
    balance = exchange.accounts["key"].balances["USDT"]
    assert (amount_text(balance.free), balance.locked) == ("959.87995", 0)


def test_market_buy_by_value_spends_what_buys_whole_lots() -> None:
    exchange = open_exchange()
    order = place(exchange, Side.BUY, OrderType.MARKET, None, None, quote_amount=25 * ONE + ONE // 20)
    assert (order.state, order.filled_lots) == (OrderState.FILLED, 250)
    assert exchange.accounts["key"].balances["USDT"].locked == 0


def test_market_order_beyond_its_protection_price_is_partially_cancelled() -> None:
    exchange = open_exchange(ExchangeRules(market_protection_bps=50))
    order = place(exchange, Side.BUY, OrderType.MARKET, None, 400)
    assert (order.state, order.filled_lots, order.price_ticks) == (OrderState.PARTIALLY_CANCELED, 300, 1_005)


def test_limit_order_takes_then_rests_and_gets_back_what_it_saved() -> None:
    exchange = open_exchange()
    order = place(exchange, Side.BUY, OrderType.LIMIT, 1_005, 500)
    assert (order.state, order.filled_lots) == (OrderState.PARTIALLY_FILLED, 300)
    assert amount_text(exchange.accounts["key"].balances["USDT"].locked) == "20.1"
    states = [event.state for event in exchange.drain() if isinstance(event, OrderUpdated)]
    assert states == [OrderState.NEW, OrderState.PARTIALLY_FILLED]


@pytest.mark.parametrize(
    ("kind", "lots", "state", "filled"),
    [
        (OrderType.IOC, 500, OrderState.PARTIALLY_CANCELED, 300),
        (OrderType.FOK, 500, OrderState.CANCELED, 0),
        (OrderType.FOK, 300, OrderState.FILLED, 300),
        (OrderType.LIMIT_MAKER, 100, OrderState.CANCELED, 0),
    ],
)
def test_immediate_orders_end_at_once(kind: OrderType, lots: int, state: OrderState, filled: int) -> None:
    exchange = open_exchange()
    order = place(exchange, Side.BUY, kind, 1_000, lots)
    assert (order.state, order.filled_lots) == (state, filled)
    assert exchange.accounts["key"].open_orders == {}


def test_crossing_limit_maker_is_refused_when_the_rule_says_so() -> None:
    exchange = open_exchange(ExchangeRules(is_crossing_maker_refused=True))
    new = NewOrder("AUSDT", Side.BUY, OrderType.LIMIT_MAKER, 1_000, 100)
    refusal = exchange.place(exchange.accounts["key"], new, NOW_MS)
    assert isinstance(refusal, Refusal)
    assert refusal.code == 30087


@pytest.mark.parametrize(
    ("fee_asset", "asset", "amount"),
    [(FeeAsset.QUOTE, "USDT", "0.005"), (FeeAsset.RECEIVED, "A", "0.0005"), (FeeAsset.MX, "MX", "0.002")],
)
def test_fee_of_a_buy_is_taken_in_the_ruled_asset(fee_asset: FeeAsset, asset: str, amount: str) -> None:
    exchange = open_exchange(ExchangeRules(fee_asset=fee_asset))
    exchange.ledger.mx_price = 2 * ONE  # 20 % off in MX
    place(exchange, Side.BUY, OrderType.MARKET, None, 100)
    (trade,) = trades(exchange)
    assert (trade.fee_asset, amount_text(trade.fee)) == (asset, amount)
    assert amount_text(exchange.ledger.fees[asset]) == amount


def test_fee_of_a_buy_that_spent_everything_is_taken_from_what_it_received() -> None:
    exchange = open_exchange()
    exchange.accounts["key"].balances["USDT"].free = 10 * ONE
    place(exchange, Side.BUY, OrderType.MARKET, None, 100)
    assert (trades(exchange)[0].fee_asset, exchange.accounts["key"].balances["USDT"].free) == ("A", 0)


@pytest.mark.parametrize(
    ("mode", "is_grouped", "resting", "incoming"),
    [
        (StpMode.CANCEL_MAKER, True, OrderState.CANCELED, OrderState.NEW),
        (StpMode.CANCEL_TAKER, True, OrderState.NEW, OrderState.CANCELED),
        (StpMode.CANCEL_BOTH, True, OrderState.CANCELED, OrderState.CANCELED),
        (StpMode.CANCEL_BOTH, False, OrderState.FILLED, OrderState.FILLED),
    ],
)
def test_self_trade_ends_as_mode_and_group_say(
    mode: StpMode, is_grouped: bool, resting: OrderState, incoming: OrderState
) -> None:
    exchange = open_exchange()
    if is_grouped:
        exchange.accounts["key"].stp_groups["mine"] = "1"
    first = place(exchange, Side.BUY, OrderType.LIMIT, 995, 100)
    second = place(exchange, Side.SELL, OrderType.LIMIT, 995, 100, stp_mode=mode)
    assert (first.state, second.state) == (resting, incoming)
    assert [trade.is_self_trade for trade in trades(exchange)] == ([] if is_grouped else [True, True])


def test_accounts_of_one_group_do_not_trade_with_each_other() -> None:
    exchange = open_exchange()
    other = exchange.open_account("other", "secret", {"A": 100 * ONE})
    resting = exchange.place(other, NewOrder("AUSDT", Side.SELL, OrderType.LIMIT, 995, 100), NOW_MS)
    assert isinstance(resting, Order)
    exchange.accounts["key"].stp_groups["mine"] = other.stp_groups["ours"] = "1"
    taken = place(exchange, Side.BUY, OrderType.LIMIT, 995, 100, stp_mode=StpMode.CANCEL_MAKER)
    assert (resting.state, taken.state) == (OrderState.CANCELED, OrderState.NEW)
    other.stp_groups["ours"] = "2"
    second = exchange.place(other, NewOrder("AUSDT", Side.SELL, OrderType.LIMIT, 995, 100), NOW_MS)
    assert isinstance(second, Order)
    assert (second.state, taken.state) == (OrderState.FILLED, OrderState.FILLED)


def test_market_buy_that_cancels_its_own_ask_locks_what_lies_behind_it() -> None:
    exchange = open_exchange()
    exchange.accounts["key"].stp_groups["mine"] = "1"
    own = place(exchange, Side.SELL, OrderType.LIMIT, 995, 200)
    taken = place(exchange, Side.BUY, OrderType.MARKET, None, 400, stp_mode=StpMode.CANCEL_MAKER)
    assert (own.state, taken.state, taken.filled_lots) == (OrderState.CANCELED, OrderState.FILLED, 400)


def test_open_orders_are_limited() -> None:
    exchange = open_exchange(ExchangeRules(max_open_orders=2))
    for _ in range(2):
        place(exchange, Side.BUY, OrderType.LIMIT, 900, 100)
    refusal = exchange.check(exchange.accounts["key"], NewOrder("AUSDT", Side.BUY, OrderType.LIMIT, 900, 100))
    assert isinstance(refusal, Refusal)
    assert refusal.code == 30029


def test_tape_fills_minutes_without_trades_and_merges_intervals() -> None:
    tape = Tape(100)
    start = NOW_MS - NOW_MS % (5 * MINUTE_MS)
    tape.record(Trade(1, 110, 3, True, start + 1))
    tape.record(Trade(2, 90, 4, False, start + 2 * MINUTE_MS))
    minutes = list(tape.minutes(start + 3 * MINUTE_MS))
    assert [(candle.open, candle.high, candle.low, candle.close, candle.lots) for candle in minutes] == [
        (110, 110, 110, 110, 3),
        (110, 110, 110, 110, 0),
        (90, 90, 90, 90, 4),
        (90, 90, 90, 90, 0),
    ]
    (merged,) = tape.candles(start + 3 * MINUTE_MS, lambda time_ms: time_ms - time_ms % (5 * MINUTE_MS))
    assert (merged.open, merged.high, merged.low, merged.close, merged.lots) == (110, 110, 90, 90, 7)
    assert merged.ticks_lots == 110 * 3 + 90 * 4


def test_book_gives_former_versions_until_they_are_forgotten() -> None:
    book = open_exchange().pairs["AUSDT"].book
    version, before = book.version, (book.bids.top(9), book.asks.top(9))
    book.keep_history(3)
    for lots in (1, 2):
        book.mirror(Side.BUY, 980, lots, book.version + 1)
    assert book.at(version) == before
    book.mirror(Side.BUY, 980, 0, book.version + 1)
    assert book.at(version) is None
    assert book.at(version + 1) == ([*before[0], (980, 1)], before[1])
