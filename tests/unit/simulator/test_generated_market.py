"""The generated market: repeatable, sound, active, and neither free nor hopeless for who makes it."""

import itertools

import pytest

from simulator.exchange.pair import Pair, Sequence
from simulator.exchange.tape import Trade
from simulator.market.generator import US, PairGenerator
from simulator.market.history import Past
from simulator.market.profiles import default_symbols, profile_of
from trading.model.market import Side

START_MS = 1_700_000_000_000


def run(symbol: str, seed: int, seconds: int, step_us: int = 100_000) -> tuple[Pair, PairGenerator]:
    profile = profile_of(symbol, 0, 50_000)
    pair = Pair(profile.listing, profile.first_price_ticks, Sequence())
    generator = PairGenerator(pair, profile, seed)
    for until_us in range(0, seconds * US + 1, step_us):
        generator.run_until(until_us, START_MS)
    return pair, generator


def test_market_same_seed_is_the_same_whatever_the_pace() -> None:
    one, _ = run("XRPUSDT", 7, 30)
    two, _ = run("XRPUSDT", 7, 30, step_us=10_000)
    other, _ = run("XRPUSDT", 8, 30)
    assert list(one.tape.trades) == list(two.tape.trades)
    assert (one.book.version, one.book.bids.top(50)) == (two.book.version, two.book.bids.top(50))
    assert list(one.tape.trades) != list(other.tape.trades)


@pytest.mark.parametrize(
    ("symbol", "low_bps", "high_bps"), [("BTCUSDT", 1, 3), ("DOGEUSDT", 9, 30), ("GALAUSDT", 30, 130)]
)
def test_market_spread_fits_the_class_and_the_book_stays_sound(symbol: str, low_bps: float, high_bps: float) -> None:
    profile = profile_of(symbol, 0, 50_000)
    pair = Pair(profile.listing, profile.first_price_ticks, Sequence())
    generator = PairGenerator(pair, profile, 5)
    spreads = []
    for until_us in range(0, 120 * US, US // 2):
        generator.run_until(until_us, START_MS)
        bid, ask = pair.book.bids.best(), pair.book.asks.best()
        assert bid is not None
        assert ask is not None
        assert bid < ask
        spreads.append((ask - bid) / bid * 1e4)
    assert low_bps <= sorted(spreads)[len(spreads) // 2] <= high_bps
    assert len(pair.book.bids.prices) >= 5


@pytest.mark.parametrize("symbol", default_symbols(5))
def test_market_of_the_first_five_trades_on_both_sides_within_seconds(symbol: str) -> None:
    pair, _ = run(symbol, 3, 60)
    for is_buyer in (True, False):
        times = [trade.time_ms for trade in pair.tape.trades if trade.is_buyer_taker is is_buyer]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(times) >= 25
        assert max(gaps) < 20_000


def test_market_price_moves_with_the_taker_after_a_trade() -> None:
    """Who was hit looks worse off five seconds later than at once: adverse selection, in half spreads."""
    profile = profile_of("SOLUSDT", 0, 50_000)
    pair = Pair(profile.listing, profile.first_price_ticks, Sequence())
    generator = PairGenerator(pair, profile, 11)
    mids: list[float] = []
    for step in range(900 * 10):
        generator.run_until(step * US // 10, START_MS)
        bid, ask = pair.book.bids.best(), pair.book.asks.best()
        mids.append((bid + ask) / 2 if bid and ask else mids[-1])
    half = profile.first_price_ticks * profile.liquidity.half_spread_bps * 1e-4
    gains_at_once, gains_later = [], []
    for trade in pair.tape.trades:
        step = (trade.time_ms - START_MS) // 100 + 1
        if step + 50 < len(mids):
            sign = 1 if trade.is_buyer_taker else -1
            gains_at_once.append(sign * (trade.price_ticks - mids[step]) / half)
            gains_later.append(sign * (trade.price_ticks - mids[step + 50]) / half)
    at_once, later = (sum(gains) / len(gains) for gains in (gains_at_once, gains_later))
    assert later < at_once - 0.2
    assert 0.0 < later < 0.9


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ARBUSDT", "GALAUSDT"])
def test_market_of_every_class_changes_its_book_about_ten_times_a_second(symbol: str) -> None:
    profile = profile_of(symbol, 0, 50_000)
    pair = Pair(profile.listing, profile.first_price_ticks, Sequence())
    generator = PairGenerator(pair, profile, 6)
    changed, version = 0, pair.book.version
    for until_us in range(0, 60 * US, US // 10):
        generator.run_until(until_us, START_MS)
        changed, version = changed + (pair.book.version != version), pair.book.version
    assert changed >= 8 * 60


def test_market_has_bursts_and_wide_spells() -> None:
    """Trades cluster (a Poisson stream's counts have the variance of their mean) and the spread has regimes."""
    profile = profile_of("XRPUSDT", 0, 50_000)
    pair = Pair(profile.listing, profile.first_price_ticks, Sequence())
    generator = PairGenerator(pair, profile, 11)
    heard: list[Trade] = []
    pair.tape.listeners.append(heard)
    counts, spreads = [], []
    for second in range(900):
        generator.run_until(second * US, START_MS)
        counts.append(len(heard))
        heard.clear()
        bid, ask = pair.book.bids.best(), pair.book.asks.best()
        spreads.append(ask - bid if bid and ask else 0)
    mean = sum(counts) / len(counts)
    assert sum((count - mean) ** 2 for count in counts) / len(counts) > 1.5 * mean
    spreads.sort()
    assert spreads[len(spreads) * 98 // 100] > 1.6 * spreads[len(spreads) // 2]


def test_market_orders_of_the_generator_are_all_in_the_book() -> None:
    pair, generator = run("BTCUSDT", 2, 30)
    resting = {
        order.seq
        for side in (pair.book.bids, pair.book.asks)
        for level in side.levels.values()
        for order in level.orders.values()
    }
    known = {order.seq for side in Side for order in generator._orders[side] if order.lots}
    assert resting == known


def test_history_ends_at_the_first_price_and_is_repeatable() -> None:
    profile = profile_of("ETHUSDT", 0, 50_000)
    end_ms = START_MS - START_MS % 60_000
    candles = Past(profile, 4).minutes(end_ms)
    assert candles == Past(profile, 4).minutes(end_ms)
    older = Past(profile, 4).older(candles[0].start_ms, candles[0].open)
    assert older == Past(profile, 4).older(candles[0].start_ms, candles[0].open)
    assert older[-1].close == candles[0].open
    least, most = (round(profile.first_price_ticks * part) for part in (0.1, 10))
    assert all(least < candle.low <= candle.high < most for candle in older)
    assert candles[-1].close == profile.first_price_ticks
    assert all(
        candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
        for candle in candles
    )
    assert all(later.start_ms - earlier.start_ms == 60_000 for earlier, later in itertools.pairwise(candles))


def test_profile_of_a_name_that_is_no_usdt_pair_is_refused() -> None:
    for name in ("BTCEUR", "USDT", "btcusdt", "A,BUSDT", ""):
        with pytest.raises(ValueError, match="USDT"):
            profile_of(name, 0, 0)
    assert profile_of("龙虾USDT", 0, 0).listing.base == "龙虾"
