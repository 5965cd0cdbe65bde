"""What an instance left is read without it: the bodies of its API, but for the mark that only a running fleet has."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from actors import cli_verbs
from api.schemas import OrderExplanation
from tests.integration.api_system import ACCOUNT, SESSION, api_system, client_of

LISTS = ("orders", "fills", "positions", "pnl", "sessions")


@pytest.fixture
def left(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The flags of a data directory whose instance is gone and whose database is not."""
    (tmp_path / "account").write_text(f"{ACCOUNT}\n", encoding="utf-8")
    monkeypatch.setenv("MEXCBOT_DATABASE_URL", database_url)
    return ["--data-dir", str(tmp_path)]


async def run(*arguments: str) -> int:
    """Run a verb as its own process would: outside of this event loop."""
    return await asyncio.to_thread(cli_verbs.run, list(arguments))


async def test_lists_and_explanations_of_a_stopped_instance_are_those_of_its_api(
    database_url: str, left: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with api_system(database_url) as system, client_of(system.app()) as client:

        async def body(path: str) -> Any:
            answer = await client.get(f"/v1/{path}")
            assert answer.status_code == 200, answer.text
            return answer.json()

        await system.trade(client)
        told = {name: await body(f"{name}?limit=50") for name in LISTS}
        second = await body(f"orders?limit=1&cursor={(await body('orders?limit=1'))['next_cursor']}")
        by_day = await body("pnl?by=day")
        bought = told["fills"]["items"][-1]["client_order_id"]
        story = await body(f"orders/{bought}/explain")

    capsys.readouterr()

    async def stored(*arguments: str) -> Any:
        assert await run(*arguments, "--json", *left) == 0
        return json.loads(capsys.readouterr().out)

    def same(one: dict[str, Any], two: dict[str, Any], but: tuple[str, ...] = ()) -> None:
        assert two["next_cursor"] == one["next_cursor"]
        for item, other in zip(one["items"], two["items"], strict=True):
            assert {name: other[name] for name in item if name not in but and name in other} == {
                name: value for name, value in item.items() if name not in but and (name in other or value is not None)
            }

    for name in LISTS:
        assert told[name]["items"], name
        same(
            told[name], await stored(name, "--stored", "--limit", "50"), ("mark_price", "unrealized_pnl", "unrealized")
        )
    held = (await stored("positions", "--stored"))["items"]
    assert [(item["qty"], item["mark_price"], item["unrealized_pnl"]) for item in held] == [("0.05", None, None)]
    first = await stored("orders", "--stored", "--limit", "1")
    same(second, await stored("orders", "--stored", "--limit", "1", "--cursor", first["next_cursor"]))
    same(by_day, await stored("pnl", "--stored", "--by", "day"))
    assert (await stored("fills", "--stored", "--session", "another"))["items"] == []
    assert len((await stored("fills", "--stored", "--session", SESSION))["items"]) == 3
    explained = await stored("explain", bought)
    assert explained.pop("derivation")["status"] == "unavailable"
    assert OrderExplanation.model_validate(explained).model_dump() == story
    assert explained["risk"] == story["risk"]
    assert await run("explain", bought, *left) == 0  # as people see it
    assert bought in capsys.readouterr().out


async def test_stopped_instance_is_told_with_the_way_to_what_it_left(
    left: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def refused(*arguments: str) -> tuple[int, str]:
        code = await run(*arguments)
        return code, capsys.readouterr().err.splitlines()[-1]

    code, said = await refused("orders", *left)
    assert (code, "nothing runs" in said, "--stored" in said) == (3, True, True)
    assert (await refused("orders", "--stored", "--status", "ASLEEP", *left))[0] == 2
    assert (await refused("orders", "--stored", "--cursor", "x", *left))[0] == 2
    assert (await refused("pnl", "--stored", "--by", "moon", *left))[0] == 2
    code, said = await refused("explain", "mx-1-1-1", *left)
    assert (code, "there is no order mx-1-1-1" in said) == (2, True)
    never = ["--data-dir", str(tmp_path / "never")]
    code, said = await refused("orders", "--stored", *never)
    assert (code, "holds no books" in said) == (3, True)
    code, said = await refused("explain", "mx-1-1-1", *never)
    assert (code, "--stored" in said, "nothing runs" in said) == (3, False, True)
