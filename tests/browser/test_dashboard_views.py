"""The dashboard in a real browser: what it shows is the fleet's, what it commands arrives, and it never goes astray."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Stage
from tests.integration.api_system import CONTROL, READ, client_of
from trading.model.session import HaltState

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_MS = 60_000


async def _becomes(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_MS / 1e3):
        while not await check():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.1)


async def test_fleet_shows_every_symbol_and_ticks_without_leaving_this_machine(stage: Stage, page: Page) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    await page.reload()
    table = page.get_by_role("table", name="Fleet")
    await expect(table.locator("tbody tr")).to_have_count(2)
    first = table.locator("tbody tr").first
    await expect(first).to_contain_text("BTCUSDT")
    await expect(first).to_contain_text("TRADING")
    await expect(first).to_contain_text("PROVEN")
    banner = page.get_by_test_id("halt-banner")
    await expect(banner).to_contain_text("ACTIVE")
    before = await banner.inner_text()
    await expect(banner).not_to_have_text(before, timeout=PATIENCE_MS)
    assert hosts == {urlsplit(stage.url).netloc}


async def test_token_never_reaches_the_browser(stage: Stage, page: Page) -> None:
    bodies: list[bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: bodies.append(_bytes(data))))
    await page.reload()
    await page.get_by_test_id("halt-banner").wait_for()
    await page.wait_for_timeout(1_500)
    assert bodies
    text = (await page.content()).encode() + b"".join(bodies)
    assert CONTROL.encode() not in text
    assert READ.encode() not in text


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


async def test_views_show_ladder_orders_fills_and_money(stage: Stage, page: Page) -> None:
    await page.get_by_role("link", name="Symbol").click()
    ladder = page.get_by_role("table", name="Book of BTCUSDT")
    await expect(ladder.locator(".row.own")).to_contain_text(["0.1"])
    await page.get_by_role("link", name="Orders").click()
    await expect(page.get_by_role("table", name="Orders").locator("tbody tr")).to_have_count(2)
    await page.get_by_label("Explain an order").fill(f"mx-1-{stage.system.epoch}-1")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("net_edge_bps")).to_be_visible()
    await page.get_by_role("link", name="Fills").click()
    await expect(page.get_by_role("table", name="Fills").locator("tbody tr")).to_contain_text(["x0"])
    await page.get_by_role("link", name="Money").click()
    await expect(page.get_by_role("table", name="Positions").locator("tbody tr")).to_contain_text(["BTCUSDT"])
    await page.get_by_role("link", name="Risk").click()
    await expect(page.get_by_role("table", name="Limits")).to_contain_text("daily loss")
    await page.get_by_role("link", name="Alerts").click()
    await expect(page.get_by_role("table", name="Audit")).to_contain_text("api:control")


async def test_command_for_a_symbol_that_changed_hands_is_refused(stage: Stage, page: Page) -> None:
    await page.get_by_label("Command for").click()
    await page.get_by_role("option", name="ETHUSDT").click()
    await page.get_by_role("button", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("ETHUSDT")
    stage.system.factory.crash("ETHUSDT")
    epoch = stage.system.factory.actors["ETHUSDT"].epoch

    async def is_known() -> bool:
        return any(row.symbol == "ETHUSDT" and row.epoch == epoch for row in await stage.system.supervisor.table())

    await _becomes(is_known)
    await dialog.get_by_role("button", name="Pause ETHUSDT").click()
    await expect(dialog).to_contain_text("Refused")
    assert "pause" not in stage.system.factory.actors["ETHUSDT"].calls


async def test_pause_goes_to_the_symbol_that_was_named(stage: Stage, page: Page) -> None:
    await page.get_by_label("Command for").click()
    await page.get_by_role("option", name="BTCUSDT").click()
    await page.get_by_role("button", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Pause BTCUSDT").click()
    await expect(dialog).to_contain_text("Done.")
    actors = stage.system.factory.actors
    assert ("pause" in actors["BTCUSDT"].calls, "pause" in actors["ETHUSDT"].calls) == (True, False)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("table", name="Fleet")).to_contain_text("PAUSED")


async def test_halt_button_halts_and_says_that_it_is_confirmed(stage: Stage, page: Page) -> None:
    await page.get_by_role("button", name="Halt…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Halt now")).to_be_visible()
    # A tick of the page below must not close what somebody is about to press.
    await page.wait_for_timeout(2_500)
    await dialog.get_by_label("Reason").fill("from the browser")
    await dialog.get_by_role("button", name="Halt now").click()
    await expect(dialog).to_contain_text("CONFIRMED: open orders 0")
    halts = {scope: (state, reason) for scope, state, reason in await stage.system.fleet.halts()}
    assert halts["account"] == (HaltState.HALTED, "from the browser")
    assert stage.system.venue.cancelled == [f"mx-1-{stage.system.epoch}-2"]
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("halt-banner")).to_contain_text("HALTED")
    await page.get_by_role("button", name="Resume trading…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Resume now").click()
    await expect(page.get_by_role("dialog")).to_contain_text("ACTIVE")
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("halt-banner")).to_contain_text("ACTIVE")


async def test_dashboard_says_when_the_api_is_away_and_recovers(stage: Stage, page: Page) -> None:
    await stage.api.stop()
    away = page.get_by_role("alert").filter(has_text="cannot be reached")
    try:
        await expect(away).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.get_by_role("table", name="Fleet")).to_contain_text("BTCUSDT")
    finally:
        await stage.api.start()
    await expect(away).to_be_hidden(timeout=PATIENCE_MS)


async def test_dashboard_says_when_its_token_is_not_taken(stage: Stage, page: Page) -> None:
    token = stage.token_file.read_text(encoding="utf-8")
    stage.token_file.write_text("some-other-token-0123456789", encoding="utf-8")
    refused = page.get_by_role("alert").filter(has_text="send a valid token")
    try:
        await expect(refused).to_be_visible(timeout=PATIENCE_MS)
    finally:
        stage.token_file.write_text(token, encoding="utf-8")
    await expect(refused).to_be_hidden(timeout=PATIENCE_MS)


async def test_page_lists_a_symbol_that_started_after_it_was_drawn_and_keeps_a_dialog_open(
    stage: Stage, page: Page, browser: Browser
) -> None:
    other = await (await browser.new_context()).new_page()
    await other.goto(f"{stage.url}/symbol")
    await other.get_by_role("button", name="Halt…").click()
    dialog = other.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    async with client_of(stage.system.app()) as client:
        answer = await client.post("/v1/symbols", json={"symbols": ["SOLUSDT"]})
    assert answer.status_code == 202, answer.text
    await expect(page.get_by_role("table", name="Fleet")).to_contain_text("SOLUSDT")
    # Nobody has clicked since the page was drawn.
    await page.get_by_label("Command for").click()
    await expect(page.get_by_role("option", name="SOLUSDT")).to_be_visible()
    # A tick that shows the new symbol leaves an open dialog alone; closing it draws the page anew.
    await expect(other.locator(".mx-card", has_text="Trading")).to_contain_text("/ 3")
    await other.wait_for_timeout(1_500)
    await expect(dialog).to_be_visible()
    await other.keyboard.press("Escape")
    await other.get_by_label("Symbol", exact=True).click()
    await expect(other.get_by_role("option", name="SOLUSDT")).to_be_visible()
    await other.context.close()
