"""The tables of the fleet: sessions, what was asked for, runs, commands, audit, alerts. May import sqlalchemy.

The rules of all tables are in `tables`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Identity, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from trading.adapters.store.columns import key, metadata, ns, number_key, time_of, words

sessions = Table(
    "sessions",
    metadata,
    key("session_id"),
    words("account"),
    words("mode"),
    words("venue"),
    Column("settings", JSONB, nullable=False),  # secrets masked before they come here
    Column("pid", Integer, nullable=False),
    ns("started_ns"),
    ns("ended_ns", is_nullable=True),
    words("end_reason", ""),
    time_of("started_ns", "started_at"),
    Index(None, "account", "started_ns", "session_id"),
)

desired_symbols = Table(
    "desired_symbols",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.session_id"), primary_key=True),
    key("symbol"),
    words("desired"),
    words("strategy"),
    Column("params", JSONB, nullable=False),
    Column("is_flatten", Boolean, nullable=False),
    ns("updated_ns"),
)

symbol_runs = Table(
    "symbol_runs",
    metadata,
    key("run_id"),
    # Part of every order id of the run. A schema made anew begins above the numbers of the one it replaces (see 0001).
    Column("run_number", BigInteger, Identity(always=False), nullable=False, unique=True),
    Column("session_id", Text, ForeignKey("sessions.session_id"), nullable=False),
    words("symbol"),
    words("state"),
    words("reason", ""),
    words("strategy"),
    Column("params", JSONB, nullable=False),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    ns("created_ns"),
    ns("updated_ns"),
    time_of("created_ns", "created_at"),
    Index(None, "session_id", "symbol", "run_number"),
)

run_events = Table(
    "run_events",
    metadata,
    number_key(),
    Column("run_id", Text, ForeignKey("symbol_runs.run_id"), nullable=False),
    words("symbol"),
    words("event"),
    words("state"),
    words("detail", ""),
    ns("at_ns"),
    time_of("at_ns"),
    Index(None, "symbol", "at_ns", "id"),
    Index(None, "run_id"),
)

operations = Table(
    "operations",
    metadata,
    key("operation_id"),
    Column("session_id", Text, ForeignKey("sessions.session_id"), nullable=False),
    words("kind"),
    Column("symbols", JSONB, nullable=False),
    words("status"),
    Column("error", Text),
    ns("created_ns"),
    ns("updated_ns"),
    Index(None, "session_id", "created_ns"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    key("key"),
    words("body_hash"),
    Column("status_code", Integer),  # null while the first request with this key is at work
    Column("response", JSONB),
    ns("created_ns"),
    Index(None, "created_ns"),
)

audit = Table(
    "audit",
    metadata,
    number_key(),
    words("account"),
    Column("session_id", Text),
    words("actor"),
    words("action"),
    Column("symbol", Text),
    Column("detail", JSONB, nullable=False),
    ns("at_ns"),
    time_of("at_ns"),
    Index(None, "at_ns", "id"),
)

alerts = Table(
    "alerts",
    metadata,
    number_key(),
    words("account"),
    Column("session_id", Text),
    words("level"),
    words("name"),
    words("text"),
    Column("symbol", Text),
    ns("at_ns"),
    time_of("at_ns"),
    Index(None, "at_ns", "id"),
)
