"""The pace of a node's address."""

from __future__ import annotations

import pytest

from actors.ip_budget import WAIT_MAX_S, IpBudget
from actors.wiring_supervisor import AUDIT_SHARE, CONNECT_SHARE, LIVE_PACE, SNAPSHOT_SHARE
from simulator.wire.limits import Limiter, LimitMode
from tests.unit.actors.fleet_fakes import fleet
from trading.adapters.settings import Settings
from trading.engine.budget import BudgetSettings, RateBudget
from trading.model.units import NS_PER_S

NOW = 1_000 * NS_PER_S


def test_lease_of_many_at_once_is_spread_at_the_rate() -> None:
    budget = IpBudget({"snapshot": 5.0}, burst=0.0)
    waits = [budget.lease("n1", "snapshot", 1, NOW) for _ in range(11)]
    assert waits == pytest.approx([index * 0.2 for index in range(11)])


def test_lease_never_grants_more_than_burst_plus_rate_in_any_second() -> None:
    budget = IpBudget({"snapshot": 5.0}, burst=3.0)
    at_s = sorted(budget.lease("n1", "snapshot", 1, NOW) for _ in range(100))
    for start in at_s:
        assert sum(start <= moment < start + 1 - 1e-6 for moment in at_s) <= 5 + 3


def test_lease_weighs_heavy_requests() -> None:
    budget = IpBudget({"snapshot": 10.0}, burst=0.0)
    budget.lease("n1", "snapshot", 5, NOW)
    assert budget.lease("n1", "snapshot", 1, NOW) == pytest.approx(0.5)


def test_lease_of_other_nodes_and_kinds_is_apart() -> None:
    budget = IpBudget({"snapshot": 1.0, "connect": 1.0}, burst=0.0)
    assert [budget.lease(*key, 1, NOW) for key in (("a", "snapshot"), ("b", "snapshot"), ("a", "connect"))] == [0, 0, 0]


def test_block_holds_everything_of_the_node_back() -> None:
    budget = IpBudget({"snapshot": 5.0, "connect": 5.0})
    budget.block("n1", 3.0, NOW)
    assert budget.lease("n1", "snapshot", 1, NOW) == pytest.approx(3.0)
    assert budget.lease("n1", "connect", 1, NOW) == pytest.approx(3.0)
    assert budget.lease("n2", "snapshot", 1, NOW) == 0.0


def test_everybody_behind_a_block_has_a_slot_of_its_own() -> None:
    budget = IpBudget({"snapshot": 4.5})
    budget.block("n1", 600.0, NOW)
    assert budget.held_s("n1", NOW) == 600.0
    waits = [budget.lease("n1", "snapshot", 1, NOW) for _ in range(500)]
    assert min(waits) == pytest.approx(600.0)
    assert len(set(waits)) == 500


def test_wait_is_bounded_and_bad_weights_are_refused() -> None:
    budget = IpBudget({"snapshot": 1.0})
    assert max(budget.lease("n1", "snapshot", 1, NOW) for _ in range(4_000)) == WAIT_MAX_S
    with pytest.raises(ValueError, match="positive weight"):
        budget.lease("n1", "snapshot", 0, NOW)
    with pytest.raises(KeyError):
        budget.lease("n1", "lunch", 1, NOW)


def test_block_is_over_when_its_time_has_passed_and_grants_are_counted() -> None:
    budget = IpBudget({"snapshot": 5.0, "audit": 1.0})
    budget.lease("n1", "snapshot", 1, NOW)
    budget.block("n1", 3.0, NOW)
    budget.block("n1", 1.0, NOW)
    assert budget.held_s("n1", NOW + NS_PER_S) == pytest.approx(2.0)
    assert budget.held_s("n1", NOW + 3 * NS_PER_S) == 0.0
    assert budget.held_s("n2", NOW) == 0.0
    assert budget.grants() == (("audit", 0), ("snapshot", 1))


def test_fleet_of_two_hundred_starts_without_a_refusal_of_the_venue() -> None:
    """Every symbol connects, fetches, and fetches again at the default rates; the venue counts as MEXC is said to."""
    rate = Settings.model_fields["ip_request_rate"].default
    budget = IpBudget({"snapshot": rate * SNAPSHOT_SHARE, "connect": rate * CONNECT_SHARE, "audit": rate * AUDIT_SHARE})
    due = [(NOW, "connect", index) for index in range(200)]
    sent: list[int] = []
    while due:
        due.sort(reverse=True)
        now_ns, kind, index = due.pop()
        at_ns = now_ns + int(budget.lease("n1", kind, 1, now_ns) * NS_PER_S)
        sent.append(at_ns)
        following = {"connect": "snapshot", "snapshot": "audit"}.get(kind)
        if following is not None:
            due.append((at_ns + 30_000_000, following, index))
    limiter = Limiter(LimitMode.EFFECTIVE)
    for at_ns in sorted(sent):
        limiter.admit("n1", "/api/v3/depth", 1, at_ns // 1_000_000)
    assert limiter.refusals == 0
    assert len(sent) == 600
    # What is left of the venue's 20 a second at the worst moment belongs to orders.
    times_s = sorted(at_ns / NS_PER_S for at_ns in sent)
    worst = max(
        sum(start <= moment < start + 1 for moment in times_s[index : index + 40])
        for index, start in enumerate(times_s)
    )
    assert worst <= 20


def test_live_orders_and_snapshots_of_one_address_together_draw_no_refusal_of_the_venue() -> None:
    """Both at their utmost for a minute: orders and reads of the account, snapshots and audits of many symbols."""
    rate = Settings.model_fields["ip_request_rate"].default
    share, burst = LIVE_PACE
    public = IpBudget({"snapshot": rate * SNAPSHOT_SHARE * share, "audit": rate * AUDIT_SHARE * share}, burst)
    account = RateBudget(BudgetSettings(), NOW)
    wanted = ["snapshot"] * 150 + ["audit"] * 25
    sent = [NOW + int(public.lease("n1", kind, 1, NOW) * NS_PER_S) for kind in wanted]
    orders = 0
    for step in range(12_000):
        now_ns = NOW + step * 5_000_000
        if account.try_order(now_ns):
            orders += 1
            sent.append(now_ns)
        elif account.try_read(1, now_ns):
            sent.append(now_ns)
    limiter = Limiter(LimitMode.EFFECTIVE)
    for at_ns in sorted(sent):
        limiter.admit("n1", "/api/v3/order", 1, at_ns // 1_000_000)
    assert limiter.refusals == 0
    assert orders >= 590


async def test_leases_and_blocks_of_the_supervisor_take_no_notice_of_a_clock_that_is_set() -> None:
    world = fleet()
    await world.supervisor.ip_blocked("n1", 90.0)
    for hours in (5, -11):
        world.clock.step(hours * 3_600 * NS_PER_S)
        assert await world.supervisor.ip_held("n1") == pytest.approx(90.0)
        assert await world.supervisor.lease_ip("n1", "snapshot", 1) == pytest.approx(90.0, abs=1.0)
        assert await world.supervisor.lease_ip("n2", "snapshot", 1) == 0.0
    world.clock.advance(100 * NS_PER_S)
    assert await world.supervisor.ip_held("n1") == 0.0


def test_budget_of_orders_goes_on_filling_when_the_clock_is_set_back() -> None:
    budget = RateBudget(BudgetSettings(), NOW)
    while budget.try_order(NOW):
        pass
    back = NOW - 3_600 * NS_PER_S // 4
    assert not budget.try_order(back)
    assert budget.try_order(back + NS_PER_S), "a second later there is a token again"
    budget.on_rate_limited(5.0, back + NS_PER_S)
    further = back // 2
    assert budget.wait_ns(further) == pytest.approx(5 * NS_PER_S, rel=0.1)
    assert not budget.try_order(further + 4 * NS_PER_S)
    assert budget.try_order(further + 6 * NS_PER_S)
