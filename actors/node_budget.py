"""The pace of a process that asks the venue without a supervisor: `record`, `scan`, `up --top`.

May import `trading` and the IP budget. A fleet on the same address has a budget of its own: together they stay below
what the venue takes, unless both are told more.
"""

from __future__ import annotations

import asyncio

from actors.ip_budget import IpBudget
from trading.adapters.clock import SystemClock
from trading.model.session import Heartbeat

# Of the address' public requests a second, the shares that a fleet takes for the same.
SNAPSHOT_SHARE = 0.3
CONNECT_SHARE = 0.3


class NodeBudget:
    """The pace of this process' requests: `SupervisorPort` for who has no supervisor. Lives on one loop."""

    def __init__(self, ip_request_rate: float, clock: SystemClock) -> None:
        self._clock = clock
        self._budget = IpBudget(
            {"snapshot": ip_request_rate * SNAPSHOT_SHARE, "connect": ip_request_rate * CONNECT_SHARE}
        )

    async def heartbeat(self, beat: Heartbeat) -> None:
        """Nobody listens."""

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """See `IpBudget.lease`."""
        return self._budget.lease(node, kind, weight, self._clock.monotonic_ns())

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """See `IpBudget.block`."""
        self._budget.block(node, retry_after_s, self._clock.monotonic_ns())

    async def pace_connect(self) -> None:
        """Wait for the turn to connect."""
        await asyncio.sleep(await self.lease_ip("", "connect", 1))

    async def pace_request(self, weight: float) -> None:
        """Wait for the turn of a request that counts as `weight` ones."""
        await asyncio.sleep(await self.lease_ip("", "snapshot", weight))
