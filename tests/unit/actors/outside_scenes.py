"""What the tests of changes from outside share: to hold something, to let time pass, to compare with the venue.

Imported by test modules. May import the executor's fakes.
"""

from __future__ import annotations

from decimal import Decimal

from actors.executor_outside import CONFIRM_NS
from tests.unit.actors.executor_fakes import System, settle
from trading.engine.ports import LedgerLine, Submission
from trading.model.orders import OrderIntent
from trading.model.session import HaltState

D = Decimal


async def submit(system: System, *intents: OrderIntent) -> None:
    await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", intents, ()))
    await settle()


async def bought(system: System, lots: int = 1000) -> None:
    """Hold some lots of our own, at the bid."""
    intent = system.intent(1, lots=lots)
    await submit(system, intent)
    system.venue.fill(intent.client_order_id, lots)
    await settle()


async def pass_time(system: System, ns: int) -> None:
    """Let time pass under a renewed lease."""
    system.clock.advance(ns)
    await system.executor.core.keeper.renew()


async def compared(system: System, times: int = 2) -> list[LedgerLine]:
    """Compare with the venue as the minutes pass; return the adjustments in the journal."""
    for _ in range(times):
        await pass_time(system, CONFIRM_NS)
        system.executor.core.desk.is_reconcile_wanted = True
        await system.executor.core.reconciler.round()
        await settle()
    return [line for line in system.journal.ledger if line.kind == "adjustment"]


async def assert_books_hold(system: System) -> None:
    """The equations hold in memory and in the journal, and the ledger is what the venue holds."""
    await system.executor.core.books.round()
    assert await system.journal.audit() == ()
    assert system.executor.core.account.halt_state()[0] is HaltState.ACTIVE
    held = {asset: amount for asset, amount in system.venue.free.items() if amount}
    totals = dict((await system.journal.load("main")).ledger_totals)
    assert {asset: total for asset, total in totals.items() if total} == held
