"""What the API needs of the fleet and of the database, as Protocols, so that a test passes fakes or the plain classes.

May import `actors`' values, `trading` and the standard library. The real ones are put together in `api.wiring`: typed
actor handles, the store's `Reads` and `FleetStore`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.executor_values import ExecutorStatus, LimitValue
from actors.fleet import FleetCommand, Operation, SupervisorStatus, SymbolRow
from trading.adapters.scanner import ScanSource
from trading.adapters.store.pages import ChangeCursor, Changes, ListQuery, PnlBy, Row, RowPage, StoredResponse
from trading.engine.scanning import ScanRules
from trading.model.market import Candle
from trading.model.session import HaltReport, HaltState

__all__ = [
    "BookSource",
    "ChangeCursor",
    "Changes",
    "Dependencies",
    "ExecutorPort",
    "FleetPort",
    "Identity",
    "ListQuery",
    "PnlBy",
    "ReadsPort",
    "Row",
    "RowPage",
    "StoredResponse",
    "SupervisorPort",
    "VenuePort",
]


class ReadsPort(Protocol):
    """The database as the API reads it; rows have the contract's names, decimals as text, times in ns.

    Raises everywhere: StoreError when the database does not answer; ConfigError when a cursor is not one of its own.
    """

    async def ping(self) -> None:
        """Ask the database for a sign of life."""
        ...

    async def orders(self, query: ListQuery) -> RowPage:
        """List orders by creation."""
        ...

    async def fills(self, query: ListQuery) -> RowPage:
        """List fills by booking time."""
        ...

    async def sessions(self, query: ListQuery) -> RowPage:
        """List sessions by start."""
        ...

    async def audit(self, query: ListQuery) -> RowPage:
        """List audit rows."""
        ...

    async def ledger(self, query: ListQuery) -> RowPage:
        """List the movements of the account's assets; `status` filters by kind."""
        ...

    async def alerts(self, query: ListQuery) -> RowPage:
        """List alerts; `status` filters by level."""
        ...

    async def run_events(self, query: ListQuery) -> RowPage:
        """List the run events of a symbol."""
        ...

    async def positions(self) -> tuple[Row, ...]:
        """Return every position of the account, by symbol: the contract's item without its mark, and its cost."""
        ...

    async def pnl(self, by: PnlBy, query: ListQuery) -> tuple[Row, ...]:
        """Sum fills and fees by session, symbol or UTC day: key, fills, quote_volume, realized, fees, net.

        The query's symbol, session, since_ns and status (of their orders) choose the fills.
        """
        ...

    async def explain(self, client_order_id: str) -> Row | None:
        """Return {"order", "decision", "events", "fills"} of an order; None when there is none."""
        ...

    async def changes(self, after: ChangeCursor, limit: int) -> Changes:
        """Return what was committed after the cursor."""
        ...

    async def alert_count(self, session: str) -> int:
        """Count the alerts of a session."""
        ...

    async def open_order_count(self) -> int:
        """Count the account's orders that are not terminal."""
        ...


class FleetPort(Protocol):
    """What the API writes by itself. Raises everywhere: StoreError when a commit is not certain."""

    async def claim_key(self, key: str, body_hash: str, now_ns: int, abandoned_before_ns: int) -> StoredResponse | None:
        """Bind a key to a request; None when it is now ours, else what it is bound to already.

        A claim without a response that is older than `abandoned_before_ns` is taken over.
        """
        ...

    async def keep_response(self, key: str, status_code: int, response: Any) -> None:
        """Store the answer of a claimed key."""
        ...

    async def release_key(self, key: str) -> None:
        """Forget a claimed key, so that its request can be tried again."""
        ...

    async def save_halt(
        self, scope: str, state: HaltState, reason: str, now_ns: int, is_flattening: bool = False
    ) -> None:
        """Persist a halt state. scope: "account" or "symbol:BTCUSDT". is_flattening: a sale first, then HALTED."""
        ...

    async def halts(self) -> tuple[tuple[str, HaltState, str], ...]:
        """Read all halt states as (scope, state, reason)."""
        ...

    async def append_audit(
        self, actor: str, action: str, symbol: str | None, detail: Mapping[str, Any], now_ns: int
    ) -> None:
        """Write down who asked for what."""
        ...


class SupervisorPort(Protocol):
    """The supervisor. Raises everywhere: NotRunning (nothing happened), OutcomeUnknown (it may have)."""

    async def request(self, command: FleetCommand) -> str:
        """Take a command; see `SupervisorActor.request`."""
        ...

    async def operation(self, operation_id: str) -> Operation | None:
        """Return an operation; None when there is none."""
        ...

    async def table(self) -> tuple[SymbolRow, ...]:
        """Return every symbol of the session, by name."""
        ...

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """Return how many seconds to wait before a public request of this weight."""
        ...

    async def ip_held(self, node: str) -> float:
        """Return for how many seconds this node is still to keep silent."""
        ...

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """Say that the venue told this node to slow down."""
        ...

    async def status(self) -> SupervisorStatus:
        """Return counters, the pace of the nodes' addresses, and the venue's clock."""
        ...


class ExecutorPort(Protocol):
    """The account's executor. Raises everywhere: NotRunning (nothing happened), OutcomeUnknown (it may have)."""

    async def halt(self, scope: str, symbol: str | None, is_flatten: bool, reason: str) -> HaltReport:
        """Halt and verify; see `ExecutorActor.halt`."""
        ...

    async def halt_group(self, symbols: tuple[str, ...], is_flatten: bool, reason: str) -> HaltReport:
        """Halt some symbols together, and verify; see `ExecutorActor.halt_group`."""
        ...

    async def resume(self, scope: str, symbol: str | None) -> HaltReport:
        """Lift a halt."""
        ...

    async def resume_group(self, symbols: tuple[str, ...]) -> HaltReport:
        """Lift the halts of some symbols."""
        ...

    async def halt_report(self, symbol: str | None = None) -> HaltReport:
        """Say where the halt of the account, or of a symbol, stands."""
        ...

    async def limits(self) -> tuple[LimitValue, ...]:
        """Return the account's limits, in declared order."""
        ...

    async def set_limits(self, values: dict[str, str]) -> tuple[LimitValue, ...]:
        """Change limits, whole or not at all, and return them all. Raises: ConfigError."""
        ...

    async def status(self) -> ExecutorStatus:
        """Return counters, lease and budget."""
        ...


class BookSource(Protocol):
    """A symbol actor, as far as its book goes."""

    async def book(self, depth: int) -> dict[str, Any]:
        """Return the top of the book as the contract shows it."""
        ...


class VenuePort(ScanSource, Protocol):
    """The venue's public reads. Raises everywhere: VenueError."""

    async def candles(self, symbol: str, interval: str, limit: int, since_ns: int | None = None) -> tuple[Candle, ...]:
        """Return candles, oldest first: the newest, or the first ones from `since_ns` on."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Which run of the system this API serves.

    Attributes:
        symbols: asked for at the start. node: whose address the venue is asked from. scan_rules: what the scanner
            calls fit.
    """

    session: str
    mode: str
    venue: str
    symbols: Sequence[str] = field(default=())
    node: str = ""
    scan_rules: ScanRules = field(default_factory=ScanRules)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Everything the app is made of."""

    identity: Identity
    reads: ReadsPort
    fleet: FleetPort
    supervisor: SupervisorPort
    executor: ExecutorPort
    book_of: Callable[[str], BookSource]
    now_ns: Callable[[], int]
    market: VenuePort
