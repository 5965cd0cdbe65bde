"""Coins of a position that leave by no order of ours: their loss is not forgotten, and no owner holds the books up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.unit.actors.executor_fakes import BID, System
from tests.unit.actors.outside_scenes import assert_books_hold, bought, compared, submit
from trading.model.errors import FencedOut
from trading.model.market import Side
from trading.model.orders import Purpose

D = Decimal


@pytest.fixture
async def system() -> AsyncIterator[System]:
    made = System()
    await made.start()
    yield made
    await made.executor.close()
    assert made.crashes == []


async def test_loss_that_left_with_its_coins_outlives_a_restart(system: System) -> None:
    system.venue.free["BTC"] = D(0)
    await compared(system)
    await bought(system, 2000)
    await system.executor.core.books.round()
    await system.executor.mark("BTCUSDT", BID * 9 // 10, system.clock.now_ns())
    await system.executor.core.books.round()
    system.venue.free["BTC"] = D(0)
    await compared(system)
    assert system.executor.core.account.position("BTCUSDT").qty == 0
    for _ in range(2):
        await system.executor.core.books.round()
        await system.crash()
        account, now_ns = system.executor.core.account, system.clock.now_ns()
        assert (account.departed_pnl(), account.drawdown(now_ns)) == (D(-2), D(2))
        assert account.equity(now_ns).net_pnl == D(-2)


async def test_owner_that_puts_its_exit_back_each_time_cannot_hold_up_what_left(system: System) -> None:
    system.venue.free["BTC"] = D(0)
    await compared(system)
    await bought(system, 2000)
    system.venue.free["BTC"] = D("0.05")
    refused = 0
    for number in range(2, 14):
        try:
            await submit(system, system.intent(number, Side.SELL, 500, BID + 10, Purpose.EXIT))
        except FencedOut:
            refused += 1
        await compared(system, 1)
    assert refused
    assert len(system.venue.cancelled) <= 1, "an exit was taken back again and again"
    assert system.executor.core.account.position("BTCUSDT").qty == D("0.05")
    await assert_books_hold(system)
