"""Halts: flag, persist, cancel, ask the venue, and say plainly whether nothing is open; and the sale of what is held.

May import `trading.model`, `trading.engine` and the executor's pieces. The flag is set before anything is awaited. A
halt that another process persisted (API, `mexcbot halt --direct`) is found by polling. Only people resume (promise 5).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from actors.executor_lanes import AlertLane
from actors.executor_lease import LeaseKeeper
from actors.executor_reconcile import READ_WEIGHT, SYMBOLS_A_READ
from actors.executor_send import SendPath
from actors.executor_state import ExecutorState
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.account import ACCOUNT_SCOPE, symbol_scope
from trading.engine.budget import RateBudget
from trading.engine.ports import Gateway, Journal
from trading.engine.reconcile import OUR_PREFIX
from trading.model.errors import ConfigError, RateLimited, StoreError, VenueUnavailable
from trading.model.market import Side
from trading.model.orders import CancelIntent, OrderIntent, OrderType, Purpose
from trading.model.session import HaltReport, HaltState
from trading.model.units import BPS, NS_PER_S, base36, ms_from_ns

STEP_S = 0.1
# Longest wait for exits of a flatten, and how often an unfilled rest is offered again.
FLATTEN_ROUNDS = 3
FLATTEN_ROUND_S = 2.0
# A restarted symbol actor is back within two seconds (field notes, Ray); after this its paper venue counts as gone.
PAPER_PATIENCE_S = 3.0
log = structlog.get_logger("executor")


class HaltControl:
    """Owned by one `ExecutorActor`. Invariant: a halt is lifted by `resume` or in the store, and by nothing else."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        sends: SendPath,
        keeper: LeaseKeeper,
        journal: Journal,
        gateway: Gateway,
        budget: RateBudget,
        alerts: AlertLane,
        clock: Clock,
        retire: Callable[[str], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        """Args: retire: fences a symbol's owner and ends its paper orders."""
        self._settings = settings
        self._state = state
        self._sends = sends
        self._keeper = keeper
        self._journal = journal
        self._gateway = gateway
        self._budget = budget
        self._alerts = alerts
        self._clock = clock
        self._retire = retire
        self._spawn = spawn
        self._generation = 0
        self._halts_of: Counter[str] = Counter()
        self._unsaved: dict[str, tuple[HaltState, str]] = {}
        self._exit_seq = 0
        self._reports: dict[str | None, HaltReport] = {}
        self._enforcing: set[str | None] = set()

    # --- commands -------------------------------------------------------------------------------------------------

    async def halt(self, scope: str, symbol: str | None, is_flatten: bool, reason: str) -> HaltReport:
        """Stop trading of the account or of one symbol; answers when the venue shows nothing open, or time is up.

        Args: scope: "account" or "symbol". is_flatten: exits run first (REDUCING), then everything stops (HALTED).
        Raises: ConfigError when the scope is none.
        """
        key = _scope_key(scope, symbol)
        only = symbol if key != ACCOUNT_SCOPE else None
        await self._set(key, HaltState.REDUCING if is_flatten else HaltState.HALTED, reason)
        self._alerts.raise_alert("warning", "halt", f"{key}: {reason}", only)
        if is_flatten:
            left = await self.flatten(only)
            reason = "; ".join(filter(None, (reason, f"still held: {', '.join(left)}" if left else "")))
            await self._set(key, HaltState.HALTED, reason)
        return await self._enforce(only, reason)

    async def resume(self, scope: str, symbol: str | None) -> HaltReport:
        """Lift a halt. Raises: ConfigError; StoreError when it could not be persisted (then it stays)."""
        key = _scope_key(scope, symbol)
        halts = self._halts_of[key]
        await self._journal.save_halt(key, HaltState.ACTIVE, "", self._clock.now_ns())
        if self._halts_of[key] != halts:
            return self.report()  # a halt came meanwhile: it is written after this, and stays
        self._generation += 1
        self._unsaved.pop(key, None)
        self._state.account.set_halt(key, HaltState.ACTIVE, "")
        return self.report()

    def report(self) -> HaltReport:
        """Return where the account's halt stands; `confirmed` is of the last verification."""
        state, reason = self._state.account.halt_state()
        if state is HaltState.ACTIVE:
            return HaltReport(state, False, len(self._state.orders.live()), 0, reason)
        last = self._reports.get(None, HaltReport(state, False, None, 0, reason))
        return HaltReport(state, last.confirmed, last.open_orders, last.verified_at_ns, reason)

    # --- polling --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take over persisted states, save what could not be saved, verify what was not confirmed; for ever."""
        while True:
            await asyncio.sleep(self._settings.halt_poll_s)
            await self.poll()

    async def poll(self) -> None:
        """Do one round. An unreadable state keeps new orders away like a halt."""
        generation = self._generation
        try:
            for key, (state, reason) in tuple(self._unsaved.items()):
                await self._journal.save_halt(key, state, reason, self._clock.now_ns())
                self._saved(key, state, reason)
            stored = {scope: (state, reason) for scope, state, reason in await self._journal.halts()}
        except StoreError as error:
            self._state.is_journal_down = True
            log.error("halt_state_unreadable", reason=str(error))
            return
        self._state.is_journal_down = False
        if generation != self._generation:
            return  # a command was faster than this read
        known = {scope: (state, reason) for scope, state, reason in self._state.account.halts()}
        for key in sorted(stored.keys() | known.keys()):
            state, reason = stored.get(key, (HaltState.ACTIVE, ""))
            if known.get(key, (HaltState.ACTIVE, ""))[0] is not state:
                self._state.account.set_halt(key, state, reason)
                self._reports.pop(_symbol_of(key), None)
                if state is not HaltState.ACTIVE:
                    self._spawn(self._adopt(key, reason), "halt")
        await self._verify_again()

    async def _verify_again(self) -> None:
        """Confirm an account's halt late: an order of unknown outcome may have been resolved since."""
        state, reason = self._state.account.halt_state()
        last = self._reports.get(None)
        if state is not HaltState.HALTED or last is None or last.confirmed or self._enforcing:
            return
        is_quiet = not self._sends.is_sending(None) and not self._state.orders.live()
        if is_quiet and await self._count_at_venue(None) == 0 and not self._state.orders.live():
            self._reports[None] = HaltReport(state, True, 0, self._clock.now_ns(), reason)

    async def _adopt(self, key: str, reason: str) -> None:
        symbol = _symbol_of(key)
        if self._halted(symbol) is HaltState.REDUCING:
            self._cancel_all(symbol, set(), reason)
        else:
            await self._enforce(symbol, reason)

    # --- doing it -------------------------------------------------------------------------------------------------

    async def _set(self, key: str, state: HaltState, reason: str) -> None:
        self._generation += 1
        self._halts_of[key] += 1
        self._state.account.set_halt(key, state, reason)
        self._reports.pop(_symbol_of(key), None)  # what was verified before it says nothing of this one
        self._unsaved[key] = (state, reason)
        try:
            await self._journal.save_halt(key, state, reason, self._clock.now_ns())
        except StoreError as error:
            self._state.is_journal_down = True
            log.error("halt_not_persisted", scope=key, reason=str(error))
            return
        self._saved(key, state, reason)

    def _saved(self, key: str, state: HaltState, reason: str) -> None:
        # A newer one may have come while this one was being written.
        if self._unsaved.get(key) == (state, reason):
            del self._unsaved[key]

    async def enforce_stored(self) -> None:
        """Cancel what halts of before the start forbid."""
        for key, _, reason in self._state.account.halts():
            self._spawn(self._adopt(key, reason), "halt")

    async def _enforce(self, symbol: str | None, reason: str) -> HaltReport:
        """Cancel everything of ours in the scope and ask the venue until it shows nothing, or time is up."""
        self._enforcing.add(symbol)
        try:
            self._reports[symbol] = await self._verify(symbol, reason)
        finally:
            self._enforcing.discard(symbol)
        return self._reports[symbol]

    def _cancel_all(self, symbol: str | None, asked: set[str], reason: str, *, with_exits: bool = False) -> None:
        """Ask for the end of what the scope's state forbids: while REDUCING exits stay, unless `with_exits`."""
        for tracker in self._state.orders.live(symbol):
            record = tracker.record
            is_allowed = record.purpose is Purpose.EXIT and self._halted(record.symbol) is HaltState.REDUCING
            if record.client_order_id not in asked and (with_exits or not is_allowed):
                asked.add(record.client_order_id)
                cancel = CancelIntent(record.client_order_id, record.symbol, self._clock.now_ns(), reason)
                self._sends.request_cancel(cancel)

    async def _verify(self, symbol: str | None, reason: str) -> HaltReport:
        deadline_ns = self._clock.monotonic_ns() + int(self._settings.halt_timeout_s * NS_PER_S)
        open_orders: int | None = None
        asked: set[str] = set()
        retire_ns = self._clock.monotonic_ns() + int(PAPER_PATIENCE_S * NS_PER_S)
        while True:
            if self._halted(symbol) is HaltState.ACTIVE:
                return HaltReport(HaltState.ACTIVE, False, len(self._state.orders.live(symbol)), 0, "resumed")
            self._cancel_all(symbol, asked, reason)
            if self._settings.is_paper and self._clock.monotonic_ns() >= retire_ns:
                await self._count_at_venue(symbol)  # fences the paper venues that do not answer
            if not self._sends.is_sending(symbol) and not self._state.orders.live(symbol):
                open_orders = await self._count_at_venue(symbol)
                if open_orders == 0 and not self._state.orders.live(symbol):
                    return HaltReport(self._halted(symbol), True, 0, self._clock.now_ns(), reason)
            if self._clock.monotonic_ns() >= deadline_ns:
                break
            await asyncio.sleep(STEP_S)
        ours = len(self._state.orders.live(symbol))
        known = None if open_orders is None and not ours else max(ours, open_orders or 0)
        self._alerts.raise_alert("alert", "halt_not_confirmed", f"{known} orders may still be open", symbol)
        return HaltReport(self._halted(symbol), False, known, 0, reason)

    async def _count_at_venue(self, symbol: str | None) -> int | None:
        """Count our open orders at the venue; None when it does not answer."""
        symbols = [symbol] if symbol is not None else sorted(self._state.epochs)
        count = 0
        try:
            if not self._settings.is_paper:
                if not await self._may_ask(len(symbols)):
                    return None
                orders = await self._gateway.open_orders(symbols)
                return sum(1 for order in orders if order.client_order_id.startswith(OUR_PREFIX))
        except VenueUnavailable as error:
            if isinstance(error, RateLimited):
                self._budget.on_rate_limited(error.retry_after_s, self._clock.now_ns())
            log.warning("halt_waits", reason=str(error))
            return None
        for name in symbols:
            try:
                count += len(await self._gateway.open_orders((name,)))
            except VenueUnavailable:
                # A paper venue without its actor: fence the owner, so that nothing it does can count any more.
                try:
                    await self._retire(name)
                except StoreError:
                    return None
        return count

    async def _may_ask(self, symbols: int) -> bool:
        """Wait for what reading the open orders of so many symbols costs; False while the venue wants a pause."""
        for _ in range(0, symbols, SYMBOLS_A_READ):
            while not self._budget.try_read(READ_WEIGHT, self._clock.now_ns()):
                if self._budget.is_paused(self._clock.now_ns()):
                    return False
                await asyncio.sleep(STEP_S)
        return True

    def _halted(self, symbol: str | None) -> HaltState:
        return self._state.account.halt_state(symbol)[0]

    # --- flatten --------------------------------------------------------------------------------------------------

    async def flatten(self, symbol: str | None) -> tuple[str, ...]:
        """Sell what is held, by IOC orders at a bounded price below the bid; return what could not be sold, as text."""
        for _ in range(FLATTEN_ROUNDS):
            self._cancel_all(symbol, set(), "flatten", with_exits=True)
            await self._until_quiet(symbol)
            await self._until_free(symbol)
            if not self._offer_exits(symbol):
                break
            await self._until_quiet(symbol)
        return tuple(
            f"{item.qty.normalize():f} {item.symbol}"
            for item in self._state.account.positions()
            if self._is_held(item.symbol, symbol)
        )

    async def _until_quiet(self, symbol: str | None) -> None:
        """Wait until nothing of the scope is open, one round at the longest."""
        deadline_ns = self._clock.monotonic_ns() + int(FLATTEN_ROUND_S * NS_PER_S)
        while True:
            if not self._state.orders.live(symbol) or self._clock.monotonic_ns() >= deadline_ns:
                return
            await asyncio.sleep(STEP_S)

    async def _until_free(self, symbol: str | None) -> None:
        """Wait until all that is held can be sold, one round at the longest.

        A cancel's answer overtakes the venue's word on the balance: what a cancelled exit had locked is free only
        a moment later.
        """
        deadline_ns = self._clock.monotonic_ns() + int(FLATTEN_ROUND_S * NS_PER_S)
        account = self._state.account
        while any(
            self._is_held(item.symbol, symbol) and account.sellable_lots(item.symbol) <= 0
            for item in account.positions()
        ):
            if self._clock.monotonic_ns() >= deadline_ns:
                return
            await asyncio.sleep(STEP_S)

    def _is_held(self, symbol: str, only: str | None) -> bool:
        if only is not None and symbol != only:
            return False
        account = self._state.account
        bid_ticks = account.bid_ticks(symbol, self._clock.now_ns()) or 1
        instrument = self._state.instruments[symbol]
        price_ticks = _bounded(bid_ticks, self._settings.flatten_bound_bps)
        lots = instrument.qty_lots_floor(account.position(symbol).qty)
        return lots > 0 and (bid_ticks == 1 or lots >= instrument.min_lots(price_ticks))

    def _exit_stem(self, now_ns: int) -> str:
        # Epochs count an account's executors: with the time too, ids of two accounts in one database differ, and those
        # of a new database differ from what the venue has seen before.
        return f"{OUR_PREFIX}x{base36(ms_from_ns(now_ns))}-{base36(self._keeper.epoch)}"

    def _offer_exits(self, only: str | None) -> bool:
        """Propose one exit for each position that can be sold; True when there was any."""
        account, now_ns, is_any = self._state.account, self._clock.now_ns(), False
        for position in account.positions():
            symbol = position.symbol
            if not self._is_held(symbol, only):
                continue
            bid_ticks = account.bid_ticks(symbol, now_ns)
            lots = account.sellable_lots(symbol)
            if bid_ticks is None or lots <= 0:
                self._alerts.raise_alert("alert", "flatten_impossible", "no fresh bid, or nothing free to sell", symbol)
                continue
            is_any = True
            self._exit_seq += 1
            self._sends.propose(
                OrderIntent(
                    client_order_id=f"{self._exit_stem(now_ns)}-{base36(self._exit_seq)}",
                    symbol=symbol,
                    side=Side.SELL,
                    type=OrderType.IOC,
                    price_ticks=_bounded(bid_ticks, self._settings.flatten_bound_bps),
                    qty_lots=lots,
                    purpose=Purpose.EXIT,
                    created_ns=now_ns,
                    valid_until_ns=now_ns + int(FLATTEN_ROUND_S * NS_PER_S),
                    owner_epoch=self._state.epochs.get(symbol, 0),
                    strategy="flatten",
                    decision=(("reason", "flatten"), ("bid_ticks", str(bid_ticks))),
                ),
                "",
            )
        return is_any


def _bounded(bid_ticks: int, bound_bps: int) -> int:
    return max(1, int(bid_ticks * (BPS - bound_bps) / BPS))


def _symbol_of(key: str) -> str | None:
    return None if key == ACCOUNT_SCOPE else key.removeprefix("symbol:")


def _scope_key(scope: str, symbol: str | None) -> str:
    if scope == ACCOUNT_SCOPE:
        return ACCOUNT_SCOPE
    if scope == "symbol" and symbol:
        return symbol_scope(symbol)
    raise ConfigError(f"halt: expected scope account, or symbol with its name, was {scope!r} and {symbol!r}")
