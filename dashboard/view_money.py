"""Money: positions at the bid, P&L net of fees by symbol, day and session, and its course since this page was served.

May import streamlit and the dashboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from api.schemas import Page, PnlItem, PositionItem
from dashboard.figures import amount, day_time, plain_number, signed, tone
from dashboard.markup import Column, Html, section, table, tag, toned
from dashboard.reading import TICK_S, Point, SharedReads, warn_of

POSITIONS = (
    Column("Symbol"),
    Column("Held", True),
    Column("Average price", True),
    Column("Mark", True, hint="the bid one could sell at"),
    Column("Unrealised", True),
    Column("Realised", True, hint="gross"),
    Column("Fees", True),
    Column("Last change UTC"),
)
SUMS = (
    Column(""),
    Column("Fills", True),
    Column("Volume", True),
    Column("Realised", True, hint="gross"),
    Column("Fees", True),
    Column("Net", True),
)


def show(reads: SharedReads) -> None:
    """Draw the view."""
    _live(reads)
    by = st.segmented_control("P&L by", ("symbol", "day", "session"), default="symbol", required=True, key="money-by")
    _sums(reads, by or "symbol")


@st.fragment(run_every=TICK_S)
def _live(reads: SharedReads) -> None:
    body = reads.snapshot().body
    if body is None:
        return
    st.echarts_chart(course(list(reads.points)), height=230, key="money-course", alt="Net P&L over time")
    st.html(section("Positions", position_table(body.positions)))


@st.fragment(run_every=5 * TICK_S)
def _sums(reads: SharedReads, by: str) -> None:
    reading = reads.get("/v1/pnl", Page[PnlItem], {"by": by, "limit": 200})
    warn_of(reading)
    if reading.body is not None:
        st.html(sum_table(reading.body.items, by))


def position_table(positions: Sequence[PositionItem]) -> Html:
    """Render positions, held ones first."""
    ordered = sorted(positions, key=lambda item: (item.qty == "0", item.symbol))
    rows = [
        (
            tag("b", item.symbol),
            plain_number(item.qty),
            plain_number(item.avg_price) if item.qty != "0" else "–",
            plain_number(item.mark_price),
            toned(signed(item.unrealized_pnl, 4), tone(item.unrealized_pnl)),
            toned(signed(item.realized_pnl, 4), tone(item.realized_pnl)),
            amount(item.fees, 4),
            day_time(item.updated_ns),
        )
        for item in ordered
    ]
    return table(POSITIONS, rows, "Nothing was ever bought.", "Positions")


def sum_table(items: Sequence[PnlItem], by: str) -> Html:
    """Render sums over fills; the last line is their sum."""
    rows: list[tuple[object, ...]] = [
        (
            tag("b", item.key),
            item.fills,
            amount(item.quote_volume),
            toned(signed(item.realized, 4), tone(item.realized)),
            amount(item.fees, 4),
            toned(signed(item.net, 4), tone(item.net)),
        )
        for item in items
    ]
    columns = (Column(by.capitalize()), *SUMS[1:])
    return table(columns, rows, "No fill was booked yet.", f"P&L by {by}")


def course(points: Sequence[Point]) -> dict[str, Any]:
    """Describe the chart of the net P&L; every point is a snapshot that this process read."""
    lines = (
        ("Net, with open positions", [[point.time_ms, round(point.net, 6)] for point in points]),
        ("Net, realised", [[point.time_ms, round(point.realized_net, 6)] for point in points]),
    )
    return {
        "animation": False,
        "grid": {"left": 64, "right": 16, "top": 34, "bottom": 28},
        "legend": {"top": 0, "left": 0},
        "tooltip": {"trigger": "axis"},
        "useUTC": True,
        "xAxis": {"type": "time"},
        "yAxis": {"type": "value", "scale": True},
        "series": [
            {"name": name, "type": "line", "showSymbol": False, "step": "end", "lineStyle": {"width": 2}, "data": data}
            for name, data in lines
        ],
    }
