"""The desk: every word of the venue and every step of ours becomes a journal entry, in one order.

May import `trading.model`, `trading.engine` and the executor's pieces. Synchronous: a push is applied when it comes,
the books move with it, and the lanes write and deliver it afterwards. What belongs to nobody here is counted, and kept
for the reconciler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from actors.executor_lanes import AlertLane, OutcomeLane
from actors.executor_rates import RateKeeper
from actors.executor_state import FINISHED_MAX, ExecutorState, OutsideCause
from trading.adapters.clock import Clock
from trading.engine.order_tracker import STREAM, OrderTracker, Step
from trading.engine.ports import JournalEntry, LedgerLine
from trading.engine.reconcile import OUR_PREFIX
from trading.model.orders import (
    Delivery,
    Fill,
    OrderCancelled,
    OrderStatus,
    PlaceAccepted,
    PlaceAnswer,
    PlaceRejected,
    Refusal,
    VenueBalance,
    VenueEvent,
    VenueOrder,
    VenueStreamLost,
    VenueStreamRestored,
    VenueTrade,
)
from trading.model.position import Position

STRAYS_MAX = 1_000


class OrderDesk:
    """Applies steps to memory and queues them for the journal. Invariant: what a symbol is told is journaled before."""

    def __init__(
        self, state: ExecutorState, outcomes: OutcomeLane, alerts: AlertLane, rates: RateKeeper, clock: Clock
    ) -> None:
        self._state = state
        self._outcomes = outcomes
        self._alerts = alerts
        self._rates = rates
        self._clock = clock
        # Words about orders of ours that are not in memory: read from the journal by the reconciler, then applied.
        self.strays: deque[VenueOrder | VenueTrade] = deque(maxlen=STRAYS_MAX)
        self.is_reconcile_wanted = True
        self._uncounted: set[str] = set()
        self._ended_ns: dict[str, int] = {}  # monotonic; of the last ones, as many as stay in memory

    # --- the venue's words ----------------------------------------------------------------------------------------

    def take(self, event: VenueEvent) -> None:
        """Take a push or a query's result. Never blocks, never raises for what a venue says."""
        match event:
            case VenueOrder():
                tracker = self._find(event.client_order_id, event.venue_order_id)
                if tracker is None:
                    self._stray(event, event.client_order_id)
                else:
                    self.apply(tracker, tracker.on_report(event, self._clock.now_ns()))
            case VenueTrade():
                tracker = self._find(event.fill.client_order_id, event.fill.venue_order_id)
                if tracker is None:
                    self._stray(event, event.fill.client_order_id)
                else:
                    self._take_trade(tracker, event)
            case VenueBalance():
                self._state.account.on_balance(event)
                if event.cause:
                    self._moved_outside(event.cause, event.asset)
                self.is_reconcile_wanted |= self._rates.is_price_wanted(event.asset)
            case VenueStreamLost():
                self._state.is_stream_up = False
                self.is_reconcile_wanted = True  # is it the stream alone?
                self._alerts.raise_alert("warning", "user_stream_lost", event.reason)
            case VenueStreamRestored():
                self._state.is_stream_up, self._state.is_stream_down = True, False
                self.is_reconcile_wanted = True
            case _:
                assert_never(event)

    def answer(self, tracker: OrderTracker, answer: PlaceAnswer) -> None:
        """Take the answer of a send."""
        name = type(answer).__name__.removeprefix("Place").lower()
        self._state.counters[f"answer:{name}"] += 1
        step = tracker.on_answer(answer, self._clock.now_ns())
        if isinstance(answer, PlaceAccepted) and tracker.record.sent_ns:
            self._state.to_ack.add(max(0, answer.acked_ns - tracker.record.sent_ns))
        if isinstance(answer, PlaceRejected):
            self._rejected(tracker, answer)
        if step is not None:
            self.apply(tracker, (step,))

    # --- steps ----------------------------------------------------------------------------------------------------

    def apply(self, tracker: OrderTracker, steps: Iterable[Step]) -> None:
        """Move the books with each step, and queue it for the journal."""
        for step in steps:
            if step.alert:
                self._alerts.raise_alert(
                    "alert", "order_contradiction", f"{step.order.client_order_id}: {step.alert}", step.order.symbol
                )
                if step.event is None and step.fill is None:
                    continue
            self._enter(step)
        name, was_live = tracker.record.client_order_id, self._state.orders.is_live(tracker.record.client_order_id)
        self._state.orders.put(tracker)
        if was_live and not self._state.orders.is_live(name):
            self._ended_ns[name] = self._clock.monotonic_ns()
            if len(self._ended_ns) > FINISHED_MAX:
                del self._ended_ns[next(iter(self._ended_ns))]

    def has_ended_after(self, client_order_id: str, at_ns: int) -> bool:
        """Tell whether an order ended here at or after a moment of the monotonic clock."""
        return self._ended_ns.get(client_order_id, at_ns - 1) >= at_ns

    def deny(self, tracker: OrderTracker, reason: Refusal, text: str) -> None:
        """End an order that was never sent, with our own reason."""
        self._state.counters[f"denied:{reason}"] += 1
        self.apply(tracker, (tracker.deny(reason, text, self._clock.now_ns()),))

    def end_at_venue(self, tracker: OrderTracker, text: str) -> None:
        """End an order of which it is certain that the venue does not hold it any more."""
        record, now_ns = tracker.record, self._clock.now_ns()
        word = VenueOrder(
            record.symbol,
            record.client_order_id,
            record.venue_order_id,
            OrderStatus.PARTIALLY_CANCELLED if record.filled_lots else OrderStatus.CANCELLED,
            record.side,
            record.type,
            record.price_ticks,
            record.qty_lots,
            record.filled_lots,
            record.filled_quote,
            0,
            now_ns,
            text,
        )
        self.apply(tracker, tracker.on_report(word, now_ns))

    def _enter(self, step: Step) -> None:
        state = self._state
        order = step.order
        position: Position | None = None
        ledger: tuple[LedgerLine, ...] = ()
        if step.fill is not None:
            position, ledger = state.account.on_fill(step.fill)
            state.on_ledger(ledger)
            state.counters["fills"] += 1
            self._tell_uncounted_fee(step.fill)
            if position.qty < 0:
                text = f"sold more than was held: {position.qty} after {step.fill.trade_id}"
                self._alerts.raise_alert("alert", "negative_position", text, order.symbol)
        state.account.on_order(order)
        delivery = None
        if step.event is not None:
            delivery = Delivery(state.next_seq(order.symbol), step.event)
            if isinstance(step.event, OrderCancelled):
                state.counters["cancelled"] += 1
        self._outcomes.append(JournalEntry(order, delivery, step.fill, position, ledger))

    def _tell_uncounted_fee(self, fill: Fill) -> None:
        """A fee in a third asset without a rate is in the ledger, and in no P&L: people have to know, once."""
        instrument = self._state.instruments[fill.symbol]
        is_third = fill.fee and fill.fee_asset not in (instrument.base, instrument.quote)
        if is_third and fill.fee_rate_quote is None and fill.fee_asset not in self._uncounted:
            self._uncounted.add(fill.fee_asset)
            text = f"fees are charged in {fill.fee_asset}, which has no rate here: every P&L is before those fees"
            self._alerts.raise_alert("alert", "fee_not_converted", text, fill.symbol)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _take_trade(self, tracker: OrderTracker, trade: VenueTrade) -> None:
        """Book an execution under the order's own ids, whatever the push left out."""
        record = tracker.record
        fill = replace(
            trade.fill,
            client_order_id=record.client_order_id,
            venue_order_id=trade.fill.venue_order_id or record.venue_order_id,
            source=trade.source,
        )
        before = tracker.duplicates
        self.apply(tracker, tracker.on_trade(replace(trade, fill=self._rates.convert(fill)), self._clock.now_ns()))
        self._state.counters["duplicate_fills"] += tracker.duplicates - before
        if tracker.is_waiting and trade.source == STREAM:
            self.is_reconcile_wanted = True  # the word on its order was lost, or is on its way

    def _find(self, client_order_id: str, venue_order_id: str) -> OrderTracker | None:
        orders = self._state.orders
        return orders.get(client_order_id) or (orders.by_venue_id(venue_order_id) if venue_order_id else None)

    def _stray(self, event: VenueOrder | VenueTrade, client_order_id: str) -> None:
        if client_order_id.startswith(OUR_PREFIX):
            self._state.counters["strays"] += 1
            self.strays.append(event)
            return
        self._state.counters["foreign_events"] += 1
        if isinstance(event, VenueTrade):
            instrument = self._state.instruments[event.fill.symbol]
            cause = f"foreign {event.fill.side.lower()} of {instrument.symbol}"
            self._moved_outside(cause, instrument.base, instrument.quote, event.fill.fee_asset)

    def _moved_outside(self, cause: str, *assets: str) -> None:
        """Note why an asset moved by no order of ours: it is compared soon."""
        told = OutsideCause(cause, self._clock.monotonic_ns())
        self._state.outside_causes.update(dict.fromkeys(assets, told))

    def _rejected(self, tracker: OrderTracker, answer: PlaceRejected) -> None:
        symbol, text = tracker.record.symbol, f"{answer.code}: {answer.text}"
        if answer.disables_symbol:
            self._state.account.disable_symbol(symbol, text)
            self._alerts.raise_alert("alert", "symbol_disabled", text, symbol)
        if answer.is_fatal:
            self._alerts.raise_alert("alert", "account_refused", text, None)
