"""The account's limits, how near they are, and changing one. May import streamlit and the dashboard."""

from __future__ import annotations

import streamlit as st

from api.schemas import RiskBody
from dashboard.api_client import ApiAway, ApiRefused
from dashboard.figures import amount, plain_number, signed, tone
from dashboard.markup import Column, Html, cards, table, toned
from dashboard.reading import TICK_S, SharedReads, redraw_unless, warn_of

# What the API shows as the upper end of a limit that is only bounded by sense.
UNBOUNDED = "1000000000000"
COLUMNS = (
    Column("Limit"),
    Column("Value", True),
    Column("Default", True),
    Column("From", True),
    Column("To", True),
    Column("Unit"),
    Column("What it does", is_wide=True),
)


def show(reads: SharedReads) -> None:
    """Draw the view."""
    risk = reads.get("/v1/risk", RiskBody).body
    _live(reads, risk is not None)
    if risk is None:
        return
    with st.form("limits", border=True):
        left, middle, right = st.columns([1.2, 1, 0.5], vertical_alignment="bottom")
        name = left.selectbox("Limit", list(risk.limits), key="risk-name")
        value = middle.text_input("New value", key="risk-value")
        is_sent = right.form_submit_button("Change", width="stretch")
    if is_sent and name and value.strip():
        try:
            reads.client.change_limits({name: value.strip()})
        except (ApiAway, ApiRefused) as error:
            st.error(f"Not changed: {error.args[0]}")
            return
        finally:
            reads.forget()
        st.success(f"{name} is {value.strip()} from now on.")


@st.fragment(run_every=TICK_S)
def _live(reads: SharedReads, is_form_drawn: bool) -> None:
    reading = reads.get("/v1/risk", RiskBody)
    redraw_unless(is_form_drawn or reading.body is None)
    warn_of(reading)
    if reading.body is not None and not reading.is_away:
        st.html(usage_cards(reading.body))
        st.html(limit_table(reading.body))


def usage_cards(risk: RiskBody) -> Html:
    """Render what the limits are compared with."""
    usage, limits = risk.usage, risk.limits
    return cards(
        [
            ("Exposure", amount(usage.exposure), f"at most {plain_number(limits['max_gross_exposure'])}"),
            (
                "Net P&L today",
                toned(signed(usage.net_pnl_today), tone(usage.net_pnl_today)),
                f"entries end at −{plain_number(limits['daily_loss'])}",
            ),
            ("Drawdown", amount(usage.drawdown), f"at most {plain_number(limits['max_drawdown'])}"),
            ("Open orders", usage.open_orders, f"at most {plain_number(limits['max_open_orders'])}"),
            (
                "Unknown orders",
                toned(usage.unknown_orders, "warn" if usage.unknown_orders else "flat"),
                "count as filled until resolved",
            ),
        ]
    )


def limit_table(risk: RiskBody) -> Html:
    """Render the limits with their declarations."""
    rows = [
        (
            item.name.replace("_", " "),
            toned(plain_number(item.value), "flat" if item.value == item.default else "warn"),
            plain_number(item.default),
            plain_number(item.low),
            plain_number(item.high) if item.high != UNBOUNDED else "–",
            item.unit,
            item.reason,
        )
        for item in risk.declarations
    ]
    return table(COLUMNS, rows, "No limits.", "Limits")
