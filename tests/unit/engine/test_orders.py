"""The order table: what ends, what is refused, and the drawing made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading.engine.orders import (
    CONTRADICTIONS,
    TRANSITIONS,
    OrderEventKind,
    TransitionRefused,
    diagram,
    kind_of,
    next_status,
)
from trading.model.orders import OrderAccepted, OrderCancelled, OrderStatus

DIAGRAM = Path(__file__).resolve().parents[3] / "docs" / "diagrams" / "order.mmd"


def test_diagram_in_docs_equals_the_table() -> None:
    assert DIAGRAM.read_text(encoding="utf-8") == diagram(), "stale: write trading.engine.orders.diagram() to it"


def test_terminal_status_is_left_only_by_money_or_contradiction() -> None:
    for (before, kind), after in TRANSITIONS.items():
        if before.is_terminal and after is not before:
            money = kind in (
                OrderEventKind.PARTLY_FILLED,
                OrderEventKind.WHOLLY_FILLED,
                OrderEventKind.ENDED_PARTLY,
            )
            assert money or (before, kind) in CONTRADICTIONS
            assert after.is_terminal or (before, kind) in CONTRADICTIONS


def test_every_live_status_can_end() -> None:
    for status in OrderStatus:
        seen, frontier = {status}, [status]
        while frontier:
            here = frontier.pop()
            for (before, _), after in TRANSITIONS.items():
                if before is here and after not in seen:
                    seen.add(after)
                    frontier.append(after)
        assert any(reached.is_terminal for reached in seen)


@pytest.mark.parametrize("status", [status for status in OrderStatus if status.is_terminal])
def test_repeated_cancel_of_an_ended_order_changes_nothing(status: OrderStatus) -> None:
    assert next_status(status, OrderEventKind.CANCEL_REQUESTED) is status


def test_late_new_after_filled_leaves_it_filled() -> None:
    assert next_status(OrderStatus.FILLED, OrderEventKind.ACKNOWLEDGED) is OrderStatus.FILLED


def test_cancel_that_is_answered_with_new_is_accepted_and_not_done() -> None:
    assert next_status(OrderStatus.CANCELLING, OrderEventKind.ACKNOWLEDGED) is OrderStatus.CANCELLING
    assert next_status(OrderStatus.CANCELLING, OrderEventKind.PARTLY_FILLED) is OrderStatus.CANCELLING


def test_timeout_of_the_send_after_a_push_leaves_it_open() -> None:
    assert next_status(OrderStatus.OPEN, OrderEventKind.OUTCOME_UNKNOWN) is OrderStatus.OPEN


def test_unknown_transition_is_refused_with_reason() -> None:
    refused = next_status(OrderStatus.DENIED, OrderEventKind.PARTLY_FILLED)
    assert isinstance(refused, TransitionRefused)
    assert "DENIED" in refused.reason
    assert "partly filled" in refused.reason


def test_only_an_unknown_or_pending_order_becomes_not_sent() -> None:
    sources = {before for (before, kind), after in TRANSITIONS.items() if after is OrderStatus.NOT_SENT}
    assert sources == {OrderStatus.PENDING, OrderStatus.UNKNOWN, OrderStatus.NOT_SENT}


def test_kind_of_cancelled_tells_partial_from_unfilled() -> None:
    assert kind_of(OrderCancelled("S", "id", 0, "", 1)) is OrderEventKind.ENDED_UNFILLED
    assert kind_of(OrderCancelled("S", "id", 3, "", 1)) is OrderEventKind.ENDED_PARTLY
    assert kind_of(OrderAccepted("S", "id", "v", 1)) is OrderEventKind.ACKNOWLEDGED
