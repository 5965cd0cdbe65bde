"""The search for what locks funds at the venue and is no order that we know of (design §5); live only.

May import `trading.model`, `trading.engine` and the executor's pieces. Orders with our prefix may be open in symbols
that this database never traded: another database's, or a lost one's. The symbols that trade a locked asset are asked
for their open orders, five a request, two requests a second at most, after everything else that reads. What is found is
dealt with like the open orders of every other symbol: ours by the orphan policy, others' left alone and shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal

import structlog

from actors.executor_desk import OrderDesk
from actors.executor_lanes import AlertLane
from actors.executor_state import ExecutorState
from actors.executor_values import SYMBOLS_A_READ
from trading.adapters.clock import Clock
from trading.engine.locks import LockWatch, locked_by, symbols_locking, unexplained
from trading.engine.ports import OrderRecord
from trading.model.errors import VenueUnavailable
from trading.model.orders import VenueBalance, VenueOrder
from trading.model.units import NS_PER_S, plain

# A sixth of the requests that queries have at the default rates: 2,000 symbols take a bit more than three minutes.
STEP_NS = NS_PER_S // 2
log = structlog.get_logger("executor")


class LockedSearch:
    """Owned by one `Comparer`. Invariant: at most one request a step, and each listed symbol once in a search."""

    def __init__(
        self,
        state: ExecutorState,
        desk: OrderDesk,
        alerts: AlertLane,
        clock: Clock,
        compare: Callable[[tuple[str, ...]], Awaitable[tuple[VenueOrder, ...]]],
    ) -> None:
        """Args: compare: compares the open orders of some symbols with ours, and returns all that the venue shows."""
        self._state = state
        self._desk = desk
        self._alerts = alerts
        self._clock = clock
        self._compare = compare
        self._watch = LockWatch()
        self._left: deque[str] = deque()
        self._assets: frozenset[str] = frozenset()
        self._found: list[VenueOrder] = []
        self._asked = 0
        self._next_ns = 0

    def is_due(self) -> bool:
        """Tell whether balances should be compared before their minute."""
        return self._watch.is_look_wanted(self._clock.monotonic_ns())

    def see(
        self, balances: Iterable[VenueBalance], shown: Iterable[VenueOrder], before: Mapping[str, OrderRecord]
    ) -> None:
        """Take all balances as the venue told them, and the open orders that it showed in the seconds after.

        Args: before: our live orders, by id, before the balances were asked for: what has ended since is locked in
            them too, and what has been filled since was locked whole.
        """
        own = {**self._state.orders.live_records(), **before}
        others = (order for order in shown if order.client_order_id not in own)
        ours = locked_by(own.values(), self._state.instruments)
        theirs = locked_by(others, self._state.instruments)
        self._watch.see(unexplained(balances, ours, theirs), self._clock.monotonic_ns())
        self._state.unexplained_locks = self._watch.amounts()

    async def step(self) -> None:
        """Go on with a search, or begin one; one request at most. Raises: VenueUnavailable, StoreError."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_ns:
            return
        if not self._assets and not self._begin(self._watch.wanted(now_ns)):
            return
        # What explains it all was found, or has gone.
        if self._left and not self._assets.isdisjoint(self._watch.amounts()):
            await self._ask()
            self._next_ns = self._clock.monotonic_ns() + STEP_NS
        if not self._left or self._assets.isdisjoint(self._watch.amounts()):
            self._end()

    def _begin(self, assets: frozenset[str]) -> bool:
        if not assets:
            return False
        self._assets = assets
        self._left.extend(symbols_locking(assets, self._state.instruments, self._state.compared))
        self._found, self._asked = [], 0
        self._state.counters["lock_searches"] += 1
        text = f"{self._amounts()} locked by no order that we know of: {len(self._left)} symbols are searched for it"
        self._alerts.raise_alert("info", "locked_search", text)
        return True

    async def _ask(self) -> None:
        symbols = tuple(self._left.popleft() for _ in range(min(SYMBOLS_A_READ, len(self._left))))
        try:
            found = await self._compare(symbols)
        except VenueUnavailable:
            self._left.extendleft(reversed(symbols))
            raise
        self._asked += len(symbols)
        self._found += found
        if found:
            self._desk.is_reconcile_wanted = True

    def _end(self) -> None:
        self._left.clear()
        names = ", ".join(f"{item.symbol} {item.client_order_id or item.venue_order_id}" for item in self._found[:5])
        log.info("lock_search_ended", assets=sorted(self._assets), asked=self._asked, found=len(self._found))
        if self._found:
            text = f"{len(self._found)} open orders found in symbols that were not traded here: {names}"
            self._alerts.raise_alert("info", "locked_explained", text)
        elif amounts := self._amounts():
            text = f"{amounts} locked at the venue by no open order of {self._asked} more symbols: asked again, seldom"
            self._alerts.raise_alert("warning", "locked_unexplained", text)
        self._watch.on_searched(self._assets, bool(self._found), self._clock.monotonic_ns())
        self._assets = frozenset()

    def _amounts(self) -> str:
        known: dict[str, Decimal] = self._watch.amounts()
        return ", ".join(f"{plain(known[asset])} {asset}" for asset in sorted(self._assets & known.keys()))
