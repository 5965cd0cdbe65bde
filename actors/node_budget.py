"""The pace of a process that asks the venue without a supervisor: `record`, `scan`, `up --top`.

May import `trading` and the IP budget. A fleet on the same address has a budget of its own: together they stay below
what the venue takes, unless both are told more.
"""

from __future__ import annotations

from actors.ip_budget import IpBudget
from actors.ip_turns import IpTurns
from trading.adapters.clock import SystemClock

# Of the address' public requests a second, the shares that a fleet takes for the same.
SNAPSHOT_SHARE = 0.3
CONNECT_SHARE = 0.3
AUDIT_SHARE = 0.05


class NodeBudget:
    """The pace of this process' requests: `TurnsPort` for who has no supervisor. Lives on one loop."""

    def __init__(self, ip_request_rate: float, clock: SystemClock) -> None:
        self._clock = clock
        self._budget = IpBudget(
            {
                "snapshot": ip_request_rate * SNAPSHOT_SHARE,
                "connect": ip_request_rate * CONNECT_SHARE,
                "audit": ip_request_rate * AUDIT_SHARE,
            }
        )

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """See `IpBudget.lease`."""
        return self._budget.lease(node, kind, weight, self._clock.monotonic_ns())

    async def ip_held(self, node: str) -> float:
        """See `IpBudget.held_s`."""
        return self._budget.held_s(node, self._clock.monotonic_ns())

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """See `IpBudget.block`."""
        self._budget.block(node, retry_after_s, self._clock.monotonic_ns())

    def turns(self) -> IpTurns:
        """Return the way to this process' turns."""
        return IpTurns("", self)
