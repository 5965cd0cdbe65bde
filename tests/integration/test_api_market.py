"""Candles and the scanner over the API: shapes, pages, the two looks, and what a silent venue leads to."""

from __future__ import annotations

import csv
import io

import httpx
import pytest

from tests.integration.api_system import START_NS, ApiSystem
from trading.model.units import NS_PER_S

MINUTE_NS = 60 * NS_PER_S


async def test_scanner_ranks_by_net_edge_after_fees_and_says_what_it_left_out(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/v1/scanner", params={"top": 2})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["is_complete"], body["listed"], body["excluded"]) == (True, 3, {"offline": 1})
    rows = body["items"]
    assert [(row["rank"], row["symbol"], row["stage"], row["is_fit"]) for row in rows] == [
        (1, "ETHUSDT", 2, True),
        (2, "BTCUSDT", 2, True),
    ]
    for row in rows:
        net = row["captured_bps"] - row["fees_bps"] - row["adverse_bps"] - row["rounding_bps"]
        assert row["net_edge_bps"] == pytest.approx(net, abs=1e-3)
        assert row["net_edge_bps"] <= row["spread_bps"] - row["fees_bps"]
        assert row["trades_per_min"] == pytest.approx(60, rel=0.1)
        assert row["volatility_bps"] == pytest.approx(99.5, abs=0.5)
    asked = list(system.market.asked)
    assert {"exchangeInfo", "tickers", "depth BTCUSDT", "trades ETHUSDT"} <= set(asked)

    page = (await client.get("/v1/scanner", params={"top": 2, "limit": 1})).json()
    assert [row["symbol"] for row in page["items"]] == ["ETHUSDT"]
    rest = (await client.get("/v1/scanner", params={"top": 2, "cursor": page["next_cursor"]})).json()
    assert ([row["symbol"] for row in rest["items"]], rest["next_cursor"]) == (["BTCUSDT"], None)
    text = (await client.get("/v1/scanner.csv", params={"top": 2})).text
    assert [row["symbol"] for row in csv.DictReader(io.StringIO(text))] == ["ETHUSDT", "BTCUSDT"]
    assert system.market.asked == asked, "a scan is shared for a minute"

    refused = await client.get("/v1/scanner", params={"top": 0})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


async def test_candles_are_paged_forwards_and_the_newest_come_without_a_start(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    await system.spawn(client, "BTCUSDT")
    path = "/v1/symbols/BTCUSDT/candles"
    body = (await client.get(path, params={"limit": 3})).json()
    assert body["next_cursor"] is None
    assert set(body["items"][0]) == {
        "open_ns", "close_ns", "open", "high", "low", "close", "volume", "quote_volume", "is_closed",
    }  # fmt: skip
    assert [row["open_ns"] for row in body["items"]] == [START_NS - 2 * MINUTE_NS, START_NS - MINUTE_NS, START_NS]
    assert [row["is_closed"] for row in body["items"]] == [True, True, False]
    assert (body["items"][0]["high"], body["items"][0]["volume"]) == ("100.5", "3")

    seen: list[int] = []
    query: dict[str, str | int] = {"limit": 4, "since_ns": START_NS - 10 * MINUTE_NS}
    while True:
        page = (await client.get(path, params=query)).json()
        seen += [row["open_ns"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": 4, "cursor": page["next_cursor"]}
    assert seen == [START_NS - minute * MINUTE_NS for minute in range(10, -1, -1)]
    text = (await client.get(f"{path}.csv", params={"limit": 2})).text
    assert len(list(csv.DictReader(io.StringIO(text)))) == 2

    for path_, params, status, code in (
        ("/v1/symbols/NOPEUSDT/candles", {}, 404, "unknown_symbol"),
        (path, {"interval": "2m"}, 422, "invalid"),
        (path, {"cursor": "x"}, 422, "invalid"),
        (path, {"limit": "0"}, 422, "invalid"),
    ):
        answer = await client.get(path_, params=params)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_market_reads_of_a_silent_venue_are_a_problem_not_a_guess(
    system: ApiSystem, client: httpx.AsyncClient
) -> None:
    await system.spawn(client, "BTCUSDT")
    system.market.is_away = True
    for path in ("/v1/scanner", "/v1/symbols/BTCUSDT/candles"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "venue_unavailable"), answer.text
