"""The life of an order as one table. May import `trading.model`.

Executor and symbol engine walk the same table: the executor with what the venue says, the symbol with what the executor
delivers. Reports come late, twice and out of order; the table is written so that they all end in the same place. What
is not in the table is refused with a reason, never guessed. `docs/diagrams/order.mmd` is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from trading.model.orders import (
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
)


class OrderEventKind(StrEnum):
    """What can happen to an order, whoever says so."""

    COMMITTED = "committed"  # the intent is journaled: from here the venue may see it
    DENIED = "denied"  # our rules said no, and it is certain that nothing was sent
    ACKNOWLEDGED = "acknowledged"  # the venue says that it holds (or held) the order
    REJECTED = "rejected"  # the venue said no
    OUTCOME_UNKNOWN = "outcome unknown"  # the send has no certain answer
    PARTLY_FILLED = "partly filled"  # a booked execution that leaves quantity
    WHOLLY_FILLED = "wholly filled"  # a booked execution that completes the quantity
    CANCEL_REQUESTED = "cancel requested"  # we asked the venue to end it
    ENDED_UNFILLED = "ended unfilled"  # the venue ended it, nothing traded
    ENDED_PARTLY = "ended partly filled"  # the venue ended it after some quantity traded
    PROVEN_ABSENT = "proven absent"  # the venue does not know it and never will


@dataclass(frozen=True, slots=True)
class TransitionRefused:
    """An event that cannot happen in this state; the order is left as it was."""

    status: OrderStatus
    kind: OrderEventKind
    reason: str


_S = OrderStatus
_K = OrderEventKind

# Reports that tell nothing new (a late NEW after FILLED, a second CANCELED) map a state to itself: they are normal.
# A cancel asked for before the answer of the send is known leaves SENT and UNKNOWN as they are: what matters there is
# whether the venue holds the order at all. A fill after the end is booked: CANCELLED becomes PARTIALLY_CANCELLED.
TRANSITIONS: dict[tuple[OrderStatus, OrderEventKind], OrderStatus] = {
    (_S.PENDING, _K.COMMITTED): _S.SENT,
    (_S.PENDING, _K.DENIED): _S.DENIED,
    (_S.PENDING, _K.PROVEN_ABSENT): _S.NOT_SENT,
    # The symbol's own table starts at PENDING and learns of the send by its outcome.
    (_S.PENDING, _K.ACKNOWLEDGED): _S.OPEN,
    (_S.PENDING, _K.REJECTED): _S.REJECTED,
    (_S.PENDING, _K.OUTCOME_UNKNOWN): _S.UNKNOWN,
    (_S.PENDING, _K.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.PENDING, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.PENDING, _K.CANCEL_REQUESTED): _S.PENDING,
    (_S.PENDING, _K.ENDED_UNFILLED): _S.CANCELLED,
    (_S.PENDING, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    # Committed, and the answer of the venue is outstanding. DENIED: withheld after the commit, before the socket.
    (_S.SENT, _K.DENIED): _S.DENIED,
    (_S.SENT, _K.ACKNOWLEDGED): _S.OPEN,
    (_S.SENT, _K.REJECTED): _S.REJECTED,
    (_S.SENT, _K.OUTCOME_UNKNOWN): _S.UNKNOWN,
    (_S.SENT, _K.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.SENT, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.SENT, _K.CANCEL_REQUESTED): _S.SENT,
    (_S.SENT, _K.ENDED_UNFILLED): _S.CANCELLED,
    (_S.SENT, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    (_S.UNKNOWN, _K.ACKNOWLEDGED): _S.OPEN,
    (_S.UNKNOWN, _K.REJECTED): _S.REJECTED,
    (_S.UNKNOWN, _K.OUTCOME_UNKNOWN): _S.UNKNOWN,
    (_S.UNKNOWN, _K.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.UNKNOWN, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.UNKNOWN, _K.CANCEL_REQUESTED): _S.UNKNOWN,
    (_S.UNKNOWN, _K.ENDED_UNFILLED): _S.CANCELLED,
    (_S.UNKNOWN, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    (_S.UNKNOWN, _K.PROVEN_ABSENT): _S.NOT_SENT,
    (_S.OPEN, _K.ACKNOWLEDGED): _S.OPEN,
    (_S.OPEN, _K.OUTCOME_UNKNOWN): _S.OPEN,
    (_S.OPEN, _K.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.OPEN, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.OPEN, _K.CANCEL_REQUESTED): _S.CANCELLING,
    (_S.OPEN, _K.ENDED_UNFILLED): _S.CANCELLED,
    (_S.OPEN, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    (_S.PARTIALLY_FILLED, _K.ACKNOWLEDGED): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _K.OUTCOME_UNKNOWN): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _K.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.PARTIALLY_FILLED, _K.CANCEL_REQUESTED): _S.CANCELLING,
    (_S.PARTIALLY_FILLED, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    # A cancel's answer may say "NEW": it is accepted, not done.
    (_S.CANCELLING, _K.ACKNOWLEDGED): _S.CANCELLING,
    (_S.CANCELLING, _K.OUTCOME_UNKNOWN): _S.CANCELLING,
    (_S.CANCELLING, _K.PARTLY_FILLED): _S.CANCELLING,
    (_S.CANCELLING, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.CANCELLING, _K.CANCEL_REQUESTED): _S.CANCELLING,
    (_S.CANCELLING, _K.ENDED_UNFILLED): _S.CANCELLED,
    (_S.CANCELLING, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    (_S.FILLED, _K.ACKNOWLEDGED): _S.FILLED,
    (_S.FILLED, _K.OUTCOME_UNKNOWN): _S.FILLED,
    (_S.FILLED, _K.PARTLY_FILLED): _S.FILLED,
    (_S.FILLED, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.FILLED, _K.CANCEL_REQUESTED): _S.FILLED,
    (_S.FILLED, _K.ENDED_PARTLY): _S.FILLED,
    (_S.CANCELLED, _K.ACKNOWLEDGED): _S.CANCELLED,
    (_S.CANCELLED, _K.OUTCOME_UNKNOWN): _S.CANCELLED,
    (_S.CANCELLED, _K.PARTLY_FILLED): _S.PARTIALLY_CANCELLED,
    (_S.CANCELLED, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.CANCELLED, _K.CANCEL_REQUESTED): _S.CANCELLED,
    (_S.CANCELLED, _K.ENDED_UNFILLED): _S.CANCELLED,
    (_S.CANCELLED, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    (_S.PARTIALLY_CANCELLED, _K.ACKNOWLEDGED): _S.PARTIALLY_CANCELLED,
    (_S.PARTIALLY_CANCELLED, _K.OUTCOME_UNKNOWN): _S.PARTIALLY_CANCELLED,
    (_S.PARTIALLY_CANCELLED, _K.PARTLY_FILLED): _S.PARTIALLY_CANCELLED,
    (_S.PARTIALLY_CANCELLED, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.PARTIALLY_CANCELLED, _K.CANCEL_REQUESTED): _S.PARTIALLY_CANCELLED,
    (_S.PARTIALLY_CANCELLED, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    (_S.REJECTED, _K.REJECTED): _S.REJECTED,
    (_S.REJECTED, _K.OUTCOME_UNKNOWN): _S.REJECTED,
    (_S.REJECTED, _K.CANCEL_REQUESTED): _S.REJECTED,
    (_S.REJECTED, _K.ENDED_UNFILLED): _S.REJECTED,
    (_S.REJECTED, _K.PROVEN_ABSENT): _S.REJECTED,
    (_S.DENIED, _K.DENIED): _S.DENIED,
    (_S.DENIED, _K.CANCEL_REQUESTED): _S.DENIED,
    (_S.DENIED, _K.PROVEN_ABSENT): _S.DENIED,
    (_S.NOT_SENT, _K.PROVEN_ABSENT): _S.NOT_SENT,
    (_S.NOT_SENT, _K.OUTCOME_UNKNOWN): _S.NOT_SENT,
    (_S.NOT_SENT, _K.CANCEL_REQUESTED): _S.NOT_SENT,
    (_S.NOT_SENT, _K.DENIED): _S.NOT_SENT,
    (_S.NOT_SENT, _K.ENDED_UNFILLED): _S.NOT_SENT,
    # The venue contradicts its earlier word (see CONTRADICTIONS). Money is believed: what traded is booked.
    (_S.REJECTED, _K.ACKNOWLEDGED): _S.OPEN,
    (_S.REJECTED, _K.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.REJECTED, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.REJECTED, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
    (_S.NOT_SENT, _K.ACKNOWLEDGED): _S.OPEN,
    (_S.NOT_SENT, _K.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.NOT_SENT, _K.WHOLLY_FILLED): _S.FILLED,
    (_S.NOT_SENT, _K.ENDED_PARTLY): _S.PARTIALLY_CANCELLED,
}

# An order that was over comes back to life: allowed, because the venue is the truth, and always alerted.
CONTRADICTIONS = frozenset(
    key
    for key, after in TRANSITIONS.items()
    if key[0] in (OrderStatus.REJECTED, OrderStatus.NOT_SENT) and after is not key[0]
)


def next_status(status: OrderStatus, kind: OrderEventKind) -> OrderStatus | TransitionRefused:
    """Look up the state after an event; a refusal with its reason when the table does not know it."""
    after = TRANSITIONS.get((status, kind))
    if after is None:
        return TransitionRefused(status, kind, f"an order that is {status} cannot be {kind}")
    return after


def kind_of(event: OrderEvent) -> OrderEventKind:
    """Name what a delivered event means for the table."""
    match event:
        case OrderDenied():
            return OrderEventKind.DENIED
        case OrderAccepted() | OrderAdopted():
            return OrderEventKind.ACKNOWLEDGED
        case OrderRejected():
            return OrderEventKind.REJECTED
        case OrderFilled():
            is_whole = event.status is OrderStatus.FILLED
            return OrderEventKind.WHOLLY_FILLED if is_whole else OrderEventKind.PARTLY_FILLED
        case OrderCancelled():
            return OrderEventKind.ENDED_PARTLY if event.filled_lots else OrderEventKind.ENDED_UNFILLED
        case OrderOutcomeUnknown():
            return OrderEventKind.OUTCOME_UNKNOWN
        case OrderNotSent():
            return OrderEventKind.PROVEN_ABSENT
        case _:
            assert_never(event)


def diagram() -> str:
    """Draw the table as a Mermaid state diagram: one arrow per pair of states, contradictions as a note."""
    arrows: dict[tuple[OrderStatus, OrderStatus], list[str]] = {}
    for (before, kind), after in TRANSITIONS.items():
        if before is not after and (before, kind) not in CONTRADICTIONS:
            arrows.setdefault((before, after), []).append(kind.value)
    lines = ["stateDiagram-v2", "    %% generated from trading/engine/orders.py:TRANSITIONS", "    [*] --> PENDING"]
    lines += [f"    {before} --> {after}: {', '.join(kinds)}" for (before, after), kinds in arrows.items()]
    lines += [f"    {status} --> [*]" for status in OrderStatus if status.is_terminal]
    lines += [
        "    note right of NOT_SENT",
        "        a later word of the venue that it holds or filled the order",
        "        brings NOT_SENT and REJECTED back to life, with an alert",
        "    end note",
    ]
    return "\n".join(lines) + "\n"
