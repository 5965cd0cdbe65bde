"""The scanner's judgement: which symbols are left out and why, and how the rest is ranked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from trading.engine.scanning import ScanRules, first_look, ranked, second_look, tier_of
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, Candle, MarketTrade, Side, Ticker24h
from trading.model.units import NS_PER_S

D = Decimal
NOW_NS = 1_790_000_000 * NS_PER_S
INSTRUMENT = Instrument("ABCUSDT", "ABC", "USDT", D("0.01"), D("0.1"), D(0), D(1), D(0), D(0), D("0.0005"))
TICKER = Ticker24h("ABCUSDT", D(100), D("100.00"), D("100.20"), D(10), D(2_000_000), D("0.01"))
RULES = ScanRules(min_volume_quote=D(1000))


def trades(*prices: tuple[str, Side], every_s: float = 1.0) -> tuple[MarketTrade, ...]:
    count = len(prices)
    return tuple(
        MarketTrade(
            "ABCUSDT",
            INSTRUMENT.price_ticks(price),
            5,
            side,
            NOW_NS - int((count - index) * every_s * NS_PER_S),
            NOW_NS,
        )
        for index, (price, side) in enumerate(prices)
    )


def book(bid: str = "100.00", ask: str = "100.20") -> BookSnapshot:
    bids = ((INSTRUMENT.price_ticks(bid), 30), (INSTRUMENT.price_ticks("90.00"), 900))
    return BookSnapshot("ABCUSDT", 5, bids, ((INSTRUMENT.price_ticks(ask), 10),), 0, 0)


CALM = trades(*[("100.00", Side.SELL), ("100.20", Side.BUY)] * 100)


@pytest.mark.parametrize(
    ("instrument", "ticker", "reason"),
    [
        (replace(INSTRUMENT, exclusion="offline"), TICKER, "offline"),
        (replace(INSTRUMENT, quote="BTC"), TICKER, "not quoted in USDT"),
        (INSTRUMENT, None, "no turnover known"),
        (INSTRUMENT, replace(TICKER, volume_quote=None), "no turnover known"),
        (INSTRUMENT, replace(TICKER, volume_quote=D(999)), "turnover below 1000 USDT a day"),
        (INSTRUMENT, replace(TICKER, bid_price=None), "no two-sided quote"),
        (INSTRUMENT, replace(TICKER, bid_price=D("100.20")), "no two-sided quote"),
        (INSTRUMENT, replace(TICKER, ask_price=D(120)), "spread above 100 bps"),
    ],
)
def test_first_look_leaves_out_with_a_reason(instrument: Instrument, ticker: Ticker24h | None, reason: str) -> None:
    found, excluded = first_look({"ABCUSDT": instrument}, [ticker] if ticker else [], RULES)
    assert (found, excluded) == ((), {reason: 1})


def test_first_look_ranks_by_what_is_left_after_fees() -> None:
    wide_but_dear = replace(INSTRUMENT, symbol="DEARUSDT", maker_fee_rate=D("0.002"), taker_fee_rate=D("0.002"))
    tickers = [TICKER, replace(TICKER, symbol="DEARUSDT", ask_price=D("100.30"))]
    found, _ = first_look({"ABCUSDT": INSTRUMENT, "DEARUSDT": wide_but_dear}, tickers, RULES)
    assert [item.symbol for item in found] == ["ABCUSDT", "DEARUSDT"]
    assert found[1].edge.quoted > found[0].edge.quoted
    for item in found:
        assert item.edge.net <= item.edge.quoted - item.edge.fees


def test_second_look_measures_book_trades_and_minutes() -> None:
    (item,), _ = first_look({"ABCUSDT": INSTRUMENT}, [TICKER], RULES)
    minute = Candle(0, 60, D(100), D(101), D(100), D(100), D(1), D(100))
    seen = second_look(item, INSTRUMENT, book(), CALM, (minute,), RULES, NOW_NS)
    assert (seen.stage, seen.is_fit, seen.reason) == (2, True, "")
    assert seen.trades_per_min == pytest.approx(60)
    assert seen.volatility_bps == pytest.approx(100)
    assert (seen.bid_depth_quote, seen.ask_depth_quote) == (D(300), D("100.2")), "far levels do not count"
    assert seen.imbalance == pytest.approx(0.75)
    assert seen.edge.samples > 0


def test_second_look_charges_taker_exits_as_the_strategy_would() -> None:
    (item,), _ = first_look({"ABCUSDT": INSTRUMENT}, [TICKER], RULES)
    assert item.edge.maker_exit_ratio == 0.8  # nothing known but a ticker: the least share
    lively = trades(*[("100.00", Side.SELL), ("100.20", Side.BUY)] * 60, every_s=0.5)

    def ratio(high: str) -> float:
        minute = Candle(0, 60, D(100), D(high), D(100), D(100), D(1), D(100))
        return second_look(item, INSTRUMENT, book(), lively, (minute,), RULES, NOW_NS).edge.maker_exit_ratio

    assert 0.98 < ratio("100.05") < 1.0  # a range of 5 bps a minute, a stop 20 bps away
    assert ratio("102") == 0.8


def test_second_look_lets_trades_that_run_away_cost_edge() -> None:
    (item,), _ = first_look({"ABCUSDT": INSTRUMENT}, [TICKER], RULES)
    falling = [
        (f"{101 - step * 0.01 + (0.2 if step % 2 else 0):.2f}", Side.BUY if step % 2 else Side.SELL)
        for step in range(100)
    ]
    calm = second_look(item, INSTRUMENT, book(), CALM, (), RULES, NOW_NS)
    toxic = second_look(item, INSTRUMENT, book(), trades(*falling), (), RULES, NOW_NS)
    assert toxic.edge.adverse > calm.edge.adverse
    assert toxic.edge.net < calm.edge.net


@pytest.mark.parametrize(
    ("snapshot", "told", "reason"),
    [
        (replace(book(), bids=()), CALM, "no two-sided book"),
        (book(ask="102.00"), CALM, "spread of 198 bps: nobody makes a market"),
        (book(), CALM[:1], "only 0.30 trades a minute"),
        (book(), (), "only 0.00 trades a minute"),
    ],
)
def test_second_look_says_what_makes_a_symbol_unfit(
    snapshot: BookSnapshot, told: tuple[MarketTrade, ...], reason: str
) -> None:
    (item,), _ = first_look({"ABCUSDT": INSTRUMENT}, [TICKER], RULES)
    seen = second_look(item, INSTRUMENT, snapshot, told, (), RULES, NOW_NS)
    assert (seen.is_fit, seen.reason) == (False, reason)
    fit = second_look(item, INSTRUMENT, book(), CALM, (), RULES, NOW_NS)
    assert ranked([seen, replace(fit, symbol="XYZUSDT")])[0].symbol == "XYZUSDT"


def test_tier_of_a_turnover_is_its_class() -> None:
    assert [tier_of(D(value)) for value in (10_000_000, 9_999_999, 100_000, 0)] == ["A", "B", "C", "D"]
