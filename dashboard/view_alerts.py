"""Alerts, who asked for what, and the sessions. May import streamlit and the dashboard."""

from __future__ import annotations

import streamlit as st

from api.schemas import AlertItem, AuditItem, Page, SessionItem
from dashboard.figures import NOTHING, day_time
from dashboard.markup import Column, pill, section, table, tag
from dashboard.reading import TICK_S, SharedReads, warn_of

ALERTS = (Column("At UTC"), Column("Level"), Column("Symbol"), Column("Name"), Column("What happened", is_wide=True))
AUDIT = (Column("At UTC"), Column("Who"), Column("What"), Column("Symbol"), Column("Details", is_wide=True))
SESSIONS = tuple(Column(title) for title in ("Session", "Mode", "Venue", "Started UTC", "Ended UTC", "How"))


def show(reads: SharedReads) -> None:
    """Draw the view."""
    level = st.segmented_control("Level", ("alert", "warning", "info"), key="alerts-level")
    _alerts(reads, level)
    left, right = st.columns([1.5, 1])
    with left:
        _audit(reads)
    with right:
        _sessions(reads)


@st.fragment(run_every=TICK_S)
def _alerts(reads: SharedReads, level: str | None) -> None:
    reading = reads.get("/v1/alerts", Page[AlertItem], {"limit": 50} | ({"status": level} if level else {}))
    warn_of(reading)
    if reading.body is None:
        return  # An empty table would say that there is nothing.
    rows = [
        (day_time(item.at_ns), pill(item.level), item.symbol or NOTHING, item.name.replace("_", " "), item.text)
        for item in reading.body.items
    ]
    st.html(table(ALERTS, rows, "No alerts.", "Alerts"))


@st.fragment(run_every=5 * TICK_S)
def _audit(reads: SharedReads) -> None:
    reading = reads.get("/v1/audit", Page[AuditItem], {"limit": 30})
    warn_of(reading)
    if reading.body is None:
        return  # An empty table would say that there is nothing.
    rows = [
        (day_time(item.at_ns), item.actor, item.action, item.symbol or NOTHING, _details(item))
        for item in reading.body.items
    ]
    st.html(section("Who asked for what", table(AUDIT, rows, "Nobody asked for anything.", "Audit")))


@st.fragment(run_every=30 * TICK_S)
def _sessions(reads: SharedReads) -> None:
    reading = reads.get("/v1/sessions", Page[SessionItem], {"limit": 20})
    warn_of(reading)
    if reading.body is None:
        return  # An empty table would say that there is nothing.
    rows = [
        (
            tag("code", item.session),
            item.mode,
            item.venue,
            day_time(item.started_ns),
            day_time(item.ended_ns),
            item.end_reason or NOTHING,
        )
        for item in reading.body.items
    ]
    st.html(section("Sessions", table(SESSIONS, rows, "No session.", "Sessions")))


def _details(item: AuditItem) -> str:
    """Write an audit row's details in a line; what is empty says nothing."""
    return ", ".join(
        f"{name} {_brief(value)}" for name, value in item.detail.items() if value and name != "operation_id"
    )


def _brief(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
