"""What stands before the routes: tokens, the last resort, the configuration of the process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api.app import LastResort
from api.auth import Right, Tokens
from api.config import read_config, read_token
from api.metrics import ApiMetrics
from api.problems import install
from api.schemas import HaltRequest
from api.store_patience import CALLS_MAX, StorePatience
from trading.model.errors import ConfigError, StoreError

CONFIG: dict[str, Any] = {
    "port": 8000, "database_url": "postgresql://u:hidden-password@h/db", "ray_address": "127.0.0.1:6379",
    "namespace": "mexcbot-1", "session": "s1", "mode": "paper", "venue": "sim", "control_token_file": "c",
    "read_token_file": "r", "rest_url": "http://127.0.0.1:9",
}  # fmt: skip


def test_tokens_give_their_rights_and_nothing_else_does() -> None:
    tokens = Tokens("control-token-000", "read-token-000000")
    assert tokens.right_of("Bearer control-token-000") is Right.CONTROL
    assert tokens.right_of("bearer  read-token-000000 ") is Right.READ
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic control-token-000",
        "Bearer control-token-001",
        "Bearer \udce9",
    ):
        assert tokens.right_of(header) is None
    assert "control-token" not in repr(vars(tokens))


async def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(LastResort(app, ApiMetrics())), base_url="http://api")


async def test_unexpected_error_is_a_problem_without_its_text() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("secret inside")

    async with await _client(broken) as client:
        answer = await client.get("/anything")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


async def test_body_that_does_not_say_it_is_json_is_told_how_to() -> None:
    app = FastAPI()
    install(app)

    @app.post("/halt")
    async def halt(body: HaltRequest) -> str:
        return body.reason

    async with await _client(app) as client:
        taken = await client.post("/halt", json={"reason": "lunch"})
        assert (taken.status_code, taken.json()) == (200, "lunch")
        for header in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
            answer = await client.post("/halt", content=b'{"reason": "lunch"}', headers=header)
            assert answer.status_code == 422
            assert "Content-Type: application/json" in answer.json()["detail"]
        broken = await client.post("/halt", content=b"{", headers={"Content-Type": "application/json"})
        assert (broken.status_code, broken.json()["detail"]) == (422, "the body is not valid JSON")


def _write(path: Path, body: object, mode: int = 0o600) -> Path:
    path.write_text(json.dumps(body) if not isinstance(body, str) else body, encoding="utf-8")
    path.chmod(mode)
    return path


def test_configuration_is_read_and_hides_its_secret(tmp_path: Path) -> None:
    config = read_config(_write(tmp_path / "api.json", CONFIG))
    assert (config.host, config.account, config.symbols) == ("127.0.0.1", "main", ())
    assert "hidden-password" not in repr(config)
    assert "hidden-password" in config.database_url.get_secret_value()


@pytest.mark.parametrize(
    ("body", "mode", "text"),
    [
        (CONFIG, 0o644, "chmod 600"),
        ("{", 0o600, "cannot be read"),
        ({**CONFIG, "port": 99_999}, 0o600, "wrong at port"),
        ({**CONFIG, "mode": "dream"}, 0o600, "wrong at mode"),
        ({**CONFIG, "colour": "red"}, 0o600, "wrong at colour"),
        ({}, 0o600, "wrong at port"),
    ],
)
def test_wrong_configuration_is_one_sentence(tmp_path: Path, body: object, mode: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        read_config(_write(tmp_path / "api.json", body, mode))
    assert "\n" not in str(caught.value)
    assert "hidden-password" not in str(caught.value)


def test_missing_configuration_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config FILE"):
        read_config(tmp_path / "api.json")


def test_token_file_must_be_private_and_hold_a_token(tmp_path: Path) -> None:
    assert read_token(_write(tmp_path / "t", "0123456789abcdef\n")) == "0123456789abcdef"
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(_write(tmp_path / "t", "0123456789abcdef\n", 0o640))
    with pytest.raises(ConfigError, match="at least 16"):
        read_token(_write(tmp_path / "t", "short\n"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "none")


async def test_store_that_hangs_is_waited_for_once_and_again_when_it_has_ended() -> None:
    patience, end = StorePatience(0.5), asyncio.Event()

    async def hang() -> None:
        await end.wait()

    async with asyncio.timeout(4):
        for _ in range(10):
            with pytest.raises(StoreError, match="has not answered"):
                await patience.wait(hang())
    end.set()
    async with asyncio.timeout(30):
        while patience._given_up:  # noqa: ASYNC110
            await asyncio.sleep(0)
    end.clear()
    with pytest.raises(StoreError, match=r"within 0\.5 s"):
        await patience.wait(hang())
    end.set()


async def test_store_that_hangs_is_asked_no_more_than_so_often() -> None:
    patience, end, begun = StorePatience(0.0), asyncio.Event(), 0

    async def hang() -> None:
        nonlocal begun
        begun += 1
        await end.wait()

    for _ in range(3 * CALLS_MAX):
        with pytest.raises(StoreError, match="has not answered"):
            await patience.wait(hang())
    assert begun == CALLS_MAX
    end.set()
    async with asyncio.timeout(30):
        while patience._calls:  # noqa: ASYNC110
            await asyncio.sleep(0)
    end.clear()
    with pytest.raises(StoreError, match=r"within 0 s"):
        await patience.wait(hang())
    assert begun == CALLS_MAX + 1
    end.set()
