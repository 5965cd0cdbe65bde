"""One order, from whatever is said about it: answers, pushes, queries and executions become journal steps.

May import `trading.model` and `trading.engine`. Pure: told `now_ns`. Words come late, twice, out of order and from two
sources (stream and REST) whose trade ids differ; the tracker turns them into at most one step each. An order that the
venue ended is terminal here only when every executed lot is booked: until then it goes on reserving.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from trading.engine.orders import CONTRADICTIONS, OrderEventKind, TransitionRefused, next_status
from trading.engine.ports import OrderRecord
from trading.engine.reconcile import ADOPTED
from trading.model.orders import (
    Fill,
    OrderAccepted,
    OrderAdopted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderStatus,
    PlaceAccepted,
    PlaceAnswer,
    PlaceRejected,
    Refusal,
    VenueOrder,
    VenueTrade,
)
from trading.model.units import NS_PER_MS

# REST shows times of executions rounded to whole seconds (mexc-protocol §3.4, read 2026-11-22); this covers both ways.
SAME_TRADE_NS = 1_500 * NS_PER_MS

PAPER = "paper"
REST = "rest"

_ENDED = frozenset({OrderStatus.CANCELLED, OrderStatus.PARTIALLY_CANCELLED, OrderStatus.REJECTED})
_HELD = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED, OrderStatus.CANCELLING})


@dataclass(frozen=True, slots=True)
class Step:
    """One change of an order: the record after it, the event for its symbol, the fill to book, what alarms people."""

    order: OrderRecord
    event: OrderEvent | None = None
    fill: Fill | None = None
    alert: str = ""


@dataclass(slots=True)
class _Booked:
    fill: Fill
    sources: set[str]
    ids: set[str]


class OrderTracker:
    """Owns one order's record. Invariant: booked lots never exceed the order's, each execution is booked once.

    An execution that only REST has told waits until the venue's word on the order covers it: it may be one that the
    stream has told already in a way that does not look the same.
    """

    def __init__(self, record: OrderRecord, fills: Iterable[Fill] = ()) -> None:
        """Args: fills: booked before (after a restart; their source is not known any more)."""
        self.record = record
        self.duplicates = 0
        self._booked = [_Booked(fill, set(), {fill.trade_id}) for fill in fills]
        self._ended: VenueOrder | None = None
        self._waiting: dict[str, VenueTrade] = {}  # REST executions beyond what the venue says has traded, by id

    @property
    def missing_lots(self) -> int:
        """Lots that the venue says have traded, and that are not booked yet."""
        return max(0, self.record.venue_filled_lots - self.record.filled_lots)

    @property
    def is_ended_at_venue(self) -> bool:
        """True when the venue ended the order and only fills are outstanding."""
        return self._ended is not None and not self.record.status.is_terminal

    # --- our own steps --------------------------------------------------------------------------------------------

    def deny(self, reason: Refusal, text: str, now_ns: int) -> Step:
        """End an order that certainly was never sent."""
        event = OrderDenied(self.record.symbol, self.record.client_order_id, reason, text, now_ns)
        return self._move(OrderEventKind.DENIED, now_ns, event, reason=f"{reason}: {text}"[:300])

    def request_cancel(self, now_ns: int) -> Step | None:
        """Note that a cancel was asked for; None when that changes nothing."""
        step = self._move(OrderEventKind.CANCEL_REQUESTED, now_ns, None)
        return step if step.order.status is OrderStatus.CANCELLING else None

    def on_unknown(self, text: str, now_ns: int) -> Step | None:
        """Note that the send has no certain answer; None when a push has told more already."""
        event = OrderOutcomeUnknown(self.record.symbol, self.record.client_order_id, text, now_ns)
        if self.record.status in (OrderStatus.PENDING, OrderStatus.SENT):
            return self._move(OrderEventKind.OUTCOME_UNKNOWN, now_ns, event, reason=text[:300])
        return None

    def on_absent(self, text: str, now_ns: int) -> Step:
        """End an order that is proven absent at the venue (promise 2)."""
        event = OrderNotSent(self.record.symbol, self.record.client_order_id, text, now_ns)
        return self._move(OrderEventKind.PROVEN_ABSENT, now_ns, event, reason=text[:300])

    def forget_unbooked(self) -> None:
        """Take back what a paper venue said to have traded: it is gone, and what is not booked never happened."""
        self.record = self.record.changed(venue_filled_lots=self.record.filled_lots)
        self._ended = None
        self._waiting.clear()

    # --- the venue's words ----------------------------------------------------------------------------------------

    def on_answer(self, answer: PlaceAnswer, now_ns: int) -> Step | None:
        """Take the answer of the send; None when it tells nothing new."""
        if isinstance(answer, PlaceAccepted):
            return self._acknowledge(answer.venue_order_id, now_ns, answer.acked_ns)
        if isinstance(answer, PlaceRejected):
            self.record = self.record.changed(acked_ns=answer.acked_ns)
            event = OrderRejected(
                self.record.symbol, self.record.client_order_id, answer.code, answer.text, answer.acked_ns
            )
            return self._move(OrderEventKind.REJECTED, now_ns, event, reason=f"{answer.code}: {answer.text}"[:300])
        return self.on_unknown(answer.text, now_ns)

    def on_report(self, report: VenueOrder, now_ns: int) -> tuple[Step, ...]:
        """Take a push or a query's word on the order.

        A word that more of a finished order has traded is a step of its own: until that is booked it outlives us.
        """
        executed = max(self.record.venue_filled_lots, min(report.filled_lots, self.record.qty_lots))
        is_late = executed != self.record.venue_filled_lots and self.record.status.is_terminal
        if executed != self.record.venue_filled_lots:
            self.record = self.record.changed(venue_filled_lots=executed)
        steps = self._on_state(report, executed, now_ns) + self._take_waiting(now_ns)
        return steps or ((Step(self.record),) if is_late else ())

    def _on_state(self, report: VenueOrder, executed: int, now_ns: int) -> tuple[Step, ...]:
        if report.status in _HELD:
            step = self._acknowledge(report.venue_order_id, now_ns)
            return (step,) if step is not None else ()
        if report.status not in _ENDED:
            return ()
        if self.record.filled_lots < executed:
            # The venue has ended it, but executions are missing here: they come by push, or are fetched.
            self._ended = report
            step = self._acknowledge(report.venue_order_id, now_ns)
            return (step,) if step is not None else ()
        return self._end(report, now_ns)

    def on_trade(self, trade: VenueTrade, now_ns: int) -> tuple[Step, ...]:
        """Take an execution; empty when it was booked before (under this id or the other source's)."""
        fill = trade.fill
        if self._is_booked(fill, trade.source):
            self.duplicates += 1
            return ()
        if self.record.filled_lots + fill.qty_lots > self.record.qty_lots:
            text = f"execution {fill.trade_id} exceeds the order: {self.record.filled_lots} + {fill.qty_lots} lots"
            return (Step(self.record, alert=f"{text} of {self.record.qty_lots}"),)
        if trade.source == REST and self.record.filled_lots + fill.qty_lots > self.record.venue_filled_lots:
            return self._let_wait(trade)
        filled = self.record.filled_lots + fill.qty_lots
        is_whole = filled == self.record.qty_lots
        kind = OrderEventKind.WHOLLY_FILLED if is_whole else OrderEventKind.PARTLY_FILLED
        after = next_status(self.record.status, kind)
        if isinstance(after, TransitionRefused):
            return (Step(self.record, alert=f"execution {fill.trade_id} not booked: {after.reason}"),)
        self._booked.append(_Booked(fill, {trade.source}, {fill.trade_id}))
        event = OrderFilled(self.record.symbol, self.record.client_order_id, fill, after, now_ns)
        step = self._move(
            kind,
            now_ns,
            event,
            filled_lots=filled,
            filled_quote=self.record.filled_quote + fill.quote_qty,
            venue_filled_lots=max(self.record.venue_filled_lots, filled),
            venue_order_id=self.record.venue_order_id or fill.venue_order_id,
        )
        booked = (replace(step, fill=fill),)
        if self._ended is not None and not self.missing_lots and not self.record.status.is_terminal:
            return booked + self._end(self._ended, now_ns)
        return booked

    # --- inside ---------------------------------------------------------------------------------------------------

    def _let_wait(self, trade: VenueTrade) -> tuple[Step, ...]:
        is_news = trade.fill.trade_id not in self._waiting
        self._waiting[trade.fill.trade_id] = trade
        if not is_news or not self.record.status.is_terminal:
            return ()
        text = f"execution {trade.fill.trade_id} of {trade.fill.qty_lots} lots is beyond what the venue says has traded"
        return (Step(self.record, alert=f"{text}: {self.record.venue_filled_lots}, all booked"),)

    def _take_waiting(self, now_ns: int) -> tuple[Step, ...]:
        waiting, self._waiting = self._waiting, {}
        steps: tuple[Step, ...] = ()
        for trade in waiting.values():
            steps += self.on_trade(trade, now_ns)
        return steps

    def _is_booked(self, fill: Fill, source: str) -> bool:
        for item in self._booked:
            if fill.trade_id in item.ids:
                return True
        if source == PAPER:  # one source, and its ids are its own
            return False
        for item in self._booked:
            # One execution is told once by each source; two equal executions of one source are two.
            if source not in item.sources and _looks_same(item.fill, fill):
                item.sources.add(source)
                item.ids.add(fill.trade_id)
                return True
        return False

    def _acknowledge(self, venue_order_id: str, now_ns: int, acked_ns: int = 0) -> Step | None:
        before = self.record
        is_news = before.status in (OrderStatus.PENDING, OrderStatus.SENT, OrderStatus.UNKNOWN)
        is_back = (before.status, OrderEventKind.ACKNOWLEDGED) in CONTRADICTIONS
        is_complete = bool(before.venue_order_id and before.acked_ns)
        if is_complete and not is_back and next_status(before.status, OrderEventKind.ACKNOWLEDGED) is before.status:
            return None  # it was told before
        event = _held(before, venue_order_id, now_ns)
        step = self._move(
            OrderEventKind.ACKNOWLEDGED,
            now_ns,
            event if is_news or is_back else None,
            venue_order_id=before.venue_order_id or venue_order_id,
            acked_ns=before.acked_ns or acked_ns or now_ns,
        )
        is_told = (
            step.event is not None or step.alert or step.order.changed(updated_ns=0) != before.changed(updated_ns=0)
        )
        return step if is_told else None

    def _end(self, report: VenueOrder, now_ns: int) -> tuple[Step, ...]:
        self._ended = None
        if self.record.status.is_terminal and self.record.status not in (OrderStatus.NOT_SENT, OrderStatus.REJECTED):
            return ()
        filled = self.record.filled_lots
        name = self.record.client_order_id
        if report.status is OrderStatus.REJECTED and not filled:
            rejected = OrderRejected(self.record.symbol, name, 0, report.reason, now_ns)
            return (self._move(OrderEventKind.REJECTED, now_ns, rejected, reason=report.reason[:300]),)
        kind = OrderEventKind.ENDED_PARTLY if filled else OrderEventKind.ENDED_UNFILLED
        event = OrderCancelled(self.record.symbol, name, filled, report.reason, now_ns)
        if next_status(self.record.status, kind) is self.record.status:
            return ()
        venue_order_id = self.record.venue_order_id or report.venue_order_id
        return (self._move(kind, now_ns, event, reason=report.reason[:300], venue_order_id=venue_order_id),)

    def _move(self, kind: OrderEventKind, now_ns: int, event: OrderEvent | None, **changes: Any) -> Step:
        before = self.record.status
        after = next_status(before, kind)
        if isinstance(after, TransitionRefused):
            return Step(self.record, alert=after.reason)
        self.record = self.record.changed(status=after, updated_ns=now_ns, **changes)
        is_back = (before, kind) in CONTRADICTIONS
        alert = f"the venue contradicts itself: an order that was {before} is {kind}" if is_back else ""
        return Step(self.record, event, alert=alert)


def _held(record: OrderRecord, venue_order_id: str, now_ns: int) -> OrderEvent:
    """Say that the venue holds an order; of an adopted one its symbol has to hear what it is."""
    if record.run_id != ADOPTED:
        return OrderAccepted(record.symbol, record.client_order_id, venue_order_id, now_ns)
    return OrderAdopted(
        symbol=record.symbol,
        client_order_id=record.client_order_id,
        venue_order_id=venue_order_id,
        side=record.side,
        type=record.type,
        price_ticks=record.price_ticks,
        qty_lots=record.qty_lots,
        purpose=record.purpose,
        created_ns=record.created_ns,
        at_ns=now_ns,
    )


def _looks_same(booked: Fill, told: Fill) -> bool:
    return (
        booked.price_ticks == told.price_ticks
        and booked.qty_lots == told.qty_lots
        and booked.is_maker == told.is_maker
        and abs(booked.exch_ts_ns - told.exch_ts_ns) <= SAME_TRADE_NS
    )
