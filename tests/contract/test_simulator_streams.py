"""The simulator's WebSocket wire: acknowledgements, the book chain against the truth, the private stream, the rules."""

import contextlib
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from simulator_process import RunningSimulator, ask, pushes, running
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from trading.adapters.mexc.proto import mexc_push_pb2 as pb

DEPTH = "spot@public.aggre.depth.v3.api.pb"
PRIVATE = tuple(f"spot@private.{name}.v3.api.pb" for name in ("account", "deals", "orders"))
BLOCKED = "Reason： Blocked! "


def test_stream_acknowledgements_have_the_venues_texts(simulator: RunningSimulator) -> None:
    good = f"{DEPTH}@100ms@BTCUSDT"
    with simulator.stream() as socket:
        assert ask(socket, "SUBSCRIPTION", good, id=9) == {"id": 9, "code": 0, "msg": good}
        assert ask(socket, "SUBSCRIPTION", "x", "y")["msg"] == f"Not Subscribed successfully! [x,y].  {BLOCKED}"
        mixed = ask(socket, "SUBSCRIPTION", good, f"{DEPTH}@100ms@btcusdt")["msg"]
        refused = f"[{DEPTH}@100ms@btcusdt]"
        assert mixed == f"Subscribed successful! [{good}]. Not Subscribed successfully! {refused}.  {BLOCKED}"
        assert ask(socket, "SUBSCRIPTION")["msg"] == f"Not Subscribed successfully! [].  {BLOCKED}"
        assert ask(socket, "ping", id=4) == {"id": 0, "code": 0, "msg": "PONG"}
        assert ask(socket, "UNSUBSCRIPTION", good, "x")["msg"] == good
        assert list(pushes(socket, 0.4)) == []
        socket.send("no json")
        assert "msg format invalid" in json.loads(socket.recv(timeout=30))["msg"]


@pytest.mark.parametrize(
    "topic",
    [
        "spot@public.increase.depth.v3.api.pb@BTCUSDT",
        "spot@public.deals.v3.api@BTCUSDT",
        "spot@public.miniTicker.v3.api.pb@BTCUSDT",
        "spot@public.kline.v3.api.pb@BTCUSDT@Min2",
        f"{DEPTH}@50ms@BTCUSDT",
        "spot@private.orders.v3.api.pb",
    ],
)
def test_stream_topic_without_data_is_blocked(simulator: RunningSimulator, topic: str) -> None:
    with simulator.stream() as socket:
        assert ask(socket, "SUBSCRIPTION", topic)["msg"].endswith(BLOCKED)


def test_stream_thirty_first_topic_is_blocked_until_one_goes(simulator: RunningSimulator) -> None:
    intervals = ("Min1", "Min5", "Min15", "Min30", "Min60", "Hour4", "Hour8", "Day1", "Week1", "Month1")
    klines = [f"spot@public.kline.v3.api.pb@{s}@{i}" for s in ("BTCUSDT", "XRPUSDT", "DOGEUSDT") for i in intervals]
    extra = f"{DEPTH}@100ms@BTCUSDT"
    with simulator.stream(*klines) as socket:
        assert ask(socket, "SUBSCRIPTION", extra)["msg"].endswith(BLOCKED)
        ask(socket, "UNSUBSCRIPTION", klines[0])
        assert ask(socket, "SUBSCRIPTION", extra)["msg"] == extra


class BookCopy:
    """A strict local book, after the documented seven steps."""

    def __init__(self) -> None:
        self.version = 0
        self.sides: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}

    def load(self, snapshot: dict[str, Any]) -> None:
        self.version = snapshot["lastUpdateId"]
        self.sides = {
            side: {Decimal(price): Decimal(qty) for price, qty in snapshot[side]} for side in ("bids", "asks")
        }

    def apply(self, delta: pb.PublicAggreDepthsV3Api) -> str:
        first, last = int(delta.fromVersion), int(delta.toVersion)
        if last <= self.version:
            return "old"
        if first > self.version + 1:
            return "gap"
        assert delta.asks or delta.bids, "a delta without levels is never sent"
        for side, levels in (("bids", delta.bids), ("asks", delta.asks)):
            for level in levels:
                if Decimal(level.quantity) == 0:
                    self.sides[side].pop(Decimal(level.price), None)
                else:
                    self.sides[side][Decimal(level.price)] = Decimal(level.quantity)
        self.version = last
        return "applied"


@pytest.mark.parametrize("cadence", ["10ms", "100ms"])
def test_stream_deltas_keep_the_book_equal_to_the_truth(simulator: RunningSimulator, cadence: str) -> None:
    httpx.post(
        simulator.rest + "/sim/book_history", json={"symbol": "BTCUSDT", "keep": 20_000}, trust_env=False, timeout=30
    )
    book = BookCopy()
    checked = 0
    with simulator.stream(f"{DEPTH}@{cadence}@BTCUSDT") as socket:
        for number, push in enumerate(pushes(socket, 60)):
            if number == 0:
                book.load(simulator.get("/api/v3/depth", symbol="BTCUSDT", limit=5000).json())
            assert push.publicAggreDepths.eventType == f"{DEPTH}@{cadence}"
            outcome = book.apply(push.publicAggreDepths)
            assert outcome != "gap"
            if outcome == "applied" and number % 5 == 0:
                truth = simulator.get("/sim/book", symbol="BTCUSDT", version=book.version).json()
                for side in ("bids", "asks"):
                    assert book.sides[side] == {Decimal(price): Decimal(qty) for price, qty in truth[side]}
                checked += 1
                if checked == 4:
                    break
    assert checked == 4


def test_stream_every_public_channel_pushes_its_body(simulator: RunningSimulator) -> None:
    wanted = {
        f"{DEPTH}@10ms@BTCUSDT": "publicAggreDepths",
        "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT": "publicAggreDeals",
        "spot@public.aggre.bookTicker.v3.api.pb@10ms@BTCUSDT": "publicAggreBookTicker",
        "spot@public.bookTicker.batch.v3.api.pb@BTCUSDT": "publicBookTickerBatch",
        "spot@public.limit.depth.v3.api.pb@BTCUSDT@5": "publicLimitDepths",
        "spot@public.kline.v3.api.pb@BTCUSDT@Min1": "publicSpotKline",
        "spot@public.miniTicker.v3.api.pb@BTCUSDT@UTC+8": "publicMiniTicker",
        "spot@public.miniTickers.v3.api.pb@24H": "publicMiniTickers",
    }
    seen: dict[str, pb.PushDataV3ApiWrapper] = {}
    with simulator.stream(*wanted) as socket:
        for push in pushes(socket, 90):
            assert push.WhichOneof("body") == wanted[push.channel]
            assert push.sendTime > 0
            seen[push.channel] = push
            if len(seen) == len(wanted):
                break
    assert set(seen) == set(wanted)
    best = seen["spot@public.aggre.bookTicker.v3.api.pb@10ms@BTCUSDT"].publicAggreBookTicker
    assert Decimal(best.bidPrice) < Decimal(best.askPrice)
    candle = seen["spot@public.kline.v3.api.pb@BTCUSDT@Min1"].publicSpotKline
    assert candle.windowEnd - candle.windowStart == 60
    assert len(seen["spot@public.limit.depth.v3.api.pb@BTCUSDT@5"].publicLimitDepths.asks) == 5


def test_stream_versions_of_tops_are_the_finest_deltas_and_hold_the_truth(simulator: RunningSimulator) -> None:
    httpx.post(
        simulator.rest + "/sim/book_history", json={"symbol": "BTCUSDT", "keep": 20_000}, trust_env=False, timeout=30
    )
    finest = f"{DEPTH}@10ms@BTCUSDT"
    tops = (
        "spot@public.aggre.bookTicker.v3.api.pb@10ms@BTCUSDT",
        "spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT",
        "spot@public.bookTicker.batch.v3.api.pb@BTCUSDT",
        "spot@public.limit.depth.v3.api.pb@BTCUSDT@5",
    )
    ends: set[int] = set()
    told: list[tuple[str, int, list[tuple[Decimal, Decimal]]]] = []
    with simulator.stream(finest, *tops) as socket:
        enough = time.monotonic() + 2.5
        for push in pushes(socket, 60):
            body = getattr(push, push.WhichOneof("body") or "")
            if push.channel == finest:
                ends.add(int(body.toVersion))
            elif push.channel == tops[3]:
                told.append(
                    (push.channel, int(body.version), [(Decimal(b.price), Decimal(b.quantity)) for b in body.bids])
                )
            else:
                best = body.items[0] if push.channel == tops[2] else body
                bid = Decimal(best.bidPrice), Decimal(best.bidQuantity)
                told.append((push.channel, int(body.version), [bid]))
            if time.monotonic() > enough and ends and len({channel for channel, _, _ in told}) == len(tops):
                break
    held = [(version, bids) for _, version, bids in told if min(ends) <= version <= max(ends)]
    assert len({channel for channel, _, _ in told}) == len(tops)
    assert {version for version, _ in held} <= ends
    for version, bids in held[:40]:
        truth = simulator.get("/sim/book", symbol="BTCUSDT", version=version).json()["bids"][: len(bids)]
        assert bids == [(Decimal(price), Decimal(qty)) for price, qty in truth]


def read_private(socket: ClientConnection, order_id: str, statuses: set[int]) -> list[pb.PushDataV3ApiWrapper]:
    """Gather private pushes until the order has one of the statuses."""
    gathered = []
    for push in pushes(socket, 90):
        gathered.append(push)
        if push.privateOrders.id == order_id and push.privateOrders.status in statuses:
            return gathered
    raise AssertionError(f"{order_id} never got a status of {statuses}")


def test_private_stream_tells_an_orders_life_as_rest_does(simulator: RunningSimulator) -> None:
    with simulator.stream(*PRIVATE, listen_key=simulator.listen_key()) as socket:
        order = simulator.signed(
            "POST", "/api/v3/order", symbol="XRPUSDT", side="SELL", type="MARKET", quantity="30", newClientOrderId="m-1"
        ).json()
        told = read_private(socket, order["orderId"], {2})
    updates = [push.privateOrders for push in told if push.HasField("privateOrders")]
    deals = [push.privateDeals for push in told if push.HasField("privateDeals")]
    accounts = [push for push in told if push.HasField("privateAccount")]
    assert next(update.status for update in updates) == 1
    assert {update.clientId for update in updates} == {"m-1"}
    assert sum(Decimal(deal.quantity) for deal in deals) == 30
    trades = simulator.signed("GET", "/api/v3/myTrades", symbol="XRPUSDT", orderId=order["orderId"]).json()
    assert sorted((deal.price, deal.quantity, deal.feeAmount) for deal in deals) == sorted(
        (trade["price"], trade["qty"], trade["commission"]) for trade in trades
    )
    assert all(deal.tradeId.endswith("X1") for deal in deals)
    assert all(len(trade["id"]) == 32 for trade in trades)
    assert all(not push.HasField("symbol") and push.createTime for push in accounts)
    free = {push.privateAccount.vcoinName: push.privateAccount.balanceAmount for push in accounts}
    state = simulator.state()["accounts"][simulator.api_key]["balances"]
    assert free["USDT"] == state["USDT"]["free"]


def test_private_stream_passive_order_at_the_touch_fills_within_seconds(simulator: RunningSimulator) -> None:
    with simulator.stream(PRIVATE[2], listen_key=simulator.listen_key()) as socket:
        for _ in range(20):
            bid, _ = simulator.best("XRPUSDT")
            price = f"{bid + Decimal('0.00001'):.5f}"
            order = simulator.signed(
                "POST", "/api/v3/order", symbol="XRPUSDT", side="BUY", type="LIMIT_MAKER", quantity="20", price=price
            ).json()
            for push in pushes(socket, 2):  # an ask may have come down to it meanwhile: then it is none
                if push.privateOrders.id == order.get("orderId") and push.privateOrders.status == 2:
                    assert push.privateOrders.isMaker
                    return
            simulator.signed("DELETE", "/api/v3/openOrders", symbol="XRPUSDT")
    raise AssertionError("no fill in 20 tries")


def test_private_stream_with_wrong_listen_key_is_told_and_closed(simulator: RunningSimulator) -> None:
    with connect(f"{simulator.ws}?listenKey=nothing", proxy=None, close_timeout=1) as socket:
        assert socket.recv(timeout=30) == "Invalid listen key"
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)


def test_listen_key_closed_by_its_owner_ends_the_stream(simulator: RunningSimulator) -> None:
    key = simulator.listen_key()
    assert key in simulator.signed("GET", "/api/v3/userDataStream").json()["listenKey"]
    assert simulator.signed("PUT", "/api/v3/userDataStream", listenKey=key).json() == {"listenKey": key}
    with simulator.stream(PRIVATE[0], listen_key=key) as socket:
        simulator.signed("DELETE", "/api/v3/userDataStream", listenKey=key)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)
    assert simulator.signed("PUT", "/api/v3/userDataStream", listenKey=key).status_code == 400


@pytest.fixture(scope="module")
def hasty() -> Iterator[RunningSimulator]:
    """A simulator whose rules run thirty times as fast: 30 s are one second, 60 s two."""
    with running("--limits", "off", "--symbols", "XRPUSDT", "--time-scale", "30") as one:
        yield one


def await_close(socket: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=60)  # raises TimeoutError when the connection stays


def test_connection_without_subscription_is_dropped_after_thirty_scaled_seconds(hasty: RunningSimulator) -> None:
    began = time.monotonic()
    with hasty.stream() as socket:
        await_close(socket)
    assert time.monotonic() - began >= 1


def test_connection_without_data_and_ping_is_dropped_after_sixty_scaled_seconds(hasty: RunningSimulator) -> None:
    with hasty.stream(PRIVATE[0], listen_key=hasty.listen_key()) as socket:
        for _ in range(12):
            time.sleep(0.25)
            pinged = time.monotonic()
            assert ask(socket, "PING")["msg"] == "PONG"
        await_close(socket)
        assert time.monotonic() - pinged >= 2


def test_connection_that_floods_is_dropped_and_garbage_harms_nobody(simulator: RunningSimulator) -> None:
    good = f"{DEPTH}@100ms@BTCUSDT"
    with simulator.stream(good) as bystander:
        with simulator.stream(good) as flood:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(150):
                    flood.send('{"method":"PING"}')
            await_close(flood)
            assert flood.close_code == 1006
        with simulator.stream() as odd:
            for message in (b"\x00\xff", "[]", "null", '{"method":7}', '{"method":"SUBSCRIPTION","params":"x"}'):
                odd.send(message)
                assert "msg format invalid" in json.loads(odd.recv(timeout=30))["msg"]
            answer = ask(odd, "SUBSCRIPTION", *[{"a": 1}, None, 5])  # type: ignore[list-item]
            assert answer["msg"] == f'Not Subscribed successfully! [{{"a":1}},null,5].  {BLOCKED}'
            odd.send("x" * 100_000)
            await_close(odd)
            assert odd.close_code == 1009
        assert next(pushes(bystander, 30)).channel == good
