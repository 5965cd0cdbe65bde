"""Whether the system is ready: database, executor lease, dashboard, each symbol that was asked for. May import httpx.

Open to anybody, so it says what is missing and nothing of how it is built; and asks at most four times a second.
"""

from __future__ import annotations

import asyncio

import httpx

from api.cached import Cached
from api.fleet_view import FleetView
from api.ports import Dependencies
from trading.model.errors import TradingError

MAX_AGE_S = 0.25
TIMEOUT_S = 2.0
DASHBOARD_HEALTH = "/_stcore/health"


class ReadinessCheck:
    """Owned by the app, on its loop."""

    def __init__(self, deps: Dependencies, view: FleetView, dashboard_url: str | None) -> None:
        self._deps = deps
        self._view = view
        self._dashboard_url = dashboard_url
        self._missing = Cached("readiness", self._look, MAX_AGE_S, 2 * TIMEOUT_S)

    async def missing(self) -> tuple[str, ...]:
        """Return what is missing, a sentence each; empty when ready."""
        try:
            return await self._missing.get()
        except TradingError:
            return ("the checks did not end in time",)

    async def _look(self) -> tuple[str, ...]:
        found = await asyncio.gather(self._database(), self._executor(), self._symbols(), self._dashboard())
        return tuple(text for text in found if text)

    async def _database(self) -> str:
        try:
            await asyncio.wait_for(self._deps.reads.ping(), TIMEOUT_S)
        except (TradingError, TimeoutError):
            return "the database does not answer"
        return ""

    async def _executor(self) -> str:
        try:
            status = await asyncio.wait_for(self._deps.executor.status(), TIMEOUT_S)
        except (TradingError, TimeoutError):
            return "the executor does not answer"
        return "" if status.is_ready and status.is_lease_valid else "the executor does not hold its lease yet"

    async def _symbols(self) -> str:
        try:
            known = {row.symbol for row in await self._view.table()}
        except TradingError:
            return "the supervisor does not answer"
        waiting = [symbol for symbol in self._deps.identity.symbols if symbol not in known]
        more = f" and {len(waiting) - 8} more" if len(waiting) > 8 else ""
        return f"not accepted yet: {', '.join(waiting[:8])}{more}" if waiting else ""

    async def _dashboard(self) -> str:
        if self._dashboard_url is None:
            return ""
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
                answer = await client.get(self._dashboard_url + DASHBOARD_HEALTH)
        except httpx.HTTPError:
            return "the dashboard does not serve yet"
        return "" if answer.status_code == 200 else "the dashboard does not serve yet"
