"""The hours before the start: one-minute candles that end at the first price. Pure; same seed, same history."""

from random import Random

from simulator.exchange.tape import CANDLES_KEPT, MINUTE_MS, Candle
from simulator.market.profiles import Profile


def past_candles(profile: Profile, seed: int, first_price_ticks: int, end_ms: int) -> list[Candle]:
    """Return CANDLES_KEPT candles, oldest first, the last one ending at `end_ms` near `first_price_ticks`.

    Walks backwards: the last close is the price at which the market opens.
    """
    draw = Random(f"history:{seed}:{profile.listing.symbol}")
    liquidity = profile.liquidity
    sigma = liquidity.half_spread_bps * liquidity.sigma_ratio * 1e-4 * 60**0.5
    mean_lots = (
        liquidity.noise_rate
        * 60
        * liquidity.touch_value
        * 0.5
        * 10 ** (profile.listing.price_decimals + profile.listing.qty_decimals)
    )
    close = float(first_price_ticks)
    candles: list[Candle] = []
    for number in range(1, CANDLES_KEPT + 1):
        opened = max(1.0, close * (1 + draw.gauss(0.0, sigma)))
        spread = close * sigma * abs(draw.gauss(0.0, 0.5))
        high = round(max(opened, close) + spread)
        low = max(1, round(min(opened, close) - spread))
        lots = round(mean_lots / close * draw.lognormvariate(-0.18, 0.6))
        middle = max(1, round((opened + close) / 2))
        candles.append(
            Candle(
                end_ms - number * MINUTE_MS, max(1, round(opened)), high, low, max(1, round(close)), lots, lots * middle
            )
        )
        close = opened
    candles.reverse()
    return candles
