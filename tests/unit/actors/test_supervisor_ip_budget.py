"""The pace of a node's address."""

from __future__ import annotations

import pytest

from actors.ip_budget import WAIT_MAX_S, IpBudget
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


def test_wait_is_bounded_and_bad_weights_are_refused() -> None:
    budget = IpBudget({"snapshot": 1.0})
    assert max(budget.lease("n1", "snapshot", 1, NOW) for _ in range(1_000)) == WAIT_MAX_S
    with pytest.raises(ValueError, match="positive weight"):
        budget.lease("n1", "snapshot", 0, NOW)
    with pytest.raises(KeyError):
        budget.lease("n1", "lunch", 1, NOW)
