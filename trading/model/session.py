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
class Heartbeat:
    """What a symbol actor says about itself, about once a second. Prices and quantities as decimal text."""

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
