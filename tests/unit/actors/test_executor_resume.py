"""What a resume does to the losses that stopped the account: a drawdown begins anew, a day's loss is the day's."""

from __future__ import annotations

import pytest

from tests.unit.actors.executor_fakes import BID, System, submit
from tests.unit.actors.test_executor_guard import hold, look
from trading.model.errors import StoreError
from trading.model.market import Side
from trading.model.orders import Purpose, Refusal
from trading.model.session import HaltState
from trading.model.units import NS_PER_DAY


async def lose(system: System, percent: int) -> None:
    """Let the bid fall, and let the guard and the books see it."""
    await system.executor.mark("BTCUSDT", BID * (100 - percent) // 100, system.clock.now_ns())
    await system.executor.core.books.round()
    await look(system)


async def test_resume_after_a_drawdown_lets_entries_through_and_counts_from_there_on() -> None:
    system = System()
    await system.start()
    await hold(system)
    await system.executor.set_limits({"max_drawdown": "30", "daily_loss": "1000"})
    await lose(system, 9)  # 400 held lose 36
    assert system.executor.core.account.halt_state()[0] is HaltState.REDUCING
    report = await system.executor.resume("account", None)
    assert (report.state, report.reason) == (HaltState.ACTIVE, "the drawdown counts anew from a net P&L of -36")
    assert "drawdown_restarted" in await look(system)
    entry = system.intent(2, price=BID * 91 // 100)
    assert await submit(system, entry) == (entry.client_order_id,)
    await system.crash()
    await system.executor.core.reconciler.round()
    await lose(system, 9)
    account = system.executor.core.account
    assert (account.drawdown(system.clock.now_ns()), account.halt_state()[0]) == (0, HaltState.ACTIVE)
    await lose(system, 18)
    assert account.halt_state()[0] is HaltState.REDUCING, "another 36 are lost"
    await system.executor.close()


async def test_resume_within_the_drawdown_limit_forgives_nothing(system: System) -> None:
    await hold(system)
    await system.executor.set_limits({"max_drawdown": "100", "daily_loss": "1000"})
    await lose(system, 9)
    await system.executor.halt("account", None, False, "a person")
    assert (await system.executor.resume("account", None)).reason == ""
    assert system.executor.core.account.drawdown(system.clock.now_ns()) == 36


async def test_resume_of_a_symbol_forgives_no_drawdown(system: System) -> None:
    await hold(system)
    await system.executor.set_limits({"max_drawdown": "30", "daily_loss": "1000"})
    await lose(system, 9)
    report = await system.executor.resume("symbol", "BTCUSDT")
    assert (report.state, "entries stay denied (drawdown)" in report.reason) == (HaltState.REDUCING, True)


async def test_resume_after_a_daily_loss_says_that_entries_stay_denied_until_the_day_ends(system: System) -> None:
    await hold(system)
    await system.executor.set_limits({"daily_loss": "30", "max_drawdown": "1000"})
    await lose(system, 9)
    report = await system.executor.resume("account", None)
    assert report.state is HaltState.ACTIVE
    assert report.reason == (
        "entries stay denied (daily_loss): net -36 since 00:00 UTC, the limit is -30: until the day ends, or it is "
        "raised"
    )
    await look(system)
    assert system.executor.core.account.halt_state()[0] is HaltState.ACTIVE, "exits and all else go on"
    assert await submit(system, system.intent(2, price=BID * 91 // 100)) == ()
    assert system.executor.core.state.counters[f"denied:{Refusal.DAILY_LOSS}"] == 1
    exit_order = system.intent(3, Side.SELL, 1000, BID * 92 // 100, Purpose.EXIT)
    assert await submit(system, exit_order) == (exit_order.client_order_id,)
    system.clock.advance(NS_PER_DAY)
    await system.executor.core.keeper.renew()
    await lose(system, 9)
    assert await submit(system, system.intent(4, price=BID * 91 // 100))


@pytest.mark.parametrize("hanging", [("save_losses",), ("save_equity",), ("save_equity", "save_losses")])
async def test_resume_whose_drawdown_could_not_be_stored_says_so_once(system: System, hanging: tuple[str, ...]) -> None:
    await hold(system)
    await system.executor.set_limits({"max_drawdown": "30", "daily_loss": "1000"})
    await lose(system, 9)

    async def lost(*_: object) -> None:
        raise StoreError("the database hangs")

    for name in hanging:
        setattr(system.journal, name, lost)
    report = await system.executor.resume("account", None)
    assert report.reason.endswith("not stored yet, a restart before that forgets it")
    assert report.reason.count("not stored") == 1
