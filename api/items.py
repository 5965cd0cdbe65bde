"""From what actors and database say to the contract's items. Pure; may import `actors.fleet` and `trading.model`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from actors.fleet import Operation, SymbolRow
from api.ports import Row
from trading.model.market import BookState, Candle
from trading.model.session import HaltReport, RunState
from trading.model.units import NS_PER_MS, NS_PER_S, ZERO, plain

# An actor reports about once a second; a bid that was heard longer ago marks nothing (compare `mark_max_age_s`).
MARK_AGE_MAX_NS = 10 * NS_PER_S
UNKNOWN_BOOK = {"state": BookState.SYNCING.value, "version": 0, "bid": None, "ask": None, "age_ms": None}


def candle_item(candle: Candle, now_ns: int) -> Row:
    """Render a candle."""
    return {
        "open_ns": candle.open_ns,
        "close_ns": candle.close_ns,
        "open": plain(candle.open),
        "high": plain(candle.high),
        "low": plain(candle.low),
        "close": plain(candle.close),
        "volume": plain(candle.volume_base),
        "quote_volume": plain(candle.volume_quote),
        "is_closed": candle.close_ns <= now_ns,
    }


def symbol_item(row: SymbolRow, position: Mapping[str, Any] | None, now_ns: int) -> Row:
    """Join a row of the supervisor's table with the symbol's position (None: nothing was ever traded)."""
    held = position or {}
    realized, fees = Decimal(held.get("realized_pnl", "0")), Decimal(held.get("fees", "0"))
    item: Row = {
        "symbol": row.symbol,
        "state": row.state.value,
        "reason": row.reason,
        "since_ns": row.since_ns,
        "epoch": row.epoch,
        "pid": None,
        "node": "",
        "strategy": row.strategy,
        "params": dict(row.params),
        "book": UNKNOWN_BOOK,
        "position_qty": held.get("qty", "0"),
        "realized_pnl": plain(realized),
        "fees": plain(fees),
        "net_pnl": plain(realized - fees),
        "open_orders": 0,
        "restarts": row.restarts,
        "desired": row.desired.value,
        "run_id": row.run_id,
        "heard_ns": row.heard_ns,
    }
    beat = row.heartbeat
    if beat is None or row.state is RunState.STOPPED:
        return item  # What a stopped actor said last is no news: nothing is open, and nobody proves its book.
    age_ms = None if beat.book_age_ms is None else beat.book_age_ms + _silence_ms(row, now_ns)
    return item | {
        "reason": row.reason or beat.reason,
        "pid": beat.pid,
        "node": beat.node,
        "params": dict(beat.params) or dict(row.params),
        "book": {
            # A proof is of the moment it was told: nobody vouches for the book of an actor that has fallen silent.
            "state": BookState.STALE.value if _is_silent(row, now_ns) else beat.book_state,
            "version": beat.book_version,
            "bid": beat.bid,
            "ask": beat.ask,
            "age_ms": age_ms,
        },
        "open_orders": beat.open_orders,
        "machine_state": beat.machine_state,
        "refusals": dict(beat.refusals),
        "frames": beat.frames,
        "gaps": beat.gaps,
        "resyncs": beat.resyncs,
        "proven_ratio": beat.proven_ratio,
        "bytes_in": beat.bytes_in,
        "inbox_depth": beat.inbox_depth,
        "inbox_high": beat.inbox_high,
        "market": asdict(beat.market),
        "twin": asdict(beat.twin) if beat.twin is not None else None,
    }


def _silence_ms(row: SymbolRow, now_ns: int) -> int:
    """How long ago the actor was heard: the age of everything it said grows by that."""
    return max(0, now_ns - row.heard_ns) // NS_PER_MS


def _is_silent(row: SymbolRow, now_ns: int) -> bool:
    return now_ns - row.heard_ns > MARK_AGE_MAX_NS


def mark_of(row: SymbolRow, now_ns: int) -> str | None:
    """Return the bid one could sell at now; None when no fresh one of a proven book is known: none is invented."""
    beat = row.heartbeat
    if beat is None or beat.book_state != BookState.PROVEN.value or _is_silent(row, now_ns):
        return None
    return beat.bid


def position_item(position: Mapping[str, Any], mark: str | None) -> Row:
    """Mark a position at the bid."""
    qty = Decimal(position["qty"])
    unrealized: str | None = None
    if not qty:
        unrealized = "0"
    elif mark is not None:
        # From the cost itself: the average price is a rounded quotient.
        unrealized = plain(qty * Decimal(mark) - Decimal(position["cost"]))
    return {**position, "mark_price": mark, "unrealized_pnl": unrealized}


def pnl_totals(positions: Iterable[Mapping[str, Any]]) -> Row:
    """Sum marked positions: net = realized + unrealized - fees; what has no mark is named, not guessed."""
    realized = unrealized = fees = ZERO
    unmarked: list[str] = []
    for item in positions:
        realized += Decimal(item["realized_pnl"])
        fees += Decimal(item["fees"])
        if item["unrealized_pnl"] is None:
            unmarked.append(item["symbol"])
        else:
            unrealized += Decimal(item["unrealized_pnl"])
    return {
        "realized": plain(realized),
        "unrealized": plain(unrealized),
        "fees": plain(fees),
        "net": plain(realized + unrealized - fees),
        "unmarked": unmarked,
    }


def with_unrealized(rows: Iterable[Row], positions: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    """Show what is held beside P&L rows by symbol; null where a position has no mark."""
    marked = {item["symbol"]: item["unrealized_pnl"] for item in positions}
    return tuple({**row, "unrealized": marked.get(row["key"], "0")} for row in rows)


def halt_body(report: HaltReport, symbols: Sequence[tuple[str, str]] = ()) -> Row:
    """Render where a halt stands; symbols: those with a halt of their own, as (symbol, state)."""
    return {
        "state": report.state.value,
        "confirmed": report.confirmed,
        "open_orders": report.open_orders,
        "verified_at_ns": report.verified_at_ns,
        "reason": report.reason,
        "symbols": dict(symbols),
    }


def operation_body(operation: Operation) -> Row:
    """Render an operation of the supervisor."""
    return {
        "operation_id": operation.operation_id,
        "status": operation.status.value,
        "error": operation.error,
        "kind": operation.kind.value,
        "symbols": list(operation.symbols),
        "created_ns": operation.created_ns,
        "updated_ns": operation.updated_ns,
    }
