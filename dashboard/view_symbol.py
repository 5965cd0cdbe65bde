"""One symbol: its ladder, its state, what its strategy waits for, its orders and its steps.

May import streamlit and the dashboard.
"""

from __future__ import annotations

import streamlit as st

from api.schemas import Book, OrderItem, Page, RunEventItem, SymbolItem
from dashboard.figures import NOTHING, amount, day_time, duration, plain_number, signed, tone
from dashboard.ladder import ladder_html
from dashboard.markup import Column, Html, facts, join, pill, section, table, tag, toned
from dashboard.order_table import order_table
from dashboard.reading import TICK_S, SharedReads, warn_of
from dashboard.twin_table import twin_html

OPEN = frozenset({"PENDING", "SENT", "UNKNOWN", "OPEN", "PARTIALLY_FILLED", "CANCELLING"})
EVENT_COLUMNS = (Column("At UTC"), Column("Event"), Column("State"), Column("Detail", is_wide=True))


def show(reads: SharedReads) -> None:
    """Draw the view."""
    body = reads.snapshot().body
    symbols = [item.symbol for item in body.symbols] if body is not None else []
    if not symbols:
        st.html(tag("p", "No symbol runs." if body is not None else "Not read yet.", "mx-empty"))
        return
    left, right, _ = st.columns([1, 0.6, 3])
    symbol = left.selectbox("Symbol", symbols, key="symbol-name", bind="query-params")
    depth = right.selectbox("Levels", (8, 12, 20, 40), index=1, key="symbol-depth")
    _live(reads, symbol, depth)


@st.fragment(run_every=TICK_S)
def _live(reads: SharedReads, symbol: str, depth: int) -> None:
    body = reads.snapshot().body
    item = next((item for item in body.symbols if item.symbol == symbol), None) if body is not None else None
    if item is None:
        st.html(tag("p", f"{symbol} is not in the fleet.", "mx-empty"))
        return
    orders = reads.get("/v1/orders", Page[OrderItem], {"symbol": symbol, "limit": 25})
    book = reads.get(f"/v1/symbols/{symbol}/book", Book, {"depth": depth})
    events = reads.get(f"/v1/symbols/{symbol}/events", Page[RunEventItem], {"limit": 12})
    warn_of(orders, events)
    shown = orders.body.items if orders.body is not None else []
    left, middle, right = st.columns([1.25, 1, 1])
    if book.body is not None and not book.error:
        own = [order for order in shown if order.status in OPEN]
        left.html(ladder_html(book.body, own, depth))
    else:
        left.html(tag("p", f"No book: {book.error or 'not read yet'}.", "mx-empty"))
    middle.html(_state(item))
    right.html(_waiting(item))
    if item.twin is not None:
        st.html(twin_html(item.twin))
    # What was not read shows no table: an empty one would say that there is nothing.
    if orders.body is not None:
        st.html(section("Orders", order_table(shown, f"Orders of {symbol}")))
    if events.body is not None:
        rows = [(day_time(event.at_ns), event.event, pill(event.state), event.detail) for event in events.body.items]
        st.html(section("Steps", table(EVENT_COLUMNS, rows, "No steps yet.", f"Steps of {symbol}")))


def _state(item: SymbolItem) -> Html:
    book = item.book
    age = NOTHING if book.age_ms is None else duration(book.age_ms / 1e3)
    rows: list[tuple[str, object]] = [
        ("State", pill(item.state)),
        ("Since", f"{day_time(item.since_ns)} UTC"),
        ("Machine", item.machine_state or NOTHING),
        ("Book", join([pill(book.state), f" {age} old"])),
        ("Proven", f"{item.proven_ratio:.1%} of the time"),
        ("Position", plain_number(item.position_qty)),
        ("Net P&L", toned(signed(item.net_pnl, 4), tone(item.net_pnl))),
        ("Fees", amount(item.fees, 4)),
        ("Open orders", item.open_orders),
        ("Frames", f"{item.frames:,}"),
        ("Gaps, resyncs", f"{item.gaps:,}, {item.resyncs:,}"),
        ("Last resync", duration(item.market.resync_last_ms / 1e3)),
        ("Audits", f"{item.market.audits:,}, {item.market.audits_differing:,} differed"),
        ("Event age", f"{item.market.event_age_ms:.0f} ms"),
        ("Restarts", item.restarts),
        ("Epoch", item.epoch),
        ("Process", f"{item.pid or NOTHING} on {item.node or NOTHING}"),
        ("Strategy", item.strategy),
    ]
    return section("State", facts(rows))


def _waiting(item: SymbolItem) -> Html:
    counted = sorted(item.refusals.items(), key=lambda pair: -pair[1])
    rows = [(reason.replace("_", " "), f"{count:,}") for reason, count in counted]
    columns = (Column("What it waited for"), Column("Times", True))
    return section(
        "Refusals",
        tag("p", f"Now: {item.reason.replace('_', ' ') or 'nothing'}", "mx-small"),
        table(columns, rows, "None since its start.", "Refusals"),
        tag("details", join([tag("summary", "Parameters", "mx-section"), facts(sorted(item.params.items()))])),
    )
