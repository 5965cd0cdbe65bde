"""What live orders say of the venue's queue: a truth that is known is found again, and few orders say nothing."""

from __future__ import annotations

from math import log2

import pytest

from tests.market_scenes import S
from tests.queue_market import QueueMarket
from trading.engine.queue_calibration import POWERS, TELLING_MIN, QueueCalibration
from trading.model.session import QueueEstimate

NEVER = 0
SPREAD = [1 * S, 2 * S, 3 * S, 4 * S, 5 * S, NEVER]


def test_queue_of_a_market_that_tosses_its_cancels_is_found_again() -> None:
    held = 0
    for truth, seed in ((0.5, 1), (1.0, 2), (1.0, 3), (3.0, 4), (3.0, 5)):
        market = QueueMarket(truth, seed)
        market.play(150)
        found = market.twin.report().queue
        assert found.telling >= TELLING_MIN
        assert found.power is not None
        assert found.low is not None
        assert found.high is not None
        assert abs(log2(found.power / truth)) < 0.4
        assert 0.2 < log2(found.high / found.low) < 1.2  # so many orders say it to less than that, and no better
        held += found.low <= truth <= found.high
    assert held >= 4  # of 95 % intervals, one of five may miss


def test_market_whose_cancels_are_never_in_front_is_told_to_be_the_pessimists() -> None:
    market = QueueMarket(1e9, 5)
    market.play(100)
    report = market.twin.report()
    assert report.live.fill_rate == report.pessimistic.fill_rate < report.probabilistic.fill_rate
    assert (report.queue.power, report.queue.high) == (POWERS[-1], POWERS[-1])


def test_few_orders_say_nothing() -> None:
    market = QueueMarket(1.0, 6)
    market.play(TELLING_MIN - 1)
    found = market.twin.report().queue
    assert 0 < found.telling < TELLING_MIN
    assert found == QueueEstimate(found.telling)


def test_orders_that_all_queues_fill_alike_do_not_count() -> None:
    calibration = QueueCalibration()
    for _ in range(100):
        calibration.on_order(9 * S, [2 * S] * len(POWERS))
        calibration.on_order(NEVER, [2 * S, *[2 * S + S // 10] * (len(POWERS) - 1)])
        calibration.on_order(2 * S, [NEVER] * len(POWERS))
    assert calibration.estimate() == QueueEstimate(0)


@pytest.mark.parametrize("place", range(len(POWERS)))
def test_orders_that_fill_with_one_twin_name_its_queue(place: int) -> None:
    calibration = QueueCalibration()
    for _ in range(TELLING_MIN):
        calibration.on_order(SPREAD[place], SPREAD)
    found = calibration.estimate()
    assert found.power == POWERS[place]
    assert found.low is not None
    assert found.high is not None
    assert found.low <= POWERS[place] <= found.high


def test_live_orders_beyond_the_ends_of_the_scale_are_told_as_its_end() -> None:
    sooner, later = QueueCalibration(), QueueCalibration()
    for _ in range(TELLING_MIN):
        sooner.on_order(S // 10, [*SPREAD[1:], NEVER])
        later.on_order(NEVER, [*SPREAD[:-1], 6 * S])
    assert sooner.estimate() == QueueEstimate(TELLING_MIN, POWERS[0], POWERS[0], POWERS[0])
    assert later.estimate() == QueueEstimate(TELLING_MIN, POWERS[-1], POWERS[-1], POWERS[-1])


def test_orders_that_contradict_each_other_give_a_wide_interval() -> None:
    calibration = QueueCalibration()
    for number in range(TELLING_MIN):
        calibration.on_order(S // 10 if number % 2 else NEVER, SPREAD)
    found = calibration.estimate()
    assert found.low == POWERS[0]
    assert found.high is not None
    assert found.high > POWERS[-2]
