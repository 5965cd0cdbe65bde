"""What a symbol actor needs of the world, and the values it passes. May import `trading.model` and `trading.engine`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from trading.engine.bootstrap import SymbolBootstrap
from trading.engine.matching_models import DEFAULT_LATENCY, DEFAULT_RULES, LatencyModel, MatchingRules
from trading.engine.ports import OrderRecord, Submission
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, MarketEvent
from trading.model.orders import Delivery, VenueEvent
from trading.model.session import HaltState, Heartbeat


@dataclass(frozen=True, slots=True)
class SymbolAttachment:
    """What the executor gives a starting symbol actor: its new epoch and everything to go on from."""

    owner_epoch: int
    bootstrap: SymbolBootstrap
    instrument: Instrument
    allocation_quote: Decimal


@dataclass(frozen=True, slots=True)
class SubmitReceipt:
    """Ids that are durable in the journal (sent or about to be), and denied ones. Outcomes come as deliveries."""

    durable: tuple[str, ...]
    denied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarkAnswer:
    """What a symbol hears once a second: its last delivery's sequence, the stricter of the halts that bind it, and
    whether orders are taken: not before the account is compared with the venue.
    """

    last_seq: int
    halt: HaltState
    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class FeedStats:
    """Counters of a market-data connection since its start; see `MarketHealth`."""

    frames: int
    bytes_in: int
    inbox_depth: int
    inbox_high: int
    reconnects: int
    connects: int = 0
    inbox_max: int = 0
    losses: int = 0
    rollovers: int = 0
    overflows: int = 0
    decode_errors: int = 0
    event_age_ns: int = 0
    event_age_max_ns: int = 0
    drift: str = ""
    last_fault: str = ""


class ExecutorPort(Protocol):
    """The executor as a symbol sees it. Raises: NotRunning (nothing happened), OutcomeUnknown (it may have)."""

    async def attach_symbol(self, symbol: str, run_id: str, run_number: int, owner: str) -> SymbolAttachment:
        """Become the symbol's owner under a new epoch."""
        ...

    async def submit(self, submission: Submission) -> SubmitReceipt:
        """Hand over cancels and intents; answers after the commit. Repeating an id is harmless."""
        ...

    async def lookup(self, symbol: str, ids: tuple[str, ...]) -> tuple[OrderRecord, ...]:
        """Return the journaled ones; the others are buried: they can never be sent."""
        ...

    async def read_events(self, symbol: str, after_seq: int) -> tuple[Delivery, ...]:
        """Return the deliveries after a sequence number, ascending."""
        ...

    async def paper_reports(self, symbol: str, owner_epoch: int, events: tuple[VenueEvent, ...]) -> int:
        """Journal what the paper venue did; answers after the commit. Repeating is harmless."""
        ...

    async def mark(self, symbol: str, bid_ticks: int, at_ns: int) -> MarkAnswer:
        """Tell the price one could sell at now; hear where the symbol stands."""
        ...

    async def forgive_losses(self, symbol: str, at_ns: int) -> None:
        """Say that a person let the symbol trade again at `at_ns`: the next owner shall not hear of losses until then.

        Raises: StoreError when that is not stored (yet); like any other TradingError it asks for a repeat.
        """
        ...


class SupervisorPort(Protocol):
    """The supervisor as a symbol sees it."""

    async def heartbeat(self, beat: Heartbeat) -> None:
        """Say how this symbol is."""
        ...

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """Return how many seconds to wait before a public request of this weight."""
        ...

    async def ip_held(self, node: str) -> float:
        """Return for how many seconds the venue still wants nothing from this node; 0 when it may go on."""
        ...

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """Say that the venue told this node to slow down."""
        ...


class FeedPort(Protocol):
    """A market-data connection for one symbol."""

    async def run(self, sink: Callable[[MarketEvent], None]) -> None:
        """Push events into `sink` for ever, through every reconnect; ends only by cancellation."""
        ...

    def reconnect(self, reason: str) -> None:
        """Give up the connection that is in use; another follows, as after any loss."""
        ...

    def stats(self) -> FeedStats:
        """Return the counters."""
        ...


class SnapshotPort(Protocol):
    """The venue's REST depth."""

    async def depth(self, instrument: Instrument) -> BookSnapshot:
        """Fetch a snapshot. Raises: VenueUnavailable, VenueRejected."""
        ...


class Clock(Protocol):
    """The host's clock."""

    def now_ns(self) -> int:
        """Return UTC time in ns."""
        ...


@dataclass(frozen=True, slots=True)
class SymbolSettings:
    """What the shell is told: mode, node, the seed of the run, what paper fills assume of latency and queue."""

    is_paper: bool
    node: str
    seed: int
    latency: LatencyModel = DEFAULT_LATENCY
    matching: MatchingRules = DEFAULT_RULES
