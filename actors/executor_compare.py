"""The comparison of the whole account with the venue: balances, open orders, orphans, what is not ours.

May import `trading.model`, `trading.engine` and the executor's pieces. Owned by the reconciler, which says when. Each
symbol is ready for orders once its own open orders have been compared: one that the venue refuses to list holds up no
other. The rules of what follows from an answer are `engine.reconcile`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

import structlog

from actors.executor_desk import OrderDesk
from actors.executor_lanes import AlertLane
from actors.executor_locked import LockedSearch
from actors.executor_outside import OutsideKeeper
from actors.executor_rates import RateKeeper
from actors.executor_send import SendPath
from actors.executor_state import ExecutorState
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.order_tracker import OrderTracker
from trading.engine.ports import Crashpoint, Crashpoints, Gateway, Journal
from trading.engine.reconcile import OUR_PREFIX, OrphanPolicy, compare
from trading.model.errors import VenueRejected, VenueUnavailable
from trading.model.orders import VenueOrder, VenueTrade
from trading.model.units import NS_PER_MS

FOREIGN_SHOWN_MAX = 100
# Symbols that are not traded here and in which a search found open orders.
OTHERS_MAX = 100
# openOrders takes at most five symbols a request (mexc-protocol §3.4).
SYMBOLS_A_READ = 5
log = structlog.get_logger("executor")


class Comparer:
    """Owned by one `Reconciler`. Invariant: it touches no foreign order."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        desk: OrderDesk,
        sends: SendPath,
        journal: Journal,
        gateway: Gateway,
        rates: RateKeeper,
        outside: OutsideKeeper,
        alerts: AlertLane,
        clock: Clock,
        crashpoints: Crashpoints,
        token: Callable[[], Awaitable[None]],
    ) -> None:
        """Args: token: waits until the budget allows one read."""
        self._settings = settings
        self._state = state
        self._desk = desk
        self._sends = sends
        self._journal = journal
        self._gateway = gateway
        self._rates = rates
        self._outside = outside
        self._alerts = alerts
        self._clock = clock
        self._crashpoints = crashpoints
        self._token = token
        self._locked = LockedSearch(state, desk, alerts, clock, self._look_elsewhere)
        self.suspects: dict[str, int] = {}  # acknowledged orders that the venue does not show, and since when
        self._reported_orphans: set[str] = set()
        self._unlisted: set[str] = set()

    def is_due(self) -> bool:
        """Tell whether something is to be compared again before its minute."""
        return self._outside.is_due() or self._locked.is_due()

    async def search_locks(self) -> None:
        """Go on looking for what locks funds and is not known. Raises: VenueUnavailable, StoreError."""
        await self._locked.step()

    # --- everything against everything ----------------------------------------------------------------------------

    async def compare_all(self) -> None:
        """Read balances and open orders, and compare. Raises: VenueUnavailable, StoreError."""
        self._crashpoints.reach(Crashpoint.RECONCILE_BEFORE)
        await (self._compare_papers() if self._settings.is_paper else self._compare_live())
        if not self._state.is_reconciled:
            log.info("executor_reconciled", orders=len(self._state.orders.live()))
        self._state.is_reconciled = True
        self._state.on_venue_answer(True)
        self._state.counters["reconciles"] += 1

    async def _compare_papers(self) -> None:
        """Each symbol is a venue of its own: one that does not answer holds up no other."""
        self._desk.is_reconcile_wanted = False
        shown: tuple[VenueOrder, ...] = ()
        for symbol in sorted(self._state.orders.symbols()):
            try:
                shown += await self._compare((symbol,))
            except VenueUnavailable as error:
                log.info("reconcile_waits", symbol=symbol, reason=str(error))
        self._show_foreign(shown)
        self._state.has_balances = True

    async def _compare_live(self) -> None:
        await self._token()
        balances = await self._gateway.balances()
        for balance in balances:
            self._state.account.on_balance(balance)
        self._state.has_balances = True
        self._outside.see(balances)
        await self._rates.learn_prices()
        self._desk.is_reconcile_wanted = False
        state = self._state
        wanted = state.orders.symbols() | state.epochs.keys() | state.others
        shown = await self._compare_listed(sorted(wanted, key=lambda item: (item not in state.unready, item)))
        self._locked.see(balances, shown)
        state.compared = frozenset(wanted)
        state.others &= {order.symbol for order in shown}
        self._show_foreign(shown)

    async def _compare_listed(self, symbols: list[str], *, is_traded: bool = True) -> tuple[VenueOrder, ...]:
        """Compare symbols in as few requests as there can be; return every open order that the venue shows.

        A traded symbol that the venue refuses to list is told, and not ready. Raises: VenueUnavailable, StoreError.
        """
        shown: tuple[VenueOrder, ...] = ()
        for at in range(0, len(symbols), SYMBOLS_A_READ):
            batch = tuple(symbols[at : at + SYMBOLS_A_READ])
            try:
                shown += await self._compare(batch)
            except VenueUnavailable as error:
                if not isinstance(error.__context__, VenueRejected):
                    raise
                if len(batch) > 1:
                    for symbol in batch:
                        shown += await self._compare_listed([symbol], is_traded=is_traded)
                elif is_traded and batch[0] not in self._unlisted:
                    self._unlisted.add(batch[0])
                    text = f"the venue does not list its open orders, so it takes none: {error}"
                    self._alerts.raise_alert("alert", "orders_not_listed", text, batch[0])
                continue
            self._unlisted.difference_update(batch)
            self._state.unready.difference_update(batch)
        return shown

    async def _look_elsewhere(self, symbols: tuple[str, ...]) -> tuple[VenueOrder, ...]:
        """Compare symbols that are not traded here; those that show open orders are compared each time from now on."""
        shown = await self._compare_listed(list(symbols), is_traded=False)
        found = {order.symbol for order in shown}
        self._state.others |= set(sorted(found)[: OTHERS_MAX - len(self._state.others)])
        return shown

    def _show_foreign(self, shown: Iterable[VenueOrder]) -> None:
        """Keep the open orders that are not ours for whoever asks, and tell of them when they appear."""
        foreign = tuple(order for order in shown if not order.client_order_id.startswith(OUR_PREFIX))
        if foreign and not self._state.foreign:
            names = ", ".join(f"{item.symbol} {item.client_order_id or item.venue_order_id}" for item in foreign[:5])
            text = f"{len(foreign)} open orders of this account are not ours and are left alone: {names}"
            self._alerts.raise_alert("info", "foreign_orders", text)
        self._state.foreign = foreign[:FOREIGN_SHOWN_MAX]

    async def _compare(self, symbols: tuple[str, ...]) -> tuple[VenueOrder, ...]:
        """Compare the open orders of some symbols, at most five; return all that the venue shows."""
        asked_ns = self._clock.now_ns()
        await self._token()
        venue_open = await self._gateway.open_orders(symbols)
        self._crashpoints.reach(Crashpoint.RECONCILE_AFTER_QUERY)
        found = compare(self._state.orders.live_records(), venue_open, symbols, asked_ns)
        for report in found.reports:
            self._desk.take(report)
        for name in found.missing:
            self.suspects.setdefault(name, asked_ns)
        one_sided = Counter(self._symbol_of(name) for name in found.missing)
        one_sided += await self._handle_orphans(found.orphans, asked_ns)
        self._state.order_drift = {
            **{name: count for name, count in self._state.order_drift.items() if name not in symbols},
            **one_sided,
        }
        return tuple(venue_open)

    def _symbol_of(self, client_order_id: str) -> str:
        tracker = self._state.orders.get(client_order_id)
        return tracker.record.symbol if tracker is not None else ""

    async def _handle_orphans(self, orphans: Iterable[VenueOrder], asked_ns: int) -> Counter[str]:
        """Deal with open orders under our prefix that memory does not hold as live; count them by symbol."""
        # The venue's list lags: what ended here a moment ago is no orphan.
        behind_ns = asked_ns - self._settings.patience.query_lag_ms * NS_PER_MS
        orphans = tuple(order for order in orphans if not self._ended_after(order.client_order_id, behind_ns))
        if not orphans:
            return Counter()
        found = await self._journal.orders_by_id([order.client_order_id for order in orphans])
        rows = {row.client_order_id for row in found}
        for order in orphans:
            name = order.client_order_id
            if self._state.orders.get(name) is None and name in rows:
                await self._adopt(name)
            if self._state.orders.get(name) is not None:
                # Over in our books, open at the venue: its word is taken, with an alert where it contradicts.
                self._desk.take(order)
            self._report_orphan(name, "over in our books" if name in rows else "without a journal row", order.symbol)
            if self._settings.orphan_policy is OrphanPolicy.CANCEL:
                self._sends.cancels.queue(name, order.symbol, order.venue_order_id)
        return Counter(order.symbol for order in orphans)

    def _report_orphan(self, name: str, why: str, symbol: str) -> None:
        if name not in self._reported_orphans:
            self._reported_orphans.add(name)
            self._state.counters["orphans"] += 1
            self._alerts.raise_alert("alert", "orphan_order", f"{name}: known to the venue, {why}", symbol)

    def _ended_after(self, client_order_id: str, at_ns: int) -> bool:
        tracker = self._state.orders.get(client_order_id)
        return tracker is not None and tracker.record.updated_ns >= at_ns

    async def apply_strays(self) -> None:
        """Take the words about orders that only the journal knows."""
        strays = self._desk.strays
        while strays:
            event = strays[0]
            name = event.client_order_id if isinstance(event, VenueOrder) else event.fill.client_order_id
            is_ours = self._state.orders.get(name) is not None or await self._adopt(name)
            strays.popleft()
            if is_ours:
                self._desk.take(event)
                continue
            self._report_orphan(name, "without a journal row", _symbol_of(event))
            self._desk.is_reconcile_wanted = True

    async def _adopt(self, client_order_id: str) -> bool:
        """Bring an order and its fills back from the journal into memory; False when there is none."""
        rows = await self._journal.orders_by_id((client_order_id,))
        if not rows:
            return False
        fills = await self._journal.fills_of(client_order_id)
        if self._state.orders.get(client_order_id) is None:
            self._state.orders.put(OrderTracker(rows[0], fills))
        return True


def _symbol_of(event: VenueOrder | VenueTrade) -> str:
    return event.symbol if isinstance(event, VenueOrder) else event.fill.symbol
