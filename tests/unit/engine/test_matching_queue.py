"""The place in a queue: what trades, cancels and late trades do to it."""

from __future__ import annotations

import pytest

from trading.engine.matching_models import (
    DEFAULT_RULES,
    PLAIN_RULES,
    CancelPlace,
    LogCancels,
    MatchingRules,
    PowerCancels,
    QueueModel,
    ShareCancels,
)
from trading.engine.matching_queue import QueuePlace

MS = 1_000_000
LATE = DEFAULT_RULES.late_trade_ns
MODELS = tuple(QueueModel)


def place(
    displayed: int, model: QueueModel = QueueModel.PESSIMISTIC, rules: MatchingRules = DEFAULT_RULES
) -> QueuePlace:
    return QueuePlace(displayed, True, model, rules)


@pytest.mark.parametrize("model", MODELS)
def test_queue_trade_then_its_shrink_counts_once(model: QueueModel) -> None:
    queue = place(10, model)
    assert queue.on_trade(4, 4, 0) == 0
    queue.on_level(6, 1)
    assert queue.on_trade(0, 0, 2 * LATE) == 0
    assert queue.ahead == 6


@pytest.mark.parametrize("model", MODELS)
def test_queue_shrink_then_its_late_trade_counts_once(model: QueueModel) -> None:
    queue = place(10, model)
    queue.on_level(6, 0)
    queue.on_trade(4, 4, 100 * MS)
    queue.on_trade(0, 0, 10 * LATE)
    assert queue.ahead == 6


def test_queue_shrink_that_no_trade_explains_bounds_the_pessimist_after_the_window() -> None:
    queue = place(10)
    queue.on_level(3, 0)
    queue.on_trade(0, 0, LATE - 1)
    assert queue.ahead == 10
    queue.on_trade(0, 0, LATE)
    assert queue.ahead == 3


def test_queue_shrink_behind_us_moves_the_probabilist_and_not_the_pessimist() -> None:
    pessimist, probabilist = place(10), place(10, QueueModel.PROBABILISTIC)
    for queue in (pessimist, probabilist):
        queue.on_level(30, 0)  # 20 lots joined behind
        queue.on_level(25, 1)
        queue.on_trade(0, 0, 2 * LATE)
    assert pessimist.ahead == 10
    chance = LogCancels().chance_behind(10, 20)
    assert probabilist.ahead == pytest.approx(10 - (1 - chance) * 5)


def test_queue_level_that_vanishes_and_returns_leaves_nothing_ahead() -> None:
    queue = place(10)
    queue.on_level(0, 0)
    queue.on_level(50, 1)
    assert queue.on_trade(0, 0, 2 * LATE) == 0
    assert queue.ahead == 0


def test_queue_trade_beyond_what_is_ahead_reaches_us_with_the_excess_only() -> None:
    queue = place(10)
    assert queue.on_trade(13, 13, 0) == 3
    assert queue.on_trade(5, 5, 1) == 5


def test_queue_on_an_unknown_level_waits_until_the_level_shows() -> None:
    queue = QueuePlace(0, False, QueueModel.PESSIMISTIC, DEFAULT_RULES)
    assert queue.on_trade(1_000_000, 1_000_000, 0) == 0
    queue.on_level(7, LATE)
    assert queue.on_trade(9, 9, 3 * LATE) == 2


def test_queue_with_plain_rules_applies_a_shrink_at_once() -> None:
    queue = place(10, rules=PLAIN_RULES)
    queue.on_level(6, 0)
    assert queue.ahead == 6
    queue.on_trade(4, 4, 1)
    assert queue.ahead == 2


def test_queue_two_trades_in_the_window_explain_first_and_advance_both() -> None:
    queue = place(10)
    queue.on_level(6, 0)
    queue.on_trade(4, 4, 1)
    queue.on_trade(4, 4, 2)
    queue.on_trade(0, 0, 2 * LATE)
    assert queue.ahead == 2


@pytest.mark.parametrize("cancels", [LogCancels(), PowerCancels(), PowerCancels(3), ShareCancels(), ShareCancels(2)])
def test_chance_behind_is_certain_in_an_empty_queue_and_grows_with_what_is_behind(cancels: CancelPlace) -> None:
    assert cancels.chance_behind(0, 0) == 1.0
    assert cancels.chance_behind(10, 0) == 0.0
    assert cancels.chance_behind(10, 5) < cancels.chance_behind(10, 50) < 1.0


def test_chance_behind_by_hand() -> None:
    assert LogCancels().chance_behind(3, 7) == pytest.approx(0.6)  # ln 8 / (ln 8 + ln 4) = 3 / 5
    assert PowerCancels(1).chance_behind(10, 30) == pytest.approx(0.75)
    assert PowerCancels(2).chance_behind(10, 30) == pytest.approx(0.9)
    assert ShareCancels(2).chance_behind(10, 30) == pytest.approx(1 - 1 / 16)


def test_queue_with_plain_rules_keeps_a_trade_until_its_own_level_changes() -> None:
    queue = place(10, QueueModel.PROBABILISTIC, rules=PLAIN_RULES)
    queue.on_trade(4, 4, 0)
    queue.on_level(10, 1)  # another level changed
    queue.on_level(6, 2)
    assert queue.ahead == 6


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rules", [DEFAULT_RULES, PLAIN_RULES])
def test_queue_of_an_unknown_level_is_not_empty_because_it_shows_nothing(
    model: QueueModel, rules: MatchingRules
) -> None:
    queue = QueuePlace(0, False, model, rules)
    queue.on_level(0, MS, is_known=False)
    assert queue.on_trade(5, 5, 2 * MS) == 0
    queue.on_level(0, 10 * LATE, is_known=False)
    assert queue.on_trade(5, 5, 10 * LATE + MS) == 0
    queue.on_level(7, 20 * LATE, is_known=False)  # a push names it: now it is known
    assert queue.ahead == 7
    assert queue.on_trade(9, 9, 20 * LATE + MS) == 2


@pytest.mark.parametrize("model", MODELS)
def test_queue_of_an_unknown_level_is_empty_once_a_snapshot_reaches_it_and_shows_none(model: QueueModel) -> None:
    queue = QueuePlace(0, False, model, DEFAULT_RULES)
    queue.on_level(0, MS, is_known=True)
    assert queue.on_trade(5, 5, 2 * MS) == 5
