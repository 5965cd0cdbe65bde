"""Which symbols `up` takes for its own simulator: those that it generates, odd names among them, and no typo."""

from __future__ import annotations

import pytest

from actors.launcher_venue import check_simulator_symbols
from simulator.market.profiles import ODD_SYMBOLS
from trading.adapters.settings import load_settings
from trading.model.errors import ConfigError


def test_symbols_of_any_script_are_taken_by_the_simulator() -> None:
    names = ("BTCUSDT", "MXUSDT", "SIM030USDT", *ODD_SYMBOLS)
    check_simulator_symbols(load_settings({"symbols": ",".join(names)}, None))


@pytest.mark.parametrize("typo", ["BTCUSD", "龙USDT", "GOLD(PAXGUSDT"])
def test_symbol_that_the_simulator_has_not_is_refused_with_what_it_has(typo: str) -> None:
    with pytest.raises(ConfigError, match="the simulator has no symbol"):
        check_simulator_symbols(load_settings({"symbols": f"BTCUSDT,{typo}"}, None))
