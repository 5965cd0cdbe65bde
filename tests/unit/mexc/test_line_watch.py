"""Whether a line lives is told by what comes and by how often was looked, never by a clock."""

import pytest

from trading.adapters.mexc.line_watch import LineWatch
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.user_stream import UserStreamSettings


def test_line_is_pinged_at_its_interval_and_dead_after_its_timeout_without_a_frame() -> None:
    line = LineWatch(2.0, 5.0)
    pings = [number * line.pause_s for number in range(1, 11) if line.look(7)]
    assert pings == [2.0, 4.0]
    assert not line.is_dead
    line.look(7)
    assert (line.is_dead, line.silent_s) == (True, 5.0)


def test_line_that_is_heard_begins_its_silence_anew() -> None:
    line = LineWatch(2.0, 5.0)
    for number in range(100):
        line.look(number // 10)
    assert not line.is_dead
    assert line.silent_s == 9 * line.pause_s


def test_line_of_a_process_that_was_stopped_is_not_dead_at_the_first_look() -> None:
    """Looks count, not time: what came meanwhile is read before the next one."""
    line = LineWatch(2.0, 5.0)
    line.look(1)
    line.look(1)  # an hour later
    assert not line.is_dead


@pytest.mark.parametrize("settings", [MarketStreamSettings(), UserStreamSettings()])
def test_line_is_pinged_twice_before_it_is_dead_or_once_with_ten_seconds_to_answer(
    settings: MarketStreamSettings | UserStreamSettings,
) -> None:
    line = LineWatch(settings.ping_interval_s, settings.stall_timeout_s)
    pings_s = []
    while not line.is_dead:
        if line.look(0):
            pings_s.append(line.silent_s)
    assert len(pings_s) >= 2 or settings.stall_timeout_s - pings_s[0] >= 10


def test_private_line_that_hangs_is_noticed_within_six_seconds_at_any_scale() -> None:
    for settings in (UserStreamSettings(), UserStreamSettings().scaled(20.0)):
        assert settings.stall_timeout_s == settings.push_timeout_s == 5.0
    assert UserStreamSettings().scaled(20.0).ping_interval_s == 0.25
    assert UserStreamSettings().scaled(20.0).key_check_interval_s == 3.0
