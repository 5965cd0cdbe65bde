"""What supervisor, API and launcher write: sessions, wishes, runs, commands, audit, halts. May import sqlalchemy.

None of it needs the executor's lease: orders and money are the journal's, this is what people and the fleet say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, literal, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import Insert, insert

from trading.adapters.store.database import Database
from trading.adapters.store.fleet_rows import (
    OperationRow,
    RunRow,
    WantedRow,
    event_values,
    json_pairs,
    operation_from_row,
    pairs_from_json,
    run_from_row,
)
from trading.adapters.store.journal_rows import halt_state, storable, storable_text
from trading.adapters.store.journal_statements import UNDER_WAY
from trading.adapters.store.pages import StoredResponse
from trading.adapters.store.tables import (
    alerts,
    audit,
    desired_symbols,
    idempotency_keys,
    leases,
    operations,
    risk_state,
    run_events,
    sessions,
    symbol_runs,
)
from trading.model.session import DesiredState, HaltState, RunState
from trading.model.units import NS_PER_DAY, base36

# A key is answered from memory for this long; then it may be used anew.
KEY_LIFE_NS = NS_PER_DAY
_NEXT_RUN_NUMBER = text("SELECT nextval(pg_get_serial_sequence('symbol_runs', 'run_number'))")
_OVER_RUNS = (RunState.STOPPED.value, RunState.KILLED.value)
_OPEN_OPERATIONS = ("pending", "running")
_NOT_IN_ORDER = "killed: told when the next session began"


class FleetStore:
    """The fleet's durable memory for one account and one session. Owned by one event loop; ends with `close`.

    Raises everywhere: StoreError when a commit is not certain.
    """

    def __init__(self, database: Database, account: str, session: str) -> None:
        """Take over the database: it is closed with this store."""
        self._database = database
        self._account = account
        self._session = session

    @classmethod
    def open(cls, database_url: str, account: str, session: str) -> FleetStore:
        """Make a store; nothing connects before the first use. Raises: ConfigError when the URL is wrong."""
        return cls(Database(database_url, "fleet"), account, session)

    async def close(self) -> None:
        """Close the connections; idempotent."""
        await self._database.close()

    # --- sessions --------------------------------------------------------------------------------------------------

    async def begin_session(self, mode: str, venue: str, settings: Mapping[str, Any], pid: int, now_ns: int) -> None:
        """Write the session's row; idempotent. An earlier one of the account that did not end in order has ended now.

        To be called when nobody else trades the account. settings: JSON values with every secret masked already.
        """
        values = {"session_id": self._session, "account": self._account, "mode": mode, "venue": venue, "pid": pid}
        row = insert(sessions).values(**values, settings=storable(dict(settings)), started_ns=now_ns)
        async with self._database.transaction() as link:
            begun = await link.execute(row.on_conflict_do_nothing().returning(sessions.c.session_id))
            if begun.first() is not None:
                left = update(sessions).where(sessions.c.account == self._account, sessions.c.ended_ns.is_(None))
                left = left.where(sessions.c.session_id != self._session)
                await link.execute(left.values(ended_ns=now_ns, end_reason=_NOT_IN_ORDER))

    async def end_session(self, report: str, now_ns: int) -> None:
        """Mark the session as ended in order; the first end stands."""
        change = update(sessions).where(sessions.c.session_id == self._session, sessions.c.ended_ns.is_(None))
        async with self._database.transaction() as link:
            await link.execute(change.values(ended_ns=now_ns, end_reason=storable_text(report)))

    async def executor_lease(self) -> tuple[str, int] | None:
        """Read who may send orders for this account now, and until when (ns, the database's clock); None: nobody."""
        held = select(leases.c.owner, literal_column("(extract(epoch FROM expires_at) * 1000000000)::bigint"))
        held = held.where(leases.c.name == f"executor:{self._account}", leases.c.owner != "")
        async with self._database.transaction() as link:
            row = (await link.execute(held.where(leases.c.expires_at > func.clock_timestamp()))).first()
        return None if row is None else (row[0], row[1])

    # --- wishes and commands ---------------------------------------------------------------------------------------

    async def wanted(self) -> tuple[WantedRow, ...]:
        """Read what was asked for in this session, by symbol."""
        query = select(desired_symbols).where(desired_symbols.c.session_id == self._session)
        async with self._database.transaction() as link:
            rows = (await link.execute(query.order_by(desired_symbols.c.symbol))).all()
        return tuple(
            WantedRow(row.symbol, DesiredState(row.desired), row.strategy, pairs_from_json(row.params), row.is_flatten)
            for row in rows
        )

    async def accept(
        self,
        operation: OperationRow,
        wanted: Sequence[WantedRow],
        actor: str,
        detail: Mapping[str, Any],
        now_ns: int,
    ) -> None:
        """Commit a command: desired states, the operation and one audit row, in one transaction.

        Idempotent by the operation's id: a repeat after a lost answer changes nothing.
        """
        async with self._database.transaction() as link:
            made = await link.execute(
                insert(operations)
                .values(
                    operation_id=operation.operation_id,
                    session_id=self._session,
                    kind=operation.kind,
                    symbols=list(operation.symbols),
                    status=operation.status,
                    error=operation.error,
                    created_ns=operation.created_ns,
                    updated_ns=operation.updated_ns,
                )
                .on_conflict_do_nothing()
                .returning(operations.c.operation_id)
            )
            if made.first() is None:
                return
            if wanted:
                await link.execute(_upsert_wanted(self._session, wanted, now_ns))
            symbol = operation.symbols[0] if len(operation.symbols) == 1 else None
            what = {"operation_id": operation.operation_id, "symbols": list(operation.symbols), **detail}
            await link.execute(insert(audit).values(self._audit_values(actor, operation.kind, symbol, what, now_ns)))

    async def set_operation(self, operation_id: str, status: str, error: str | None, now_ns: int) -> None:
        """Move an operation on; idempotent."""
        change = update(operations).where(operations.c.operation_id == operation_id)
        text = None if error is None else storable_text(error)
        async with self._database.transaction() as link:
            await link.execute(change.values(status=status, error=text, updated_ns=now_ns))

    async def operation(self, operation_id: str) -> OperationRow | None:
        """Read an operation of any session; None when there is none with this id."""
        query = select(operations).where(operations.c.operation_id == storable_text(operation_id))
        async with self._database.transaction() as link:
            row = (await link.execute(query)).first()
        return None if row is None else operation_from_row(row)

    async def unfinished_operations(self) -> tuple[OperationRow, ...]:
        """Read the operations of the session that are pending or running, oldest first."""
        query = select(operations).where(
            operations.c.session_id == self._session, operations.c.status.in_(_OPEN_OPERATIONS)
        )
        async with self._database.transaction() as link:
            rows = (await link.execute(query.order_by(operations.c.created_ns))).all()
        return tuple(operation_from_row(row) for row in rows)

    # --- runs ------------------------------------------------------------------------------------------------------

    async def open_run(self, symbol: str, strategy: str, params: Sequence[tuple[str, str]], now_ns: int) -> RunRow:
        """Insert a run in REQUESTED, with the next run number; its id is the number in base 36, as in its order ids."""
        async with self._database.transaction() as link:
            number = int((await link.execute(_NEXT_RUN_NUMBER)).scalar_one())
            run = RunRow(
                f"run-{base36(number)}", number, symbol, RunState.REQUESTED, "", strategy, tuple(params), 0, 0, now_ns
            )
            await link.execute(
                insert(symbol_runs).values(
                    run_id=run.run_id,
                    run_number=number,
                    session_id=self._session,
                    symbol=symbol,
                    state=run.state.value,
                    strategy=strategy,
                    params=json_pairs(params),
                    created_ns=now_ns,
                    updated_ns=now_ns,
                )
            )
            await link.execute(insert(run_events).values(event_values(run, "requested", "")))
        return run

    async def unfinished_runs(self) -> tuple[RunRow, ...]:
        """Read the runs of the session that are neither STOPPED nor KILLED, oldest first."""
        query = select(symbol_runs).where(
            symbol_runs.c.session_id == self._session, symbol_runs.c.state.not_in(_OVER_RUNS)
        )
        async with self._database.transaction() as link:
            rows = (await link.execute(query.order_by(symbol_runs.c.run_number))).all()
        return tuple(run_from_row(row) for row in rows)

    async def save_run(self, run: RunRow, event: str, detail: str) -> None:
        """Write a run's row and append a run event, in one transaction. A repeat of both changes nothing."""
        new = event_values(run, event, detail)
        same = [run_events.c[name] == value for name, value in new.items()]
        unheard = select(*(literal(value).label(name) for name, value in new.items())).where(
            ~select(run_events.c.id).where(*same).exists()
        )
        async with self._database.transaction() as link:
            await link.execute(
                update(symbol_runs)
                .where(symbol_runs.c.run_id == run.run_id)
                .values(
                    state=run.state.value,
                    reason=storable_text(run.reason),
                    strategy=run.strategy,
                    params=json_pairs(run.params),
                    restarts=run.restarts,
                    epoch=run.epoch,
                    updated_ns=run.updated_ns,
                )
            )
            await link.execute(insert(run_events).from_select(list(new), unheard))

    # --- records ---------------------------------------------------------------------------------------------------

    async def raise_alert(self, level: str, name: str, text: str, symbol: str | None, now_ns: int) -> None:
        """Store an alert for people. level: info, warning or alert."""
        values = {"level": level, "name": name, "text": storable_text(text), "symbol": symbol, "at_ns": now_ns}
        row = insert(alerts).values(**values, account=self._account, session_id=self._session)
        async with self._database.transaction() as link:
            await link.execute(row)

    async def append_audit(
        self, actor: str, action: str, symbol: str | None, detail: Mapping[str, Any], now_ns: int
    ) -> None:
        """Write down who asked for what."""
        async with self._database.transaction() as link:
            await link.execute(insert(audit).values(self._audit_values(actor, action, symbol, detail, now_ns)))

    # --- halts -----------------------------------------------------------------------------------------------------

    async def save_halt(
        self, scope: str, state: HaltState, reason: str, now_ns: int, is_flattening: bool = False
    ) -> None:
        """Persist a halt state. scope: "account" or "symbol:BTCUSDT". Whoever asks may halt.

        is_flattening: what is held is to be sold, then the scope is HALTED; it is true until the next state is saved.
        """
        flatten = UNDER_WAY if is_flattening else "over"
        row = insert(risk_state).values(
            [
                {
                    "account": self._account,
                    "kind": kind,
                    "name": storable_text(scope),
                    "value": value,
                    "reason": storable_text(reason),
                    "updated_ns": now_ns,
                }
                for kind, value in (("flatten", flatten), ("halt", state.value))
            ]
        )
        new = row.excluded
        changed = {"value": new.value, "reason": new.reason, "updated_ns": new.updated_ns}
        async with self._database.transaction() as link:
            await link.execute(row.on_conflict_do_update(index_elements=["account", "kind", "name"], set_=changed))

    async def halts(self) -> tuple[tuple[str, HaltState, str], ...]:
        """Read all halt states as (scope, state, reason); a state that cannot be read is HALTED."""
        query = select(risk_state.c.name, risk_state.c.value, risk_state.c.reason).where(
            risk_state.c.account == self._account, risk_state.c.kind == "halt"
        )
        async with self._database.transaction() as link:
            rows = (await link.execute(query.order_by(risk_state.c.name))).all()
        return tuple((row.name, halt_state(row.value), row.reason) for row in rows)

    # --- idempotency keys ------------------------------------------------------------------------------------------

    async def claim_key(self, key: str, body_hash: str, now_ns: int, abandoned_before_ns: int) -> StoredResponse | None:
        """Bind a key to a request; None when it is now ours, else what it is bound to already.

        A claim without a response that is older than `abandoned_before_ns` is taken over, by the same body only.
        Keys older than a day are forgotten here.
        """
        keys = idempotency_keys.c
        claim = insert(idempotency_keys).values(key=key, body_hash=body_hash, created_ns=now_ns)
        claim = claim.on_conflict_do_update(
            index_elements=["key"],
            set_={"created_ns": claim.excluded.created_ns},
            where=keys.status_code.is_(None)
            & (keys.created_ns < abandoned_before_ns)
            & (keys.body_hash == claim.excluded.body_hash),
        )
        async with self._database.transaction() as link:
            await link.execute(delete(idempotency_keys).where(keys.created_ns < now_ns - KEY_LIFE_NS))
            if (await link.execute(claim.returning(keys.key))).first() is not None:
                return None
            row = (await link.execute(select(idempotency_keys).where(keys.key == key))).one()
        return StoredResponse(row.body_hash, row.status_code, row.response)

    async def keep_response(self, key: str, status_code: int, response: Any) -> None:
        """Store the answer of a claimed key; idempotent."""
        change = update(idempotency_keys).where(idempotency_keys.c.key == key)
        async with self._database.transaction() as link:
            await link.execute(change.values(status_code=status_code, response=storable(response)))

    async def release_key(self, key: str) -> None:
        """Forget a claimed key that has no answer, so that its request can be tried again."""
        keys = idempotency_keys.c
        async with self._database.transaction() as link:
            await link.execute(delete(idempotency_keys).where(keys.key == key, keys.status_code.is_(None)))

    def _audit_values(
        self, actor: str, action: str, symbol: str | None, detail: Mapping[str, Any], now_ns: int
    ) -> dict[str, Any]:
        return {
            "account": self._account,
            "session_id": self._session,
            "actor": storable_text(actor),
            "action": action,
            "symbol": None if symbol is None else storable_text(symbol),
            "detail": storable(dict(detail)),
            "at_ns": now_ns,
        }


def _upsert_wanted(session: str, wanted: Sequence[WantedRow], now_ns: int) -> Insert:
    rows = insert(desired_symbols).values(
        [
            {
                "session_id": session,
                "symbol": item.symbol,
                "desired": item.desired.value,
                "strategy": item.strategy,
                "params": json_pairs(item.params),
                "is_flatten": item.is_flatten,
                "updated_ns": now_ns,
            }
            for item in wanted
        ]
    )
    changed = ("desired", "strategy", "params", "is_flatten", "updated_ns")
    return rows.on_conflict_do_update(
        index_elements=["session_id", "symbol"], set_={name: rows.excluded[name] for name in changed}
    )
