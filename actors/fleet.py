"""The words between people's doors (API, CLI) and the supervisor: commands in; rows, operations and reports out.

May import `trading.model` and `actors.workflow`. Frozen values that travel by pickle; times are ns UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from actors.workflow import CommandKind
from trading.model.errors import Refused
from trading.model.session import DesiredState, Heartbeat, RunState


class StaleEpoch(Refused):
    """The caller's If-Match names another epoch of the symbol than the one that lives. args: (text,). HTTP 412."""


class UnknownSymbol(Refused):
    """No run of this symbol exists in the session. args: (text,). HTTP 404."""


class OperationStatus(StrEnum):
    """How far a command has got."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """True when it will not change any more."""
        return self in (OperationStatus.SUCCEEDED, OperationStatus.FAILED)


@dataclass(frozen=True, slots=True)
class FleetCommand:
    """One command for one or more symbols, taken whole or not at all.

    Attributes:
        symbols: at least one, none twice.
        strategy: for SPAWN; empty takes the session's. params: for SPAWN and SET, text by name.
        is_flatten: KILL also sells what is held, with bounded prices.
        expected_epoch: the symbol epoch the caller saw (If-Match); None checks nothing.
        by: who asks, for the audit ("api:control", "cli", "launcher").
        timeout_s: bound of the whole operation.
    """

    kind: CommandKind
    symbols: tuple[str, ...]
    strategy: str = ""
    params: tuple[tuple[str, str], ...] = ()
    is_flatten: bool = False
    expected_epoch: int | None = None
    by: str = ""
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Operation:
    """A command under way: `error` is one sentence when it failed."""

    operation_id: str
    kind: CommandKind
    symbols: tuple[str, ...]
    status: OperationStatus
    error: str | None
    created_ns: int
    updated_ns: int


@dataclass(frozen=True, slots=True)
class SymbolRow:
    """One symbol as the supervisor knows it; `heartbeat` is the actor's last word, None before the first.

    `state` is the run's (the workflow's), `reason` says why when it is PAUSED, FAILED or KILLED. `restarts` counts the
    actor processes of this run after the first.
    """

    symbol: str
    state: RunState
    reason: str
    since_ns: int
    desired: DesiredState
    run_id: str
    run_number: int
    epoch: int
    restarts: int
    strategy: str
    params: tuple[tuple[str, str], ...]
    heartbeat: Heartbeat | None
    heard_ns: int


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """What the supervisor says about itself. `states`: number of runs by state.

    `ip_waits`, `ip_grants`: seconds of waiting and turns at the venue handed out, by kind. `clock_skew_ms`: the venue's
    clock minus this host's, right within `clock_bound_ms`; None before the venue was asked.
    """

    session: str
    started_ns: int
    pid: int
    node: str
    is_shutting_down: bool
    states: tuple[tuple[str, int], ...]
    restarts: int
    ignored_events: int
    reconciles: int
    store_errors: int
    ip_waits: tuple[tuple[str, float], ...]
    ip_grants: tuple[tuple[str, int], ...] = ()
    clock_skew_ms: int | None = None
    clock_bound_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DrainReport:
    """How a symbol's drain ended. `open_orders` is None when the venue could not be asked.

    `position_qty` is what is still held, in base units as text; empty when nobody could say.
    """

    symbol: str
    is_confirmed: bool
    open_orders: int | None
    verified_at_ns: int
    position_qty: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """How the fleet's stop ended: one report a symbol, and whether all of them showed 0 open orders."""

    session: str
    is_confirmed: bool
    open_orders: int | None
    verified_at_ns: int
    drains: tuple[DrainReport, ...]
