"""A venue that lets nothing in: a halt tries now and then, never stops trying, and says how it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

import pytest

from actors.executor_cancels import CancelJob, SweepJob
from tests.unit.actors.executor_fakes import System, settle, submit
from trading.engine.budget import BudgetSettings, RateBudget
from trading.model.errors import RateLimited
from trading.model.orders import VenueOrder
from trading.model.session import HaltReport, HaltState
from trading.model.units import NS_PER_S


class Firewall:
    """Answers reads of open orders and cancels of a venue with 403 (or, told so, 429) while `is_closed`."""

    def __init__(self, system: System, *, is_firewall: bool = True) -> None:
        self.is_closed = True
        self.refused_s: list[float] = []
        self._system = system
        self._is_firewall = is_firewall
        self._open_orders, self._cancel_all = system.venue.open_orders, system.venue.cancel_all
        system.venue.open_orders = self.open_orders  # type: ignore[method-assign]
        system.venue.cancel_all = self.cancel_all  # type: ignore[method-assign]

    def _check(self) -> None:
        if self.is_closed:
            self.refused_s.append(self._system.clock.now_ns() / NS_PER_S)
            raise RateLimited("HTTP 403", 90.0, self._is_firewall)

    async def open_orders(self, symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        self._check()
        return await self._open_orders(symbols)

    async def cancel_all(self, symbols: Sequence[str]) -> None:
        self._check()
        await self._cancel_all(symbols)


@pytest.fixture
async def hasty() -> AsyncIterator[System]:
    """A system whose halts are given up, and said to be NOT CONFIRMED, at once."""
    system = System()
    system.settings = replace(system.settings, halt_timeout_s=0.0)
    system.executor = system.make("one")
    await system.start()
    yield system
    await system.executor.close()


async def poll(system: System, seconds: int) -> HaltReport:
    system.clock.advance(seconds * NS_PER_S)
    await system.executor.core.keeper.renew()
    await system.executor.core.halts.poll()
    await settle()
    return await system.executor.halt_report()


async def test_halt_that_the_firewall_keeps_out_tries_each_ten_seconds_and_is_confirmed_when_let_in(
    hasty: System,
) -> None:
    await submit(hasty, hasty.intent(1))
    firewall = Firewall(hasty)
    report = await hasty.executor.halt("account", None, False, "stop")
    assert not report.confirmed
    assert "one request in 10 s tries" in report.reason
    for _ in range(35):
        assert not (await poll(hasty, 1)).confirmed
    assert len(firewall.refused_s) == 4
    assert all(late - soon >= 10 for soon, late in zip(firewall.refused_s, firewall.refused_s[1:], strict=False))
    firewall.is_closed = False
    reports = [await poll(hasty, 1) for _ in range(15)]
    assert (reports[-1].confirmed, reports[-1].open_orders) == (True, 0)
    assert "lets nothing in" not in reports[-1].reason


async def test_halt_given_up_in_a_pause_that_the_venue_asked_for_goes_on_after_it(hasty: System) -> None:
    await submit(hasty, hasty.intent(1))
    firewall = Firewall(hasty, is_firewall=False)
    assert not (await hasty.executor.halt("account", None, False, "stop")).confirmed
    for _ in range(8):
        assert not (await poll(hasty, 10)).confirmed
    assert len(firewall.refused_s) == 1, "nothing goes out while the venue wants silence"
    firewall.is_closed = False
    reports = [await poll(hasty, 5) for _ in range(5)]
    assert reports[-1].confirmed
    assert hasty.venue.swept == [("BTCUSDT",)]


async def carry_as_probe(system: System, job: CancelJob | SweepJob, lift: bool = False) -> None:
    """Carry out a job of a halt that got the one try of a firewall's pause, of which 80 s are left."""
    core, now_ns = system.executor.core, system.clock.now_ns()
    assert core.budget.try_order(now_ns)
    ticket = core.budget.on_order_left(now_ns)
    if lift:
        core.account.set_halt("account", HaltState.ACTIVE, "")
    await core.sends.cancels.carry(job, ticket)


async def shut_out(system: System, *, is_lease_kept: bool = True) -> SweepJob:
    """Let an order rest, a halt be on and the firewall close; return the halt's sweep, whose look is old by now."""
    await submit(system, system.intent(1))
    core = system.executor.core
    core.account.set_halt("account", HaltState.HALTED, "test")
    still = partial(core.halts._sweeper._still, lambda record: False, system.clock.monotonic_ns())
    core.budget.on_rate_limited(90.0, system.clock.now_ns(), is_firewall=True)
    system.clock.advance(10 * NS_PER_S)
    if is_lease_kept:
        await core.keeper.renew()
    return SweepJob(("BTCUSDT",), still)


@pytest.mark.parametrize("cause", ["lease", "lifted", "over"])
async def test_job_that_sends_nothing_leaves_the_pause_and_gives_its_try_to_the_next(hasty: System, cause: str) -> None:
    sweep = await shut_out(hasty, is_lease_kept=cause != "lease")
    budget, now_ns = hasty.executor.core.budget, hasty.clock.now_ns()
    job = CancelJob("mx-none", "BTCUSDT") if cause == "over" else sweep
    await carry_as_probe(hasty, job, lift=cause == "lifted")
    assert (hasty.venue.swept, hasty.venue.cancelled) == ([], [])
    assert budget.pause_ns(now_ns) == 80 * NS_PER_S
    assert budget.try_probe(now_ns)
    assert not budget.try_probe(now_ns)


@pytest.mark.parametrize("is_closed", [True, False])
async def test_sweep_whose_look_is_old_looks_again_with_the_try_that_it_has(hasty: System, is_closed: bool) -> None:
    sweep = await shut_out(hasty)
    budget, now_ns = hasty.executor.core.budget, hasty.clock.now_ns()
    firewall = Firewall(hasty)
    firewall.is_closed = is_closed
    asked = len(hasty.venue.asked)
    await carry_as_probe(hasty, sweep)
    if is_closed:
        assert len(firewall.refused_s) == 1
        assert budget.pause_ns(now_ns) == 90 * NS_PER_S
        assert not budget.try_probe(now_ns)
    else:
        assert hasty.venue.asked[asked] == ("BTCUSDT",)
        assert hasty.venue.swept == [("BTCUSDT",)]
        assert not budget.is_paused(now_ns)


def test_answer_to_what_left_before_the_firewall_closed_ends_no_pause_though_another_tries() -> None:
    budget = RateBudget(BudgetSettings())
    before = budget.rate_limited
    budget.on_rate_limited(90.0, 0, is_firewall=True)
    assert budget.try_probe(10 * NS_PER_S)
    budget.on_let_in(before, 11 * NS_PER_S)
    assert budget.is_paused(11 * NS_PER_S)
    budget.on_let_in(budget.rate_limited, 12 * NS_PER_S)
    assert not budget.is_paused(12 * NS_PER_S)
