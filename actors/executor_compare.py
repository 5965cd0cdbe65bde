"""The comparison of the whole account with the venue: balances, open orders, orphans, what is not ours.

May import `trading.model`, `trading.engine` and the executor's pieces. Owned by the reconciler, which says when. Each
symbol is ready for orders once its own open orders have been compared: one that the venue refuses to list holds up no
other. The rules of what follows from an answer are `engine.reconcile`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

import structlog

from actors.executor_adopt import Adopter
from actors.executor_desk import OrderDesk
from actors.executor_lanes import AlertLane
from actors.executor_locked import LockedSearch
from actors.executor_outside import OutsideKeeper
from actors.executor_rates import RateKeeper
from actors.executor_send import SendPath
from actors.executor_state import ExecutorState
from actors.executor_values import SYMBOLS_A_READ, ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.ports import Crashpoint, Crashpoints, Gateway, Journal
from trading.engine.reconcile import LIVE_AT_VENUE, OUR_PREFIX, OrphanPolicy, compare
from trading.model.errors import DecodeError, RateLimited, VenueRejected, VenueUnavailable
from trading.model.orders import VenueOrder, VenueTrade
from trading.model.units import NS_PER_MS, NS_PER_S

FOREIGN_SHOWN_MAX = 100
# Orphans that people were told of; the oldest of more are told again when they are seen again.
ORPHANS_TOLD_MAX = 10_000
# Symbols that are not traded here and in which a search found open orders.
OTHERS_MAX = 100
# So long after the start (clocks differ) an order under our prefix that no row explains is another instance's.
RIVAL_AFTER_NS = 5 * NS_PER_S
# A stray that the venue refuses to tell is asked about so often, after pauses that double: for half a minute.
UNTOLD_MAX, UNTOLD_FIRST_NS = 7, NS_PER_S // 2
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
        between: Callable[[], Awaitable[None]],
    ) -> None:
        """Args: token: waits until the budget allows one read. between: is given its turn before each list."""
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
        self._between = between
        # A paper venue lives and dies with its symbol: nothing is open there that was not sent from here.
        is_adopting = settings.orphan_policy is OrphanPolicy.ADOPT
        self._policy = OrphanPolicy.CANCEL if settings.is_paper and is_adopting else settings.orphan_policy
        self._started_ns = clock.now_ns()
        self._adopter = Adopter(state, desk, sends, journal, clock, self._report_adopted)
        self._locked = LockedSearch(state, desk, alerts, clock, self._look_elsewhere)
        self.suspects: dict[str, int] = {}  # acknowledged orders that the venue does not show, since when (monotonic)
        self._reported_orphans: dict[str, None] = {}
        self._is_rival_told = False
        self._unlisted: set[str] = set()
        self._untold: dict[str, tuple[int, int]] = {}  # by stray: how often it was refused, and when it is asked next

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
        before = self._state.orders.live_records()
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
        self._locked.see(balances, shown, before)
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
            await self._between()
            try:
                shown += await self._compare(batch)
            except VenueUnavailable as error:
                if not isinstance(error.__context__, VenueRejected):
                    raise
                if len(batch) > 1:
                    for symbol in batch:
                        shown += await self._compare_listed([symbol], is_traded=is_traded)
                elif is_traded:
                    self._on_refused(batch[0], error)
                continue
            self._unlisted.difference_update(batch)
            self._state.unready.difference_update(batch)
        return shown

    def _on_refused(self, symbol: str, error: VenueUnavailable) -> None:
        """Take it that the venue does not list a symbol's open orders: each that it acknowledged is asked for by id."""
        for tracker in self._state.orders.live(symbol):
            if tracker.record.status in LIVE_AT_VENUE:
                self.suspects.setdefault(tracker.record.client_order_id, self._clock.monotonic_ns())
        if symbol not in self._unlisted:
            self._unlisted.add(symbol)
            text = f"the venue does not list its open orders, so it takes none: {error}"
            self._alerts.raise_alert("alert", "orders_not_listed", text, symbol)

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
        await self._token()
        before, asked_ns = self._state.orders.live_records(), self._clock.monotonic_ns()
        venue_open = await self._gateway.open_orders(symbols)
        self._crashpoints.reach(Crashpoint.RECONCILE_AFTER_QUERY)
        found = compare(self._state.orders.live_records(), venue_open, symbols, before)
        for report in found.reports:
            self._desk.take(report)
        for name in found.missing:
            self.suspects.setdefault(name, self._clock.monotonic_ns())
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
        orphans = tuple(order for order in orphans if not self._desk.has_ended_after(order.client_order_id, behind_ns))
        if not orphans:
            return Counter()
        await self._adopter.finish()
        found = await self._journal.orders_by_id([order.client_order_id for order in orphans])
        rows = {row.client_order_id for row in found}
        for order in orphans:
            name = order.client_order_id
            if self._state.orders.get(name) is None and name in rows:
                await self._adopter.recall(name)
            is_known = self._state.orders.get(name) is not None
            if not is_known:
                self._tell_rival(order)
            else:
                # Over in our books, open at the venue: its word is taken, with an alert where it contradicts.
                self._desk.take(order)
            fate = await self._apply_policy(order)
            why = "over in our books" if is_known else "without a journal row"
            self._report_orphan(name, f"{why}: {fate}", order.symbol)
        return Counter(order.symbol for order in orphans)

    def _tell_rival(self, order: VenueOrder) -> None:
        """Say once what to do where somebody else places orders under our prefix: with us, a row comes before them."""
        if order.created_ts_ns <= self._started_ns + RIVAL_AFTER_NS or self._is_rival_told:
            return
        self._is_rival_told = True
        text = (
            f"another mexcbot with another database trades this account too ({order.client_order_id} was placed after "
            "this start and has no row here): stop one of them, each takes the other's orders for orphans"
        )
        self._alerts.raise_alert("alert", "another_instance", text)

    async def _apply_policy(self, order: VenueOrder) -> str:
        """Do with an open orphan what the policy says, and tell it in words. Raises: StoreError."""
        name, why_not = order.client_order_id, ""
        match self._policy:
            case OrphanPolicy.LEAVE:
                return "left alone"
            case OrphanPolicy.ADOPT if self._state.orders.is_live(name):
                return "it goes on under its row"
            case OrphanPolicy.ADOPT if self._state.orders.get(name) is None:
                if not (why_not := await self._adopter.adopt(order)):
                    return "adopted"
        self._sends.cancels.queue(name, order.symbol, order.venue_order_id)
        return f"cancelled, not adopted: {why_not}" if why_not else "cancelled"

    def _report_adopted(self, order: VenueOrder) -> None:
        lots = f"{order.qty_lots} lots at {order.price_ticks} ticks, {order.filled_lots} of them executed before"
        what = f"without a journal row: adopted, {order.side} {lots}"
        self._report_orphan(order.client_order_id, what, order.symbol, is_news=True)

    def _report_orphan(self, name: str, what: str, symbol: str, *, is_news: bool = False) -> None:
        is_known = name in self._reported_orphans
        if is_known and not is_news:
            return
        self._reported_orphans[name] = None
        if len(self._reported_orphans) > ORPHANS_TOLD_MAX:
            del self._reported_orphans[next(iter(self._reported_orphans))]
        self._state.counters["orphans"] += not is_known
        self._alerts.raise_alert("alert", "orphan_order", f"{name}: known to the venue, {what}", symbol)

    async def apply_strays(self) -> None:
        """Take the words about orders that only the journal knows, or that are adopted for them."""
        await self._adopter.finish()
        strays, at = self._desk.strays, 0
        names = set(map(_name_of, strays))
        self._untold = {name: item for name, item in self._untold.items() if name in names}
        while at < len(strays):
            event = strays[at]
            is_ours = await self._is_ours(_name_of(event), event)
            if is_ours is None:
                at += 1
                continue
            if strays[at] is event:  # else it made room for a newer one
                del strays[at]
            if is_ours:
                self._desk.take(event)
                continue
            is_untold = _name_of(event) in self._untold
            what = "without a journal row" + (": the venue refuses to tell it" if is_untold else "")
            self._report_orphan(_name_of(event), what, _symbol_of(event))
            self._desk.is_reconcile_wanted = True

    async def _is_ours(self, name: str, event: VenueOrder | VenueTrade) -> bool | None:
        """Tell whether a stray belongs to an order that is ours by now; None while it is to be asked about later.

        One that the venue refuses to tell is asked about more and more seldom, and in the end is not ours: it holds up
        no other. Raises: StoreError; VenueUnavailable when nobody is answered.
        """
        if self._state.orders.get(name) is not None:
            return True
        times, next_ns = self._untold.get(name, (0, 0))
        if times >= UNTOLD_MAX:
            return False
        if times and self._clock.monotonic_ns() < next_ns:
            return None
        try:
            is_ours = await self._adopter.recall(name) or await self._adopt_stray(name, event)
        except VenueUnavailable as error:
            if isinstance(error, RateLimited) or not isinstance(error.__context__, (VenueRejected, DecodeError)):
                raise
            self._state.counters["reads_failed"] += 1
            self._untold[name] = (times + 1, self._clock.monotonic_ns() + (UNTOLD_FIRST_NS << times))
            log.info("stray_not_told", client_order_id=name, times=times + 1, reason=str(error))
            return None if times + 1 < UNTOLD_MAX else False
        self._untold.pop(name, None)
        return is_ours

    async def _adopt_stray(self, name: str, event: VenueOrder | VenueTrade) -> bool:
        """Adopt an orphan that executed before it was seen open. Raises: VenueUnavailable, StoreError.

        Only what happened under this executor: older executions are in the opening, or booked as adjustments.
        """
        told = event if isinstance(event, VenueOrder) else event.fill
        has_traded = not isinstance(event, VenueOrder) or event.filled_lots > 0
        if self._policy is not OrphanPolicy.ADOPT or told.exch_ts_ns < self._started_ns or not has_traded:
            return False  # one that is open is found by the next comparison
        await self._token()
        word = await self._gateway.order(told.symbol, name)
        return word is not None and word.filled_lots > 0 and not await self._adopter.adopt(word)


def _name_of(event: VenueOrder | VenueTrade) -> str:
    return event.client_order_id if isinstance(event, VenueOrder) else event.fill.client_order_id


def _symbol_of(event: VenueOrder | VenueTrade) -> str:
    return event.symbol if isinstance(event, VenueOrder) else event.fill.symbol
