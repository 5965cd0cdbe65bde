"""The journal on Postgres: `engine.ports.Journal`. May import trading.engine, trading.model and psycopg.

Five lanes (connections), so that nothing waits for what it does not depend on: intents; steps and fills; control
(leases, halts, limits, alerts); reads; audits. Each write is one statement and one transaction that begins with the
lease; the SQL, and why it is safe, is in `journal_statements`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, LiteralString

import psycopg

from trading.adapters.store import journal_statements as sql
from trading.adapters.store.database_url import GUARANTEES, check_guarantees, parse_url, unreachable
from trading.adapters.store.event_codec import decode_event
from trading.adapters.store.journal_audit import AUDIT
from trading.adapters.store.journal_rows import (
    balance_row,
    event_row,
    fenced,
    fill_from_row,
    fill_identity,
    fill_row,
    halt_state,
    instrument_row,
    ledger_row,
    order_from_row,
    order_row,
    position_row,
    storable_text,
    to_json,
    trips_from_text,
    trips_to_text,
    uncommitted,
)
from trading.adapters.store.lane import Lane, Rows
from trading.engine.ports import JournalEntry, JournalState, LedgerLine, OrderRecord
from trading.model.errors import ConfigError, FencedOut, InvariantViolated, StoreError
from trading.model.instrument import Instrument
from trading.model.orders import Delivery, Fill, VenueBalance
from trading.model.position import EquityPoint, LossStreak, Position, TripRecord
from trading.model.session import HaltState, Lease

# An audit reads every fill of the account.
AUDIT_TIMEOUT_S = 30.0


class PostgresJournal:
    """The durable memory of one account, for one session. Owned by one event loop; ends with `close`.

    Every order that passes through must be of an instrument that was registered. Who holds no lease can read, halt and
    raise alerts, and nothing else.
    """

    def __init__(self, database_url: str, account: str, session: str) -> None:
        """Prepare; nothing connects before `open`. Raises: ConfigError when the URL is wrong."""
        self._url = parse_url(database_url)
        self._account = account
        self._session = session
        self._instruments: dict[str, Instrument] = {}
        self._intents = Lane(self._url, "intents")
        self._steps = Lane(self._url, "steps")
        self._control = Lane(self._url, "control")
        self._reads = Lane(self._url, "reads")
        self._audits = Lane(self._url, "audits", AUDIT_TIMEOUT_S)

    async def open(self) -> None:
        """Connect, and check what the server promises.

        Raises: NotRunning when it is out of reach (within 5 s); ConfigError when it does not keep what it commits.
        """
        try:
            async with asyncio.timeout(5):
                ((version, fsync, synchronous_commit),) = await self._reads.read(GUARANTEES, {})
            check_guarantees(self._url, version, fsync, synchronous_commit)
        except (StoreError, TimeoutError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
            raise unreachable(self._url, cause) from None
        except ConfigError:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections; idempotent."""
        for lane in (self._intents, self._steps, self._control, self._reads, self._audits):
            await lane.close()

    async def register_instruments(self, instruments: Sequence[Instrument], now_ns: int) -> None:
        """Store what ticks and lots of these symbols mean, from now on; repeat it when the venue changes a filter."""
        rows = [instrument_row(item) for item in {item.symbol: item for item in instruments}.values()]
        await self._plain(sql.SAVE_INSTRUMENT, {"instruments": to_json(rows), "at_ns": now_ns})
        self._instruments.update({item.symbol: item for item in instruments})

    # --- leases ----------------------------------------------------------------------------------------------------

    async def acquire_lease(self, name: str, owner: str, ttl_s: float, heir_of: str = "") -> Lease:
        """Take the lease when free or expired (database clock), with the next epoch. Raises: FencedOut while held.

        Args: heir_of: an owner that is dead for certain; what it holds counts as expired.
        """
        values = {"lease": name, "owner": owner, "ttl_s": ttl_s, "heir_of": heir_of}
        rows = await self._plain(sql.ACQUIRE_LEASE, values)
        if not rows:
            raise FencedOut(f"the lease {name} is held by another owner")
        return Lease(name, rows[0][0], owner)

    async def lease_owner(self, name: str) -> str:
        """Read who took the lease last; empty when nobody did, or it was given up."""
        rows = await self._reads.read(sql.READ_LEASE_OWNER, {"lease": name})
        return str(rows[0][0]) if rows else ""

    async def lease_holder(self, name: str) -> str:
        """Read who holds the lease now; empty when it is free or has run out."""
        rows = await self._reads.read(sql.READ_LEASE_HOLDER, {"lease": name})
        return str(rows[0][0]) if rows else ""

    async def renew_lease(self, lease: Lease, ttl_s: float) -> None:
        """Extend it, also when it lapsed and nobody took it meanwhile. Raises: FencedOut."""
        if not await self._plain(sql.RENEW_LEASE, {**_lease_values(lease), "ttl_s": ttl_s}):
            raise fenced(lease)

    async def release_lease(self, lease: Lease) -> None:
        """Give it up at once; idempotent."""
        await self._plain(sql.RELEASE_LEASE, _lease_values(lease))

    async def next_symbol_epoch(self, lease: Lease, symbol: str, owner: str) -> int:
        """Make `owner` the symbol's owner under a new epoch and return it; older epochs are fenced from now on.

        At least the time in ms (database clock).
        """
        values = {**_lease_values(lease), "symbol_lease": self._symbol_prefix() + symbol, "symbol_owner": owner}
        rows = await self._plain(sql.NEXT_SYMBOL_EPOCH, values)
        if not rows:
            raise fenced(lease)
        return int(rows[0][0])

    # --- orders, events, fills -------------------------------------------------------------------------------------

    async def commit_intents(self, lease: Lease, orders: Sequence[OrderRecord]) -> tuple[str, ...]:
        """Insert orders in one transaction; return the ids not written: they have a row or a tombstone already, or a
        stored halt forbids them (REDUCING: entries; HALTED: all).

        Raises: FencedOut, StoreError; InvariantViolated when an id comes twice in the batch.
        """
        ids = [order.client_order_id for order in orders]
        if len(set(ids)) != len(ids):
            raise InvariantViolated("expected each client_order_id once in a batch")
        if not orders:
            return ()
        rows = to_json([order_row(order, self._instruments) for order in orders])
        ((is_held, written),) = await self._intents.write(sql.COMMIT_INTENTS, self._values(lease, orders=rows))
        if not is_held:
            raise fenced(lease)
        if len(written) == len(ids):
            return ()
        stand = frozenset(written)
        return tuple(order_id for order_id in ids if order_id not in stand)

    async def commit_entries(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        """Write steps in order, in one transaction. A fill already booked makes its entry's fill part a no-op.

        A repeat of entries that were committed after all (their answer was lost) writes nothing twice.
        Raises: FencedOut, StoreError; InvariantViolated when a sequence number is taken by another event.
        """
        if not entries:
            return
        try:
            await self._write_entries(lease, entries)
        except psycopg.errors.UniqueViolation as error:
            fresh = await self._without_committed(entries)
            if len(fresh) == len(entries):
                raise InvariantViolated(f"the database refused a row: {error.diag.message_detail}") from error
            await self._retry_entries(lease, fresh)

    async def orders_by_id(self, client_order_ids: Sequence[str]) -> tuple[OrderRecord, ...]:
        """Read orders of this account; unknown ids are absent, and so are those of other accounts."""
        rows = await self._reads.read(sql.READ_ORDERS, {"ids": list(client_order_ids), "account": self._account})
        return tuple(order_from_row(row) for row in rows)

    async def events_after(self, symbol: str, seq: int, limit: int) -> tuple[Delivery, ...]:
        """Read a symbol's deliveries with a greater sequence, ascending."""
        values = {"account": self._account, "symbol": symbol, "seq": seq, "limit": limit}
        rows = await self._reads.read(sql.READ_EVENTS, values)
        return tuple(Delivery(number, decode_event(kind, body)) for number, kind, body in rows)

    async def fills_of(self, client_order_id: str) -> tuple[Fill, ...]:
        """Read the booked fills of an order, oldest first."""
        rows = await self._reads.read(sql.READ_FILLS, {"client_order_id": client_order_id})
        return tuple(fill_from_row(row) for row in rows)

    async def audit(self) -> tuple[str, ...]:
        """Check what is stored against itself (promise 8); what does not hold, in words, at most 20 of it."""
        rows = await self._audits.read(AUDIT, {"account": self._account})
        return tuple(f"{what}: {of} is stored as {stored}, its parts make {made}" for what, of, stored, made in rows)

    async def tombstone(self, lease: Lease, symbol: str, client_order_ids: Sequence[str], now_ns: int) -> None:
        """Bury ids that have no order row: `commit_intents` reports them as conflicts for ever."""
        # On the intents' lane: an id is either buried before its intent comes, or has its row before the burial.
        values = self._values(lease, symbol=symbol, ids=list(client_order_ids), at_ns=now_ns)
        await self._leased(self._intents, lease, sql.BURY, values)

    # --- the account -----------------------------------------------------------------------------------------------

    async def append_ledger(
        self,
        lease: Lease,
        lines: Sequence[LedgerLine],
        positions: Sequence[Position] = (),
        departed_pnl: Decimal | None = None,
    ) -> None:
        """Add lines that belong to no order, with what stands after them. Idempotent by (kind, asset, reference)."""
        rows = to_json([ledger_row(index, line, None) for index, line in enumerate(lines)])
        held = to_json([position_row(item) for item in positions])
        departed = None if departed_pnl is None else str(departed_pnl)
        values = self._values(lease, ledger=rows, positions=held, departed=departed)
        await self._leased(self._steps, lease, sql.APPEND_LEDGER, values)

    async def save_balances(self, lease: Lease, balances: Sequence[VenueBalance]) -> None:
        """Replace the stored balances of these assets."""
        rows = [balance_row(item) for item in {item.asset: item for item in balances}.values()]
        await self._leased(self._steps, lease, sql.SAVE_BALANCES, self._values(lease, balances=to_json(rows)))

    async def save_limits(self, lease: Lease, limits: Sequence[tuple[str, str]], now_ns: int) -> None:
        """Store account limits by name; `load` gives them back."""
        await self._save_risk(lease, [("limit", name, value) for name, value in dict(limits).items()], now_ns)

    async def save_losses(
        self, lease: Lease, trips: Sequence[tuple[str, TripRecord]], streak: LossStreak, now_ns: int
    ) -> None:
        """Replace the stored record of these symbols' round trips, and the account's streak that counts them."""
        rows = [("trips", symbol, trips_to_text(record)) for symbol, record in trips]
        rows += [("streak", name, str(value)) for name, value in asdict(streak).items()]
        await self._save_risk(lease, rows, now_ns)

    async def _save_risk(self, lease: Lease, rows: Sequence[tuple[str, str, str]], now_ns: int) -> None:
        kinds, names, texts = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
        values = self._values(lease, kinds=kinds, names=names, values=texts, at_ns=now_ns)
        await self._leased(self._control, lease, sql.SAVE_RISK, values)

    async def save_equity(self, lease: Lease, point: EquityPoint) -> None:
        """Append a point to the P&L curve."""
        values = self._values(
            lease,
            net_pnl=str(point.net_pnl),
            realized=str(point.realized),
            unrealized=str(point.unrealized),
            fees=str(point.fees),
            exposure=str(point.exposure),
            at_ns=point.at_ns,
        )
        await self._leased(self._steps, lease, sql.SAVE_EQUITY, values)

    async def load(self, account: str) -> JournalState:
        """Read the state of the account. Call it while holding the lease: then nobody writes between the queries."""
        key = {"account": account}
        today = {**key, "day_start_ns": int((await self._reads.read(sql.DAY_START_NS, {}))[0][0])}
        unfinished = await self._reads.read(sql.READ_UNFINISHED, key)
        short = await self._reads.read(sql.READ_SHORT, key)
        positions = await self._reads.read(sql.READ_POSITIONS, key)
        last_seq = await self._reads.read(sql.READ_LAST_SEQ, key)
        limits = await self._reads.read(sql.READ_RISK, {**key, "kind": "limit"})
        streak = await self._reads.read(sql.READ_RISK, {**key, "kind": "streak"})
        pnl = await self._reads.read(sql.READ_RISK, {**key, "kind": "pnl"})
        trips = await self._reads.read(sql.READ_RISK, {**key, "kind": "trips"})
        balances = await self._reads.read(sql.READ_BALANCES, key)
        ledger_totals = await self._reads.read(sql.READ_LEDGER_TOTALS, key)
        instruments = await self._reads.read(sql.READ_INSTRUMENTS, key)
        symbol_epochs = await self._reads.read(sql.READ_SYMBOL_EPOCHS, {"prefix": f"symbol:{account}:"})
        ((realized_today, fees_today),) = await self._reads.read(sql.READ_TODAY, today)
        day_open = await self._reads.read(sql.READ_DAY_OPEN, today)
        ((has_opening,),) = await self._reads.read(sql.READ_HAS_OPENING, key)
        losses = LossStreak(**{name: int(value) for name, value, _ in streak})
        ((peak_net_pnl,),) = await self._reads.read(sql.READ_PEAK, {**key, "since_ns": losses.drawdown_since_ns})
        return JournalState(
            unfinished=tuple(order_from_row(row) for row in unfinished),
            positions=tuple(Position(*row) for row in positions),
            last_seq=tuple((symbol, seq) for symbol, seq in last_seq),
            halts=await self._halts(account),
            limits=tuple((name, value) for name, value, _ in limits),
            balances=tuple(VenueBalance(*row) for row in balances),
            realized_today=Decimal(realized_today),
            fees_today=Decimal(fees_today),
            ledger_totals=tuple((asset, total) for asset, total in ledger_totals),
            symbol_epochs=tuple((symbol, epoch) for symbol, epoch in symbol_epochs),
            day_open=EquityPoint(*day_open[0]) if day_open else None,
            peak_net_pnl=peak_net_pnl,
            streak=losses,
            trips=tuple((symbol, trips_from_text(value)) for symbol, value, _ in trips),
            has_opening=has_opening,
            short=tuple(order_from_row(row) for row in short),
            departed_pnl=next((Decimal(value) for name, value, _ in pnl if name == "departed"), Decimal(0)),
            instruments=tuple(Instrument(*row) for row in instruments),
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
        """Persist a halt state. scope: "account" or "symbol:BTCUSDT". No lease: whoever asks may halt.

        is_flattening: what is held is to be sold, then the scope is HALTED; it is true until the next state is saved.
        over: a stricter stored state than this stays as it is, and the answer is False.
        """
        values = {"scope": scope, "state": state.value, "reason": storable_text(reason), "at_ns": now_ns}
        flatten = sql.UNDER_WAY if is_flattening else "over"
        rows = await self._plain(sql.SAVE_HALT, {**values, "flatten": flatten, "over": sql.REPLACEABLE.get(over.value)})
        return ("halt",) in rows

    async def halts(self) -> tuple[tuple[str, HaltState, str], ...]:
        """Read all halt states as (scope, state, reason); a state that cannot be read is HALTED."""
        return await self._halts(self._account)

    async def flattening(self) -> tuple[str, ...]:
        """Read the scopes whose last saved halt is a flatten that has not come to its end, in order."""
        values = {"account": self._account, "under_way": sql.UNDER_WAY}
        return tuple(scope for (scope,) in await self._reads.read(sql.READ_FLATTENING, values))

    async def raise_alert(self, level: str, name: str, text: str, symbol: str | None, now_ns: int) -> None:
        """Store an alert for people."""
        values = {"level": level, "name": name, "text": storable_text(text), "symbol": symbol, "at_ns": now_ns}
        await self._plain(sql.RAISE_ALERT, {**values, "session": self._session})

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _write_entries(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        # Of several steps of one order in a batch the last row stands; every event is kept.
        orders = {entry.order.client_order_id: order_row(entry.order, self._instruments, True) for entry in entries}
        events = [event_row(entry.delivery) for entry in entries if entry.delivery is not None]
        fills: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        ledger = []
        for index, entry in enumerate(entries):
            if entry.fill is None:
                if entry.position is not None or entry.ledger:
                    raise InvariantViolated(f"{entry.order.client_order_id}: position and ledger need a fill")
            elif fill_identity(entry.fill) not in fills:
                fills[fill_identity(entry.fill)] = fill_row(index, entry, self._instruments)
                ledger += [ledger_row(index, line, entry.order.client_order_id) for line in entry.ledger]
        values = self._values(lease, orders=to_json(list(orders.values())), events=to_json(events))
        statement: LiteralString = sql.COMMIT_STEPS
        if fills:
            statement = sql.COMMIT_STEPS_AND_FILLS
            values |= {"fills": to_json(list(fills.values())), "ledger": to_json(ledger)}
        await self._leased(self._steps, lease, statement, values)

    async def _without_committed(self, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
        """Drop the entries that stand in the journal already: see `uncommitted`."""
        committed = set()
        for index, entry in enumerate(entries):
            if entry.delivery is not None:
                event = entry.delivery.event
                if await self.events_after(event.symbol, entry.delivery.seq - 1, 1) == (entry.delivery,):
                    committed.add(index)
        return uncommitted(entries, committed)

    async def _retry_entries(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        if not entries:
            return
        try:
            await self._write_entries(lease, entries)
        except psycopg.errors.UniqueViolation as error:
            raise InvariantViolated(f"the database refused a row: {error.diag.message_detail}") from error

    async def _leased(self, lane: Lane, lease: Lease, statement: LiteralString, values: dict[str, Any]) -> None:
        """Run a write that answers whether the lease was held."""
        ((is_held,),) = await lane.write(statement, values)
        if not is_held:
            raise fenced(lease)

    async def _plain(self, statement: LiteralString, values: dict[str, Any]) -> Rows:
        return await self._control.write(statement, {"account": self._account, **values})

    async def _halts(self, account: str) -> tuple[tuple[str, HaltState, str], ...]:
        rows = await self._reads.read(sql.READ_RISK, {"account": account, "kind": "halt"})
        return tuple((scope, halt_state(value), reason) for scope, value, reason in rows)

    def _values(self, lease: Lease, **values: Any) -> dict[str, Any]:
        return {**_lease_values(lease), "account": self._account, "session": self._session, **values}

    def _symbol_prefix(self) -> str:
        return f"symbol:{self._account}:"


def _lease_values(lease: Lease) -> dict[str, Any]:
    return {"lease": lease.name, "epoch": lease.epoch, "owner": lease.owner}
