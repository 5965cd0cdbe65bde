"""Fixtures of the browser tests: the API over real parts, the dashboard's own process, and Debian's Chromium.

One of each for a module: a browser is no cheap thing. Everything runs on the module's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx
import psycopg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.embedded_database import TEMPLATE, plain_url, postgres_server, sibling
from tests.integration.api_system import CONTROL, ApiServer, ApiSystem, api_system, client_of

__all__ = ["postgres_server"]

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("MEXCBOT_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 120
STARTS_MAX = 3
# Playwright's own patience of 5 s is too short for a page that a busy machine draws.
expect.set_options(timeout=60_000)


@dataclass
class Stage:
    """What the tests look at and turn."""

    system: ApiSystem
    api: ApiServer
    url: str
    token_file: Path


@pytest.fixture(scope="module")
def module_database_url(postgres_server: str) -> Iterator[str]:
    name = f"browser_{os.getpid()}"
    with psycopg.connect(plain_url(postgres_server), autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        yield sibling(postgres_server, name)
        link.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Two symbols trade, one order rests, one was filled; the dashboard serves them."""
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium: apt install chromium fonts-dejavu, or set MEXCBOT_CHROMIUM")
    token_file = tmp_path_factory.mktemp("dashboard") / "control.token"
    token_file.write_text(CONTROL, encoding="utf-8")
    token_file.chmod(0o600)
    async with api_system(module_database_url) as system:
        app = system.app()
        async with client_of(app) as client:
            await system.spawn(client, "BTCUSDT", "ETHUSDT")
        await system.attach()
        await system.fill(await system.order(1), 1000, fee="0.01")
        await system.order(2)
        pump = asyncio.create_task(_pump(system))
        api = ApiServer(app)
        await api.start()
        dashboard = _start_dashboard(api.url, token_file)
        try:
            for _ in range(STARTS_MAX - 1):
                if await _serves(dashboard):
                    break
                # Its port was free when it was chosen; somebody else was quicker.
                dashboard.log.close()
                dashboard = _start_dashboard(api.url, token_file)
            assert await _serves(dashboard), (token_file.parent / "dashboard.log").read_text(encoding="utf-8")
            yield Stage(system, api, dashboard.url, token_file)
        finally:
            dashboard.process.terminate()
            dashboard.process.wait(60)
            dashboard.log.close()
            await api.stop()
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(stage: Stage) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(stage: Stage, browser: Browser) -> AsyncIterator[Page]:
    """The fleet view, drawn."""
    context = await browser.new_context(viewport={"width": 1480, "height": 950})
    context.set_default_timeout(60_000)
    page = await context.new_page()
    await page.goto(stage.url)
    await page.get_by_test_id("halt-banner").wait_for()
    yield page
    await context.close()


@dataclass
class _Dashboard:
    process: subprocess.Popen[bytes]
    log: BinaryIO
    url: str


def _start_dashboard(api_url: str, token_file: Path) -> _Dashboard:
    """Start it as the launcher does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = (token_file.parent / "dashboard.log").open("ab")
    command = [
        sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py"), "--server.address=127.0.0.1",
        f"--server.port={port}", "--server.headless=true", "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false",
    ]  # fmt: skip
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "MEXCBOT_API": api_url, "MEXCBOT_TOKEN_FILE": str(token_file)
    }  # fmt: skip
    process = subprocess.Popen(command, cwd=token_file.parent, env=environment, stdout=log, stderr=log)
    return _Dashboard(process, log, f"http://127.0.0.1:{port}")


async def _serves(dashboard: _Dashboard) -> bool:
    """Wait until it serves; False when it has ended instead."""
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client, asyncio.timeout(START_S):
        while dashboard.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(dashboard.url + "/_stcore/health")).status_code == 200:
                    return True
            await asyncio.sleep(0.1)
    return False


async def _pump(system: ApiSystem) -> None:
    """Let the actors report and the supervisor work, as they do by themselves in the product."""
    while True:
        await system.settle(1)
        await asyncio.sleep(0.15)
