"""The gateways that the contract suite runs over, each with a market to trade in.

May import our adapters and the simulator process; imported by the contract suite.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from tests.mexc_account import Account, opened_account
from tests.simulator_process import SimulatorProcess
from trading.engine.ports import Gateway, OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderType, VenueOrder, VenueTrade

E = TypeVar("E")


class Market(Protocol):
    """An account at a gateway, with everything that it pushed. `Account` of the live gateway is one."""

    instrument: Instrument

    def record(self, side: Side, kind: OrderType, price_ticks: int, qty_lots: int) -> OrderRecord:
        """Make an order as journaled."""
        ...

    def best_ticks(self) -> tuple[int, int]:
        """Return the best bid and ask in ticks."""
        ...

    def lots_worth(self, quote: int, price_ticks: int) -> int:
        """Return the lots that cost about `quote` at a price."""
        ...

    def orders(self, client_order_id: str) -> list[VenueOrder]:
        """Return what was pushed about an order, oldest first."""
        ...

    def trades(self, client_order_id: str) -> list[VenueTrade]:
        """Return the executions that were pushed for an order."""
        ...

    async def until(self, condition: Callable[[], E], what: str) -> E:
        """Wait for a condition to be truthy."""
        ...


class Subject:
    """One gateway under test, and the orders that the suite needs of its market."""

    def __init__(self, gateway: Gateway, market: Market) -> None:
        self.gateway = gateway
        self.instrument = market.instrument
        self._market = market
        self.record = market.record
        self.orders = market.orders
        self.trades = market.trades
        self.until = market.until

    def resting(self) -> OrderRecord:
        """Make a buy that rests far below the market."""
        price_ticks = self._market.best_ticks()[0] * 95 // 100
        return self.record(Side.BUY, OrderType.LIMIT, price_ticks, self._market.lots_worth(20, price_ticks))

    def crossing(self, kind: OrderType) -> OrderRecord:
        """Make a small buy two percent through the market; a MARKET one has no price."""
        ask_ticks = self._market.best_ticks()[1]
        price_ticks = 0 if kind is OrderType.MARKET else ask_ticks * 102 // 100
        return self.record(Side.BUY, kind, price_ticks, self._market.lots_worth(20, ask_ticks))

    def unfillable(self, kind: OrderType) -> OrderRecord:
        """Make a buy at the best ask for more than stands there."""
        ask_ticks = self._market.best_ticks()[1]
        return self.record(Side.BUY, kind, ask_ticks, self._market.lots_worth(90_000, ask_ticks))

    def is_open(self, client_order_id: str) -> bool:
        """Return whether nothing final was pushed yet."""
        return not self.has_ended(client_order_id)

    def has_ended(self, client_order_id: str) -> bool:
        """Return whether a final state was pushed."""
        return any(order.status.is_terminal for order in self.orders(client_order_id))

    async def open_ids(self) -> list[str]:
        """Return our ids of the orders that the venue says are open."""
        return [order.client_order_id for order in await self.gateway.open_orders([self.instrument.symbol])]

    @staticmethod
    def host_ms() -> int:
        """Return the host's clock."""
        return time.time_ns() // 1_000_000


@asynccontextmanager
async def live_subject(simulator: SimulatorProcess) -> AsyncIterator[Subject]:
    """The live gateway on a running simulator; leaves no open order behind."""
    async with opened_account(simulator) as account:
        market: Account = account
        yield Subject(account.gateway, market)
    async with opened_account(simulator) as account:
        await account.gateway.cancel_all([account.instrument.symbol])
