"""What a client of the simulator sees, in plain words and floats (ccxt knows no decimals), and the face it must show.

One suite compares it with `/sim/state`, whichever library it is. Imported by the clients' modules and the suite.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

SYMBOL = "XRPUSDT"
NAMES = itertools.count(1)

Levels = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class SeenBook:
    """A book as a client has it, of `version` or, where a client keeps the first one of a delta, a little later."""

    version: int
    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class SeenOrder:
    """An order as a client has it. `status`: open, closed (filled) or canceled."""

    id: str
    side: str
    qty: float
    filled: float
    status: str
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class SeenFill:
    """A fill as a client has it."""

    order_id: str
    side: str
    price: float
    qty: float
    fee: float
    fee_asset: str
    is_maker: bool


@dataclass(slots=True)
class Seen:
    """What a client's streams told, newest last."""

    books: list[SeenBook] = field(default_factory=list)
    tickers: list[float] = field(default_factory=list)  # last prices, or best bids
    candles: list[tuple[int, float]] = field(default_factory=list)  # (start in ms, close)
    trades: list[tuple[float, float, str]] = field(default_factory=list)  # (price, quantity, side of the taker)
    orders: list[SeenOrder] = field(default_factory=list)
    fills: list[SeenFill] = field(default_factory=list)
    balances: dict[str, tuple[float, float]] = field(default_factory=dict)


class TradingClient(Protocol):
    """What the suite asks of every client. `lacks` names what its library has no call for."""

    lacks: frozenset[str]

    async def tick_and_lot(self) -> tuple[float, float]: ...
    async def book(self, depth: int) -> SeenBook: ...
    async def last_price(self) -> float: ...
    async def candles(self, count: int) -> list[list[float]]: ...
    async def trades(self, count: int) -> list[tuple[float, float, str]]: ...
    async def balances(self) -> dict[str, tuple[float, float]]: ...
    async def create(self, kind: str, side: str, qty: str, price: str | None) -> str: ...
    async def create_by_cost(self, cost: str) -> str: ...
    async def order(self, order_id: str) -> SeenOrder: ...
    async def open_orders(self) -> list[SeenOrder]: ...
    async def past_orders(self) -> list[SeenOrder]: ...
    async def fills(self, order_id: str) -> list[SeenFill]: ...
    async def cancel(self, order_id: str) -> None: ...
    async def cancel_all(self) -> None: ...


_RAW_STATUS = {"NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "closed"}


def raw_levels(rows: Sequence[Sequence[str]]) -> Levels:
    """Read the levels of REST."""
    return [(float(price), float(qty)) for price, qty in rows]


def raw_order(order: dict[str, Any]) -> SeenOrder:
    """Read MEXC's order object."""
    return SeenOrder(
        order["orderId"],
        order["side"].lower(),
        float(order["origQty"]),
        float(order["executedQty"]),
        _RAW_STATUS.get(order["status"], "canceled"),
        order["clientOrderId"] or "",
    )


def raw_fill(trade: dict[str, Any]) -> SeenFill:
    """Read an item of MEXC's my-trades."""
    return SeenFill(
        trade["orderId"],
        "buy" if trade["isBuyer"] else "sell",
        float(trade["price"]),
        float(trade["qty"]),
        float(trade["commission"]),
        trade["commissionAsset"],
        trade["isMaker"],
    )
