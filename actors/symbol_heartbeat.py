"""What a symbol actor says of itself and its book, made of the engine's view. May import `trading`, the ports."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from actors.recipes import SymbolSpec
from actors.symbol_ports import FeedStats, SymbolAttachment
from trading.engine.engine_view import EngineView
from trading.model.instrument import Instrument
from trading.model.market import BookState, Level
from trading.model.session import Heartbeat, MarketHealth, RunState
from trading.model.units import NS_PER_MS

NO_FEED = FeedStats(frames=0, bytes_in=0, inbox_depth=0, inbox_high=0, reconnects=0)


def starting_heartbeat(spec: SymbolSpec, state: RunState, since_ns: int, node: str, now_ns: int) -> Heartbeat:
    """Return what is known before the executor attached the symbol: who and where, no epoch, no book."""
    return Heartbeat(
        symbol=spec.symbol,
        state=state,
        reason="",
        since_ns=since_ns,
        epoch=0,
        pid=os.getpid(),
        node=node,
        strategy=spec.strategy,
        params=spec.params,
        book_state=str(BookState.SYNCING),
        book_version=0,
        bid=None,
        ask=None,
        book_age_ms=None,
        open_orders=0,
        machine_state="",
        frames=0,
        bytes_in=0,
        gaps=0,
        resyncs=0,
        inbox_depth=0,
        inbox_high=0,
        proven_ratio=0.0,
        refusals=(),
        sent_ns=now_ns,
    )


def running_heartbeat(start: Heartbeat, attachment: SymbolAttachment, view: EngineView, stats: FeedStats) -> Heartbeat:
    """Return the whole word of a running symbol; prices as text padded to the tick."""
    price = attachment.instrument.price_text
    return replace(
        start,
        reason=view.fault or ", ".join(view.current_refusals),
        epoch=attachment.owner_epoch,
        params=view.params,
        book_state=view.book_state.value,
        book_version=view.book_version,
        bid=price(view.bid[0]) if view.bid is not None else None,
        ask=price(view.ask[0]) if view.ask is not None else None,
        book_age_ms=(start.sent_ns - view.book_ns) // NS_PER_MS if view.book_ns else None,
        open_orders=len(view.open_orders),
        machine_state=view.machine_state,
        frames=stats.frames,
        bytes_in=stats.bytes_in,
        gaps=view.gaps,
        resyncs=view.resyncs,
        inbox_depth=stats.inbox_depth,
        inbox_high=stats.inbox_high,
        proven_ratio=view.proven_ratio,
        refusals=view.refusals,
        market=market_health(view, stats),
        filters=attachment.instrument.filters,
        twin=view.twin,
    )


def market_health(view: EngineView, stats: FeedStats) -> MarketHealth:
    """Join what the book and the connection count."""
    sync, audit = view.sync, view.audit
    return MarketHealth(
        proven_percent=round(100 * view.proven_ratio, 4),
        proofs=sync.proofs,
        resync_ms=sync.resync_ns // NS_PER_MS,
        resync_last_ms=sync.last_resync_ns // NS_PER_MS,
        resync_longest_ms=sync.longest_resync_ns // NS_PER_MS,
        stale=sync.stale,
        crossed=sync.crossed,
        outrun=sync.outrun,
        dead_lines=sync.dead_lines,
        duplicates=sync.duplicates,
        overlaps=sync.overlaps,
        snapshots=sync.snapshots,
        snapshots_lagging=sync.snapshots_lagging,
        snapshots_failed=sync.snapshots_failed,
        ticker_checks=view.ticker_checks,
        ticker_mismatches=view.ticker_mismatches,
        audits=audit.done,
        audits_differing=audit.differing,
        audits_without_verdict=audit.without_verdict,
        audit_finding=view.audit_finding,
        connects=stats.connects,
        losses=stats.losses,
        rollovers=stats.rollovers,
        overflows=stats.overflows,
        decode_errors=stats.decode_errors,
        inbox_max=stats.inbox_max,
        event_age_ms=stats.event_age_ns / NS_PER_MS,
        event_age_max_ms=stats.event_age_max_ns / NS_PER_MS,
        drift=stats.drift,
        last_fault=stats.last_fault,
    )


def book_body(instrument: Instrument, view: EngineView, bids: list[Level], asks: list[Level]) -> dict[str, Any]:
    """Render the top of the book as the API shows it (contract: /symbols/{symbol}/book), prices as text."""

    def rows(levels: list[Level]) -> list[list[str]]:
        return [[instrument.price_text(ticks), instrument.qty_text(lots)] for ticks, lots in levels]

    return {
        "symbol": instrument.symbol,
        "state": view.book_state.value,
        "version": view.book_version,
        "bids": rows(bids),
        "asks": rows(asks),
        "exch_ts_ns": view.book_exch_ns,
        "recv_ts_ns": view.book_ns,
    }
