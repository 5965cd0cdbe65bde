"""The page: a head that is always there (halt state, key figures, the halt button) and one view below it.

May import streamlit and the dashboard. Only fragments tick; what opens dialogs stands outside of them, because a tick
would close a dialog that its own fragment opened. The head has the page drawn anew when its list of symbols is old.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboard import view_alerts, view_fills, view_fleet, view_money, view_orders, view_risk, view_symbol
from dashboard.api_client import ApiAway
from dashboard.dialogs import halt_dialog, resume_dialog
from dashboard.head import show_head, symbols_of
from dashboard.markup import style
from dashboard.reading import DIALOG_IS_OPEN, SharedReads, shared_reads

ICON = Path(__file__).with_name("icon.png")


def main() -> None:
    """Draw the page."""
    st.set_page_config(page_title="mexcbot", page_icon=str(ICON), layout="wide", initial_sidebar_state="collapsed")
    st.html(style())
    try:
        reads = shared_reads()
    except ApiAway as error:
        st.error(f"This dashboard does not know its API: {error.args[0]}.")
        return
    views = {
        "Fleet": view_fleet.show,
        "Symbol": view_symbol.show,
        "Orders": view_orders.show,
        "Fills": view_fills.show,
        "Money": view_money.show,
        "Risk": view_risk.show,
        "Alerts": view_alerts.show,
    }
    pages = [
        st.Page(_drawing(show, reads), title=title, url_path=title.lower(), default=title == "Fleet")
        for title, show in views.items()
    ]
    page = st.navigation(pages, position="top")
    st.session_state[DIALOG_IS_OPEN] = False  # Drawing the page closes it; what opens one comes later.
    _show_top(reads)
    page.run()


def _drawing(show: Callable[[SharedReads], None], reads: SharedReads) -> Callable[[], None]:
    """Bind a view to the reads; a page is a function without arguments that has a name."""

    def draw() -> None:
        show(reads)

    draw.__name__ = show.__module__.rsplit(".", 1)[-1]
    return draw


def _show_top(reads: SharedReads) -> None:
    left, right = st.columns([1, 0.19], vertical_alignment="top")
    with left:
        show_head(reads, symbols_of(reads.snapshot()))
    with right:
        if st.button("Halt…", type="primary", width="stretch", key="halt"):
            halt_dialog(reads)
        if st.button("Resume trading…", width="stretch", key="resume"):
            resume_dialog(reads)


main()
