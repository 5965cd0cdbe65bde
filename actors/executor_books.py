"""Care for the books: P&L points, stored balances, and the equations of promise 8, checked while we run.

May import `trading.model`, `trading.engine` and the executor's pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

import structlog

from actors.executor_lanes import AlertLane
from actors.executor_lease import LeaseKeeper
from actors.executor_state import ExecutorState, JournalWork
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.accounting import verify_totals
from trading.engine.ports import Journal, LedgerLine
from trading.model.errors import FencedOut, StoreError
from trading.model.orders import VenueBalance
from trading.model.position import EquityPoint
from trading.model.session import HaltState
from trading.model.units import NS_PER_S

# Symbols report their bid about once a second once their book is proven; one that is not run any more never does.
MARKS_PATIENCE_NS = 30 * NS_PER_S
log = structlog.get_logger("executor")


class BookKeeper:
    """Owned by one `ExecutorActor`. A broken equation halts the account: what is not understood is not traded on."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        keeper: LeaseKeeper,
        journal: Journal,
        alerts: AlertLane,
        clock: Clock,
        halt: Callable[[str], Awaitable[None]],
    ) -> None:
        """Args: halt: stops the account, with a reason."""
        self._settings = settings
        self._state = state
        self._keeper = keeper
        self._journal = journal
        self._alerts = alerts
        self._clock = clock
        self._halt = halt
        self._started_ns = clock.monotonic_ns()
        self._saved: EquityPoint | None = None
        self._saved_balances: tuple[VenueBalance, ...] = ()
        self._next_audit_ns = 0
        self._openings: dict[str, Decimal] = {}

    async def run(self) -> None:
        """Look after the books, for ever."""
        while True:
            await asyncio.sleep(self._settings.equity_interval_s)
            await self.round()

    async def round(self) -> None:
        """Store what changed, and check the equations."""
        try:
            await self._save_equity()
            balances = self._state.account.balances()
            if balances != self._saved_balances:
                await self._journal.save_balances(self._keeper.lease, balances)
                self._saved_balances = balances
        except FencedOut as error:
            # The lease's own loop tells a lapse from a loss.
            log.warning("books_not_saved", reason=str(error))
        except StoreError as error:
            self._state.on_journal(JournalWork.WRITES, False)
            log.warning("books_not_saved", reason=str(error))
        await self._check()

    async def _save_equity(self) -> None:
        """Take and store a point of the P&L, once every position has its mark.

        Right after a start a position without one counts at cost: such a point would hide its loss, and stay as a peak
        that never was.
        """
        now_ns = self._clock.now_ns()
        is_young = self._clock.monotonic_ns() - self._started_ns < MARKS_PATIENCE_NS
        if self._state.account.has_unmarked() and is_young:
            return
        point = self._state.account.on_equity(now_ns)
        if self._saved is None or replace(self._saved, at_ns=point.at_ns) != point:
            await self._journal.save_equity(self._keeper.lease, point)
            self._saved = point

    async def open_paper_account(self) -> None:
        """Book a paper account's opening balances, once in its life, and let the ledger be its balances."""
        now_ns = self._clock.now_ns()
        lines = tuple(
            LedgerLine("opening", "", asset, amount, now_ns, f"opening/{self._settings.account}")
            for asset, amount in self._settings.opening
            if asset not in self._state.ledger_totals
        )
        if lines and not self._state.ledger_totals:
            await self._journal.append_ledger(self._keeper.lease, lines)
            self._state.on_ledger(lines)
        for asset, total in self._state.ledger_totals.items():
            self._state.account.on_balance(VenueBalance(asset, total, Decimal(0), 0, 0))

    def start_checking(self) -> None:
        """Take the difference of ledger and positions as the opening; from now on it has to stay."""
        self._openings = dict(self._state.ledger_totals)
        for asset, amount in self._state.unheld_totals.items():
            self._openings[asset] -= amount
        for position in self._state.account.positions():
            base = self._state.instruments[position.symbol].base
            self._openings[base] = self._openings.get(base, Decimal(0)) - position.qty

    async def _check(self) -> None:
        """Check memory each round, and what is stored now and then; a broken equation halts, also after a resume."""
        now_ns = self._clock.monotonic_ns()
        openings = dict(self._openings)
        for asset, amount in self._state.unheld_totals.items():
            openings[asset] = openings.get(asset, Decimal(0)) + amount
        broken = verify_totals(
            self._state.ledger_totals, openings, self._state.account.positions(), self._state.instruments
        )
        if not broken and now_ns >= self._next_audit_ns:
            broken = await self._audit()
            # What takes long is done seldom: at most a hundredth of the time goes into it.
            took_ns = self._clock.monotonic_ns() - now_ns
            self._next_audit_ns = now_ns + max(int(self._settings.audit_interval_s * NS_PER_S), 100 * took_ns)
        if broken and self._state.account.halt_state()[0] is not HaltState.HALTED:
            self._alerts.raise_alert("alert", "books_broken", "; ".join(broken)[:1000])
            await self._halt(f"books broken: {broken[0]}"[:300])

    async def _audit(self) -> tuple[str, ...]:
        """Let the journal check what is stored: orders, fills, positions and ledger against each other."""
        try:
            broken = await self._journal.audit()
        except StoreError as error:
            self._state.on_journal(JournalWork.READS, False)
            log.warning("books_not_audited", reason=str(error))
            return ()
        self._state.counters["audits"] += 1
        return broken
