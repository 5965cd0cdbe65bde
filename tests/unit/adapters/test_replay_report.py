"""The report of a replay: one file, its data inside, no address anywhere, and nothing of the input becomes markup."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine_desk import EAGER
from tests.market_scenes import S, delta, instrument, snapshot, trade
from trading.adapters.report import replay_report
from trading.adapters.report.replay_report import ReplayFacts
from trading.engine.account_limits import AccountLimits
from trading.engine.matching_models import DEFAULT_LATENCY, DEFAULT_RULES, NO_LATENCY
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_result import ReplayResult
from trading.engine.replay_tape import ReplayTape
from trading.model.errors import ConfigError
from trading.model.market import MarketEvent, Side

MARKET: list[tuple[int, MarketEvent]] = [
    (S, snapshot([(9_990, 100)], [(10_010, 100)], 1, S)),
    (S + 1, delta(2, at_ns=S + 1)),
    (2 * S, trade(9_991, 10_000, Side.SELL, 2 * S)),
    (4 * S, trade(10_009, 10_000, Side.BUY, 4 * S)),
    (5 * S, delta(3, at_ns=5 * S)),
]
PARAMS = {**EAGER, "order_quote": "25", "cooldown_s": "60", "min_depth_quote": "0"}


def page_of(market: list[tuple[int, MarketEvent]], recording: str = "a.parquet") -> tuple[str, ReplayResult]:
    pair = instrument(maker="0.0001")
    tape = ReplayTape(pair)
    settings = ReplaySettings(params=tuple(PARAMS.items()), latency=NO_LATENCY)
    result = ReplayRun(pair, market, settings, tape).run()
    facts = ReplayFacts(
        recording=recording,
        data_sha256="ab" * 32,
        strategy="spread_capture",
        seed=1,
        latency=DEFAULT_LATENCY,
        matching=DEFAULT_RULES,
        balances={"USDT": Decimal(10_000)},
        allocation_quote=Decimal(200),
        limits=AccountLimits(),
        wall_s=0.5,
        version="0",
    )
    return replay_report.render(result, tape, facts), result


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    loaded: dict[str, Any] = json.loads(found[1])
    return loaded


def test_report_holds_every_part_and_the_figures_of_the_result() -> None:
    page, result = page_of(MARKET)
    data = data_of(page)
    assert Decimal(data["tiles"][0]["value"]) == result.pessimistic.net
    assert [fill["side"] for fill in data["fills"] if fill["model"] == "pessimistic"] == ["BUY", "SELL"]
    assert data["exits"]["rows"][0][:3] == ["passive", "1", "1"]
    assert data["marks"]["pessimistic"][-1] == pytest.approx(float(result.pessimistic.net))
    assert [row[0] for row in data["models"]][:5] == ["Fills", "Traded", "Gross", "Fees", "Net"]
    assert {curve["label"]: curve["fills"] for curve in data["markouts"]}["passive entries"] == 1
    values = {row[0]: row[1] for row in data["params"]["rows"]}
    assert values == dict(result.params)
    bold = {row[0] for row, mark in zip(data["params"]["rows"], data["params"]["classes"], strict=True) if mark}
    assert "cooldown_s" in bold
    assert "max_spread_bps" not in bold
    texts = json.dumps(data["input"])
    assert "ab" * 32 in texts
    assert result.order_log_sha256 in texts
    assert "feed 10 ms" in texts


def test_marks_of_the_report_name_the_very_event_they_were_taken_at() -> None:
    at_ns = 5 * S + 12_345
    data = data_of(page_of([*MARKET, (at_ns, delta(4, at_ns=at_ns))])[0])
    assert round(data["marks"]["t"][-1] * 1e9) == at_ns - S


def test_report_names_no_address_and_loads_nothing() -> None:
    page, _ = page_of(MARKET)
    assert "://" not in page
    assert not re.search(r"<(link|img|iframe|script)[^>]*(src|href)=[\"'](?!data:)", page)
    assert "default-src 'none'" in page
    assert "@" + "DATA@" not in page


def test_report_lets_no_name_out_of_its_place() -> None:
    page, _ = page_of(MARKET, recording="</script><script>alert(1)</script>.parquet")
    assert "alert(1)</script>" not in page
    assert "</script><script>alert(1)</script>.parquet" in data_of(page)["subtitle"]


def test_report_of_a_replay_without_orders_says_so() -> None:
    page, _ = page_of(MARKET[:1])
    data = data_of(page)
    assert "no order" in data["verdict"]
    assert (data["fills"], data["exits"]["rows"]) == ([], [])


def test_report_says_when_not_every_fill_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    page, _ = page_of(MARKET)
    count = len(data_of(page)["fills"])
    assert data_of(page)["fills_note"] == ""
    monkeypatch.setattr(replay_report, "FILLS_SHOWN", 1)
    page, _ = page_of(MARKET)
    data = data_of(page)
    assert len(data["fills"]) == 1
    assert data["fills_note"].startswith(f"Shown are the first 1 of {count} fills")
    assert page.count('id="fills_note"') == page.count('id="fills_list_note"') == 1


def test_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        replay_report.write(tmp_path / "nowhere" / "a.html", "x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigError):
        replay_report.write(tmp_path / "taken", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
