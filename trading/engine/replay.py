"""Replay: a recorded market through the same engine, account rules and paper venue, as fast as it goes. Pure.

May import `trading.model` and `trading.engine`. A discrete-event loop on the receive times: timers fire each
100 ms and whenever the paper venue has something to do; the executor's part (account rules, order life, booking)
runs at once in between. The same input gives the same order log, byte for byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import assert_never

from trading.engine.account import Account
from trading.engine.account_limits import AccountLimits
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.engine import SymbolEngine
from trading.engine.matching_models import DEFAULT_LATENCY, DEFAULT_RULES, LatencyModel, MatchingRules, QueueModel
from trading.engine.messages import (
    Action,
    CancelOrder,
    EngineEvent,
    FetchSnapshot,
    NoteRaised,
    PaperCancelRequested,
    PaperOrderPlaced,
    PlaceOrder,
    ReconnectFeed,
    ReportPaper,
    TimerFired,
    TradingSwitched,
)
from trading.engine.order_tracker import OrderTracker, Step
from trading.engine.ports import order_from
from trading.engine.replay_result import ReplayResult
from trading.engine.replay_shadow import Books, Shadow
from trading.engine.replay_tape import ReplayTape
from trading.model.instrument import Instrument
from trading.model.market import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    BookState,
    FeedConnected,
    FeedDisconnected,
    MarketEvent,
    MarketTrade,
)
from trading.model.orders import (
    Delivery,
    Fill,
    OrderIntent,
    OrderStatus,
    PlaceRejected,
    Purpose,
    VenueBalance,
    VenueEvent,
    VenueOrder,
    VenueTrade,
)
from trading.model.position import Position
from trading.model.units import NS_PER_MS, NS_PER_S, ZERO

TIMER_NS = 100 * NS_PER_MS
MARK_NS = NS_PER_S
SILENCE_NS = 3_600 * NS_PER_S
RUN_NUMBER = 0
OWNER_EPOCH = 1
_BOOK_EVENTS = frozenset((BookDelta, BookSnapshot, FeedDisconnected))


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """What a replay assumes beside the market.

    Attributes:
        allocation_quote: what the symbol may bind. balances: opening free amounts by asset; None: 10,000 of the quote
            asset and none of the base. limits: the live account's defaults.
        trade_from_ns: before it the market is watched and nothing is entered, so that measures are warm; 0: from the
            start.
    """

    strategy_name: str = "spread_capture"
    params: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    limits: AccountLimits = AccountLimits()  # noqa: RUF009 - frozen
    balances: Mapping[str, Decimal] | None = None
    allocation_quote: Decimal = Decimal(1000)
    latency: LatencyModel = DEFAULT_LATENCY
    matching: MatchingRules = DEFAULT_RULES
    trade_from_ns: int = 0


class ReplayRun:
    """One replay of one symbol. Build it, call `run` once."""

    def __init__(
        self,
        instrument: Instrument,
        events: Iterable[tuple[int, MarketEvent]],
        settings: ReplaySettings,
        tape: ReplayTape | None = None,
    ) -> None:
        """Args: events: (recv_ts_ns, event), ascending; a missing FeedConnected at the start is added. tape: listens.

        Raises: ConfigError for an unknown strategy or a bad parameter.
        """
        self._instrument = instrument
        self._symbol = instrument.symbol
        self._events = events
        self._engine = SymbolEngine(
            SymbolConfig(
                instrument=instrument,
                strategy_name=settings.strategy_name,
                params=settings.params,
                run_number=RUN_NUMBER,
                owner_epoch=OWNER_EPOCH,
                is_paper=True,
                allocation_quote=settings.allocation_quote,
                seed=settings.seed,
                queue_model=QueueModel.PESSIMISTIC,
                latency=settings.latency,
                matching=settings.matching,
            ),
            SymbolBootstrap(Position(instrument.symbol)),
        )
        balances = settings.balances if settings.balances is not None else {instrument.quote: Decimal(10_000)}
        money = balances.get(instrument.quote, ZERO)
        self._shadow = Shadow(instrument, QueueModel.PROBABILISTIC, settings.latency, settings.matching, money, tape)
        self._tape = tape
        self._trade_from_ns = settings.trade_from_ns
        self._books = Books(instrument)
        self._account = Account(
            settings.limits,
            {instrument.symbol: instrument},
            [VenueBalance(asset, free, ZERO, 0, 0) for asset, free in balances.items()],
        )
        self._account.set_allocation(instrument.symbol, settings.allocation_quote)
        self._trackers: dict[str, OrderTracker] = {}
        self._queue: deque[EngineEvent] = deque()
        self._log: list[str] = []
        self._reasons: dict[str, tuple[Purpose, str]] = {}
        self._exits: dict[str, int] = {}
        self._notes: dict[str, int] = {}
        self._seq = self._count = self._orders = self._denied = 0
        self._first_ns = self._now_ns = self._timer_ns = self._mark_ns = 0
        self._last_bid = 0
        assert self._engine.paper is not None  # as configured
        self._sync, self._paper = self._engine.sync, self._engine.paper
        self._state = self._sync.state

    def run(self) -> ReplayResult:
        """Play everything and sum up."""
        paper, shadow = self._paper, self._shadow
        for recv_ts_ns, event in self._events:
            if not self._count:
                self._first_ns = self._now_ns = recv_ts_ns
                self._timer_ns = recv_ts_ns + TIMER_NS
                if not isinstance(event, FeedConnected):
                    self._feed(FeedConnected(self._symbol, recv_ts_ns))
                if recv_ts_ns < self._trade_from_ns:
                    self._feed(TradingSwitched(False, "warming up", recv_ts_ns))
            self._count += 1
            venue_ns = paper.next_due_ns
            if recv_ts_ns >= self._timer_ns or (venue_ns is not None and recv_ts_ns >= venue_ns):
                self._let_pass(recv_ts_ns)
            if recv_ts_ns > self._now_ns:  # noqa: PLR1730 — a call to max costs more than the comparison
                self._now_ns = recv_ts_ns
            if 0 < self._trade_from_ns <= recv_ts_ns:
                self._trade_from_ns = 0
                self._feed(TradingSwitched(True, "", self._now_ns))
            if type(event) is BestQuote:
                shadow.venue.quote = event
            elif type(event) is MarketTrade:
                shadow.on_trade(event, self._now_ns)
            self._feed(event)
        return self._result()

    # --- time -------------------------------------------------------------------------------------------------------

    def _let_pass(self, until_ns: int) -> None:
        """Fire every timer that is due before the next event; of a silence of hours or years, the first hour's.

        By then nothing waits for a timer any more, and a clock that was set must not cost a replay its end.
        """
        if until_ns - self._now_ns > SILENCE_NS:
            self._let_pass(self._now_ns + SILENCE_NS)
            self._timer_ns = max(self._timer_ns, until_ns)
        while True:
            due_ns = self._timer_ns
            venue_ns = self._paper.next_due_ns
            if venue_ns is not None and self._now_ns < venue_ns < due_ns:
                due_ns = venue_ns
            if due_ns > until_ns:
                return
            self._now_ns = due_ns
            if due_ns == self._timer_ns:
                self._timer_ns += TIMER_NS
            if self._shadow.venue.next_due_ns is not None:
                self._shadow.before(due_ns)
            self._feed(TimerFired(due_ns))

    def _feed(self, event: EngineEvent) -> None:
        """Step the engine, and everything that follows at the same instant."""
        now_ns, engine, sync, tape = self._now_ns, self._engine, self._sync, self._tape
        if tape is not None and tape.next_due_ns is not None:
            tape.on_time(now_ns)
        if self._shadow.venue.next_due_ns is not None:
            self._shadow.before(now_ns)
        actions = engine.step(event, now_ns)
        state = sync.state
        if state is not self._state or type(event) in _BOOK_EVENTS:
            self._state = state
            self._shadow.on_book(sync.book, state, now_ns)
            if tape is not None:
                tape.on_book(sync.book.best_bid if state is BookState.PROVEN else None, sync.book.best_ask)
        if actions:  # after the shadow has the book: an order without latency meets the same one in both
            self._carry_out(actions)
        if now_ns - self._mark_ns >= MARK_NS:
            self._mark()
        while self._queue:
            self._carry_out(engine.step(self._queue.popleft(), now_ns))

    def _mark(self) -> None:
        bid = self._sync.book.best_bid
        if bid is not None and self._sync.state is BookState.PROVEN:
            self._mark_ns = self._now_ns
            self._last_bid = bid[0]
            self._account.on_mark(self._symbol, bid[0], self._now_ns)
            self._account.on_equity(self._now_ns)
            self._tell_mark(bid[0])

    def _tell_mark(self, bid_ticks: int) -> None:
        if self._tape is not None:
            ask = self._engine.book.best_ask
            pessimistic, probabilistic = self._books.result(bid_ticks), self._shadow.books.result(bid_ticks)
            self._tape.on_mark(self._now_ns, bid_ticks, ask[0] if ask is not None else 0, pessimistic, probabilistic)

    # --- the executor's part ----------------------------------------------------------------------------------------

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case PlaceOrder():
                    self._submit(action.intent)
                case CancelOrder():
                    self._cancel(action.cancel.client_order_id, action.cancel.reason)
                case ReportPaper():
                    for event in action.events:
                        self._on_report(event)
                case NoteRaised():
                    self._notes[action.name] = self._notes.get(action.name, 0) + 1
                case FetchSnapshot() | ReconnectFeed():
                    pass  # snapshots and connections come when the recording has them
                case _:
                    assert_never(action)

    def _submit(self, intent: OrderIntent) -> None:
        now_ns = self._now_ns
        self._orders += 1
        reason = dict(intent.decision).get("reason", "")
        if intent.purpose is Purpose.EXIT:
            self._exits[reason] = self._exits.get(reason, 0) + 1
        self._line(intent.client_order_id, f"{intent.side} {intent.type} {self._text(intent)} {reason}")
        self._reasons[intent.client_order_id] = (intent.purpose, reason)
        record = order_from(intent, "replay", 1).changed(status=OrderStatus.SENT, committed_ns=now_ns, sent_ns=now_ns)
        tracker = self._trackers[intent.client_order_id] = OrderTracker(record)
        self._mark()
        denial = self._account.decide(intent, now_ns)
        if denial is not None:
            self._denied += 1
            self._apply((tracker.deny(denial.reason, denial.text, now_ns),))
            return
        if intent.purpose is Purpose.ENTRY:
            self._account.on_entry_approved(now_ns)
        self._account.on_order(record)
        self._shadow.place(intent, now_ns)
        self._carry_out(self._engine.step(PaperOrderPlaced(intent, now_ns), now_ns))
        answer = self._engine.paper_answer(intent.client_order_id)
        if isinstance(answer, PlaceRejected):
            step = tracker.on_answer(answer, now_ns)
            if step is not None:
                self._apply((step,))

    def _cancel(self, client_order_id: str, reason: str) -> None:
        self._line(client_order_id, f"cancel: {reason}")
        tracker = self._trackers.get(client_order_id)
        if tracker is not None:
            tracker.request_cancel(self._now_ns)
        self._shadow.cancel(client_order_id, self._now_ns)
        self._carry_out(self._engine.step(PaperCancelRequested(client_order_id, self._now_ns), self._now_ns))

    def _on_report(self, event: VenueEvent) -> None:
        if isinstance(event, VenueTrade):
            tracker = self._trackers[event.fill.client_order_id]
            self._apply(tracker.on_trade(event, self._now_ns))
        elif isinstance(event, VenueOrder):
            tracker = self._trackers[event.client_order_id]
            self._apply(tracker.on_report(event, self._now_ns))

    def _apply(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if step.fill is not None:
                before = self._books.position
                self._books.book(step.fill)
                self._tell_fill(step.fill, before)
                self._account.on_fill(step.fill)
            self._account.on_order(step.order)
            if step.event is not None:
                self._seq += 1
                self._queue.append(Delivery(self._seq, step.event))
            fill = step.fill
            word = step.order.status.value
            if fill is not None:
                role = "maker" if fill.is_maker else "taker"
                price, qty = self._instrument.price_text(fill.price_ticks), self._instrument.qty_text(fill.qty_lots)
                word = f"{word} {qty} @ {price} {role} fee {fill.fee}"
            elif step.order.reason:
                word = f"{word} ({step.order.reason})"
            self._line(step.order.client_order_id, word)

    def _tell_fill(self, fill: Fill, before: Position) -> None:
        if self._tape is not None:
            reason, after = self._reasons[fill.client_order_id], self._books.position
            trip_ns = self._account.trip_record(self._symbol).ended_ns
            self._tape.on_fill(QueueModel.PESSIMISTIC, fill, *reason, before, after, self._now_ns, trip_ns)

    # --- the answer -------------------------------------------------------------------------------------------------

    def _text(self, intent: OrderIntent) -> str:
        qty, price = self._instrument.qty_text(intent.qty_lots), self._instrument.price_text(intent.price_ticks)
        return f"{qty} @ {price}"

    def _line(self, client_order_id: str, text: str) -> None:
        self._log.append(f"{self._now_ns} {client_order_id} {text}")

    def _result(self) -> ReplayResult:
        view = self._engine.view()
        if view.bid is not None:
            self._last_bid = view.bid[0]
        if self._tape is not None:
            self._tape.finish(self._now_ns)
            self._tell_mark(self._last_bid)
        log = tuple(self._log)
        return ReplayResult(
            events=self._count,
            orders=self._orders,
            denied=self._denied,
            order_log=log,
            order_log_sha256=sha256("".join(f"{line}\n" for line in log).encode()).hexdigest(),
            refusals=view.refusals,
            exits=tuple(sorted(self._exits.items())),
            notes=tuple(sorted(self._notes.items())),
            pessimistic=self._books.result(self._last_bid),
            probabilistic=self._shadow.books.result(self._last_bid),
            params=view.params,
            first_ns=self._first_ns,
            last_ns=self._now_ns,
        )
