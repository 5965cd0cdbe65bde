"""Halts: flag, persist, cancel, ask the venue, and say plainly whether nothing is open.

May import `trading.model`, `trading.engine` and the executor's pieces. The flag is set before anything is awaited. A
halt that another process persisted (API, `mexcbot halt --direct`) is found by polling. Only people resume (promise 5).
"""

from __future__ import annotations

from asyncio import Task, gather, sleep, wait
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from actors.executor_flatten import Flattener
from actors.executor_halt_book import HaltBook
from actors.executor_lanes import AlertLane
from actors.executor_state import ExecutorState, JournalWork, Scope
from actors.executor_sweep import STEP_S, Sweeper
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.account import ACCOUNT_SCOPE, symbol_scope
from trading.engine.ports import Journal, OrderRecord
from trading.model.errors import ConfigError, StoreError
from trading.model.orders import OrderStatus, Purpose
from trading.model.session import HaltReport, HaltState
from trading.model.units import NS_PER_S

# A restarted symbol actor is back within two seconds (field notes, Ray); after this its paper venue counts as gone.
PAPER_PATIENCE_S = 3.0
# A halt may take this many times its patience while orders keep ending (300 of them one by one take half a minute).
PATIENCE_TIMES = 4
# The API stores a halt and then calls the executor: a stored flatten that nobody called for after this is ours.
CALLER_PATIENCE_NS = 5 * NS_PER_S
# A halt that was given up with orders open (the venue let nothing in, or did not answer) goes on so often.
INSIST_NS = 5 * NS_PER_S
# A commit takes milliseconds; one that hangs for longer goes on by itself, and holds back neither sale nor answer.
SAVE_PATIENCE_S = 1.0
log = structlog.get_logger("executor")


class HaltControl:
    """Owned by one `ExecutorActor`. Invariant: a halt is lifted by `resume` or in the store, and by nothing else."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        journal: Journal,
        alerts: AlertLane,
        clock: Clock,
        sweeper: Sweeper,
        flattener: Flattener,
        spawn: Callable[[Coroutine[Any, Any, None], str], Task[None]],
    ) -> None:
        self._settings = settings
        self._state = state
        self._alerts = alerts
        self._clock = clock
        self._sweeper = sweeper
        self._flattener = flattener
        self._spawn = spawn
        self._book = HaltBook(state, journal, clock, self._forget_reports, self._on_adopted)
        self._selling: Counter[str] = Counter()
        self._unsold_since_ns: dict[str, int] = {}
        self._reports: dict[Scope, HaltReport] = {}
        self._enforcing: Counter[Scope] = Counter()
        self._changes = 0  # of the halt states
        # When what is open, or what is only unverified, was last asked for.
        self._insisted_ns = self._unanswered_ns = -INSIST_NS

    # --- commands -------------------------------------------------------------------------------------------------

    async def halt(self, scope: str, symbols: tuple[str, ...], is_flatten: bool, reason: str) -> HaltReport:
        """Stop trading of the account or of some symbols; answers when the venue shows nothing open, or time is up.

        Args:
            scope: "account", "symbol" or "group". symbols: the one, or those of the group.
            is_flatten: exits run first (REDUCING), then everything stops (HALTED).
        Raises: ConfigError when the scope is none.
        """
        keys = _scope_keys(scope, symbols)
        only = None if keys == (ACCOUNT_SCOPE,) else frozenset(symbols)
        for key in keys:  # all flags, before anything is awaited
            self._flag(key, reason, is_flatten)
        named = None if only is None or len(only) > 1 else symbols[0]
        self._alerts.raise_alert("warning", "halt", f"{', '.join(keys)}: {reason}", named)
        if is_flatten:
            await self._save()
            reason = await self._sell(keys, reason)
            return await self._enforce(only, reason)
        # A journal that hangs holds back no cancel.
        _, report = await gather(self._save(), self._enforce(only, reason))
        return report

    async def _save(self) -> None:
        """Store what is not stored, as far as that does not take long."""
        await wait({self._spawn(self._book.save(), "halt-save")}, timeout=SAVE_PATIENCE_S)

    def _flag(self, key: str, reason: str, is_flatten: bool) -> None:
        if not is_flatten:
            self._book.flag(key, HaltState.HALTED, reason)
            return
        # A halt that is known here gives way to this later word; one that another has just stored does not.
        over = HaltState.HALTED if self._book.own(key)[0] is HaltState.HALTED else HaltState.REDUCING
        self._book.flag(key, HaltState.REDUCING, reason, is_flattening=True, over=over)

    async def _sell(self, keys: tuple[str, ...], reason: str) -> str:
        """Sell what is held, then halt; return the reason with what could not be sold.

        A person's later word on a key, to resume or to halt, ends its sale, and stands.
        """
        outcome = "the sale was interrupted"
        begun = {key: self._book.words(key) for key in keys}
        self._selling.update(keys)
        try:
            left = await self._flattener.flatten(lambda: _scope_of(self._open_sales(begun)))
            outcome = f"still held: {', '.join(left)}" if left else ""
            if not self._open_sales(begun):
                outcome = "the sale was ended by another command"
        finally:  # a sale that fails or is stopped by Ctrl-C ends in HALTED too
            reason = "; ".join(filter(None, (reason, outcome)))
            for key in self._open_sales(begun):
                self._book.flag(key, HaltState.HALTED, reason)
            self._selling.subtract(keys)
            await self._book.save()
        return reason

    def _open_sales(self, begun: dict[str, int]) -> tuple[str, ...]:
        """Return the keys whose sale is on: nobody resumed them or gave them another command since."""
        return tuple(
            key
            for key, words in begun.items()
            if self._book.words(key) == words and self._book.own(key)[0] is HaltState.REDUCING
        )

    async def reduce(self, symbol: str | None, reason: str) -> bool:
        """Allow exits only, of the account or of one symbol; entries that rest are cancelled meanwhile.

        Another stop that is on, here or in the store, stays as it is. Args: reason: begins with the trigger's name and
        a colon. Returns: True once the stop that is on is this trigger's, and is stored; else say it again.
        """
        key = ACCOUNT_SCOPE if symbol is None else symbol_scope(symbol)
        if self._halted(symbol) is HaltState.ACTIVE:
            self._book.flag(key, HaltState.REDUCING, reason, over=HaltState.ACTIVE)
            self._spawn(self._adopt(key, reason), "reduce")
        state, why = self._book.own(key)
        if state is HaltState.ACTIVE or _trigger(why) != _trigger(reason):
            return False
        await self._book.save()
        state, why = self._book.own(key)
        return state is not HaltState.ACTIVE and _trigger(why) == _trigger(reason) and self._book.is_saved(key)

    async def resume(self, scope: str, symbols: tuple[str, ...]) -> HaltReport:
        """Lift a halt, and end its sale. Raises: ConfigError; StoreError when not persisted (then both stay)."""
        for key in _scope_keys(scope, symbols):
            await self._book.lift(key)
        return self.report()

    def report(self, symbol: str | None = None) -> HaltReport:
        """Return where the halt of the account, or of a symbol, stands; `confirmed` is of the last verification.

        While it is being carried out, the count and the reason tell how far it is.
        """
        state, reason = self._state.account.halt_state(symbol)
        only = None if symbol is None else frozenset({symbol})
        live = len(self._state.orders.live(symbol))
        if state is HaltState.ACTIVE:
            return HaltReport(state, False, live, 0, reason)
        if any(count and _covers(scope, symbol) for scope, count in self._enforcing.items()):
            return HaltReport(state, False, live, 0, f"{reason} (under way: {live} orders are not over yet)".strip())
        reports = [report for scope, report in self._reports.items() if _covers(scope, symbol)]
        unverified = reports[-1] if reports else HaltReport(state, False, None, 0, reason)
        last = next((report for report in reports if report.confirmed), unverified)
        if not last.confirmed:
            reason = "; ".join(filter(None, (reason, self._sweeper.hindrance(), self._sweeper.unlisted_text(only))))
        return HaltReport(state, last.confirmed, last.open_orders, last.verified_at_ns, reason)

    # --- polling --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take over persisted states, save what could not be saved, verify what was not confirmed; for ever."""
        while True:
            await sleep(self._settings.halt_poll_s)
            await self.poll()

    async def poll(self) -> None:
        """Do one round. An unreadable state keeps new orders away like a halt."""
        try:
            unsold = await self._book.refresh()
        except StoreError as error:
            self._state.on_journal(JournalWork.READS, False)
            log.error("halt_state_unreadable", reason=str(error))
        else:
            self._state.on_journal(JournalWork.READS, True)
            if unsold is not None:  # else a command was faster than this read
                self._go_on_selling(unsold)
        await self._go_on()  # whether or not the journal answers: a venue that is back ends what is open

    def _on_adopted(self, key: str, reason: str) -> None:
        self._spawn(self._adopt(key, reason), "halt")

    async def _go_on(self) -> None:
        """Go on with every stop that is not carried out: a venue may be back, an unknown order resolved since."""
        if any(self._enforcing.values()):
            return
        halts = self._state.account.halts()
        left = [(key, state) for key, state, _ in halts if not self._is_carried_out(key, state)]
        quiet = [key for key, state in left if state is HaltState.HALTED and self._is_quiet(_scope_of((key,)))]
        busy, now_ns = [key for key, _ in left if key not in quiet], self._clock.monotonic_ns()
        if quiet and now_ns - self._unanswered_ns >= INSIST_NS:  # the venue only has to say that nothing is open
            scope, changes = _scope_of(quiet), self._changes
            shown = await self._sweeper.round(scope, self._is_spared)
            if shown is None:
                self._unanswered_ns = now_ns
            if shown == 0 and self._is_quiet(scope) and self._changes == changes:
                self._reports[scope] = HaltReport(HaltState.HALTED, True, 0, self._clock.now_ns(), "")
        if busy and now_ns - self._insisted_ns >= INSIST_NS:
            self._insisted_ns = now_ns
            await self._sweeper.round(_scope_of(busy), self._is_spared)

    def _is_carried_out(self, key: str, state: HaltState) -> bool:
        """Tell whether a stop has no more to do: verified, or (exits only) no entry open. A sale looks after itself."""
        if state is HaltState.HALTED:
            symbol = _symbol_of(key)
            return any(report.confirmed and _covers(scope, symbol) for scope, report in self._reports.items())
        live = self._sweeper.live(_scope_of((key,)))
        return self._selling[key] > 0 or all(self._is_spared(item.record) for item in live)

    def _is_quiet(self, scope: Scope) -> bool:
        return not self._sweeper.live(scope)  # what is on the wire lives

    async def _adopt(self, key: str, reason: str) -> None:
        symbol = _symbol_of(key)
        only = None if symbol is None else frozenset({symbol})
        if self._halted(symbol) is not HaltState.REDUCING:
            await self._enforce(only, reason)
            return
        deadline_ns = self._clock.monotonic_ns() + int(self._settings.halt_timeout_s * NS_PER_S)
        while self._halted(symbol) is HaltState.REDUCING and self._clock.monotonic_ns() < deadline_ns:
            await self._sweeper.round(only, self._is_spared)
            if all(self._is_spared(item.record) for item in self._sweeper.live(only)):
                return
            await self._sweeper.quiet(only)
            await sleep(STEP_S)

    # --- doing it -------------------------------------------------------------------------------------------------

    def _forget_reports(self, key: str) -> None:
        """What was verified before a change says nothing of what comes after it."""
        self._changes += 1
        symbol = _symbol_of(key)
        for scope in [item for item in self._reports if symbol is None or item is None or symbol in item]:
            del self._reports[scope]

    async def enforce_stored(self) -> None:
        """Cancel what halts of before the start forbid, and go on with the sales that a death cut short.

        Raises: StoreError.
        """
        for key, _, reason in self._state.account.halts():
            self._spawn(self._adopt(key, reason), "halt")
        self._go_on_selling(await self._book.flattening(), 0)

    # --- sales that nobody carries out any more ---------------------------------------------------------------------

    def _go_on_selling(self, unsold: tuple[str, ...], patience_ns: int = CALLER_PATIENCE_NS) -> None:
        """Take over stored flattens whose process is gone: one that asked through the API calls us right after."""
        now_ns = self._clock.monotonic_ns()
        known = self._unsold_since_ns
        self._unsold_since_ns = {key: known.get(key, now_ns) for key in unsold if self._selling[key] <= 0}
        due = tuple(key for key, since_ns in self._unsold_since_ns.items() if now_ns - since_ns >= patience_ns)
        if due:
            self._selling.update(due)
            self._spawn(self._finish_sale(due), "flatten")

    async def _finish_sale(self, keys: tuple[str, ...]) -> None:
        begun = {key: self._book.words(key) for key in keys}
        try:
            left = await self._still_to_sell(begun)
            if not left:
                return
            text = f"{', '.join(left)}: the process that was selling is gone; the sale goes on, and then all is halted"
            self._alerts.raise_alert("warning", "flatten_resumed", text)
            await self._until_sellable(_scope_of(left))
            if left := await self._still_to_sell(begun):
                await self._enforce(_scope_of(left), await self._sell(left, "flatten after a restart"))
        finally:
            self._selling.subtract(keys)

    async def _still_to_sell(self, begun: dict[str, int]) -> tuple[str, ...]:
        """Return the keys whose sale is still ours: nobody resumed them or gave them another command since.

        One that a stricter halt covers (the account's) is not sold but halted itself, for good: else its stored
        flatten would begin again and again, and sell as a surprise when the other halt is lifted.
        """
        open_sales = self._open_sales(begun)
        covered = [key for key in open_sales if self._halted(_symbol_of(key)) is HaltState.HALTED]
        for key in covered:
            why = self._state.account.halt_state(_symbol_of(key))[1]
            why = "; ".join(filter(None, ("its flatten was cut short by a halt", why)))
            self._book.flag(key, HaltState.HALTED, why)
        if covered:
            await self._book.save()
        return tuple(key for key in open_sales if key not in covered)

    async def _until_sellable(self, scope: Scope) -> None:
        """Wait until the account is compared, nothing is of unknown outcome and all held has a bid; bounded."""
        deadline_ns = self._clock.monotonic_ns() + int(self._settings.halt_timeout_s * NS_PER_S)
        while self._clock.monotonic_ns() < deadline_ns:
            unknown = any(item.record.status is OrderStatus.UNKNOWN for item in self._sweeper.live(scope))
            if self._state.is_reconciled and not unknown and self._flattener.has_bids(scope):
                return
            await sleep(STEP_S)

    async def _enforce(self, scope: Scope, reason: str) -> HaltReport:
        """Cancel everything of ours in the scope and ask the venue until it shows nothing, or time is up."""
        self._enforcing[scope] += 1
        try:
            self._reports[scope] = report = await self._verify(scope, reason)
        finally:
            self._enforcing[scope] -= 1
        return report

    async def _verify(self, scope: Scope, reason: str) -> HaltReport:
        began_ns = self._clock.monotonic_ns()
        patience_ns = int(self._settings.halt_timeout_s * NS_PER_S)
        retire_ns = began_ns + int(PAPER_PATIENCE_S * NS_PER_S)
        deadline_ns = began_ns + patience_ns
        fewest: int | None = None
        while True:
            scope, state = self._still(scope)
            if state is HaltState.ACTIVE:
                return HaltReport(state, False, len(self._sweeper.live(scope)), 0, "resumed")
            gives_up = self._clock.monotonic_ns() >= retire_ns
            shown = await self._sweeper.round(scope, self._is_spared, gives_up=gives_up)
            ours = len(self._sweeper.live(scope))
            if shown == 0 and self._is_quiet(scope):
                return HaltReport(self._still(scope)[1], True, 0, self._clock.now_ns(), reason)
            now_ns = self._clock.monotonic_ns()
            if fewest is None or ours < fewest:
                fewest = ours
                deadline_ns = min(now_ns + patience_ns, began_ns + PATIENCE_TIMES * patience_ns)
            if now_ns >= deadline_ns:
                break
            await self._sweeper.quiet(scope)
            await sleep(STEP_S)
        known = None if shown is None and not ours else max(ours, shown or 0)
        named = next(iter(scope)) if scope is not None and len(scope) == 1 else None
        why = "; ".join(filter(None, (self._sweeper.hindrance(), self._sweeper.unlisted_text(scope))))
        text = "; ".join(filter(None, (f"{'some' if known is None else known} orders may still be open", why)))
        self._alerts.raise_alert("alert", "halt_not_confirmed", text, named)
        return HaltReport(state, False, known, 0, "; ".join(filter(None, (reason, why))))

    def _still(self, scope: Scope) -> tuple[Scope, HaltState]:
        """Return what of the scope is still halted, and how strictly; ACTIVE when a person has resumed all of it."""
        if scope is None:
            return None, self._halted(None)
        left = {symbol: self._halted(symbol) for symbol in scope if self._halted(symbol) is not HaltState.ACTIVE}
        if not left:
            return scope, HaltState.ACTIVE
        is_reducing = HaltState.REDUCING in left.values()
        return frozenset(left), HaltState.REDUCING if is_reducing else HaltState.HALTED

    def _is_spared(self, record: OrderRecord) -> bool:
        """While REDUCING exits stay."""
        return record.purpose is Purpose.EXIT and self._halted(record.symbol) is HaltState.REDUCING

    def _halted(self, symbol: str | None) -> HaltState:
        return self._state.account.halt_state(symbol)[0]


def _covers(scope: Scope, symbol: str | None) -> bool:
    return scope is None or (symbol is not None and symbol in scope)


def _trigger(reason: str) -> str:
    return reason.partition(":")[0]


def _symbol_of(key: str) -> str | None:
    return None if key == ACCOUNT_SCOPE else key.removeprefix("symbol:")


def _scope_of(keys: Sequence[str]) -> Scope:
    return None if ACCOUNT_SCOPE in keys else frozenset(key.removeprefix("symbol:") for key in keys)


def _scope_keys(scope: str, symbols: tuple[str, ...]) -> tuple[str, ...]:
    if scope == ACCOUNT_SCOPE and not symbols:
        return (ACCOUNT_SCOPE,)
    if (scope == "symbol" and len(symbols) == 1) or (scope == "group" and symbols):
        return tuple(symbol_scope(symbol) for symbol in dict.fromkeys(symbols))
    raise ConfigError(
        f"halt: expected scope account, symbol with its name, or group with names, was {scope!r} {symbols!r}"
    )
