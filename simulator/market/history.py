"""The time before the start: candles that end at the first price. Pure; same seed, same history.

A day by the minute, and before it ten days by five minutes, three months by the hour and years by the day: what a
client may ask of candles of any interval, for some thousands of them a pair.
"""

from random import Random

from simulator.exchange.tape import CANDLES_KEPT, DAY_MS, MINUTE_MS, Candle
from simulator.market.profiles import Profile

FIVE_MINUTES_MS, HOUR_MS = 5 * MINUTE_MS, 60 * MINUTE_MS
# (length, how many at least, where they must begin so that the next ones join them)
_OLDER = (
    (MINUTE_MS, 0, FIVE_MINUTES_MS),
    (FIVE_MINUTES_MS, 3_000, HOUR_MS),
    (HOUR_MS, 2_000, DAY_MS),
    (DAY_MS, 1_000, DAY_MS),
)
# Of a candle's price: a thin pair's volatility over a day is no longer that of its seconds.
_REACH_MAX = 0.06
# A past may not wander off for ever: between these parts of the first price.
_LOWEST, _HIGHEST = 0.2, 5.0


class _Walk:
    """Walks backwards: the last close is the price at which the market opens."""

    def __init__(self, profile: Profile, seed: str, first_price_ticks: int, end_ms: int) -> None:
        liquidity = profile.liquidity
        self._draw = Random(seed).random
        # A uniform step of +-sqrt(3) sigma has the deviation sigma; four times cheaper than a normal one.
        self._reach = liquidity.half_spread_bps * liquidity.sigma_ratio * 1e-4 * (60 * 3) ** 0.5
        steps = 10 ** (profile.listing.price_decimals + profile.listing.qty_decimals)
        self._mean_lots = liquidity.noise_rate * 60 * liquidity.touch_value * 0.5 * steps
        self._least = max(1, round(profile.first_price_ticks * _LOWEST))
        self._most = max(1, round(profile.first_price_ticks * _HIGHEST))
        self.close = first_price_ticks
        self.start_ms = end_ms

    def candle(self, length_ms: int) -> Candle:
        """Return the candle of this length before the last one."""
        draw, close, minutes = self._draw, self.close, length_ms // MINUTE_MS
        reach = min(_REACH_MAX, self._reach * minutes**0.5)
        opened = round(close * (1 + reach * (2 * draw() - 1)))
        opened = min(max(opened, self._least), self._most)
        tail = close * reach * 0.3 * draw()
        low, high = (opened, close) if opened < close else (close, opened)
        lots = round(self._mean_lots * minutes / close * (0.4 + 1.2 * draw()))
        self.start_ms -= length_ms
        self.close = opened
        turnover = lots * ((opened + close) // 2 or 1)
        return Candle(self.start_ms, opened, round(high + tail), max(1, round(low - tail)), close, lots, turnover)


class Past:
    """The history of one pair. Implements the tape's `Backfill`."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        self._seed = f"history:{seed}:{profile.listing.symbol}"

    def minutes(self, end_ms: int) -> list[Candle]:
        """Return CANDLES_KEPT candles of a minute, oldest first, the last one ending at `end_ms` at the first price."""
        walk = _Walk(self._profile, self._seed, self._profile.first_price_ticks, end_ms)
        candles = [walk.candle(MINUTE_MS) for _ in range(CANDLES_KEPT)]
        candles.reverse()
        return candles

    def older(self, end_ms: int, close_ticks: int) -> list[Candle]:
        """Return what was before, oldest first, in ever longer candles without a gap; the last closes at that price.

        end_ms: a whole minute. Raises: ValueError.
        """
        if end_ms % MINUTE_MS:
            raise ValueError(f"expected a whole minute, was {end_ms} ms")
        walk = _Walk(self._profile, f"{self._seed}:older", close_ticks, end_ms)
        candles: list[Candle] = []
        for length_ms, least, begin_ms in _OLDER:
            count = 0
            while count < least or walk.start_ms % begin_ms:
                candles.append(walk.candle(length_ms))
                count += 1
        candles.reverse()
        return candles
