"""Replay of small markets by hand: what is counted, what is logged, what differs between queue models."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.engine_desk import EAGER
from tests.market_scenes import MS, S, delta, instrument, snapshot, trade
from trading.engine.account_limits import AccountLimits
from trading.engine.matching_models import NO_LATENCY
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_result import ReplayResult
from trading.model.errors import ConfigError
from trading.model.market import MarketEvent, Side

Market = list[tuple[int, MarketEvent]]


def round_trip() -> Market:
    """A wide market in which our entry at 99.91 and our exit at 100.09 are both hit."""
    return [
        (S, snapshot([(9_990, 100)], [(10_010, 100)], 1, S)),
        (S + 1, delta(2, at_ns=S + 1)),
        (2 * S, trade(9_991, 10_000, Side.SELL, 2 * S)),
        (4 * S, trade(10_009, 10_000, Side.BUY, 4 * S)),
        (5 * S, delta(3, at_ns=5 * S)),
    ]


def replay(events: Market, maker: str = "0", limits: AccountLimits | None = None, **params: str) -> ReplayResult:
    settings = ReplaySettings(
        params=tuple({**EAGER, "order_quote": "25", "cooldown_s": "60", "min_depth_quote": "0", **params}.items()),
        latency=NO_LATENCY,
        limits=limits or AccountLimits(),
    )
    return ReplayRun(instrument(maker=maker), events, settings).run()


def test_replay_of_a_round_trip_books_its_spread_net_of_fees() -> None:
    result = replay(round_trip(), maker="0.0001")
    lots = int(Decimal(25) / Decimal("99.91") / Decimal("0.001"))
    gross = Decimal("0.18") * lots / 1000
    fees = (Decimal("99.91") + Decimal("100.09")) * lots / 1000 * Decimal("0.0001")
    model = result.pessimistic
    assert (result.events, result.orders, model.fills) == (5, 2, 2)
    assert (model.gross, model.fees, model.net, model.held) == (gross, fees, gross - fees, Decimal(0))
    assert result.exits == (("passive", 1),)


def test_replay_twice_gives_the_same_log_and_another_parameter_another() -> None:
    first, second = replay(round_trip()), replay(round_trip())
    assert first == second
    assert len(first.order_log) >= 6
    assert replay(round_trip(), order_quote="30").order_log_sha256 != first.order_log_sha256


def test_replay_summary_has_the_contracts_fields() -> None:
    summary = replay(round_trip()).as_dict()
    assert {"events", "orders", "order_log_sha256", "refusals", "models"} <= set(summary)
    models = summary["models"]
    assert isinstance(models, dict)
    assert {"fills", "gross", "fees", "net"} <= set(models["pessimistic"]) == set(models["probabilistic"])


def test_replay_shadow_fills_where_cancels_let_it_move_up() -> None:
    start: Market = [
        (S, snapshot([(9_990, 400)], [(9_991, 100)], 1, S)),
        (S + 1, delta(2, at_ns=S + 1)),
        (2 * S, delta(3, bids=[(9_990, 800)], at_ns=2 * S)),  # 400 lots join behind us
        (3 * S, delta(4, bids=[(9_990, 300)], at_ns=3 * S)),  # 500 leave, somewhere
        (4 * S, trade(9_990, 250, Side.SELL, 4 * S)),
    ]
    result = replay(start, min_imbalance="0", requote_min_age_ms="600000", entry_max_age_s="0")
    assert result.pessimistic.fills == 0
    assert result.probabilistic.fills == 1


def test_replay_without_latency_shows_the_shadow_the_book_before_what_was_decided_on_it() -> None:
    crossed: Market = [
        *round_trip()[:2],
        # The seller comes to our bid: it is filled, and by the same book the strategy no longer wants it.
        (2 * S, delta(3, bids=[(9_990, 0), (9_000, 10)], asks=[(9_991, 10_000)], at_ns=2 * S)),
    ]
    result = replay(crossed)
    assert result.pessimistic.fills >= 1
    assert result.pessimistic == result.probabilistic


def test_replay_lives_under_the_limits_of_the_account() -> None:
    result = replay(round_trip(), limits=AccountLimits(max_order_notional=Decimal(5)))
    assert result.denied > 0
    assert result.pessimistic.fills == 0
    assert dict(result.notes)["order_denied"] == result.denied


def test_replay_fires_timers_in_the_silence_between_events() -> None:
    quiet: Market = [*round_trip()[:3], (60 * S, delta(3, at_ns=60 * S))]
    result = replay(quiet, timeout_s="5", risk_unproven_exit_after_s="0")
    sold = [line for line in result.order_log if "timeout" in line]
    assert sold
    at_ns = int(sold[0].split()[0])
    assert 7 * S <= at_ns <= 7 * S + 200 * MS


def test_replay_with_a_bad_parameter_is_refused_before_it_starts() -> None:
    with pytest.raises(ConfigError, match="order_quote"):
        replay([], order_quote="-1")


def test_replay_of_nothing_is_nothing() -> None:
    result = replay([])
    assert (result.events, result.orders, result.pessimistic.net) == (0, 0, Decimal(0))


def test_replay_of_a_clock_that_was_set_far_ahead_comes_to_its_end() -> None:
    century = 100 * 365 * 86_400 * S
    market = [
        *round_trip(),
        (century, trade(10_009, 10, Side.BUY, century)),
        (century + S, delta(4, at_ns=century + S)),
    ]
    result = replay(market)
    assert (result.events, result.last_ns) == (7, century + S)
    assert result.pessimistic.fills == 2
