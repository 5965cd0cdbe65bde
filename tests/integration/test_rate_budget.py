"""A burst of two hundred entries at the effective limits of a real simulator: no 429, fair, and cancels overtake it.

Two hundred symbols keep a simulator busy by themselves: that is for `make soak`. Forty, five entries each, are not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from actors.executor import ExecutorActor
from tests.live_account import SETTINGS, LiveAccount, until
from tests.simulator_process import running_simulator
from trading.adapters.mexc.rest import RestSettings
from trading.engine.budget import BudgetSettings
from trading.engine.ports import OrderRecord, Submission
from trading.model.market import Side
from trading.model.orders import CancelIntent, OrderIntent, OrderStatus, OrderType, Purpose, Refusal
from trading.model.units import NS_PER_S

AGE_S = 6
FIRST = 10
LIMITS = (("max_gross_exposure", "100000"), ("max_entries_per_minute", "100000"), ("mark_max_age_s", "600"))
SLOW = replace(
    SETTINGS,
    budget=BudgetSettings(),
    limits=LIMITS,
    reconcile_interval_s=5.0,
    recv_window_ms=2_000,
    # A lease that lives for one second lapses where two hundred symbols come up on a busy core.
    lease_ttl_s=30.0,
)


def entry(account: LiveAccount, symbol: str, bid: str, epoch: int) -> OrderIntent:
    instrument = account.instruments[symbol]
    price = instrument.price_ticks(bid) * 97 // 100
    account.number += 1
    now_ns = account.clock.now_ns()
    lots = instrument.qty_lots_ceil(Decimal(6) / instrument.price(price))
    return OrderIntent(
        f"mx-b-1-{account.number}", symbol, Side.BUY, OrderType.LIMIT, price, lots, Purpose.ENTRY,
        now_ns, now_ns + AGE_S * NS_PER_S, epoch, "s",
    )  # fmt: skip


async def own_every_symbol(account: LiveAccount, executor: ExecutorActor, bids: dict[str, str]) -> None:
    """As `attach_symbol` does, but for the fee rates: two hundred reads are no part of the burst."""
    core = executor.core
    await account.journal.register_instruments(tuple(account.instruments.values()), 0)
    for symbol, instrument in account.instruments.items():
        core.state.epochs[symbol] = await account.journal.next_symbol_epoch(core.keeper.lease, symbol, "test")
        await executor.mark(symbol, instrument.price_ticks(bids[symbol]), 0)


def open_now(executor: ExecutorActor) -> list[OrderRecord]:
    records = [item.record for item in executor.core.state.orders.live()]
    return [record for record in records if record.status is OrderStatus.OPEN]


def entries_between(orders: Sequence[Mapping[str, Any]], cancelled: Collection[str]) -> int:
    """Count the entries that the venue took between the first of these cancels and the last, by its own clock."""
    ends = [order["updateTime"] for order in orders if order["clientOrderId"] in cancelled]
    assert len(ends) == len(cancelled)
    return sum(min(ends) < order["time"] < max(ends) for order in orders)


@pytest.mark.parametrize(("symbols", "each"), [(40, 5), pytest.param(200, 1, marks=pytest.mark.soak)])
async def test_burst_draws_no_429_is_fair_and_cancels_overtake_entries(symbols: int, each: int) -> None:
    with running_simulator("--limits", "effective", "--count", str(symbols)) as simulator:
        account = LiveAccount(simulator, SLOW)
        account.rest = RestSettings(5.0, 10.0)
        bids = {row["symbol"]: row["bidPrice"] for row in simulator.get("/api/v3/ticker/bookTicker")}
        async with account.executor("one") as executor:
            state = executor.core.state
            await own_every_symbol(account, executor, bids)
            tasks = []
            for symbol in account.instruments:
                epoch = state.epochs[symbol]
                intents = tuple(entry(account, symbol, bids[symbol], epoch) for _ in range(each))
                batch = Submission(symbol, epoch, "run", intents, ())
                tasks.append(asyncio.create_task(executor.submit(batch)))
            await until(lambda: len(open_now(executor)) >= FIRST, 60)
            waiting, chosen = len(executor.core.sends.queue), open_now(executor)[:FIRST]
            for record in chosen:
                cancel = CancelIntent(record.client_order_id, record.symbol, account.clock.now_ns(), "test")
                await executor.submit(Submission(record.symbol, record.owner_epoch, "run", (), (cancel,)))
            await until(lambda: state.counters["cancels"] >= FIRST, 60)
            # While ten cancels took their tokens no entry got one, but for what had its token already.
            assert waiting >= symbols * each // 4
            assert entries_between(account.truth()["orders"], {record.client_order_id for record in chosen}) <= 3
            await asyncio.gather(*tasks)
            # What found no token within its age was denied; no symbol was served twice before each was served once.
            sent = state.counters["placed"]
            assert state.counters[f"denied:{Refusal.BUDGET}"] == symbols * each - sent
            rows = account.journal._orders.values()
            served = Counter(row.symbol for row in rows if row.status is not OrderStatus.DENIED)
            assert max(served.values()) - min(served[symbol] for symbol in account.instruments) <= 1
            report = await executor.halt("account", None, False, "test")
            assert (report.confirmed, report.open_orders) == (True, 0)
            assert simulator.state()["rate_limited"] == 0
    assert account.crashes == []
