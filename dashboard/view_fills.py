"""Fills as they are booked. May import streamlit and the dashboard."""

from __future__ import annotations

import streamlit as st

from api.schemas import FillItem, Page
from dashboard.order_table import fill_table
from dashboard.reading import TICK_S, SharedReads, warn_of


def show(reads: SharedReads) -> None:
    """Draw the view."""
    body = reads.snapshot().body
    symbols = [item.symbol for item in body.symbols] if body is not None else []
    left, right, _ = st.columns([1, 0.6, 3])
    symbol = left.selectbox("Symbol", symbols, index=None, placeholder="all", key="fills-symbol")
    limit = right.selectbox("Rows", (25, 50, 100, 200), index=1, key="fills-limit")
    params = {"symbol": symbol, "limit": limit}
    _rows(reads, {name: value for name, value in params.items() if value is not None})


@st.fragment(run_every=TICK_S)
def _rows(reads: SharedReads, params: dict[str, object]) -> None:
    reading = reads.get("/v1/fills", Page[FillItem], params)
    warn_of(reading)
    if reading.body is not None:
        st.html(fill_table(reading.body.items, "Fills"))
