"""Names of symbols that are not known: what is said of them."""

from __future__ import annotations

import httpx
import pytest

from actors import cli_fleet, cli_verbs
from actors.cli_api import Address, ApiClient
from actors.symbol_names import in_capitals, nearest
from trading.model.errors import ConfigError

LISTED = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "SOLUSDT", "DOGEUSDT", "ADAUSDT")


def test_unknown_name_is_answered_with_the_nearest_or_with_some_that_there_are() -> None:
    assert nearest("btcusdt", LISTED) == nearest("BTCUSD", LISTED) == ": did you mean BTCUSDT?"
    assert nearest("?", LISTED) == ": it lists BTCUSDT, ETHUSDT, XRPUSDT, SOLUSDT, DOGEUSDT …"
    assert nearest("?", LISTED[:1]) == ": it lists BTCUSDT"


def test_name_in_another_case_is_recognised_and_no_other_is_guessed() -> None:
    assert in_capitals("btcusdt", LISTED, "spawn it first") == "did you mean BTCUSDT?"
    assert in_capitals("BTCUSD", LISTED, "spawn it first") == "spawn it first"


@pytest.mark.parametrize(("named", "said"), [("btcusdt", "did you mean BTCUSDT?"), ("NOSUCH", "see mexcbot status")])
def test_command_for_several_of_which_one_is_not_known_is_refused_before_anything_is_done(
    named: str, said: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        return httpx.Response(200, json={"items": [{"symbol": symbol} for symbol in LISTED]})

    with ApiClient(Address("http://api", "t"), transport=httpx.MockTransport(answer)) as api:
        assert cli_fleet._known(api, ["BTCUSDT", "ETHUSDT"]) == ("BTCUSDT", "ETHUSDT")
        with pytest.raises(ConfigError, match=f"{named} is not running, nothing was done: ") as refusal:
            cli_fleet._known(api, ["ETHUSDT", named])
    assert str(refusal.value).endswith(said)


def test_start_with_a_symbol_in_small_letters_names_the_one_that_was_meant(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli_verbs.run(["up", "--symbols", "btcusdt", "--data-dir", f"{tmp_path}/d"]) == 2
    assert capsys.readouterr().err == "mexcbot: the simulator has no symbol btcusdt: did you mean BTCUSDT?\n"


def test_version_is_told_without_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_verbs.run(["--version"]) == 0
    name, version = capsys.readouterr().out.split()
    assert (name, version.count(".")) == ("mexcbot", 2)
