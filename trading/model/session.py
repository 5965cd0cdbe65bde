"""Sessions, symbol runs, halts and leases.

The words of the fleet. May import `trading.model` and the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Whether orders reach a venue (live) or the symbol's own paper venue."""

    PAPER = "paper"
    LIVE = "live"


class VenueName(StrEnum):
    """Where market data (and live orders) come from."""

    SIM = "sim"
    MEXC = "mexc"


class RunState(StrEnum):
    """The life of a symbol run; its transition table is in `actors.workflow`."""

    REQUESTED = "REQUESTED"
    STARTING = "STARTING"
    SYNCING = "SYNCING"
    TRADING = "TRADING"
    PAUSED = "PAUSED"
    DRAINING = "DRAINING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class DesiredState(StrEnum):
    """What was asked for a symbol."""

    TRADING = "TRADING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"


class HaltState(StrEnum):
    """ACTIVE: all. REDUCING: exits and cancels only. HALTED: cancels only. Unreadable means HALTED."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(frozen=True, slots=True)
class HaltReport:
    """Where a halt stands.

    `confirmed` is True only after the venue was asked and showed no open order of ours, with no UNKNOWN left;
    then `verified_at_ns` says when. `open_orders` is None when the venue could not be asked.
    """

    state: HaltState
    confirmed: bool
    open_orders: int | None
    verified_at_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write, held by one owner.

    `epoch` grows by one with each new owner. Expiry by the database's clock.
    """

    name: str
    epoch: int
    owner: str


@dataclass(frozen=True, slots=True)
class MarketHealth:
    """How one symbol's market data has fared since its process started: counters grow only, times in ms.

    Attributes:
        proven_percent: share of the time in which the book was proven (the SLO), 0..100.
        proofs, resync_ms, resync_last_ms, resync_longest_ms: how often the book was proven, and how long that took.
        stale, crossed, duplicates, overlaps: doubts of the book's chain, and pushes that it had already.
        outrun, dead_lines: books that came to their snapshot's cut, and connections given up for want of depth pushes.
        snapshots, snapshots_lagging, snapshots_failed: REST depth answers, those behind the stream, and failures.
        ticker_checks, ticker_mismatches: comparisons of the book's best with the book ticker at the same version.
        audits, audits_differing, audits_without_verdict, audit_finding: see `engine.book_audit`.
        connects, losses, rollovers, overflows, decode_errors, last_fault: of the connection.
        inbox_max: the bound of `inbox_depth`. event_age_ms, event_age_max_ms: from the venue's stamp to our arrival by
            the two clocks, of the last depth push and at most since the last heartbeat; 0 before any.
        drift: what of the venue's wire is not as we know it; empty while all is.
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


@dataclass(frozen=True, slots=True)
class TwinSide:
    """What became of the mirrored orders on one side (live, or under one queue model).

    fill_rate: lots filled of those placed, 0..1. time_to_fill_ms: from the decision to the first fill, mean over the
    orders with one. markout_bps: how far the mid was in favour a second after a fill, mean.
    """

    fill_rate: float = 0.0
    filled_orders: int = 0
    time_to_fill_ms: float | None = None
    markout_bps: float | None = None
    markouts: int = 0

    def text(self) -> str:
        """Say it in some words."""
        wait = "" if self.time_to_fill_ms is None else f" after {self.time_to_fill_ms:.0f} ms"
        markout = "" if self.markout_bps is None else f", markout {self.markout_bps:+.2f} bps"
        return f"{self.fill_rate:.1%}{wait}{markout}"


@dataclass(frozen=True, slots=True)
class QueueEstimate:
    """The queue that live orders agree with (`engine.queue_calibration`).

    telling: orders over that the family's ends disagree about. power: the n of its cancels' chance; low, high: what
    95 % of samples would allow. All None while too few tell; at an end of the scale: that or beyond.
    """

    telling: int = 0
    power: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class TwinFigures:
    """How far paper is from live for one symbol, since its process started (`engine.shadow_twin`).

    orders: resting orders that are over and were mirrored. unseen: those beyond the bound. live: None in paper mode,
    where what is booked is the pessimistic queue's. queue: which queue model live orders agree with.
    """

    orders: int = 0
    unseen: int = 0
    live: TwinSide | None = None
    pessimistic: TwinSide = TwinSide()
    probabilistic: TwinSide = TwinSide()
    queue: QueueEstimate = QueueEstimate()

    def text(self) -> str:
        """Say it in a line: orders, each side's fill rate, wait and markout, and the queue with its evidence."""
        sides = (("live", self.live), ("pessimistic", self.pessimistic), ("probabilistic", self.probabilistic))
        parts = [f"{self.orders} orders"] + [f"{name} {side.text()}" for name, side in sides if side is not None]
        if self.live is not None:
            queue = self.queue
            found = "unknown" if queue.power is None else f"n = {queue.power:g} ({queue.low:g} to {queue.high:g})"
            parts.append(f"queue {found} by {queue.telling}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a symbol actor says about itself, about once a second. Prices and quantities as decimal text.

    `filters`: `Instrument.filters` of what it trades by; empty before it is attached.
    """

    symbol: str
    state: RunState
    reason: str
    since_ns: int
    epoch: int
    pid: int
    node: str
    strategy: str
    params: tuple[tuple[str, str], ...]
    book_state: str
    book_version: int
    bid: str | None
    ask: str | None
    book_age_ms: int | None
    open_orders: int
    machine_state: str
    frames: int
    bytes_in: int
    gaps: int
    resyncs: int
    inbox_depth: int
    inbox_high: int
    proven_ratio: float
    refusals: tuple[tuple[str, int], ...]
    sent_ns: int
    market: MarketHealth = MarketHealth()
    filters: str = ""
    twin: TwinFigures | None = None
