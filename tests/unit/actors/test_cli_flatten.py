"""The sale of `halt --direct --flatten`: it keeps to the account's settings, and to the time that was given."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from actors.cli_flatten import _marked, settings_of_sale
from tests.unit.actors.executor_fakes import BTC, System
from trading.adapters.settings import load_settings
from trading.engine.budget import BudgetSettings
from trading.engine.reconcile import OrphanPolicy
from trading.model.errors import Refused
from trading.model.position import Position


def test_sale_runs_under_the_settings_of_the_account() -> None:
    given = {"orphan_policy": "leave", "recv_window_ms": 700, "halt_timeout_s": 9.0, "risk_limits": "entries_per_min=7"}
    made = settings_of_sale(load_settings(given, None), BudgetSettings(orders_per_s=3))
    assert (made.orphan_policy, made.recv_window_ms, made.halt_timeout_s) == (OrphanPolicy.LEAVE, 700, 9.0)
    assert (made.limits, made.budget.orders_per_s) == ((("entries_per_min", "7"),), 3)


async def test_sale_that_may_not_ask_for_a_bid_ends_in_time(system: System) -> None:
    core = system.executor.core
    core.account.set_position(Position(BTC.symbol, Decimal(1), Decimal(60_000), Decimal(0), Decimal(0), 1))
    core.budget.on_rate_limited(3_600, time.time_ns())
    with pytest.raises(Refused, match="not flattened"):
        async with _marked(system.executor, system.venue, (), time.monotonic() + 0.05):
            pytest.fail("sold without a bid")
