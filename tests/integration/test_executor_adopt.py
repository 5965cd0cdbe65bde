"""Orders with our prefix that another client of the account placed, at a real simulator: adopted, booked, ended."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from actors.executor import ExecutorActor
from api.schemas import OrderExplanation
from tests.live_account import SETTINGS, SYMBOL, LiveAccount, stored_journal, until
from tests.mexc_account import journaled
from tests.simulator_process import running_simulator
from trading.adapters.store.explanations import explained
from trading.adapters.store.reads import Reads
from trading.engine.reconcile import OrphanPolicy
from trading.model.market import Side
from trading.model.orders import OrderStatus, OrderType, PlaceAccepted

RESTING, TAKING = "mx-lost-1-1", "mx-lost-1-2"


async def test_orders_of_a_lost_database_are_adopted_filled_restarted_with_and_ended(database_url: str) -> None:
    async with stored_journal(database_url) as journal:
        with running_simulator("--limits", "effective", "--symbols", SYMBOL, "--seed", "7") as simulator:
            account = LiveAccount(simulator, replace(SETTINGS, orphan_policy=OrphanPolicy.ADOPT))
            account.journal = journal
            await _adopt_and_restart(account)
            await _explain(database_url)


async def _adopt_and_restart(account: LiveAccount) -> None:
    async with account.executor("one") as executor:
        state = executor.core.state
        await until(lambda: executor.core.outside.has_opening)
        bid, ask = account.best()
        await _place(account, executor, RESTING, bid * 92 // 100)
        await until(lambda: state.orders.is_live(RESTING))
        await _place(account, executor, TAKING, ask * 101 // 100)
        await until(lambda: _filled(executor, TAKING))
        assert state.counters["adopted"] == 2
        await until(lambda: len(account.symbol.kinds) >= 3)
        assert account.symbol.kinds[:3] == ["Adopted", "Adopted", "Filled"]
    async with account.executor("two") as executor:
        state = executor.core.state
        assert state.orders.is_live(RESTING)
        report = await executor.halt("account", None, False, "test")
        assert (report.confirmed, state.counters["adopted"], state.counters["orphans"]) == (True, 0, 0)
        await executor.core.outcomes.flush()
        rows = {row.client_order_id: row for row in await account.journal.orders_by_id((RESTING, TAKING))}
        assert rows[RESTING].status is OrderStatus.CANCELLED
        assert rows[TAKING].status is OrderStatus.FILLED
        _assert_books_equal_the_venue(account, executor)
        assert executor.core.account.position(SYMBOL).qty > 0
        assert await account.journal.audit() == ()
    assert account.crashes == []


async def _explain(database_url: str) -> None:
    """The venue's facts, and no decision."""
    reads = Reads.open(database_url, "main")
    found = await reads.explain(RESTING)
    await reads.close()
    assert found is not None
    assert [event["kind"] for event in found["events"]] == ["adopted", "cancelled"]
    body = OrderExplanation.model_validate(explained(found))
    assert (body.order.status, body.parameters, body.risk) == ("CANCELLED", {}, [])
    assert body.timeline[0].what == "taken by the venue"


async def _place(account: LiveAccount, executor: ExecutorActor, name: str, price_ticks: int) -> None:
    """Place an order that no executor knows of."""
    lots = account.instrument.qty_lots_ceil(Decimal(20) / account.instrument.price(price_ticks))
    gateway = executor.core.gateway
    order = journaled(SYMBOL, Side.BUY, OrderType.LIMIT, price_ticks, lots, gateway.now_ms(), name)
    assert isinstance(await gateway.place(order), PlaceAccepted)


def _filled(executor: ExecutorActor, name: str) -> bool:
    tracker = executor.core.state.orders.get(name)
    return tracker is not None and tracker.record.status is OrderStatus.FILLED


def _assert_books_equal_the_venue(account: LiveAccount, executor: ExecutorActor) -> None:
    totals = executor.core.state.ledger_totals
    for asset, held in account.truth()["balances"].items():
        assert totals.get(asset, Decimal(0)) == Decimal(held["free"]) + Decimal(held["locked"]), asset
