"""The paper venue as a gateway: places orders with the symbols' own paper venues, beside the data.

May import `trading.model`, `trading.engine` and the clock. Each symbol is a venue of its own: its actor holds the
matching and reports executions to the executor (`paper_reports`), so that nothing is pushed from here. A symbol whose
actor is not up answers nothing: reads and cancels raise, a placement was certainly not made, or is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from trading.adapters.clock import Clock
from trading.engine.budget import RequestMeter
from trading.engine.ports import OrderRecord
from trading.model.errors import NotRunning, TradingError, VenueUnavailable
from trading.model.orders import (
    PlaceAnswer,
    PlaceRejected,
    PlaceUnknown,
    VenueBalance,
    VenueEvent,
    VenueOrder,
    VenueTrade,
)
from trading.model.units import ms_from_ns

BATCH_MAX = 50


class PaperSymbolPort(Protocol):
    """The paper venue of one symbol. Raises everywhere: NotRunning (nothing happened), OutcomeUnknown (it may have)."""

    async def paper_place(self, orders: tuple[OrderRecord, ...]) -> tuple[PlaceAnswer, ...]:
        """Place journaled orders; one answer each, in order. Repeating an id is harmless."""
        ...

    async def paper_cancel(self, ids: tuple[str, ...]) -> tuple[bool, ...]:
        """Cancel; False for an order that is not open."""
        ...

    async def paper_orders(self) -> tuple[VenueOrder, ...]:
        """Return the open orders; ended ones may be among them."""
        ...


class _Batch:
    """Placements of one symbol that travel together."""

    def __init__(self) -> None:
        self.orders: list[OrderRecord] = []
        self.answers: list[asyncio.Future[PlaceAnswer]] = []


class PaperGateway:
    """Implements `engine.ports.Gateway` over the symbols' paper venues. Owned by the executor; lives on its loop."""

    venue = "paper"

    def __init__(self, symbols: Callable[[str], PaperSymbolPort], clock: Clock) -> None:
        """Args: symbols: gives the way to a symbol's paper venue; the symbol need not be up."""
        self._make_port = symbols
        self._ports: dict[str, PaperSymbolPort] = {}
        self._clock = clock
        self._batches: dict[str, _Batch] = {}
        self._carriers: set[asyncio.Task[None]] = set()

    async def start(self, sink: Callable[[VenueEvent], None], meter: RequestMeter | None = None) -> None:
        """Nothing to connect: executions come to the executor by themselves."""

    async def close(self) -> None:
        """Wait for placements under way; idempotent."""
        if self._carriers:
            await asyncio.wait(tuple(self._carriers))

    def on_attached(self, symbol: str) -> None:
        """Look the symbol's actor up again: the former one may be gone for good, and one by the same name be there."""
        self._ports.pop(symbol, None)

    async def place(self, order: OrderRecord) -> PlaceAnswer:
        """Place one order once; placements of one moment share a call."""
        batch = self._batches.get(order.symbol)
        if batch is None or len(batch.orders) >= BATCH_MAX:
            batch = self._batches[order.symbol] = _Batch()
            carrier = asyncio.create_task(self._carry(order.symbol, batch), name=f"paper:{order.symbol}")
            self._carriers.add(carrier)
            carrier.add_done_callback(self._carriers.discard)
        answer: asyncio.Future[PlaceAnswer] = asyncio.get_running_loop().create_future()
        batch.orders.append(order)
        batch.answers.append(answer)
        return await answer

    async def _carry(self, symbol: str, batch: _Batch) -> None:
        await asyncio.sleep(0)  # the rest of this moment's placements
        if self._batches.get(symbol) is batch:
            del self._batches[symbol]
        answers: Sequence[PlaceAnswer]
        try:
            answers = await self._symbols(symbol).paper_place(tuple(batch.orders))
        except NotRunning as error:
            text, now_ns = f"not placed: {error}", self._clock.now_ns()
            answers = [PlaceRejected(order.client_order_id, 0, text, now_ns) for order in batch.orders]
        except TradingError as error:
            answers = [PlaceUnknown(order.client_order_id, str(error), self._clock.now_ns()) for order in batch.orders]
        for future, answer in zip(batch.answers, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> bool:
        """Ask for a cancel; False when no such order is open. Raises: VenueUnavailable."""
        try:
            (is_taken,) = await self._symbols(symbol).paper_cancel((client_order_id,))
        except TradingError as error:
            raise _unavailable(symbol, error)
        return is_taken

    async def cancel_all(self, symbols: Sequence[str]) -> None:
        """Cancel every open order of these symbols; one that does not answer holds up no other.

        Raises: VenueUnavailable when one of them did not answer.
        """
        answers = await asyncio.gather(*(self._clear(symbol) for symbol in symbols), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _clear(self, symbol: str) -> None:
        orders = await self._orders(symbol)
        try:
            await self._symbols(symbol).paper_cancel(tuple(item.client_order_id for item in orders))
        except TradingError as error:
            raise _unavailable(symbol, error)

    async def order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Return one order; None when the paper venue does not hold it. Raises: VenueUnavailable."""
        for item in await self._orders(symbol):
            if item.client_order_id == client_order_id:
                return item
        return None

    async def open_orders(self, symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        """Return the open orders of these symbols. Raises: VenueUnavailable when one of them does not answer."""
        found: list[VenueOrder] = []
        for symbol in symbols:
            found += [item for item in await self._orders(symbol) if not item.status.is_terminal]
        return tuple(found)

    async def recent_orders(self, symbol: str, since_ms: int) -> tuple[VenueOrder, ...]:
        """Return the open orders; the word of an ended one is repeated anyway. Raises: VenueUnavailable."""
        return await self._orders(symbol)

    async def trades(self, symbol: str, venue_order_id: str, since_ms: int) -> tuple[VenueTrade, ...]:
        """Return nothing: an execution is reported until it is journaled, and one that is not never happened."""
        return ()

    async def balances(self) -> tuple[VenueBalance, ...]:
        """Return nothing: a paper account's balances are those of the ledger."""
        return ()

    async def fee_rates(self, symbol: str) -> None:
        """Return nothing: paper venues charge the listed rates."""

    async def price(self, symbol: str) -> None:
        """Return nothing: paper venues charge in the assets of the pair."""

    def now_ms(self) -> int:
        """Return the host's clock, in ms."""
        return ms_from_ns(self._clock.now_ns())

    def clock_skew_ms(self) -> int:
        """Return 0: the paper venues run on the host's clock."""
        return 0

    def _symbols(self, symbol: str) -> PaperSymbolPort:
        port = self._ports.get(symbol)
        if port is None:
            port = self._ports[symbol] = self._make_port(symbol)
        return port

    async def _orders(self, symbol: str) -> tuple[VenueOrder, ...]:
        try:
            return await self._symbols(symbol).paper_orders()
        except TradingError as error:
            raise _unavailable(symbol, error)


def _unavailable(symbol: str, error: TradingError) -> VenueUnavailable:
    return VenueUnavailable(f"the paper venue of {symbol} does not answer: {error}")
