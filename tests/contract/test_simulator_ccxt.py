"""What ccxt makes of the simulator's errors, and its calls beyond the common suite (test_trading_clients.py)."""

from collections.abc import Iterator
from typing import Any

import ccxt
import pytest
from ccxt_clients import CCXT_SYMBOL, redirect
from simulator_process import RunningSimulator

ORDER = {"symbol": "XRPUSDT", "side": "BUY", "type": "LIMIT", "quantity": "100", "price": "0.5"}


@pytest.fixture(scope="module")
def client(simulator: RunningSimulator) -> Iterator[Any]:
    exchange = redirect(ccxt.mexc({"apiKey": simulator.api_key, "secret": simulator.secret}), simulator)
    exchange.session.trust_env = False
    exchange.load_markets()
    yield exchange
    exchange.session.close()


def test_ccxt_markets_have_the_listings_steps_and_fees(client: Any) -> None:
    market = client.market(CCXT_SYMBOL)
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.00001, 0.1)
    assert (market["maker"], market["taker"], market["active"]) == (0.0, 0.0005, True)
    assert client.fetch_trading_fee(CCXT_SYMBOL)["taker"] == 0.0005


def test_ccxt_reads_every_interval_it_has_and_all_tickers(client: Any) -> None:
    for interval in client.options["timeframes"]["spot"]:
        assert client.fetch_ohlcv(CCXT_SYMBOL, interval, limit=5), interval
    assert set(client.fetch_tickers()) == {"BTC/USDT", "XRP/USDT", "DOGE/USDT", "MX/USDT"}
    bests = client.fetch_bids_asks()
    assert all(best["bid"] < best["ask"] for best in bests.values())


def test_ccxt_batch_test_orders_and_lookups_by_client_id(client: Any, simulator: RunningSimulator) -> None:
    named = {"symbol": CCXT_SYMBOL, "type": "limit", "side": "buy", "amount": 100, "price": 0.5}
    made = client.create_orders([named | {"params": {"clientOrderId": "batch-1"}}, named])
    assert client.fetch_order(None, CCXT_SYMBOL, {"clientOrderId": "batch-1"})["id"] == made[0]["id"]
    assert len(client.fetch_open_orders(CCXT_SYMBOL)) == 2
    assert client.create_order(CCXT_SYMBOL, "limit", "buy", 100, 0.5, {"test": True})["id"] is None
    assert client.cancel_all_orders() == []
    ended = {order["id"] for order in client.fetch_canceled_orders(CCXT_SYMBOL)}
    assert {order["id"] for order in made} <= ended
    assert simulator.state()["accounts"][simulator.api_key]["balances"]["USDT"]["locked"] == "0"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"quantity": "1000000"}, ccxt.InsufficientFunds),
        ({"side": "SELL", "quantity": "1000000"}, ccxt.InsufficientFunds),
        ({"symbol": "NOPEUSDT"}, ccxt.BadSymbol),
        ({"quantity": "1"}, ccxt.InvalidOrder),
        ({"quantity": "900000000"}, ccxt.InvalidOrder),
        ({"price": "0.05"}, ccxt.InvalidOrder),
        ({"price": "0.1234567"}, ccxt.InvalidOrder),
        ({"quantity": "0"}, ccxt.InvalidOrder),
        ({"quantity": ""}, ccxt.InvalidOrder),
        ({"type": "STOP"}, ccxt.BadRequest),
        ({"side": ""}, ccxt.BadRequest),
        ({"newClientOrderId": "no blanks"}, ccxt.BadRequest),
    ],
)
def test_ccxt_raises_its_error_for_a_wrong_order(client: Any, changes: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        client.spotPrivatePostOrder(ORDER | changes)
    assert raised.type is error


def test_ccxt_raises_its_error_for_what_is_unknown_forbidden_or_too_much(
    client: Any, simulator: RunningSimulator
) -> None:
    with pytest.raises(ccxt.BadSymbol):
        client.spotPublicGetDepth({"symbol": "NOPEUSDT"})
    with pytest.raises(ccxt.BadRequest, match="-2011"):
        client.cancel_order("C02__1", CCXT_SYMBOL)
    with pytest.raises(ccxt.ExchangeError, match="-2013"):
        client.fetch_order("C02__1", CCXT_SYMBOL)
    for key, secret, error in (
        (simulator.api_key, "wrong", ccxt.AuthenticationError),
        ("stranger", simulator.secret, ccxt.BadRequest),
    ):
        wrong = redirect(ccxt.mexc({"apiKey": key, "secret": secret}), simulator)
        wrong.session.trust_env = False
        with pytest.raises(error):
            wrong.fetch_balance()
        wrong.session.close()
    simulator.inject("http_429", count=1)
    with pytest.raises(ccxt.RateLimitExceeded):
        client.fetch_time()
    simulator.inject("html_403", count=1)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        client.fetch_time()
    simulator.inject("clock_skew", count=1, params={"delay_ms": 60_000})
    with pytest.raises(ccxt.InvalidNonce):
        client.fetch_balance()
    simulator.inject("accept_then_5xx", count=1)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        client.create_order(CCXT_SYMBOL, "limit", "buy", 100, 0.5)
    client.cancel_all_orders()


def test_ccxt_raises_for_every_code_what_it_maps_the_code_to(client: Any, simulator: RunningSimulator) -> None:
    for code, error in client.exceptions["exact"].items():
        simulator.inject("error_reply", count=1, params={"code": int(code), "msg": "told"})
        with pytest.raises(error) as raised:
            client.spotPublicGetPing()
        assert raised.type is error, code
    assert client.spotPublicGetPing() == {}
