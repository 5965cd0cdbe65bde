"""The flags of the simulator: what they mean, and one sentence for each wrong one."""

from decimal import Decimal

import pytest

from simulator.__main__ import main
from simulator.exchange.rules import CancelAnswer, FeeAsset
from simulator.flags import UsageError, read_settings
from simulator.wire.limits import LimitMode

WRONG = [
    ("--nonsense",),
    ("--port", "many"),
    ("--port", "70000"),
    ("--port", "-1"),
    ("--symbols", "BTCUSDT,BTCUSDT"),
    ("--symbols", "btcusdt"),
    ("--symbols", "BTCEUR"),
    ("--symbols", ","),
    ("--symbols", "BTCUSDT", "--count", "3"),
    ("--count", "0"),
    ("--count", "99999"),
    ("--count", "two"),
    ("--seed", "x"),
    ("--speed", "fast"),
    ("--speed", "nan"),
    ("--speed", "0"),
    ("--time-scale", "inf"),
    ("--time-scale", "-1"),
    ("--limits", "none"),
    ("--account", "keyonly"),
    ("--account", "a:1", "--account", "a:2"),
    ("--api-key", "alone"),
    ("--taker-fee", "much"),
    ("--taker-fee", "0.2"),
    ("--maker-fee", "-0.1"),
    ("--quote-deposit", "-1"),
    ("--replay", "/nowhere/at.all"),
    ("--rule", "nothing=1"),
    ("--rule", "cancel_answer=maybe"),
    ("--rule", "echoes_request_id=yes"),
    ("--rule", "max_open_orders=-1"),
]


@pytest.mark.parametrize("flags", WRONG, ids=" ".join)
def test_wrong_flag_is_told_in_one_sentence_that_names_it(
    flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(flags)) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("simulator: ")
    assert flags[0].lstrip("-").split("-")[0] in told.err


def test_flags_mean_what_the_page_says() -> None:
    given = ["--count", "3", "--limits", "documented", "--time-scale", "60", "--account", "b:c", "--taker-fee", "0.001"]
    rules = ["cancel_answer=live", "fee_asset=mx", "ping_interval_s=7", "answers_8h=false"]
    settings = read_settings([*given, *(part for rule in rules for part in ("--rule", rule))])
    assert settings.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert (settings.limits, settings.time_scale) == (LimitMode.DOCUMENTED, 60)
    assert [account.key for account in settings.accounts] == ["mx0simulator", "b"]
    assert settings.taker_fee_e8 is not None
    assert Decimal(settings.taker_fee_e8).scaleb(-8) == Decimal("0.001")
    assert (settings.rules.cancel_answer, settings.rules.fee_asset) == (CancelAnswer.LIVE, FeeAsset.MX)
    assert (settings.rules.ping_interval_s, settings.rules.answers_8h) == (7, False)


def test_flags_take_symbols_that_are_no_latin_letters() -> None:
    assert read_settings(["--symbols", "龙虾USDT,GOLD(PAXG)USDT"]).symbols == ("龙虾USDT", "GOLD(PAXG)USDT")
    with pytest.raises(UsageError, match="twice"):
        read_settings(["--symbols", "龙虾USDT,龙虾USDT"])
