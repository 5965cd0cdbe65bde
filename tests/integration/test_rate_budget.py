"""A burst of two hundred symbols at the effective limits of a real simulator: no 429, and cancels overtake entries."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

from tests.integration.test_executor_live import SETTINGS, LiveAccount, until
from tests.simulator_process import running_simulator
from trading.engine.budget import BudgetSettings
from trading.engine.ports import Submission
from trading.model.market import Side
from trading.model.orders import CancelIntent, OrderIntent, OrderStatus, OrderType, Purpose, Refusal
from trading.model.units import NS_PER_S

SYMBOLS = 200
AGE_S = 4
FIRST = 10
LIMITS = (("max_gross_exposure", "100000"), ("max_entries_per_minute", "100000"), ("mark_max_age_s", "600"))


async def test_burst_of_two_hundred_symbols_draws_no_429_and_cancels_overtake_entries() -> None:
    # A lease that lives for one second lapses where two hundred symbols come up on a busy core.
    budget = BudgetSettings()
    settings = replace(SETTINGS, budget=budget, reconcile_interval_s=2.0, limits=LIMITS, lease_ttl_s=30.0)
    with running_simulator("--limits", "effective", "--count", str(SYMBOLS)) as simulator:
        account = LiveAccount(simulator, settings)
        bids = {row["symbol"]: row["bidPrice"] for row in simulator.get("/api/v3/ticker/bookTicker")}
        async with account.executor("one") as executor:
            state = executor.core.state
            epochs: dict[str, int] = {}
            for symbol in account.instruments:
                epochs[symbol] = (await executor.attach_symbol(symbol, "run", 1, "test")).owner_epoch
                await executor.mark(symbol, account.instruments[symbol].price_ticks(bids[symbol]), 0)

            def entry(symbol: str) -> OrderIntent:
                instrument = account.instruments[symbol]
                price = instrument.price_ticks(bids[symbol]) * 97 // 100
                account.number += 1
                now_ns = account.clock.now_ns()
                lots = instrument.qty_lots_ceil(Decimal(6) / instrument.price(price))
                return OrderIntent(
                    f"mx-b-1-{account.number}", symbol, Side.BUY, OrderType.LIMIT, price, lots, Purpose.ENTRY,
                    now_ns, now_ns + AGE_S * NS_PER_S, epochs[symbol], "s",
                )  # fmt: skip

            def propose(symbol: str) -> asyncio.Task[object]:
                batch = Submission(symbol, epochs[symbol], "run", (entry(symbol),), ())
                return asyncio.create_task(executor.submit(batch))  # type: ignore[arg-type]

            tasks = [propose(symbol) for symbol in account.instruments]
            await until(lambda: sum(item.record.status is OrderStatus.OPEN for item in state.orders.live()) >= FIRST)
            waiting = len(executor.core.sends.queue)
            chosen = [item.record for item in state.orders.live() if item.record.status is OrderStatus.OPEN][:FIRST]
            for record in chosen:
                cancel = CancelIntent(record.client_order_id, record.symbol, account.clock.now_ns(), "test")
                await executor.submit(Submission(record.symbol, epochs[record.symbol], "run", (), (cancel,)))
            placed = state.counters["placed"]
            await until(lambda: all(not state.orders.is_live(record.client_order_id) for record in chosen))
            # While ten cancels took their tokens no entry got one, but for what had its token already.
            assert state.counters["placed"] - placed <= 3
            assert waiting >= SYMBOLS // 2
            await asyncio.gather(*tasks)
            # What found no token within its age was denied; nobody was served twice before the others once.
            sent = state.counters["placed"]
            assert sent >= FIRST + 10
            assert state.counters[f"denied:{Refusal.BUDGET}"] == SYMBOLS - sent
            assert len({item.record.symbol for item in state.orders.live()}) == sent - FIRST
            report = await executor.halt("account", None, False, "test")
            assert (report.confirmed, report.open_orders) == (True, 0)
            assert simulator.state()["rate_limited"] == 0
    assert account.crashes == []
