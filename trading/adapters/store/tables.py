"""The schema as SQLAlchemy metadata: the account's books here, the fleet's tables beside them. May import sqlalchemy.

Rules of all tables:
- Prices, quantities and amounts are NUMERIC. Orders and fills also keep `price_ticks` and `qty_lots`, which is what the
  engine computes with; the NUMERIC twin is written from the instrument of that moment and never changes afterwards.
- A time is a bigint `*_ns` (ns UTC, exact, what programs read) and, for people and date arithmetic, one timestamptz
  that the server generates from it (microseconds, stored).
- `account` is part of every key that belongs to one account's books. Ids that are unique by construction
  (client_order_id, run_id, session_id) stand alone.
- Texts that come from a closed set are plain text: the set lives in the code, and an old row must stay readable.
- Lists are read newest first by (time, id): the indexes have that order, one per filter the API offers.

The migrations in `migrations/` build exactly this; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from trading.adapters.store.columns import key, metadata, ns, number, number_key, time_of, words
from trading.adapters.store.fleet_tables import (
    alerts,
    audit,
    desired_symbols,
    idempotency_keys,
    operations,
    run_events,
    sessions,
    symbol_runs,
)

__all__ = [
    "alerts",
    "audit",
    "balances",
    "decisions",
    "desired_symbols",
    "equity",
    "fills",
    "idempotency_keys",
    "instruments",
    "leases",
    "ledger",
    "metadata",
    "operations",
    "order_events",
    "orders",
    "positions",
    "risk_state",
    "run_events",
    "sessions",
    "symbol_runs",
    "tombstones",
]

# Orders of which quantity may still trade; also the predicate of the partial index, so the two must read the same.
UNFINISHED = "status IN ('PENDING', 'SENT', 'UNKNOWN', 'OPEN', 'PARTIALLY_FILLED', 'CANCELLING')"

# Epochs never go back and rows are never deleted. `expires_at` null: held until the next owner (symbol owners).
leases = Table(
    "leases",
    metadata,
    key("name"),
    Column("epoch", BigInteger, nullable=False),
    words("owner"),
    Column("acquired_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
)

instruments = Table(
    "instruments",
    metadata,
    key("account"),
    key("symbol"),
    words("base"),
    words("quote"),
    number("tick_size"),
    number("lot_size"),
    number("min_qty"),
    number("min_notional"),
    number("max_notional"),
    number("maker_fee_rate"),
    number("taker_fee_rate"),
    Column("exclusion", Text),
    ns("updated_ns"),
)

orders = Table(
    "orders",
    metadata,
    key("client_order_id"),
    words("account"),
    Column("session_id", Text, ForeignKey("sessions.session_id"), nullable=False),
    words("run_id"),
    words("symbol"),
    Column("owner_epoch", BigInteger, nullable=False),
    Column("executor_epoch", BigInteger, nullable=False),
    words("side"),
    words("type"),
    words("purpose"),
    words("strategy"),
    Column("price_ticks", BigInteger, nullable=False),
    Column("qty_lots", BigInteger, nullable=False),
    number("price"),
    number("qty"),
    words("status"),
    words("reason"),
    words("venue_order_id"),
    Column("filled_lots", BigInteger, nullable=False),
    number("filled_qty"),
    number("filled_quote"),
    Column("venue_filled_lots", BigInteger, nullable=False),
    ns("created_ns"),
    ns("valid_until_ns"),
    Column("signed_ms", BigInteger, nullable=False),
    Column("recv_window_ms", Integer, nullable=False),
    ns("committed_ns"),
    ns("sent_ns"),
    ns("acked_ns"),
    ns("updated_ns"),
    time_of("created_ns", "created_at"),
    Index(None, "account", "created_ns", "client_order_id"),
    Index(None, "symbol", "created_ns", "client_order_id"),
    Index(None, "session_id", "created_ns", "client_order_id"),
    Index("orders_unfinished_idx", "account", "symbol", postgresql_where=text(UNFINISHED)),
)

# The inputs and terms of a decision, as [name, text] pairs in the order the strategy gave them.
decisions = Table(
    "decisions",
    metadata,
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), primary_key=True),
    Column("pairs", JSONB, nullable=False),
)

# Ids that were never sent and never will be: a late intent with one of them conflicts.
tombstones = Table("tombstones", metadata, key("client_order_id"), words("account"), words("symbol"), ns("at_ns"))

# `id` grows in commit order (one writer, one lane), so that a reader may follow the table by it; it may have holes.
# `seq` is the symbol's own count, 1, 2, 3 without holes.
order_events = Table(
    "order_events",
    metadata,
    number_key(),
    words("account"),
    words("symbol"),
    Column("seq", BigInteger, nullable=False),
    words("client_order_id"),
    words("kind"),
    Column("body", JSONB, nullable=False),
    ns("at_ns"),
    UniqueConstraint("account", "symbol", "seq"),
    Index(None, "client_order_id"),
)

# `realized_pnl` (gross) and `fee_quote` are what this fill added to the position's sums, in quote units: every P&L
# figure is a sum over these two columns.
fills = Table(
    "fills",
    metadata,
    number_key(),
    words("account"),
    Column("session_id", Text, ForeignKey("sessions.session_id"), nullable=False),
    words("venue"),
    words("trade_id"),
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), nullable=False),
    words("venue_order_id"),
    words("symbol"),
    words("side"),
    Column("price_ticks", BigInteger, nullable=False),
    Column("qty_lots", BigInteger, nullable=False),
    number("price"),
    number("qty"),
    number("quote_qty"),
    number("fee"),
    words("fee_asset"),
    number("fee_rate_quote", is_nullable=True),
    words("fee_rate_source"),
    words("source", default=""),
    Column("is_maker", Boolean, nullable=False),
    number("realized_pnl"),
    number("fee_quote"),
    ns("exch_ts_ns"),
    ns("recv_ts_ns"),
    time_of("recv_ts_ns"),
    UniqueConstraint("trade_id", "venue_order_id", "symbol", "side", "account", name="fills_identity_key"),
    Index(None, "account", "recv_ts_ns", "id"),
    Index(None, "symbol", "recv_ts_ns", "id"),
    Index(None, "session_id", "recv_ts_ns", "id"),
    Index(None, "client_order_id"),
)

positions = Table(
    "positions",
    metadata,
    key("account"),
    key("symbol"),
    number("qty"),
    number("cost"),
    number("realized_pnl"),
    number("fees"),
    ns("updated_ns"),
)

# Lines of orders are written once by their fill's identity; lines of no order are unique by (kind, asset, reference).
ledger = Table(
    "ledger",
    metadata,
    number_key(),
    words("account"),
    Column("session_id", Text, ForeignKey("sessions.session_id"), nullable=False),
    words("kind"),
    words("symbol"),
    words("asset"),
    number("amount"),
    Column("client_order_id", Text),
    words("reference"),
    ns("at_ns"),
    time_of("at_ns"),
    Index(None, "account", "asset"),
    Index(
        "ledger_standing_key",
        "account",
        "kind",
        "asset",
        "reference",
        unique=True,
        postgresql_where=text("client_order_id IS NULL"),
    ),
)

balances = Table(
    "balances",
    metadata,
    key("account"),
    key("asset"),
    number("free"),
    number("locked"),
    ns("exch_ts_ns"),
    ns("recv_ts_ns"),
)

equity = Table(
    "equity",
    metadata,
    number_key(),
    words("account"),
    Column("session_id", Text, ForeignKey("sessions.session_id"), nullable=False),
    number("net_pnl"),
    number("realized"),
    number("unrealized"),
    number("fees"),
    number("exposure"),
    ns("at_ns"),
    time_of("at_ns"),
    Index(None, "account", "at_ns"),
    Index(None, "account", "net_pnl"),
)

# kind "halt": name is the scope ("account", "symbol:BTCUSDT"), value the state. kind "flatten": the same names, value
# "under way" while a halt is to end in a sale and then in HALTED. kind "limit": a limit and its value.
# kind "pnl": name "departed", the unrealised P&L of coins that left by no order of ours.
risk_state = Table(
    "risk_state",
    metadata,
    key("account"),
    key("kind"),
    key("name"),
    words("value"),
    words("reason"),
    ns("updated_ns"),
)
