"""Symbols that the venue lists no more, or by other filters, since the executor before: what is left of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, ETH, UNLIMITED, System, rounds, settle
from trading.engine.ports import OrderRecord, Submission
from trading.model.errors import ConfigError
from trading.model.instrument import NOT_LISTED
from trading.model.market import Side
from trading.model.orders import OrderStatus, Purpose
from trading.model.units import NS_PER_S

NAME = "mx-2-1-1"


async def started(*, is_paper: bool = False) -> System:
    system = System(ExecutorSettings("main", "one", is_paper=is_paper, budget=UNLIMITED, halt_timeout_s=0.0))
    await system.start()
    return system


async def submit(system: System, side: Side = Side.BUY, purpose: Purpose = Purpose.ENTRY, name: str = NAME) -> None:
    """Let the other symbol place one order."""
    attached = await system.executor.attach_symbol("ETHUSDT", "run-2", 2, "test")
    await system.executor.mark("ETHUSDT", BID, system.clock.now_ns())
    epoch = attached.owner_epoch
    order = replace(system.intent(1, side, 1000, BID, purpose), client_order_id=name, symbol="ETHUSDT")
    await system.executor.submit(Submission("ETHUSDT", epoch, "run-2", (replace(order, owner_epoch=epoch),), ()))
    await settle()


async def row(system: System, name: str = NAME) -> OrderRecord:
    (found,) = await system.journal.orders_by_id((name,))
    return found


async def delisted(system: System, *, refuses: bool) -> None:
    """Take the other symbol from the list, and start the next executor."""
    del system.instruments["ETHUSDT"]
    system.venue.unlisted = {"ETHUSDT"} if refuses else set()
    await system.crash()


@pytest.mark.parametrize("refuses", [True, False])
async def test_order_of_a_symbol_that_is_listed_no_more_is_cancelled_booked_and_halted_like_any_other(
    refuses: bool,
) -> None:
    system = await started()
    await submit(system)
    system.venue.fill(NAME, 300, pushes=False)
    system.venue.is_down = True  # the cancel at the start does not get through
    await delisted(system, refuses=refuses)
    await settle()
    system.venue.is_down = False
    assert [name for _, name, *_ in system.journal.alerts].count("orders_unlisted") == 1
    assert not system.venue.book[NAME].status.is_terminal
    await rounds(system, NS_PER_S, 3 * NS_PER_S, NS_PER_S, NS_PER_S)
    assert (await row(system)).status is OrderStatus.PARTIALLY_CANCELLED
    assert system.executor.core.account.position("ETHUSDT").qty == ETH.qty(300)
    assert (await system.journal.load("main")).positions[-1].qty == ETH.qty(300)
    async with asyncio.timeout(10):
        report = await system.executor.halt("account", None, False, "stop")
    assert (report.confirmed, report.open_orders) == (True, 0)
    with pytest.raises(ConfigError, match=NOT_LISTED):
        await system.executor.attach_symbol("ETHUSDT", "run-3", 3, "test")
    await system.executor.close()
    assert system.crashes == []


async def test_unknown_order_of_a_symbol_that_is_listed_no_more_keeps_a_halt_unconfirmed_and_is_named() -> None:
    """Its order is not there, and the venue refuses the lists that could prove it: promise 2 concludes nothing."""
    system = await started()
    system.venue.answer = "vanish"
    await submit(system)
    await delisted(system, refuses=True)
    async with asyncio.timeout(10):
        report = await system.executor.halt("account", None, False, "stop")
    assert (report.confirmed, report.open_orders) == (False, 1)
    assert f"ETHUSDT {NAME}" in report.reason
    assert f"ETHUSDT {NAME}" in (await system.executor.halt_report()).reason
    await rounds(system, *[NS_PER_S] * 6)  # of this one the venue tells its lists of orders and trades
    assert (await row(system)).status is OrderStatus.NOT_SENT
    await system.executor.core.halts.poll()
    assert (await system.executor.halt_report()).confirmed
    await system.executor.close()


async def test_profit_made_in_a_symbol_that_is_listed_no_more_stays_in_the_profit_of_the_account() -> None:
    system = await started()
    await submit(system)
    system.venue.fill(NAME, 1000)
    await settle()
    await submit(system, Side.SELL, Purpose.EXIT, "mx-2-2-1")
    system.venue.fill("mx-2-2-1", 1000, price_ticks=BID * 2)
    await settle()
    net = system.executor.core.account.equity(0).net_pnl
    assert net > 0
    await delisted(system, refuses=True)
    assert system.executor.core.account.equity(0).net_pnl == net
    await system.executor.close()


async def test_paper_order_of_a_symbol_that_is_listed_no_more_ends_at_the_start() -> None:
    system = System(
        ExecutorSettings("main", "one", is_paper=True, opening=(("USDT", Decimal(10_000)),), budget=UNLIMITED)
    )
    await system.start()
    await submit(system)
    await delisted(system, refuses=False)
    await settle()
    assert (await row(system)).status is OrderStatus.CANCELLED
    await system.executor.close()


async def test_orders_by_filters_that_have_changed_meanwhile_are_read_by_the_former_ones_and_ended() -> None:
    system = await started()
    await submit(system)
    finer = replace(ETH, tick_size=ETH.tick_size / 10)
    system.instruments["ETHUSDT"] = finer
    await system.crash()
    core = system.executor.core
    reserved = core.account.commitments.reserved("USDT")
    assert reserved >= ETH.notional(BID, 1000)
    await settle()
    assert system.venue.cancelled == [NAME]
    assert (await row(system)).status is OrderStatus.CANCELLED
    with pytest.raises(ConfigError, match="listed by other filters"):
        await system.executor.attach_symbol("ETHUSDT", "run-3", 3, "test")
    await system.executor.set_instrument(finer)
    assert (await system.executor.attach_symbol("ETHUSDT", "run-3", 3, "test")).instrument == finer
    await system.executor.close()
