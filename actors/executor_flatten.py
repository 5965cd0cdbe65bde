"""The sale of what is held: IOC orders at a bounded price below the bid, a few at a time, within the rate budget.

May import `trading.model`, `trading.engine` and the executor's pieces. A flatten never sells what was not allocated.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from actors.executor_judge import FLATTEN
from actors.executor_lanes import AlertLane
from actors.executor_lease import LeaseKeeper
from actors.executor_send import SendPath
from actors.executor_state import ExecutorState, Scope
from actors.executor_sweep import STEP_S, Sweeper
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.reconcile import OUR_PREFIX
from trading.model.market import Side
from trading.model.orders import OrderIntent, OrderType, Purpose
from trading.model.units import NS_PER_S, base36, lowest_sale_ticks, ms_from_ns

# How often an unfilled rest is offered again, and the longest wait for one offer.
ATTEMPTS_MAX = 3
ROUND_S = 2.0
# Exits offered together: what the rate budget lets out well within ROUND_S, so that no bound grows old in the queue.
AT_ONCE = 10


class Flattener:
    """Owned by one `ExecutorActor`."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        sends: SendPath,
        keeper: LeaseKeeper,
        alerts: AlertLane,
        clock: Clock,
        sweeper: Sweeper,
    ) -> None:
        self._settings = settings
        self._state = state
        self._sends = sends
        self._keeper = keeper
        self._alerts = alerts
        self._clock = clock
        self._sweeper = sweeper
        self._exit_seq = 0

    async def flatten(self, scope: Callable[[], Scope]) -> tuple[str, ...]:
        """Cancel everything of the scope, sell what it holds, and return what could not be sold, as text.

        Each position is offered at most three times, and one above the venue's largest order in parts, each of which
        begins anew when the one before was sold whole. What is below the venue's minimum is not offered. Meanwhile the
        symbols' own exits are denied.
        Args: scope: what is to be sold as of now; what is in it no more is left alone.
        """
        self._state.selling.append(scope)
        try:
            return await self._flatten(scope)
        finally:
            self._state.selling.remove(scope)

    async def _flatten(self, scope: Callable[[], Scope]) -> tuple[str, ...]:
        tried: Counter[str] = Counter()
        await self._clear(scope)
        while due := [item for item in self._held(scope()) if tried[item] < ATTEMPTS_MAX]:
            unknown = self._unknown()  # they are sold last, when promise 2 has told what became of their exits
            due = ([item for item in due if item not in unknown] or due)[:AT_ONCE]
            await self._until_free(due)
            goals = self._offer_exits([item for item in due if _is_in(scope(), item)])
            tried.update({item: 1 if item in goals else ATTEMPTS_MAX for item in due})
            await self._until_quiet(scope)
            await self._clear(scope)
            for symbol, lots in goals.items():
                if self._lots(symbol) <= lots:
                    del tried[symbol]
        held = self._held(scope())
        return tuple(f"{self._state.account.position(item).qty.normalize():f} {item}" for item in held)

    def has_bids(self, scope: Scope) -> bool:
        """Tell whether everything that the scope holds has a fresh bid, so that it can be offered."""
        now_ns = self._clock.now_ns()
        return all(self._state.account.bid_ticks(symbol, now_ns) is not None for symbol in self._held(scope))

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def _clear(self, scope: Callable[[], Scope]) -> None:
        """Cancel everything, exits too; gives up when nothing has ended for a round."""
        fewest, deadline_ns = len(self._sweeper.live(scope())), self._after(ROUND_S)
        while fewest and self._clock.monotonic_ns() < deadline_ns:
            await self._sweeper.round(scope(), lambda record: False)
            await self._sweeper.quiet(scope())
            await asyncio.sleep(STEP_S)
            left = len(self._sweeper.live(scope()))
            if left < fewest:
                fewest, deadline_ns = left, self._after(ROUND_S)

    async def _until_quiet(self, scope: Callable[[], Scope]) -> None:
        """Wait until nothing of the scope is open, one round at the longest."""
        deadline_ns = self._after(ROUND_S)
        while True:
            if not self._sweeper.live(scope()) or self._clock.monotonic_ns() >= deadline_ns:
                return
            await asyncio.sleep(STEP_S)

    async def _until_free(self, symbols: list[str]) -> None:
        """Wait until all that these hold can be sold, one round at the longest after the last word on an unknown order.

        A cancel's answer overtakes the venue's word on the balance: what a cancelled exit had locked is free only
        a moment later. While an exit is unknown there is no second one (promise 2): it is waited for as a halt does.
        """
        last_ns, deadline_ns = self._after(self._settings.halt_timeout_s), self._after(ROUND_S)
        while any(self._state.account.sellable_lots(symbol) <= 0 for symbol in symbols):
            if not self._unknown().isdisjoint(symbols):
                deadline_ns = min(self._after(ROUND_S), last_ns)
            if self._clock.monotonic_ns() >= deadline_ns:
                return
            await asyncio.sleep(STEP_S)

    def _unknown(self) -> set[str]:
        """Return the symbols that have an order of unknown outcome."""
        return {item.record.symbol for item in self._state.orders.unknown()}

    def _after(self, seconds: float) -> int:
        return self._clock.monotonic_ns() + int(seconds * NS_PER_S)

    # --- selling ------------------------------------------------------------------------------------------------------

    def _held(self, scope: Scope) -> list[str]:
        """List the symbols of the scope that hold enough to be sold."""
        positions = self._state.account.positions()
        return [item.symbol for item in positions if _is_in(scope, item.symbol) and self._is_held(item.symbol)]

    def _is_held(self, symbol: str) -> bool:
        account = self._state.account
        bid_ticks = account.bid_ticks(symbol, self._clock.now_ns()) or 1
        instrument = self._state.instruments[symbol]
        price_ticks = lowest_sale_ticks(bid_ticks, self._settings.flatten_bound_bps)
        lots = self._lots(symbol)
        return lots > 0 and (bid_ticks == 1 or lots >= instrument.min_lots(price_ticks))

    def _lots(self, symbol: str) -> int:
        return self._state.instruments[symbol].qty_lots_floor(self._state.account.position(symbol).qty)

    def _exit_stem(self, now_ns: int) -> str:
        # Epochs count an account's executors: with the time too, ids of two accounts in one database differ, and those
        # of a new database differ from what the venue has seen before.
        return f"{OUR_PREFIX}x{base36(ms_from_ns(now_ns))}-{base36(self._keeper.epoch)}"

    def _offer_exits(self, symbols: list[str]) -> dict[str, int]:
        """Propose one exit for each that can be offered; return the lots that each holds when that is sold whole."""
        account, now_ns = self._state.account, self._clock.now_ns()
        goals: dict[str, int] = {}
        for symbol in symbols:
            bid_ticks = account.bid_ticks(symbol, now_ns)
            lots = account.sellable_lots(symbol)
            if bid_ticks is None or lots <= 0:
                self._alerts.raise_alert("alert", "flatten_impossible", "no fresh bid, or nothing free to sell", symbol)
                continue
            price_ticks = lowest_sale_ticks(bid_ticks, self._settings.flatten_bound_bps)
            lots = self._state.instruments[symbol].part_lots(price_ticks, lots)
            goals[symbol] = self._lots(symbol) - lots
            self._exit_seq += 1
            self._sends.propose(
                OrderIntent(
                    client_order_id=f"{self._exit_stem(now_ns)}-{base36(self._exit_seq)}",
                    symbol=symbol,
                    side=Side.SELL,
                    type=OrderType.IOC,
                    price_ticks=price_ticks,
                    qty_lots=lots,
                    purpose=Purpose.EXIT,
                    created_ns=now_ns,
                    valid_until_ns=now_ns + int(ROUND_S * NS_PER_S),
                    owner_epoch=self._state.epochs.get(symbol, 0),
                    strategy=FLATTEN,
                    decision=(("reason", FLATTEN), ("bid_ticks", str(bid_ticks))),
                ),
                "",
            )
        return goals


def _is_in(scope: Scope, symbol: str) -> bool:
    return scope is None or symbol in scope
