"""A sweep's decisions: what is tried, what is chosen on the past, and when the best may be luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from trading.engine.sweep.luck import expected_best, judge, moments, probability_above
from trading.engine.sweep.ranking import PieceResult, rank
from trading.engine.sweep.space import Params, Range, Space, parse_grid, parse_ranges, trials
from trading.model.errors import ConfigError


def no_dice() -> float:
    raise AssertionError("a grid draws nothing")


def test_grid_lists_every_combination_once_in_order() -> None:
    space = Space(parse_grid(["a=1,2", "b=x,y,z"]), {})
    listed = trials(space, None, no_dice)
    assert len(listed) == 6
    assert listed[0] == (("a", "1"), ("b", "x"))
    assert listed[-1] == (("a", "2"), ("b", "z"))


def test_random_search_is_the_same_under_a_seed_and_stays_inside() -> None:
    space = Space(parse_grid(["a=1,2"]), parse_ranges(["f=0.1:10:log", "n=3:9"]))
    first, second = (trials(space, 50, Random("s").random) for _ in range(2))
    assert first == second
    assert len(set(first)) == 50
    for params in first:
        values = dict(params)
        assert values["a"] in ("1", "2")
        assert 0.1 <= float(values["f"]) <= 10
        assert 3 <= int(values["n"]) <= 9
    # Equal chances for equal ratios: the middle of 0.1 .. 10 is 1.
    assert Range(0.1, 10.0, True, False).draw(0.5) == "1"


def test_small_space_is_drawn_until_it_is_empty() -> None:
    assert len(trials(Space(parse_grid(["a=1,2"]), {}), 10, Random(1).random)) == 2


@pytest.mark.parametrize(
    ("grid", "ranges", "count"),
    [
        ([], [], None),
        ([], ["a=1:2"], None),
        (["a=1"], ["a=1:2"], 3),
        (["a"], [], None),
        (["a=1,1"], [], None),
        (["a=1", "a=2"], [], None),
        ([], ["a=2:1"], 3),
        ([], ["a=0:1:log"], 3),
        ([], ["a=1:x"], 3),
        ([], ["a=1:inf"], 3),
        ([f"{name}=1,2,3,4,5,6,7,8,9,10" for name in "abcde"], [], None),
    ],
)
def test_space_that_means_nothing_is_refused_in_a_sentence(
    grid: list[str], ranges: list[str], count: int | None
) -> None:
    with pytest.raises(ConfigError):
        trials(Space(parse_grid(grid), parse_ranges(ranges)), count, Random(1).random)


def piece(trial: int, number: int, net: float, periods: Sequence[float] = (), error: str = "") -> PieceResult:
    return PieceResult(trial, number, 1, 1, 10.0, net, 0.0, net, net, 0.0, tuple(periods or (net,)), error)


def results(nets: Sequence[Sequence[float]]) -> dict[tuple[int, int], PieceResult]:
    return {(t, p): piece(t, p, net) for t, row in enumerate(nets) for p, net in enumerate(row)}


def names(count: int) -> tuple[Params, ...]:
    return tuple((("a", str(number)),) for number in range(count))


def test_walk_forward_chooses_on_the_past_and_earns_the_future() -> None:
    # Trial 0 shines once, then fails; trial 1 is steady; the walk learns it a piece late.
    ranking = rank(names(2), results([[5.0, -3.0, -3.0, -3.0], [1.0, 1.0, 1.0, 1.0]]), 4)
    assert [(fold.piece, fold.trial, fold.net_out) for fold in ranking.walk] == [
        (1, 0, -3.0),
        (2, 0, -3.0),
        (3, 1, 1.0),
    ]
    assert ranking.walk_net == -5.0
    assert [item.trial for item in ranking.ranked] == [1, 0]
    assert [(item.net_in, item.net_out) for item in ranking.ranked] == [(3.0, 1.0), (-1.0, -3.0)]
    assert [item.chosen for item in ranking.ranked] == [1, 2]


def test_last_piece_has_no_say_in_the_ranking_and_luck_judges_what_was_chosen() -> None:
    # Trial 0 is best in sample and fails on the last piece; trial 1 is the best of them only there.
    ranking = rank(names(2), results([[5.0, 5.0, -20.0], [1.0, 1.0, 30.0]]), 3)
    assert [item.trial for item in ranking.ranked] == [0, 1]
    assert [(item.net_in, item.net_out) for item in ranking.ranked] == [(10.0, -20.0), (2.0, 30.0)]
    assert ranking.ranked[0].trial == ranking.walk[-1].trial
    assert ranking.walk_net == -15.0
    assert "did not make money out of sample" in ranking.luck.warning


def test_one_long_holding_marked_every_second_is_called_too_little() -> None:
    held = [1.0 + 0.1 * (number % 3) for number in range(45)]
    found = {
        (0, number): replace(piece(0, number, sum(held), held), round_trips=trips)
        for number, trips in enumerate((40, 1))
    }
    ranking = rank(names(1), found, 2)
    assert "only 1 times" in ranking.luck.warning
    found[(0, 1)] = replace(found[(0, 1)], round_trips=30)
    assert rank(names(1), found, 2).luck.warning == ""


def test_trial_that_failed_or_is_not_whole_is_left_out_and_said() -> None:
    found = results([[1.0, 1.0], [9.0, 9.0], [2.0, 2.0]])
    found[(1, 1)] = piece(1, 1, 0.0, error="broke")
    del found[(2, 0)]
    ranking = rank(names(3), found, 2)
    assert [item.trial for item in ranking.ranked] == [0]
    assert ranking.failed == ((1, "broke"),)
    assert rank(names(1), {}, 2).ranked == ()


def test_deflated_sharpe_ratio_matches_the_papers_example() -> None:
    """Bailey and López de Prado 2014, the numerical example: N = 100, V = 1/2 a year, SR 2.5 a year, T = 1250 days,
    skew -3, kurtosis 10: the hurdle is 0.1132 a day and the deflated Sharpe ratio 0.9004; with N = 46 it is 0.9505."""
    hurdle = expected_best(100, 0.5 / 250)
    assert hurdle == pytest.approx(0.1132, abs=5e-5)
    observed = moments([0.0, 1.0])
    observed = type(observed)(1250, 2.5 / 250**0.5, -3.0, 10.0)
    assert probability_above(observed, hurdle) == pytest.approx(0.9004, abs=5e-4)
    assert probability_above(observed, expected_best(46, 0.5 / 250)) == pytest.approx(0.9505, abs=5e-4)


def test_moments_of_a_known_series() -> None:
    found = moments([1.0, 2.0, 3.0, 6.0])
    assert found.sharpe == pytest.approx(3.0 / (14 / 3) ** 0.5)
    assert found.skew == pytest.approx(4.5 / 3.5**1.5)
    assert moments([2.0] * 9).sharpe == 0.0
    assert moments([]).count == 0


def test_best_of_many_without_skill_is_called_luck_and_a_steady_gain_is_not() -> None:
    dice = Random(7)
    tried = [[dice.gauss(0.0, 1.0) for _ in range(200)] for _ in range(300)]
    best = max(tried, key=sum)
    assert sum(best) > 0
    luck = judge(best, [moments(series).sharpe for series in tried], 100)
    assert "not distinguishable from luck" in luck.warning
    steady = [dice.gauss(0.6, 1.0) for _ in range(200)]
    assert judge(steady, [moments(series).sharpe for series in [*tried, steady]], 100).warning == ""
    assert "did not make money" in judge([-1.0, 0.5], [0.0], 100).warning
    assert "say nothing" in judge([0.0] * 100 + [1.0] * 5, [0.2], 100).warning
