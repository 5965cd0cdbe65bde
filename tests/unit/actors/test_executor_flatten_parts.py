"""A flatten of more than the venue takes in one order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

from actors.executor_sweep import STEP_S
from tests.unit.actors.executor_fakes import BID, System, settle, submit
from trading.model.orders import Purpose
from trading.model.session import HaltState


async def test_flatten_above_the_venues_largest_order_sells_part_after_part(system: System) -> None:
    entry, core = system.intent(1), system.executor.core
    await submit(system, entry)
    system.venue.fill(entry.client_order_id, 1000)
    await settle()
    price_ticks = BID - BID * 50 // 10_000
    instruments = core.state.instruments
    most = instruments["BTCUSDT"].notional(price_ticks, 220)
    instruments["BTCUSDT"] = replace(instruments["BTCUSDT"], max_notional=most)  # type: ignore[index]
    halting = asyncio.create_task(core.halts.halt("account", None, True, "test"))
    for number, lots in enumerate((220, 220, 220, 220, 120), start=2):
        async with asyncio.timeout(10):
            while len(system.venue.placed) < number:  # noqa: ASYNC110
                await asyncio.sleep(STEP_S)
        offer = system.venue.placed[-1]
        assert (offer.purpose, offer.qty_lots) == (Purpose.EXIT, lots)
        system.venue.fill(offer.client_order_id, lots)
        await settle()
    async with asyncio.timeout(5):
        report = await halting
    assert (report.state, report.confirmed) == (HaltState.HALTED, True)
    assert core.account.position("BTCUSDT").qty == Decimal(0)
