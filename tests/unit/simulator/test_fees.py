"""Fees by symbol and account: the narrower terms win, field by field, and each asset they may be taken in."""

from simulator.exchange.amounts import ONE, amount_text
from simulator.exchange.exchange import Exchange
from simulator.exchange.fees import FeeRates, FeeSchedule, FeeTerms
from simulator.exchange.listings import Listing
from simulator.exchange.orders import NewOrder, Order
from simulator.exchange.pair import Pair, Sequence
from simulator.exchange.rules import FeeAsset
from trading.model.market import Side
from trading.model.orders import OrderType

NOW_MS = 1_700_000_000_000
LISTING = Listing("AUSDT", "A", "USDT", "A", 2, 2, maker_fee_e8=0, taker_fee_e8=50_000)
MX_LISTING = Listing("MXUSDT", "MX", "USDT", "MX", 2, 2)


def open_exchange() -> Exchange:
    exchange = Exchange()
    pair = Pair(LISTING, 1_000, Sequence())
    exchange.list_pair(pair)
    for key in ("one", "two"):
        exchange.open_account(key, "secret", {"USDT": 1_000 * ONE, "A": 100 * ONE, "MX": 100 * ONE})
    pair.agent_order(Side.SELL, 1_000, 10_000, NOW_MS, rests=True)
    pair.agent_order(Side.BUY, 990, 10_000, NOW_MS, rests=True)
    exchange.ledger.mx_price = 2 * ONE
    return exchange


def fee_of_a_trade(exchange: Exchange, key: str, side: Side) -> tuple[str, str]:
    account = exchange.accounts[key]
    result = exchange.place(account, NewOrder("AUSDT", side, OrderType.MARKET, None, 100), NOW_MS)
    assert isinstance(result, Order)
    trade = account.trades[-1]
    return amount_text(trade.fee), trade.fee_asset


def test_schedule_narrower_terms_win_field_by_field() -> None:
    exchange = open_exchange()
    one, two = exchange.accounts["one"], exchange.accounts["two"]
    schedule = FeeSchedule(FeeAsset.QUOTE)
    assert schedule.of(one, LISTING) == FeeRates(0, 50_000, FeeAsset.QUOTE)
    schedule.put(None, None, FeeTerms(maker_e8=1))
    schedule.put("AUSDT", None, FeeTerms(taker_e8=2, asset=FeeAsset.MX))
    schedule.put(None, "one", FeeTerms(maker_e8=3))
    schedule.put("AUSDT", "one", FeeTerms(taker_e8=0))
    assert schedule.of(one, LISTING) == FeeRates(3, 0, FeeAsset.MX)
    assert schedule.of(two, LISTING) == FeeRates(1, 2, FeeAsset.MX)
    assert schedule.of(two, MX_LISTING) == FeeRates(1, 50_000, FeeAsset.QUOTE)
    assert schedule.standard(LISTING) == FeeRates(1, 2, FeeAsset.MX)
    schedule.clear()
    assert schedule.of(one, LISTING) == FeeRates(0, 50_000, FeeAsset.QUOTE)


def test_fee_terms_of_one_account_do_not_touch_another() -> None:
    exchange = open_exchange()
    exchange.ledger.schedule.put("AUSDT", "one", FeeTerms(taker_e8=200_000, asset=FeeAsset.RECEIVED))
    assert fee_of_a_trade(exchange, "one", Side.BUY) == ("0.002", "A")
    assert fee_of_a_trade(exchange, "one", Side.SELL) == ("0.0198", "USDT")
    assert fee_of_a_trade(exchange, "two", Side.BUY) == ("0.005", "USDT")
    exchange.ledger.schedule.put("AUSDT", "one", FeeTerms(asset=FeeAsset.MX))
    assert fee_of_a_trade(exchange, "one", Side.BUY) == ("0.002", "MX")


def test_mx_fee_follows_the_price_of_mx_where_it_is_listed() -> None:
    exchange = open_exchange()
    exchange.accounts["one"].mx_deduct = True
    assert fee_of_a_trade(exchange, "one", Side.BUY) == ("0.002", "MX")
    exchange.ledger.mx_pair = Pair(MX_LISTING, 400, Sequence())
    assert fee_of_a_trade(exchange, "one", Side.BUY) == ("0.001", "MX")
    exchange.accounts["one"].balances["MX"].free = 0
    assert fee_of_a_trade(exchange, "one", Side.BUY) == ("0.005", "USDT")
    exchange.accounts["one"].balances["MX"].free = 600 * ONE
    assert fee_of_a_trade(exchange, "one", Side.BUY) == ("0.000625", "MX")


def test_mx_fee_is_taken_on_the_pair_of_mx_itself() -> None:
    exchange = open_exchange()
    pair = Pair(MX_LISTING, 200, Sequence())
    exchange.list_pair(pair)
    exchange.ledger.mx_pair = pair
    pair.agent_order(Side.SELL, 200, 10_000, NOW_MS, rests=True)
    one = exchange.accounts["one"]
    one.mx_deduct = True
    totals = exchange.totals()
    bought = exchange.place(one, NewOrder("MXUSDT", Side.BUY, OrderType.MARKET, None, 1_000), NOW_MS)
    assert isinstance(bought, Order)
    # 10 MX of 2 USDT at 0.05 %, 20 % off, in MX.
    assert (amount_text(one.trades[-1].fee), one.trades[-1].fee_asset) == ("0.004", "MX")
    assert amount_text(one.balances["MX"].free) == "109.996"
    assert exchange.totals() == totals
