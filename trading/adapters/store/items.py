"""The contract's items, from rows. May import sqlalchemy.

Decimals become plain strings, times stay ns. Names and shapes are the outside contract's (section "API"); fields beyond
it are additions.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row as ResultRow

from trading.adapters.store.pages import Row, quotient
from trading.model.units import plain


def order_item(row: ResultRow[Any]) -> Row:
    """Return an order; `row` has the columns of `orders` and the session's mode."""
    return {
        "client_order_id": row.client_order_id,
        "venue_order_id": row.venue_order_id,
        "session": row.session_id,
        "symbol": row.symbol,
        "mode": row.mode,
        "side": row.side,
        "type": row.type,
        "price": plain(row.price),
        "qty": plain(row.qty),
        "filled_qty": plain(row.filled_qty),
        "avg_price": quotient(row.filled_quote, row.filled_qty),
        "status": row.status,
        "reason": row.reason,
        "created_ns": row.created_ns,
        "committed_ns": row.committed_ns,
        "sent_ns": row.sent_ns,
        "acked_ns": row.acked_ns,
        "updated_ns": row.updated_ns,
        "purpose": row.purpose,
        "strategy": row.strategy,
        "run_id": row.run_id,
    }


def fill_item(row: ResultRow[Any]) -> Row:
    """Return a fill; `row` has the columns of `fills`."""
    return {
        "venue": row.venue,
        "trade_id": row.trade_id,
        "client_order_id": row.client_order_id,
        "venue_order_id": row.venue_order_id,
        "symbol": row.symbol,
        "side": row.side,
        "price": plain(row.price),
        "qty": plain(row.qty),
        "quote_qty": plain(row.quote_qty),
        "fee": plain(row.fee),
        "fee_asset": row.fee_asset,
        "fee_rate_quote": plain(row.fee_rate_quote) if row.fee_rate_quote is not None else None,
        "fee_rate_source": row.fee_rate_source,
        "is_maker": row.is_maker,
        "exch_ts_ns": row.exch_ts_ns,
        "recv_ts_ns": row.recv_ts_ns,
        "session": row.session_id,
        "realized_pnl": plain(row.realized_pnl),
        "fee_quote": plain(row.fee_quote),
    }


def position_item(row: ResultRow[Any]) -> Row:
    """Return a position without its mark: `realized_pnl` is gross of `fees`."""
    return {
        "symbol": row.symbol,
        "qty": plain(row.qty),
        "avg_price": quotient(row.cost, row.qty) or "0",
        "cost": plain(row.cost),
        "realized_pnl": plain(row.realized_pnl),
        "fees": plain(row.fees),
        "updated_ns": row.updated_ns,
    }


def pnl_item(by: str, row: ResultRow[Any]) -> Row:
    """Return one sum over fills; net = realized - fees."""
    return {
        "key": row.key,
        by: row.key,
        "fills": row.fills,
        "quote_volume": plain(row.quote_volume),
        "realized": plain(row.realized),
        "fees": plain(row.fees),
        "net": plain(row.realized - row.fees),
    }


def session_item(row: ResultRow[Any]) -> Row:
    """Return a session."""
    return {
        "session": row.session_id,
        "account": row.account,
        "mode": row.mode,
        "venue": row.venue,
        "started_ns": row.started_ns,
        "ended_ns": row.ended_ns,
        "end_reason": row.end_reason,
    }


def audit_item(row: ResultRow[Any]) -> Row:
    """Return an audit row."""
    return {
        "id": row.id,
        "session": row.session_id,
        "actor": row.actor,
        "action": row.action,
        "symbol": row.symbol,
        "detail": row.detail,
        "at_ns": row.at_ns,
    }


def ledger_item(row: ResultRow[Any]) -> Row:
    """Return a movement of one asset."""
    return {
        "id": row.id,
        "session": row.session_id,
        "kind": row.kind,
        "symbol": row.symbol,
        "asset": row.asset,
        "amount": plain(row.amount),
        "client_order_id": row.client_order_id,
        "reason": row.reference.partition("/")[0] if row.client_order_id is None else "",
        "reference": row.reference,
        "at_ns": row.at_ns,
    }


def alert_item(row: ResultRow[Any]) -> Row:
    """Return an alert."""
    return {
        "id": row.id,
        "session": row.session_id,
        "level": row.level,
        "name": row.name,
        "text": row.text,
        "symbol": row.symbol,
        "at_ns": row.at_ns,
    }


def run_event_item(row: ResultRow[Any]) -> Row:
    """Return one step of a symbol's run."""
    return {
        "symbol": row.symbol,
        "run_id": row.run_id,
        "event": row.event,
        "state": row.state,
        "detail": row.detail,
        "at_ns": row.at_ns,
    }


def order_event_item(row: ResultRow[Any]) -> Row:
    """Return one journaled event of an order."""
    return {"seq": row.seq, "kind": row.kind, "at_ns": row.at_ns, "body": row.body}
