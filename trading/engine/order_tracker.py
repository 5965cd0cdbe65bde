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

STREAM = "stream"
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


class _Alike:
    """Executions of one order that only their ids tell apart: price, quantity and maker are the same.

    Times do not count: REST rounds them (mexc-protocol §3.4), and a push may be late. A source tells each execution
    once, under an id of its own. So the venue made at least as many as the source that has told the most: a source
    whose told ids are more than what is booked has told one that is not.
    """

    __slots__ = ("booked", "told")

    def __init__(self) -> None:
        self.booked = 0
        self.told: dict[str, set[str]] = {}

    def tell(self, source: str, trade_id: str) -> bool:
        """Note an id; True when it is new."""
        ids = self.told.setdefault(source, set())
        is_new = trade_id not in ids
        ids.add(trade_id)
        return is_new

    def lacks(self, source: str) -> bool:
        """Tell whether a source has told more than is booked."""
        return len(self.told[source]) > self.booked


class OrderTracker:
    """Owns one order's record. Invariant: booked lots never exceed the order's, each execution is booked once.

    An execution waits until the venue's word on the order covers it, unless the pushes alone prove it: it may be one
    that the other source has told already in a way that does not look the same.
    """

    def __init__(self, record: OrderRecord, fills: Iterable[Fill] = ()) -> None:
        """Args: fills: booked before (after a restart), each with its source."""
        self.record = record
        self.duplicates = 0
        self._booked: set[str] = set()
        self._alike: dict[tuple[int, int, bool], _Alike] = {}
        self._told_lots: dict[str, int] = {}
        self._ended: VenueOrder | None = None
        self._cancel: tuple[str, int, int] = ("", 0, 0)  # why and when it was first wanted, when first sent
        self._waiting: dict[str, VenueTrade] = {}  # executions beyond what the venue says has traded, by id
        for fill in fills:
            self._note(fill, fill.source)
            self._book(fill)

    @property
    def is_waiting(self) -> bool:
        """True while an execution waits for the venue's word on the order."""
        return bool(self._waiting)

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

    def wish_cancel(self, why: str, asked_ns: int) -> None:
        """Note why and when its end is wanted; the first wish counts."""
        if not self._cancel[1]:
            self._cancel = (why, asked_ns, 0)

    def request_cancel(self, now_ns: int) -> Step | None:
        """Note that a cancel is sent; None when that changes nothing."""
        self.wish_cancel("", now_ns)
        why, asked_ns, sent_ns = self._cancel
        self._cancel = (why, asked_ns, sent_ns or now_ns)
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
        if report.status is OrderStatus.FILLED and executed < self.record.qty_lots:
            return self._on_short(report, executed, now_ns)
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

    def _on_short(self, report: VenueOrder, executed: int, now_ns: int) -> tuple[Step, ...]:
        """Take it that an order is over, as FILLED says, with what the venue's own figure says has traded of it."""
        text = f"FILLED with {executed} of {self.record.qty_lots} lots executed"
        is_news = self._ended is None and not self.record.status.is_terminal
        alert = (Step(self.record, alert=f"the venue says {text}: its figure counts"),) if is_news else ()
        status = OrderStatus.PARTIALLY_CANCELLED if executed else OrderStatus.CANCELLED
        return alert + self._on_state(replace(report, status=status, reason=text), executed, now_ns)

    def on_trade(self, trade: VenueTrade, now_ns: int) -> tuple[Step, ...]:
        """Take an execution; empty when it was booked before (under this id or the other source's)."""
        fill = trade.fill
        self._note(fill, trade.source)
        if fill.trade_id in self._booked or not self._alike[_key(fill)].lacks(trade.source):
            self.duplicates += 1
            return ()
        filled = self.record.filled_lots + fill.qty_lots
        if filled > self.record.qty_lots:
            text = f"execution {fill.trade_id} exceeds the order: {self.record.filled_lots} + {fill.qty_lots} lots"
            return (Step(self.record, alert=f"{text} of {self.record.qty_lots}"),)
        # What my-trades show needs the order's own word; pushes prove what they add up to by themselves.
        proven = 0 if trade.source == REST else self._told_lots[trade.source]
        if filled > max(self.record.venue_filled_lots, proven):
            return self._let_wait(trade)
        is_whole = filled == self.record.qty_lots
        kind = OrderEventKind.WHOLLY_FILLED if is_whole else OrderEventKind.PARTLY_FILLED
        after = next_status(self.record.status, kind)
        if isinstance(after, TransitionRefused):
            return (Step(self.record, alert=f"execution {fill.trade_id} not booked: {after.reason}"),)
        self._book(fill)
        if fill.source != trade.source:
            fill = replace(fill, source=trade.source)
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
        if not self._waiting:
            return ()
        waiting, self._waiting = self._waiting, {}
        steps: tuple[Step, ...] = ()
        for trade in waiting.values():
            steps += self.on_trade(trade, now_ns)
        return steps

    def _note(self, fill: Fill, source: str) -> None:
        """Note that a source has told an execution."""
        if self._alike.setdefault(_key(fill), _Alike()).tell(source, fill.trade_id):
            self._told_lots[source] = self._told_lots.get(source, 0) + fill.qty_lots

    def _book(self, fill: Fill) -> None:
        self._booked.add(fill.trade_id)
        self._alike[_key(fill)].booked += 1

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
        event = OrderCancelled(self.record.symbol, name, filled, report.reason, now_ns, *self._cancel)
        if next_status(self.record.status, kind) is self.record.status:
            return ()
        venue_order_id = self.record.venue_order_id or report.venue_order_id
        reason = (report.reason or self._cancel[0])[:300]
        return (self._move(kind, now_ns, event, reason=reason, venue_order_id=venue_order_id),)

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


def _key(fill: Fill) -> tuple[int, int, bool]:
    return fill.price_ticks, fill.qty_lots, fill.is_maker
