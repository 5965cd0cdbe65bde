"""The fleet and its money as one cached view: what every read, every stream client and every scrape is served from.

May import the API, `actors.fleet` and `trading.model`. Actors and database are asked at most four times a second in
all, whatever the number of clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actors.fleet import SymbolRow, UnknownSymbol
from actors.symbol_names import in_capitals
from api.cached import Cached
from api.items import halt_body, mark_of, pnl_totals, position_item, symbol_item
from api.ports import Dependencies, ListQuery, Row
from api.store_patience import StorePatience
from trading.model.errors import StoreError, TradingError
from trading.model.session import HaltReport, HaltState

MAX_AGE_S = 0.25
FETCH_TIMEOUT_S = 2.0
BOOKS_MAX = 512
RECENT_ALERTS = 20
ACCOUNT_SCOPE = "account"


class FleetView:
    """Read-only. Owned by the app, on its loop."""

    def __init__(self, deps: Dependencies, max_age_s: float = MAX_AGE_S) -> None:
        """max_age_s: how long what was read is shared by its readers."""
        self._deps = deps
        self._max_age_s = max_age_s
        self._table = Cached("the supervisor", deps.supervisor.table, max_age_s, FETCH_TIMEOUT_S)
        self._positions = Cached("the database", deps.reads.positions, max_age_s, FETCH_TIMEOUT_S)
        self._halt = Cached("the executor", self._fetch_halt, max_age_s, 2 * FETCH_TIMEOUT_S)
        self._counts = Cached("the database", self._fetch_counts, max_age_s, FETCH_TIMEOUT_S)
        self._alerts = Cached("the database", self._fetch_alerts, max_age_s, FETCH_TIMEOUT_S)
        self._patience = StorePatience()
        self._books: dict[tuple[str, int], Cached[dict[str, Any]]] = {}

    # --- symbols ----------------------------------------------------------------------------------------------------

    async def table(self) -> tuple[SymbolRow, ...]:
        """Return the supervisor's table. Raises: NotRunning, OutcomeUnknown."""
        return await self._table.get()

    async def symbols(self) -> list[Row]:
        """Return every symbol, by name. Raises: NotRunning, OutcomeUnknown, StoreError."""
        rows = await self._table.get()
        return self._symbol_items(rows, await self._positions.get())

    async def symbol(self, symbol: str) -> Row:
        """Return one symbol. Raises: UnknownSymbol, and as `symbols`."""
        row = await self.require(symbol)
        held = {item["symbol"]: item for item in await self._positions.get()}
        return symbol_item(row, held.get(symbol), self._deps.now_ns())

    async def require(self, symbol: str) -> SymbolRow:
        """Return the row of a symbol. Raises: UnknownSymbol, NotRunning, OutcomeUnknown."""
        rows = {row.symbol: row for row in await self._table.get()}
        if symbol not in rows:
            where = in_capitals(symbol, rows, "GET /v1/symbols (mexcbot status) lists them")
            raise UnknownSymbol(f"{symbol} is no symbol of this session: {where}")
        return rows[symbol]

    async def book(self, symbol: str, depth: int) -> Row:
        """Return a symbol's book from its actor. Raises: UnknownSymbol, NotRunning, OutcomeUnknown."""
        await self.require(symbol)
        key = (symbol, depth)
        if key not in self._books:
            while len(self._books) >= BOOKS_MAX:
                self._books.pop(next(iter(self._books)))
            source = self._deps.book_of(symbol)
            self._books[key] = Cached(symbol, lambda: source.book(depth), self._max_age_s, FETCH_TIMEOUT_S)
        return await self._books[key].get()

    def forget_fleet(self) -> None:
        """A command was taken, or a finished one is being told: the next read of symbols and positions shows it."""
        self._table.forget()
        self._positions.forget()

    # --- money ------------------------------------------------------------------------------------------------------

    async def positions(self) -> list[Row]:
        """Return every position, marked where a fresh bid is known. Raises: StoreError."""
        held = await self._positions.get()
        await self._table.refresh()
        return self._position_items(held)

    async def pnl(self) -> Row:
        """Return the account's totals. Raises: StoreError."""
        return pnl_totals(await self.positions())

    # --- halt -------------------------------------------------------------------------------------------------------

    async def halt(self) -> Row:
        """Return where the account's halt stands; never raises: what cannot be read counts as HALTED."""
        await self._halt.refresh()
        return self._halt_as_known()

    def _halt_as_known(self) -> Row:
        if self._halt.last is not None and not self._halt.error:
            return self._halt.last
        unreadable = f"the halt state cannot be read: {self._halt.error}"
        return halt_body(HaltReport(HaltState.HALTED, False, None, 0, unreadable))

    def forget_halt(self) -> None:
        """A halt or resume was asked for: the next read shows it."""
        self._halt.forget()

    async def _fetch_halt(self) -> Row:
        stored: tuple[tuple[str, HaltState, str], ...] | None
        try:
            stored = await self._patience.wait(self._deps.fleet.halts())
        except StoreError:
            stored = None
        symbols = [(scope.partition(":")[2], state.value) for scope, state, _ in stored or () if ":" in scope]
        halted = [(symbol, state) for symbol, state in symbols if state != HaltState.ACTIVE.value]
        try:
            return halt_body(await self._deps.executor.halt_report(), halted)
        except TradingError as error:
            if stored is None:
                raise
            return halt_body(_stored_report(stored, str(error.args[0]) if error.args else str(error)), halted)

    # --- the whole --------------------------------------------------------------------------------------------------

    async def snapshot(self, seq: Callable[[], int]) -> Row:
        """Return everything at one moment; old parts are kept and named when their source is away.

        seq: read after all that may wait, so that no event after it is missing in the stream.
        Raises: StoreError or NotRunning only while nothing was ever read.
        """
        parts = (self._halt, self._table, self._positions, self._counts, self._alerts)
        await asyncio.gather(*(part.refresh() for part in parts))
        if self._positions.last is None:
            await self._positions.get()
        rows, held = self._table.last or (), self._positions.last or ()
        counts, alerts = self._counts.last or (0, 0), self._alerts.last or ()
        problems = list(dict.fromkeys(filter(None, (self._table.error, self._positions.error, self._counts.error))))
        positions = self._position_items(held)
        identity = self._deps.identity
        return {
            "seq": seq(),
            "now_ns": self._deps.now_ns(),
            "session": identity.session,
            "mode": identity.mode,
            "venue": identity.venue,
            "halt": self._halt_as_known(),
            "symbols": self._symbol_items(rows, held),
            "positions": positions,
            "pnl": pnl_totals(positions),
            "open_orders": counts[0],
            "alerts": counts[1],
            "recent_alerts": list(alerts),
            "is_stale": bool(problems),
            "stale_reason": "; ".join(problems),
        }

    def now_ns(self) -> int:
        """Return the API's clock."""
        return self._deps.now_ns()

    def problems(self) -> list[str]:
        """Say what could not be read at the last try."""
        return list(dict.fromkeys(filter(None, (self._table.error, self._positions.error, self._counts.error))))

    # --- pieces -----------------------------------------------------------------------------------------------------

    def _symbol_items(self, rows: tuple[SymbolRow, ...], held: tuple[Row, ...]) -> list[Row]:
        by_symbol = {item["symbol"]: item for item in held}
        now_ns = self._deps.now_ns()
        return [symbol_item(row, by_symbol.get(row.symbol), now_ns) for row in rows]

    def _position_items(self, held: tuple[Row, ...]) -> list[Row]:
        now_ns = self._deps.now_ns()
        marks = {row.symbol: mark_of(row, now_ns) for row in self._table.last or ()}
        return [position_item(item, marks.get(item["symbol"])) for item in held]

    async def _fetch_counts(self) -> tuple[int, int]:
        reads = self._deps.reads
        return await reads.open_order_count(), await reads.alert_count(self._deps.identity.session)

    async def _fetch_alerts(self) -> tuple[Row, ...]:
        query = ListQuery(session=self._deps.identity.session, limit=RECENT_ALERTS)
        return (await self._deps.reads.alerts(query)).items


def _stored_report(stored: tuple[tuple[str, HaltState, str], ...], why: str) -> HaltReport:
    """Say what is persisted while the executor does not answer: never confirmed."""
    for scope, state, reason in stored:
        if scope == ACCOUNT_SCOPE:
            return HaltReport(state, False, None, 0, f"{reason} (as persisted: {why})".strip())
    return HaltReport(HaltState.ACTIVE, False, None, 0, f"as persisted: {why}")
