"""Reads of the API: the contract's items, pages, CSV, money that agrees, health, and outages."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import psycopg
import pytest

from tests.embedded_database import plain_url
from tests.integration.api_system import CONTROL, READ, ApiSystem, client_of, items_of
from trading.model.units import NS_PER_S

# contract.md, "API": fields may be added, none may be missing.
ITEMS = {
    "/v1/symbols": "symbol,state,reason,since_ns,epoch,pid,node,strategy,params,book,position_qty,realized_pnl,"
    "open_orders,restarts",
    "/v1/orders": "client_order_id,venue_order_id,session,symbol,mode,side,type,price,qty,filled_qty,avg_price,status,"
    "reason,created_ns,committed_ns,sent_ns,acked_ns,updated_ns",
    "/v1/fills": "venue,trade_id,client_order_id,venue_order_id,symbol,side,price,qty,quote_qty,fee,fee_asset,is_maker,"
    "exch_ts_ns,recv_ts_ns",
    "/v1/positions": "symbol,qty,avg_price,mark_price,realized_pnl,unrealized_pnl,fees,updated_ns",
}
SNAPSHOT = "seq,now_ns,session,mode,venue,halt,symbols,positions,pnl,open_orders,alerts"
LISTS = (
    "symbols", "orders", "fills", "ledger", "positions", "pnl", "sessions", "audit", "alerts", "symbols/BTCUSDT/events"
)  # fmt: skip


def _steady(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what changes while nobody trades."""
    return {key: value for key, value in row.items() if key not in ("heard_ns", "book")}


# --- shapes ---------------------------------------------------------------------------------------------------------


async def test_items_have_the_fields_of_the_contract(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    for path, names in ITEMS.items():
        items = await items_of(client, path)
        assert items, path
        for item in items:
            assert not set(names.split(",")) - set(item), path
    book = (await items_of(client, "/v1/symbols"))[0]["book"]
    assert set(book) == {"state", "version", "bid", "ask", "age_ms"}
    snapshot = (await client.get("/v1/snapshot")).json()
    assert not set(SNAPSHOT.split(",")) - set(snapshot)
    assert not {"realized", "unrealized", "fees", "net"} - set(snapshot["pnl"])
    assert (snapshot["open_orders"], snapshot["session"], snapshot["mode"]) == (1, "s1", "paper")
    halt = (await client.get("/v1/halt")).json()
    assert not {"state", "confirmed", "open_orders", "verified_at_ns", "reason"} - set(halt)


async def test_decimals_are_plain_text_and_times_integers(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    order = (await items_of(client, "/v1/orders"))[-1]
    assert (order["price"], order["qty"], order["avg_price"], order["status"]) == ("100", "0.1", "100", "FILLED")
    assert isinstance(order["created_ns"], int)
    fill = (await items_of(client, "/v1/fills"))[-1]
    assert (fill["quote_qty"], fill["fee"], fill["fee_asset"], fill["is_maker"]) == ("10", "0.01", "USDT", True)


async def test_lists_page_through_every_row_once(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    for name in LISTS:
        whole = await items_of(client, f"/v1/{name}")
        paged: list[dict[str, Any]] = []
        cursor = None
        for _ in range(len(whole) + 1):
            params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
            page = (await client.get(f"/v1/{name}", params=params)).json()
            assert len(page["items"]) <= 1
            paged += page["items"]
            if (cursor := page["next_cursor"]) is None:
                break
        assert [_steady(row) for row in paged] == [_steady(row) for row in whole], name


async def test_csv_holds_the_same_rows_as_json(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    for name in LISTS:
        answer = await client.get(f"/v1/{name}.csv")
        assert answer.headers["content-type"].startswith("text/csv"), name
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        items = await items_of(client, f"/v1/{name}")
        assert len(rows) == len(items), name
        assert set(rows[0]) if rows else True
    first = await client.get("/v1/fills.csv", params={"limit": 2})
    rest = await client.get("/v1/fills.csv", params={"limit": 2, "cursor": first.headers["x-next-cursor"]})
    assert [len(answer.text.splitlines()) for answer in (first, rest)] == [3, 2]
    assert "x-next-cursor" not in rest.headers


async def test_ledger_is_what_the_account_holds_and_says_why_it_opened(
    traded: ApiSystem, client: httpx.AsyncClient
) -> None:
    lines = await items_of(client, "/v1/ledger", limit=1000)
    opening = [line for line in lines if line["kind"] == "opening"]
    assert [(line["reason"], line["symbol"], line["client_order_id"]) for line in opening] == [("opening", "", None)]
    assert await items_of(client, "/v1/ledger", status="opening") == opening
    assert {line["kind"] for line in lines} == {"opening", "trade", "fee"}
    assert all(line["client_order_id"] for line in lines if line["kind"] != "opening")
    refused = await client.get("/v1/ledger", params={"status": "gift"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


async def test_metrics_show_where_venue_journal_and_actor_disagree(
    traded: ApiSystem, client: httpx.AsyncClient
) -> None:
    async def drift() -> dict[str, float]:
        text = (await client.get("/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith("mexcbot_order_drift{") and "BTCUSDT" in line]
        return {re.sub(r'.*between="(\w+)".*', r"\1", line): float(line.split()[-1]) for line in lines}

    async def compare() -> None:
        traded.clock.advance(NS_PER_S)
        core.desk.is_reconcile_wanted = True
        await core.reconciler.round()
        await asyncio.sleep(0.3)  # the actor's count is of its heartbeat, read at most so often

    core = traded.executor.core
    await compare()
    # The stand-in of the symbol's actor tells of no order; the journal holds one, and so does the venue.
    assert await drift() == {"venue_journal": 0, "actor_journal": -1}
    (name,) = (item.record.client_order_id for item in core.state.orders.live())
    traded.venue.end(name, pushes=False)
    await compare()
    assert (await drift())["venue_journal"] == 1
    await compare()
    assert await drift() == {"venue_journal": 0, "actor_journal": 0}


# --- money ----------------------------------------------------------------------------------------------------------


async def test_every_view_of_pnl_agrees(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    """0.1 x (101 - 100) gross, 0.03 fees; 0.05 held at cost 5.00, marked at the heartbeat's bid of 1."""
    for by in ("session", "symbol", "day"):
        items = await items_of(client, "/v1/pnl", by=by)
        assert len(items) == 1
        assert items[0][by] == items[0]["key"]
        assert (items[0]["realized"], items[0]["fees"], items[0]["net"]) == ("0.1", "0.03", "0.07")
    position = (await items_of(client, "/v1/positions"))[0]
    assert (position["qty"], position["avg_price"], position["mark_price"]) == ("0.05", "100", "1")
    assert (position["realized_pnl"], position["unrealized_pnl"], position["fees"]) == ("0.1", "-4.95", "0.03")
    pnl = (await client.get("/v1/snapshot")).json()["pnl"]
    assert pnl == {"realized": "0.1", "unrealized": "-4.95", "fees": "0.03", "net": "-4.88", "unmarked": []}
    symbol = (await client.get("/v1/symbols/BTCUSDT")).json()
    assert (symbol["position_qty"], symbol["realized_pnl"], symbol["net_pnl"]) == ("0.05", "0.1", "0.07")


async def test_position_without_a_fresh_mark_is_named_and_not_guessed(
    traded: ApiSystem, client: httpx.AsyncClient
) -> None:
    traded.clock.advance(60 * 10**9)
    await asyncio.sleep(0.3)
    position = (await items_of(client, "/v1/positions"))[0]
    assert (position["mark_price"], position["unrealized_pnl"]) == (None, None)
    pnl = (await client.get("/v1/snapshot")).json()["pnl"]
    assert (pnl["unmarked"], pnl["unrealized"], pnl["net"]) == (["BTCUSDT"], "0", "0.07")


async def test_explain_tells_decision_events_and_fills(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    body = (await client.get(f"/v1/orders/mx-1-{traded.epoch}-1/explain")).json()
    assert {"net_edge_bps": "3.5", "book_version": "7"}.items() <= body["decision"].items()
    assert body["book"] == {"book_version": "7"}
    assert [verdict["verdict"] for verdict in body["risk"]] == ["approved", "approved"]
    assert "balance" in body["risk"][1]["measured"]
    times = [point["at_ns"] for point in body["timeline"]]
    assert times == sorted(times)
    assert {"decided", "committed to the journal", "journaled: filled"} <= {p["what"] for p in body["timeline"]}
    assert [event["kind"] for event in body["events"]] == ["accepted", "filled"]
    assert [Decimal(fill["qty"]) for fill in body["fills"]] == [Decimal("0.1")]
    missing = await client.get("/v1/orders/mx-9-9-9/explain")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_order")


# --- sharing, guards, health ----------------------------------------------------------------------------------------


async def test_many_readers_of_a_book_ask_its_actor_once(system: ApiSystem) -> None:
    async with client_of(system.app(read_age_s=60.0)) as client:
        await system.spawn(client, "BTCUSDT")
        answers = await asyncio.gather(*(client.get("/v1/symbols/BTCUSDT/book?depth=3") for _ in range(30)))
        assert {answer.status_code for answer in answers} == {200}
        assert answers[0].json()["bids"] == [["100.00", "1.0000"], ["99.00", "1.0000"], ["98.00", "1.0000"]]
        assert system.books.asked == 1
        assert (await client.get("/v1/symbols/BTCUSDT/book?depth=0")).status_code == 422


async def test_every_route_is_closed_without_its_token(system: ApiSystem) -> None:
    app = system.app()
    async with client_of(app) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(routes) > 30
    async with client_of(app, None) as nobody, client_of(app, READ) as reader:
        for method, path in routes:
            url = path.replace("{symbol}", "BTCUSDT").replace("{client_order_id}", "x").replace("{operation_id}", "x")
            is_open = path in ("/healthz", "/readyz")
            refused = await nobody.request(method, url)
            assert (refused.status_code == 401) == (not is_open), url
            if not is_open:
                assert refused.headers["www-authenticate"].startswith("Bearer")
                assert refused.json()["code"] == "unauthorized"
            if method != "GET":
                assert (await reader.request(method, url)).status_code == 403, url
            elif path != "/v1/stream":
                assert (await reader.get(url)).status_code not in (401, 403), url


@pytest.mark.parametrize("header", [f"Basic {CONTROL}", f"Bearer {CONTROL}x", "Bearer", CONTROL, "Bearer \x80"])
async def test_malformed_authorization_is_401(system: ApiSystem, header: str) -> None:
    async with client_of(system.app(), None) as client:
        answer = await client.get("/v1/snapshot", headers=[(b"Authorization", header.encode("latin-1"))])
    assert answer.status_code == 401


async def test_unknown_path_and_method_are_problems(client: httpx.AsyncClient) -> None:
    for method, path, status in (("GET", "/v2", 404), ("PUT", "/v1/orders", 405), ("DELETE", "/v1/halt", 405)):
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail", "code"}


async def test_readiness_names_what_is_missing(system: ApiSystem) -> None:
    app = system.app("http://127.0.0.1:9", ("BTCUSDT", "ETHUSDT"))
    async with client_of(app) as client:
        await system.spawn(client, "BTCUSDT")
    system.executor.is_away = True
    async with client_of(system.app("http://127.0.0.1:9", ("BTCUSDT", "ETHUSDT")), None) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "missing": [
            "the executor does not answer",
            "not accepted yet: ETHUSDT",
            "the dashboard does not serve yet",
        ],
    }


async def test_readiness_is_given_once_all_of_it_serves(system: ApiSystem) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/_stcore/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            app = system.app(f"http://127.0.0.1:{server.server_port}", ("BTCUSDT",))
            async with client_of(app) as client:
                await system.spawn(client, "BTCUSDT")
            async with client_of(app, None) as client:
                answer = await client.get("/readyz")
        finally:
            server.shutdown()
            thread.join()
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "missing": []})


async def test_metrics_tell_fleet_executor_and_the_api_itself(traded: ApiSystem, client: httpx.AsyncClient) -> None:
    await client.get("/v1/symbols/BTCUSDT")
    text = (await client.get("/metrics")).text
    for line in (
        'mexcbot_symbols{state="TRADING"} 2.0',
        'mexcbot_symbol_book_proven{symbol="BTCUSDT"} 1.0',
        'mexcbot_symbol_restarts_total{symbol="ETHUSDT"} 0.0',
        'mexcbot_halt_state{state="ACTIVE"} 1.0',
        "mexcbot_executor_ready 1.0",
        "mexcbot_orders_open 1.0",
        'mexcbot_api_requests_total{method="GET",route="/v1/symbols/{symbol}",status="200"} 1.0',
    ):
        assert line in text


async def test_database_outage_is_503_and_the_snapshot_says_so(
    traded: ApiSystem, client: httpx.AsyncClient, database_url: str
) -> None:
    assert (await client.get("/v1/snapshot")).json()["is_stale"] is False
    name = database_url.rsplit("/", 1)[1]
    admin = plain_url(database_url).rsplit("/", 1)[0] + "/postgres"
    with psycopg.connect(admin, autocommit=True) as link:
        link.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        link.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            answer = await client.get("/v1/orders")
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            await asyncio.sleep(0.3)
            stale = (await client.get("/v1/snapshot")).json()
            assert stale["is_stale"] is True
            assert [item["symbol"] for item in stale["symbols"]] == ["BTCUSDT", "ETHUSDT"]
            assert (await client.get("/readyz")).json()["missing"] == ["the database does not answer"]
        finally:
            link.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await asyncio.sleep(0.3)
    assert (await client.get("/v1/orders")).status_code == 200
