"""Every fault of the contract strikes as documented, is counted, and ends when lifted."""

import contextlib
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

import httpx
import pytest
from google.protobuf.message import DecodeError
from simulator_process import RunningSimulator, ask, pushes
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from trading.adapters.mexc.proto import mexc_push_pb2 as pb

DEPTH = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
OTHER = "spot@public.aggre.depth.v3.api.pb@100ms@DOGEUSDT"
ORDERS = "spot@private.orders.v3.api.pb"
ORDER = {"symbol": "XRPUSDT", "side": "BUY", "type": "LIMIT", "quantity": "100", "price": "0.4"}


@pytest.fixture(autouse=True)
def no_faults_left(simulator: RunningSimulator) -> Iterator[None]:
    yield
    simulator.lift()
    simulator.signed("DELETE", "/api/v3/openOrders", symbol="XRPUSDT")


def raw_frames(socket: ClientConnection, count: int) -> list[bytes]:
    frames: list[bytes] = []
    while len(frames) < count:
        message = socket.recv(timeout=30)
        if isinstance(message, bytes):
            frames.append(message)
    return frames


def ranges(socket: ClientConnection, count: int) -> list[tuple[int, int]]:
    return ranges_of(raw_frames(socket, count))


def struck(simulator: RunningSimulator, socket: ClientConnection, kind: str, **fields: object) -> list[bytes]:
    """Put a fault in force once. Returns all frames until the second that left after it had struck."""
    before = injected(simulator, kind)
    simulator.inject(kind, count=1, **fields)
    frames: list[bytes] = []
    while injected(simulator, kind) == before:
        frames += raw_frames(socket, 1)
    version = simulator.state("BTCUSDT")["symbols"]["BTCUSDT"]["version"]
    later = 0
    while later < 2:
        frames += raw_frames(socket, 1)
        with contextlib.suppress(DecodeError):
            last = pb.PushDataV3ApiWrapper.FromString(frames[-1]).publicAggreDepths.toVersion
            later += int(last or 0) > version
    return frames


def ranges_of(frames: list[bytes]) -> list[tuple[int, int]]:
    decoded = [pb.PushDataV3ApiWrapper.FromString(frame).publicAggreDepths for frame in frames]
    return [(int(delta.fromVersion), int(delta.toVersion)) for delta in decoded]


def is_chain(found: list[tuple[int, int]]) -> bool:
    return all(later[0] == earlier[1] + 1 for earlier, later in pairwise(found))


def injected(simulator: RunningSimulator, kind: str) -> int:
    return int(simulator.state("BTCUSDT")["injected"].get(kind, 0))


def test_drop_delta_breaks_the_chain_once_and_only_of_its_symbol(simulator: RunningSimulator) -> None:
    with simulator.stream(DEPTH) as socket, simulator.stream(OTHER) as other:
        earlier = ranges(socket, 5)
        assert is_chain(earlier)
        count = injected(simulator, "drop_delta")
        found = earlier + ranges_of(struck(simulator, socket, "drop_delta", symbol="BTCUSDT"))
        assert sum(after[0] != before[1] + 1 for before, after in pairwise(found)) == 1
        assert is_chain(ranges(other, 5))
        assert injected(simulator, "drop_delta") == count + 1


def test_duplicate_delta_comes_twice(simulator: RunningSimulator) -> None:
    with simulator.stream(DEPTH) as socket:
        found = ranges_of(struck(simulator, socket, "duplicate_delta", symbol="BTCUSDT"))
        assert len(set(found)) == len(found) - 1


def test_reorder_delta_swaps_two_neighbours(simulator: RunningSimulator) -> None:
    with simulator.stream(DEPTH) as socket:
        ranges(socket, 2)
        found = ranges_of(struck(simulator, socket, "reorder_delta", symbol="BTCUSDT"))
        assert not is_chain(found)
        assert is_chain(sorted(found))


def test_truncated_and_garbage_frames_do_not_decode_to_a_delta(simulator: RunningSimulator) -> None:
    with simulator.stream(DEPTH) as socket:
        for kind in ("truncated_frame", "garbage_frame"):
            broken = 0
            for frame in struck(simulator, socket, kind, symbol="BTCUSDT"):
                try:
                    broken += not pb.PushDataV3ApiWrapper.FromString(frame).HasField("publicAggreDepths")
                except DecodeError:
                    broken += 1
            assert broken == 1, kind


def test_empty_frame_has_no_body_and_breaks_nothing(simulator: RunningSimulator) -> None:
    with simulator.stream(DEPTH) as socket:
        frames = struck(simulator, socket, "empty_frame", symbol="BTCUSDT")
        decoded = [pb.PushDataV3ApiWrapper.FromString(frame) for frame in frames]
        assert [push.WhichOneof("body") for push in decoded].count(None) == 1
        bodies = [push.publicAggreDepths for push in decoded if push.WhichOneof("body")]
        assert is_chain([(int(body.fromVersion), int(body.toVersion)) for body in bodies])


def test_stall_keeps_the_connection_silent_and_loses_the_pushes(simulator: RunningSimulator) -> None:
    with simulator.stream(DEPTH) as socket:
        last = ranges(socket, 2)[-1]
        count = injected(simulator, "stall")
        simulator.inject("stall", symbol="BTCUSDT", count=1, params={"delay_ms": 4_000})
        while injected(simulator, "stall") == count:
            time.sleep(0.02)
        before = [pb.PushDataV3ApiWrapper.FromString(frame) for frame in drained(socket)]
        last = (0, int(before[-1].publicAggreDepths.toVersion)) if before else last
        assert list(pushes(socket, 0.5)) == []
        assert ranges(socket, 1)[0][0] > last[1] + 1


def drained(socket: ClientConnection) -> list[bytes]:
    """Return the frames that have arrived already."""
    frames: list[bytes] = []
    while True:
        try:
            message = socket.recv(timeout=0.01)
        except TimeoutError:
            return frames
        if isinstance(message, bytes):
            frames.append(message)


@pytest.mark.parametrize(("kind", "code"), [("close", None), ("rollover", 1001)])
def test_close_and_rollover_end_the_connections_that_hear_the_symbol(
    simulator: RunningSimulator, kind: str, code: int | None
) -> None:
    with simulator.stream(DEPTH) as socket, simulator.stream(OTHER) as other:
        simulator.inject(kind, symbol="BTCUSDT", count=1)
        with contextlib.suppress(ConnectionClosed):
            while True:
                socket.recv(timeout=30)  # raises TimeoutError when the connection stays
        assert socket.close_code == (code or 1006)
        assert is_chain(ranges(other, 3))


def test_blocked_refuses_a_subscription(simulator: RunningSimulator) -> None:
    with simulator.stream() as socket:
        simulator.inject("blocked", symbol="BTCUSDT", count=1)
        assert "Not Subscribed" in ask(socket, "SUBSCRIPTION", DEPTH)["msg"]
        assert ask(socket, "SUBSCRIPTION", DEPTH)["msg"] == DEPTH


def test_stale_snapshot_is_true_but_older_than_the_stream(simulator: RunningSimulator) -> None:
    with simulator.stream(DEPTH) as socket:
        first = ranges(socket, 1)[0]
        simulator.inject("stale_snapshot", symbol="BTCUSDT", count=1)
        stale = simulator.get("/api/v3/depth", symbol="BTCUSDT", limit=5000).json()
        assert stale["lastUpdateId"] < first[0]
        truth = simulator.get("/sim/book", symbol="BTCUSDT", version=stale["lastUpdateId"]).json()
        assert [Decimal(price) for price, _ in stale["bids"]] == [Decimal(price) for price, _ in truth["bids"]]


@pytest.mark.parametrize("cadence", ["10ms", "100ms"])
def test_snapshot_inside_lies_within_the_next_delta(simulator: RunningSimulator, cadence: str) -> None:
    with simulator.stream(DEPTH.replace("100ms", cadence)) as socket:
        for _ in range(6):
            simulator.inject("snapshot_inside", symbol="BTCUSDT", count=1)
            version = simulator.get("/api/v3/depth", symbol="BTCUSDT").json()["lastUpdateId"]
            first, last = ranges(socket, 1)[0]
            while last <= version:
                first, last = ranges(socket, 1)[0]
            assert first <= version < last
        assert simulator.get("/sim/faults").json() == {"faults": []}


def test_accept_then_5xx_leaves_the_order_alive(simulator: RunningSimulator) -> None:
    simulator.inject("accept_then_5xx", account=simulator.api_key, count=1)
    answer = simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="after-503")
    assert answer.status_code == 503
    order = simulator.signed("GET", "/api/v3/order", symbol="XRPUSDT", origClientOrderId="after-503").json()
    assert order["status"] == "NEW"


def test_lose_reply_breaks_the_connection_after_the_order_was_taken(simulator: RunningSimulator) -> None:
    simulator.inject("lose_reply", count=1)
    with pytest.raises(httpx.TransportError):
        simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="lost")
    order = simulator.signed("GET", "/api/v3/order", symbol="XRPUSDT", origClientOrderId="lost").json()
    assert order["status"] == "NEW"


def test_delay_reply_is_late(simulator: RunningSimulator) -> None:
    simulator.inject("delay_reply", count=1, params={"delay_ms": 400, "path": "/api/v3/time"})
    began = time.monotonic()
    assert simulator.get("/api/v3/time").status_code == 200
    assert time.monotonic() - began >= 0.4


def test_http_429_and_html_403_come_instead_of_the_answer(simulator: RunningSimulator) -> None:
    simulator.inject("http_429", count=1)
    refused = simulator.get("/api/v3/time")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    simulator.inject("html_403", count=1)
    walled = simulator.get("/api/v3/time")
    assert (walled.status_code, walled.text[:6]) == (403, "<html>")
    assert simulator.get("/api/v3/time").status_code == 200


def test_clock_skew_moves_the_venues_clock(simulator: RunningSimulator) -> None:
    simulator.inject("clock_skew", probability=1, params={"delay_ms": 20_000})
    assert simulator.get("/api/v3/time").json()["serverTime"] > time.time() * 1_000 + 15_000
    assert simulator.signed("GET", "/api/v3/account").json()["code"] == 700003


def test_expire_listen_key_ends_the_private_stream(simulator: RunningSimulator) -> None:
    with simulator.stream(ORDERS, listen_key=simulator.listen_key()) as socket:
        simulator.inject("expire_listen_key", account=simulator.api_key, count=1)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)


def order_ids(socket: ClientConnection, count: int) -> list[str]:
    return [pb.PushDataV3ApiWrapper.FromString(frame).privateOrders.clientId for frame in raw_frames(socket, count)]


def test_private_pushes_are_duplicated_reordered_and_delayed(simulator: RunningSimulator) -> None:
    with simulator.stream(ORDERS, listen_key=simulator.listen_key()) as socket:
        simulator.inject("duplicate_push", account=simulator.api_key, count=1)
        simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="d1")
        assert order_ids(socket, 2) == ["d1", "d1"]
        simulator.inject("reorder_push", account=simulator.api_key, count=1)
        simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="r1")
        simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="r2")
        assert order_ids(socket, 2) == ["r2", "r1"]
        simulator.inject("delay_push", account=simulator.api_key, count=1, params={"delay_ms": 500})
        began = time.monotonic()
        simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="l1")
        assert order_ids(socket, 1) == ["l1"]
        assert time.monotonic() - began >= 0.45


def test_faults_of_an_account_strike_its_private_stream_and_no_public_one(simulator: RunningSimulator) -> None:
    with simulator.stream(ORDERS, listen_key=simulator.listen_key()) as socket, simulator.stream(DEPTH) as public:
        ranges(public, 2)
        for kind in ("empty_frame", "garbage_frame", "truncated_frame"):
            simulator.inject(kind, account=simulator.api_key, count=1)
            simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId=kind)
            frames = raw_frames(socket, 1 if kind == "truncated_frame" else 2)
            first = frames.pop(0)
            try:
                assert not pb.PushDataV3ApiWrapper.FromString(first).HasField("privateOrders"), kind
            except DecodeError:
                assert kind != "empty_frame"
            assert [pb.PushDataV3ApiWrapper.FromString(frame).privateOrders.clientId for frame in frames] in (
                [],
                [kind],
            )
        simulator.inject("stall", account=simulator.api_key, count=1, params={"delay_ms": 2_000})
        simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="lost-1")
        simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="lost-2")
        time.sleep(2.1)
        simulator.signed("POST", "/api/v3/order", **ORDER, newClientOrderId="heard")
        assert order_ids(socket, 1) == ["heard"]
        assert is_chain(ranges(public, 5))


def test_delta_faults_of_an_account_strike_the_connection_of_its_listen_key(simulator: RunningSimulator) -> None:
    key = simulator.listen_key()
    with simulator.stream(DEPTH, listen_key=key) as own, simulator.stream(DEPTH) as other:
        earlier = ranges(own, 2)
        assert not is_chain(earlier + ranges_of(struck(simulator, own, "drop_delta", account=simulator.api_key)))
        assert is_chain(ranges(other, 8))


def test_rest_faults_of_a_symbol_strike_lists_and_batches_that_name_it(simulator: RunningSimulator) -> None:
    simulator.inject("http_429", symbol="XRPUSDT", count=3)
    batch = '[{"symbol":"XRPUSDT","side":"BUY","type":"LIMIT","quantity":"100","price":"0.4"}]'
    assert simulator.signed("POST", "/api/v3/batchOrders", batchOrders=batch).status_code == 429
    assert simulator.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT,XRPUSDT").status_code == 429
    assert simulator.get("/api/v3/exchangeInfo", symbols="XRPUSDT,BTCUSDT").status_code == 429
    assert simulator.get("/api/v3/exchangeInfo", symbols="XRPUSDT,BTCUSDT").status_code == 200


def test_faults_are_seeded_and_bounded_by_their_count(simulator: RunningSimulator) -> None:
    struck = []
    for _ in range(2):
        simulator.inject("http_429", probability=0.5, count=6, seed=42, params={"path": "/api/v3/ping"})
        struck.append([simulator.get("/api/v3/ping").status_code == 429 for _ in range(40)])
        simulator.lift()
    assert struck[0] == struck[1]
    assert sum(struck[0]) == 6
    assert struck[0][:8] not in ([True] * 8, [False] * 8)


def test_faults_are_listed_lifted_and_refused_when_wrong(simulator: RunningSimulator) -> None:
    fault = simulator.inject("drop_delta", symbol="DOGEUSDT", probability=0.5, seed=3)
    listed = simulator.get("/sim/faults").json()["faults"]
    assert [(known["id"], known["probability"], known["left"]) for known in listed] == [(fault, 0.5, None)]
    assert simulator.client.delete(f"{simulator.rest}/sim/faults/{fault}").status_code == 200
    assert simulator.client.delete(f"{simulator.rest}/sim/faults/{fault}").status_code == 200, "lifting is idempotent"
    for never in ("f0", "f99999", "f", "nope", f"f{'9' * 40}"):
        assert simulator.client.delete(f"{simulator.rest}/sim/faults/{never}").status_code == 404
    struck = simulator.inject("http_429", count=1)
    assert simulator.get("/api/v3/ping").status_code == 429
    assert simulator.client.delete(f"{simulator.rest}/sim/faults/{struck}").status_code == 200, "spent, so lifted"
    assert simulator.get("/sim/faults").json() == {"faults": []}
    for wrong in ({"kind": "flood"}, {}, {"kind": "stall", "probability": 2}, {"kind": "stall", "count": 0}):
        assert simulator.client.post(simulator.rest + "/sim/faults", json=wrong).status_code == 400
    assert simulator.client.post(simulator.rest + "/sim/faults", content=b"no json").status_code == 400
    assert simulator.get("/sim/book", symbol="BTCUSDT", version=5).status_code == 404


def test_fees_are_switched_by_symbol_and_account_while_it_runs(simulator: RunningSimulator) -> None:
    post = {"symbol": "XRPUSDT", "account": simulator.api_key, "maker": "0.001", "taker": 0.002, "asset": "base"}
    assert simulator.client.post(simulator.rest + "/sim/fees", json=post).status_code == 200
    told = simulator.signed("GET", "/api/v3/tradeFee", symbol="XRPUSDT").json()["data"]
    assert told == {"makerCommission": 0.001, "takerCommission": 0.002}
    placed = simulator.signed("POST", "/api/v3/order", symbol="XRPUSDT", side="BUY", type="MARKET", quantity="50")
    fills = simulator.signed("GET", "/api/v3/myTrades", symbol="XRPUSDT", orderId=placed.json()["orderId"]).json()
    assert {fill["commissionAsset"] for fill in fills} == {"XRP"}
    assert sum(Decimal(fill["commission"]) for fill in fills) == Decimal("0.1")
    for wrong in ({"maker": "0.2"}, {"taker": "-1"}, {"asset": "gold"}, {"maker": True}, {"taker": "0.000000001"}):
        assert simulator.client.post(simulator.rest + "/sim/fees", json=wrong).status_code == 400
    assert simulator.client.post(simulator.rest + "/sim/fees", json={"symbol": "NOUSDT"}).status_code == 404
    assert simulator.client.delete(simulator.rest + "/sim/fees").json() == {"fees": []}
    told = simulator.signed("GET", "/api/v3/tradeFee", symbol="XRPUSDT").json()["data"]
    assert told == {"makerCommission": 0.0, "takerCommission": 0.0005}


def test_transfers_move_a_balance_and_are_told_as_deposit_and_withdrawal(simulator: RunningSimulator) -> None:
    def transfer(**body: object) -> httpx.Response:
        return simulator.client.post(simulator.rest + "/sim/transfer", json={"account": simulator.api_key, **body})

    before = simulator.get("/sim/state").json()["accounts"][simulator.api_key]["balances"]["USDT"]
    told = transfer(asset="USDT", amount="250.5").json()
    assert Decimal(told["free"]) == Decimal(before["free"]) + Decimal("250.5")
    assert Decimal(transfer(asset="USDT", amount="-250.5").json()["free"]) == Decimal(before["free"])
    assert transfer(asset="USDT", amount=f"-{Decimal(before['free']) + 1}").status_code == 409
    assert transfer(account="nobody", asset="USDT", amount="1").status_code == 404
    for wrong in ({"asset": "USDT", "amount": "0"}, {"asset": "USDT", "amount": 5}, {"asset": "", "amount": "1"}):
        assert transfer(**wrong).status_code == 400
    assert transfer(asset="USDT", amount="1e999").status_code == 400
