"""The reconciler: asks the venue about what is unknown, missing or not ours, and applies its word.

May import `trading.model`, `trading.engine` and the executor's pieces. Questions cost budget and go after the orders; a
question that cannot be asked now is asked later. The rules of what follows from an answer are `engine.reconcile`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from actors.executor_compare import Comparer
from actors.executor_desk import OrderDesk
from actors.executor_lanes import AlertLane
from actors.executor_outside import OutsideKeeper
from actors.executor_rates import RateKeeper
from actors.executor_search import TradeSearch
from actors.executor_send import SendPath
from actors.executor_state import ExecutorState, JournalWork
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.budget import RateBudget
from trading.engine.order_tracker import OrderTracker
from trading.engine.ports import Crashpoint, Crashpoints, Gateway, Journal
from trading.engine.reconcile import Evidence, Verdict, provable_from_ms, resolve_unknown
from trading.model.errors import DecodeError, RateLimited, StoreError, VenueRejected, VenueUnavailable
from trading.model.orders import OrderStatus, VenueTrade
from trading.model.units import NS_PER_MS, NS_PER_S

# The documented weights of these reads (2 to 10 of 500 in 10 s, mexc-protocol §3.4) bind later than the effective 15
# requests a second, where each counts as one.
READ_WEIGHT = 1
TOKEN_STEP_S, TOKEN_LEAST_S = 0.1, 0.001
# Between the lists of a long comparison, orders in doubt are asked about again so often.
URGENT_NS = NS_PER_S
# An order about which the venue refuses to answer is asked about more and more seldom.
REFUSED_FIRST_NS, REFUSED_MAX_NS = NS_PER_S // 2, 30 * NS_PER_S
# A push of the last fill is normally here within milliseconds; after this the trades are fetched.
FILL_PATIENCE_NS = NS_PER_S // 2
FILL_PAUSE_MAX_NS = 60 * NS_PER_S
FILL_ALARM_NS = 60 * NS_PER_S
# How far before its signing an order is searched in the venue's lists.
SEARCH_BACK_MS = 2_000
log = structlog.get_logger("executor")


@dataclass(slots=True)
class _Wait:
    """For how many lots of an order's executions we wait, since when, and when they are asked for next (monotonic)."""

    lots: int
    since_ns: int
    next_ns: int
    is_told: bool = False


class Reconciler:
    """Owned by one `ExecutorActor`. Invariant: it concludes absence only by promise 2, and touches no foreign order."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        desk: OrderDesk,
        sends: SendPath,
        journal: Journal,
        gateway: Gateway,
        budget: RateBudget,
        rates: RateKeeper,
        outside: OutsideKeeper,
        alerts: AlertLane,
        clock: Clock,
        crashpoints: Crashpoints,
    ) -> None:
        self._settings = settings
        self._state = state
        self._desk = desk
        self._sends = sends
        self._journal = journal
        self._gateway = gateway
        self._budget = budget
        self._rates = rates
        self._outside = outside
        self._alerts = alerts
        self._clock = clock
        self._crashpoints = crashpoints
        self._search = TradeSearch(state, desk, journal, gateway, self._token)
        self._comparer = Comparer(
            settings,
            state,
            desk,
            sends,
            journal,
            gateway,
            rates,
            outside,
            alerts,
            clock,
            crashpoints,
            self._token,
            self._between_lists,
        )
        self._suspects = self._comparer.suspects
        self._short: dict[str, _Wait] = {}  # orders with executions missing here
        self._refused: dict[str, tuple[int, int]] = {}  # by order: how often in a row, and when it is asked next
        self._compared_ns: int | None = None  # when the last comparison of everything ended
        self._urgent_ns = 0

    async def run(self) -> None:
        """Resolve what is open to doubt, for ever; compare everything each minute and when it was asked for."""
        while True:
            await asyncio.sleep(self._settings.resolve_interval_s)
            await self.round()

    async def run_cancels(self) -> None:
        """Ask again for cancels that did not end their order, for ever: no comparison, however long, holds them up."""
        while True:
            await asyncio.sleep(self._settings.resolve_interval_s)
            self._sends.recancel_due()

    async def round(self) -> None:
        """Do one round; a venue that does not answer ends it. Cancels are asked for again first, whatever it reads."""
        self._sends.recancel_due()
        try:
            untold = await self._compare_if_due()
            if untold is None:
                await self._comparer.apply_strays()
            await self._settle_doubts()
            if untold is not None:
                raise untold
            if not self._settings.is_paper:
                if assets := self._outside.unsearched():
                    await self._search.search(assets)
                    self._outside.on_searched(assets)
                await self._outside.book(bool(self._suspects or self._desk.strays))
                await self._comparer.search_locks()
        except RateLimited as error:
            self._budget.on_rate_limited(error.retry_after_s, self._clock.now_ns(), error.is_firewall)
            self._desk.is_reconcile_wanted = True
        except VenueUnavailable as error:
            self._state.counters["reads_failed"] += 1
            if not self._settings.is_paper:  # there each symbol is a venue of its own
                self._state.on_venue_answer(False)
            self._desk.is_reconcile_wanted = True
            log.info("reconcile_waits", reason=str(error))
        except StoreError as error:
            self._state.on_journal(JournalWork.READS, False)
            self._desk.is_reconcile_wanted = True
            log.error("reconcile_waits", reason=str(error))

    async def _compare_if_due(self) -> VenueUnavailable | None:
        """Compare when it is time; return what kept it: a venue that refuses one list may tell single orders.

        Raises: RateLimited, StoreError.
        """
        if not (self._desk.is_reconcile_wanted or self._is_compare_due() or self._comparer.is_due()):
            return None
        try:
            await self.compare_all()
        except RateLimited:
            raise
        except VenueUnavailable as error:
            return error
        return None

    async def compare_all(self) -> None:
        """Compare balances and open orders with the venue now. Raises: VenueUnavailable, StoreError."""
        await self._comparer.compare_all()
        self._compared_ns = self._clock.monotonic_ns()

    def _is_compare_due(self) -> bool:
        """Each minute; every few seconds while nobody pushes. Counts from the end of the last: reads cost tokens."""
        if self._compared_ns is None:
            return True
        settings = self._settings
        interval_s = settings.reconcile_interval_s
        if not self._state.is_stream_up:
            interval_s = min(interval_s, settings.streamless_interval_s)
        return self._clock.monotonic_ns() - self._compared_ns >= int(interval_s * NS_PER_S)

    # --- one order at a time --------------------------------------------------------------------------------------

    async def _settle_doubts(self) -> None:
        """Ask about every order that is in doubt. Raises: VenueUnavailable when the venue answers none."""
        self._urgent_ns = self._clock.monotonic_ns() + URGENT_NS
        self._refused = {name: item for name, item in self._refused.items() if self._state.orders.get(name)}
        await self._resolve_unknown()
        await self._resolve_suspects()
        await self._fetch_missing_fills()

    async def _between_lists(self) -> None:
        """Called before each list of a comparison, which may take long: orders in doubt do not wait for its end."""
        if not self._settings.is_paper and self._clock.monotonic_ns() >= self._urgent_ns:
            await self._settle_doubts()

    async def _resolve_unknown(self) -> None:
        for tracker in tuple(self._state.orders.unknown()):
            name = tracker.record.client_order_id
            if name not in self._state.sending and self._may_ask(name):
                try:
                    await self._resolve(tracker)
                except VenueUnavailable as error:
                    self._on_refused(name, error)
                else:
                    self._refused.pop(name, None)

    def _may_ask(self, name: str) -> bool:
        return name not in self._refused or self._clock.monotonic_ns() >= self._refused[name][1]

    def _on_refused(self, name: str, error: VenueUnavailable) -> None:
        """Ask about this order more seldom, and go on with the others. Raises: what says that nobody is answered."""
        is_refused = isinstance(error.__context__, (VenueRejected, DecodeError))
        if isinstance(error, RateLimited) or not (is_refused or self._settings.is_paper):
            raise error
        self._state.counters["reads_failed"] += 1
        if is_refused:
            times = self._refused.get(name, (0, 0))[0] + 1
            pause_ns = min(REFUSED_FIRST_NS << min(times - 1, 8), REFUSED_MAX_NS)
            self._refused[name] = (times, self._clock.monotonic_ns() + pause_ns)
            log.info("order_not_told", client_order_id=name, times=times, reason=str(error))

    async def _resolve(self, tracker: OrderTracker) -> None:
        """Ask about one order of unknown outcome, and follow promise 2."""
        await self._token()
        record, asked_ms = tracker.record, self._gateway.now_ms()
        if record.status is not OrderStatus.UNKNOWN:
            return  # a push was faster
        report = await self._gateway.order(record.symbol, record.client_order_id)
        if report is not None:
            self._desk.take(report)
            return
        if asked_ms < provable_from_ms(record, self._settings.patience):
            return
        evidence = await self._evidence(tracker)
        if tracker.record.status is not OrderStatus.UNKNOWN:
            return  # a push was faster
        match resolve_unknown(record, evidence, asked_ms, self._settings.patience):
            case Verdict.ABSENT:
                self._crashpoints.reach(Crashpoint.RESOLVE_BEFORE_ABSENT)
                self._state.counters["not_sent"] += 1
                text = f"absent at {asked_ms} ms from query, orders and trades"
                self._desk.apply(tracker, (tracker.on_absent(text, self._clock.now_ns()),))
            case Verdict.FOUND | Verdict.WAIT:
                return

    async def _evidence(self, tracker: OrderTracker) -> Evidence:
        """Look for an order in the venue's lists, apply what is found, and say what was seen."""
        record = tracker.record
        since_ms = (record.signed_ms or record.created_ns // NS_PER_MS) - SEARCH_BACK_MS
        await self._token()
        orders = await self._gateway.recent_orders(record.symbol, since_ms)
        own = [item for item in orders if item.client_order_id == record.client_order_id]
        await self._token()
        trades = await self._gateway.trades(record.symbol, "", since_ms)
        own_trades = [item for item in trades if _is_of(item, tracker)]
        for trade in own_trades:
            self._desk.take(trade)
        for report in own:
            self._desk.take(report)
        return Evidence(False, bool(own), bool(own_trades))

    async def _resolve_suspects(self) -> None:
        """Ask about acknowledged orders that the venue does not list: they are over, or the list was behind."""
        for name, since_ns in tuple(self._suspects.items()):
            tracker = self._state.orders.get(name)
            if tracker is None or tracker.record.status.is_terminal or tracker.is_ended_at_venue:
                del self._suspects[name]
                continue
            if not self._may_ask(name):
                continue
            try:
                await self._resolve_suspect(tracker, since_ns)
            except VenueUnavailable as error:
                self._on_refused(name, error)
            else:
                self._refused.pop(name, None)

    async def _resolve_suspect(self, tracker: OrderTracker, since_ns: int) -> None:
        name = tracker.record.client_order_id
        await self._token()
        report = await self._gateway.order(tracker.record.symbol, name)
        if report is not None:
            self._desk.take(report)
            self._suspects.pop(name, None)
            return
        lag_ns = self._settings.patience.query_lag_ms * NS_PER_MS
        if self._clock.monotonic_ns() - since_ns < lag_ns:
            return
        evidence = await self._evidence(tracker)
        if evidence == Evidence(False, False, False) and not tracker.record.status.is_terminal:
            # Acknowledged once, now in no list: it cannot trade any more. Booked fills stay.
            text = "the venue acknowledged it and shows it nowhere"
            self._alerts.raise_alert("alert", "order_vanished", f"{name}: {text}", tracker.record.symbol)
            self._desk.end_at_venue(tracker, text)

    async def _fetch_missing_fills(self) -> None:
        """Fetch the executions of orders of which the venue says that more has traded than is booked."""
        now_ns = self._clock.monotonic_ns()
        patience_ns = FILL_PATIENCE_NS if self._state.is_stream_up else 0
        short = {item.record.client_order_id: item for item in self._state.orders.watched() if item.missing_lots}
        known, self._short = self._short, {}
        for name, tracker in short.items():
            wait = known.get(name)
            if wait is None or wait.lots != tracker.missing_lots:
                wait = _Wait(tracker.missing_lots, now_ns, now_ns + patience_ns)
            self._short[name] = wait
        for name, tracker in short.items():
            wait = self._short[name]
            if now_ns < wait.next_ns:
                continue
            await self._token()
            # Rarer and rarer: what its list of trades does not show for a minute, it may never show.
            wait.next_ns = now_ns + min(max(FILL_PATIENCE_NS, (now_ns - wait.since_ns) // 2), FILL_PAUSE_MAX_NS)
            self._tell_missing(name, tracker, wait, now_ns)
            record = tracker.record
            since_ms = (record.signed_ms or record.created_ns // NS_PER_MS) - SEARCH_BACK_MS
            self._state.counters["fills_fetched"] += 1
            try:
                trades = await self._gateway.trades(record.symbol, record.venue_order_id, since_ms)
            except VenueUnavailable as error:
                self._on_refused(name, error)
                continue
            self._crashpoints.reach(Crashpoint.FETCH_BEFORE_BOOK)
            for trade in trades:
                if _is_of(trade, tracker):
                    self._desk.take(trade)

    def _tell_missing(self, name: str, tracker: OrderTracker, wait: _Wait, now_ns: int) -> None:
        if not wait.is_told and now_ns - wait.since_ns >= FILL_ALARM_NS:
            wait.is_told = True
            text = f"{name}: the venue says that {wait.lots} lots more have traded than its list of trades shows"
            self._alerts.raise_alert("alert", "fills_missing", text, tracker.record.symbol)

    # --- tokens ---------------------------------------------------------------------------------------------------

    async def _token(self) -> None:
        """Wait for what one read costs, to the moment: between orders the bucket is full enough for a moment only."""
        while True:
            now_ns = self._clock.now_ns()
            if self._budget.try_read(READ_WEIGHT, now_ns):
                return
            wait_s = self._budget.read_wait_ns(READ_WEIGHT, now_ns) / NS_PER_S
            await asyncio.sleep(min(TOKEN_STEP_S, max(TOKEN_LEAST_S, wait_s)))


def _is_of(trade: VenueTrade, tracker: OrderTracker) -> bool:
    record = tracker.record
    if trade.fill.client_order_id:
        return trade.fill.client_order_id == record.client_order_id
    return bool(record.venue_order_id) and trade.fill.venue_order_id == record.venue_order_id
