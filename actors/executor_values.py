"""The executor's settings, and what it tells about itself. Frozen values that travel by pickle; times are ns UTC.

May import `trading.model` and `trading.engine`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from trading.engine.account_limits import AccountLimits
from trading.engine.budget import BudgetSettings
from trading.engine.parameters import as_texts, declarations
from trading.engine.reconcile import OrphanPolicy, Patience
from trading.model.orders import VenueBalance, VenueOrder
from trading.model.position import EquityPoint
from trading.model.session import HaltState

# openOrders takes at most five symbols a request (mexc-protocol §3.4).
SYMBOLS_A_READ = 5


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """How one account is run.

    Attributes:
        owner: who holds the lease; unique per process start.
        is_paper: balances come from the ledger, and orders live in the symbols' paper venues.
        opening: a paper account's opening balances; booked once, the first time.
        allocation_quote: the most one symbol may hold, in quote units.
        limits: account limits that differ from the defaults, text by name; what was stored later wins.
        recv_window_ms: at most 2000 (promise 4). lease_ttl_s: a successor waits this long after a crash.
        detach_patience_s: how long a leaving symbol's cancels may take before its owner is fenced all the same.
        flatten_bound_bps: how far below the bid a flatten may sell.
        reconcile_interval_s: between comparisons with the venue; streamless_interval_s: while no private stream is up.
    """

    account: str
    owner: str
    is_paper: bool
    opening: tuple[tuple[str, Decimal], ...] = ()
    allocation_quote: Decimal = Decimal(200)
    limits: tuple[tuple[str, str], ...] = ()
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    patience: Patience = field(default_factory=Patience)
    orphan_policy: OrphanPolicy = OrphanPolicy.CANCEL
    recv_window_ms: int = 2_000
    lease_ttl_s: float = 6.0
    halt_timeout_s: float = 25.0
    detach_patience_s: float = 5.0
    flatten_bound_bps: int = 50
    reconcile_interval_s: float = 60.0
    streamless_interval_s: float = 2.5
    resolve_interval_s: float = 0.25
    halt_poll_s: float = 0.5
    equity_interval_s: float = 5.0
    guard_interval_s: float = 0.5
    audit_interval_s: float = 20.0


@dataclass(frozen=True, slots=True)
class LimitValue:
    """One account limit as people see it: its value, and what may be set."""

    name: str
    value: str
    kind: str
    unit: str
    default: str
    low: str | None
    high: str | None
    reason: str


def limit_values(limits: AccountLimits) -> tuple[LimitValue, ...]:
    """List the limits with their declarations, in order."""
    values = dict(as_texts(limits))
    return tuple(
        LimitValue(item.name, values[item.name], item.kind, item.unit, item.default, item.low, item.high, item.reason)
        for item in declarations(AccountLimits)
    )


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over the last orders, in ms; None before the first."""

    name: str
    p50_ms: float | None
    p99_ms: float | None
    count: int


@dataclass(frozen=True, slots=True)
class ExecutorStatus:
    """What the executor knows of itself, now.

    Attributes:
        is_ready: lease held, journal up, first reconcile done: entries are possible.
        is_venue_down: several reads in a row had no answer. clock_skew_ms: the venue's clock minus the host's.
        drift: (asset, units) of which the venue shows less than positions hold. cooldown_until_ns: of a loss streak.
        halts: every scope that is not ACTIVE, as (scope, state, reason).
        counters: events since the start by name ("placed", "denied:<reason>", "fills", "foreign", "orphans", ...).
        foreign: open orders on the account that are not ours, as last seen; at most 100.
        live_orders: our open orders by symbol, in the journal. order_drift: by symbol, how many of them stood at the
            venue or in the journal only, at the last comparison; symbols without any are left out.
        unexplained_locks: (asset, units) that the venue locks beyond all open orders that we know of.
        order_tokens: order operations that could go out now; queue: requests waiting for tokens.
    """

    account: str
    venue: str
    is_ready: bool
    lease_epoch: int
    is_lease_valid: bool
    is_journal_down: bool
    is_stream_up: bool
    is_venue_down: bool
    clock_skew_ms: int
    drift: tuple[tuple[str, str], ...]
    cooldown_until_ns: int
    halts: tuple[tuple[str, HaltState, str], ...]
    open_orders: int
    unknown_orders: int
    foreign: tuple[VenueOrder, ...]
    live_orders: tuple[tuple[str, int], ...]
    order_drift: tuple[tuple[str, int], ...]
    unexplained_locks: tuple[tuple[str, str], ...]
    queue: int
    queue_high: int
    order_tokens: float
    rate_limited: int
    outcome_backlog: int
    counters: tuple[tuple[str, int], ...]
    latencies: tuple[Latency, ...]
    equity: EquityPoint
    net_pnl_today: Decimal
    drawdown: Decimal
    balances: tuple[VenueBalance, ...]
    started_ns: int
    now_ns: int
