"""ccxt and ccxt.pro trade on the simulator with nothing changed but their addresses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.pro
import pytest
from simulator_process import RunningSimulator

SYMBOL = "XRP/USDT"


def redirect(exchange: Any, simulator: RunningSimulator) -> Any:
    rest = simulator.rest
    exchange.enableRateLimit = False  # its pauses only make the tests slow
    exchange.urls["api"]["spot"] = {"public": rest, "private": rest}
    exchange.urls["api"]["contract"] = {"public": f"{rest}/api/v1/contract", "private": f"{rest}/api/v1/private"}
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"]["spot"] = simulator.ws
    return exchange


@pytest.fixture(scope="module")
def client(simulator: RunningSimulator) -> Iterator[Any]:
    exchange = redirect(ccxt.mexc({"apiKey": simulator.api_key, "secret": simulator.secret}), simulator)
    exchange.session.trust_env = False
    exchange.load_markets()
    yield exchange
    exchange.session.close()


@pytest.fixture
async def streaming(simulator: RunningSimulator) -> AsyncIterator[Any]:
    exchange = redirect(ccxt.pro.mexc({"apiKey": simulator.api_key, "secret": simulator.secret}), simulator)
    await exchange.load_markets()
    yield exchange
    await exchange.close()


def test_ccxt_markets_have_the_listings_steps_and_fees(client: Any) -> None:
    market = client.market(SYMBOL)
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.00001, 0.1)
    assert (market["maker"], market["taker"], market["active"]) == (0.0, 0.0005, True)


def test_ccxt_public_data_is_read(client: Any, simulator: RunningSimulator) -> None:
    book = client.fetch_order_book(SYMBOL, 5)
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0][0] < book["asks"][0][0]
    assert book["nonce"] <= simulator.state("XRPUSDT")["symbols"]["XRPUSDT"]["version"]
    ticker = client.fetch_ticker(SYMBOL)
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert len(client.fetch_ohlcv(SYMBOL, "5m", limit=10)) == 10
    assert len(client.fetch_trades(SYMBOL, limit=20)) == 20
    assert client.fetch_time() > 0


def test_ccxt_order_life_equals_the_exchanges(client: Any, simulator: RunningSimulator) -> None:
    created = client.create_order(SYMBOL, "limit", "buy", 100, 0.4, {"clientOrderId": "ccxt-1"})
    fetched = client.fetch_order(created["id"], SYMBOL)
    assert (fetched["status"], fetched["price"], fetched["remaining"]) == ("open", 0.4, 100)
    assert [order["id"] for order in client.fetch_open_orders(SYMBOL)] == [created["id"]]
    cancelled = client.cancel_order(created["id"], SYMBOL)
    assert cancelled["id"] == created["id"]
    assert client.fetch_order(created["id"], SYMBOL)["status"] == "canceled"
    assert client.fetch_open_orders(SYMBOL) == []
    assert created["id"] in [order["id"] for order in client.fetch_orders(SYMBOL)]


@pytest.mark.parametrize(
    ("order_type", "params", "status"),
    [
        ("market", {}, "closed"),
        ("limit", {"timeInForce": "IOC"}, "closed"),
        ("limit", {"timeInForce": "FOK"}, "closed"),
        ("limit", {"postOnly": True}, "canceled"),
    ],
)
def test_ccxt_taking_orders_end_as_the_exchange_says(
    client: Any, simulator: RunningSimulator, order_type: str, params: dict[str, Any], status: str
) -> None:
    price = None if order_type == "market" else float(simulator.best("XRPUSDT")[1] * Decimal("1.01"))
    price = None if price is None else float(client.price_to_precision(SYMBOL, price))
    created = client.create_order(SYMBOL, order_type, "buy", 20, price, params)
    order = client.fetch_order(created["id"], SYMBOL)
    assert order["status"] == status
    assert order["filled"] == (20 if status == "closed" else 0)
    trades = [trade for trade in client.fetch_my_trades(SYMBOL) if trade["order"] == created["id"]]
    assert sum(Decimal(str(trade["amount"])) for trade in trades) == order["filled"]


def test_ccxt_market_buy_by_cost_and_sell_change_the_balance(client: Any, simulator: RunningSimulator) -> None:
    client.create_market_buy_order_with_cost(SYMBOL, 25)
    client.create_order(SYMBOL, "market", "sell", 20)
    balance = client.fetch_balance()
    truth = simulator.state("XRPUSDT")["accounts"][simulator.api_key]["balances"]
    for asset in ("USDT", "XRP"):
        assert balance[asset]["free"] == pytest.approx(float(truth[asset]["free"]), abs=1e-9)
    assert client.fetch_trading_fee(SYMBOL)["taker"] == 0.0005


def test_ccxt_raises_its_own_error_of_each_class(client: Any, simulator: RunningSimulator) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order(SYMBOL, "limit", "buy", 1_000_000, 0.5)
    with pytest.raises(ccxt.InvalidOrder):
        client.create_order(SYMBOL, "limit", "buy", 100, 0.05)
    with pytest.raises(ccxt.InvalidOrder):
        client.create_order(SYMBOL, "limit", "buy", 1, 0.5)
    with pytest.raises(ccxt.BadSymbol):
        client.spotPublicGetDepth({"symbol": "NOPEUSDT"})
    with pytest.raises(ccxt.ExchangeError, match="-2013"):
        client.fetch_order("C02__1", SYMBOL)
    wrong = redirect(ccxt.mexc({"apiKey": simulator.api_key, "secret": "wrong"}), simulator)
    wrong.session.trust_env = False
    with pytest.raises(ccxt.AuthenticationError):
        wrong.fetch_balance()
    wrong.session.close()
    simulator.inject("http_429", count=1)
    with pytest.raises(ccxt.RateLimitExceeded):
        client.fetch_time()
    simulator.inject("clock_skew", count=1, params={"delay_ms": 60_000})
    with pytest.raises(ccxt.InvalidNonce):
        client.fetch_balance()


async def test_ccxt_async_fetches_what_the_exchange_has(streaming: Any, simulator: RunningSimulator) -> None:
    created = await streaming.create_order(SYMBOL, "limit", "buy", 100, 0.4)
    assert created["id"] in [order["id"] for order in await streaming.fetch_open_orders(SYMBOL)]
    await streaming.cancel_order(created["id"], SYMBOL)
    assert await streaming.fetch_open_orders(SYMBOL) == []


async def test_ccxt_pro_watches_public_streams(streaming: Any, simulator: RunningSimulator) -> None:
    async with asyncio.timeout(30):
        book = await streaming.watch_order_book("BTC/USDT")
        assert book["bids"][0][0] < book["asks"][0][0]
        trades = await streaming.watch_trades("BTC/USDT")
        assert trades[0]["price"] > 0
        ticker = await streaming.watch_ticker("BTC/USDT")
        assert 0 < ticker["bid"] < ticker["ask"]
        assert len((await streaming.watch_ohlcv("BTC/USDT", "1m"))[0]) == 6


async def test_ccxt_pro_watches_own_orders_trades_and_balance(streaming: Any, simulator: RunningSimulator) -> None:
    async with asyncio.timeout(30):
        orders = asyncio.create_task(streaming.watch_orders(SYMBOL))
        trades = asyncio.create_task(streaming.watch_my_trades(SYMBOL))
        balance = asyncio.create_task(streaming.watch_balance())
        while sum(len(known.subscriptions) for known in streaming.clients.values()) < 3:  # noqa: ASYNC110 - ccxt's own
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.2)
        created = await streaming.create_order(SYMBOL, "market", "sell", 20)
        assert (await orders)[0]["id"] == created["id"]
        assert (await trades)[0]["order"] == created["id"]
        told = await balance
    truth = simulator.state("XRPUSDT")["accounts"][simulator.api_key]["balances"]
    assert told["XRP"]["free"] == pytest.approx(float(truth["XRP"]["free"]), abs=1e-9)
