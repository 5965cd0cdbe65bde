"""An order with our prefix in a symbol that this database never traded, at a real simulator: found by what it locks."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.live_account import SETTINGS, SYMBOL, LiveAccount, until
from tests.mexc_account import journaled
from tests.simulator_process import running_simulator
from trading.model.market import Side
from trading.model.orders import OrderType, PlaceAccepted

ELSEWHERE = "ETHUSDT"


async def test_orphan_elsewhere_is_found_and_ended_and_a_foreign_order_there_is_not() -> None:
    with running_simulator("--limits", "effective", "--symbols", f"{SYMBOL},{ELSEWHERE}", "--seed", "7") as simulator:
        account = LiveAccount(simulator, replace(SETTINGS, budget=type(SETTINGS.budget)()))
        async with account.executor("one") as executor:
            state, gateway = executor.core.state, executor.core.gateway
            instrument = account.instruments[ELSEWHERE]
            price = instrument.price_ticks(simulator.best(ELSEWHERE)[0]) * 92 // 100
            lots = instrument.qty_lots_ceil(Decimal(20) / instrument.price(price))
            for name in ("mx-lost-1-1", "by-hand"):
                signed_ms = gateway.now_ms()
                order = journaled(ELSEWHERE, Side.BUY, OrderType.LIMIT, price, lots, signed_ms, name)
                assert isinstance(await gateway.place(order), PlaceAccepted)

            def statuses() -> dict[str, str]:
                return {item["clientOrderId"]: item["status"] for item in account.truth()["orders"]}

            assert statuses() == {"mx-lost-1-1": "NEW", "by-hand": "NEW"}
            await until(lambda: state.counters["orphans"] == 1)
            await until(lambda: statuses()["mx-lost-1-1"] == "CANCELED")
            await until(lambda: [item.client_order_id for item in state.foreign] == ["by-hand"])
            await until(lambda: state.unexplained_locks == {})
            assert statuses()["by-hand"] == "NEW"
            assert state.counters["lock_searches"] == 1
            report = await executor.halt("account", None, False, "test")
            assert (report.confirmed, statuses()["by-hand"]) == (True, "NEW")
        assert account.crashes == []
