"""The edge formula by hand, and what the estimators learn."""

from __future__ import annotations

from math import exp

import pytest

from trading.engine.edge import HORIZONS_NS, ExitMix, MarkoutEstimator, RoundTrip, entry_edge, taker_exit_share
from trading.model.market import Side

MS = 1_000_000
S = 1_000_000_000


def test_edge_of_a_hand_computed_round_trip() -> None:
    # bid 9990, ask 10010: mid 10000, so a tick is one bp. Quoted 20 bps.
    edge = entry_edge(RoundTrip(9_990, 10_010, 9_991, 10_009), 0.0001, 0.0005, 0.8, 3.0, 2.0, 7.0)
    assert edge.quoted == pytest.approx(20.0)
    assert edge.captured == pytest.approx(16.0)
    assert edge.rounding == pytest.approx(1.0 + 0.8)
    assert edge.fees == pytest.approx(1.0 + 0.8 * 1.0 + 0.2 * 5.0)
    assert edge.adverse == pytest.approx(3.0 + 0.8 * 2.0)
    assert edge.net == pytest.approx(16.0 - 2.8 - 4.6 - 1.8)
    assert dict(edge.as_texts())["edge_net_bps"] == "6.8000"


def test_edge_with_lucky_markouts_counts_them_as_nothing() -> None:
    trip = RoundTrip(9_990, 10_010, 9_990, 10_010)
    assert entry_edge(trip, 0, 0, 1.0, -5.0, -3.0).net == entry_edge(trip, 0, 0, 1.0, 0.0, 0.0).net


def test_markout_of_a_market_sell_that_was_followed_by_a_fall_is_adverse_to_a_buyer() -> None:
    estimator = MarkoutEstimator()
    estimator.on_market_trade(Side.SELL, 10_000.0, 0)
    estimator.advance(10_000.0, HORIZONS_NS[0])
    estimator.advance(9_990.0, HORIZONS_NS[1])
    estimator.advance(9_980.0, HORIZONS_NS[2])
    found = [estimator.estimate(Side.BUY, horizon).mean_bps for horizon in HORIZONS_NS]
    assert found == pytest.approx([0.0, 10.0, 20.0])
    assert estimator.estimate(Side.SELL, HORIZONS_NS[2]).weight == 0.0


def test_own_fills_are_not_diluted_by_the_many_trades_of_strangers_at_a_long_horizon() -> None:
    estimator = MarkoutEstimator(half_life=1e9)
    for step in range(1_000):  # strangers trade ten times a second, we are filled every ten seconds
        if step % 100 == 0:
            estimator.on_own_fill(Side.BUY, 10_000.0, step * 100 * MS)
        estimator.on_market_trade(Side.SELL, 10_000.0, step * 100 * MS)
    estimator.advance(9_990.0, 200 * S)
    own, strangers = 10.0, [1 + 999 * part for part in (1.0, 0.1, 0.01)]
    weights = [estimator.estimate(Side.BUY, horizon).weight for horizon in HORIZONS_NS]
    assert weights == pytest.approx([own + number for number in strangers])


def test_markouts_with_overlapping_windows_weigh_only_what_is_new() -> None:
    estimator = MarkoutEstimator(half_life=1e9)
    for step in range(21):  # one trade each 500 ms for ten seconds
        estimator.on_market_trade(Side.SELL, 10_000.0, step * 500 * MS)
    estimator.advance(9_990.0, 60 * S)
    weights = [estimator.estimate(Side.BUY, horizon).weight for horizon in HORIZONS_NS]
    assert weights == pytest.approx([21.0, 1 + 20 * 0.5, 1 + 20 * 0.05])


def test_markouts_of_one_sweep_are_one_sample() -> None:
    estimator = MarkoutEstimator()
    for at_ns in (0, 1, 2, 99 * MS):
        estimator.on_market_trade(Side.SELL, 10_000.0, at_ns)
    estimator.advance(9_999.0, 20 * S)
    assert estimator.estimate(Side.BUY, HORIZONS_NS[0]).weight == pytest.approx(1.0)


def test_markouts_in_flight_when_the_book_is_lost_are_forgotten() -> None:
    estimator = MarkoutEstimator()
    estimator.on_market_trade(Side.SELL, 10_000.0, 0)
    estimator.forget_pending()
    estimator.advance(5_000.0, 20 * S)
    assert estimator.estimate(Side.BUY, HORIZONS_NS[0]).weight == 0.0


def test_adverse_blends_the_prior_with_evidence_by_weight() -> None:
    estimator = MarkoutEstimator(half_life=1e9)
    assert estimator.adverse(Side.BUY, HORIZONS_NS[0], 4.0, 20.0).mean_bps == pytest.approx(4.0)
    for number in range(20):
        estimator.on_market_trade(Side.SELL, 10_000.0, number * S)
        estimator.advance(9_990.0, number * S + HORIZONS_NS[0])
    assert estimator.adverse(Side.BUY, HORIZONS_NS[0], 4.0, 20.0).mean_bps == pytest.approx(7.0)


def test_exit_mix_counts_parts_of_an_exit_as_parts() -> None:
    mix = ExitMix(half_life=1e9)
    assert mix.maker_ratio(0.8, 10) == pytest.approx(0.8)
    for _ in range(10):
        mix.on_exit(is_maker=False, share=0.1)
    assert mix.maker_ratio(0.8, 10) == pytest.approx(8 / 11)


def test_own_fill_weighs_a_whole_sample_just_after_the_trade_that_made_it_and_starts_before_its_sweep() -> None:
    estimator = MarkoutEstimator(half_life=1e9)
    estimator.on_market_trade(Side.SELL, 10_000.0, S)
    estimator.on_own_fill(Side.BUY, 9_990.0, S + 5 * MS)  # told when the book has moved already
    estimator.advance(9_990.0, 60 * S)
    for horizon in HORIZONS_NS:
        found = estimator.estimate(Side.BUY, horizon)
        assert found.weight == pytest.approx(2.0)
        assert found.mean_bps == pytest.approx(10.0)


def test_own_fills_of_one_sweep_weigh_as_one() -> None:
    estimator = MarkoutEstimator(half_life=1e9)
    for part in range(5):
        estimator.on_own_fill(Side.BUY, 10_000.0, S + part * MS)
    estimator.advance(10_000.0, 60 * S)
    assert estimator.estimate(Side.BUY, HORIZONS_NS[2]).weight == pytest.approx(1.0, rel=1e-2)


def test_own_fill_without_a_trade_of_late_starts_from_the_mid_as_it_is() -> None:
    estimator = MarkoutEstimator(half_life=1e9)
    estimator.on_market_trade(Side.SELL, 10_500.0, S)
    estimator.advance(10_500.0, 20 * S)
    estimator.on_own_fill(Side.BUY, 10_000.0, 20 * S)
    estimator.advance(9_990.0, 60 * S)
    assert estimator.estimate(Side.BUY, HORIZONS_NS[0]).mean_bps == pytest.approx(10.0 / 2)


def test_share_of_taker_exits_is_what_a_random_walk_and_an_empty_market_bring_and_at_most_what_is_assumed() -> None:
    assert taker_exit_share(0.2, 8.0, 0.5, 6.0, 2.0, 45.0) == pytest.approx(0.25 * 6.5 / 64)
    assert taker_exit_share(0.2, 8.0, 3.0, 6.0, 2.0, 45.0) == 0.2
    assert taker_exit_share(0.2, 8.0, 0.1, 6.0, 0.1, 30.0) == pytest.approx(0.01 * 16 / 64 + exp(-3.0))
    assert taker_exit_share(0.2, 8.0, 0.1, 6.0, 0.0, 30.0) == 0.2  # nobody buys
    assert taker_exit_share(0.2, 8.0, 0.0, 6.0, 2.0, 45.0) == 0.2  # nothing is known yet


def test_stop_works_until_the_exit_fills_and_not_only_while_the_exit_is_patient() -> None:
    assert taker_exit_share(0.5, 8.0, 2.0, 0.0, 0.5, 45.0) == pytest.approx(4 * 2 / 64)  # at the ask from the start
    assert taker_exit_share(0.5, 8.0, 1.0, 60.0, 2.0, 20.0) == pytest.approx(20 / 64)  # never beyond the timeout
