"""Filters of the API's lists: what they choose, and that what is wrong in a query is said and never ignored."""

from __future__ import annotations

import httpx

from tests.integration.api_system import ApiSystem, items_of

LISTS = (
    "symbols", "orders", "fills", "ledger", "positions", "pnl", "sessions", "audit", "alerts", "symbols/BTCUSDT/events",
    "scanner",
)  # fmt: skip


async def test_fills_and_positions_heed_status_and_session(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    assert [item["symbol"] for item in await items_of(client, "/v1/positions", status="open", session="s1")] == [
        "BTCUSDT"
    ]
    assert await items_of(client, "/v1/positions", status="flat", symbol="BTCUSDT") == []
    assert await items_of(client, "/v1/positions", session="of another day") == []
    assert len(await items_of(client, "/v1/fills", status="FILLED")) == len(await items_of(client, "/v1/fills")) == 3
    assert await items_of(client, "/v1/fills", status="REJECTED") == []
    for path in ("fills", "positions", "fills.csv", "positions.csv"):
        refused = await client.get(f"/v1/{path}", params={"status": "gone"})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid"), path
        assert "status: expected one of" in refused.json()["detail"]


async def test_filters_choose_rows(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    assert len(await items_of(client, "/v1/orders", status="FILLED")) == 3
    assert len(await items_of(client, "/v1/orders", status="OPEN", symbol="BTCUSDT", session="s1")) == 1
    assert await items_of(client, "/v1/orders", symbol="ETHUSDT") == []
    assert await items_of(client, "/v1/fills", since_ns=traded.clock.now_ns() + 1) == []
    assert [item["symbol"] for item in await items_of(client, "/v1/symbols", status="TRADING")] == [
        "BTCUSDT",
        "ETHUSDT",
    ]
    assert await items_of(client, "/v1/pnl", symbol="ETHUSDT", by="day") == []


async def test_wrong_filter_is_one_clear_sentence(client: httpx.AsyncClient) -> None:
    for query, name in (
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("cursor=%21%21", "cursor"),
        ("cursor=Zm9v", "cursor"),
        ("status=BANANA", "status"),
        ("since_ns=-1", "since_ns"),
        ("since_ns=99999999999999999999", "since_ns"),
        ("symbol=", "symbol"),
        ("symbol=A%00B", "symbol"),
    ):
        answer = await client.get(f"/v1/orders?{query}")
        assert answer.status_code == 422, query
        assert answer.json()["detail"].startswith(f"{name}: "), query
        assert "\n" not in answer.json()["detail"], query


async def test_query_names_that_a_route_does_not_have_are_refused_everywhere(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    await system.spawn(client, "BTCUSDT")
    paths = (await client.get("/openapi.json")).json()["paths"]
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods if "/v1/" in path]
    for method, path in routes:
        url = path.replace("{symbol}", "BTCUSDT").replace("{client_order_id}", "x").replace("{operation_id}", "x")
        names = [item["name"] for item in paths[path][method.lower()].get("parameters", ()) if item["in"] == "query"]
        answer = await client.request(method, url, params={"statuss": "OPEN"})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), url
        assert answer.json()["detail"].startswith("'statuss' is no query parameter of this route: "), url
        assert all(name in answer.json()["detail"] for name in names), url
    repeated = await client.get("/v1/orders?status=OPEN&status=FILLED")
    assert (repeated.status_code, repeated.json()["detail"]) == (422, "status: given 2 times, expected one value")
    assert (await client.delete("/v1/symbols/BTCUSDT?flaten=true")).status_code == 422
    assert (await client.get("/v1/symbols/BTCUSDT")).json()["desired"] == "TRADING", "nothing was half-done"
    assert (await client.get("/healthz?from=balancer")).status_code == 200


async def test_every_list_refuses_foreign_cursors_and_knows_its_session(
    traded: ApiSystem, client: httpx.AsyncClient
) -> None:
    for name in LISTS:
        for cursor in ("AAAA", "MTIz", "bnVsbA"):
            refused = await client.get(f"/v1/{name}", params={"cursor": cursor})
            assert (refused.status_code, refused.json()["code"]) == (422, "invalid"), (name, cursor)
        assert await items_of(client, f"/v1/{name}", session="nosuch") == [], name
        if name not in ("sessions", "audit"):
            refused = await client.get(f"/v1/{name}", params={"status": "nosuch"})
            assert refused.status_code == 422, name
            assert refused.json()["detail"].startswith("status: expected "), name
    assert len(await items_of(client, "/v1/symbols", session="s1")) == 2
    assert len(await items_of(client, "/v1/scanner", session="s1", status="fit")) == 2
    assert await items_of(client, "/v1/scanner", status="unfit") == []
    assert [row["fills"] for row in await items_of(client, "/v1/pnl", status="FILLED")] == [3]
    assert await items_of(client, "/v1/pnl", status="CANCELLED") == []
