"""Whatever a client sends: a documented error or an answer, never an exception, and no asset appears or vanishes."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from simulator.settings import DEFAULT_SECRET
from simulator.wire.routes import ROUTES
from tests.venue_desk import Desk, Frames, body_of
from trading.adapters.mexc.signing import encode_params, sign

# The codes of mexc-protocol §5 that a request can cause here, and HTTP's own.
CODES = {-2011, -2013, -1121, -1128, 26, 400, 404, 405, 10001, 10007, 10072, 10095, 10096, 10097, 10101, 10102, 22222}
CODES |= {30000, 30001, 30002, 30003, 30004, 30005, 30010, 30029, 30087, 33333, 44444}
CODES |= {700002, 700003, 700004, 700005, 700008, 730708}

# Each example runs a market of its own; hypothesis' own explanations would trace every step of it.
LIGHT = settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])

NAMES = (
    *("symbol", "symbols", "limit", "interval", "startTime", "endTime", "quantity", "price", "side", "type", "orderId"),
    *("origClientOrderId", "newClientOrderId", "quoteOrderQty", "stpMode", "timeInForce", "listenKey", "recvWindow"),
    *("mxDeductEnable", "tradeGroupName", "tradeGroupId", "uid", "batchOrders", "timestamp", "signature"),
)
# Texts on which number and name parsers stumble, and ones that are right somewhere.
VALUES = (
    *("", "0", "-0", "+1", "-1", "1.5", "5.", ".5", "1e5", "1e-7", "1E+99", "9" * 16, "9" * 17, "9" * 400, "0x10"),
    *("1_0", "NaN", "Infinity", "٣", "１２", " 5", "0." + "0" * 30 + "1", "ä", "\x00", "\n", "龙虾USDT", "null"),
    *("true", "[]", "{}", "%", "%zz", ",", "," * 9, "XRPUSDT", "xrpusdt", "XRPUSDT,BTCUSDT", "BTCUSDT", "1m", "8h"),
    *("1M", "C02__1", "a" * 40, "[{}]", "[[[]]]", '[{"symbol":1e400}]', "'; drop", "1", "20", "100", "0.61", "64000"),
)
ORDER_TYPES = ("LIMIT", "MARKET", "LIMIT_MAKER", "IMMEDIATE_OR_CANCEL", "FILL_OR_KILL")

values = st.sampled_from(VALUES) | st.text(max_size=12)
orders = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(("XRPUSDT", "BTCUSDT")),
        "side": st.sampled_from(("BUY", "SELL")),
        "type": st.sampled_from(ORDER_TYPES),
        "quantity": st.sampled_from(("5", "20", "100", "4000", "0.01", "1e2", "1000000")),
        "price": st.sampled_from(("0.61", "0.62", "0.6", "0.55", "0.00001", "64000", "1e10")),
    },
    optional={
        "newClientOrderId": st.sampled_from(("a", "b", "c")),
        "quoteOrderQty": st.sampled_from(("3", "50", "0.1")),
        "stpMode": st.sampled_from(("", "CANCEL_MAKER", "cancel_taker", "CANCEL_BOTH")),
    },
)
junk = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)
items = st.dictionaries(st.sampled_from(NAMES), values | st.none() | st.integers() | st.floats(), max_size=5)
batches = st.lists(orders | items, max_size=22).map(lambda batch: {"batchOrders": json.dumps(batch)})
paths = st.sampled_from([(method, path) for path, methods in ROUTES.items() for method in methods])
routes = st.sampled_from([("POST", "/api/v3/order")] * 20) | paths
params = st.one_of(orders, junk, st.tuples(orders, junk).map(lambda pair: pair[0] | pair[1]), batches)
ways = st.sampled_from(("query", "body", "split", "unsigned", "upper", "stranger", "keyless", "stale"))


def send(desk: Desk, route: tuple[str, str], given_params: dict[str, str], way: str) -> None:
    """Send one request, rightly signed unless `way` says how not, and hold its answer to the rules."""
    method, path = route
    pairs = [(name, str(value)) for name, value in given_params.items() if name != "signature"]
    if "timestamp" not in given_params:
        pairs.append(("timestamp", str(desk.now_ms - (6_000 if way == "stale" else 0))))
    text = encode_params([(name, value) for name, value in pairs])
    half = len(text) // 2
    query, body = {"body": ("", text), "split": (text[:half], text[half:])}.get(way, (text, ""))
    signature = sign(DEFAULT_SECRET, query, body)
    if way != "unsigned":
        query += f"&signature={signature.upper() if way == 'upper' else signature}"
    key = {"stranger": "nobody", "keyless": None}.get(way, desk.account.key)
    reply = desk.send(method, path, query, body, key)
    answer = body_of(reply)
    assert reply.status in (200, 400), (route, given_params, answer)
    if reply.status != 200:
        assert answer["code"] in CODES, (route, given_params, answer)
        assert isinstance(answer["msg"], str)
        assert answer["msg"]
    signed = ROUTES[path][method].signed is not None
    if signed and way == "upper" and signature != signature.upper():
        assert reply.status == 400
    if signed and way in ("stranger", "keyless"):
        assert answer["code"] == {"stranger": 10072, "keyless": 400}[way]


@LIGHT
@given(st.lists(st.tuples(routes, params, ways), min_size=1, max_size=25))
def test_requests_get_documented_answers_and_conserve_every_asset(
    requests: list[tuple[tuple[str, str], dict[str, str], str]],
) -> None:
    desk = Desk("XRPUSDT", "BTCUSDT")
    before = desk.venue.exchange.totals()
    for route, given_params, way in requests:
        send(desk, route, given_params, way)
        desk.now_ms += 7
    after = desk.venue.exchange.totals()
    assert {asset: amount for asset, amount in after.items() if amount} == before
    for account in desk.venue.exchange.accounts.values():
        assert all(min(balance.free, balance.locked) >= 0 for balance in account.balances.values())


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("kind", "symbol", "account", "probability", "count", "seed", "params", "keep", "status", "tradeSideType")
KINDS = ("drop_delta", "clock_skew", "error_reply", "blocked")
control_bodies = st.tuples(
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=6),
    st.just({}) | st.sampled_from(KINDS).map(lambda kind: {"kind": kind}),
).map(lambda pair: pair[0] | pair[1])
control_paths = st.sampled_from(("faults", "book_history", "listing", "state", "book", "faults/f1"))
control_requests = st.tuples(st.sampled_from(("GET", "POST", "DELETE", "PATCH")), control_paths, control_bodies)


@LIGHT
@given(st.lists(control_requests, max_size=12))
def test_control_requests_are_answered_or_refused_with_a_sentence(
    requests: list[tuple[str, str, dict[str, Any]]],
) -> None:
    desk = Desk()
    for method, path, body in requests:
        reply = desk.control(method, path, body)
        assert reply.status in (200, 400, 404, 405)
        assert reply.status == 200 or body_of(reply)["msg"]


TOPICS = (
    "spot@public.aggre.depth.v3.api.pb@10ms@XRPUSDT",
    "spot@public.kline.v3.api.pb@XRPUSDT@Min1",
    "spot@private.orders.v3.api.pb",
    "spot@public.miniTickers.v3.api.pb@24H",
)
control_frames = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(("SUBSCRIPTION", "UNSUBSCRIPTION", "PING", "ping", "subscription")) | anything,
        "params": st.lists(st.sampled_from(TOPICS) | anything, max_size=6) | anything,
        "id": anything,
    },
).map(json.dumps)


@LIGHT
@given(st.lists(control_frames | values | anything.map(json.dumps), max_size=20), st.booleans())
def test_frames_get_one_answer_each_and_pushes_only_what_is_subscribed(frames: list[str], is_private: bool) -> None:
    desk = Desk()
    key = body_of(desk.ask("POST", "userDataStream"))["listenKey"] if is_private else ""
    connection, socket = desk.connect(key)
    for number, frame in enumerate(frames, 1):
        connection.receive(frame, desk.now_ms, echoes_id=True)
        answer = socket.answer()
        assert len(socket.payloads) == number
        assert (set(answer), answer["code"]) == ({"id", "code", "msg"}, 0)
    assert len(connection.topics) <= 30
    wanted = set(connection.topics)
    connection.receive(json.dumps({"method": "UNSUBSCRIPTION", "params": sorted(wanted)}), desk.now_ms, echoes_id=True)
    assert set(filter(None, socket.answer()["msg"].split(","))) == wanted
    told = len(socket.payloads)
    desk.pass_ms(300)
    assert len(socket.payloads) == told, "no push after the acknowledgement"


def test_frames_beyond_a_hundred_a_second_break_the_connection() -> None:
    desk = Desk()
    connection, socket = desk.connect()
    for _ in range(100):
        connection.receive('{"method":"PING"}', desk.now_ms, echoes_id=True)
        desk.now_ms += 9
    assert not socket.is_broken
    connection.receive('{"method":"PING"}', desk.now_ms, echoes_id=True)
    assert socket.is_broken
    other, patient = desk.connect()
    for _ in range(300):
        other.receive('{"method":"PING"}', desk.now_ms, echoes_id=True)
        desk.now_ms += 10
    assert not patient.is_broken
    assert orjson.loads(patient.payloads[-1]) == {"id": 0, "code": 0, "msg": "PONG"}
    assert isinstance(patient, Frames)
