"""Audits of a whole fleet at the node's pace, in virtual time: every symbol is reached, busy or silent."""

from __future__ import annotations

import pytest

from actors.ip_budget import IpBudget
from actors.node_budget import AUDIT_SHARE
from simulator.market.profiles import default_symbols
from trading.adapters.settings import Settings
from trading.engine.book_audit import AuditTimes
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.units import NS_PER_S

FLEET = 200
BOOK = BookSyncSettings()


def longest_waits(is_silent: bool, seconds: int) -> list[int]:
    """Let every symbol ask for its audits; return the longest time of each without one, in seconds."""
    budget = IpBudget({"audit": float(Settings.model_fields["ip_request_rate"].default) * AUDIT_SHARE})
    times = [AuditTimes(name, BOOK) for name in default_symbols(FLEET)]
    busy_until, last, longest = [0] * FLEET, [0] * FLEET, [0] * FLEET
    for second in range(1, seconds + 1):
        now_ns = second * NS_PER_S
        for index, audit_times in enumerate(times):
            pushed_ns = NS_PER_S if is_silent else now_ns
            if second < busy_until[index] or not audit_times.is_due(pushed_ns, now_ns):
                continue
            done = second + int(budget.lease("here", "audit", 1, now_ns))
            busy_until[index] = done
            longest[index] = max(longest[index], min(done, seconds) - last[index])
            last[index] = done
    return [max(longest[index], seconds - last[index]) for index in range(FLEET)]


@pytest.mark.parametrize("is_silent", [False, True])
def test_audits_reach_every_one_of_200_symbols_at_the_default_pace(is_silent: bool) -> None:
    waits = longest_waits(is_silent, seconds=1_200)
    interval_s = BOOK.audit_interval_ns // NS_PER_S
    assert max(waits) <= 2 * interval_s
    if is_silent:
        assert max(waits) <= BOOK.audit_quiet_ns // NS_PER_S + FLEET / 0.75 + 5
