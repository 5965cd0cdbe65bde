"""The fleet: every symbol on one line, in the order of its name, and the commands for one of them.

May import streamlit and the dashboard.
"""

from __future__ import annotations

import streamlit as st

from api.schemas import Snapshot, SymbolItem
from dashboard.dialogs import set_dialog, spawn_dialog, symbol_dialog
from dashboard.figures import NOTHING, amount, duration, plain_number, signed, spread_bps, tone
from dashboard.markup import Column, Html, html, join, pill, table, tag, toned
from dashboard.reading import TICK_S, SharedReads

ROWS_MAX = 200
# The book of a live symbol changes several times a second; seconds of silence are worth a colour.
AGE_WARN_MS = 3_000
STATES = ("REQUESTED", "STARTING", "SYNCING", "TRADING", "PAUSED", "DRAINING", "STOPPED", "FAILED", "KILLED")
COLUMNS = (
    Column("Symbol"),
    Column("State"),
    Column("Waits for", is_wide=True, hint="why it does not trade, or what its strategy waits for"),
    Column("Machine", hint="state of the strategy's own machine"),
    Column("Book"),
    Column("Bid", True),
    Column("Ask", True),
    Column("Spread bps", True),
    Column("Age", True, hint="since the book last changed"),
    Column("Position", True),
    Column("Unrealised", True, hint="at the bid"),
    Column("Net P&L", True, hint="realised, after fees"),
    Column("Fees", True),
    Column("Orders", True),
    Column("Restarts", True),
)


def show(reads: SharedReads) -> None:
    """Draw the view."""
    _controls(reads)
    wanted = st.session_state.get("fleet-filter", "")
    states = tuple(st.session_state.get("fleet-states", ()))
    _rows(reads, str(wanted), states)


@st.fragment(run_every=TICK_S)
def _rows(reads: SharedReads, wanted: str, states: tuple[str, ...]) -> None:
    body = reads.snapshot().body
    if body is not None:
        st.html(fleet_html(body, wanted, states))


def fleet_html(snapshot: Snapshot, wanted: str = "", states: tuple[str, ...] = ()) -> Html:
    """Render the table of the symbols whose name holds `wanted` and whose state is one of `states` (none: any)."""
    chosen = [
        item
        for item in snapshot.symbols
        if wanted.strip().upper() in item.symbol.upper() and (not states or item.state in states)
    ]
    unrealized = {item.symbol: item.unrealized_pnl for item in snapshot.positions}
    rows = [_row(item, unrealized.get(item.symbol, "0")) for item in chosen[:ROWS_MAX]]
    empty = "No symbol matches." if snapshot.symbols else "No symbol runs: start some with “Start symbols…”."
    shown = table(COLUMNS, rows, empty, "Fleet")
    if len(chosen) <= ROWS_MAX:
        return shown
    return join([shown, tag("p", f"{ROWS_MAX} of {len(chosen)} symbols: narrow the filter.", "mx-small")])


def _row(item: SymbolItem, unrealized: str | None) -> tuple[object, ...]:
    book = item.book
    age = NOTHING if book.age_ms is None else duration(book.age_ms / 1e3)
    is_old = book.age_ms is None or book.age_ms > AGE_WARN_MS
    return (
        tag("b", item.symbol),
        pill(item.state),
        item.reason.replace("_", " "),
        item.machine_state or NOTHING,
        pill(book.state),
        plain_number(book.bid),
        plain_number(book.ask),
        spread_bps(book.bid, book.ask),
        toned(age, "warn" if is_old else "flat"),
        plain_number(item.position_qty) if item.position_qty != "0" else NOTHING,
        toned(signed(unrealized), tone(unrealized)) if unrealized != "0" else NOTHING,
        toned(signed(item.net_pnl), tone(item.net_pnl)),
        amount(item.fees),
        item.open_orders,
        toned(item.restarts, "warn") if item.restarts else html(0),
    )


def _controls(reads: SharedReads) -> None:
    body = reads.snapshot().body
    items = {item.symbol: item for item in body.symbols} if body is not None else {}
    search, states, spacer, chosen, buttons = st.columns([1.1, 1.3, 0.2, 1.2, 3.2], vertical_alignment="bottom")
    search.text_input("Filter", key="fleet-filter", placeholder="part of a name")
    states.multiselect("States", STATES, key="fleet-states")
    spacer.empty()
    name = chosen.selectbox("Command for", list(items), index=None, key="fleet-symbol", placeholder="choose a symbol")
    with buttons.container(horizontal=True, gap="small"):
        verbs = [verb for verb in ("Pause", "Resume", "Flatten", "Kill") if st.button(verb, disabled=name is None)]
        is_set = st.button("Set…", disabled=name is None)
        if st.button("Start symbols…"):
            spawn_dialog(reads)
    # The epoch is the one that is true now: the dialog shows it and sends it.
    item = items.get(name or "")
    if item is not None and verbs:
        symbol_dialog(reads, item, verbs[0])
    elif item is not None and is_set:
        set_dialog(reads, item)
