"""What the submit-to-venue benchmark hosts in Ray: many symbols behind one door. May import actors and engine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from actors.clients import ExecutorHandle
from actors.handles import Handle
from bench.depth_frames import MID_TICKS
from bench.order_flow_actors import ACCOUNT, made_intent
from bench.submit_to_venue import Arrivals
from trading.engine.ports import OrderRecord, Submission
from trading.model.orders import Delivery, PlaceAccepted, PlaceAnswer, VenueOrder
from trading.model.units import NS_PER_MS

DOOR = "door"


class DoorPort:
    """The executor's way to any of the symbols: all of them stand behind one door."""

    def __init__(self, symbol: str) -> None:
        self._handle = Handle(DOOR)

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        """Nobody has to be told."""

    async def paper_place(self, orders: tuple[OrderRecord, ...]) -> tuple[PlaceAnswer, ...]:
        """See `Door.paper_place`."""
        answers: tuple[PlaceAnswer, ...] = await self._handle.call("paper_place", orders)
        return answers

    async def paper_cancel(self, ids: tuple[str, ...]) -> tuple[bool, ...]:
        """Nothing is cancelled here."""
        return tuple(False for _ in ids)

    async def paper_orders(self) -> tuple[VenueOrder, ...]:
        """Nothing is asked here."""
        return ()


class Door:
    """Makes orders for many symbols, and is the venue that they come to."""

    def __init__(self) -> None:
        self._executor = ExecutorHandle(ACCOUNT)
        self._epochs: dict[str, int] = {}
        self._made: dict[str, int] = {}
        self._durations_ms: list[float] = []
        self._number = 0

    async def ping(self) -> str:
        """Return the process id."""
        return str(os.getpid())

    async def attach(self, symbols: tuple[str, ...]) -> None:
        """Own these symbols."""
        for symbol in symbols:
            self._epochs[symbol] = (await self._executor.attach_symbol(symbol, "run", 1, "door")).owner_epoch

    async def paper_place(self, orders: tuple[OrderRecord, ...]) -> tuple[PlaceAnswer, ...]:
        """Note when each order came, and take it."""
        now_ns = time.time_ns()
        for order in orders:
            self._durations_ms.append((now_ns - self._made.pop(order.client_order_id)) / NS_PER_MS)
        return tuple(PlaceAccepted(order.client_order_id, f"door-{order.client_order_id}", now_ns) for order in orders)

    async def run(self, symbols: tuple[str, ...], seconds: float, interval_s: float) -> Arrivals:
        """Order in each symbol every `interval_s`, the symbols spread over it; return what came."""
        self._durations_ms, self._made = [], {}
        end = time.perf_counter() + seconds
        await asyncio.gather(
            *(
                self._orders(name, place * interval_s / len(symbols), end, interval_s)
                for place, name in enumerate(symbols)
            )
        )
        await asyncio.sleep(1)
        return Arrivals(tuple(self._durations_ms), len(self._made))

    async def _orders(self, symbol: str, first_s: float, end: float, interval_s: float) -> None:
        await asyncio.sleep(first_s)
        epoch = self._epochs[symbol]
        while time.perf_counter() < end:
            await self._executor.mark(symbol, MID_TICKS - 1, 0)
            self._number += 1
            intent = made_intent(symbol, f"mx-door-{epoch}-{self._number}", epoch)
            self._made[intent.client_order_id] = intent.created_ns
            await self._executor.submit(Submission(symbol, epoch, "run", (intent,), ()))
            await asyncio.sleep(interval_s)


@dataclass(frozen=True, slots=True)
class DoorRecipe:
    """Builds the door."""

    async def build(self, crash: Callable[[str], None]) -> Door:
        """Return it."""
        return Door()
