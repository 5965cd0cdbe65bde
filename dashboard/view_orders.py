"""Orders as they go, and why one of them exists. May import streamlit and the dashboard."""

from __future__ import annotations

import streamlit as st

from api.schemas import OrderExplanation, OrderItem, Page
from dashboard.api_client import ApiAway, ApiRefused
from dashboard.figures import clock_time
from dashboard.markup import Column, facts, section, table, tag
from dashboard.order_table import fill_table, order_table
from dashboard.reading import TICK_S, SharedReads, warn_of

STATUSES = (
    "OPEN", "PARTIALLY_FILLED", "UNKNOWN", "CANCELLING", "PENDING", "SENT", "FILLED", "CANCELLED",
    "PARTIALLY_CANCELLED", "REJECTED", "DENIED", "NOT_SENT",
)  # fmt: skip


def show(reads: SharedReads) -> None:
    """Draw the view."""
    body = reads.snapshot().body
    symbols = [item.symbol for item in body.symbols] if body is not None else []
    left, middle, right, wide = st.columns([1, 1, 0.6, 2], vertical_alignment="bottom")
    symbol = left.selectbox("Symbol", symbols, index=None, placeholder="all", key="orders-symbol")
    status = middle.selectbox("Status", STATUSES, index=None, placeholder="all", key="orders-status")
    limit = right.selectbox("Rows", (25, 50, 100, 200), index=1, key="orders-limit")
    order_id = wide.text_input("Explain an order", placeholder="order id, e.g. mx-1-1-1", key="orders-explain")
    if order_id.strip():
        _explain(reads, order_id.strip())
    params = {"symbol": symbol, "status": status, "limit": limit}
    _rows(reads, {name: value for name, value in params.items() if value is not None})


@st.fragment(run_every=TICK_S)
def _rows(reads: SharedReads, params: dict[str, object]) -> None:
    reading = reads.get("/v1/orders", Page[OrderItem], params)
    warn_of(reading)
    if reading.body is not None:
        st.html(order_table(reading.body.items, "Orders"))


def _explain(reads: SharedReads, order_id: str) -> None:
    try:
        story = reads.client.read(f"/v1/orders/{order_id}/explain", OrderExplanation)
    except (ApiAway, ApiRefused) as error:
        st.warning(str(error.args[0]))
        return
    with st.container(border=True):
        order = story.order
        st.html(tag("div", f"{order.side} {order.qty} {order.symbol} at {order.price}: {order.status}", "mx-section"))
        left, right = st.columns([1, 1.4])
        decision = facts(story.decision.items()) if story.decision else tag("p", "Nothing was noted.", "mx-empty")
        left.html(section("What it was decided on", decision))
        columns = (Column("#", True), Column("Event"), Column("At UTC"))
        rows = [(step.seq, step.kind, clock_time(step.at_ns)) for step in story.events]
        right.html(section("What became of it", table(columns, rows, "Nothing yet.", "Events of the order")))
        right.html(fill_table(story.fills, "Fills of the order"))
