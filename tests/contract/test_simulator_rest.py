"""The simulator's REST wire: answers, error codes, signatures, limits; and that nothing makes it say 500."""

import re
import socket
import time
from decimal import Decimal
from urllib.parse import urlsplit

import httpx
import pytest
from simulator_process import RunningSimulator, running

from trading.adapters.mexc.signing import encode_params, sign

ORDER = {"symbol": "XRPUSDT", "side": "BUY", "type": "LIMIT", "quantity": "100", "price": "0.4"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_rest_public_routes_answer_in_the_venues_shape(simulator: RunningSimulator) -> None:
    assert simulator.get("/api/v3/ping").json() == {}
    before = now_ms()
    assert before - 1 <= simulator.get("/api/v3/time").json()["serverTime"] <= now_ms() + 1
    assert simulator.get("/api/v3/defaultSymbols").json()["code"] == 200
    symbols = simulator.get("/api/v3/exchangeInfo").json()["symbols"]
    assert [info["symbol"] for info in symbols] == ["BTCUSDT", "XRPUSDT", "DOGEUSDT", "MXUSDT"]
    assert {info["status"] for info in symbols} == {"1"}
    candles = simulator.get("/api/v3/klines", symbol="BTCUSDT", interval="60m", limit=3).json()
    assert [len(candle) for candle in candles] == [8, 8, 8]
    assert all(candle[6] == candle[0] + 3_600_000 for candle in candles)
    depth = simulator.get("/api/v3/depth", symbol="BTCUSDT", limit=5).json()
    assert len(depth["bids"]) == 5
    assert Decimal(depth["bids"][0][0]) < Decimal(depth["asks"][0][0])
    assert all(len(price.split(".")[1]) == 2 for price, _ in depth["bids"])
    trades = simulator.get("/api/v3/trades", symbol="BTCUSDT", limit=50).json()
    assert len(trades) == 50
    assert all((trade["tradeType"] == "ASK") == trade["isBuyerMaker"] for trade in trades)
    ticker = simulator.get("/api/v3/ticker/24hr", symbol="BTCUSDT").json()
    assert Decimal(ticker["lowPrice"]) <= Decimal(ticker["lastPrice"]) <= Decimal(ticker["highPrice"])


def test_rest_order_life_is_the_same_everywhere(simulator: RunningSimulator) -> None:
    placed = simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="life-1").json()
    assert "status" not in placed
    queried = simulator.signed("GET", "/api/v3/order", symbol="XRPUSDT", origClientOrderId="life-1").json()
    assert (queried["orderId"], queried["status"], queried["isWorking"]) == (placed["orderId"], "NEW", True)
    assert queried in simulator.signed("GET", "/api/v3/openOrders", symbol="XRPUSDT,BTCUSDT").json()
    assert simulator.state()["accounts"][simulator.api_key]["balances"]["USDT"]["locked"] == "40"
    cancelled = simulator.signed("DELETE", "/api/v3/order", symbol="XRPUSDT", orderId=placed["orderId"]).json()
    assert cancelled["status"] == "CANCELED"
    again = simulator.signed("DELETE", "/api/v3/order", symbol="XRPUSDT", orderId=placed["orderId"])
    assert (again.status_code, again.json()["code"]) == (400, -2011)
    listed = simulator.signed("GET", "/api/v3/allOrders", symbol="XRPUSDT").json()
    assert listed[0]["orderId"] == placed["orderId"]


def test_rest_market_order_trades_are_charged_and_listed(simulator: RunningSimulator) -> None:
    before = simulator.state()["accounts"][simulator.api_key]["balances"]
    order = simulator.signed("POST", "/api/v3/order", symbol="XRPUSDT", side="BUY", type="MARKET", quantity="20").json()
    fills = simulator.signed("GET", "/api/v3/myTrades", symbol="XRPUSDT", orderId=order["orderId"]).json()
    assert sum(Decimal(fill["qty"]) for fill in fills) == 20
    value = sum(Decimal(fill["quoteQty"]) for fill in fills)
    fees = sum(Decimal(fill["commission"]) for fill in fills)
    assert fees == value * Decimal("0.0005")
    after = simulator.state()["accounts"][simulator.api_key]["balances"]
    assert Decimal(before["USDT"]["free"]) - Decimal(after["USDT"]["free"]) == value + fees
    assert Decimal(after["XRP"]["free"]) - Decimal(before["XRP"]["free"]) == 20


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NOPEUSDT"}, 10007),
        ({"symbol": "btcusdt"}, 10007),
        ({"symbol": ""}, 700004),
        ({"side": "HOLD"}, 33333),
        ({"type": "STOP"}, 33333),
        ({"quantity": ""}, 10095),
        ({"quantity": "1.23"}, 10096),
        ({"quantity": "many"}, 10097),
        ({"quantity": "0"}, 10102),
        ({"quantity": "-5"}, 10102),
        ({"price": "0.1234567"}, 10096),
        ({"price": "0.00001"}, 30002),
        ({"price": "0.05", "quantity": "100"}, 30087),
        ({"quantity": "1"}, 30002),
        ({"quantity": "900000000"}, 30003),
        ({"quantity": "1000000"}, 10101),
        ({"side": "SELL", "quantity": "1000000", "price": "0.7"}, 30004),
        ({"newClientOrderId": "no blanks"}, 700008),
        ({"newClientOrderId": "x" * 33}, 700008),
    ],
)
def test_rest_wrong_order_gets_its_code(simulator: RunningSimulator, changes: dict[str, str], code: int) -> None:
    answer = simulator.signed("POST", "/api/v3/order", **(ORDER | changes))
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    tested = simulator.signed("POST", "/api/v3/order/test", **(ORDER | changes))
    assert tested.json()["code"] == code


def test_rest_unknown_orders_get_their_codes(simulator: RunningSimulator) -> None:
    named = {"symbol": "XRPUSDT", "orderId": "C02__nothing"}
    assert simulator.signed("GET", "/api/v3/order", **named).json()["code"] == -2013
    assert simulator.signed("DELETE", "/api/v3/order", **named).json()["code"] == -2011
    assert simulator.signed("GET", "/api/v3/order", symbol="XRPUSDT").json()["code"] == 700004


def test_rest_duplicate_client_id_among_open_orders_is_refused(simulator: RunningSimulator) -> None:
    first = simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="twice")
    second = simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="twice")
    assert (first.status_code, second.status_code, second.json()["code"]) == (200, 400, 700004)
    assert simulator.signed("DELETE", "/api/v3/openOrders", symbol="XRPUSDT").json()[0]["clientOrderId"] == "twice"


def test_rest_batch_reports_each_order_by_itself(simulator: RunningSimulator) -> None:
    batch = (
        '[{"symbol":"XRPUSDT","side":"BUY","type":"LIMIT","quantity":"100","price":"0.4","newClientOrderId":"b1"},'
        '{"symbol":"XRPUSDT","side":"BUY","type":"LIMIT","quantity":1,"price":0.4,"newClientOrderId":"b2"}]'
    )
    good, bad = simulator.signed("POST", "/api/v3/batchOrders", batchOrders=batch).json()
    assert (good["newClientOrderId"], bad["newClientOrderId"], bad["code"]) == ("b1", "b2", 30002)
    simulator.signed("DELETE", "/api/v3/order", symbol="XRPUSDT", orderId=good["orderId"])


@pytest.mark.parametrize(("order_type", "status"), [("FILL_OR_KILL", "CANCELED"), ("LIMIT_MAKER", "CANCELED")])
def test_rest_order_that_cannot_stand_is_accepted_then_cancelled(
    simulator: RunningSimulator, order_type: str, status: str
) -> None:
    bid, ask = simulator.best("XRPUSDT")
    price = ask * 2 if order_type == "LIMIT_MAKER" else bid / 2
    placed = simulator.signed("POST", "/api/v3/order", **(ORDER | {"type": order_type, "price": f"{price:.5f}"})).json()
    queried = simulator.signed("GET", "/api/v3/order", symbol="XRPUSDT", orderId=placed["orderId"]).json()
    assert (queried["status"], queried["executedQty"]) == (status, "0")


def signed_post(simulator: RunningSimulator, query: str, body: str, **headers: str) -> httpx.Response:
    url = f"{simulator.rest}/api/v3/order/test?{query}"
    return httpx.post(
        url, content=body, headers={"X-MEXC-APIKEY": simulator.api_key, **headers}, trust_env=False, timeout=30
    )


def test_rest_signed_parameters_may_be_in_query_body_or_both(simulator: RunningSimulator) -> None:
    order = encode_params(ORDER.items())
    stamp = f"timestamp={now_ms()}&recvWindow=5000"
    whole = f"{order}&{stamp}"
    by_body = f"{whole}&signature={sign(simulator.secret, whole)}"
    assert signed_post(simulator, "", by_body, **{"Content-Type": "application/json"}).json() == {}
    mixed = sign(simulator.secret, order, stamp)
    assert signed_post(simulator, order, f"{stamp}&signature={mixed}").json() == {}
    assert signed_post(simulator, f"{order}&signature={mixed}", stamp).json() == {}


def test_rest_authentication_errors_come_in_the_stated_order(simulator: RunningSimulator) -> None:
    def code(params: str, key: str | None = simulator.api_key) -> int:
        headers = {} if key is None else {"X-MEXC-APIKEY": key}
        answer = httpx.get(f"{simulator.rest}/api/v3/account?{params}", headers=headers, trust_env=False, timeout=30)
        assert answer.status_code == 400
        return int(answer.json()["code"])

    def signed(params: str) -> str:
        return f"{params}&signature={sign(simulator.secret, params)}"

    fresh = f"timestamp={now_ms()}"
    assert code(signed(fresh), None) == 400
    assert code(signed(fresh), "stranger") == 10072
    assert code(fresh) == 700004
    assert code(signed(f"timestamp={now_ms() - 60_000}&recvWindow=60001")) == 700005
    assert code(signed(f"timestamp={now_ms() - 6_000}")) == 700003
    assert code(signed(f"timestamp={now_ms() + 60_000}")) == 700003
    assert code(f"{fresh}&signature={sign(simulator.secret, fresh).upper()}") == 700002
    assert code(f"{fresh}&recvWindow=4000&signature={sign(simulator.secret, fresh)}") == 700002
    assert simulator.signed("GET", "/api/v3/account", timestamp=now_ms() - 6_000, recvWindow=60_000).status_code == 200


def test_rest_unknown_route_and_wrong_method_are_json_errors(simulator: RunningSimulator) -> None:
    assert (simulator.get("/api/v3/nothing").status_code, simulator.get("/nothing").json()["code"]) == (404, 404)
    assert httpx.put(simulator.rest + "/api/v3/order", trust_env=False, timeout=30).json()["code"] == 405


def pipelined(simulator: RunningSimulator, requests: list[bytes]) -> list[int]:
    """Send requests in one write, so that no slow machine spreads them over time, and return their statuses."""
    address = urlsplit(simulator.rest)
    head = f" HTTP/1.1\r\nHost: {address.netloc}\r\nX-MEXC-APIKEY: {simulator.api_key}\r\n".encode()
    lines = [request + head + b"\r\n" for request in requests[:-1]]
    lines.append(requests[-1] + head + b"Connection: close\r\n\r\n")
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as raw:
        raw.sendall(b"".join(lines))
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def test_rest_effective_limits_refuse_with_retry_after_then_the_firewall() -> None:
    with running("--symbols", "XRPUSDT") as limited:
        statuses = pipelined(limited, [b"GET /api/v3/time"] * 25)
        assert statuses == [200] * 20 + [429] * 5
        refused = limited.get("/api/v3/time")
        assert (refused.status_code, refused.headers.get("retry-after")) in ((429, "1"), (200, None))
        time.sleep(1.2)
        query = encode_params([*ORDER.items(), ("timestamp", str(now_ms()))])
        order = f"POST /api/v3/order?{query}&signature={sign(limited.secret, query)}".encode()
        assert pipelined(limited, [order] * 13) == [200] * 12 + [429]
        assert limited.state()["rate_limited"] >= 6
        time.sleep(1.2)
        walled = pipelined(limited, [b"GET /api/v3/time"] * 200)
        # Answering so many takes a moment, in which a request more may become free; but behind the wall nothing does.
        wall = walled.index(403)
        assert walled[:20] == [200] * 20
        assert set(walled[wall:]) == {403}
        assert walled.count(403) >= 50
        page = limited.get("/api/v3/time")
        assert (page.status_code, page.headers["content-type"][:9]) == (403, "text/html")
