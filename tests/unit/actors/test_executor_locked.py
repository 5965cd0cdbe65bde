"""What the venue locks and no order that we know of explains: its cause is searched for, and dealt with by policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.executor_values import ExecutorSettings
from tests.unit.actors.executor_fakes import BID, BTC, UNLIMITED, System, rounds, submit
from trading.engine.locks import CONFIRM_NS
from trading.engine.reconcile import OrphanPolicy
from trading.model.units import NS_PER_S

D = Decimal
MINUTE_NS = 60 * NS_PER_S
# Eleven more symbols that one buys with USDT: a search takes three requests.
LISTED = tuple(replace(BTC, symbol=f"X{number:02}USDT", base=f"X{number:02}") for number in range(11))


@pytest.fixture
async def system() -> AsyncIterator[System]:
    made = System(instruments=LISTED)
    await made.start()
    yield made
    await made.executor.close()
    assert made.crashes == []


async def minute(system: System) -> None:
    """Let a minute pass, in rounds of five seconds."""
    await rounds(system, *[5 * NS_PER_S] * 12)


def searches(system: System) -> int:
    return system.executor.core.state.counters["lock_searches"]


def alerts(system: System) -> list[str]:
    return [name for _, name, *_ in system.journal.alerts]


async def test_orphan_in_a_symbol_never_traded_here_is_found_reported_and_cancelled(system: System) -> None:
    system.venue.hold("mx-9-9-9", "ETHUSDT")
    await rounds(system, MINUTE_NS)
    assert system.executor.core.state.unexplained_locks.keys() == {"USDT"}
    assert searches(system) == 0, "one look proves nothing: an order may have come between the two questions"
    await rounds(system, CONFIRM_NS, NS_PER_S)
    assert system.venue.cancelled == ["mx-9-9-9"]
    assert [name for name in alerts(system) if name != "locked_explained"] == ["locked_search", "orphan_order"]
    await minute(system)
    assert system.executor.core.state.unexplained_locks == {}
    assert (searches(system), alerts(system).count("locked_explained")) == (1, 1)


async def test_foreign_order_elsewhere_is_left_alone_shown_and_searched_for_once(system: System) -> None:
    system.venue.hold("by-hand", "ETHUSDT")
    await rounds(system, MINUTE_NS, CONFIRM_NS)
    for _ in range(10):
        await minute(system)
    status = await system.executor.status()
    assert [order.client_order_id for order in status.foreign] == ["by-hand"]
    assert (system.venue.cancelled, system.venue.swept, searches(system)) == ([], [], 1)
    system.venue.end("by-hand", pushes=False)
    await minute(system)
    await minute(system)
    assert (await system.executor.status()).foreign == ()
    assert not any("ETHUSDT" in symbols for symbols in system.venue.asked[-1:]), "it is not asked for any more"


async def test_orphan_elsewhere_stays_when_the_policy_says_so() -> None:
    settings = ExecutorSettings("main", "one", False, budget=UNLIMITED, orphan_policy=OrphanPolicy.LEAVE)
    system = System(settings)
    await system.start()
    system.venue.hold("mx-9-9-9", "ETHUSDT")
    await rounds(system, MINUTE_NS, CONFIRM_NS)
    for _ in range(5):
        await minute(system)
    assert (system.venue.cancelled, searches(system)) == ([], 1)
    assert alerts(system).count("orphan_order") == 1
    await system.executor.close()


async def test_halt_of_the_account_ends_an_orphan_that_was_found_elsewhere() -> None:
    settings = ExecutorSettings("main", "one", False, budget=UNLIMITED, orphan_policy=OrphanPolicy.LEAVE)
    system = System(settings)
    await system.start()
    system.venue.hold("mx-9-9-9", "ETHUSDT")
    await rounds(system, MINUTE_NS, CONFIRM_NS, NS_PER_S)
    report = await system.executor.halt("account", None, False, "test")
    assert (report.confirmed, report.open_orders) == (True, 0)
    assert not [word for word in system.venue.book.values() if not word.status.is_terminal]
    await system.executor.close()


async def test_search_asks_every_symbol_once_and_rarer_and_rarer(system: System) -> None:
    system.venue.locked_otherwise["USDT"] = D(77)
    began = len(system.venue.asked)
    await rounds(system, MINUTE_NS, CONFIRM_NS, *[NS_PER_S] * 5)
    asked = [symbols for symbols in system.venue.asked[began:] if "BTCUSDT" not in symbols]
    assert sorted(symbol for symbols in asked for symbol in symbols) == sorted(
        {item.symbol for item in LISTED} | {"ETHUSDT"}
    )
    assert all(len(symbols) <= 5 for symbols in asked)
    for _ in range(20):
        await minute(system)
    assert 4 <= searches(system) <= 5, "after a minute, two, four, eight, ... up to an hour"
    assert system.executor.core.state.unexplained_locks == {"USDT": D(77)}
    assert (await system.executor.status()).unexplained_locks == (("USDT", "77"),)


async def test_more_than_the_last_search_left_is_searched_for_at_once(system: System) -> None:
    system.venue.locked_otherwise["USDT"] = D(77)
    for _ in range(12):
        await minute(system)
    before = searches(system)
    system.venue.hold("mx-9-9-9", "ETHUSDT")
    await minute(system)
    await minute(system)
    assert searches(system) > before
    assert system.venue.cancelled == ["mx-9-9-9"]


async def test_search_goes_on_where_an_outage_stopped_it(system: System) -> None:
    system.venue.hold("mx-9-9-9", "X10USDT")
    await rounds(system, MINUTE_NS, CONFIRM_NS)
    system.venue.is_down = True
    await rounds(system, *[NS_PER_S] * 4)
    system.venue.is_down = False
    await rounds(system, *[NS_PER_S] * 4)
    assert (searches(system), system.venue.cancelled) == (1, ["mx-9-9-9"])


async def test_own_orders_and_foreign_ones_beside_them_explain_what_they_lock(system: System) -> None:
    system.venue.hold("by-hand", "BTCUSDT")
    await submit(system, system.intent(1), system.intent(2, price=9_000))
    for _ in range(3):
        await minute(system)
    assert searches(system) == 0
    assert system.executor.core.state.unexplained_locks == {}


async def test_order_that_ends_between_the_balances_and_the_lists_explains_what_it_locked(system: System) -> None:
    for number in range(1, 4):
        await system.executor.mark("BTCUSDT", BID, system.clock.now_ns())
        intent = system.intent(number)
        assert await submit(system, intent) == (intent.client_order_id,)
        system.venue.ends_on_list = [intent.client_order_id]
        await rounds(system, MINUTE_NS)
        assert not system.executor.core.state.orders.is_live(intent.client_order_id)
        assert system.executor.core.state.unexplained_locks == {}
    assert searches(system) == 0
