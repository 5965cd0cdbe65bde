"""An account at a simulator, seen through `MexcGateway`: what its tests need to place, watch and compare.

Imported by test modules. May import our adapters and the simulator process.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TypeVar

from tests.simulator_process import SimulatorProcess
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.rest import RestSettings
from trading.adapters.mexc.rest_codec import instruments_of
from trading.adapters.mexc.user_stream import UserStreamSettings
from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import (
    OrderStatus,
    OrderType,
    PlaceAccepted,
    Purpose,
    VenueEvent,
    VenueOrder,
    VenueStreamLost,
    VenueStreamRestored,
    VenueTrade,
)

E = TypeVar("E")
_NUMBERS = itertools.count(1)
# A busy machine's: no outcome may depend on how soon the simulator's process gets its turn.
PATIENT = RestSettings(connect_timeout_s=30.0, request_timeout_s=30.0)
# For who waits for an answer that does not come.
QUICK = RestSettings(connect_timeout_s=2.0, request_timeout_s=2.0)
WINDOW_MS = 30_000


def journaled(
    symbol: str, side: Side, kind: OrderType, price_ticks: int, qty_lots: int, signed_ms: int, name: str | None = None
) -> OrderRecord:
    """Make an order as the executor would have journaled it, under a new id unless one is given."""
    return OrderRecord(
        client_order_id=name or f"mx-t-1-{next(_NUMBERS)}",
        symbol=symbol,
        run_id="run",
        owner_epoch=1,
        executor_epoch=1,
        side=side,
        type=kind,
        price_ticks=price_ticks,
        qty_lots=qty_lots,
        purpose=Purpose.ENTRY,
        strategy="test",
        status=OrderStatus.SENT,
        created_ns=0,
        valid_until_ns=0,
        signed_ms=signed_ms,
        recv_window_ms=WINDOW_MS,
    )


async def wait_until(condition: Callable[[], E], what: str, timeout_s: float = 60.0) -> E:
    """Wait for a condition to be truthy and return it; fails with `what` when it does not come true in time."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not (result := condition()):
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(0.01)
    return result


class Account:
    """A started gateway with everything that it pushed."""

    def __init__(self, gateway: MexcGateway, instrument: Instrument, simulator: SimulatorProcess) -> None:
        self.gateway = gateway
        self.instrument = instrument
        self.simulator = simulator
        self.events: list[VenueEvent] = []

    def record(
        self, side: Side, kind: OrderType, price_ticks: int, qty_lots: int, name: str | None = None, late_ms: int = 0
    ) -> OrderRecord:
        """Make an order as journaled, signed `late_ms` ago."""
        signed_ms = self.gateway.now_ms() - late_ms
        return journaled(self.instrument.symbol, side, kind, price_ticks, qty_lots, signed_ms, name)

    def best_ticks(self) -> tuple[int, int]:
        """Return the best bid and ask in ticks."""
        bid, ask = self.simulator.best(self.instrument.symbol)
        return self.instrument.price_ticks(bid), self.instrument.price_ticks(ask)

    def lots_worth(self, quote: int, price_ticks: int) -> int:
        """Return the lots that cost about `quote` at a price."""
        return self.instrument.qty_lots_ceil(Decimal(quote) / self.instrument.price(price_ticks))

    def resting(self, quote: int = 20) -> OrderRecord:
        """Make a buy that rests far below the market, but not so far that the venue calls the price absurd."""
        price_ticks = self.best_ticks()[0] * 95 // 100
        return self.record(Side.BUY, OrderType.LIMIT, price_ticks, self.lots_worth(quote, price_ticks))

    async def place(self, order: OrderRecord) -> PlaceAccepted:
        """Place an order that must be accepted."""
        answer = await self.gateway.place(order)
        assert isinstance(answer, PlaceAccepted), answer
        return answer

    def orders(self, client_order_id: str) -> list[VenueOrder]:
        """Return what was pushed about an order, oldest first."""
        return [
            event for event in self.events if isinstance(event, VenueOrder) and event.client_order_id == client_order_id
        ]

    def trades(self, client_order_id: str) -> list[VenueTrade]:
        """Return the executions that were pushed for an order."""
        return [
            event
            for event in self.events
            if isinstance(event, VenueTrade) and event.fill.client_order_id == client_order_id
        ]

    def has_traded(self, client_order_id: str, qty_lots: int) -> list[VenueTrade]:
        """Return the executions that were pushed for an order once they make so many lots; none before."""
        trades = self.trades(client_order_id)
        return trades if sum(trade.fill.qty_lots for trade in trades) >= qty_lots else []

    def stream_events(self) -> list[VenueStreamLost | VenueStreamRestored]:
        """Return the losses and restorations of the private stream."""
        return [event for event in self.events if isinstance(event, VenueStreamLost | VenueStreamRestored)]

    async def until(self, condition: Callable[[], E], what: str, timeout_s: float = 60.0) -> E:
        """Wait for a condition to be truthy and return it."""
        return await wait_until(condition, what, timeout_s)


@asynccontextmanager
async def opened_account(
    simulator: SimulatorProcess,
    symbol: str = "BTCUSDT",
    rest: RestSettings = PATIENT,
    stream: UserStreamSettings | None = None,
    rest_url: str | None = None,
) -> AsyncIterator[Account]:
    """Start a gateway on the simulator's first account, and close it."""
    instruments = instruments_of(simulator.get("/api/v3/exchangeInfo"))
    settings = MexcGatewaySettings(
        rest_url or simulator.rest, simulator.ws, "sim", rest, stream or UserStreamSettings(backoff_min_s=0.05)
    )
    gateway = MexcGateway(settings, Credentials(simulator.api_key, simulator.secret), instruments, SystemClock())
    account = Account(gateway, instruments[symbol], simulator)
    try:
        await gateway.start(account.events.append)
        yield account
    finally:
        await gateway.close()
