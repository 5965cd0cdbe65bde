"""The executor's pieces, wired: made from what the journal holds, once, at start. Start-up is crash recovery.

May import `trading.model`, `trading.engine`, the clock and the executor's pieces. The order is: lease, load, every
order in flight is UNKNOWN, gateway, loops; then the reconciler makes the account ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from dataclasses import replace
from typing import Any

import structlog

from actors.executor_books import BookKeeper
from actors.executor_desk import OrderDesk
from actors.executor_flatten import Flattener
from actors.executor_guard import Guard
from actors.executor_halt import HaltControl
from actors.executor_lanes import AlertLane, DeliveryLane, IntentLane, OutcomeLane
from actors.executor_lease import LeaseKeeper
from actors.executor_outside import OutsideKeeper
from actors.executor_rates import RateKeeper
from actors.executor_reconcile import Reconciler
from actors.executor_send import SendPath
from actors.executor_state import ExecutorState
from actors.executor_sweep import Sweeper
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.account import ACCOUNT_SCOPE, Account
from trading.engine.account_limits import AccountLimits
from trading.engine.budget import RateBudget, RequestMeter
from trading.engine.order_tracker import OrderTracker
from trading.engine.parameters import parse
from trading.engine.ports import Crashpoint, Crashpoints, Gateway, Journal, JournalEntry, JournalState, SymbolPort
from trading.model.errors import ConfigError
from trading.model.instrument import Instrument
from trading.model.orders import CancelIntent, OrderStatus

# How often a send to a paper venue that was given up is looked at; it ends by its own timeout.
SENDING_STEP_S = 0.05
CLOSE_PATIENCE_S = 2.0
log = structlog.get_logger("executor")


class ExecutorCore:
    """Everything of one running executor. Owned by one `ExecutorActor`; a restart makes a new one from the journal."""

    def __init__(
        self,
        settings: ExecutorSettings,
        journal: Journal,
        gateway: Gateway,
        instruments: MutableMapping[str, Instrument],
        symbols: Callable[[str], SymbolPort],
        clock: Clock,
        crashpoints: Crashpoints,
        crash: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.gateway = gateway
        self.clock = clock
        self.crashpoints = crashpoints
        self._crash = crash
        self._tasks: set[asyncio.Task[None]] = set()
        self._released: dict[str, int] = {}  # symbols whose positions shrink, with the epoch that fenced their owner
        now_ns = clock.now_ns()
        self.account = Account(AccountLimits(), instruments)
        self.state = ExecutorState(self.account, instruments)
        self.budget = RateBudget(settings.budget, now_ns)
        name = f"executor:{settings.account}"
        self.keeper = LeaseKeeper(name, settings.owner, settings.lease_ttl_s, self.state, journal, clock)
        is_valid = self.keeper.is_valid
        self.alerts = AlertLane(journal, clock, self.state.counters)
        self.deliveries = DeliveryLane(symbols, self.state.counters, crashpoints)
        self.outcomes = OutcomeLane(self.state, journal, self.keeper, crashpoints, self._on_committed)
        self.intents = IntentLane(self.state, journal, self.keeper, crashpoints)
        self.rates = RateKeeper(self.state, instruments, gateway, self.budget, self.alerts, clock)
        self.desk = OrderDesk(self.state, self.outcomes, self.alerts, self.rates, clock)
        self.sends = SendPath(
            self.state,
            self.desk,
            self.intents,
            self.keeper,
            journal,
            gateway,
            self.budget,
            clock,
            crashpoints,
            settings.recv_window_ms,
            self.spawn,
        )
        state, desk, sends, alerts = self.state, self.desk, self.sends, self.alerts
        self.outside = OutsideKeeper(
            settings, state, self.keeper, journal, alerts, clock, self._release, self._is_writing
        )
        rates, outside = self.rates, self.outside
        self.reconciler = Reconciler(
            settings, state, desk, sends, journal, gateway, self.budget, rates, outside, alerts, clock, crashpoints
        )
        sweeper = Sweeper(settings, state, sends, gateway, self.budget, clock, desk.take, self.retire, is_valid)
        self.flattener = Flattener(settings, self.state, self.sends, self.keeper, self.alerts, clock, sweeper)
        self.halts = HaltControl(settings, self.state, journal, self.alerts, clock, sweeper, self.flattener, self.spawn)
        self.guard = Guard(
            settings,
            self.state,
            self.keeper,
            journal,
            gateway,
            self.alerts,
            clock,
            sweeper,
            self.halts.reduce,
            self._halt_symbol,
            self.outcomes.mark,
        )
        self.books = BookKeeper(settings, self.state, self.keeper, journal, self.alerts, clock, self._halt_account)

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self, *, with_loops: bool = True) -> None:
        """Take the lease, rebuild everything from the journal, and begin.

        Args: with_loops: False leaves the periodic loops to the caller (`round`, `poll`), for a manual clock.
        Raises: NotRunning while another executor lives; StoreError; ConfigError.
        """
        await self.keeper.take()
        log.info("lease_taken", epoch=self.keeper.epoch)
        self.crashpoints.reach(Crashpoint.START_AFTER_LEASE)
        loaded = await self.journal.load(self.settings.account)
        recalled = self._recall_instruments(loaded)
        self._restore(loaded)
        await self._register_instruments(loaded)
        await self._restore_orders(loaded)
        self.account.restore_trips(loaded.trips)
        if self.settings.is_paper:
            await self.books.open_paper_account()
        else:
            self.state.unready = self.state.epochs.keys() | self.state.orders.symbols()
        self.books.start_checking()
        log.info("journal_loaded", unfinished=len(loaded.unfinished), positions=len(loaded.positions))
        if self.keeper.predecessor:
            text = f"the executor ended unasked and was started again: {len(loaded.unfinished)} orders are looked up"
            self.alerts.raise_alert("warning", "executor_restarted", text)
        await self.gateway.start(self.desk.take, RequestMeter(self.budget, self.clock.now_ns))
        self.spawn(self.intents.run(), "intents")
        self.spawn(self.outcomes.run(), "outcomes")
        self.spawn(self.alerts.run(), "alerts")
        self.spawn(self.sends.run(), "sends")
        self._recover()
        self._end_ownerless(recalled)
        self.crashpoints.reach(Crashpoint.START_AFTER_RECOVER)
        if with_loops:
            self.spawn(self.keeper.run(), "lease")
            self.spawn(self.reconciler.run(), "reconcile")
            self.spawn(self.reconciler.run_cancels(), "recancel")
            self.spawn(self.halts.run(), "halts")
            self.spawn(self.books.run(), "books")
            self.spawn(self.guard.run(), "guard")
        await self.halts.enforce_stored()

    async def close(self) -> None:
        """Stop: outcomes and alerts are written if the journal lets us, then the lease is given up. Cancels nothing."""
        try:
            async with asyncio.timeout(CLOSE_PATIENCE_S):
                await self.outcomes.flush()
                await self.alerts.flush()
        except TimeoutError:
            log.warning("outcomes_not_written", count=self.outcomes.backlog, alerts=self.alerts.backlog)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.deliveries.close()
        await self.gateway.close()
        await self.keeper.release()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a task that must not die: an exception in it ends the executor, which then recovers from the journal."""
        task = asyncio.create_task(work, name=f"executor:{name}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash(f"{task.get_name()}: {type(error).__name__}: {error}")

    # --- rebuilding -----------------------------------------------------------------------------------------------

    def _recall_instruments(self, loaded: JournalState) -> frozenset[str]:
        """Read stored ticks and lots by what they meant, for as long as something is left of them.

        Returns: the symbols that nobody can own as they are: the venue lists them no more, or by other filters while
            orders by the former ones are open.
        """
        recalled = set()
        open_symbols = {item.symbol for item in (*loaded.unfinished, *loaded.short)}
        kept_symbols = open_symbols | {item.symbol for item in loaded.positions}
        for item in loaded.instruments:
            listed = self.state.instruments.get(item.symbol)
            if (listed is None or not listed.is_listed) and item.symbol in kept_symbols:
                self.state.instruments[item.symbol] = item.unlisted()
                recalled.add(item.symbol)
            elif listed is not None and item.symbol in open_symbols and item.filters != listed.filters:
                text = f"listed by other filters now ({listed.filters}), with orders open by the former ones"
                self.state.instruments[item.symbol] = replace(item, exclusion=text)
                recalled.add(item.symbol)
                self.alerts.raise_alert("alert", "filters_changed", f"{text}: they are cancelled", item.symbol)
        return frozenset(recalled)

    def _restore(self, loaded: JournalState) -> None:
        """Bring limits, halts, positions, sequence numbers and balances back."""
        try:
            self.account.limits = parse(AccountLimits, {**dict(self.settings.limits), **dict(loaded.limits)})
        except ConfigError as error:
            # A limit stored by another version: safe defaults, and people are told.
            self.account.limits = parse(AccountLimits, dict(self.settings.limits))
            self.alerts.raise_alert("alert", "limits_unreadable", str(error))
        self.account.restore_pnl(loaded.day_open, loaded.peak_net_pnl, loaded.departed_pnl)
        self.account.restore_streak(loaded.streak)
        for scope, halt_state, reason in loaded.halts:
            self.account.set_halt(scope, halt_state, reason)
        for position in loaded.positions:
            self.account.set_position(position)
            if position.qty and not self.state.instruments[position.symbol].is_listed:
                text = f"{position.qty} held of a symbol that the venue does not list"
                self.alerts.raise_alert("alert", "position_unlisted", text, position.symbol)
        self.state.last_seq.update(loaded.last_seq)
        self.state.committed_seq.update(loaded.last_seq)
        self.state.epochs.update(loaded.symbol_epochs)
        self.state.ledger_totals.update(loaded.ledger_totals)
        self.outside.has_opening = loaded.has_opening
        if not self.settings.is_paper:
            for balance in loaded.balances:
                self.account.on_balance(balance)

    async def _register_instruments(self, loaded: JournalState) -> None:
        """Tell the journal every symbol that may write: living symbol actors go on without attaching again."""
        names = {symbol for symbol, _ in loaded.symbol_epochs}
        names |= {item.symbol for item in (*loaded.unfinished, *loaded.short)}
        names |= {item.symbol for item in loaded.positions}
        known = [self.state.instruments[symbol] for symbol in sorted(names & self.state.instruments.keys())]
        await self.journal.register_instruments(known, self.clock.now_ns())

    async def _restore_orders(self, loaded: JournalState) -> None:
        """Bring back what is open, and what is over but short of executions: those are still to be fetched."""
        for record in (*loaded.unfinished, *loaded.short):
            fills = await self.journal.fills_of(record.client_order_id) if record.filled_lots else ()
            tracker = OrderTracker(replace(record, executor_epoch=self.keeper.epoch), fills)
            if self.settings.is_paper:
                tracker.forget_unbooked()  # a paper venue that lives on repeats what it did
            self.state.orders.put(tracker)
            self.account.on_order(tracker.record)
        unlisted = [item for item in loaded.unfinished if not self.state.instruments[item.symbol].is_listed]
        if unlisted:
            names = ", ".join(sorted({item.symbol for item in unlisted}))
            text = f"{len(unlisted)} unfinished orders of symbols that the venue does not list are cancelled: {names}"
            self.alerts.raise_alert("alert", "orders_unlisted", text)

    def _recover(self) -> None:
        """Every order that may have been on the wire is UNKNOWN until its window has passed (promise 4)."""
        for tracker in self.state.orders.live():
            if tracker.record.status in (OrderStatus.PENDING, OrderStatus.SENT):
                step = tracker.on_unknown("the executor was restarted while it was in flight", self.clock.now_ns())
                if step is not None:
                    self.desk.apply(tracker, (step,))
        self.state.counters["recovered"] = len(self.state.orders.live())

    def _end_ownerless(self, symbols: frozenset[str]) -> None:
        """End the orders of symbols that nobody can own; a paper venue is gone with a symbol that is not listed."""
        now_ns = self.clock.now_ns()
        for tracker in self.state.orders.live():
            record = tracker.record
            if record.symbol not in symbols:
                continue
            if self.settings.is_paper and not self.state.instruments[record.symbol].is_listed:
                self.desk.end_at_venue(tracker, "its paper venue is gone")
            else:
                self.sends.request_cancel(CancelIntent(record.client_order_id, record.symbol, now_ns, "ownerless"))

    # --- shared steps ---------------------------------------------------------------------------------------------

    def _on_committed(self, entries: list[JournalEntry]) -> None:
        for entry in entries:
            if entry.delivery is not None:
                self.state.committed_seq[entry.order.symbol] = entry.delivery.seq
        self.deliveries.deliver(entries)

    async def retire(self, symbol: str) -> None:
        """Fence a symbol's owner. In paper mode its orders end with that: what it executes cannot count any more.

        Raises: StoreError; NotRunning when the lease is another executor's.
        """
        owner = f"retired by {self.settings.owner}"
        epoch = await self.keeper.write(lambda lease: self.journal.next_symbol_epoch(lease, symbol, owner))
        self.state.epochs[symbol] = epoch
        self.sends.fence(symbol)
        if self.settings.is_paper:
            self._end_paper_orders(symbol)
            if self.sends.is_sending(symbol):
                self.spawn(self._end_late(symbol, epoch), "late")

    async def _release(self, symbol: str, reason: str) -> bool:
        """Allow exits only of a symbol, fence its owner, and cancel what it has open; True once nothing is.

        The owner comes back with the position as it is then. Raises: StoreError, NotRunning.
        """
        await self.halts.reduce(symbol, reason)
        # Fenced first: an owner that goes on would put its exit back as often as it is cancelled here.
        if self._released.get(symbol) != self.state.epochs.get(symbol):
            await self.retire(symbol)
            self._released[symbol] = self.state.epochs[symbol]
        live = self.state.orders.live(symbol)
        for tracker in live:
            self.sends.request_cancel(
                CancelIntent(tracker.record.client_order_id, symbol, self.clock.now_ns(), "released")
            )
        if live or self.outcomes.pending_of(symbol):
            return False
        return self._released.pop(symbol) == self.state.epochs[symbol]

    def _is_writing(self, symbol: str) -> bool:
        return bool(self.outcomes.pending_of(symbol))

    async def _end_late(self, symbol: str, epoch: int) -> None:
        """End what was on the way to a paper venue that was given up: nobody is left to resolve it."""
        while True:
            if not self.sends.is_sending(symbol):
                break
            await asyncio.sleep(SENDING_STEP_S)
        if self.state.epochs.get(symbol) == epoch:
            self._end_paper_orders(symbol)

    def _end_paper_orders(self, symbol: str) -> None:
        """End the orders of a paper venue that exists no more; those on the way to it are left to their answer."""
        for tracker in self.state.orders.live(symbol):
            if tracker.record.client_order_id not in self.state.sending:
                tracker.forget_unbooked()
                self.desk.end_at_venue(tracker, "its paper venue is gone")

    async def _halt_account(self, reason: str) -> None:
        await self.halts.halt(ACCOUNT_SCOPE, (), False, reason)

    async def _halt_symbol(self, symbol: str | None, reason: str) -> None:
        scope, symbols = ("symbol", (symbol,)) if symbol is not None else (ACCOUNT_SCOPE, ())
        self.spawn(self._halt_until_over(scope, symbols, reason), "halt")

    async def _halt_until_over(self, scope: str, symbols: tuple[str, ...], reason: str) -> None:
        await self.halts.halt(scope, symbols, False, reason)
