"""pymexc as a trading client. May import pymexc; nothing of it is changed but addresses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pymexc.base
import pymexc.base_websocket
import pytest
from pymexc import spot
from simulator_process import RunningSimulator
from trading_clients import (
    NAMES,
    SYMBOL,
    Seen,
    SeenBook,
    SeenFill,
    SeenOrder,
    TradingClient,
    raw_fill,
    raw_levels,
    raw_order,
)

_PUSHED_STATUS = {1: "open", 3: "open", 2: "closed"}


class PymexcClient:
    """pymexc's HTTP class, each call in a thread."""

    lacks: frozenset[str] = frozenset()

    def __init__(self, http: Any) -> None:
        self.http = http

    async def _call(self, name: str, *given: Any, **named: Any) -> Any:
        return await asyncio.to_thread(getattr(self.http, name), *given, **named)

    async def tick_and_lot(self) -> tuple[float, float]:
        (info,) = (await self._call("exchange_info", SYMBOL))["symbols"]
        return 10.0 ** -info["quotePrecision"], 10.0 ** -info["baseAssetPrecision"]

    async def book(self, depth: int) -> SeenBook:
        told = await self._call("order_book", SYMBOL, depth)
        return SeenBook(told["lastUpdateId"], raw_levels(told["bids"]), raw_levels(told["asks"]))

    async def last_price(self) -> float:
        return float((await self._call("ticker_24h", SYMBOL))["lastPrice"])

    async def candles(self, count: int) -> list[list[float]]:
        rows = await self._call("klines", SYMBOL, "1m", limit=count)
        return [[float(value) for value in row[:6]] for row in rows]

    async def trades(self, count: int) -> list[tuple[float, float, str]]:
        rows = await self._call("trades", SYMBOL, count)
        return [(float(row["price"]), float(row["qty"]), "sell" if row["isBuyerMaker"] else "buy") for row in rows]

    async def balances(self) -> dict[str, tuple[float, float]]:
        told = (await self._call("account_information"))["balances"]
        return {balance["asset"]: (float(balance["free"]), float(balance["locked"])) for balance in told}

    async def create(self, kind: str, side: str, qty: str, price: str | None) -> str:
        name = f"py-{next(NAMES)}"
        placed = await self._call(
            "order", SYMBOL, side.upper(), kind, quantity=qty, price=price, new_client_order_id=name
        )
        return str(placed["orderId"])

    async def create_by_cost(self, cost: str) -> str:
        return str((await self._call("order", SYMBOL, "BUY", "MARKET", quote_order_qty=cost))["orderId"])

    async def order(self, order_id: str) -> SeenOrder:
        return raw_order(await self._call("query_order", SYMBOL, order_id=order_id))

    async def open_orders(self) -> list[SeenOrder]:
        return [raw_order(order) for order in await self._call("current_open_orders", SYMBOL)]

    async def past_orders(self) -> list[SeenOrder]:
        return [raw_order(order) for order in await self._call("all_orders", SYMBOL)]

    async def fills(self, order_id: str) -> list[SeenFill]:
        return [raw_fill(trade) for trade in await self._call("account_trade_list", SYMBOL, order_id=order_id)]

    async def cancel(self, order_id: str) -> None:
        await self._call("cancel_order", SYMBOL, order_id=order_id)

    async def cancel_all(self) -> None:
        await self._call("cancel_all_open_orders", SYMBOL)


@asynccontextmanager
async def pymexc_client(simulator: RunningSimulator) -> AsyncIterator[PymexcClient]:
    """pymexc with its base addresses replaced while it is in use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pymexc.base, "SPOT", simulator.rest)
        patch.setattr(pymexc.base_websocket, "SPOT", simulator.ws)
        yield PymexcClient(spot.HTTP(api_key=simulator.api_key, api_secret=simulator.secret))


class DeltaBook:
    """A book as a user of pymexc would keep one, after the seven documented steps: pymexc hands out deltas only."""

    def __init__(self, seen: Seen, http: Any) -> None:
        self._seen = seen
        self._http = http
        self._version = 0
        self._sides: tuple[dict[float, float], dict[float, float]] = ({}, {})

    def on_push(self, push: Any) -> None:
        """Take a delta, in pymexc's thread."""
        first, last = int(push.fromVersion), int(push.toVersion)
        if first > self._version + 1:
            snapshot = self._http.order_book(SYMBOL, 5_000)
            self._version = snapshot["lastUpdateId"]
            self._sides = (dict(raw_levels(snapshot["bids"])), dict(raw_levels(snapshot["asks"])))
        if last <= self._version:
            return
        for side, changes in zip(self._sides, (push.bids, push.asks), strict=True):
            for change in changes:
                side[float(change.price)] = float(change.quantity)
                if not float(change.quantity):
                    del side[float(change.price)]
        self._version = last
        bids, asks = (sorted(side.items()) for side in self._sides)
        self._seen.books.append(SeenBook(last, bids[::-1][:20], asks[:20]))


def _pymexc_keepers(seen: Seen) -> dict[str, Callable[[Any], None]]:
    """Return by stream what keeps its pushes."""

    def order(push: Any) -> None:
        side = "buy" if push.tradeType == 1 else "sell"
        status = _PUSHED_STATUS.get(push.status, "canceled")
        filled = float(push.cumulativeQuantity)
        seen.orders.append(SeenOrder(push.id, side, float(push.quantity), filled, status, push.clientId))

    def fill(push: Any) -> None:
        side = "buy" if push.tradeType == 1 else "sell"
        price, qty, fee = float(push.price), float(push.quantity), float(push.feeAmount)
        seen.fills.append(SeenFill(push.orderId, side, price, qty, fee, push.feeCurrency, push.isMaker))

    def balance(push: Any) -> None:
        seen.balances[push.vcoinName] = (float(push.balanceAmount), float(push.frozenAmount))

    return {
        "ticker": lambda push: seen.tickers.append(float(push.price)),
        "candle": lambda push: seen.candles.append((push.windowStart * 1_000, float(push.closingPrice))),
        "trades": lambda push: seen.trades.extend(
            (float(deal.price), float(deal.quantity), "buy" if deal.tradeType == 1 else "sell") for deal in push.deals
        ),
        "order": order,
        "fill": fill,
        "balance": balance,
    }


@asynccontextmanager
async def pymexc_streams(simulator: RunningSimulator) -> AsyncIterator[tuple[TradingClient, Seen]]:
    """pymexc with a public and a private WebSocket."""
    seen = Seen()
    keep = _pymexc_keepers(seen)

    def subscribe(public: Any, private: Any) -> None:
        public.endpoint = simulator.ws
        private.endpoint = f"{simulator.ws}?listenKey={private.listenKey}"
        public.depth_stream(book.on_push, SYMBOL, "100ms")
        public.mini_ticker_stream(keep["ticker"], SYMBOL)
        public.kline_stream(keep["candle"], SYMBOL, "Min1")
        public.deals_stream(keep["trades"], SYMBOL, "100ms")
        private.account_orders(keep["order"])
        private.account_deals(keep["fill"])
        private.account_update(keep["balance"])
        time.sleep(0.3)  # its subscriptions are not acknowledged to the caller

    async with pymexc_client(simulator) as client:
        book = DeltaBook(seen, client.http)
        public = spot.WebSocket(proto=True)
        private = spot.WebSocket(api_key=simulator.api_key, api_secret=simulator.secret, proto=True)
        try:
            await asyncio.to_thread(subscribe, public, private)
            yield client, seen
        finally:
            await asyncio.to_thread(public.exit)
            await asyncio.to_thread(private.exit)
