"""Symbols, their books, their commands. Imports pydantic only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from api.schemas.base import Answer, Assignments, DecimalText, OperationStatusName, Request, SymbolName, texts

# [price, quantity]
Level = Annotated[list[DecimalText], Field(min_length=2, max_length=2)]


class BookSummary(Answer):
    """The top of a symbol's book as its actor reported it; null prices where there is no level."""

    state: str
    version: int
    bid: DecimalText | None
    ask: DecimalText | None
    age_ms: int | None


class MarketHealthBody(Answer):
    """How a symbol's market data has fared since its process started: counters grow only, times in ms.

    `proven_percent` is the share of time with a proven book; `drift` names what of the venue's wire is not as expected.
    """

    proven_percent: float = 0.0
    proofs: int = 0
    resync_ms: int = 0
    resync_last_ms: int = 0
    resync_longest_ms: int = 0
    stale: int = 0
    crossed: int = 0
    duplicates: int = 0
    overlaps: int = 0
    snapshots: int = 0
    snapshots_lagging: int = 0
    snapshots_failed: int = 0
    ticker_checks: int = 0
    ticker_mismatches: int = 0
    audits: int = 0
    audits_differing: int = 0
    audits_without_verdict: int = 0
    audit_finding: str = ""
    connects: int = 0
    losses: int = 0
    rollovers: int = 0
    overflows: int = 0
    decode_errors: int = 0
    inbox_max: int = 0
    event_age_ms: float = 0.0
    event_age_max_ms: float = 0.0
    drift: str = ""
    last_fault: str = ""
    outrun: int = 0
    dead_lines: int = 0


class TwinSideBody(Answer):
    """Mirrored orders on one side: share of lots filled, mean time to the first fill, mid a second after a fill."""

    fill_rate: float = 0.0
    filled_orders: int = 0
    time_to_fill_ms: float | None = None
    markout_bps: float | None = None
    markouts: int = 0


class QueueBody(Answer):
    """The queue that live orders agree with: `power` for replay's --queue-power, with its 95 % interval.

    Null while too few orders are `telling`; at 0.25 or 8, the ends of what is tried, it is that or beyond.
    """

    telling: int = 0
    power: float | None = None
    low: float | None = None
    high: float | None = None


class TwinBody(Answer):
    """How far paper is from live: the same resting orders at the venue and in the paper venue's two queue models.

    `live` is null in paper mode, where what is booked is the pessimistic queue's.
    """

    orders: int = 0
    unseen: int = 0
    live: TwinSideBody | None = None
    pessimistic: TwinSideBody = Field(default_factory=TwinSideBody)
    probabilistic: TwinSideBody = Field(default_factory=TwinSideBody)
    queue: QueueBody = Field(default_factory=QueueBody)


class SymbolItem(Answer):
    """One symbol of the fleet. `epoch` is what If-Match wants. `realized_pnl` is before fees; `net_pnl` after them."""

    symbol: str
    state: str
    reason: str
    since_ns: int
    epoch: int
    pid: int | None
    node: str
    strategy: str
    params: dict[str, str]
    book: BookSummary
    position_qty: DecimalText
    realized_pnl: DecimalText
    open_orders: int
    restarts: int
    desired: str
    run_id: str
    machine_state: str = ""
    fees: DecimalText = "0"
    net_pnl: DecimalText = "0"
    refusals: dict[str, int] = Field(default_factory=dict)
    frames: int = 0
    gaps: int = 0
    resyncs: int = 0
    proven_ratio: float = 0.0
    bytes_in: int = 0
    inbox_depth: int = 0
    inbox_high: int = 0
    market: MarketHealthBody = Field(default_factory=MarketHealthBody)
    twin: TwinBody | None = None
    heard_ns: int = 0


class Book(Answer):
    """A symbol's order book, best first; each level is [price, quantity]."""

    symbol: str
    state: str
    version: int
    bids: list[Level]
    asks: list[Level]
    exch_ts_ns: int
    recv_ts_ns: int


class RunEventItem(Answer):
    """One step or change of state of a symbol's run."""

    symbol: str
    run_id: str
    event: str
    state: str
    detail: str
    at_ns: int


class SpawnRequest(Request):
    """Start symbols. Empty strategy: the session's. `params` are over the strategy's defaults."""

    symbols: list[SymbolName] = Field(min_length=1, max_length=2_000)
    strategy: str = Field("", max_length=100)
    params: Assignments = Field(default_factory=dict)

    _write = field_validator("params", mode="before")(texts)


class SetRequest(Request):
    """Change strategy parameters of a running symbol, whole or not at all: at least one, as the supervisor says."""

    params: Assignments

    _write = field_validator("params", mode="before")(texts)


class OperationBody(Answer):
    """A command under way, polled at /v1/operations/{operation_id}. `error` is one sentence when it failed."""

    operation_id: str
    status: OperationStatusName
    error: str | None = None
    kind: str = ""
    symbols: list[str] = Field(default_factory=list)
    created_ns: int = 0
    updated_ns: int = 0
