"""The ports: what the decisions and the executor need of the world, as Protocols, with the records that pass through.

May import `trading.model` and `trading.engine`. Implementations live in `trading/adapters` and `actors`; every port has
one contract suite in `tests/contract` that all its implementations pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from trading.engine.budget import RequestMeter
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.message import Message, maker
from trading.model.orders import (
    CancelIntent,
    Delivery,
    Fill,
    OrderIntent,
    OrderStatus,
    OrderType,
    PlaceAnswer,
    Purpose,
    VenueBalance,
    VenueEvent,
    VenueOrder,
    VenueTrade,
)
from trading.model.position import EquityPoint, LossStreak, Position, TripRecord
from trading.model.session import HaltState, Lease
from trading.model.units import ZERO


@dataclass(frozen=True, slots=True)
class OrderRecord(Message):
    """An order as the executor and the journal hold it: one row of `orders`. Replaced, never mutated.

    `signed_ms` and `recv_window_ms` are fixed before the commit: after signed_ms + recv_window_ms the venue itself
    refuses the request (promise 4). Times are 0 until they happen.
    """

    client_order_id: str
    symbol: str
    run_id: str
    owner_epoch: int
    executor_epoch: int
    side: Side
    type: OrderType
    price_ticks: int
    qty_lots: int
    purpose: Purpose
    strategy: str
    status: OrderStatus
    created_ns: int
    valid_until_ns: int
    signed_ms: int
    recv_window_ms: int
    venue_order_id: str = ""
    filled_lots: int = 0
    filled_quote: Decimal = Decimal(0)
    venue_filled_lots: int = 0
    reason: str = ""
    committed_ns: int = 0
    sent_ns: int = 0
    acked_ns: int = 0
    updated_ns: int = 0
    decision: tuple[tuple[str, str], ...] = ()

    def as_intent(self) -> OrderIntent:
        """Return the intent this order was made from."""
        what = (self.client_order_id, self.symbol, self.side, self.type, self.price_ticks, self.qty_lots, self.purpose)
        when = (self.created_ns, self.valid_until_ns, self.owner_epoch)
        return OrderIntent(*what, *when, self.strategy, self.decision)


_made: Callable[..., OrderRecord] = maker(OrderRecord)


def order_from(
    intent: OrderIntent, run_id: str, executor_epoch: int, verdicts: tuple[tuple[str, str], ...] = ()
) -> OrderRecord:
    """Return the order that an intent becomes, as it waits for its token. verdicts: what it was approved on."""
    who = (intent.client_order_id, intent.symbol, run_id, intent.owner_epoch, executor_epoch)
    what = (intent.side, intent.type, intent.price_ticks, intent.qty_lots, intent.purpose, intent.strategy)
    when = (OrderStatus.PENDING, intent.created_ns, intent.valid_until_ns, 0, 0)
    decided = (*intent.decision, *verdicts)
    return _made(*who, *what, *when, "", 0, ZERO, 0, "", 0, 0, 0, intent.created_ns, decided)


@dataclass(frozen=True, slots=True)
class LedgerLine(Message):
    """One movement of one asset: `amount` is signed, in `asset`. kind: trade, fee, opening, adjustment."""

    kind: str
    symbol: str
    asset: str
    amount: Decimal
    at_ns: int
    reference: str


@dataclass(frozen=True, slots=True)
class JournalEntry(Message):
    """One order's step, written in one transaction: the order row after it, the event with its per-symbol sequence,
    and for a fill the fill, the position after it, and the ledger lines."""

    order: OrderRecord
    delivery: Delivery | None
    fill: Fill | None = None
    position: Position | None = None
    ledger: tuple[LedgerLine, ...] = ()


NO_STREAK = LossStreak()


@dataclass(frozen=True, slots=True)
class JournalState:
    """What a starting executor reads: everything needed to go on as if nothing had happened.

    ledger_totals: (asset, sum of all ledger lines): the balances of the account. has_opening: its opening is booked.
    symbol_epochs: (symbol, current owner epoch). day_open: the last equity point before 00:00 UTC of today (database
    clock), else the first of today, else None. peak_net_pnl: the highest `net_pnl` ever stored; None without points.
    departed_pnl: the unrealised P&L of coins that left by no order of ours.
    short: finished orders of the last 7 days of which the venue has told more executions than are booked.
    instruments: what ticks and lots mean in all of this, as they were registered last.
    """

    unfinished: tuple[OrderRecord, ...]
    positions: tuple[Position, ...]
    last_seq: tuple[tuple[str, int], ...]
    halts: tuple[tuple[str, HaltState, str], ...]
    limits: tuple[tuple[str, str], ...]
    balances: tuple[VenueBalance, ...]
    realized_today: Decimal
    fees_today: Decimal
    ledger_totals: tuple[tuple[str, Decimal], ...] = ()
    symbol_epochs: tuple[tuple[str, int], ...] = ()
    day_open: EquityPoint | None = None
    peak_net_pnl: Decimal | None = None
    streak: LossStreak = NO_STREAK
    trips: tuple[tuple[str, TripRecord], ...] = ()
    has_opening: bool = False
    short: tuple[OrderRecord, ...] = ()
    departed_pnl: Decimal = Decimal(0)
    instruments: tuple[Instrument, ...] = ()


class Journal(Protocol):
    """The executor's durable memory. Every write checks the lease's epoch in its own transaction.

    Raises: StoreError when the commit is not certain (re-read, do not send); FencedOut when the epoch is old.
    """

    async def acquire_lease(self, name: str, owner: str, ttl_s: float, heir_of: str = "") -> Lease:
        """Take the lease when free or expired (database clock), with the next epoch. Raises: FencedOut while held.
        heir_of: an owner that is dead for certain; what it holds counts as expired."""
        ...

    async def lease_owner(self, name: str) -> str:
        """Read who took the lease last; empty when nobody did, or it was given up. No lease is needed."""
        ...

    async def renew_lease(self, lease: Lease, ttl_s: float) -> None:
        """Extend it. Raises: FencedOut."""
        ...

    async def release_lease(self, lease: Lease) -> None:
        """Give it up at once; idempotent."""
        ...

    async def next_symbol_epoch(self, lease: Lease, symbol: str, owner: str) -> int:
        """Make `owner` the symbol's owner under a new epoch and return it; older ones are fenced from now on. At least
        the time in ms (database clock): order ids carry it, and differ from those of any other database."""
        ...

    async def load(self, account: str) -> JournalState:
        """Read the state of the account."""
        ...

    async def commit_intents(self, lease: Lease, orders: Sequence[OrderRecord]) -> tuple[str, ...]:
        """Insert orders (SENT: from here the venue may see them) in one transaction; return the ids not written: they
        have a row or a tombstone already, or a stored halt of account or symbol forbids them (REDUCING: entries)."""
        ...

    async def commit_entries(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        """Write steps in order, in one transaction. A fill already booked makes its entry's fill part a no-op."""
        ...

    async def tombstone(self, lease: Lease, symbol: str, client_order_ids: Sequence[str], now_ns: int) -> None:
        """Bury ids that have no order row: `commit_intents` reports them as conflicts for ever. Others stay."""
        ...

    async def append_ledger(
        self,
        lease: Lease,
        lines: Sequence[LedgerLine],
        positions: Sequence[Position] = (),
        departed_pnl: Decimal | None = None,
    ) -> None:
        """Add lines of no order (opening, adjustment) and what stands after them, in one transaction. Idempotent by
        (kind, asset, reference): where no line is new, nothing else is written either."""
        ...

    async def save_limits(self, lease: Lease, limits: Sequence[tuple[str, str]], now_ns: int) -> None:
        """Store account limits by name; `load` gives them back."""
        ...

    async def save_losses(
        self, lease: Lease, trips: Sequence[tuple[str, TripRecord]], streak: LossStreak, now_ns: int
    ) -> None:
        """Replace the stored record of these symbols' round trips, and the account's loss streak that counts them, in
        one transaction; the records of other symbols stay."""
        ...

    async def save_equity(self, lease: Lease, point: EquityPoint) -> None:
        """Append a point to the P&L curve."""
        ...

    async def register_instruments(self, instruments: Sequence[Instrument], now_ns: int) -> None:
        """Store what ticks and lots of these symbols mean; an order is journaled only after it. No lease."""
        ...

    async def orders_by_id(self, client_order_ids: Sequence[str]) -> tuple[OrderRecord, ...]:
        """Read orders; unknown ids are absent."""
        ...

    async def events_after(self, symbol: str, seq: int, limit: int) -> tuple[Delivery, ...]:
        """Read a symbol's deliveries with a greater sequence, ascending."""
        ...

    async def fills_of(self, client_order_id: str) -> tuple[Fill, ...]:
        """Read the booked fills of an order, oldest first."""
        ...

    async def audit(self) -> tuple[str, ...]:
        """Check what is stored against itself (promise 8); what does not hold, in words. Empty when all of it does. Of
        each symbol: quantity = sum of fills - fees in base + adjustments; fees and realised P&L = their sums over
        fills; the ledger moved what the fills say. Of each order: filled = sum of its fills, and never above the order.
        One consistent view; never in the way of writes."""
        ...

    async def save_balances(self, lease: Lease, balances: Sequence[VenueBalance]) -> None:
        """Replace the stored balances of these assets."""
        ...

    async def save_halt(
        self,
        scope: str,
        state: HaltState,
        reason: str,
        now_ns: int,
        is_flattening: bool = False,
        over: HaltState = HaltState.HALTED,
    ) -> bool:
        """Persist a halt state. scope: "account" or "symbol:BTCUSDT". No lease: whoever asks may halt. is_flattening:
        what is held is to be sold, then the scope is HALTED; it is true until the next state is saved. over: a stored
        state that is stricter than this stays, with its sale, and the answer is False (default: none does)."""
        ...

    async def halts(self) -> tuple[tuple[str, HaltState, str], ...]:
        """Read all halt states as (scope, state, reason)."""
        ...

    async def flattening(self) -> tuple[str, ...]:
        """Read the scopes whose last saved halt is a flatten that has not come to its end, in order."""
        ...

    async def raise_alert(self, level: str, name: str, text: str, symbol: str | None, now_ns: int) -> None:
        """Store an alert for people."""
        ...


class Gateway(Protocol):
    """A venue for one account: MEXC over REST and user stream, or the paper venues beside the data.

    Pushes go to the sink given to `start`, on the executor's loop. Reads raise VenueUnavailable (RateLimited) only.
    """

    venue: str

    async def start(self, sink: Callable[[VenueEvent], None], meter: RequestMeter | None = None) -> None:
        """Connect and begin to push events into `sink` (never blocks, never raises). `meter` hears of each request. An
        unreachable venue does not fail it (the sink hears VenueStreamLost). Raises: ConfigError for a refused key."""
        ...

    async def close(self) -> None:
        """Stop pushing and release sockets; idempotent."""

    def on_attached(self, symbol: str) -> None:
        """Forget the way to the symbol's actor: another one is its owner now."""

    async def place(self, order: OrderRecord) -> PlaceAnswer:
        """Send one order once. Never raises for what the venue or the network does: that is in the answer."""
        ...

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> bool:
        """Ask for a cancel; True when the venue took it, False when it does not know such an open order. Repeating it
        is harmless. Raises: VenueUnavailable (RateLimited)."""
        ...

    async def cancel_all(self, symbols: Sequence[str]) -> None:
        """Cancel every open order of these symbols at the venue (also foreign ones: use only where all are ours)."""
        ...

    async def order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Query one order; None when the venue says that it does not exist."""
        ...

    async def open_orders(self, symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        """Query the open orders of these symbols, foreign ones included."""
        ...

    async def recent_orders(self, symbol: str, since_ms: int) -> tuple[VenueOrder, ...]:
        """Query all orders of a symbol since a time (at most 7 days back at MEXC)."""
        ...

    async def trades(self, symbol: str, venue_order_id: str, since_ms: int) -> tuple[VenueTrade, ...]:
        """Query executions of a symbol, of one order when its id is not empty."""
        ...

    async def balances(self) -> tuple[VenueBalance, ...]:
        """Query the account's balances."""
        ...

    async def fee_rates(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        """Query the account's own (maker, taker) rates as fractions; None where the listed ones are all there are."""
        ...

    async def price(self, symbol: str) -> Decimal | None:
        """Query what one unit of the symbol's base sells at now (its best bid), in its quote; None without a bid."""
        ...

    def now_ms(self) -> int:
        """Return the venue's clock as we know it, in ms (what to sign with)."""
        ...

    def clock_skew_ms(self) -> int:
        """Return the venue's clock minus the host's, in ms, as far as it is known; 0 before it was asked."""
        ...


class SymbolPort(Protocol):
    """The executor's way to one symbol. Delivery is at most once; the per-symbol sequence repairs what is lost."""

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        """Hand over journaled events."""
        ...


class Crashpoint(StrEnum):
    """A named place between two steps of submit, fill, cancel, reconcile or start, where a test kills the process.

    The value reads "step.when"; `docs/reliability.md` says for each what a death there leaves behind.
    """

    START_AFTER_LEASE = "start.after_lease"  # the lease is ours, nothing is read yet
    START_AFTER_RECOVER = "start.after_recover"  # what was in flight is UNKNOWN in memory, not yet in the journal
    ATTACH_AFTER_EPOCH = "attach.after_epoch"  # the symbol's new owner is committed, and does not know it
    INTENT_BEFORE_COMMIT = "intent.before_commit"
    INTENT_AFTER_COMMIT = "intent.after_commit"  # the row stands, nobody has been told
    SEND_BEFORE = "send.before"  # all checks passed, the submitter knows it to be durable, nothing is on the wire
    SEND_AFTER = "send.after"  # the venue's answer is here, and not applied
    OUTCOME_BEFORE_COMMIT = "outcome.before_commit"
    OUTCOME_AFTER_COMMIT = "outcome.after_commit"  # committed, the symbol is not told
    FILL_BEFORE_COMMIT = "fill.before_commit"
    FILL_AFTER_COMMIT = "fill.after_commit"
    DELIVER_AFTER = "deliver.after"  # the symbol has been told
    CANCEL_BEFORE = "cancel.before"
    CANCEL_AFTER = "cancel.after"  # the venue took the cancel, its end is not seen
    RECONCILE_BEFORE = "reconcile.before"
    RECONCILE_AFTER_QUERY = "reconcile.after_query"
    RESOLVE_BEFORE_ABSENT = "resolve.before_absent"  # proven absent, not yet written
    FETCH_BEFORE_BOOK = "fetch.before_book"  # missing executions are read, not booked


class Crashpoints(Protocol):
    """What happens at the named places: nothing outside of tests."""

    def reach(self, point: Crashpoint) -> None: ...


@dataclass(frozen=True, slots=True)
class Submission(Message):
    """A batch from one symbol's outbox: cancels first, then intents; at most 50 together.

    `filters`: `Instrument.filters` that the ticks and lots of its intents are meant by; empty is not compared.
    """

    symbol: str
    owner_epoch: int
    run_id: str
    intents: tuple[OrderIntent, ...]
    cancels: tuple[CancelIntent, ...]
    filters: str = ""
