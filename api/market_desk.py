"""The market as the API shows it: candles and the scanner, asked of the venue at the pace the node is granted.

May import the API and `trading`. Candles of one question are shared for a moment; one scan runs at a time, and a reader
gets what is known by then instead of waiting for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from actors.ip_turns import IpTurns
from api.cached import Cached
from api.ports import Dependencies
from trading.adapters.clock import SystemClock
from trading.adapters.scanner import Scan, Scanner
from trading.model.errors import NotRunning, TradingError
from trading.model.market import Candle

CANDLES_AGE_S = 1.0
CANDLES_KEPT_MAX = 256
REQUEST_PATIENCE_S = 15.0
SCAN_AGE_S = 60.0
# A reader waits so long for a scan that has just begun; then it gets the first look, and asks again.
FIRST_ANSWER_S = 3.0


class MarketDesk:
    """Owned by the app, on its loop."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._turns = IpTurns(deps.identity.node, deps.supervisor)
        self._candles: dict[tuple[str, str, int, int | None], Cached[tuple[Candle, ...]]] = {}
        self._scanner = Scanner(deps.market, self._pace, SystemClock(), deps.identity.scan_rules)
        self._scan: Scan | None = None
        self._top = 0
        self._scanned_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._error: TradingError | None = None

    async def candles(self, symbol: str, interval: str, limit: int, since_ns: int | None) -> tuple[Candle, ...]:
        """Return candles, oldest first. Raises: VenueError, NotRunning."""
        key = (symbol, interval, limit, since_ns)
        if key not in self._candles:
            while len(self._candles) >= CANDLES_KEPT_MAX:
                self._candles.pop(next(iter(self._candles)))
            fetch = self._fetch(lambda: self._deps.market.candles(symbol, interval, limit, since_ns))
            self._candles[key] = Cached("the venue", fetch, CANDLES_AGE_S, REQUEST_PATIENCE_S)
        return await self._candles[key].get()

    async def scan(self, top: int) -> Scan:
        """Return the newest scan that looked at `top` symbols twice, or how far it has got after `FIRST_ANSWER_S`.

        Raises: VenueError or NotRunning when nothing is known yet and the venue does not answer.
        """
        now = asyncio.get_running_loop().time()
        is_wanted = self._scan is None or now - self._scanned_at > SCAN_AGE_S or top > self._top
        if self._task is None and is_wanted:
            self._task = asyncio.create_task(self._run(top, self._scan is None or top > self._top), name="scan")
        if self._task is not None and (self._scan is None or not self._scan.is_complete or top > self._top):
            await asyncio.wait({self._task}, timeout=FIRST_ANSWER_S)
        if self._scan is None:
            raise self._error or NotRunning("the scan has found nothing yet: ask again in some seconds")
        return self._scan

    async def close(self) -> None:
        """End a scan that is under way."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, top: int, is_progress_shown: bool) -> None:
        def show(scan: Scan) -> None:
            # While a scan is renewed, the old one stands until the new one is complete.
            if is_progress_shown or scan.is_complete:
                self._scan = scan

        try:
            self._scan = await self._scanner.scan(top, show)
            self._top, self._error = top, None
        except TradingError as error:
            self._error = error
            await self._turns.tell(error)
        finally:
            self._scanned_at = asyncio.get_running_loop().time()
            self._task = None

    def _fetch(self, ask: Callable[[], Awaitable[tuple[Candle, ...]]]) -> Callable[[], Awaitable[tuple[Candle, ...]]]:
        async def fetch() -> tuple[Candle, ...]:
            await self._pace()
            try:
                return await ask()
            except TradingError as error:
                await self._turns.tell(error)
                raise

        return fetch

    async def _pace(self) -> None:
        await self._turns.take("snapshot")
