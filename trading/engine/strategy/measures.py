"""What is measured of a symbol's market while it trades: spread, volatility, order flow, markouts, exit mix. Pure.

May import `trading.model`, `trading.engine.edge` and its neighbours. Fed by the engine only; strategies read.
"""

from __future__ import annotations

from collections import deque
from math import sqrt

from trading.engine.edge import BPS_PER_ONE, ExitMix, MarkoutEstimator
from trading.engine.strategy.order_flow import LN2, OrderFlow
from trading.model.market import Level, MarketTrade, Side
from trading.model.units import NS_PER_MS, NS_PER_S

SPREAD_HALF_LIFE_S = 60.0
TRADE_HALF_LIFE_S = 30.0
VOLATILITY_HALF_LIFE_S = 60.0
VOLATILITY_STEP_NS = NS_PER_S
SPREAD_STEP_NS = 100 * NS_PER_MS

TOLD_LATE_NS = 150 * NS_PER_MS
"""Depth may be told so much before the trade that made it; the mids of that time are remembered."""

MIDS_MAX = 256


class MarketMeasures:
    """Running measures of one symbol. Owned by its engine; every number fades with the half-lives above.

    Invariant: only a proven, two-sided book is measured; a lost proof forgets what was in flight, not what was learned.
    """

    def __init__(self) -> None:
        self.markouts = MarkoutEstimator()
        self.exit_mix = ExitMix()
        self.flow = OrderFlow()
        self.normal_spread_bps = 0.0
        self.spread_seconds = 0.0  # how much time `normal_spread_bps` is made of
        self.volatility_bps = 0.0  # standard deviation of the mid over one second; 0.0 until something moved
        self.volatility_samples = 0
        self._variance = 0.0
        self._step_mid = 0.0
        self._step_ns = 0
        self._spread_ns = 0
        self._mid = 0.0
        self._mids: deque[tuple[int, int, float]] = deque(maxlen=MIDS_MAX)  # (venue time, receive time, mid), by change
        self._spread_bps = 0.0
        self._trade_rate = 0.0  # decayed count of trades
        self._trade_ns = 0

    @property
    def mid_ticks(self) -> float:
        """Mid of the last proven book; 0.0 before there was one."""
        return self._mid

    def trades_per_minute(self, now_ns: int) -> float:
        """Market trades a minute, by an exponential window of `TRADE_HALF_LIFE_S`."""
        age_s = max(0, now_ns - self._trade_ns) / NS_PER_S
        fade: float = 0.5 ** (age_s / TRADE_HALF_LIFE_S)
        return self._trade_rate * fade * 60.0 * LN2 / TRADE_HALF_LIFE_S

    def before_book(self, now_ns: int) -> None:
        """Settle what is due while the old mid still stands; call before every change and on timers."""
        if self._mid:
            self.markouts.advance(self._mid, now_ns)

    def on_book(self, bid: Level, ask: Level, now_ns: int, exch_ts_ns: int = 0) -> None:
        """Take the best levels of a proven book after a change. exch_ts_ns: the venue's time of it, 0 if unknown."""
        mid = (bid[0] + ask[0]) / 2.0
        if mid != self._mid:
            self._mid = mid
            mids = self._mids
            mids.append((exch_ts_ns, now_ns, mid))
            while len(mids) > 1 and now_ns - mids[1][1] > TOLD_LATE_NS:
                mids.popleft()
        since_ns = now_ns - self._spread_ns
        if since_ns >= SPREAD_STEP_NS:
            self._take_spread((ask[0] - bid[0]) / mid * BPS_PER_ONE, since_ns, now_ns)
        if now_ns - self._step_ns >= VOLATILITY_STEP_NS:
            self._take_move(mid, now_ns)

    def on_unproven(self) -> None:
        """The book is not known any more: no mid, and moves across the hole are not measured."""
        self._mid = 0.0
        self._mids.clear()
        self._step_mid = 0.0
        self._spread_ns = 0
        self.markouts.forget_pending()

    def on_trade(self, trade: MarketTrade, now_ns: int) -> None:
        """Take a market trade; it is held against the mid before it, also where its depth was told first."""
        age_s = max(0, now_ns - self._trade_ns) / NS_PER_S
        self._trade_rate = self._trade_rate * 0.5 ** (age_s / TRADE_HALF_LIFE_S) + 1.0
        self._trade_ns = now_ns
        if self._mid:
            mid = self.mid_before(trade.exch_ts_ns)
            self.markouts.on_market_trade(trade.taker_side, mid, now_ns)
            self.flow.on_trade(trade, mid, now_ns)

    def on_own_fill(self, side: Side, is_maker: bool, now_ns: int, at_ns: int = 0, is_paper: bool = False) -> None:
        """Take one of our fills. at_ns: when it happened, 0 if unknown; on paper on the clock of receive times."""
        if is_maker and self._mid:
            self.markouts.on_own_fill(side, self.mid_before(at_ns, is_paper), now_ns)

    def mid_before(self, at_ns: int, is_receive_time: bool = False) -> float:
        """Return the mid before something that happened at `at_ns`, venue time; the last known one for 0."""
        if at_ns:
            place = 1 if is_receive_time else 0
            for entry in reversed(self._mids):
                if entry[place] < at_ns:
                    return entry[2]
            if self._mids:
                return self._mids[0][2]
        return self._mid

    def _take_spread(self, spread_bps: float, since_ns: int, now_ns: int) -> None:
        # A spread holds until the next look, so the one seen last time is what the time since then is weighed with.
        if self._spread_ns:
            seconds = min(since_ns / NS_PER_S, SPREAD_HALF_LIFE_S)
            keep = 0.5 ** (seconds / SPREAD_HALF_LIFE_S)
            if self.spread_seconds == 0.0:
                self.normal_spread_bps = self._spread_bps
            else:
                self.normal_spread_bps = self.normal_spread_bps * keep + self._spread_bps * (1.0 - keep)
            self.spread_seconds += seconds
        self._spread_bps = spread_bps
        self._spread_ns = now_ns

    def _take_move(self, mid: float, now_ns: int) -> None:
        if self._step_mid:
            seconds = min((now_ns - self._step_ns) / NS_PER_S, VOLATILITY_HALF_LIFE_S)
            move_bps = (mid - self._step_mid) / self._step_mid * BPS_PER_ONE
            keep = 0.5 ** (seconds / VOLATILITY_HALF_LIFE_S)
            fresh = move_bps * move_bps / seconds
            self._variance = self._variance * keep + fresh * (1.0 - keep) if self.volatility_samples else fresh
            self.volatility_bps = sqrt(self._variance)
            self.volatility_samples += 1
        self._step_mid = mid
        self._step_ns = now_ns
