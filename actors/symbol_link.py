"""What a running symbol tells its executor again and again, and what it hears: where it stands, and what became of it.

May import `trading`, the gate, the outbox and the ports. Once a second the executor is told the bid one could sell at;
the answer says which delivery was the last one, what is halted, and whether orders are taken. While the executor is
away, or not ready yet, it is asked more often, for a while: a symbol trades again as soon as it may.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from actors.symbol_gate import TradingGate
from actors.symbol_outbox import Outbox
from actors.symbol_ports import Clock, ExecutorPort
from trading.engine.engine import SymbolEngine
from trading.engine.messages import EngineEvent, OrdersReopened
from trading.model.errors import FencedOut, TradingError
from trading.model.market import BookState

MARK_S = 1.0
# Ray starts a dead executor anew within seconds. Who is away for longer (its database, its venue) is not hurried.
AWAY_S = 0.25
QUICK_MARKS_MAX = 40
log = structlog.get_logger("symbol")


class ExecutorLink:
    """Owned by one `SymbolActor`, made when its engine is."""

    def __init__(
        self,
        symbol: str,
        engine: SymbolEngine,
        executor: ExecutorPort,
        outbox: Outbox,
        gate: TradingGate,
        clock: Clock,
        step: Callable[[EngineEvent], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
        bury: Callable[[tuple[str, ...]], None],
    ) -> None:
        """Make it; nothing is said before `run`.

        Args:
            step: brings an event to the engine.
            spawn: runs a task whose exception ends the actor.
            bury: takes ids that the executor never journaled and never will.
        """
        self._symbol = symbol
        self._engine = engine
        self._executor = executor
        self._outbox = outbox
        self._gate = gate
        self._clock = clock
        self._step = step
        self._spawn = spawn
        self._bury = bury
        self._is_rereading = False
        self._away = 0  # marks in a row that found nobody who takes orders

    async def run(self) -> None:
        """Keep the executor's mark fresh, for ever, whoever else is away. Raises: FencedOut."""
        while True:
            await self.mark()
            await asyncio.sleep(AWAY_S if 0 < self._away <= QUICK_MARKS_MAX else MARK_S)

    async def mark(self) -> None:
        """Tell the bid, and follow the answer. Raises: FencedOut."""
        view = self._engine.view()
        bid_ticks = view.bid[0] if view.book_state is BookState.PROVEN and view.bid is not None else 0
        try:
            answer = await self._executor.mark(self._symbol, bid_ticks, self._clock.now_ns())
        except FencedOut:
            raise
        except TradingError as error:
            self._away += 1
            log.debug("mark_lost", symbol=self._symbol, reason=str(error))
            return
        if self._gate.take_halt(answer.halt):
            self._step(self._gate.event(self._clock.now_ns()))
        if answer.last_seq > self._engine.last_seq:
            self.reread()
        self._observe(answer.is_ready)
        await self.forgive()
        if view.unanswered:
            await self._ask(view.unanswered)

    async def forgive(self) -> None:
        """Say that losses are forgiven, if that was not heard yet: with every mark until it is. Raises: FencedOut."""
        forgiven_ns = self._gate.forgiven_ns
        if not forgiven_ns:
            return
        try:
            await self._executor.forgive_losses(self._symbol, forgiven_ns)
        except FencedOut:
            raise
        except TradingError as error:
            log.debug("forgiveness_lost", symbol=self._symbol, reason=str(error))
            return
        if self._gate.forgiven_ns == forgiven_ns:
            self._gate.forgiven_ns = 0

    def reread(self) -> None:
        """Read the deliveries beyond the last one again; at most one such read is under way."""
        if not self._is_rereading:
            self._is_rereading = True
            self._spawn(self._read_events(), "reread")

    def _observe(self, is_ready: bool) -> None:
        """Begin anew at once when orders are taken again: what was refused or lost meanwhile says nothing."""
        if not is_ready:
            self._away += 1
        elif self._away:
            self._away = 0
            self._outbox.wake()
            self._step(OrdersReopened(self._clock.now_ns()))

    async def _read_events(self) -> None:
        try:
            for delivery in await self._executor.read_events(self._symbol, self._engine.last_seq):
                self._step(delivery)
        except FencedOut:
            raise
        except TradingError as error:
            log.warning("reread_failed", symbol=self._symbol, reason=str(error))
        finally:
            self._is_rereading = False

    async def _ask(self, ids: tuple[str, ...]) -> None:
        """Ask what became of intents past their age; the executor knows them, or buries them for good."""
        try:
            known = await self._executor.lookup(self._symbol, ids)
        except FencedOut:
            raise
        except TradingError as error:
            log.warning("lookup_failed", symbol=self._symbol, reason=str(error))
            return
        found = {record.client_order_id for record in known}
        self._bury(tuple(order_id for order_id in ids if order_id not in found))
