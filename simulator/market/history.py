"""The hours before the start: one-minute candles that end at the first price. Pure; same seed, same history."""

from random import Random

from simulator.exchange.tape import CANDLES_KEPT, MINUTE_MS, Candle
from simulator.market.profiles import Profile


def past_candles(profile: Profile, seed: int, first_price_ticks: int, end_ms: int) -> list[Candle]:
    """Return CANDLES_KEPT candles, oldest first, the last one ending at `end_ms` near `first_price_ticks`.

    Walks backwards: the last close is the price at which the market opens.
    """
    draw = Random(f"history:{seed}:{profile.listing.symbol}").random
    liquidity = profile.liquidity
    # A uniform step of +-sqrt(3) sigma has the deviation sigma; four times cheaper than a normal one.
    reach = liquidity.half_spread_bps * liquidity.sigma_ratio * 1e-4 * (60 * 3) ** 0.5
    steps = 10 ** (profile.listing.price_decimals + profile.listing.qty_decimals)
    mean_lots = liquidity.noise_rate * 60 * liquidity.touch_value * 0.5 * steps
    close = first_price_ticks
    candles: list[Candle] = []
    for number in range(1, CANDLES_KEPT + 1):
        opened = max(1, round(close * (1 + reach * (2 * draw() - 1))))
        tail = close * reach * 0.3 * draw()
        low, high = (opened, close) if opened < close else (close, opened)
        lots = round(mean_lots / close * (0.4 + 1.2 * draw()))
        candles.append(
            Candle(
                end_ms - number * MINUTE_MS,
                opened,
                round(high + tail),
                max(1, round(low - tail)),
                close,
                lots,
                lots * ((opened + close) // 2 or 1),
            )
        )
        close = opened
    candles.reverse()
    return candles
