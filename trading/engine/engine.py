"""The decisions of one symbol behind one door: `SymbolEngine.step(event, now_ns) -> actions`. Pure and synchronous.

May import `trading.model` and `trading.engine`. Paper, live, replay and tests run this step inside different shells.

Paper orders: the executor's placement comes as `PaperOrderPlaced`; after that step `paper_answer(id)` is the answer for
it, and `paper_order(id)` the state of the order (None, or terminal, means that a cancel finds nothing to do).
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from trading.engine.accounting import book_fill
from trading.engine.book import Book
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncResult
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.decision import Decider
from trading.engine.engine_view import EngineView
from trading.engine.matching import PaperVenue
from trading.engine.messages import (
    Action,
    DrainRequested,
    EngineEvent,
    FetchSnapshot,
    NoteRaised,
    OrdersReopened,
    PaperCancelRequested,
    PaperOrderPlaced,
    ParametersChanged,
    ReconnectFeed,
    ReportPaper,
    TimerFired,
    TradingSwitched,
)
from trading.engine.orders import kind_of
from trading.engine.others_book import BookOfOthers
from trading.engine.ports import OrderRecord
from trading.engine.strategy.protocol import OwnOrder
from trading.engine.strategy.registry import parse_parameters
from trading.model.errors import ConfigError
from trading.model.market import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    BookState,
    FeedAlive,
    FeedConnected,
    FeedDisconnected,
    MarketTrade,
    SnapshotFailed,
)
from trading.model.orders import (
    Delivery,
    OrderAdopted,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderRejected,
    PlaceAnswer,
    VenueOrder,
)
from trading.model.units import NS_PER_S

UNANSWERED_AFTER_NS = NS_PER_S
"""Patience beyond an intent's own age before the shell is told to ask about it."""


class SymbolEngine:
    """One symbol's book, paper venue, measures, strategy, risk, orders and position. Owned by one shell.

    Invariants: nothing happens but inside `step`; the same configuration, bootstrap and (event, now_ns) sequence give
    the same actions. `now_ns` that runs backwards is taken as standing still. Not thread-safe.
    """

    def __init__(self, config: SymbolConfig, bootstrap: SymbolBootstrap) -> None:
        """Build the engine. Raises: ConfigError for an unknown strategy or a bad parameter."""
        self._config = config
        self._instrument = config.instrument
        self._symbol = config.instrument.symbol
        self.sync = BookSync(self._symbol, config.book_sync)  # for reading only
        self._decider = Decider(config, bootstrap, self.sync.book)
        self._last_seq = bootstrap.last_seq
        self._now_ns = 0
        self._started_ns = 0
        self.paper: PaperVenue | None = None  # for reading only; None where a real one fills
        if config.is_paper:
            self.paper = PaperVenue(
                config.instrument, config.queue_model, config.latency, config.owner_epoch, rules=config.matching
            )
            for record in bootstrap.open_orders:
                self._requeue(self.paper, record)

    # --- the door ---------------------------------------------------------------------------------------------------

    def step(self, event: EngineEvent, now_ns: int) -> list[Action]:
        """Take one event and return what to do, in order.

        Args: now_ns: the shell's clock; the same for everything decided in this step.
        Guarantee: never raises for anything a market, a venue or a strategy does.
        """
        if now_ns < self._now_ns:  # noqa: PLR1730 — a call to max costs more than the comparison
            now_ns = self._now_ns
        self._now_ns = now_ns
        if not self._started_ns:
            self._started_ns = now_ns
        actions: list[Action] = []
        sync, venue = self.sync, self.paper
        if venue is not None and venue.next_due_ns is not None:
            venue.on_timer(now_ns)
        state = sync.state
        is_decision_due = self._route(event, now_ns, actions)
        if sync.state is not state:
            self._note_book(state, actions)
            is_decision_due = True
        if is_decision_due:
            self._decider.decide(sync, now_ns, actions)
        if venue is not None and venue.ready:
            actions.append(ReportPaper(venue.drain_events()))
        return actions

    def _route(self, event: EngineEvent, now_ns: int, actions: list[Action]) -> bool:
        """Bring the event to where it belongs; True when a decision has to follow."""
        match event:
            case BestQuote():
                self._decider.last_quote = event
                if self.paper is not None:
                    self.paper.quote = event
                result = self.sync.on_best_quote(event, now_ns)
                if result.fetch_not_before_ns is not None:
                    self._after_sync(result, actions)
                return False
            case MarketTrade():
                self.sync.on_trade(now_ns)
                self._decider.measures.on_trade(event, now_ns)
                if self.paper is not None:
                    self.paper.on_trade(event, now_ns)
                return False
            case BookDelta() | BookSnapshot():
                self._on_book_event(event, now_ns, actions)
                return True
            case TimerFired():
                self._decider.measures.before_book(now_ns)
                self._after_sync(self.sync.on_timer(now_ns), actions)
                if self.paper is None:
                    self._look()
                return True
            case Delivery():
                return self._on_delivery(event, now_ns, actions)
            case FeedConnected() | FeedDisconnected() | FeedAlive() | SnapshotFailed():
                self._on_line_event(event, now_ns, actions)
                return False
            case PaperOrderPlaced():
                if self.paper is not None:
                    self.paper.place(event.intent, now_ns)
                return False
            case PaperCancelRequested():
                if self.paper is not None:
                    self.paper.cancel(event.client_order_id, now_ns)
                return False
            case ParametersChanged() | TradingSwitched() | DrainRequested():
                self._on_command(event, now_ns, actions)
                return True
            case OrdersReopened():
                self._decider.quoting.forget_pauses()
                return True
            case _:
                assert_never(event)

    # --- market -----------------------------------------------------------------------------------------------------

    def _on_book_event(self, event: BookDelta | BookSnapshot, now_ns: int, actions: list[Action]) -> None:
        measures = self._decider.measures
        measures.before_book(now_ns)
        sync = self.sync
        if isinstance(event, BookDelta):
            result = sync.on_delta(event, now_ns)
        else:
            result = sync.on_snapshot(event, now_ns)
        self._after_sync(result, actions)
        if sync.state is BookState.PROVEN:
            if self.paper is None:
                self._look()
            others = self._decider.others
            bid, ask = others.best_bid, others.best_ask
            if bid is not None and ask is not None:
                measures.on_book(bid, ask, now_ns, sync.book.exch_ts_ns)
            if self.paper is not None:
                self.paper.on_book(sync.book, now_ns)

    def _on_line_event(
        self, event: FeedConnected | FeedDisconnected | FeedAlive | SnapshotFailed, now_ns: int, actions: list[Action]
    ) -> None:
        match event:
            case FeedConnected():
                result = self.sync.on_connected(now_ns)
            case FeedDisconnected():
                result = self.sync.on_disconnected(event.reason, now_ns)
            case FeedAlive():
                result = self.sync.on_alive(now_ns)
            case SnapshotFailed():
                result = self.sync.on_snapshot_failed(now_ns)
            case _:
                assert_never(event)
        self._after_sync(result, actions)

    def _after_sync(self, result: SyncResult, actions: list[Action]) -> None:
        if result.fetch_not_before_ns is not None:
            actions.append(FetchSnapshot(self._symbol, result.fetch_not_before_ns, result.is_audit))
        if result.reconnect:
            actions.append(ReconnectFeed(self._symbol, result.reconnect))

    def _look(self) -> None:
        """Find what of a proven book is ours; call whenever book, orders or time have changed."""
        if self.sync.state is BookState.PROVEN:
            self._decider.look(self._now_ns)

    def _note_book(self, before: BookState, actions: list[Action]) -> None:
        """Tell venue, measures and people that the proof came or went."""
        sync = self.sync
        if sync.state is BookState.PROVEN:
            self._look()
            if self.paper is not None:
                self.paper.on_book(sync.book, self._now_ns)
            actions.append(NoteRaised("info", "book_proven", (("version", str(sync.book.version)),)))
        elif before is BookState.PROVEN:
            self._decider.measures.on_unproven()
            if self.paper is not None:
                self.paper.on_book_lost(self._now_ns)
            fields = (("state", sync.state.value), ("reason", sync.reason))
            actions.append(NoteRaised("warning", "book_unproven", fields))

    # --- orders -----------------------------------------------------------------------------------------------------

    def _on_delivery(self, delivery: Delivery, now_ns: int, actions: list[Action]) -> bool:
        """Take a journaled event once and in order; a hole is told, and everything after it waits to be read again.

        Sequence 0 is the shell's own word, not the journal's: the executor buried an id that it never had.
        """
        if 0 < delivery.seq <= self._last_seq:
            return False
        if delivery.seq > self._last_seq + 1:
            fields = (("expected", str(self._last_seq + 1)), ("was", str(delivery.seq)))
            actions.append(NoteRaised("warning", "delivery_gap", fields))
            return False
        self._last_seq = max(self._last_seq, delivery.seq)
        event = delivery.event
        decider = self._decider
        change = decider.on_order_event(event, now_ns)
        self._look()
        if isinstance(event, OrderFilled):
            decider.on_fill(event.fill, change.after if change is not None else None, now_ns)
            position, _ = book_fill(decider.position, event.fill, self._instrument)
            decider.set_position(position)
        decider.judge_trip(now_ns)
        if change is not None:
            decider.quoting.on_change(change.before, change.after, now_ns)
        if change is None or change.oddity:
            text = change.oddity if change is not None else f"{kind_of(event)} for an order that is not known here"
            fields = (("client_order_id", event.client_order_id), ("text", text))
            actions.append(NoteRaised("warning", "order_event_odd", fields))
        self._note_no(event, actions)
        return True

    def _note_no(self, event: OrderEvent, actions: list[Action]) -> None:
        if isinstance(event, OrderDenied):
            self._decider.refusals.once(event.reason)
            fields = (("client_order_id", event.client_order_id), ("reason", event.reason.value), ("text", event.text))
            actions.append(NoteRaised("info", "order_denied", fields))
        elif isinstance(event, OrderRejected):
            fields = (("client_order_id", event.client_order_id), ("code", str(event.code)), ("text", event.text))
            actions.append(NoteRaised("warning", "order_rejected", fields))
        elif isinstance(event, OrderAdopted):
            actions.append(NoteRaised("warning", "order_adopted", (("client_order_id", event.client_order_id),)))

    def _requeue(self, venue: PaperVenue, record: OrderRecord) -> None:
        """Put a former owner's paper order back; one that would not have rested ends: its moment is over."""
        venue.requeue(record.as_intent(), record.filled_lots, 0)

    # --- commands ---------------------------------------------------------------------------------------------------

    def _on_command(
        self, event: ParametersChanged | TradingSwitched | DrainRequested, now_ns: int, actions: list[Action]
    ) -> None:
        decider = self._decider
        match event:
            case ParametersChanged():
                try:
                    values = parse_parameters(self._config.strategy_name, event.values, decider.parameters)
                except ConfigError as error:
                    actions.append(NoteRaised("warning", "parameters_refused", (("text", str(error)),)))
                else:
                    decider.set_parameters(values, now_ns)
                    actions.append(NoteRaised("info", "parameters_changed", event.values))
            case TradingSwitched():
                decider.switch(event.is_enabled)
                name = "trading_resumed" if event.is_enabled else "trading_paused"
                actions.append(NoteRaised("info", name, (("reason", event.reason),)))
            case DrainRequested():
                decider.drain(event.is_flatten)
                flatten = "true" if event.is_flatten else "false"
                actions.append(NoteRaised("info", "drain_requested", (("flatten", flatten),)))
            case _:
                assert_never(event)

    # --- what the shell reads ---------------------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        """Sequence of the last delivery taken; after a `delivery_gap` note, re-read everything beyond it."""
        return self._last_seq

    @property
    def book(self) -> Book:
        """The local book, for reading only; worth nothing unless `book_state` is PROVEN."""
        return self.sync.book

    @property
    def own_orders(self) -> tuple[OwnOrder, ...]:
        """Our orders that are not over, oldest first."""
        return self._decider.orders.active

    @property
    def others(self) -> BookOfOthers:
        """The book without our own live orders, for reading only; worth as much as `book`."""
        return self._decider.others

    @property
    def book_state(self) -> BookState:
        """What is known of the book."""
        return self.sync.state

    def paper_answer(self, client_order_id: str) -> PlaceAnswer | None:
        """Return the paper venue's answer to a placement; None when it never saw the order."""
        return self.paper.answer(client_order_id, self._now_ns) if self.paper is not None else None

    def paper_order(self, client_order_id: str) -> VenueOrder | None:
        """Return a paper order's state; None when the venue does not know it."""
        return self.paper.order(client_order_id) if self.paper is not None else None

    def paper_orders(self) -> tuple[VenueOrder, ...]:
        """Return the paper venue's open orders, oldest first."""
        return self.paper.open_orders() if self.paper is not None else ()

    def book_levels(self, depth: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return up to `depth` levels a side, (price_ticks, qty_lots), best first: bids, asks."""
        return self.sync.book.bids(depth), self.sync.book.asks(depth)

    def view(self) -> EngineView:
        """Return the state as of the last step. Cheap enough for once a second, not for every frame."""
        sync, decider, now_ns = self.sync, self._decider, self._now_ns
        lived_ns = max(1, now_ns - self._started_ns)
        orders = decider.orders.active
        return EngineView(
            symbol=self._symbol,
            strategy_name=self._config.strategy_name,
            params=decider.parameters.as_texts(),
            book_state=sync.state,
            book_reason=sync.reason,
            book_version=sync.book.version,
            bid=sync.book.best_bid,
            ask=sync.book.best_ask,
            book_ns=sync.book.recv_ts_ns,
            book_exch_ns=sync.book.exch_ts_ns,
            proven_ratio=min(1.0, sync.proven_total_ns(now_ns) / lived_ns),
            position=decider.position,
            held_lots=decider.held_lots,
            open_orders=orders,
            machine_state=decider.machine_state,
            refusals=decider.refusals.as_pairs(),
            current_refusals=tuple(reason.value for reason in decider.refusals.current),
            is_enabled=decider.is_enabled,
            fault=decider.fault,
            is_draining=decider.is_draining,
            is_drained=decider.is_draining and not orders and not decider.is_flatten_unfinished(sync.book.best_bid),
            unanswered=tuple(order.client_order_id for order in orders if self._is_unanswered(order)),
            last_seq=self._last_seq,
            gaps=sync.counters.gaps,
            resyncs=sync.counters.resyncs,
            frames=sync.counters.frames,
            sync=replace(sync.counters),
            audit=replace(sync.audit.counters),
            audit_finding=sync.audit.finding,
            ticker_checks=sync.quote_check.checks,
            ticker_mismatches=sync.quote_check.mismatches,
        )

    def _is_unanswered(self, order: OwnOrder) -> bool:
        is_silent = not order.accepted_ns and order.filled_lots == 0
        return is_silent and self._now_ns > order.valid_until_ns + UNANSWERED_AFTER_NS
