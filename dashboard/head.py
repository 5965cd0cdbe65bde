"""The head of every page: whether orders may flow, whether what is shown is the present, and the key figures.

May import streamlit and the dashboard.
"""

from __future__ import annotations

from decimal import Decimal

import streamlit as st

from api.schemas import HaltBody, Snapshot
from dashboard.figures import NOTHING, clock_time, day_time, duration, signed, tone
from dashboard.markup import Html, cards, html, join, tag, toned
from dashboard.reading import TICK_S, Reading, SharedReads, redraw_unless


@st.fragment(run_every=TICK_S)
def show_head(reads: SharedReads, drawn: tuple[str, ...] | None) -> None:
    """Draw the head, each tick; `drawn`: the symbols that the page below was drawn with, which may be others by now."""
    reading = reads.snapshot()
    st.html(head_html(reading))
    redraw_unless(symbols_of(reading) == drawn)


def symbols_of(reading: Reading[Snapshot]) -> tuple[str, ...] | None:
    """Name the fleet's symbols; None before anything was read."""
    return None if reading.body is None else tuple(sorted(item.symbol for item in reading.body.symbols))


def head_html(reading: Reading[Snapshot]) -> Html:
    """Render the banners and the key figures."""
    snapshot = reading.body
    if snapshot is None:
        text = f"Nothing can be read: {reading.error}. This page tries again each second."
        return tag("div", text, "mx-banner away", role="alert")
    parts = [_halt_banner(snapshot)]
    if reading.is_away:
        text = (
            f"This is no longer the present: {reading.error}. What is shown is {duration(reading.age_s)} old; "
            "trading goes on without the API, and so does a halt."
        )
        parts.append(tag("div", text, "mx-banner away", role="alert"))
    elif snapshot.is_stale:
        text = f"Some of this is old: {snapshot.stale_reason}."
        parts.append(tag("div", text, "mx-banner away", role="alert"))
    return join([*parts, _figures(snapshot)])


def _halt_banner(snapshot: Snapshot) -> Html:
    halt = snapshot.halt
    about = f"{snapshot.mode} on {snapshot.venue} · session {snapshot.session} · {clock_time(snapshot.now_ns)[:8]} UTC"
    scoped = [f"{symbol} {state}" for symbol, state in sorted(halt.symbols.items())]
    texts = [tag("b", halt.state), html(halt_sentence(halt))]
    if scoped:
        texts.append(toned(f"also halted: {', '.join(scoped)}", "warn"))
    texts.append(tag("span", about, "mx-right"))
    return tag("div", join(texts), f"mx-banner {halt.state.lower()}", role="status", data_testid="halt-banner")


def halt_sentence(halt: HaltBody) -> str:
    """Say where a halt stands, in one sentence."""
    if halt.state == "ACTIVE":
        return halt.reason or "orders may flow"
    count = "unknown" if halt.open_orders is None else str(halt.open_orders)
    why = f" · {halt.reason}" if halt.reason else ""
    if halt.confirmed:
        return f"CONFIRMED: open orders {count}, verified at {day_time(halt.verified_at_ns)} UTC{why}"
    if halt.state == "REDUCING":
        return f"exits only; open orders {count}{why}"
    return f"NOT CONFIRMED: open orders {count}{why}"


def _figures(snapshot: Snapshot) -> Html:
    pnl = snapshot.pnl
    trading = sum(item.state == "TRADING" for item in snapshot.symbols)
    proven = sum(item.book.state == "PROVEN" for item in snapshot.symbols)
    failed = [item.symbol for item in snapshot.symbols if item.state in ("FAILED", "KILLED")]
    unmarked = f"without {', '.join(pnl.unmarked)}" if pnl.unmarked else "at the bid"
    held = sum(item.qty != "0" for item in snapshot.positions)
    return cards(
        [
            ("Net P&L", toned(signed(pnl.net), tone(pnl.net)), "after all fees"),
            ("Realised", toned(signed(pnl.realized), tone(pnl.realized)), "before fees"),
            ("Unrealised", toned(signed(pnl.unrealized), tone(pnl.unrealized)), unmarked),
            ("Fees", signed(_negated(pnl.fees)), "paid"),
            ("Trading", f"{trading} / {len(snapshot.symbols)}", f"{proven} books proven"),
            ("Open orders", snapshot.open_orders, f"{held} symbols held" if held != 1 else "1 symbol held"),
            (
                "Alerts",
                toned(snapshot.alerts, "warn" if snapshot.alerts else "flat"),
                f"down: {', '.join(failed)}" if failed else _last_alert(snapshot),
            ),
        ]
    )


def _negated(text: str) -> str:
    return str(-Decimal(text)) if Decimal(text) else "0"


def _last_alert(snapshot: Snapshot) -> str:
    return snapshot.recent_alerts[0].text if snapshot.recent_alerts else NOTHING
