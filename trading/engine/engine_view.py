"""What the shell may read of an engine between steps: for heartbeats, drains, reports. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from trading.engine.book_audit import AuditCounters
from trading.engine.book_sync_settings import SyncCounters
from trading.engine.strategy.protocol import OwnOrder
from trading.model.market import BookState, Level
from trading.model.position import Position
from trading.model.session import TwinFigures


@dataclass(frozen=True, slots=True)
class EngineView:
    """One symbol's state at one instant.

    Attributes:
        book_state, book_reason, book_version: of the local book. bid, ask: its best levels, None where there is none.
        book_ns, book_exch_ns: receive time and venue time of the last change of the book, 0 before any.
        proven_ratio: share of the time since the first event in which the book was proven, 0..1.
        machine_state: the strategy's own state. open_orders: ours that are not over.
        refusals: (reason, count), see `risk.RefusalCount`. current_refusals: why there is no entry now.
        params: all parameter values as text.
        is_enabled: entries are allowed by the operator. fault: empty, or why the strategy was stopped.
        is_draining, is_drained: a drain was asked for; nothing of ours is open (nor, flattening, sellable).
        unanswered: ids of intents past their age without a word: ask the executor, which answers or tombstones them.
        last_seq: last delivery taken. gaps, resyncs, frames: counters of the book's chain; sync, audit: all of them.
        twin: how far paper is from live, and the queue models from each other; None without one.
        audit_finding: what the last audit that differed found. ticker_checks, ticker_mismatches: see `quote_check`.
    """

    symbol: str
    strategy_name: str
    params: tuple[tuple[str, str], ...]
    book_state: BookState
    book_reason: str
    book_version: int
    bid: Level | None
    ask: Level | None
    book_ns: int
    book_exch_ns: int
    proven_ratio: float
    position: Position
    held_lots: int
    open_orders: tuple[OwnOrder, ...]
    machine_state: str
    refusals: tuple[tuple[str, int], ...]
    current_refusals: tuple[str, ...]
    is_enabled: bool
    fault: str
    is_draining: bool
    is_drained: bool
    unanswered: tuple[str, ...]
    last_seq: int
    gaps: int
    resyncs: int
    frames: int
    sync: SyncCounters
    audit: AuditCounters
    audit_finding: str
    ticker_checks: int
    ticker_mismatches: int
    twin: TwinFigures | None = None
