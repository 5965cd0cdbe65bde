"""Settings of the market connection for a venue whose clockwork runs faster."""

from __future__ import annotations

from trading.adapters.mexc.market_connection import PING_MIN_S, MarketStreamSettings


def test_market_settings_scale_what_answers_the_venues_rules_and_nothing_else() -> None:
    usual = MarketStreamSettings()
    assert usual.scaled(1.0) == usual
    scaled = usual.scaled(10.0)
    assert (scaled.ping_interval_s, scaled.rollover_s) == (1.5, 8_460.0)
    assert (scaled.open_timeout_s, scaled.stall_timeout_s, scaled.inbox_max) == (5.0, 25.0, 8_192)
    assert usual.scaled(100.0).ping_interval_s == PING_MIN_S
    assert MarketStreamSettings(ping_interval_s=0.1).scaled(10.0).ping_interval_s == 0.1
