"""A node's turns at the venue, as a symbol actor or the API takes them. May import `trading.model`."""

from __future__ import annotations

import asyncio
from typing import Protocol

from trading.model.errors import RateLimited, TradingError

# With nobody to ask for a slot, go slowly: a fleet that cannot reach its supervisor must not storm the venue.
UNLEASED_WAIT_S = 0.5
# A turn that is held back this often is taken: whoever waits has bounds of its own.
HELD_MAX = 20


class TurnsPort(Protocol):
    """Whoever keeps the node's budget: the supervisor, or the process itself when there is none."""

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """Return how many seconds to wait before a public request of this weight."""
        ...

    async def ip_held(self, node: str) -> float:
        """Return for how many seconds this node is still to keep silent."""
        ...

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """Say that the venue told this node to slow down."""
        ...


class IpTurns:
    """Waits for this node's turn before a public request or a connect, and tells when the venue says no."""

    def __init__(self, node: str, supervisor: TurnsPort) -> None:
        self._node = node
        self._supervisor = supervisor

    async def take(self, kind: str, at_least_s: float = 0.0) -> None:
        """Wait for a turn of this kind ("snapshot", "connect", "audit"), and for `at_least_s`.

        A turn granted before the venue told this node to slow down is worth nothing: then another one is taken.
        """
        for _ in range(HELD_MAX):
            try:
                leased_s = await self._supervisor.lease_ip(self._node, kind, 1)
                await asyncio.sleep(max(at_least_s, leased_s))
                held_s = await self._supervisor.ip_held(self._node) if leased_s else 0.0
            except TradingError:
                await asyncio.sleep(max(at_least_s, UNLEASED_WAIT_S))
                return
            if not held_s:
                return
            at_least_s = 0.0

    async def tell(self, error: TradingError) -> None:
        """Pass on a 429 or a firewall page to the whole node; other errors say nothing about the pace."""
        if not isinstance(error, RateLimited):
            return
        try:
            await self._supervisor.ip_blocked(self._node, error.retry_after_s)
        except TradingError:
            await asyncio.sleep(min(error.retry_after_s, 10.0))
