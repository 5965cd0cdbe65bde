"""The two clocks keep their promises."""

import time

import pytest

from trading.adapters.clock import Clock, ManualClock, SystemClock


def test_system_clock_now_lies_between_two_readings_of_the_host() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns()
    now_ns = clock.now_ns()
    assert before <= now_ns <= time.time_ns()
    assert clock.monotonic_ns() <= clock.monotonic_ns()


def test_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(now_ns=100)
    assert (clock.now_ns(), clock.monotonic_ns()) == (100, 0)
    assert clock.advance(5) == 105
    assert (clock.now_ns(), clock.monotonic_ns()) == (105, 5)


def test_manual_clock_step_leaves_the_monotonic_reading() -> None:
    clock = ManualClock(now_ns=100)
    assert clock.step(-40) == 60
    assert clock.monotonic_ns() == 0


def test_manual_clock_refuses_to_go_back() -> None:
    with pytest.raises(ValueError, match=">= 0"):
        ManualClock().advance(-1)
