"""What the API reads: lists with filters and cursors, sums, one order's story, what is new. May import sqlalchemy.

Every P&L figure is a sum over `fills.realized_pnl` and `fills.fee_quote`, or the position that the same fills made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, func, select, text, tuple_
from sqlalchemy import Row as ResultRow
from sqlalchemy.ext.asyncio import AsyncConnection

from trading.adapters.store import items
from trading.adapters.store.database import Database
from trading.adapters.store.pages import (
    ChangeCursor,
    Changes,
    ListQuery,
    PnlBy,
    Row,
    RowPage,
    decode_cursor,
    encode_cursor,
)
from trading.adapters.store.tables import (
    UNFINISHED,
    alerts,
    audit,
    decisions,
    fills,
    ledger,
    order_events,
    orders,
    positions,
    run_events,
    sessions,
    symbol_runs,
)
from trading.model.errors import ConfigError
from trading.model.units import NS_PER_DAY

LIMIT_MAX = 1_000
_NS_MAX = 2**63 - 1
_ALL = ListQuery()
_ORDERS = select(orders, sessions.c.mode).join(sessions, orders.c.session_id == sessions.c.session_id)


class Reads:
    """Read-only access to one account's database rows. Owned by one event loop; ends with `close`.

    Raises everywhere: StoreError when the database does not answer; ConfigError when a cursor or a limit is wrong.
    """

    def __init__(self, database: Database, account: str) -> None:
        """Take over the database: it is closed with this."""
        self._database = database
        self._account = account

    @classmethod
    def open(cls, database_url: str, account: str) -> Reads:
        """Make it; nothing connects before the first use. Raises: ConfigError when the URL is wrong."""
        return cls(Database(database_url, "reads"), account)

    async def close(self) -> None:
        """Close the connections; idempotent."""
        await self._database.close()

    async def ping(self) -> None:
        """Ask the database for a sign of life."""
        async with self._database.transaction() as link:
            await link.execute(text("SELECT 1"))

    # --- lists, newest first ---------------------------------------------------------------------------------------

    async def orders(self, query: ListQuery) -> RowPage:
        """List orders by creation."""
        listed = _ORDERS.where(orders.c.account == self._account)
        return await self._list(
            listed, query, orders, "created_ns", "client_order_id", items.order_item, status=orders.c.status
        )

    async def fills(self, query: ListQuery) -> RowPage:
        """List fills by booking time; `status` is their order's."""
        listed = select(fills).where(fills.c.account == self._account)
        if query.status is not None:
            listed = listed.join(orders, orders.c.client_order_id == fills.c.client_order_id)
        return await self._list(listed, query, fills, "recv_ts_ns", "id", items.fill_item, status=orders.c.status)

    async def sessions(self, query: ListQuery) -> RowPage:
        """List sessions by start; `status` is "ended" or "running" (not ended: also those that were killed)."""
        listed = select(sessions).where(sessions.c.account == self._account)
        if query.symbol is not None:
            ran = select(symbol_runs.c.run_id).where(
                symbol_runs.c.session_id == sessions.c.session_id, symbol_runs.c.symbol == query.symbol
            )
            listed = listed.where(ran.exists())
        match query.status:
            case None:
                pass
            case "running":
                listed = listed.where(sessions.c.ended_ns.is_(None))
            case "ended":
                listed = listed.where(sessions.c.ended_ns.is_not(None))
            case _:
                raise ConfigError(f"status: expected running or ended, was {query.status!r}")
        return await self._list(listed, query, sessions, "started_ns", "session_id", items.session_item)

    async def audit(self, query: ListQuery) -> RowPage:
        """List audit rows; `status` filters by action."""
        listed = select(audit).where(audit.c.account == self._account)
        return await self._list(listed, query, audit, "at_ns", "id", items.audit_item, status=audit.c.action)

    async def alerts(self, query: ListQuery) -> RowPage:
        """List alerts; `status` filters by level."""
        listed = select(alerts).where(alerts.c.account == self._account)
        return await self._list(listed, query, alerts, "at_ns", "id", items.alert_item, status=alerts.c.level)

    async def ledger(self, query: ListQuery) -> RowPage:
        """List the movements of the account's assets; `status` filters by kind."""
        listed = select(ledger).where(ledger.c.account == self._account)
        return await self._list(listed, query, ledger, "at_ns", "id", items.ledger_item, status=ledger.c.kind)

    async def run_events(self, query: ListQuery) -> RowPage:
        """List the steps of symbol runs; `status` filters by state."""
        listed = select(run_events).join(symbol_runs, symbol_runs.c.run_id == run_events.c.run_id)
        listed = listed.join(sessions, sessions.c.session_id == symbol_runs.c.session_id)
        listed = listed.where(sessions.c.account == self._account)
        return await self._list(
            listed, query, run_events, "at_ns", "id", items.run_event_item, run_events.c.state, symbol_runs.c.session_id
        )

    # --- sums and counts -------------------------------------------------------------------------------------------

    async def positions(self) -> tuple[Row, ...]:
        """Return every position of the account by symbol: symbol, qty, avg_price, realized_pnl, fees, updated_ns."""
        query = select(positions).where(positions.c.account == self._account).order_by(positions.c.symbol)
        return tuple(items.position_item(row) for row in await self._all(query))

    async def pnl(self, by: PnlBy, query: ListQuery = _ALL) -> tuple[Row, ...]:
        """Sum fills and fees by session, symbol or UTC day (sessions and days newest first).

        query: its symbol, session, since_ns and status (of their orders) choose the fills.

        Items: key (and the same under the name of `by`), fills, quote_volume, realized, fees, net = realized - fees.
        """
        # The day is that of our own clock at the booking, as in the daily loss limit.
        day = func.to_char(
            func.timezone("UTC", func.to_timestamp(fills.c.recv_ts_ns / NS_PER_DAY * 86_400)), "YYYY-MM-DD"
        )
        key = {"session": fills.c.session_id, "symbol": fills.c.symbol, "day": day}[by].label("key")
        newest = func.max(fills.c.recv_ts_ns).desc()
        chosen = [fills.c.account == self._account]
        if query.status is not None:
            chosen.append(
                fills.c.client_order_id.in_(select(orders.c.client_order_id).where(orders.c.status == query.status))
            )
        for column, value in ((fills.c.symbol, query.symbol), (fills.c.session_id, query.session)):
            if value is not None:
                chosen.append(column == value.replace("\x00", ""))
        if query.since_ns is not None:
            chosen.append(fills.c.recv_ts_ns >= max(-_NS_MAX, min(query.since_ns, _NS_MAX)))
        summed = (
            select(
                key,
                func.count().label("fills"),
                func.sum(fills.c.quote_qty).label("quote_volume"),
                func.sum(fills.c.realized_pnl).label("realized"),
                func.sum(fills.c.fee_quote).label("fees"),
            )
            .where(*chosen)
            .group_by(key)
            .order_by(key if by == "symbol" else newest)
        )
        return tuple(items.pnl_item(by, row) for row in await self._all(summed))

    async def open_order_count(self) -> int:
        """Count the account's orders that are not terminal."""
        query = select(func.count()).select_from(orders).where(orders.c.account == self._account, text(UNFINISHED))
        return int((await self._all(query))[0][0])

    async def alert_count(self, session: str) -> int:
        """Count the alerts of a session."""
        query = select(func.count()).select_from(alerts).where(alerts.c.account == self._account)
        return int((await self._all(query.where(alerts.c.session_id == session)))[0][0])

    # --- one order, and what is new --------------------------------------------------------------------------------

    async def explain(self, client_order_id: str) -> Row | None:
        """Return {"order", "decision", "events", "fills"} of an order, oldest first; None when there is none."""
        if "\x00" in client_order_id:
            return None
        found = orders.c.client_order_id == client_order_id
        async with self._database.transaction() as link:
            order = (await link.execute(_ORDERS.where(found, orders.c.account == self._account))).first()
            if order is None:
                return None
            pairs = select(decisions.c.pairs).where(decisions.c.client_order_id == client_order_id)
            decision = (await link.execute(pairs)).scalar_one_or_none()
            events = await _of_order(link, order_events, order_events.c.seq, client_order_id)
            booked = await _of_order(link, fills, fills.c.id, client_order_id)
        return {
            "order": items.order_item(order),
            "decision": dict(decision or ()),
            "events": [items.order_event_item(row) for row in events],
            "fills": [items.fill_item(row) for row in booked],
        }

    async def changes(self, after: ChangeCursor, limit: int) -> Changes:
        """Return what was committed after the cursor, oldest first; a cursor of Nones only finds out where the end is.

        Events and fills are complete: one executor writes them, in the order of their ids. An alert may be missed when
        another process commits one with a smaller id later.
        """
        async with self._database.transaction() as link:
            events = await self._newer(link, order_events, after.event_id, limit)
            new_fills = await self._newer(link, fills, after.fill_id, limit)
            new_alerts = await self._newer(link, alerts, after.alert_id, limit)
            touched = list(dict.fromkeys(row.client_order_id for row in events))
            found = await link.execute(_ORDERS.where(orders.c.client_order_id.in_(touched))) if touched else ()
            by_id = {row.client_order_id: items.order_item(row) for row in found}
            cursor = ChangeCursor(
                await self._end(link, order_events, after.event_id, events),
                await self._end(link, fills, after.fill_id, new_fills),
                await self._end(link, alerts, after.alert_id, new_alerts),
            )
        return Changes(
            cursor,
            tuple(by_id[order_id] for order_id in touched if order_id in by_id),
            tuple(items.fill_item(row) for row in new_fills),
            tuple(items.alert_item(row) for row in new_alerts),
        )

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _all(self, query: Select[Any]) -> list[ResultRow[Any]]:
        async with self._database.transaction() as link:
            return list((await link.execute(query)).all())

    async def _list(
        self,
        listed: Select[Any],
        query: ListQuery,
        table: Table,
        time_name: str,
        id_name: str,
        item: Callable[[ResultRow[Any]], Row],
        status: ColumnElement[str] | None = None,
        session: ColumnElement[str] | None = None,
    ) -> RowPage:
        """Filter, order by (time, id) descending, and cut; one row more than asked tells of a next page."""
        if not 1 <= query.limit <= LIMIT_MAX:
            raise ConfigError(f"limit: expected 1 to {LIMIT_MAX}, was {query.limit}")
        at, row_id = table.c[time_name], table.c[id_name]
        owner = table.c.session_id if session is None and "session_id" in table.c else session
        wanted = ((owner, query.session), (status, query.status), (table.c.get("symbol"), query.symbol))
        for column, value in wanted:
            if column is not None and value is not None:
                listed = listed.where(column == value.replace("\x00", ""))
        if query.since_ns is not None:
            listed = listed.where(at >= max(-_NS_MAX, min(query.since_ns, _NS_MAX)))
        if query.cursor is not None:
            listed = listed.where(tuple_(at, row_id) < tuple_(*decode_cursor(query.cursor, row_id.type.python_type)))
        rows = await self._all(listed.order_by(at.desc(), row_id.desc()).limit(query.limit + 1))
        page = rows[: query.limit]
        last = page[-1]._mapping if len(rows) > query.limit else None
        return RowPage(
            tuple(item(row) for row in page), None if last is None else encode_cursor(last[time_name], last[id_name])
        )

    async def _newer(self, link: AsyncConnection, table: Table, after: int | None, limit: int) -> list[ResultRow[Any]]:
        if after is None:
            return []
        query = select(table).where(table.c.account == self._account, table.c.id > after)
        return list((await link.execute(query.order_by(table.c.id).limit(limit))).all())

    async def _end(self, link: AsyncConnection, table: Table, after: int | None, rows: list[ResultRow[Any]]) -> int:
        if rows:
            return int(rows[-1].id)
        if after is not None:
            return after
        return int((await link.execute(select(func.coalesce(func.max(table.c.id), 0)))).scalar_one())


async def _of_order(
    link: AsyncConnection, table: Table, order_by: ColumnElement[int], client_order_id: str
) -> list[ResultRow[Any]]:
    query = select(table).where(table.c.client_order_id == client_order_id).order_by(order_by)
    return list((await link.execute(query)).all())
