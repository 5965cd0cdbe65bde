"""Names of symbols that are not known: what is said of them."""

from __future__ import annotations

import pytest

from actors import cli_verbs
from actors.symbol_names import in_capitals, nearest

LISTED = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "SOLUSDT", "DOGEUSDT", "ADAUSDT")


def test_unknown_name_is_answered_with_the_nearest_or_with_some_that_there_are() -> None:
    assert nearest("btcusdt", LISTED) == nearest("BTCUSD", LISTED) == ": did you mean BTCUSDT?"
    assert nearest("?", LISTED) == ": it lists BTCUSDT, ETHUSDT, XRPUSDT, SOLUSDT, DOGEUSDT …"
    assert nearest("?", LISTED[:1]) == ": it lists BTCUSDT"


def test_name_in_another_case_is_recognised_and_no_other_is_guessed() -> None:
    assert in_capitals("btcusdt", LISTED, "spawn it first") == "did you mean BTCUSDT?"
    assert in_capitals("BTCUSD", LISTED, "spawn it first") == "spawn it first"


def test_start_with_a_symbol_in_small_letters_names_the_one_that_was_meant(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli_verbs.run(["up", "--symbols", "btcusdt", "--data-dir", f"{tmp_path}/d"]) == 2
    assert capsys.readouterr().err == "mexcbot: the simulator has no symbol btcusdt: did you mean BTCUSDT?\n"


def test_version_is_told_without_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_verbs.run(["--version"]) == 0
    name, version = capsys.readouterr().out.split()
    assert (name, version.count(".")) == ("mexcbot", 2)
