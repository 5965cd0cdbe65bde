"""What the supervisor needs of the world, as Protocols, with the records that pass through.

May import `trading.model`, `actors.fleet`, `actors.recipes` and `actors.workflow`. The store's implementation is in
`actors.supervisor_store`, the others' in `actors.wiring_supervisor`; unit tests pass fakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.fleet import DrainReport, FleetCommand, Operation, OperationStatus
from actors.recipes import SymbolSpec
from trading.model.instrument import Instrument
from trading.model.session import DesiredState, RunState


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for a symbol, as committed."""

    symbol: str
    desired: DesiredState
    strategy: str
    params: tuple[tuple[str, str], ...]
    is_flatten: bool = False


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A symbol run's row. `run_number` is unique in the database and makes the order ids."""

    run_id: str
    run_number: int
    symbol: str
    state: RunState
    reason: str
    strategy: str
    params: tuple[tuple[str, str], ...]
    restarts: int
    epoch: int
    updated_ns: int


class SupervisorStore(Protocol):
    """The fleet's durable memory of one session. Raises everywhere: StoreError when a commit is not certain."""

    async def wanted(self) -> tuple[Wanted, ...]:
        """Read what was asked for."""
        ...

    async def unfinished_runs(self) -> tuple[RunRecord, ...]:
        """Read the runs of the session that are neither STOPPED nor KILLED."""
        ...

    async def unfinished_operations(self) -> tuple[Operation, ...]:
        """Read the operations of the session that are pending or running, oldest first."""
        ...

    async def accept(self, command: FleetCommand, operation: Operation, wanted: Sequence[Wanted]) -> None:
        """Commit a command: desired states, the operation and the audit row, in one transaction."""
        ...

    async def set_operation(self, operation_id: str, status: OperationStatus, error: str | None, now_ns: int) -> None:
        """Move an operation on."""
        ...

    async def operation(self, operation_id: str) -> Operation | None:
        """Read an operation; None when there is none with this id."""
        ...

    async def open_run(self, symbol: str, strategy: str, params: tuple[tuple[str, str], ...], now_ns: int) -> RunRecord:
        """Insert a run in REQUESTED, with the next run number."""
        ...

    async def save_run(self, run: RunRecord, event: str, detail: str) -> None:
        """Write a run's row and append a run event, in one transaction. Idempotent by content."""
        ...

    async def raise_alert(self, level: str, name: str, text: str, symbol: str | None, now_ns: int) -> None:
        """Store an alert for people. level: info, warning or alert."""
        ...

    async def end_session(self, report: str, now_ns: int) -> None:
        """Mark the session as ended in order."""
        ...


class SymbolControl(Protocol):
    """The control calls of one symbol actor. Raises everywhere: NotRunning, OutcomeUnknown."""

    async def drain(self, is_flatten: bool, timeout_s: float) -> DrainReport:
        """Stop entries, cancel what is open, optionally flatten; idempotent."""
        ...

    async def pause(self, reason: str) -> None:
        """No entries, quotes cancelled, exits go on; idempotent."""
        ...

    async def resume(self) -> None:
        """Allow entries again; idempotent."""
        ...

    async def set_params(self, values: dict[str, str]) -> None:
        """Change strategy parameters, whole or not at all. Raises: ConfigError."""
        ...


class SymbolFactory(Protocol):
    """Makes, finds and ends symbol actors. Calls that reach Ray return within seconds or raise NotRunning."""

    async def spawn(self, spec: SymbolSpec) -> None:
        """Create the symbol's actor, or keep the one that lives under its name. Returns before it is up."""
        ...

    async def kill(self, symbol: str) -> bool:
        """End the symbol's actor for good, running nothing in it; True when there was one."""
        ...

    async def living(self) -> frozenset[str]:
        """Name the symbols that have an actor (starting and restarting ones included)."""
        ...

    def control(self, symbol: str) -> SymbolControl:
        """Return the way to a symbol's actor."""
        ...


class ExecutorControl(Protocol):
    """What the supervisor asks of the account's executor. Raises everywhere: NotRunning, OutcomeUnknown, StoreError."""

    async def open_order_count(self, symbol: str) -> int:
        """Count our open orders of a symbol as the venue shows them, UNKNOWN ones included."""
        ...

    async def set_instrument(self, instrument: Instrument) -> None:
        """Tell what the venue lists for a symbol now. Raises also: Refused while orders by other filters are open."""
        ...

    async def detach_symbol(self, symbol: str, is_flatten: bool) -> None:
        """Cancel what the symbol has open, fence its owner, and forget it; idempotent."""
        ...

    async def is_ready(self) -> bool:
        """Tell whether it holds its lease and takes orders."""
        ...


class Catalog(Protocol):
    """What may be asked for: the venue's instruments and the registered strategies."""

    def instrument(self, symbol: str) -> Instrument | None:
        """Return what the venue lists for a symbol; None when nothing (it was not read yet, or is delisted)."""
        ...

    def clock(self) -> tuple[int, int] | None:
        """Return the venue's clock minus this host's and how sure that is, ms; None before the venue was asked."""
        ...

    def refresh_soon(self) -> None:
        """Read the list anew before its time: frames came that do not fit it."""
        ...

    async def await_list(self, timeout_s: float) -> None:
        """Wait until the venue's list was read once. Raises: NotRunning when that takes longer."""
        ...

    def check_symbol(self, symbol: str) -> None:
        """Raises: ConfigError with one sentence when the venue has no such symbol or it is not tradable."""
        ...

    def normal_params(self, strategy: str, params: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Return the same overrides as an actor reports them ("5" as "5.0"), sorted by name.

        Raises: ConfigError with one sentence when the strategy or a parameter is unknown or out of range.
        """
        ...
