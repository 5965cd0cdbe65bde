"""Commands of the API over the real store, executor and supervisor."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.ports import ListQuery
from tests.integration.api_system import READ, ApiSystem, client_of
from trading.model.session import HaltState


async def _state(client: httpx.AsyncClient, symbol: str = "BTCUSDT") -> str:
    return str((await client.get(f"/v1/symbols/{symbol}")).json()["state"])


# --- fleet ----------------------------------------------------------------------------------------------------------


async def test_spawn_of_two_symbols_leads_to_trading_and_a_finished_operation(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/v1/symbols", json={"symbols": ["BTCUSDT", "ETHUSDT"], "params": {"edge": 2}})
    assert answer.status_code == 202
    body = answer.json()
    assert body["status"] == "pending"
    assert answer.headers["location"] == f"/v1/operations/{body['operation_id']}"
    await system.settle()
    operation = (await client.get(answer.headers["location"])).json()
    assert (operation["status"], operation["error"]) == ("succeeded", None)
    items = (await client.get("/v1/symbols")).json()["items"]
    assert [(item["symbol"], item["params"]) for item in items] == [
        ("BTCUSDT", {"edge": "2.0"}),
        ("ETHUSDT", {"edge": "2.0"}),
    ]
    audit = (await client.get("/v1/audit")).json()["items"]
    assert [(row["actor"], row["action"]) for row in audit] == [("api:control", "spawn")]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"symbols": ["BTCUSDT", "NOPEUSDT"]}, "the venue has no symbol NOPEUSDT"),
        ({"symbols": ["BTCUSDT", "BTCUSDT"]}, "symbol BTCUSDT is named twice"),
        ({"symbols": []}, "symbols: "),
        ({"symbols": ["BTCUSDT"], "strategy": "magic"}, "unknown strategy 'magic'"),
        ({"symbols": ["BTCUSDT"], "params": {"speed": "1"}}, "unknown parameter 'speed'"),
        ({"symbols": ["BTCUSDT"], "colour": "red"}, "colour: "),
        ({}, "symbols: field required"),
    ],
)
async def test_spawn_that_is_wrong_somewhere_starts_nothing(
    system: ApiSystem, client: httpx.AsyncClient, body: dict[str, object], text: str
) -> None:
    answer = await client.post("/v1/symbols", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert text in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    await system.settle(2)
    assert (await client.get("/v1/symbols")).json()["items"] == []
    assert system.factory.actors == {}


async def test_spawn_of_a_running_symbol_is_refused(system: ApiSystem, client: httpx.AsyncClient) -> None:
    await system.spawn(client, "BTCUSDT")
    answer = await client.post("/v1/symbols", json={"symbols": ["BTCUSDT"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert "already" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/book"),
        ("GET", "/events"),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/flatten"),
    ],
)
async def test_unknown_symbol_is_404_everywhere(client: httpx.AsyncClient, method: str, path: str) -> None:
    bodies: tuple[Any, ...] = ({"params": {"edge": "1"}}, {"params": {}}) if method == "PATCH" else (None,)
    for body in bodies:
        answer = await client.request(method, f"/v1/symbols/NOPEUSDT{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_symbol")


async def test_pause_and_resume_reach_the_actor(system: ApiSystem, client: httpx.AsyncClient) -> None:
    await system.spawn(client, "BTCUSDT")
    assert (await client.post("/v1/symbols/BTCUSDT/pause")).status_code == 202
    await system.settle()
    assert await _state(client) == "PAUSED"
    assert (await client.post("/v1/symbols/BTCUSDT/resume")).status_code == 202
    await system.settle()
    assert await _state(client) == "TRADING"


async def test_kill_with_flatten_drains_and_stops(system: ApiSystem, client: httpx.AsyncClient) -> None:
    await system.spawn(client, "BTCUSDT")
    actor = system.factory.actors["BTCUSDT"]
    answer = await client.delete("/v1/symbols/BTCUSDT", params={"flatten": "true"})
    assert answer.status_code == 202
    await system.settle(10)
    assert "drain+flatten" in actor.calls
    assert await _state(client) == "STOPPED"
    assert (await client.get(f"/v1/operations/{answer.json()['operation_id']}")).json()["status"] == "succeeded"
    assert (await client.delete("/v1/symbols/BTCUSDT")).status_code == 409


async def test_what_is_read_after_a_finished_operation_shows_what_it_did(system: ApiSystem) -> None:
    # Reads are served from one fetch for as long as the test lasts: it is the operation that makes the next one fetch.
    async with client_of(system.app(read_age_s=60.0)) as client:
        await system.spawn(client, "BTCUSDT")
        begun = await client.delete("/v1/symbols/BTCUSDT")
        assert await _state(client) != "STOPPED"
        await system.settle(10)
        assert await _state(client) != "STOPPED"
        assert (await client.get(begun.headers["location"])).json()["status"] == "succeeded"
        assert await _state(client) == "STOPPED"


async def test_set_of_parameters_is_whole_or_nothing(system: ApiSystem, client: httpx.AsyncClient) -> None:
    await system.spawn(client, "BTCUSDT")
    bad = await client.patch("/v1/symbols/BTCUSDT", json={"params": {"edge": 1, "speed": 2}})
    assert bad.status_code == 422
    good = await client.patch("/v1/symbols/BTCUSDT", json={"params": {"edge": 1.5}})
    assert good.status_code == 202
    await system.settle()
    assert (await client.get("/v1/symbols/BTCUSDT")).json()["params"] == {"edge": "1.5"}


async def test_epoch_of_if_match_decides_whether_a_command_is_taken(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    await system.spawn(client, "BTCUSDT")
    etag = (await client.get("/v1/symbols/BTCUSDT")).headers["etag"]
    system.factory.crash("BTCUSDT")
    await system.settle()
    stale = await client.post("/v1/symbols/BTCUSDT/pause", headers={"If-Match": etag})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_epoch")
    assert system.factory.actors["BTCUSDT"].calls == []
    fresh = (await client.get("/v1/symbols/BTCUSDT")).headers["etag"]
    assert fresh != etag
    assert (await client.post("/v1/symbols/BTCUSDT/pause", headers={"If-Match": fresh})).status_code == 202
    assert (await client.post("/v1/symbols/BTCUSDT/resume", headers={"If-Match": "*"})).status_code == 202
    assert (await client.post("/v1/symbols/BTCUSDT/pause", headers={"If-Match": "latest"})).status_code == 400


async def test_unknown_operation_is_404(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/operations/nope")).json()["code"] == "unknown_operation"


# --- idempotency ----------------------------------------------------------------------------------------------------


async def test_repeat_of_a_post_with_its_key_is_the_same_operation(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": "spawn-1"}
    first = await client.post("/v1/symbols", json={"symbols": ["BTCUSDT"], "strategy": ""}, headers=key)
    again = await client.post("/v1/symbols", json={"strategy": "", "symbols": ["BTCUSDT"]}, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert len((await client.get("/v1/audit")).json()["items"]) == 1


async def test_key_of_another_request_is_a_mismatch(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "spawn-1"}
    await client.post("/v1/symbols", json={"symbols": ["BTCUSDT"]}, headers=key)
    for path, body in (("/v1/symbols", {"symbols": ["ETHUSDT"]}), ("/v1/halt", {"symbols": ["BTCUSDT"]})):
        other = await client.post(path, json=body, headers=key)
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")


async def test_key_survives_a_restart_of_the_api(system: ApiSystem) -> None:
    async with client_of(system.app()) as client:
        first = await client.post("/v1/symbols", json={"symbols": ["BTCUSDT"]}, headers={"Idempotency-Key": "k"})
    async with client_of(system.app()) as client:
        again = await client.post("/v1/symbols", json={"symbols": ["BTCUSDT"]}, headers={"Idempotency-Key": "k"})
    assert first.json() == again.json()


async def test_refusal_is_repeated_and_an_outage_is_not(system: ApiSystem, client: httpx.AsyncClient) -> None:
    refused = await client.post("/v1/symbols", json={"symbols": ["NOPE"]}, headers={"Idempotency-Key": "a"})
    again = await client.post("/v1/symbols", json={"symbols": ["NOPE"]}, headers={"Idempotency-Key": "a"})
    assert (refused.status_code, again.status_code) == (422, 422)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/problem+json"
    system.executor.is_away = True
    assert (await client.post("/v1/resume", headers={"Idempotency-Key": "b"})).status_code == 503
    system.executor.is_away = False
    assert (await client.post("/v1/resume", headers={"Idempotency-Key": "b"})).status_code == 202


async def test_key_is_not_answered_to_who_may_not_command(system: ApiSystem, client: httpx.AsyncClient) -> None:
    await client.post("/v1/symbols", json={"symbols": ["BTCUSDT"]}, headers={"Idempotency-Key": "k"})
    async with client_of(system.app(), READ) as reader:
        answer = await reader.post("/v1/symbols", json={"symbols": ["BTCUSDT"]}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 403


# --- halt and risk --------------------------------------------------------------------------------------------------


async def test_halt_cancels_persists_and_confirms(system: ApiSystem, client: httpx.AsyncClient) -> None:
    await system.attach()
    order_id = await system.order(1)
    answer = await client.post("/v1/halt", json={"scope": "account", "flatten": False, "reason": "enough"})
    body = answer.json()
    assert answer.status_code == 202
    assert (body["state"], body["confirmed"], body["open_orders"], body["status"]) == ("HALTED", True, 0, "succeeded")
    assert body["verified_at_ns"] > 0
    assert system.venue.cancelled == [order_id]
    assert ("account", HaltState.HALTED, "enough") in await system.fleet.halts()
    assert (await client.get("/v1/halt")).json()["state"] == "HALTED"
    assert (await client.get("/v1/snapshot")).json()["halt"]["state"] == "HALTED"
    assert (await client.get(answer.headers["location"])).json()["status"] == "succeeded"
    assert (await client.get("/v1/audit")).json()["items"][0]["action"] == "halt"


async def test_resume_lifts_a_halt(system: ApiSystem, client: httpx.AsyncClient) -> None:
    await client.post("/v1/halt", json={})
    answer = await client.post("/v1/resume")
    assert (answer.status_code, answer.json()["state"]) == (202, "ACTIVE")
    assert (await client.get("/v1/halt")).json()["state"] == "ACTIVE"
    assert ("account", HaltState.ACTIVE, "") in await system.fleet.halts()


async def test_halt_without_an_executor_is_persisted_and_not_confirmed(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    system.executor.is_away = True
    body = (await client.post("/v1/halt", json={"reason": "gone"})).json()
    assert (body["state"], body["confirmed"], body["open_orders"], body["status"]) == ("HALTED", False, None, "failed")
    assert "NOT CONFIRMED" in body["error"]
    shown = (await client.get("/v1/halt")).json()
    assert (shown["state"], shown["confirmed"]) == ("HALTED", False)
    system.executor.is_away = False
    await system.executor.actor.core.halts.poll()
    assert (await client.get("/v1/halt")).json()["state"] == "HALTED"


async def test_halt_while_the_venue_is_away_is_not_confirmed(system: ApiSystem, client: httpx.AsyncClient) -> None:
    app = system.app()
    app.state.context.halts._wait_s = 0.2
    await system.attach()
    await system.order(1)
    system.venue.is_down = True
    async with client_of(app) as hasty:
        body = (await hasty.post("/v1/halt", json={})).json()
    assert (body["state"], body["confirmed"]) == ("HALTED", False)
    system.venue.is_down = False


async def test_halt_of_one_symbol_leaves_the_account_active(system: ApiSystem, client: httpx.AsyncClient) -> None:
    await system.spawn(client, "BTCUSDT")
    body = (await client.post("/v1/halt", json={"scope": "symbol", "symbol": "BTCUSDT", "reason": "odd"})).json()
    assert body["confirmed"] is True
    shown = (await client.get("/v1/halt")).json()
    assert (shown["state"], shown["symbols"]) == ("ACTIVE", {"BTCUSDT": "HALTED"})
    await client.post("/v1/resume", json={"scope": "symbol", "symbol": "BTCUSDT"})
    assert (await client.get("/v1/halt")).json()["symbols"] == {}


async def test_halt_of_a_symbol_is_lifted_in_a_session_that_does_not_run_it(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    await system.fleet.save_halt("symbol:ETHUSDT", HaltState.HALTED, "of an earlier session", system.clock.now_ns())
    await system.executor.actor.core.halts.poll()
    assert (await client.get("/v1/halt", params={"symbol": "ETHUSDT"})).json()["state"] == "HALTED"
    assert (await client.get("/v1/halt", params={"symbol": "NOPEUSDT"})).status_code == 404
    answer = await client.post("/v1/resume", json={"scope": "symbol", "symbol": "ETHUSDT"})
    assert (answer.status_code, answer.json()["state"]) == (202, "ACTIVE")
    assert (await client.get("/v1/halt")).json()["symbols"] == {}
    assert (await client.get("/v1/halt", params={"symbol": "ETHUSDT"})).status_code == 404


async def test_halt_of_a_group_stops_its_symbols_and_each_can_be_asked_about(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    await system.spawn(client, "BTCUSDT", "ETHUSDT")
    group = {"scope": "group", "symbols": ["BTCUSDT", "ETHUSDT"]}
    body = (await client.post("/v1/halt", json={**group, "reason": "odd"})).json()
    assert (body["state"], body["confirmed"], body["open_orders"]) == ("HALTED", True, 0)
    assert (await client.get("/v1/halt")).json()["symbols"] == {"BTCUSDT": "HALTED", "ETHUSDT": "HALTED"}
    one = (await client.get("/v1/halt", params={"symbol": "ETHUSDT"})).json()
    assert (one["state"], one["confirmed"], one["reason"]) == ("HALTED", True, "odd")
    await client.post("/v1/resume", json=group)
    assert (await client.get("/v1/halt")).json()["symbols"] == {}
    assert [row["symbol"] for row in (await client.get("/v1/audit")).json()["items"][:2]] == ["ETHUSDT", "BTCUSDT"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": "symbol"}, 422),
        ({"scope": "group"}, 422),
        ({"scope": "account", "symbols": ["BTCUSDT"]}, 422),
        ({"scope": "group", "symbols": ["NOPEUSDT"]}, 404),
        ({"scope": "account", "symbol": "BTCUSDT"}, 422),
        ({"scope": "symbol", "symbol": "NOPEUSDT"}, 404),
        ({"scope": "galaxy"}, 422),
    ],
)
async def test_halt_that_names_nothing_halts_nothing(
    system: ApiSystem, client: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    assert (await client.post("/v1/halt", json=body)).status_code == status
    assert await system.fleet.halts() == ()


async def test_limits_that_were_read_can_be_put_back_changed(system: ApiSystem, client: httpx.AsyncClient) -> None:
    risk = (await client.get("/v1/risk")).json()
    risk["limits"]["daily_loss"] = 123
    answer = await client.put("/v1/risk", json=risk)
    assert answer.status_code == 200
    assert answer.json()["limits"]["daily_loss"] == "123"
    state = await system.journal.load("main")
    assert dict(state.limits)["daily_loss"] == "123"
    assert (await system.reads.audit(ListQuery())).items[0]["action"] == "limits"


@pytest.mark.parametrize("limits", [{"daily_loss": "-1"}, {"daily_loss": "much"}, {"no_such": "1"}, {}])
async def test_wrong_limits_change_nothing(client: httpx.AsyncClient, limits: dict[str, str]) -> None:
    before = (await client.get("/v1/risk")).json()["limits"]
    body = {"limits": {"max_drawdown": "7", **limits}} if limits else {"limits": {}}
    answer = await client.put("/v1/risk", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert (await client.get("/v1/risk")).json()["limits"] == before
