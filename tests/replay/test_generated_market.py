"""The shipped defaults on the simulator's generated market: they trade within a minute, within the rate budget."""

from __future__ import annotations

import pytest

from bench.generated_market import GeneratedMarket
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_result import ReplayResult

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")


def replay(symbol: str, seconds: int = 60, **params: str) -> ReplayResult:
    market = GeneratedMarket(symbol, seed=7)
    settings = ReplaySettings(params=tuple(params.items()))
    return ReplayRun(market.instrument, market.events(seconds), settings).run()


def test_defaults_get_fills_within_a_minute_on_most_of_the_first_five_symbols() -> None:
    results = {symbol: replay(symbol) for symbol in SYMBOLS}
    trading = [symbol for symbol, result in results.items() if result.pessimistic.fills > 0]
    assert len(trading) >= 3, results
    for symbol, result in results.items():
        operations = sum(" cancel: " in line for line in result.order_log) + result.orders
        assert operations <= 0.5 * 60 + 6 + 10, symbol  # the symbol's own budget, and urgent exits
        assert result.denied == 0, symbol


@pytest.mark.parametrize("symbol", ["ETHUSDT", "DOGEUSDT"])
def test_generated_market_replayed_twice_gives_the_same_orders(symbol: str) -> None:
    assert replay(symbol, 30).order_log == replay(symbol, 30).order_log


def test_market_without_fees_to_earn_is_refused_when_both_legs_cost_more_than_the_spread() -> None:
    market = GeneratedMarket("ETHUSDT", seed=7, maker="0.0005", taker="0.0005")  # 10 bps a round trip, 4 bps wide
    result = ReplayRun(market.instrument, market.events(60), ReplaySettings()).run()
    assert result.orders == 0
    assert dict(result.refusals)["edge_below_floor"] > 20


def test_market_maker_quotes_both_sides_keeps_its_limits_and_decides_the_same_twice() -> None:
    def run() -> ReplayResult:
        market = GeneratedMarket("ETHUSDT", seed=3)
        settings = ReplaySettings(strategy_name="market_maker", params=(("max_inventory_quote", "60"),))
        return ReplayRun(market.instrument, market.events(60), settings).run()

    first, second = run(), run()
    assert first.order_log == second.order_log
    words = [line.split(" ", 2)[2].split(" ")[0] for line in first.order_log]
    assert words.count("BUY") >= 5
    assert words.count("SELL") >= 3
    assert first.pessimistic.fills >= 5
    assert first.denied == 0
    assert 0 <= first.pessimistic.held * 3200 <= 65
