"""The journal in memory: what unit tests give to the executor. May import trading.engine and trading.model.

It keeps every promise of the port (leases, fencing, atomic batches, idempotent repeats) but the one that needs a disk;
`tests/contract/test_journal_contract.py` holds both to one suite. Faults are attributes that a test sets.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from trading.adapters.store.journal_rows import fenced, fill_identity, uncommitted
from trading.engine.account import ACCOUNT_SCOPE, symbol_scope
from trading.engine.accounting import verify
from trading.engine.ports import JournalEntry, JournalState, LedgerLine, OrderRecord
from trading.model.errors import FencedOut, InvariantViolated, StoreError
from trading.model.instrument import Instrument
from trading.model.orders import Delivery, Fill, OrderStatus, Purpose, VenueBalance
from trading.model.position import EquityPoint, LossStreak, Position, TripRecord
from trading.model.session import HaltState, Lease
from trading.model.units import NS_PER_MS, NS_PER_S, ZERO, day_start_ns


class MemoryJournal:
    """One account's journal in a few dictionaries.

    Attributes:
        is_down: every call raises StoreError and changes nothing, as with an unreachable server.
        loses_answers: the next so many writes are committed, and then raise StoreError: the answer was lost.
        alerts: what was raised, as (level, name, text, symbol, at_ns).
    """

    def __init__(self, account: str = "main", now_ns: Callable[[], int] = time.time_ns) -> None:
        """Start empty. now_ns: stands for the database's clock (leases, "today")."""
        self.account = account
        self.is_down = False
        self.loses_answers = 0
        self.alerts: list[tuple[str, str, str, str | None, int]] = []
        self._now_ns = now_ns
        self._leases: dict[str, tuple[int, str, int | None]] = {}
        self._instruments: dict[str, Instrument] = {}
        self._stored_instruments: dict[str, Instrument] = {}
        self._orders: dict[str, OrderRecord] = {}
        self._tombstones: set[str] = set()
        self._events: dict[str, list[Delivery]] = {}
        self._fills: dict[tuple[str, str, str, str], Fill] = {}
        self._booked: list[tuple[int, Decimal, Decimal]] = []
        self._positions: dict[str, Position] = {}
        self._ledger: list[LedgerLine] = []
        self._standing: set[tuple[str, str, str]] = set()
        self._balances: dict[str, VenueBalance] = {}
        self._limits: dict[str, str] = {}
        self._halts: dict[str, tuple[HaltState, str]] = {}
        self._flattening: set[str] = set()
        self._departed = ZERO
        self._equity: list[EquityPoint] = []
        self._streaks: list[LossStreak] = []
        self._trips: dict[str, TripRecord] = {}

    @property
    def ledger(self) -> tuple[LedgerLine, ...]:
        """Every ledger line, oldest first."""
        return tuple(self._ledger)

    def reopened(self) -> MemoryJournal:
        """Return the same rows as a restarted process finds them: nothing that the former one registered is known."""
        again = copy.copy(self)
        again._instruments = {}
        return again

    async def register_instruments(self, instruments: Sequence[Instrument], now_ns: int) -> None:
        """Keep the instruments."""
        self._check_up()
        self._instruments.update({item.symbol: item for item in instruments})
        self._stored_instruments.update(self._instruments)
        self._answer()

    # --- leases ----------------------------------------------------------------------------------------------------

    async def acquire_lease(self, name: str, owner: str, ttl_s: float, heir_of: str = "") -> Lease:
        """Take the lease when free, expired or the dead `heir_of`'s, with the next epoch. Raises: FencedOut."""
        self._check_up()
        epoch, holder, expires_ns = self._leases.get(name, (0, "", 0))
        is_inherited = bool(heir_of) and holder == heir_of
        if not is_inherited and (expires_ns is None or expires_ns > self._now_ns()):
            raise FencedOut(f"the lease {name} is held by another owner")
        self._leases[name] = (epoch + 1, owner, self._now_ns() + int(ttl_s * NS_PER_S))
        self._answer()
        return Lease(name, epoch + 1, owner)

    async def lease_owner(self, name: str) -> str:
        """Read who took the lease last."""
        self._check_up()
        return self._leases.get(name, (0, "", 0))[1]

    async def renew_lease(self, lease: Lease, ttl_s: float) -> None:
        """Extend it, also when it lapsed and nobody took it meanwhile. Raises: FencedOut."""
        self._check_up()
        if self._leases.get(lease.name, (0, "", 0))[:2] != (lease.epoch, lease.owner):
            raise fenced(lease)
        self._leases[lease.name] = (lease.epoch, lease.owner, self._now_ns() + int(ttl_s * NS_PER_S))
        self._answer()

    async def release_lease(self, lease: Lease) -> None:
        """Give it up at once; idempotent."""
        self._check_up()
        if self._leases.get(lease.name, (0, "", 0))[:2] == (lease.epoch, lease.owner):
            self._leases[lease.name] = (lease.epoch, "", self._now_ns())
        self._answer()

    async def next_symbol_epoch(self, lease: Lease, symbol: str, owner: str) -> int:
        """Make `owner` the symbol's owner under a new epoch, at least the time in ms, and return it."""
        self._check_lease(lease)
        name = f"symbol:{self.account}:{symbol}"
        epoch = max(self._leases.get(name, (0, "", None))[0] + 1, self._now_ns() // NS_PER_MS)
        self._leases[name] = (epoch, owner, None)
        self._answer()
        return epoch

    # --- orders, events, fills -------------------------------------------------------------------------------------

    async def commit_intents(self, lease: Lease, orders: Sequence[OrderRecord]) -> tuple[str, ...]:
        """Insert orders; return the ids not written: they have a row or a tombstone already, or a halt forbids them."""
        ids = [order.client_order_id for order in orders]
        if len(set(ids)) != len(ids):
            raise InvariantViolated("expected each client_order_id once in a batch")
        if not orders:
            return ()
        self._check_instruments(orders)
        self._check_lease(lease)
        taken = tuple(
            order.client_order_id
            for order in orders
            if order.client_order_id in self._orders
            or order.client_order_id in self._tombstones
            or self._is_halted(order)
        )
        self._orders.update({order.client_order_id: order for order in orders if order.client_order_id not in taken})
        self._answer()
        return taken

    async def commit_entries(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        """Write steps in order, all or none. A fill already booked makes its entry's fill part a no-op."""
        if not entries:
            return
        self._check_instruments([entry.order for entry in entries])
        for entry in entries:
            if (entry.fill is None) != (entry.position is None) or (entry.fill is None and entry.ledger):
                raise InvariantViolated(f"{entry.order.client_order_id}: position and ledger need a fill")
        self._check_lease(lease)
        fresh = uncommitted(entries, {index for index, entry in enumerate(entries) if self._is_committed(entry)})
        if any(entry.delivery is not None and self._is_taken(entry.delivery, fresh) for entry in fresh):
            raise InvariantViolated("a sequence number is taken by another event")
        for entry in fresh:
            self._write(entry)
        self._answer()

    async def orders_by_id(self, client_order_ids: Sequence[str]) -> tuple[OrderRecord, ...]:
        """Read orders; unknown ids are absent."""
        self._check_up()
        found = [self._orders[order_id] for order_id in set(client_order_ids) if order_id in self._orders]
        return tuple(sorted(found, key=lambda order: order.created_ns))

    async def events_after(self, symbol: str, seq: int, limit: int) -> tuple[Delivery, ...]:
        """Read a symbol's deliveries with a greater sequence, ascending."""
        self._check_up()
        newer = [delivery for delivery in self._events.get(symbol, []) if delivery.seq > seq]
        return tuple(sorted(newer, key=lambda delivery: delivery.seq)[:limit])

    async def fills_of(self, client_order_id: str) -> tuple[Fill, ...]:
        """Read the booked fills of an order, oldest first."""
        self._check_up()
        return tuple(fill for fill in self._fills.values() if fill.client_order_id == client_order_id)

    async def audit(self) -> tuple[str, ...]:
        """Check positions, ledger and orders against the fills; what does not hold, in words."""
        self._check_up()
        fills: dict[str, list[Fill]] = {}
        lots: Counter[str] = Counter()
        adjusted: dict[str, Decimal] = {}
        for fill in self._fills.values():
            fills.setdefault(fill.symbol, []).append(fill)
            lots[fill.client_order_id] += fill.qty_lots
        for line in self._ledger:
            if line.kind == "adjustment":
                adjusted[line.symbol] = adjusted.get(line.symbol, ZERO) + line.amount
        broken: list[str] = []
        for name, held in self._positions.items():
            own, change = fills.get(name, []), adjusted.get(name, ZERO)
            broken += verify(held, own, self._instruments[name], adjustments=change)
        for order in self._orders.values():
            made = lots[order.client_order_id]
            if not order.filled_lots == made <= order.qty_lots:
                broken.append(f"order: {order.client_order_id} is stored as {order.filled_lots}, its parts make {made}")
        return tuple(broken)

    async def tombstone(self, lease: Lease, symbol: str, client_order_ids: Sequence[str], now_ns: int) -> None:
        """Bury ids that have no order row."""
        self._check_lease(lease)
        self._tombstones |= set(client_order_ids) - set(self._orders)
        self._answer()

    # --- the account -----------------------------------------------------------------------------------------------

    async def append_ledger(
        self,
        lease: Lease,
        lines: Sequence[LedgerLine],
        positions: Sequence[Position] = (),
        departed_pnl: Decimal | None = None,
    ) -> None:
        """Add lines that belong to no order, with what stands after them. Idempotent by (kind, asset, reference)."""
        self._check_lease(lease)
        fresh = [line for line in lines if (line.kind, line.asset, line.reference) not in self._standing]
        self._standing.update((line.kind, line.asset, line.reference) for line in fresh)
        self._ledger += fresh
        if fresh:
            self._positions.update({item.symbol: item for item in positions})
            self._departed = self._departed if departed_pnl is None else departed_pnl
        self._answer()

    async def save_balances(self, lease: Lease, balances: Sequence[VenueBalance]) -> None:
        """Replace the stored balances of these assets."""
        self._check_lease(lease)
        self._balances.update({item.asset: item for item in balances})
        self._answer()

    async def save_limits(self, lease: Lease, limits: Sequence[tuple[str, str]], now_ns: int) -> None:
        """Store account limits by name."""
        self._check_lease(lease)
        self._limits.update(limits)
        self._answer()

    async def save_losses(
        self, lease: Lease, trips: Sequence[tuple[str, TripRecord]], streak: LossStreak, now_ns: int
    ) -> None:
        """Replace the stored record of these symbols' round trips, and the account's streak that counts them."""
        self._check_lease(lease)
        self._trips.update(trips)
        self._streaks.append(streak)
        self._answer()

    async def save_equity(self, lease: Lease, point: EquityPoint) -> None:
        """Append a point to the P&L curve."""
        self._check_lease(lease)
        self._equity.append(point)
        self._answer()

    async def load(self, account: str) -> JournalState:
        """Read the state of the account; nothing of another account is here."""
        self._check_up()
        if account != self.account:
            return JournalState((), (), (), (), (), (), ZERO, ZERO)
        day_start, streak = day_start_ns(self._now_ns()), self._streaks[-1] if self._streaks else LossStreak()
        booked = [(realized, fees) for at_ns, realized, fees in self._booked if at_ns >= day_start]
        prefix = f"symbol:{account}:"
        totals: dict[str, Decimal] = {}
        for line in self._ledger:
            totals[line.asset] = totals.get(line.asset, ZERO) + line.amount
        unfinished = [order for order in self._orders.values() if not order.status.is_terminal]
        over = [order for order in self._orders.values() if order.status.is_terminal]
        epochs = {name.removeprefix(prefix): held[0] for name, held in self._leases.items() if name.startswith(prefix)}
        return JournalState(
            unfinished=tuple(sorted(unfinished, key=lambda order: (order.created_ns, order.client_order_id))),
            positions=tuple(self._positions[symbol] for symbol in sorted(self._positions)),
            last_seq=tuple((symbol, max(item.seq for item in self._events[symbol])) for symbol in sorted(self._events)),
            halts=await self.halts(),
            limits=tuple(sorted(self._limits.items())),
            balances=tuple(self._balances[asset] for asset in sorted(self._balances)),
            realized_today=sum((realized for realized, _ in booked), ZERO),
            fees_today=sum((fees for _, fees in booked), ZERO),
            ledger_totals=tuple(sorted(totals.items())),
            symbol_epochs=tuple(sorted(epochs.items())),
            day_open=self._day_open(day_start),
            peak_net_pnl=max((p.net_pnl for p in self._equity if p.at_ns >= streak.drawdown_since_ns), default=None),
            streak=streak,
            trips=tuple(sorted(self._trips.items())),
            has_opening=any(line.kind == "opening" for line in self._ledger),
            short=tuple(order for order in over if order.venue_filled_lots > order.filled_lots),
            departed_pnl=self._departed,
            instruments=tuple(self._stored_instruments[symbol] for symbol in sorted(self._stored_instruments)),
        )

    # --- without a lease -------------------------------------------------------------------------------------------

    async def save_halt(
        self,
        scope: str,
        state: HaltState,
        reason: str,
        now_ns: int,
        is_flattening: bool = False,
        over: HaltState = HaltState.HALTED,
    ) -> bool:
        """Persist a halt state, unless a stricter one than `over` is stored; tell whether it was."""
        self._check_up()
        stored, order = self._halts.get(scope, (HaltState.ACTIVE, ""))[0], list(HaltState)
        if order.index(stored) > order.index(over):
            return False
        self._halts[scope] = (state, reason)
        (self._flattening.add if is_flattening else self._flattening.discard)(scope)
        self._answer()
        return True

    async def halts(self) -> tuple[tuple[str, HaltState, str], ...]:
        """Read all halt states as (scope, state, reason)."""
        self._check_up()
        return tuple((scope, *self._halts[scope]) for scope in sorted(self._halts))

    async def flattening(self) -> tuple[str, ...]:
        """Read the scopes whose last saved halt is a flatten that has not come to its end, in order."""
        self._check_up()
        return tuple(sorted(self._flattening))

    async def raise_alert(self, level: str, name: str, text: str, symbol: str | None, now_ns: int) -> None:
        """Keep an alert."""
        self._check_up()
        self.alerts.append((level, name, text, symbol, now_ns))
        self._answer()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _check_up(self) -> None:
        if self.is_down:
            raise StoreError("the database is down")

    def _answer(self) -> None:
        if self.loses_answers:
            self.loses_answers -= 1
            raise StoreError("the connection was lost before the answer came")

    def _check_lease(self, lease: Lease) -> None:
        self._check_up()
        epoch, owner, expires_ns = self._leases.get(lease.name, (0, "", 0))
        is_current = expires_ns is None or expires_ns > self._now_ns()
        if (epoch, owner) != (lease.epoch, lease.owner) or not is_current:
            raise fenced(lease)

    def _is_halted(self, order: OrderRecord) -> bool:
        stored = {
            self._halts.get(scope, (HaltState.ACTIVE, ""))[0] for scope in (ACCOUNT_SCOPE, symbol_scope(order.symbol))
        }
        return HaltState.HALTED in stored or (HaltState.REDUCING in stored and order.purpose is Purpose.ENTRY)

    def _check_instruments(self, orders: Sequence[OrderRecord]) -> None:
        for order in orders:
            if order.symbol not in self._instruments:
                raise InvariantViolated(f"the journal was never told the instrument {order.symbol}")

    def _is_committed(self, entry: JournalEntry) -> bool:
        delivery = entry.delivery
        return delivery is not None and delivery in self._events.get(delivery.event.symbol, [])

    def _is_taken(self, delivery: Delivery, batch: Sequence[JournalEntry]) -> bool:
        symbol = delivery.event.symbol
        stored = [item.seq for item in self._events.get(symbol, [])]
        coming = [item.delivery.seq for item in batch if item.delivery and item.delivery.event.symbol == symbol]
        return (stored + coming).count(delivery.seq) > 1

    def _write(self, entry: JournalEntry) -> None:
        order, old = entry.order, self._orders.get(entry.order.client_order_id)
        is_repeat = order.status is OrderStatus.DENIED and old is not None
        if not is_repeat or (old and old.status in (OrderStatus.PENDING, OrderStatus.SENT, OrderStatus.DENIED)):
            self._orders[order.client_order_id] = order if old is None else _continued(old, order)
        if entry.delivery is not None:
            self._events.setdefault(entry.delivery.event.symbol, []).append(entry.delivery)
        if entry.fill is None or entry.position is None or fill_identity(entry.fill) in self._fills:
            return
        before = self._positions.get(entry.fill.symbol, Position(entry.fill.symbol))
        realized, fees = entry.position.realized_pnl - before.realized_pnl, entry.position.fees - before.fees
        self._fills[fill_identity(entry.fill)] = entry.fill
        self._booked.append((entry.fill.recv_ts_ns, realized, fees))
        self._positions[entry.fill.symbol] = entry.position
        self._ledger += entry.ledger

    def _day_open(self, day_start: int) -> EquityPoint | None:
        points = sorted(self._equity, key=lambda point: point.at_ns)
        before = [point for point in points if point.at_ns < day_start]
        return before[-1] if before else next(iter(points), None)


def _continued(old: OrderRecord, new: OrderRecord) -> OrderRecord:
    """Give the order after a step: its identity, terms and decision stay as first written."""
    return replace(old, **{name: getattr(new, name) for name in _MOVING})


_MOVING = (
    *("status", "reason", "venue_order_id", "executor_epoch", "signed_ms", "recv_window_ms", "filled_lots"),
    *("filled_quote", "venue_filled_lots", "committed_ns", "sent_ns", "acked_ns", "updated_ns"),
)
