"""The symbol actor: the shell around one `SymbolEngine`. A plain class; Ray hosts it through `actors.handles`.

May import `trading.model`, `trading.engine` and the actors' ports; never the database or web libraries (its process is
multiplied by the fleet). Its one job: bring events in, carry actions out. All engine calls happen on one loop, one at a
time; nothing here decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from actors.fleet import DrainReport
from actors.recipes import SymbolSpec
from actors.symbol_gate import TradingGate
from actors.symbol_heartbeat import NO_FEED, book_body, running_heartbeat, starting_heartbeat
from actors.symbol_link import ExecutorLink
from actors.symbol_outbox import Outbox
from actors.symbol_ports import Clock, ExecutorPort, FeedPort, SupervisorPort, SymbolAttachment, SymbolSettings
from actors.symbol_snapshots import SnapshotFetcher
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.engine import SymbolEngine
from trading.engine.messages import (
    Action,
    CancelOrder,
    DrainRequested,
    EngineEvent,
    FetchSnapshot,
    NoteRaised,
    PaperCancelRequested,
    PaperOrderPlaced,
    ParametersChanged,
    PlaceOrder,
    ReconnectFeed,
    ReportPaper,
    TimerFired,
)
from trading.engine.ports import OrderRecord
from trading.engine.strategy.registry import parse_parameters
from trading.model.errors import NotRunning, TradingError
from trading.model.market import BookState
from trading.model.orders import Delivery, OrderNotSent, PlaceAnswer, PlaceRejected, PlaceUnknown, VenueOrder
from trading.model.session import Heartbeat, RunState
from trading.model.units import plain

TIMER_S = 0.1
HEARTBEAT_S = 1.0
ATTACH_RETRY_MAX_S = 0.5
log = structlog.get_logger("symbol")


class SymbolActor:
    """One symbol, one engine, one owner. Invariant: no event reaches the engine before this owner is attached."""

    def __init__(
        self,
        spec: SymbolSpec,
        settings: SymbolSettings,
        executor: ExecutorPort,
        supervisor: SupervisorPort,
        make_feed: Callable[[SymbolAttachment], FeedPort],
        make_snapshots: Callable[[SymbolAttachment, Callable[[EngineEvent], None]], SnapshotFetcher],
        clock: Clock,
        crash: Callable[[str], None],
        make_engine: Callable[[SymbolConfig, SymbolBootstrap], SymbolEngine] = SymbolEngine,
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._executor = executor
        self._supervisor = supervisor
        self._make_feed = make_feed
        self._make_snapshots, self._make_engine = make_snapshots, make_engine
        self._snapshots: SnapshotFetcher | None = None
        self._clock = clock
        self._crash = crash
        self._engine: SymbolEngine | None = None
        self._attachment: SymbolAttachment | None = None
        self._outbox: Outbox | None = None
        self._feed: FeedPort | None = None
        self._link: ExecutorLink | None = None
        self._gate = TradingGate(spec.is_paused)
        self._is_draining = False
        self._drained = asyncio.Event()
        self._state = RunState.STARTING
        self._since_ns = clock.now_ns()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin: attach to the executor, then run the loops. Returns at once."""
        self._spawn(self._boot(), "boot")
        self._spawn(self._beat(), "heartbeat")

    async def ping(self) -> str:
        """Return the process id."""
        return str(os.getpid())

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self._spec.symbol}:{name}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash(f"{task.get_name()}: {type(error).__name__}: {error}")

    async def _boot(self) -> None:
        attachment = await self._attach()
        self._attachment = attachment
        self._engine = self._make_engine(
            SymbolConfig(
                instrument=attachment.instrument,
                strategy_name=self._spec.strategy,
                params=self._spec.params,
                run_number=self._spec.run_number,
                owner_epoch=attachment.owner_epoch,
                is_paper=self._settings.is_paper,
                allocation_quote=attachment.allocation_quote,
                seed=self._settings.seed,
                latency=self._settings.latency,
                matching=self._settings.matching,
            ),
            attachment.bootstrap,
        )
        run_id, epoch, filters = self._spec.run_id, attachment.owner_epoch, attachment.instrument.filters
        outbox = Outbox(self._spec.symbol, run_id, epoch, self._executor, self._bury, filters)
        self._outbox = outbox
        self._link = ExecutorLink(
            self._spec.symbol, self._engine, self._executor, outbox, self._gate, self._clock, self._step, self._spawn,
            self._bury,
        )  # fmt: skip
        self._snapshots = self._make_snapshots(attachment, self._step)
        self._set_state(RunState.SYNCING)
        self._gate.take_halt(attachment.bootstrap.halt)
        if not self._gate.is_open:
            self._step(self._gate.event(self._clock.now_ns()))
        self._feed = self._make_feed(attachment)
        for name, loop in self._outbox.loops():
            self._spawn(loop, name)
        self._spawn(self._link.run(), "marks")
        self._spawn(self._tick(), "timer")
        self._spawn(self._feed.run(self._step), "feed")

    async def _attach(self) -> SymbolAttachment:
        owner = f"{self._settings.node}:{os.getpid()}"
        delay = 0.1
        while True:
            try:
                return await self._executor.attach_symbol(
                    self._spec.symbol, self._spec.run_id, self._spec.run_number, owner
                )
            except TradingError as error:
                log.info("attach_waits", symbol=self._spec.symbol, reason=str(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, ATTACH_RETRY_MAX_S)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _step(self, event: EngineEvent) -> None:
        """Run one engine step and carry out what it wants. Synchronous: steps never interleave."""
        engine = self._engine
        assert engine is not None
        try:
            for action in engine.step(event, self._clock.now_ns()):
                self._act(action)
        except Exception as error:
            # Half a step is carried out, whoever called: start anew from the journal.
            self._crash(f"{self._spec.symbol}: step: {type(error).__name__}: {error}")
            raise

    def _act(self, action: Action) -> None:
        outbox, snapshots = self._outbox, self._snapshots
        assert outbox is not None
        assert snapshots is not None
        match action:
            case PlaceOrder():
                outbox.place(action.intent)
            case CancelOrder():
                outbox.cancel(action.cancel)
            case ReportPaper():
                outbox.report(action.events)
            case FetchSnapshot():
                snapshots.fetch(action.not_before_ns, action.is_audit)
            case ReconnectFeed():
                if self._feed is not None:
                    self._feed.reconnect(action.reason)
            case NoteRaised():
                self._note(action)

    def _note(self, note: NoteRaised) -> None:
        fields = {"symbol": self._spec.symbol, **dict(note.fields)}
        {"alert": log.error, "warning": log.warning}.get(note.level, log.info)(note.name, **fields)
        if note.name == "delivery_gap":
            assert self._link is not None
            self._link.reread()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TIMER_S)
            self._step(TimerFired(self._clock.now_ns()))
            if self._is_draining and self._require_engine().view().is_drained:
                self._drained.set()

    # --- from the executor ------------------------------------------------------------------------------------------

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        """Take journaled events; duplicates and gaps are told apart by their sequence."""
        if self._engine is None:
            return  # the bootstrap, or the re-read after it, holds them
        for delivery in deliveries:
            self._step(delivery)

    def _bury(self, ids: tuple[str, ...]) -> None:
        """The executor never journaled these and never will: sequence 0 marks an event that is not from the journal."""
        now_ns = self._clock.now_ns()
        for order_id in ids:
            event = OrderNotSent(self._spec.symbol, order_id, "the executor never had it", now_ns)
            self._step(Delivery(0, event))

    async def paper_place(self, orders: tuple[OrderRecord, ...]) -> tuple[PlaceAnswer, ...]:
        """Place journaled orders here; another owner's is refused unless it was taken over. Raises: NotRunning."""
        engine = self._require_engine()
        answers: list[PlaceAnswer] = []
        for order in orders:
            name, now_ns = order.client_order_id, self._clock.now_ns()
            answer = engine.paper_answer(name)
            if answer is None and order.owner_epoch != self._owner_epoch:
                answer = PlaceRejected(name, 0, f"of epoch {order.owner_epoch}, not {self._owner_epoch}", now_ns)
            if answer is None:
                self._step(PaperOrderPlaced(order.as_intent(), now_ns))
                answer = engine.paper_answer(name)
            answers.append(answer or PlaceUnknown(name, "no paper venue", now_ns))
        return tuple(answers)

    async def paper_cancel(self, ids: tuple[str, ...]) -> tuple[bool, ...]:
        """Cancel in the paper venue; False for orders it does not hold."""
        engine = self._require_engine()
        held = {order.client_order_id for order in engine.paper_orders()}
        for order_id in ids:
            self._step(PaperCancelRequested(order_id, self._clock.now_ns()))
        return tuple(order_id in held for order_id in ids)

    async def paper_orders(self) -> tuple[VenueOrder, ...]:
        """Return the paper venue's open orders."""
        return self._require_engine().paper_orders()

    @property
    def _owner_epoch(self) -> int:
        return self._attachment.owner_epoch if self._attachment is not None else 0

    def _require_engine(self) -> SymbolEngine:
        if self._engine is None:
            raise NotRunning(f"{self._spec.symbol} is starting")
        return self._engine

    # --- control ----------------------------------------------------------------------------------------------------

    async def pause(self, reason: str) -> None:
        """No entries, quotes cancelled, exits go on; idempotent."""
        self._gate.is_paused = True
        if self._engine is not None:
            self._step(self._gate.event(self._clock.now_ns(), reason))

    async def resume(self) -> None:
        """Allow entries again; idempotent."""
        self._gate.is_paused = False
        if self._engine is not None:
            self._step(self._gate.event(self._clock.now_ns()))
            if self._link is not None:
                self._spawn(self._link.forgive(), "forgive")

    async def set_params(self, values: dict[str, str]) -> None:
        """Change parameters, whole or not at all. Raises: ConfigError."""
        engine = self._require_engine()
        parse_parameters(self._spec.strategy, {**dict(engine.view().params), **values})
        self._step(ParametersChanged(tuple(values.items()), self._clock.now_ns()))

    async def drain(self, is_flatten: bool, timeout_s: float) -> DrainReport:
        """Stop entries, cancel what is open, optionally flatten; answers when nothing is open or time is up."""
        engine = self._require_engine()
        if not self._is_draining:
            self._is_draining = True
            self._set_state(RunState.DRAINING)
        self._step(DrainRequested(is_flatten, self._clock.now_ns()))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), timeout_s)
        view = engine.view()
        return DrainReport(
            symbol=self._spec.symbol,
            is_confirmed=view.is_drained,
            open_orders=len(view.open_orders),
            verified_at_ns=self._clock.now_ns() if view.is_drained else 0,
            position_qty=plain(view.position.qty),
            reason="" if view.is_drained else f"{len(view.open_orders)} orders still open after {timeout_s} s",
        )

    async def book(self, depth: int) -> dict[str, Any]:
        """Return the top of the book as the API shows it (contract: /symbols/{symbol}/book), prices as text."""
        engine = self._require_engine()
        attachment = self._attachment
        assert attachment is not None
        return book_body(attachment.instrument, engine.view(), *engine.book_levels(depth))

    async def view(self) -> Heartbeat:
        """Return what the heartbeat says, now."""
        return self._heartbeat()

    # --- heartbeats -------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            try:
                await self._supervisor.heartbeat(self._heartbeat())
            except TradingError as error:
                log.debug("heartbeat_lost", symbol=self._spec.symbol, reason=str(error))
            await asyncio.sleep(HEARTBEAT_S)

    def _heartbeat(self) -> Heartbeat:
        now_ns, engine, attachment = self._clock.now_ns(), self._engine, self._attachment
        if engine is None or attachment is None:
            return starting_heartbeat(self._spec, self._state, self._since_ns, self._settings.node, now_ns)
        view = engine.view()
        self._observe(view.book_state, view.fault)
        stats = self._feed.stats() if self._feed is not None else NO_FEED
        start = starting_heartbeat(self._spec, self._state, self._since_ns, self._settings.node, now_ns)
        return running_heartbeat(start, attachment, view, stats)

    def _observe(self, book_state: BookState, fault: str) -> None:
        """Name the state that the engine is in; SYNCING only until the first proof."""
        if self._is_draining:
            return
        if fault:
            self._set_state(RunState.FAILED)
        elif self._gate.is_paused:
            self._set_state(RunState.PAUSED)
        elif self._state is not RunState.SYNCING or book_state is BookState.PROVEN:
            self._set_state(RunState.TRADING)

    def _set_state(self, state: RunState) -> None:
        if state is not self._state:
            self._state, self._since_ns = state, self._clock.now_ns()
