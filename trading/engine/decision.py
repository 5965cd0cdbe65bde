"""One symbol's decision: what to have in the book now, and the orders and cancels that follow. Pure.

May import `trading.model` and `trading.engine`. Order of authority: proof of the book, drain, fault, pause, the
strategy; symbol risk judges what is left, `quoting` makes it orders.
"""

from __future__ import annotations

from trading.engine.book import Book
from trading.engine.book_sync import BookSync
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.intents import IntentMaker
from trading.engine.matching_models import QUOTE_MAX_AGE_NS
from trading.engine.messages import Action, CancelOrder, NoteRaised, PlaceOrder
from trading.engine.others_book import BookOfOthers
from trading.engine.own_orders import OrderChange, OwnOrders
from trading.engine.quoting import NOT_WANTED, Quoting
from trading.engine.risk import RefusalCount, SymbolStanding, judge, unproven_refusal
from trading.engine.risk_conditions import EntryConditions
from trading.engine.strategy.answer_check import check_desires
from trading.engine.strategy.measures import MarketMeasures
from trading.engine.strategy.protocol import DesiredQuote, Desires, OwnOrder, Requote, Strategy, StrategyView
from trading.engine.strategy.registry import SymbolParameters, build, parse_parameters
from trading.model.market import BestQuote, BookState, Level, Side
from trading.model.orders import Fill, OrderEvent, OrderType, Purpose, Refusal
from trading.model.position import Position
from trading.model.units import NS_PER_S, lowest_sale_ticks

STATE_UNPROVEN = "UNPROVEN"
STATE_FAULT = "FAULT"
STATE_DRAINING = "DRAINING"


class Decider:
    """Holds what decisions are made of: parameters, strategy, measures, orders, position. Owned by `SymbolEngine`."""

    def __init__(self, config: SymbolConfig, bootstrap: SymbolBootstrap, book: Book) -> None:
        self._config = config
        self._instrument = config.instrument
        self.parameters = parse_parameters(config.strategy_name, config.params)
        self._digest, self._changes = self.parameters.digest(), self.parameters.changes()
        self.fault = ""
        self._fault_notes: list[NoteRaised] = []  # raised outside of a decision, told with the next one
        self._strategy: Strategy | None = None
        self._start_strategy()
        self.measures = MarketMeasures()
        self.orders = OwnOrders()
        self.orders.load(bootstrap.open_orders)
        self.others = BookOfOthers(book)
        self.quoting = Quoting(self.parameters.risk)
        self.refusals = RefusalCount()
        self.position = bootstrap.position
        self.held_lots = config.instrument.qty_lots_floor(bootstrap.position.qty)
        self._trip_lots = self.held_lots  # the most held since there was nothing: what a whole exit sells
        self.machine_state = STATE_UNPROVEN
        self.last_quote: BestQuote | None = None
        self.is_enabled = True
        self.is_draining = False
        self._is_flatten = False
        self._conditions = EntryConditions(bootstrap.trips, self.parameters.risk)
        self._intents = IntentMaker(config.instrument, config.strategy_name, config.run_number, config.owner_epoch)
        self._unproven_since_ns = 0
        self._is_waiting_noted = False

    # --- what changes the ground ------------------------------------------------------------------------------------

    def set_parameters(self, values: SymbolParameters, now_ns: int) -> None:
        """Take other parameters, all at once."""
        self.parameters = values
        self._digest, self._changes = values.digest(), values.changes()
        try:
            if self._strategy is not None:
                self._strategy.parameters = values.strategy
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - as in `_desires`
            self._fault_notes.append(self._fail(error))
        self.quoting.set_limits(values.risk, now_ns)

    def switch(self, is_enabled: bool) -> None:
        """Pause or resume; resuming forgives a fault: the strategy starts anew, without memory."""
        self.is_enabled = is_enabled
        if is_enabled:
            self.quoting.forget_pauses()
            self._conditions.forget_pause()
            if self.fault:
                self.fault = ""
                self._start_strategy()

    def drain(self, is_flatten: bool) -> None:
        """No entries any more; cancel everything; with `is_flatten` sell what is held, which is never taken back."""
        self.is_draining = True
        self._is_flatten = self._is_flatten or is_flatten

    def set_position(self, position: Position) -> None:
        """Take the position after a fill."""
        self.position = position
        self.held_lots = self._instrument.qty_lots_floor(position.qty)
        self._trip_lots = max(self._trip_lots, self.held_lots) if self.held_lots else 0

    def on_order_event(self, event: OrderEvent, now_ns: int) -> OrderChange | None:
        """Apply a journaled event to our orders; None when the order is not ours to know. `look` has to follow."""
        change = self.orders.on_event(event, now_ns)
        if change is not None and not self._config.is_paper:
            self.others.on_change(change.before, change.after, now_ns)
        return change

    def look(self, now_ns: int) -> None:
        """Find what of the book is ours: live, our own orders show in it, and are no market. Before it is read."""
        if not self._config.is_paper:
            self.others.look(self.orders.active, now_ns)

    def on_fill(self, fill: Fill, order: OwnOrder | None, now_ns: int) -> None:
        """Learn from one of our fills: markouts, and how exits end."""
        self.measures.on_own_fill(fill.side, fill.is_maker, now_ns, fill.exch_ts_ns, self._config.is_paper)
        if fill.side is Side.SELL:
            self._conditions.on_sale(fill.price_ticks)
        if order is not None and order.purpose is Purpose.EXIT:
            self.measures.exit_mix.on_exit(fill.is_maker, fill.qty_lots / max(self._trip_lots, fill.qty_lots))

    def judge_trip(self, now_ns: int) -> None:
        """Judge the round trip if an event of our orders has ended it; call after each."""
        has_open_sale = any(order.side is Side.SELL for order in self.orders.active)
        limits = self.parameters.risk
        if self._conditions.on_position(self.position, has_open_sale, self._instrument, limits, now_ns):
            self._trip_lots = self.held_lots

    def is_flatten_unfinished(self, bid: Level | None) -> bool:
        """Return whether a flatten was asked for and something sellable is left."""
        return self._is_flatten and self._is_sellable(bid[0] if bid is not None else self._cost_ticks())

    # --- the decision -----------------------------------------------------------------------------------------------

    def decide(self, sync: BookSync, now_ns: int, actions: list[Action]) -> None:
        """Decide once, and append the cancels and placements that follow."""
        if self._fault_notes:
            actions.extend(self._fault_notes)
            self._fault_notes.clear()
        bid, ask = self.others.best_bid, self.others.best_ask
        if sync.state is not BookState.PROVEN or bid is None or ask is None:
            is_proven = sync.state is BookState.PROVEN
            refusal = Refusal.ONE_SIDED_BOOK if is_proven else unproven_refusal(sync.state)
            is_maker_gone = is_proven and bid is not None and ask is None
            exits = self._exit_maker_gone(bid[0]) if is_maker_gone and bid is not None else None
            if exits is None:
                exits = self._exit_unproven(now_ns, actions)
            desires = Desires(exits, (refusal,), STATE_UNPROVEN)
            self._carry_out(desires, sync.book, None, None, now_ns, actions)
            return
        self._unproven_since_ns = 0
        self._is_waiting_noted = False
        desires = self._desires(bid, ask, now_ns, actions)
        desires = self._judged(desires, bid, ask, now_ns)
        self._carry_out(desires, sync.book, bid, ask, now_ns, actions)

    def _desires(self, bid: Level, ask: Level, now_ns: int, actions: list[Action]) -> Desires:
        if self.is_draining:
            quotes = (self._flatten_quote(bid[0], "flatten"),) if self._is_flatten and self._is_sellable(bid[0]) else ()
            return Desires(quotes, (Refusal.DRAINING,), STATE_DRAINING)
        if self.fault or self._strategy is None:
            return Desires((), (Refusal.HALTED,), STATE_FAULT)
        view = StrategyView(
            now_ns,
            self._instrument,
            self.others,
            bid,
            ask,
            self.measures,
            self.orders.active,
            self.position,
            self.held_lots,
            self._config.allocation_quote,
        )
        try:
            desires = self._strategy.decide(view)
            check_desires(desires)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - anybody's code, `sys.exit` in it too: one fault, one symbol
            actions.append(self._fail(error))
            return Desires((), (Refusal.HALTED,), STATE_FAULT)
        if not self.is_enabled:
            exits = tuple(quote for quote in desires.quotes if quote.purpose is Purpose.EXIT)
            return Desires(exits, (Refusal.HALTED,), desires.machine_state)
        return desires

    def _start_strategy(self) -> None:
        """Build the strategy, without memory; one whose own constructor fails is a fault like any other."""
        try:
            self._strategy = build(self.parameters, self._instrument)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - as in `_desires`
            self._strategy = None
            self._fault_notes.append(self._fail(error))

    def _fail(self, error: BaseException) -> NoteRaised:
        """Stop this symbol's strategy: from now on nothing is wanted, so that every quote is cancelled."""
        self.fault = f"{type(error).__name__}: {error}"
        fields = (("strategy", self._config.strategy_name), ("error", self.fault), ("at", _place_of(error)))
        return NoteRaised("alert", "strategy_failed", fields)

    def _judged(self, desires: Desires, bid: Level, ask: Level, now_ns: int) -> Desires:
        """Take away what symbol risk refuses."""
        if not desires.quotes:
            return desires
        risk = self.parameters.risk
        barred: tuple[Refusal, ...] = ()
        for quote in desires.quotes:
            if quote.purpose is Purpose.ENTRY:
                barred = self._conditions.refusals(risk, self.measures, bid, ask, now_ns)
                break
        standing = SymbolStanding(
            self._instrument,
            bid,
            ask,
            self.position,
            self.held_lots,
            self.orders.active,
            self._config.allocation_quote,
        )
        if not barred and all(judge(quote, standing, risk) is None for quote in desires.quotes):
            return desires  # nearly always
        kept, refusals = [], [*desires.refusals, *barred]
        for quote in desires.quotes:
            if barred and quote.purpose is Purpose.ENTRY:
                continue
            refusal = judge(quote, standing, risk)
            working = self._working(quote) if refusal is Refusal.MIN_NOTIONAL else None
            if refusal is None:
                kept.append(quote)
            elif working is not None:
                # What is left of a working order is too small to be placed anew: let it stay where it is.
                kept.append(quote._replace(price_ticks=working.price_ticks, qty_lots=working.open_lots))
            else:
                refusals.append(refusal)
        if len(refusals) == len(desires.refusals) and len(kept) == len(desires.quotes):
            return desires._replace(quotes=tuple(kept))
        return Desires(tuple(kept), tuple(dict.fromkeys(refusals)), desires.machine_state)

    def _carry_out(
        self,
        desires: Desires,
        book: Book,
        bid: Level | None,
        ask: Level | None,
        now_ns: int,
        actions: list[Action],
    ) -> None:
        self.machine_state = desires.machine_state
        plan = self.quoting.plan(tuple(map(self._part, desires.quotes)), self.orders.active, now_ns)
        refusals = (*desires.refusals, Refusal.BUDGET) if plan.is_held_back else desires.refusals
        self.refusals.note(refusals, now_ns)
        for order, reason in plan.cancels:
            self.orders.request_cancel(order.client_order_id, now_ns)
            if reason == NOT_WANTED and order.purpose is Purpose.ENTRY and desires.refusals:
                reason = f"{reason}: {', '.join(desires.refusals)}"
            actions.append(CancelOrder(self._intents.cancel(order.client_order_id, reason, now_ns)))
        for quote in plan.places:
            context = (
                ("state", desires.machine_state),
                *self._intents.book_context(book.version, book.recv_ts_ns, bid, ask),
                ("params", self._digest),
                ("params_set", self._changes),
            )
            intent = self._intents.order(quote, context, self.parameters.risk.risk_intent_valid_ms, now_ns)
            order = self.orders.add(intent)
            if not self._config.is_paper:
                self.others.expect(order)
            actions.append(PlaceOrder(intent))

    # --- exits of the house -----------------------------------------------------------------------------------------

    def _exit_maker_gone(self, bid_ticks: int) -> tuple[DesiredQuote, ...] | None:
        """Long with a proven bid and nobody asking, the extreme of a market maker gone: sell while the bid is there.

        No strategy is asked without both sides. None where it would not be either: draining to hold, or at fault.
        """
        if not self._is_flatten and (self.is_draining or self.fault or self._strategy is None):
            return None
        reason = "flatten" if self._is_flatten else "market_maker_gone"
        return (self._flatten_quote(bid_ticks, reason),) if self._is_sellable(bid_ticks) else ()

    def _exit_unproven(self, now_ns: int, actions: list[Action]) -> tuple[DesiredQuote, ...]:
        """Long without a proven book: after a while, or when flattening, sell against a fresh book-ticker quote."""
        if not self._unproven_since_ns:
            self._unproven_since_ns = now_ns
        patience_s = self.parameters.risk.risk_unproven_exit_after_s
        is_due = patience_s > 0 and now_ns - self._unproven_since_ns >= patience_s * NS_PER_S
        if not self._is_flatten and not is_due:
            return ()
        quote = self.last_quote
        is_fresh = quote is not None and now_ns - quote.recv_ts_ns <= QUOTE_MAX_AGE_NS
        if quote is not None and is_fresh and quote.bid is not None:
            return (self._flatten_quote(quote.bid[0], "book_unproven"),) if self._is_sellable(quote.bid[0]) else ()
        if not self._is_waiting_noted and self._is_sellable(self._cost_ticks()):
            self._is_waiting_noted = True
            fields = (("held_lots", str(self.held_lots)),)
            actions.append(NoteRaised("alert", "exit_waits_for_a_quote", fields))
        return ()

    def _flatten_quote(self, bid_ticks: int, reason: str) -> DesiredQuote:
        return DesiredQuote(
            side=Side.SELL,
            purpose=Purpose.EXIT,
            type=OrderType.IOC,
            price_ticks=self._bound_ticks(bid_ticks),
            qty_lots=self.held_lots,
            reason=reason,
            requote=Requote(0, 1),
            is_urgent=True,
        )

    def _is_sellable(self, price_ticks: int) -> bool:
        return self.held_lots >= self._instrument.min_lots(self._bound_ticks(price_ticks))

    def _bound_ticks(self, bid_ticks: int) -> int:
        return lowest_sale_ticks(bid_ticks, float(self.parameters.risk.risk_taker_bound_bps))

    def _cost_ticks(self) -> int:
        return max(1, int(self.position.avg_price / self._instrument.tick_size))

    # --- small things -----------------------------------------------------------------------------------------------

    def _part(self, quote: DesiredQuote) -> DesiredQuote:
        """Cut an exit above the venue's largest order; the next part follows when this one is over."""
        if quote.purpose is not Purpose.EXIT or quote.price_ticks <= 0:
            return quote
        lots = self._instrument.part_lots(quote.price_ticks, quote.qty_lots)
        if lots == quote.qty_lots:
            return quote
        working = self._working(quote)
        if working is not None:
            # A part that works is as large as the venue took it, and what is left of it keeps its place in the queue.
            lots = min(quote.qty_lots, working.open_lots)
        return quote._replace(qty_lots=lots)

    def _working(self, quote: DesiredQuote) -> OwnOrder | None:
        for order in self.orders.active:
            is_same_slot = order.side is quote.side and order.purpose is quote.purpose
            if is_same_slot and order.type is quote.type and not order.is_cancel_requested:
                return order
        return None


def _place_of(error: BaseException) -> str:
    """Name the function and line where an exception was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace is not None else ""
