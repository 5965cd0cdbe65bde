"""When a symbol may be entered at all, whatever its strategy thinks: spread, volatility, schedule, losses. Pure.

May import `trading.model` and `trading.engine`. A strategy's own filters are usually tighter; these hold for every
strategy, those of other packages too. They never block an exit.
"""

from __future__ import annotations

from decimal import Decimal

from trading.engine.accounting import is_trip_over
from trading.engine.edge import BPS_PER_ONE
from trading.engine.risk import SymbolRiskLimits
from trading.engine.strategy.measures import MarketMeasures
from trading.engine.strategy.schedule import is_in_window
from trading.model.instrument import Instrument
from trading.model.market import Level
from trading.model.orders import Refusal
from trading.model.position import Position, TripRecord
from trading.model.units import NS_PER_S


class EntryConditions:
    """Judges the market and the symbol's own record. Owned by `Decider`.

    A round trip ends as `accounting.is_trip_over` says; it is judged once, net of fees, and what follows belongs to the
    next one. Memory: the running round trip, the losses in a row, and since when they forbid entries: for how long is
    what the limits say now.
    """

    def __init__(self, trips: TripRecord, limits: SymbolRiskLimits) -> None:
        """Go on from what came before: the pause of the last round trip is measured from its end, by these limits."""
        self._start_net = trips.start_net
        self._sale_ticks = 0  # price of the running trip's last sale; 0 while nothing of it was sold
        self._losses = 0
        self._paused_ns: int | None = None
        self._pause_reason = Refusal.COOLDOWN
        if trips.ended_ns:
            # Every full streak paused once and was counted anew.
            before = max(0, trips.losses_in_row - 1)
            self._losses = before % limits.risk_loss_streak if limits.risk_loss_streak else before
            self._end_trip(Decimal(-1 if trips.losses_in_row else 0), limits, trips.ended_ns)

    def on_sale(self, price_ticks: int) -> None:
        """Take a sale of ours, before the position after it."""
        self._sale_ticks = price_ticks

    def on_position(
        self, position: Position, has_open_sale: bool, instrument: Instrument, limits: SymbolRiskLimits, now_ns: int
    ) -> bool:
        """Take the position after a fill, or after the end of one of our orders; True when that ended a round trip."""
        if not self._sale_ticks or not is_trip_over(position, instrument, self._sale_ticks, has_open_sale):
            return False
        self._sale_ticks = 0
        gained, self._start_net = position.net_pnl - self._start_net, position.net_pnl
        self._end_trip(gained, limits, now_ns)
        return True

    def refusals(
        self, limits: SymbolRiskLimits, measures: MarketMeasures, bid: Level, ask: Level, now_ns: int
    ) -> tuple[Refusal, ...]:
        """Return why nothing may be entered now; all reasons that hold."""
        spread_bps = (ask[0] - bid[0]) * 2.0 / (bid[0] + ask[0]) * BPS_PER_ONE
        normal_bps = measures.normal_spread_bps if measures.spread_seconds > 0 else spread_bps
        gone_bps = max(limits.risk_gone_spread_bps, limits.risk_gone_spread_ratio * normal_bps)
        found = []
        if self._is_paused(limits, now_ns):
            found.append(self._pause_reason)
        if not is_in_window(limits.risk_window_start_min, limits.risk_window_end_min, now_ns):
            found.append(Refusal.SCHEDULE)
        if spread_bps < limits.risk_min_spread_bps:
            found.append(Refusal.SPREAD_TOO_TIGHT)
        if spread_bps > limits.risk_max_spread_bps:
            found.append(Refusal.SPREAD_TOO_WIDE)
        if spread_bps > gone_bps:
            found.append(Refusal.MAKER_GONE)
        if measures.volatility_bps > limits.risk_max_volatility_bps:
            found.append(Refusal.VOLATILITY)
        return tuple(found)

    def forget_pause(self) -> None:
        """A person switched trading on: what the losses forbade is forgiven."""
        self._losses = 0
        self._paused_ns = None

    def _end_trip(self, gained: Decimal, limits: SymbolRiskLimits, now_ns: int) -> None:
        self._losses = self._losses + 1 if gained < 0 else 0
        self._paused_ns, self._pause_reason = now_ns, Refusal.COOLDOWN
        if limits.risk_loss_streak and self._losses >= limits.risk_loss_streak:
            self._losses = 0
            self._pause_reason = Refusal.LOSS_STREAK

    def _is_paused(self, limits: SymbolRiskLimits, now_ns: int) -> bool:
        if self._paused_ns is None:
            return False
        is_streak = self._pause_reason is Refusal.LOSS_STREAK
        pause_s = limits.risk_streak_pause_s if is_streak else limits.risk_cooldown_s
        if now_ns >= self._paused_ns + int(pause_s * NS_PER_S):
            self._paused_ns = None  # over: what is set later begins with the next round trip
            return False
        return True
