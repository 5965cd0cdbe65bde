"""Strategies by name, and their parameters from text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from tests.market_scenes import instrument
from trading.engine.parameters import parameter
from trading.engine.strategy import registry
from trading.engine.strategy.protocol import Desires, StrategyView
from trading.engine.strategy.spread_capture import SpreadCapture
from trading.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class IdleParameters:
    """One parameter."""

    patience_s: int = parameter(1, "s", "how long to do nothing", 0, 10)


class Idle:
    """Wants nothing."""

    name: ClassVar[str] = "idle_for_tests"
    summary: ClassVar[str] = "wants nothing"
    parameters_class: ClassVar[type] = IdleParameters

    def __init__(self, instrument: Any, parameters: IdleParameters) -> None:
        self.parameters = parameters

    def decide(self, view: StrategyView) -> Desires:
        return Desires((), (), "IDLE")


def test_parameters_of_strategy_and_risk_are_read_together() -> None:
    values = registry.parse_parameters("spread_capture", {"order_quote": "40", "risk_order_ops_per_s": "2"})
    texts = dict(values.as_texts())
    assert (texts["order_quote"], texts["risk_order_ops_per_s"]) == ("40", "2.0")
    assert registry.parse_parameters("spread_capture", texts) == values


def test_parameters_over_a_base_keep_what_is_not_named() -> None:
    base = registry.parse_parameters("spread_capture", {"order_quote": "40"})
    changed = registry.parse_parameters("spread_capture", {"timeout_s": "9"}, base)
    assert dict(changed.as_texts())["order_quote"] == "40"
    assert changed.digest() != base.digest()
    assert base.digest() == registry.parse_parameters("spread_capture", {"order_quote": "40"}).digest()


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("spread_captur", {}, "known are: "),
        ("spread_capture", {"order_qoute": "1"}, "no parameter 'order_qoute'"),
        ("spread_capture", {"order_quote": "much"}, "order_quote: expected a number"),
        ("spread_capture", {"order_quote": "\u0661\u0662"}, "order_quote: expected a number, was"),
        ("spread_capture", {"order_quote": "1_2"}, "order_quote: expected a number, was '1_2'"),
        ("spread_capture", {"min_imbalance": "2"}, "from 0 to 1"),
        ("spread_capture", {"order_quote": "sNaN"}, "order_quote: expected a number from 0"),
        ("spread_capture", {"order_quote": "NaN"}, "order_quote: expected a number from 0"),
        ("spread_capture", {"risk_max_order_quote": "-Infinity"}, "risk_max_order_quote: expected a number from 0"),
        ("spread_capture", {"order_quote": "1e-999999"}, "order_quote: expected at most 30 digits"),
        ("spread_capture", {"window_start_min": "600", "window_end_min": "600"}, "leave no time to trade"),
        ("spread_capture", {"window_start_min": "1440", "window_end_min": "0"}, "leave no time to trade"),
        ("spread_capture", {"risk_window_end_min": "0"}, "risk_window_start_min 0 and risk_window_end_min 0 leave"),
        ("spread_capture", {"min_imbalance": "0.8", "max_imbalance": "0.2"}, "expected min_imbalance <= max_imbalance"),
        ("spread_capture", {"min_spread_bps": "91"}, "expected min_spread_bps <= max_spread_bps"),
        ("spread_capture", {"risk_min_spread_bps": "301"}, "expected risk_min_spread_bps <= risk_max_spread_bps"),
        ("spread_capture", {"adverse_horizon": "5"}, "expected one of 0.1, 1, 10, worst"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(name: str, values: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        registry.parse_parameters(name, values)
    assert "\n" not in str(caught.value)


def test_foreign_strategy_is_registered_once_and_cannot_take_a_shipped_name() -> None:
    registry.register(Idle.name, Idle)
    registry.register(Idle.name, Idle)
    assert Idle.name in registry.names()
    assert registry.declarations(Idle.name)[0].name == "patience_s"
    built = registry.build(registry.parse_parameters(Idle.name, {"patience_s": "3"}), instrument())
    assert built.parameters.patience_s == 3
    with pytest.raises(ConfigError, match="already taken"):
        registry.register(SpreadCapture.name, Idle)
    with pytest.raises(ConfigError, match="decide"):
        registry.register("nothing", object)
