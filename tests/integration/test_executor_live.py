"""The executor on signed REST and the private stream of a real simulator process, with its faults switched on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest

from actors.executor import ExecutorActor
from tests.live_account import HANDED_OVER, SETTINGS, SYMBOL, LiveAccount, submit, until
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.engine.budget import BudgetSettings
from trading.engine.ports import Submission
from trading.model.orders import CancelIntent, OrderStatus, OrderType
from trading.model.session import HaltState


@pytest.fixture(scope="module")
def unlimited_simulator() -> Iterator[SimulatorProcess]:
    with running_simulator("--limits", "off", "--symbols", SYMBOL, "--seed", "7") as made:
        yield made


async def agree(account: LiveAccount, executor: ExecutorActor) -> None:
    """Wait until nothing is in doubt, then compare venue and journal: orders, executions, position."""
    core = executor.core
    await until(lambda: not tuple(core.state.orders.unknown()) and not core.state.sending)
    await until(lambda: not any(item.missing_lots for item in core.state.orders.live()))
    await asyncio.sleep(0.3)
    await core.reconciler.compare_all()
    await core.outcomes.flush()
    truth = account.truth()
    names = [f"mx-1-{epoch}-{number}" for epoch in account.epochs for number in range(1, account.number + 1)]
    rows = {row.client_order_id: row for row in await account.journal.orders_by_id(names)}
    at_venue = {order["clientOrderId"]: order for order in truth["orders"] if order["clientOrderId"] in rows}
    assert len([order for order in truth["orders"] if order["clientOrderId"] in rows]) == len(at_venue), "sent twice"
    for name, row in rows.items():
        if row.status in (OrderStatus.DENIED, OrderStatus.NOT_SENT, OrderStatus.REJECTED):
            assert name not in at_venue
            continue
        assert account.instrument.qty(row.filled_lots) == Decimal(at_venue[name]["executedQty"])
        expected = {"NEW": "OPEN", "CANCELED": "CANCELLED", "PARTIALLY_CANCELED": "PARTIALLY_CANCELLED"}
        assert row.status.value == expected.get(at_venue[name]["status"], at_venue[name]["status"])
    traded = sum((Decimal(item["qty"]) for item in truth["trades"] if item["clientOrderId"] in rows), Decimal(0))
    fees = sum((Decimal(item["commission"]) for item in truth["trades"] if item["clientOrderId"] in rows), Decimal(0))
    position = core.account.position(SYMBOL)
    assert position.qty == traded
    assert position.fees == fees
    events = await executor.read_events(SYMBOL, 0)
    assert [item.seq for item in events] == list(range(1, len(events) + 1))


async def test_orders_fill_cancel_and_halt_over_the_real_wire(unlimited_simulator: SimulatorProcess) -> None:
    account = LiveAccount(unlimited_simulator, SETTINGS)
    async with account.executor("one") as executor:
        bid, ask = account.best()
        taker = account.intent(OrderType.IOC, ask + ask // 500)
        resting, second = (account.intent(OrderType.LIMIT_MAKER, bid * 97 // 100) for _ in range(2))
        await submit(account, executor, taker, resting, second)
        await until(lambda: account.symbol.kinds.count("Accepted") >= 2 and "Filled" in account.symbol.kinds)
        cancel = CancelIntent(resting.client_order_id, SYMBOL, account.clock.now_ns(), "test")
        await executor.submit(Submission(SYMBOL, account.epoch, "run-1", (), (cancel,)))
        await until(lambda: "Cancelled" in account.symbol.kinds)
        await agree(account, executor)
        assert (await executor.status()).open_orders == 1
        report = await executor.halt("account", None, False, "test")
        assert (report.state, report.confirmed, report.open_orders) == (HaltState.HALTED, True, 0)
        await agree(account, executor)
    assert account.crashes == []


async def test_fees_in_mx_are_booked_as_charged_with_their_worth(unlimited_simulator: SimulatorProcess) -> None:
    account = LiveAccount(unlimited_simulator, SETTINGS)
    fees = {"symbol": SYMBOL, "account": unlimited_simulator.api_key, "taker": "0.001", "asset": "mx"}
    async with account.executor("one") as executor, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        await until(lambda: executor.core.outside.has_opening)
        assert (await client.post(f"{unlimited_simulator.rest}/sim/fees", json=fees)).status_code == 200
        try:
            _, ask = account.best()
            await submit(account, executor, account.intent(OrderType.IOC, ask + ask // 500))
            await until(lambda: "Filled" in account.symbol.kinds)
            await until(lambda: not executor.core.state.orders.live())
        finally:
            await client.delete(f"{unlimited_simulator.rest}/sim/fees")
        held = account.truth()
        charged = sum(
            (Decimal(item["commission"]) for item in held["trades"] if item["commissionAsset"] == "MX"), Decimal(0)
        )
        booked = -sum((line.amount for line in account.journal.ledger if line.kind == "fee"), Decimal(0))
        assert booked == charged > 0
        # The venue takes 80 % of 0.1 % in MX, at its own price of 3.45: nothing here lists MXUSDT, so no rate is known.
        alerts = [name for _, name, *_ in account.journal.alerts]
        assert alerts.count("fee_not_converted") == 1
        totals = dict((await account.journal.load("main")).ledger_totals)
        assert totals["MX"] == Decimal(held["balances"]["MX"]["free"])
        assert await account.journal.audit() == ()
    assert account.crashes == []


async def test_what_others_move_on_the_account_is_booked_with_its_reason(unlimited_simulator: SimulatorProcess) -> None:
    account = LiveAccount(unlimited_simulator, SETTINGS)
    async with account.executor("one") as executor:
        core = executor.core
        await until(lambda: core.outside.has_opening)
        _, ask = account.best()
        await submit(account, executor, account.intent(OrderType.IOC, ask + ask // 500))
        await until(lambda: "Filled" in account.symbol.kinds)
        position = core.account.position(SYMBOL)
        unlimited_simulator.transfer(unlimited_simulator.api_key, "USDT", "250")
        unlimited_simulator.transfer(unlimited_simulator.api_key, "MX", "-7.5")
        await until(lambda: core.state.counters["adjustments"] == 2)
        await account.by_hand("BUY", "0.001")
        await until(lambda: core.state.counters["adjustments"] == 4)
        booked = {
            (line.asset, line.reference.split("/")[0]) for line in account.journal.ledger if line.kind == "adjustment"
        }
        traded = "foreign buy of BTCUSDT"
        assert booked == {("USDT", "DEPOSIT"), ("MX", "WITHDRAW"), ("BTC", traded), ("USDT", traded)}
        assert core.account.position(SYMBOL) == position
        assert core.account.halts() == ()
        # More leaves than nobody holds: the position shrinks by the rest, and its symbol may only exit.
        free = Decimal(account.truth()["balances"]["BTC"]["free"])
        unlimited_simulator.transfer(unlimited_simulator.api_key, "BTC", f"-{free - position.qty / 2}")
        await until(lambda: core.state.counters["adjustments"] == 5)
        assert core.account.position(SYMBOL).qty == position.qty / 2
        assert [(scope, state) for scope, state, _ in core.account.halts()] == [
            (f"symbol:{SYMBOL}", HaltState.REDUCING)
        ]
        totals = dict((await account.journal.load("main")).ledger_totals)
        for asset, held in account.truth()["balances"].items():
            assert totals.get(asset, Decimal(0)) == Decimal(held["free"]) + Decimal(held["locked"]), asset
        await core.books.round()
        assert await account.journal.audit() == ()
    assert account.crashes == []
    unlimited_simulator.transfer(unlimited_simulator.api_key, "BTC", "1")


@pytest.mark.parametrize("seed", [1, 2])
async def test_faults_and_a_kill_lose_and_repeat_nothing(unlimited_simulator: SimulatorProcess, seed: int) -> None:
    dice = random.Random(seed)
    account = LiveAccount(unlimited_simulator, HANDED_OVER)
    account.number = seed * 1_000
    for kind in ("lose_reply", "accept_then_5xx", "duplicate_push", "reorder_push"):
        unlimited_simulator.fault(kind, probability=0.2, seed=seed)
    unlimited_simulator.fault("delay_push", probability=0.3, seed=seed, params={"delay_ms": 300})
    before = account.truth()
    assert not [order for order in before["orders"] if order["status"] in ("NEW", "PARTIALLY_FILLED")]
    try:
        for owner in ("one", "two"):
            async with account.executor(owner) as executor:
                waiting = []
                for _ in range(12):
                    bid, ask = account.best()
                    is_taker = dice.random() < 0.5
                    kind = OrderType.IOC if is_taker else OrderType.LIMIT
                    price_ticks = ask + ask // 500 if is_taker else bid * dice.choice([97, 98, 99]) // 100
                    intent = account.intent(kind, price_ticks)
                    waiting.append(asyncio.create_task(submit(account, executor, intent)))
                    if dice.random() < 0.4:
                        cancel = CancelIntent(intent.client_order_id, SYMBOL, account.clock.now_ns(), "test")
                        batch = Submission(SYMBOL, account.epoch, "run-1", (), (cancel,))
                        waiting.append(asyncio.create_task(executor.submit(batch)))  # type: ignore[arg-type]
                    await asyncio.sleep(dice.random() * 0.05)
                if owner == "two":
                    await asyncio.gather(*waiting)
                    unlimited_simulator.clear_faults()
                    await agree(account, executor)
                    report = await executor.halt("account", None, False, "test")
                    assert report.confirmed
                    await agree(account, executor)
                for task in waiting:
                    task.cancel()
    finally:
        unlimited_simulator.clear_faults()
    assert account.crashes == []


async def test_burst_draws_no_429_at_the_effective_limits() -> None:
    settings = replace(SETTINGS, budget=BudgetSettings())
    with running_simulator("--limits", "effective", "--symbols", SYMBOL, "--seed", "7") as simulator:
        account = LiveAccount(simulator, settings)
        async with account.executor("one") as executor:
            bid, _ = account.best()
            intents = [account.intent(OrderType.LIMIT, bid * 97 // 100) for _ in range(40)]
            await submit(account, executor, *intents)
            report = await executor.halt("account", None, False, "test")
            assert report.confirmed
            assert simulator.state()["rate_limited"] == 0
            counters = dict((await executor.status()).counters)
            assert counters["placed"] >= 30
    assert account.crashes == []
