"""What goes in and comes out of `SymbolEngine.step`. May import `trading.model`.

Inputs are `EngineEvent`s, outputs are `Action`s. Both are closed sets: a new member breaks every `match` that forgets
it.
"""

from __future__ import annotations

from dataclasses import dataclass

from trading.model.market import MarketEvent
from trading.model.orders import CancelIntent, Delivery, OrderIntent, VenueEvent


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The shell's regular tick (about every 100 ms): ages, timeouts and cooldowns are judged on it."""

    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class PaperOrderPlaced:
    """The executor hands a journaled order to this symbol's paper venue."""

    intent: OrderIntent
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class PaperCancelRequested:
    """The executor asks the paper venue to cancel."""

    client_order_id: str
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class ParametersChanged:
    """A validated change of strategy parameters, text by name; applied whole or not at all."""

    values: tuple[tuple[str, str], ...]
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class TradingSwitched:
    """Pause (is_enabled False: no entries, quotes cancelled, exits go on) or resume trading."""

    is_enabled: bool
    reason: str
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """No more entries for good.

    Cancel what is open; with `is_flatten` also exit the position with bounded taker orders.
    """

    is_flatten: bool
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class OrdersReopened:
    """The executor takes orders again after it was away or not ready: what it refused meanwhile says nothing."""

    recv_ts_ns: int


EngineEvent = (
    MarketEvent
    | Delivery
    | TimerFired
    | PaperOrderPlaced
    | PaperCancelRequested
    | ParametersChanged
    | TradingSwitched
    | DrainRequested
    | OrdersReopened
)


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Send this intent to the executor."""

    intent: OrderIntent


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Send this cancel to the executor; it overtakes placements."""

    cancel: CancelIntent


@dataclass(frozen=True, slots=True)
class FetchSnapshot:
    """Fetch a REST depth snapshot not before `not_before_ns`; answer with BookSnapshot or SnapshotFailed.

    `is_audit`: no proof waits for it, so that it goes last, and gives way to any other.
    """

    symbol: str
    not_before_ns: int
    is_audit: bool = False


@dataclass(frozen=True, slots=True)
class ReconnectFeed:
    """Give up the market-data connection and open another: its depth subscription is dead. The loss comes as usual."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReportPaper:
    """Paper venue events (order states, executions) for the executor, in order."""

    events: tuple[VenueEvent, ...]


@dataclass(frozen=True, slots=True)
class NoteRaised:
    """Something worth a log line: event name and text fields. `level` is "info", "warning" or "alert"."""

    level: str
    name: str
    fields: tuple[tuple[str, str], ...] = ()


Action = PlaceOrder | CancelOrder | FetchSnapshot | ReconnectFeed | ReportPaper | NoteRaised
