"""The replay report in a real browser: from a file, without a network, every part drawn and nothing on its console."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from bench.generated_market import GeneratedMarket
from tests.browser.conftest import CHROMIUM, FLAGS
from trading.adapters.report import replay_report
from trading.adapters.report.replay_report import ReplayFacts
from trading.engine.account_limits import AccountLimits
from trading.engine.matching_models import DEFAULT_LATENCY, DEFAULT_RULES
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_tape import ReplayTape


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no Chromium: apt install chromium fonts-dejavu")
async def test_report_opens_from_a_file_draws_everything_and_asks_for_nothing(tmp_path: Path) -> None:
    market = GeneratedMarket("ETHUSDT", seed=7)
    tape = ReplayTape(market.instrument)
    result = ReplayRun(market.instrument, market.events(60), ReplaySettings(), tape).run()
    facts = ReplayFacts(
        "generated", "00" * 32, "spread_capture", 7, DEFAULT_LATENCY, DEFAULT_RULES, {"USDT": Decimal(10_000)},
        Decimal(1_000), AccountLimits(), 1.0, "0",
    )  # fmt: skip
    path = tmp_path / "report.html"
    replay_report.write(path, replay_report.render(result, tape, facts))
    fills = result.pessimistic.fills
    assert fills > 0
    said: list[str] = []
    asked: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(path.as_uri())
        assert await page.locator("#title").text_content() == "ETHUSDT · spread_capture"
        for chart in ("equity", "drawdown", "price", "markout"):
            assert await page.locator(f"#{chart} svg path").count() > 0, chart
        assert await page.locator("#price svg g path[stroke-width='1.6']").count() == fills
        assert await page.locator("#params tbody tr").count() == len(result.params)
        assert await page.locator("#exits tbody tr").count() >= 1
        # Zooming by dragging redraws the charts over a shorter time.
        before = await page.locator("#equity svg").inner_html()
        box = await page.locator("#equity svg").bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 60)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60)
        await page.mouse.up()
        await page.wait_for_function("before => document.querySelector('#equity svg').innerHTML !== before", arg=before)
        await browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
