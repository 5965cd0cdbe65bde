"""Whatever trades on the simulator sees what the exchange holds: books, orders, fills and balances of every client.

One suite over ccxt (sync, async), ccxt.pro, pymexc and our own adapter: simulator and MEXC differ by a URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import httpx
import pytest
from ccxt_clients import ccxt_async, ccxt_pro_streams, ccxt_sync
from own_clients import own_client, own_streams
from pymexc_clients import pymexc_client, pymexc_streams
from simulator_process import RunningSimulator
from trading_clients import (
    SYMBOL,
    Levels,
    Seen,
    SeenBook,
    SeenFill,
    SeenOrder,
    TradingClient,
    raw_fill,
    raw_levels,
    raw_order,
)

from trading.model.orders import PlaceRejected, PlaceUnknown

CLIENTS: dict[str, Callable[[RunningSimulator], AbstractAsyncContextManager[TradingClient]]] = {
    "ccxt": ccxt_sync,
    "ccxt-async": ccxt_async,
    "pymexc": pymexc_client,
    "ours": own_client,
}
STREAMS: dict[str, Callable[[RunningSimulator], AbstractAsyncContextManager[tuple[TradingClient, Seen]]]] = {
    "ccxt.pro": ccxt_pro_streams,
    "pymexc": pymexc_streams,
    "ours": own_streams,
}
# ccxt keeps the first version of its last delta; within so many more it must meet the truth.
VERSIONS_LATER = 400


@pytest.fixture(params=CLIENTS)
async def client(request: pytest.FixtureRequest, simulator: RunningSimulator) -> AsyncIterator[TradingClient]:
    async with CLIENTS[request.param](simulator) as opened:
        yield opened


def account(simulator: RunningSimulator) -> Any:
    return simulator.state(SYMBOL)["accounts"][simulator.api_key]


def true_order(simulator: RunningSimulator, order_id: str) -> SeenOrder:
    return raw_order(next(order for order in account(simulator)["orders"] if order["orderId"] == order_id))


def true_fills(simulator: RunningSimulator, order_id: str) -> list[SeenFill]:
    return sorted((raw_fill(trade) for trade in account(simulator)["trades"] if trade["orderId"] == order_id), key=repr)


def keep_books(simulator: RunningSimulator) -> None:
    kept = httpx.post(
        f"{simulator.rest}/sim/book_history", json={"symbol": SYMBOL, "keep": 20_000}, trust_env=False, timeout=30
    )
    assert kept.status_code == 200


def true_book(simulator: RunningSimulator, version: int, depth: int) -> tuple[Levels, Levels] | None:
    told = simulator.get("/sim/book", symbol=SYMBOL, version=version)
    if told.status_code != 200:
        return None
    book = told.json()
    return raw_levels(book["bids"])[:depth], raw_levels(book["asks"])[:depth]


def assert_balances(told: dict[str, tuple[float, float]], simulator: RunningSimulator) -> None:
    truth = account(simulator)["balances"]
    for asset in ("USDT", "XRP"):
        wanted = float(truth[asset]["free"]), float(truth[asset]["locked"])
        assert told[asset] == pytest.approx(wanted, rel=1e-12, abs=1e-9), asset


def price(simulator: RunningSimulator, factor: str, side: str) -> str:
    """Return a price at a distance from the best price of a side, on the tick."""
    bid, ask = simulator.best(SYMBOL)
    return f"{(bid if side == 'bid' else ask) * Decimal(factor):.5f}"


async def test_client_market_data_is_the_exchanges(client: TradingClient, simulator: RunningSimulator) -> None:
    assert await client.tick_and_lot() == pytest.approx((0.00001, 0.1))
    keep_books(simulator)
    book = await client.book(20)
    assert (book.bids, book.asks) == true_book(simulator, book.version, 20)
    day = simulator.get("/api/v3/ticker/24hr", symbol=SYMBOL).json()
    assert float(day["lowPrice"]) * 0.99 < await client.last_price() < float(day["highPrice"]) * 1.01
    closed = (await client.candles(10))[:-1]
    rows = simulator.get("/api/v3/klines", symbol=SYMBOL, interval="1m", limit=15).json()
    truth = {row[0]: [float(value) for value in row[:6]] for row in rows}
    assert len(closed) == 9
    assert closed == [truth[int(candle[0])] for candle in closed]
    told = await client.trades(20)
    rows = simulator.get("/api/v3/trades", symbol=SYMBOL, limit=500).json()
    assert len(told) == 20
    assert set(told) <= {
        (float(row["price"]), float(row["qty"]), "sell" if row["isBuyerMaker"] else "buy") for row in rows
    }


async def assert_rests_and_is_cancelled(client: TradingClient, simulator: RunningSimulator, kind: str) -> None:
    order_id = await client.create(kind, "buy", "100", price(simulator, "0.9", "bid"))
    order = await client.order(order_id)
    assert order == true_order(simulator, order_id)
    assert (order.status, order.qty, order.filled, order.side) == ("open", 100, 0, "buy")
    assert await client.open_orders() == [order]
    balances = await client.balances()
    assert balances["USDT"][1] > 0
    assert_balances(balances, simulator)
    await client.cancel(order_id)
    ended = await client.order(order_id)
    assert ended == true_order(simulator, order_id)
    assert (ended.status, ended.filled) == ("canceled", 0)
    assert await client.open_orders() == []
    assert ended in await client.past_orders()
    assert await client.fills(order_id) == []
    assert_balances(await client.balances(), simulator)


async def test_client_resting_orders_live_as_the_exchange_says(
    client: TradingClient, simulator: RunningSimulator
) -> None:
    for kind in ("LIMIT", "LIMIT_MAKER"):
        await assert_rests_and_is_cancelled(client, simulator, kind)
    orders = [await client.create("LIMIT", "buy", "50", price(simulator, "0.9", "bid")) for _ in range(3)]
    assert sorted(order.id for order in await client.open_orders()) == sorted(orders)
    await client.cancel_all()
    assert await client.open_orders() == []
    assert [true_order(simulator, order_id).status for order_id in orders] == ["canceled"] * 3


# (type, side, quantity, limit as a factor of the best opposite price, how it ends)
TAKING = (
    ("MARKET", "buy", "20", None, "closed"),
    ("MARKET", "sell", "20", None, "closed"),
    ("LIMIT", "buy", "20", "1.01", "closed"),
    ("IMMEDIATE_OR_CANCEL", "sell", "20", "0.99", "closed"),
    ("IMMEDIATE_OR_CANCEL", "buy", "140000", "1", "canceled"),
    ("FILL_OR_KILL", "buy", "20", "1.01", "closed"),
    ("FILL_OR_KILL", "buy", "140000", "1", "canceled"),
    ("LIMIT_MAKER", "buy", "20", "1.01", "canceled"),
)


async def test_client_taking_orders_end_as_the_exchange_says(
    client: TradingClient, simulator: RunningSimulator
) -> None:
    for kind, side, qty, factor, status in TAKING:
        limit = None if factor is None else price(simulator, factor, "ask" if side == "buy" else "bid")
        order_id = await client.create(kind, side, qty, limit)
        order = await client.order(order_id)
        assert order == true_order(simulator, order_id), kind
        assert (order.status, order.side, order.qty) == (status, side, float(qty)), kind
        assert (order.filled == order.qty) == (status == "closed"), kind
        fills = await client.fills(order_id)
        assert sorted(fills, key=repr) == true_fills(simulator, order_id), kind
        assert sum(fill.qty for fill in fills) == pytest.approx(order.filled), kind
        assert await client.open_orders() == [], kind
        assert_balances(await client.balances(), simulator)
    if "cost" not in client.lacks:
        order_id = await client.create_by_cost("25")
        fills = await client.fills(order_id)
        assert sorted(fills, key=repr) == true_fills(simulator, order_id)
        assert 24.9 < sum(fill.price * fill.qty for fill in fills) <= 25
        assert (await client.order(order_id)).status == "closed"


async def until(condition: Callable[[], Any], what: str, timeout_s: float = 90) -> Any:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not (found := condition()):
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(0.02)
    return found


def is_true(book: SeenBook, simulator: RunningSimulator) -> bool:
    """Return whether a client's ten best levels were the exchange's at its version, or soon after it."""
    wanted = book.bids[:10], book.asks[:10]
    for version in range(book.version, book.version + VERSIONS_LATER):
        truth = true_book(simulator, version, 10)
        if truth is None or truth == wanted:
            return truth == wanted
    return False


@pytest.mark.parametrize("name", STREAMS)
async def test_client_streams_tell_what_the_exchange_holds(name: str, simulator: RunningSimulator) -> None:
    keep_books(simulator)
    async with STREAMS[name](simulator) as (client, seen):
        resting = await client.create("LIMIT", "buy", "100", price(simulator, "0.9", "bid"))
        await until(lambda: [o for o in seen.orders if (o.id, o.status) == (resting, "open")], "acceptance pushed")
        taking = await client.create("MARKET", "sell", "2000", None)
        await until(lambda: [o for o in seen.orders if (o.id, o.status) == (taking, "closed")], "end pushed")
        await client.cancel(resting)
        await until(lambda: [o for o in seen.orders if (o.id, o.status) == (resting, "canceled")], "cancel pushed")
        for order_id in (resting, taking):
            last = [order for order in seen.orders if order.id == order_id][-1]
            assert last == true_order(simulator, order_id)
        wanted = true_fills(simulator, taking)
        await until(lambda: sum(fill.order_id == taking for fill in seen.fills) >= len(wanted), "fills pushed")
        assert sorted((fill for fill in seen.fills if fill.order_id == taking), key=repr) == wanted
        truth = {asset: float(held["free"]) for asset, held in account(simulator)["balances"].items()}
        for asset in ("USDT", "XRP"):  # each has a push of its own
            wanted_free = pytest.approx(truth[asset], rel=1e-12)
            await until(lambda: seen.balances.get(asset, (None,))[0] == wanted_free, f"{asset} pushed")  # noqa: B023 - awaited here
        assert_balances(seen.balances, simulator)
        await until(lambda: len(seen.books) >= 3 and seen.tickers and seen.trades, "market data pushed")
        assert is_true(seen.books[-1], simulator)
        if "candle stream" not in client.lacks:
            await until(lambda: seen.candles, "candles pushed")
            rows = simulator.get("/api/v3/klines", symbol=SYMBOL, interval="1m", limit=5).json()
            assert seen.candles[-1][0] in [row[0] for row in rows]
        rows = simulator.get("/api/v3/trades", symbol=SYMBOL, limit=1_000).json()
        sides = {(float(row["price"]), float(row["qty"]), "sell" if row["isBuyerMaker"] else "buy") for row in rows}
        assert set(seen.trades) <= sides
        low, high = simulator.best(SYMBOL)
        assert float(low) * 0.97 < seen.tickers[-1] < float(high) * 1.03


# What each code means to who places an order: (codes, what the executor is told).
REFUSALS = (
    ((10101, 30002, 30003, 30004, 30005, 30010, 30029, 30087, 10095, 10096, 10097, 10102, 33333, 700004), "rejected"),
    ((10007, 30000, 30014, 30016, 30018, 30019, 30020, 30021, 30051, 70011), "disables"),
    ((400, 401, 402, 403, 406, 602, 10072, 700001, 700002, 700006, 700007), "fatal"),
    ((429, 510), "pause"),
    ((500, 503, 504, 603, 20002), "unknown"),
)


async def test_own_adapter_tells_every_code_apart(simulator: RunningSimulator) -> None:
    orders = len(account(simulator)["orders"])
    async with own_client(simulator) as ours:
        for codes, meaning in REFUSALS:
            for code in codes:
                simulator.inject("error_reply", count=1, params={"code": code, "msg": "told", "method": "POST"})
                _, answer = await ours.place("LIMIT", "buy", "100", price(simulator, "0.9", "bid"))
                if meaning == "unknown":
                    assert isinstance(answer, PlaceUnknown), code
                    continue
                assert isinstance(answer, PlaceRejected), code
                assert (answer.disables_symbol, answer.is_fatal) == (meaning == "disables", meaning == "fatal"), code
                assert (answer.retry_after_s > 0) == (meaning == "pause"), code
                assert meaning == "pause" or answer.code == code
    assert len(account(simulator)["orders"]) == orders
