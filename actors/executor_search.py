"""Looks for executions of ours that nobody told, where the balances disagree (design §5).

May import `trading.model`, `trading.engine` and the executor's pieces. A push can be lost and an order's last word can
be wrong; before a difference is taken for somebody else's doing, the venue's own list of our trades is read once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import structlog

from actors.executor_desk import OrderDesk
from actors.executor_state import ExecutorState
from trading.engine.ports import Gateway, Journal
from trading.engine.reconcile import OUR_PREFIX
from trading.model.errors import VenueRejected, VenueUnavailable
from trading.model.orders import VenueTrade

# A night's absence, with a margin.
SEARCH_TRADES_BACK_MS = 24 * 3_600_000
# Each symbol is a request of the few that there are: those of the base asset first, then the last traded ones.
SEARCH_SYMBOLS_MAX = 20
log = structlog.get_logger("executor")


class TradeSearch:
    """Owned by one `Reconciler`. Books nothing itself: what it finds is told to the desk, as the venue's word."""

    def __init__(
        self,
        state: ExecutorState,
        desk: OrderDesk,
        journal: Journal,
        gateway: Gateway,
        token: Callable[[], Awaitable[None]],
    ) -> None:
        """Args: token: waits until the budget allows one read."""
        self._state = state
        self._desk = desk
        self._journal = journal
        self._gateway = gateway
        self._token = token

    async def search(self, assets: frozenset[str]) -> None:
        """Read the trades of the symbols that may have moved these assets. Raises: VenueUnavailable, StoreError."""
        since_ms = self._gateway.now_ms() - SEARCH_TRADES_BACK_MS
        symbols = self._symbols(assets)
        log.info("trades_searched", assets=sorted(assets), symbols=symbols)
        for symbol in symbols:
            await self._token()
            try:
                trades = await self._gateway.trades(symbol, "", since_ms)
            except VenueUnavailable as error:
                if not isinstance(error.__context__, VenueRejected):
                    raise
                log.warning("trades_not_listed", symbol=symbol, reason=str(error))  # that holds up no other
                continue
            self._state.counters["trade_searches"] += 1
            by_order: dict[str, list[VenueTrade]] = {}
            for trade in trades:
                by_order.setdefault(trade.fill.venue_order_id, []).append(trade)
            await self._take_unbooked(symbol, by_order, since_ms)

    def _symbols(self, assets: frozenset[str]) -> list[str]:
        """List the symbols that have or had orders and move one of the assets: by base, then by quote lately traded."""
        instruments, recent = self._state.instruments, self._state.orders.recent_symbols()
        known = [name for name in (*recent, *sorted(self._state.epochs)) if name in instruments]
        by_base = [name for name in known if instruments[name].base in assets]
        by_quote = [name for name in recent if name in instruments and instruments[name].quote in assets]
        return list(dict.fromkeys((*by_base, *by_quote)))[:SEARCH_SYMBOLS_MAX]

    async def _take_unbooked(self, symbol: str, by_order: dict[str, list[VenueTrade]], since_ms: int) -> None:
        """Ask about each order of ours that traded more than is booked, and take that word, then its executions."""
        names = await self._names(symbol, by_order, since_ms)
        booked = {row.client_order_id: row.filled_lots for row in await self._journal.orders_by_id(tuple(names))}
        for name, venue_order_id in names.items():
            trades = by_order[venue_order_id]
            tracker = self._state.orders.get(name)
            known = tracker.record.filled_lots if tracker is not None else booked.get(name, 0)
            if known >= _lots(trades):
                continue
            await self._token()
            report = await self._gateway.order(symbol, name)
            if report is not None:
                self._desk.take(report)
            for trade in trades:
                self._desk.take(replace(trade, fill=replace(trade.fill, client_order_id=name)))

    async def _names(self, symbol: str, by_order: dict[str, list[VenueTrade]], since_ms: int) -> dict[str, str]:
        """Return the venue's order id of each order of ours that traded, by our id."""
        names: dict[str, str] = {}
        nameless: set[str] = set()
        for venue_order_id, trades in by_order.items():
            tracker = self._state.orders.by_venue_id(venue_order_id)
            name = tracker.record.client_order_id if tracker is not None else trades[0].fill.client_order_id
            if not name:
                nameless.add(venue_order_id)
            elif name.startswith(OUR_PREFIX):
                names[name] = venue_order_id
        if nameless:
            await self._token()
            for order in await self._gateway.recent_orders(symbol, since_ms):
                if order.venue_order_id in nameless and order.client_order_id.startswith(OUR_PREFIX):
                    names[order.client_order_id] = order.venue_order_id
        return names


def _lots(trades: Iterable[VenueTrade]) -> int:
    return sum(trade.fill.qty_lots for trade in trades)
