"""A node's turns at the venue, as whoever asks it takes them. May import `trading.model` and the back-off."""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from trading.adapters.backoff import backoff_s
from trading.model.errors import RateLimited, TradingError

# With nobody to ask for a slot, go slowly, and slower each time: a fleet that cannot reach its supervisor must neither
# storm the venue nor march in step.
UNLEASED_WAIT_MIN_S, UNLEASED_WAIT_MAX_S = 0.5, 30.0
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

    def __init__(self, node: str, supervisor: TurnsPort, rng: random.Random | None = None) -> None:
        """rng: for the jitter of pauses while the supervisor is away; by default one of its own."""
        self._node = node
        self._supervisor = supervisor
        self._rng = rng or random.Random()
        self._unleased = 0
        self._untold_s = 0.0
        self._telling: asyncio.Task[None] | None = None

    async def take(self, kind: str, at_least_s: float = 0.0) -> None:
        """Wait for a turn of this kind ("snapshot", "connect", "audit"), and for `at_least_s`.

        A turn granted before the venue told this node to slow down is worth nothing: then another one is taken.
        """
        for _ in range(HELD_MAX):
            try:
                leased_s = await self._supervisor.lease_ip(self._node, kind, 1)
                pause_s = max(at_least_s, leased_s)
                await asyncio.sleep(pause_s)
                held_s = await self._supervisor.ip_held(self._node) if pause_s else 0.0
            except TradingError:
                pause_s = backoff_s(self._unleased, UNLEASED_WAIT_MIN_S, UNLEASED_WAIT_MAX_S, self._rng)
                self._unleased += 1
                await asyncio.sleep(max(at_least_s, pause_s))
                return
            self._unleased = 0
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

    def tell_soon(self, retry_after_s: float) -> None:
        """Pass on a refusal from where nothing may wait; the longest of those that come meanwhile goes next."""
        self._untold_s = max(self._untold_s, retry_after_s)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_untold(), name="ip-blocked")

    async def _tell_untold(self) -> None:
        while self._untold_s > 0:
            retry_after_s, self._untold_s = self._untold_s, 0.0
            await self.tell(RateLimited("told by another", retry_after_s))
