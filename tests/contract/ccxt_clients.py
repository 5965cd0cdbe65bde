"""ccxt, sync and async, and ccxt.pro as trading clients. May import ccxt; nothing of it is changed but addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import ccxt
import ccxt.pro
from simulator_process import RunningSimulator
from trading_clients import NAMES, Seen, SeenBook, SeenFill, SeenOrder, TradingClient

CCXT_SYMBOL = "XRP/USDT"

_CCXT_FLAGS: dict[str, dict[str, Any]] = {
    "LIMIT": {},
    "MARKET": {},
    "LIMIT_MAKER": {"postOnly": True},
    "IMMEDIATE_OR_CANCEL": {"timeInForce": "IOC"},
    "FILL_OR_KILL": {"timeInForce": "FOK"},
}


def redirect(exchange: Any, simulator: RunningSimulator) -> Any:
    """Point a ccxt exchange at the simulator: nothing but addresses."""
    rest = simulator.rest
    exchange.enableRateLimit = False  # its pauses only make the tests slow
    exchange.urls["api"]["spot"] = {"public": rest, "private": rest}
    exchange.urls["api"]["contract"] = {"public": f"{rest}/api/v1/contract", "private": f"{rest}/api/v1/private"}
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"]["spot"] = simulator.ws
    return exchange


def _ccxt_order(order: Any) -> SeenOrder:
    return SeenOrder(
        order["id"], order["side"], order["amount"], order["filled"], order["status"], order["clientOrderId"] or ""
    )


def _ccxt_fill(trade: Any) -> SeenFill:
    fee = trade["fee"]
    return SeenFill(
        trade["order"],
        trade["side"],
        trade["price"],
        trade["amount"],
        fee["cost"],
        fee["currency"],
        trade["takerOrMaker"] == "maker",
    )


def _ccxt_book(book: Any) -> SeenBook:
    return SeenBook(book["nonce"], *([(level[0], level[1]) for level in book[side]] for side in ("bids", "asks")))


def _ccxt_balances(told: Any) -> dict[str, tuple[float, float]]:
    return {asset: (free, told["used"][asset]) for asset, free in told["free"].items()}


class CcxtClient:
    """ccxt, sync or async: `call` awaits what a method of the exchange returns."""

    lacks: frozenset[str] = frozenset()

    def __init__(self, exchange: Any, call: Callable[..., Awaitable[Any]]) -> None:
        self.exchange = exchange
        self._call = call

    async def tick_and_lot(self) -> tuple[float, float]:
        precision = self.exchange.market(CCXT_SYMBOL)["precision"]
        return precision["price"], precision["amount"]

    async def book(self, depth: int) -> SeenBook:
        return _ccxt_book(await self._call("fetch_order_book", CCXT_SYMBOL, depth))

    async def last_price(self) -> float:
        return float((await self._call("fetch_ticker", CCXT_SYMBOL))["last"])

    async def candles(self, count: int) -> list[list[float]]:
        return list(await self._call("fetch_ohlcv", CCXT_SYMBOL, "1m", None, count))

    async def trades(self, count: int) -> list[tuple[float, float, str]]:
        found = await self._call("fetch_trades", CCXT_SYMBOL, None, count)
        return [(trade["price"], trade["amount"], trade["side"]) for trade in found]

    async def balances(self) -> dict[str, tuple[float, float]]:
        return _ccxt_balances(await self._call("fetch_balance"))

    async def create(self, kind: str, side: str, qty: str, price: str | None) -> str:
        ccxt_kind = "market" if kind == "MARKET" else "limit"
        limit = None if price is None else float(price)
        flags = _CCXT_FLAGS[kind] | {"clientOrderId": f"ccxt-{next(NAMES)}"}
        return str((await self._call("create_order", CCXT_SYMBOL, ccxt_kind, side, float(qty), limit, flags))["id"])

    async def create_by_cost(self, cost: str) -> str:
        return str((await self._call("create_market_buy_order_with_cost", CCXT_SYMBOL, float(cost)))["id"])

    async def order(self, order_id: str) -> SeenOrder:
        return _ccxt_order(await self._call("fetch_order", order_id, CCXT_SYMBOL))

    async def open_orders(self) -> list[SeenOrder]:
        return [_ccxt_order(order) for order in await self._call("fetch_open_orders", CCXT_SYMBOL)]

    async def past_orders(self) -> list[SeenOrder]:
        return [_ccxt_order(order) for order in await self._call("fetch_orders", CCXT_SYMBOL)]

    async def fills(self, order_id: str) -> list[SeenFill]:
        return [_ccxt_fill(trade) for trade in await self._call("fetch_order_trades", order_id, CCXT_SYMBOL)]

    async def cancel(self, order_id: str) -> None:
        await self._call("cancel_order", order_id, CCXT_SYMBOL)

    async def cancel_all(self) -> None:
        await self._call("cancel_all_orders", CCXT_SYMBOL)


@asynccontextmanager
async def ccxt_sync(simulator: RunningSimulator) -> AsyncIterator[CcxtClient]:
    """ccxt's sync exchange, each call in a thread."""
    exchange = redirect(ccxt.mexc({"apiKey": simulator.api_key, "secret": simulator.secret}), simulator)
    exchange.session.trust_env = False
    await asyncio.to_thread(exchange.load_markets)
    yield CcxtClient(exchange, lambda name, *given: asyncio.to_thread(getattr(exchange, name), *given))
    exchange.session.close()


@asynccontextmanager
async def ccxt_async(simulator: RunningSimulator) -> AsyncIterator[CcxtClient]:
    """ccxt's async exchange; ccxt.pro's, which is the same with streams."""
    exchange = redirect(ccxt.pro.mexc({"apiKey": simulator.api_key, "secret": simulator.secret}), simulator)
    await exchange.load_markets()
    try:
        yield CcxtClient(exchange, lambda name, *given: getattr(exchange, name)(*given))
    finally:
        await exchange.close()


@asynccontextmanager
async def ccxt_pro_streams(simulator: RunningSimulator) -> AsyncIterator[tuple[TradingClient, Seen]]:
    """ccxt.pro with all its watches running."""
    seen = Seen()
    async with ccxt_async(simulator) as client:
        exchange = client.exchange

        def book(told: Any) -> None:
            seen.books.append(_ccxt_book(told))

        watches: list[tuple[Callable[[], Awaitable[Any]], Callable[[Any], None]]] = [
            (lambda: exchange.watch_order_book(CCXT_SYMBOL), book),
            (lambda: exchange.watch_ticker(CCXT_SYMBOL), lambda told: seen.tickers.append(told["bid"])),
            (
                lambda: exchange.watch_ohlcv(CCXT_SYMBOL, "1m"),
                lambda told: seen.candles.extend((candle[0], candle[4]) for candle in told),
            ),
            (
                lambda: exchange.watch_trades(CCXT_SYMBOL),
                lambda told: seen.trades.extend((one["price"], one["amount"], one["side"]) for one in told),
            ),
            (
                lambda: exchange.watch_orders(CCXT_SYMBOL),
                lambda told: seen.orders.extend(_ccxt_order(order) for order in told),
            ),
            (
                lambda: exchange.watch_my_trades(CCXT_SYMBOL),
                lambda told: seen.fills.extend(_ccxt_fill(trade) for trade in told),
            ),
            (exchange.watch_balance, lambda told: seen.balances.update(_ccxt_balances(told))),
        ]

        async def watch(ask: Callable[[], Awaitable[Any]], keep: Callable[[Any], None]) -> None:
            while True:
                keep(await ask())

        tasks = [asyncio.create_task(watch(ask, keep)) for ask, keep in watches]
        while sum(len(known.subscriptions) for known in exchange.clients.values()) < len(tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        try:
            yield client, seen
            for task in tasks:
                assert not task.done(), task.exception()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
