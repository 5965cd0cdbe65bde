"""The executor of one account: every order, fill and halt passes here. A plain class; Ray hosts it by `actors.handles`.

May import `trading.model`, `trading.engine`, the clock and the executor's pieces. submit -> risk and budget -> group
commit -> gateway -> commit -> deliver. All methods run on one event loop; arguments and results are frozen values.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import replace

import structlog

from actors.executor_core import ExecutorCore
from actors.executor_rates import FEE_ASSETS
from actors.executor_values import ExecutorSettings, ExecutorStatus, LimitValue, limit_values
from actors.symbol_ports import MarkAnswer, SubmitReceipt, SymbolAttachment
from trading.adapters.clock import Clock
from trading.engine.bootstrap import SymbolBootstrap
from trading.engine.parameters import as_texts, parse
from trading.engine.ports import Crashpoint, Crashpoints, Gateway, Journal, OrderRecord, Submission, SymbolPort
from trading.engine.reconcile import OUR_PREFIX
from trading.model.errors import ConfigError, FencedOut, NotRunning, OutcomeUnknown, Refused, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.orders import CancelIntent, Delivery, OrderStatus, VenueEvent
from trading.model.session import HaltReport
from trading.model.units import NS_PER_S, plain

# One re-read answers at most this many events; the symbol asks again from the last it got.
READ_EVENTS_MAX = 1_000
# How long a former owner's sends may take to be answered before a new owner is attached all the same.
ATTACH_PATIENCE_S = 5.0
STEP_S = 0.05
log = structlog.get_logger("executor")


class NoCrashpoints:
    """Passes every named point: what runs outside of tests."""

    def reach(self, point: Crashpoint) -> None:
        """Pass."""


class ExecutorActor:
    """One account's executor. Invariant: nothing reaches the venue, and no symbol is told, before it is journaled."""

    def __init__(
        self,
        settings: ExecutorSettings,
        journal: Journal,
        gateway: Gateway,
        instruments: MutableMapping[str, Instrument],
        symbols: Callable[[str], SymbolPort],
        clock: Clock,
        crash: Callable[[str], None],
        crashpoints: Crashpoints | None = None,
    ) -> None:
        """Make it; nothing happens before `start`.

        Args:
            instruments: by symbol, all that may be traded; the mapping may grow, and `set_instrument` changes it.
            symbols: gives the way to a symbol's actor; it need not be up.
            crash: ends the process; called when a loop died or another owner took the lease.
        """
        self._settings = settings
        self._instruments = instruments
        self._clock = clock
        self._core = ExecutorCore(
            settings, journal, gateway, instruments, symbols, clock, crashpoints or NoCrashpoints(), crash
        )
        self._started_ns = clock.now_ns()
        self._is_started = False

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self, *, with_loops: bool = True) -> None:
        """Recover from the journal and begin; see `ExecutorCore.start`."""
        await self._core.start(with_loops=with_loops)
        self._is_started = True

    async def close(self) -> None:
        """Stop in order: write what waits, release the lease. Open orders stay open."""
        self._is_started = False
        await self._core.close()

    async def ping(self) -> str:
        """Return the process id."""
        return str(os.getpid())

    @property
    def core(self) -> ExecutorCore:
        """The running pieces. Raises: NotRunning before the start."""
        if not self._is_started:
            raise NotRunning("the executor is starting")
        return self._core

    # --- symbols --------------------------------------------------------------------------------------------------

    async def attach_symbol(self, symbol: str, run_id: str, run_number: int, owner: str) -> SymbolAttachment:
        """Make `owner` the symbol's only owner, and give it everything to go on from.

        What the former owner has waiting is denied; what it has on the wire is awaited. In paper mode its paper venue
        is gone with it: open orders are in the bootstrap, to be queued again at the back; unknown ones ended with it.
        Raises: ConfigError when the symbol is unknown or not tradable; StoreError; NotRunning before the start.
        """
        core = self.core
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise ConfigError(f"unknown symbol {symbol}: the venue does not list it")
        if instrument.exclusion is not None:
            raise ConfigError(f"{symbol} is not tradable: {instrument.exclusion}")
        await core.rates.learn_fees(symbol)
        instrument = self._instruments[symbol]
        await core.journal.register_instruments((instrument,), self._clock.now_ns())
        epoch = await core.keeper.write(lambda lease: core.journal.next_symbol_epoch(lease, symbol, owner))
        core.crashpoints.reach(Crashpoint.ATTACH_AFTER_EPOCH)
        core.state.epochs[symbol] = epoch
        core.gateway.on_attached(symbol)
        core.deliveries.on_attached(symbol)
        core.account.set_allocation(symbol, self._settings.allocation_quote)
        core.sends.fence(symbol)
        await self._until(lambda: not core.sends.is_sending(symbol), ATTACH_PATIENCE_S)
        if self._settings.is_paper:
            for tracker in core.state.orders.live(symbol):
                tracker.forget_unbooked()
                if tracker.record.status is OrderStatus.UNKNOWN:
                    core.desk.end_at_venue(tracker, "its paper venue was restarted")
        while core.outcomes.pending_of(symbol):
            await core.outcomes.flush()
        if core.state.epochs[symbol] != epoch:
            raise FencedOut(f"{symbol} has a newer owner than epoch {epoch}")
        log.info("symbol_attached", symbol=symbol, run=run_id, run_number=run_number, owner=owner, epoch=epoch)
        core.desk.is_reconcile_wanted |= any(map(core.rates.is_price_wanted, FEE_ASSETS))
        bootstrap = SymbolBootstrap(
            position=core.account.position(symbol),
            open_orders=tuple(tracker.record for tracker in core.state.orders.live(symbol)),
            last_seq=core.state.last_seq.get(symbol, 0),
            halt=core.account.halt_state(symbol)[0],
            trips=core.account.trip_record(symbol),
        )
        return SymbolAttachment(epoch, bootstrap, instrument, self._settings.allocation_quote)

    async def set_instrument(self, instrument: Instrument) -> None:
        """Take what the venue lists for a symbol now; the next owner is attached by it. The same again changes nothing.

        Raises: Refused while orders are open that were made by other filters; NotRunning before the start.
        """
        core, symbol = self.core, instrument.symbol
        known = self._instruments.get(symbol)
        if known is not None and (known.filters, known.exclusion) == (instrument.filters, instrument.exclusion):
            return
        if known is not None and known.filters != instrument.filters:
            if live := core.state.orders.live(symbol):
                raise Refused(f"{symbol} has {len(live)} open orders by its former filters: cancel them first")
            core.account.forget_mark(symbol)
        self._instruments[symbol] = instrument
        log.info("instrument_changed", symbol=symbol, filters=instrument.filters, exclusion=instrument.exclusion)

    async def detach_symbol(self, symbol: str, is_flatten: bool) -> None:
        """Cancel what the symbol has open and fence its owner; idempotent. Raises: StoreError, NotRunning."""
        core = self.core
        for tracker in core.state.orders.live(symbol):
            name = tracker.record.client_order_id
            core.sends.request_cancel(CancelIntent(name, symbol, self._clock.now_ns(), "detached"))
        await self._until(lambda: not core.state.orders.live(symbol), self._settings.detach_patience_s)
        if is_flatten:
            left = await core.flattener.flatten(lambda: frozenset({symbol}))
            if left:
                core.alerts.raise_alert("warning", "not_flat", f"still held: {', '.join(left)}", symbol)
        await core.retire(symbol)
        await core.outcomes.flush()

    async def open_order_count(self, symbol: str) -> int:
        """Count our open orders of a symbol as the venue shows them, unknown ones included.

        Raises: OutcomeUnknown when a live venue does not answer; NotRunning before the start.
        """
        core = self.core
        ours = len(core.state.orders.live(symbol))
        try:
            shown = await core.gateway.open_orders((symbol,))
        except VenueUnavailable as error:
            if self._settings.is_paper:
                return ours
            raise OutcomeUnknown(f"open orders of {symbol}: {error}") from error
        return max(ours, sum(1 for order in shown if order.client_order_id.startswith(OUR_PREFIX)))

    # --- data plane -----------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> SubmitReceipt:
        """Take cancels and intents; answers when each intent is durable or denied. Outcomes come as deliveries.

        At most once by id: a repeated id follows the first, and is never sent again.
        Raises: FencedOut when the symbol has a newer owner, or orders by filters that are the venue's no more;
            NotRunning before the start.
        """
        core = self.core
        if core.state.epochs.get(submission.symbol) != submission.owner_epoch:
            raise FencedOut(f"{submission.symbol}: epoch {submission.owner_epoch} has been replaced")
        for cancel in submission.cancels:
            core.sends.request_cancel(cancel)
        if submission.intents and submission.filters not in ("", self._instruments[submission.symbol].filters):
            raise FencedOut(f"{submission.symbol}: its filters are {self._instruments[submission.symbol].filters} now")
        proposed = [(item.client_order_id, core.sends.propose(item, submission.run_id)) for item in submission.intents]
        durable: list[str] = []
        denied: list[str] = []
        for name, done in proposed:
            # Most of a batch are answered together with the first of it.
            is_durable = done.result() if done.done() else await asyncio.shield(done)
            (durable if is_durable else denied).append(name)
        return SubmitReceipt(tuple(durable), tuple(denied))

    async def lookup(self, symbol: str, ids: tuple[str, ...]) -> tuple[OrderRecord, ...]:
        """Return the known ones among these ids; the others are buried: they can never be sent.

        Raises: StoreError when the journal does not answer (nothing is buried then, ask again); NotRunning when another
            executor has taken over: it answers.
        """
        core = self.core
        known = {name: tracker.record for name in ids if (tracker := core.state.orders.get(name)) is not None}
        unseen = [name for name in ids if name not in known]
        if unseen:
            now_ns = self._clock.now_ns()
            await core.keeper.write(lambda lease: core.journal.tombstone(lease, symbol, unseen, now_ns))
            known |= {record.client_order_id: record for record in await core.journal.orders_by_id(unseen)}
        return tuple(known[name] for name in ids if name in known)

    async def read_events(self, symbol: str, after_seq: int) -> tuple[Delivery, ...]:
        """Return deliveries after a sequence number, ascending, at most 1000. Raises: StoreError."""
        return await self.core.journal.events_after(symbol, after_seq, READ_EVENTS_MAX)

    async def paper_reports(self, symbol: str, owner_epoch: int, events: tuple[VenueEvent, ...]) -> int:
        """Take what a symbol's paper venue did; answers after the commit. Repeating is harmless.

        Raises: FencedOut for an old owner: an uncommitted paper execution never happened.
        """
        core = self.core
        if core.state.epochs.get(symbol) != owner_epoch:
            core.state.counters["paper_refused"] += len(events)
            raise FencedOut(f"{symbol}: epoch {owner_epoch} has been replaced")
        for event in events:
            core.desk.take(event)
        await core.outcomes.flush()
        return len(events)

    async def mark(self, symbol: str, bid_ticks: int, at_ns: int) -> MarkAnswer:
        """Take the price one could sell at (0: the book is not proven); tell where the symbol stands."""
        core = self.core
        # Arrival counts, not the sender's clock: a node with a slow clock must not look stale.
        core.account.on_mark(symbol, bid_ticks, self._clock.now_ns())
        halt = core.account.halt_state(symbol)[0]
        return MarkAnswer(core.state.committed_seq.get(symbol, 0), halt, self._takes_orders(symbol))

    async def forgive_losses(self, symbol: str, at_ns: int) -> None:
        """Forget what a symbol lost in a row until `at_ns`, durably: a person let it trade again then. Idempotent.

        Raises: StoreError when that is not stored (yet): say it again.
        """
        self.core.account.forgive_losses(symbol, at_ns)
        await self.core.guard.save_forgiveness(symbol)

    # --- control --------------------------------------------------------------------------------------------------

    async def halt(self, scope: str, symbol: str | None, is_flatten: bool, reason: str) -> HaltReport:
        """Stop the account or one symbol; see `HaltControl.halt`."""
        return await self.core.halts.halt(scope, _names(symbol), is_flatten, reason)

    async def halt_group(self, symbols: tuple[str, ...], is_flatten: bool, reason: str) -> HaltReport:
        """Stop some symbols together; see `HaltControl.halt`."""
        return await self.core.halts.halt("group", symbols, is_flatten, reason)

    async def resume(self, scope: str, symbol: str | None) -> HaltReport:
        """Lift a halt; see `HaltControl.resume`. What of the account denies entries all the same is in the reason.

        A drawdown beyond its limit counts anew from here; a daily loss is the day's, whoever resumes.
        """
        core = self.core
        report = await core.halts.resume(scope, _names(symbol))
        return replace(report, reason=await core.guard.on_resumed(symbol) or report.reason)

    async def resume_group(self, symbols: tuple[str, ...]) -> HaltReport:
        """Lift the halts of some symbols; see `HaltControl.resume`."""
        return await self.core.halts.resume("group", symbols)

    async def halt_report(self, symbol: str | None = None) -> HaltReport:
        """Return where the halt of the account, or of a symbol, stands; also while it is being carried out."""
        return self.core.halts.report(symbol)

    async def set_limits(self, values: dict[str, str]) -> tuple[LimitValue, ...]:
        """Change account limits, whole or not at all; stored before they count. Raises: ConfigError, StoreError."""
        core = self.core
        limits = parse(type(core.account.limits), values, core.account.limits)
        changed = tuple((name, text) for name, text in as_texts(limits) if name in values)
        now_ns = self._clock.now_ns()
        await core.keeper.write(lambda lease: core.journal.save_limits(lease, changed, now_ns))
        # Another change may have come meanwhile: apply to what is current.
        core.account.limits = parse(type(limits), dict(changed), core.account.limits)
        return limit_values(core.account.limits)

    async def limits(self) -> tuple[LimitValue, ...]:
        """Return the account's limits with their declarations."""
        return limit_values(self.core.account.limits)

    async def is_ready(self) -> bool:
        """Tell whether it holds its lease and takes orders."""
        return self._is_started and self._takes_orders()

    def _takes_orders(self, symbol: str | None = None) -> bool:
        """Tell whether orders are taken: of a symbol, or (None) of all that were open at the start."""
        core = self._core
        state = core.state
        is_hindered = state.is_journal_down or state.is_venue_down
        is_own_turn = state.has_balances and symbol not in state.unready
        return core.keeper.is_valid() and not is_hindered and (is_own_turn if symbol else state.is_reconciled)

    async def status(self) -> ExecutorStatus:
        """Return what the executor knows of itself."""
        core, now_ns = self.core, self._clock.now_ns()
        state, queue = core.state, core.sends.queue
        return ExecutorStatus(
            account=self._settings.account,
            venue=core.gateway.venue,
            is_ready=self._takes_orders(),
            lease_epoch=core.keeper.epoch,
            is_lease_valid=core.keeper.is_valid(),
            is_journal_down=state.is_journal_down,
            is_stream_up=state.is_stream_up,
            is_venue_down=state.is_venue_down,
            clock_skew_ms=core.gateway.clock_skew_ms(),
            drift=tuple(sorted(state.drift.items())),
            cooldown_until_ns=core.account.cooldown_until_ns(),
            halts=core.account.halts(),
            open_orders=len(state.orders.live()),
            unknown_orders=sum(1 for _ in state.orders.unknown()),
            foreign=state.foreign,
            live_orders=tuple(sorted(Counter(item.record.symbol for item in state.orders.live()).items())),
            order_drift=tuple(sorted(state.order_drift.items())),
            unexplained_locks=tuple((asset, plain(held)) for asset, held in sorted(state.unexplained_locks.items())),
            queue=len(queue),
            queue_high=queue.high_water,
            order_tokens=core.budget.order_tokens(now_ns),
            rate_limited=core.budget.rate_limited,
            outcome_backlog=core.outcomes.backlog,
            counters=tuple(sorted(state.counters.items())),
            latencies=tuple(window.summary() for window in (state.to_commit, state.to_send, state.to_ack)),
            equity=core.account.equity(now_ns),
            net_pnl_today=core.account.net_pnl_today(now_ns),
            drawdown=core.account.drawdown(now_ns),
            balances=core.account.balances(),
            started_ns=self._started_ns,
            now_ns=now_ns,
        )

    async def _until(self, is_done: Callable[[], bool], patience_s: float) -> None:
        deadline_ns = self._clock.monotonic_ns() + int(patience_s * NS_PER_S)
        while True:
            if is_done() or self._clock.monotonic_ns() >= deadline_ns:
                return
            await asyncio.sleep(STEP_S)


def _names(symbol: str | None) -> tuple[str, ...]:
    return () if symbol is None else (symbol,)
