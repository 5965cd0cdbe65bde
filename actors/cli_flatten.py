"""`mexcbot halt --direct --flatten`: an executor of this process sells what is held, when API and Ray are gone.

May import `trading.adapters`, `trading.engine`, the executor and the CLI's own files. It is the executor as ever: under
the account's lease, every intent journaled before it is sent, every fill booked, prices bounded below a fresh bid.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, MutableMapping, Sequence
from dataclasses import replace

from actors.cli_output import say, sentence
from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from actors.process_identity import own_identity
from trading.adapters.clock import SystemClock
from trading.adapters.settings import Settings
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.pages import ListQuery
from trading.adapters.store.reads import Reads
from trading.engine.budget import BudgetSettings
from trading.engine.ports import Gateway
from trading.engine.reconcile import OrphanPolicy
from trading.model.errors import NotRunning, Refused, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.orders import Delivery
from trading.model.session import HaltReport

# A bid for each position this often: a mark may be seconds old, a bound below it should not.
MARK_EVERY_S = 1.0
READY_STEP_S = 0.1


class NobodysSymbol:
    """The way to a symbol whose actor is gone: it reads what it missed when it comes back."""

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        """Raises: NotRunning."""
        raise NotRunning("no symbol actor is asked")


def settings_of_sale(settings: Settings, budget: BudgetSettings) -> ExecutorSettings:
    """Return the settings that an executor of `up` would run under, as far as a sale asks for them."""
    return ExecutorSettings(
        account="",
        owner="",
        is_paper=False,
        allocation_quote=settings.allocation,
        limits=tuple(sorted(settings.risk_limits.items())),
        budget=budget,
        orphan_policy=OrphanPolicy(settings.orphan_policy),
        recv_window_ms=settings.recv_window_ms,
        lease_ttl_s=settings.lease_ttl_s,
        halt_timeout_s=settings.halt_timeout_s,
    )


async def flatten_direct(
    account: str,
    database_url: str,
    gateway: Gateway,
    instruments: MutableMapping[str, Instrument],
    settings: ExecutorSettings,
    symbols: Sequence[str],
    reason: str,
    deadline: float,
) -> HaltReport:
    """Sell what the account, or some symbols, hold, halt, and verify.

    Args:
        settings: how the account is run; the owner becomes this process.
        deadline: by `time.monotonic`; a sale that was begun is brought to its end.
    Raises: Refused when another executor lives or nothing can be read of the venue in time; StoreError.
    """
    session = await _last_session(database_url, account)
    journal = PostgresJournal(database_url, account, session)
    crashes: list[str] = []
    clock = SystemClock()
    executor = ExecutorActor(
        replace(settings, account=account, owner=f"direct:{own_identity()}", is_paper=False),
        journal,
        gateway,
        instruments,
        lambda symbol: NobodysSymbol(),
        clock,
        crashes.append,
    )
    try:
        await journal.open()
        try:
            await executor.start()
        except NotRunning as error:
            raise Refused(
                f"halted, but not flattened: {sentence(error)}; stop it, or let it sell: mexcbot halt --flatten"
            ) from None
        try:
            await _until_reconciled(executor, crashes, deadline)
            async with _marked(executor, gateway, symbols, deadline):
                return await _halt(executor, symbols, reason)
        finally:
            await executor.close()
    finally:
        await journal.close()


async def _halt(executor: ExecutorActor, symbols: Sequence[str], reason: str) -> HaltReport:
    match symbols:
        case ():
            return await executor.halt("account", None, True, reason)
        case (symbol,):
            return await executor.halt("symbol", symbol, True, reason)
        case _:
            return await executor.halt_group(tuple(symbols), True, reason)


async def _until_reconciled(executor: ExecutorActor, crashes: Sequence[str], deadline: float) -> None:
    while True:
        state = executor.core.state
        unknown = sum(1 for _ in state.orders.unknown())
        if state.is_reconciled and not unknown:
            return
        if crashes or time.monotonic() > deadline:
            why = "; ".join(crashes) or f"the venue did not answer, or {unknown} orders stayed of unknown outcome"
            raise Refused(f"halted, but not flattened: {why}")
        await asyncio.sleep(READY_STEP_S)


@contextlib.asynccontextmanager
async def _marked(
    executor: ExecutorActor, gateway: Gateway, symbols: Sequence[str], deadline: float
) -> AsyncIterator[None]:
    """Tell the executor the bid of everything that is held, now and every second. Raises: Refused when time is up."""
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            await _mark(executor, gateway, symbols)
    except TimeoutError:
        raise Refused("halted, but not flattened: the venue did not let us ask for the bids in time") from None
    task = asyncio.create_task(_keep_marked(executor, gateway, symbols))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            say(f"the bids were not asked for to the end: {type(error).__name__}: {error}")


async def _keep_marked(executor: ExecutorActor, gateway: Gateway, symbols: Sequence[str]) -> None:
    while True:
        await asyncio.sleep(MARK_EVERY_S)
        await _mark(executor, gateway, symbols)


async def _mark(executor: ExecutorActor, gateway: Gateway, symbols: Sequence[str]) -> None:
    core = executor.core
    for position in core.account.positions():
        is_chosen = not symbols or position.symbol in symbols
        if position.qty <= 0 or not is_chosen or position.symbol not in core.state.instruments:
            continue
        while True:
            if core.budget.try_read(1, time.time_ns()):
                break
            await asyncio.sleep(READY_STEP_S)
        try:
            bid = await gateway.price(position.symbol)
        except VenueUnavailable as error:
            say(f"no bid of {position.symbol}: {sentence(error)}")
            continue
        if bid is not None:
            await executor.mark(position.symbol, core.state.instruments[position.symbol].price_ticks(f"{bid:f}"), 0)


async def _last_session(database_url: str, account: str) -> str:
    """Name the session that the orders of this process belong to: the account's last one."""
    reads = Reads.open(database_url, account)
    try:
        page = await reads.sessions(ListQuery(limit=1))
    finally:
        await reads.close()
    if not page.items:
        raise Refused("halted, but not flattened: the database has no session, so nothing was ever bought here")
    return str(page.items[0]["session"])
