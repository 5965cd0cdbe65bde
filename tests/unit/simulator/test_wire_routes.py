"""Routes by themselves, without sockets: documented limits, switches, strategy groups, errors on demand."""

from decimal import Decimal

import pytest

from simulator.exchange.amounts import ONE
from simulator.exchange.rules import ExchangeRules
from simulator.wire.connection import IDLE_MS, LIFETIME_MS
from simulator.wire.limits import LimitMode
from tests.venue_desk import Desk, Frames, body_of, code_of
from trading.adapters.mexc.proto import mexc_push_pb2 as pb

PRIVATE = tuple(f"spot@private.{name}.v3.api.pb" for name in ("account", "deals", "orders"))
ORDER = {"symbol": "XRPUSDT", "side": "BUY", "type": "LIMIT", "quantity": "100", "price": "0.4"}


def statuses(desk: Desk, times: int, method: str, name: str, **params: object) -> list[int]:
    return [desk.ask(method, name, **params).status for _ in range(times)]


def test_documented_limits_weigh_each_endpoint_by_itself() -> None:
    desk = Desk(limits=LimitMode.DOCUMENTED)
    assert statuses(desk, 13, "GET", "ticker/24hr") == [200] * 12 + [429], "40 of 500 each without a symbol"
    assert statuses(desk, 21, "GET", "ticker/24hr", symbol="XRPUSDT")[:20] == [200] * 20, "1 each with one"
    assert statuses(desk, 51, "GET", "exchangeInfo") == [200] * 50 + [429]
    refused = desk.ask("GET", "exchangeInfo")
    assert (refused.status, code_of(refused), refused.retry_after_s) == (429, 429, 10)
    desk.now_ms += 10_000
    assert desk.ask("GET", "exchangeInfo").status == 200


def test_documented_limits_of_account_and_batches_are_two_a_second() -> None:
    desk = Desk(limits=LimitMode.DOCUMENTED)
    assert statuses(desk, 3, "GET", "account") == [200, 200, 429]
    assert statuses(desk, 3, "POST", "batchOrders", batchOrders="[{}]") == [200, 200, 429]
    assert desk.ask("GET", "openOrders", symbol="XRPUSDT").status == 200
    refused = desk.ask("GET", "account")
    assert refused.retry_after_s == 1
    desk.now_ms += 1_000
    assert statuses(desk, 3, "GET", "account") == [200, 200, 429]


def test_documented_limits_count_orders_by_account_too() -> None:
    desk = Desk(limits=LimitMode.DOCUMENTED)
    assert statuses(desk, 500, "POST", "order", **ORDER | {"symbol": "NOPE"}) == [400] * 500
    assert desk.ask("POST", "order", **ORDER).status == 429
    assert code_of(desk.ask("DELETE", "order", symbol="XRPUSDT", orderId="x")) == -2011, "an endpoint of its own"


@pytest.mark.parametrize(
    ("rules", "changes", "code"),
    [
        (ExchangeRules(), {"newClientOrderId": "with blanks"}, 700008),
        (ExchangeRules(is_client_id_checked=False), {"newClientOrderId": "with blanks"}, None),
        (ExchangeRules(), {"newClientOrderId": "x" * 33}, 700008),
        (ExchangeRules(client_id_length_max=40), {"newClientOrderId": "x" * 33}, None),
        (
            ExchangeRules(is_client_id_checked=False, client_id_length_max=9_999),
            {"newClientOrderId": "x" * 201},
            700008,
        ),
        (ExchangeRules(), {"quantity": "1.23"}, 10096),
        (ExchangeRules(), {"quantity": "100.0000000000000000000000001"}, 10096),
        (ExchangeRules(), {"quantity": "1" + "0" * 30}, 30003),
        (ExchangeRules(), {"type": "MARKET", "quantity": "", "quoteOrderQty": "10.1234567890123456789"}, 10096),
        (ExchangeRules(scale_error_code=30087), {"quantity": "1.23"}, 30087),
        (ExchangeRules(scale_error_code=30087), {"price": "0.4000001"}, 30087),
        (ExchangeRules(), {"type": "LIMIT_MAKER", "price": "0.7"}, None),
        (ExchangeRules(is_crossing_maker_refused=True), {"type": "LIMIT_MAKER", "price": "0.7"}, 30087),
        (ExchangeRules(max_open_orders=0), {}, 30029),
    ],
)
def test_rules_decide_what_the_sources_leave_open(
    rules: ExchangeRules, changes: dict[str, str], code: int | None
) -> None:
    assert code_of(Desk(rules=rules).ask("POST", "order", **ORDER | changes)) == code


@pytest.mark.parametrize(
    ("rules", "status"), [(ExchangeRules(), 400), (ExchangeRules(is_auth_refused_with_401=True), 401)]
)
def test_rule_gives_the_status_of_failed_authentication_and_of_nothing_else(rules: ExchangeRules, status: int) -> None:
    desk = Desk(rules=rules)
    stranger = desk.send("GET", "/api/v3/account", key="nobody")
    assert (stranger.status, code_of(stranger)) == (status, 10072)
    assert desk.send("GET", "/api/v3/account", key=None).status == status
    assert desk.ask("GET", "order", symbol="XRPUSDT", orderId="x").status == 400


def test_rule_and_code_of_candle_intervals() -> None:
    asked = {"symbol": "XRPUSDT", "limit": 1}
    assert Desk().ask("GET", "klines", interval="8h", **asked).status == 200
    assert code_of(Desk(rules=ExchangeRules(answers_8h=False)).ask("GET", "klines", interval="8h", **asked)) == -1121
    assert code_of(Desk().ask("GET", "klines", interval="1h", **asked)) == -1121


@pytest.mark.parametrize(("rule", "status"), [("docs", "CANCELED"), ("live", "NEW")])
def test_rule_gives_the_state_in_a_cancels_answer(rule: str, status: str) -> None:
    desk = Desk(rules=ExchangeRules(cancel_answer=type(ExchangeRules().cancel_answer)(rule)))
    placed = body_of(desk.ask("POST", "order", **ORDER))
    assert body_of(desk.ask("DELETE", "order", symbol="XRPUSDT", orderId=placed["orderId"]))["status"] == status
    desk.pass_ms(60)
    assert body_of(desk.ask("GET", "order", symbol="XRPUSDT", orderId=placed["orderId"]))["status"] == "CANCELED"


def test_strategy_groups_are_made_joined_left_and_ended() -> None:
    desk = Desk()
    made = body_of(desk.ask("POST", "strategy/group", tradeGroupName="g"))
    group_id, own = made["data"]["tradeGroupId"], desk.account.uid
    assert (made["code"], made["data"]["tradeGroupName"], made["data"]["tradeGroupUid"]) == (200, "g", own)
    assert code_of(desk.ask("POST", "strategy/group", tradeGroupName="g")) == 26
    other = desk.venue.exchange.accounts["second"]
    joined = body_of(desk.ask("POST", "strategy/group/uid", uid=f"{own},{other.uid}", tradeGroupId=group_id))
    assert joined["data"]["tradeGroupUid"] == f"{own},{other.uid}"
    assert other.stp_groups == {"g": str(group_id)}
    assert code_of(desk.ask("POST", "strategy/group/uid", uid="1", tradeGroupId=group_id)) == 10001
    assert code_of(desk.ask("POST", "strategy/group/uid", uid=own, tradeGroupId=99)) == 22222
    assert body_of(desk.ask("DELETE", "strategy/group/uid", uid=own, tradeGroupId=group_id))["data"] is True
    assert body_of(desk.ask("GET", "strategy/group", tradeGroupName="g"))["data"] == []
    assert body_of(desk.ask("POST", "strategy/group", tradeGroupName="h"))["data"]["tradeGroupId"] == group_id + 1
    assert body_of(desk.ask("DELETE", "strategy/group", tradeGroupId=group_id + 1))["data"] is True
    assert desk.account.stp_groups == {}


def test_error_reply_answers_any_code_instead_of_the_route() -> None:
    desk = Desk()
    params = {"code": 30016, "msg": "trading disabled", "method": "POST"}
    made = desk.control("POST", "faults", {"kind": "error_reply", "symbol": "XRPUSDT", "count": 1, "params": params})
    assert made.status == 200
    assert desk.ask("GET", "depth", symbol="XRPUSDT").status == 200
    refused = desk.ask("POST", "order", **ORDER)
    assert (refused.status, body_of(refused)) == (400, {"code": 30016, "msg": "trading disabled"})
    assert desk.account.orders == {}
    assert desk.ask("POST", "order", **ORDER).status == 200
    desk.control("POST", "faults", {"kind": "error_reply", "params": {"code": 20002, "status": 200}})
    assert (desk.ask("GET", "time").status, body_of(desk.control("GET", "state"))["injected"]) == (
        200,
        {"error_reply": 2},
    )
    assert desk.control("POST", "faults", {"kind": "error_reply"}).status == 400
    assert desk.control("POST", "faults", {"kind": "error_reply", "params": {"code": 1, "status": 99}}).status == 400


def test_my_trades_are_found_by_the_seconds_they_show() -> None:
    desk = Desk()
    desk.now_ms += 2_700
    desk.ask("POST", "order", symbol="XRPUSDT", side="SELL", type="MARKET", quantity="20")
    (trade, *_) = body_of(desk.ask("GET", "myTrades", symbol="XRPUSDT"))
    shown = trade["time"]
    assert shown % 1_000 == 0
    assert trade in body_of(desk.ask("GET", "myTrades", symbol="XRPUSDT", startTime=shown, endTime=shown))
    assert body_of(desk.ask("GET", "myTrades", symbol="XRPUSDT", startTime=shown - 9_000, endTime=shown - 1)) == []


def test_connection_ends_by_age_and_idleness_scaled() -> None:
    desk = Desk(time_scale=10.0)
    connection, _ = desk.connect()
    connection.receive(
        '{"method":"SUBSCRIPTION","params":["spot@public.miniTickers.v3.api.pb@24H"]}', desk.now_ms, echoes_id=True
    )
    connection.alive_ms = desk.now_ms + IDLE_MS // 10
    assert not connection.is_overdue(desk.now_ms + 2 * IDLE_MS // 10, 10.0)
    assert connection.is_overdue(desk.now_ms + 2 * IDLE_MS // 10 + 1, 10.0)
    connection.alive_ms = desk.now_ms + LIFETIME_MS // 10
    assert not connection.is_overdue(desk.now_ms + LIFETIME_MS // 10, 10.0)
    assert connection.is_overdue(desk.now_ms + LIFETIME_MS // 10 + 1, 10.0)


def test_private_streams_tell_each_account_its_own_changes_in_an_unbroken_sum() -> None:
    desk = Desk()
    own, others = desk.account, desk.venue.exchange.accounts["second"]
    sockets: dict[str, Frames] = {}
    for account in (own, others):
        key = desk.venue.listen_keys.create(account, desk.now_ms)
        connection, sockets[account.key] = desk.connect(key or "")
        assert all(desk.hub.subscribe(connection, topic) for topic in PRIVATE)
    before = {asset: Decimal(held.free) / ONE for asset, held in own.balances.items()}
    desk.ask("POST", "order", **ORDER | {"newClientOrderId": "mine"})
    desk.ask("POST", "order", symbol="XRPUSDT", side="SELL", type="MARKET", quantity="500")
    desk.ask("DELETE", "openOrders", symbol="XRPUSDT")
    desk.pass_ms(10)
    assert sockets[others.key].payloads == []
    pushes = [pb.PushDataV3ApiWrapper.FromString(payload) for payload in sockets[own.key].payloads]
    changes = [push.privateAccount for push in pushes if push.HasField("privateAccount")]
    free, locked = dict(before), dict.fromkeys(before, Decimal(0))
    for change in changes:
        asset = change.vcoinName
        free[asset] += Decimal(change.balanceAmountChange)
        locked[asset] += Decimal(change.frozenAmountChange)
        assert (Decimal(change.balanceAmount), Decimal(change.frozenAmount)) == (free[asset], locked[asset])
    assert [change.type for change in changes][:1] == ["ENTRUST_PLACE"]
    assert {"ENTRUST_PLACE", "ENTRUST", "ENTRUST_CANCEL"} <= {change.type for change in changes}
    told = {balance["asset"]: balance for balance in body_of(desk.ask("GET", "account"))["balances"]}
    assert free["USDT"] == Decimal(told["USDT"]["free"])
    states = [push.privateOrders.status for push in pushes if push.privateOrders.clientId == "mine"]
    assert states == [1, 4]


def test_listen_keys_errors_and_limits() -> None:
    desk = Desk()
    assert code_of(desk.ask("PUT", "userDataStream", listenKey="nobody's")) == 730708
    assert code_of(desk.ask("DELETE", "userDataStream")) == 700004
    keys = [desk.ask("POST", "userDataStream") for _ in range(61)]
    assert [code_of(key) for key in keys] == [None] * 60 + [26]
    assert len(body_of(keys[0])["listenKey"]) == 64
    assert len(body_of(desk.ask("GET", "userDataStream"))["listenKey"]) == 60


@pytest.mark.parametrize(
    ("changes", "order", "code"),
    [
        ({"status": "2"}, {}, 30000),
        ({"status": "3"}, {}, 30000),
        ({"tradeSideType": 3}, {}, 30001),
        ({"tradeSideType": 2}, {"side": "SELL", "price": "0.7"}, 30001),
        ({"tradeSideType": 2}, {}, None),
        ({"isSpotTradingAllowed": False}, {}, 10007),
        ({"takesMarketOrders": False}, {"type": "MARKET"}, 30019),
        ({"takesMarketOrders": False}, {}, None),
    ],
)
def test_listing_is_changed_while_it_trades_and_orders_feel_it(
    changes: dict[str, object], order: dict[str, str], code: int | None
) -> None:
    desk = Desk("XRPUSDT", "BTCUSDT")
    assert desk.ask("POST", "order", **ORDER | {"newClientOrderId": "before"}).status == 200
    told = desk.control("POST", "listing", {"symbol": "XRPUSDT", **changes})
    assert told.status == 200
    shown = body_of(desk.ask("GET", "exchangeInfo", symbol="XRPUSDT"))["symbols"][0]
    assert body_of(told) == shown
    assert all(shown[name] == value for name, value in changes.items() if name in shown)
    # What is not allowed through the API answers 10007, a paused pair 30000: each shows its own reason only.
    assert shown["isSpotTradingAllowed"] is ("isSpotTradingAllowed" not in changes)
    is_listed = "isSpotTradingAllowed" not in changes
    assert ("XRPUSDT" in body_of(desk.ask("GET", "selfSymbols"))["data"]) is is_listed
    assert body_of(desk.ask("GET", "symbol/offline"))["data"] == (["XRPUSDT"] if changes.get("status") == "3" else [])
    assert code_of(desk.ask("POST", "order", **ORDER | order)) == code
    assert desk.ask("DELETE", "order", symbol="XRPUSDT", origClientOrderId="before").status == 200, "cancels go on"


@pytest.mark.parametrize(
    "body",
    [
        {"symbol": "XRPUSDT"},
        {"symbol": "XRPUSDT", "state": "2"},
        {"symbol": "XRPUSDT", "status": 2},
        {"symbol": "XRPUSDT", "tradeSideType": True},
        {"symbol": "XRPUSDT", "isSpotTradingAllowed": 0},
    ],
)
def test_listing_change_that_says_nothing_sound_is_refused(body: dict[str, object]) -> None:
    desk = Desk()
    before = desk.venue.exchange.pairs["XRPUSDT"].listing
    assert desk.control("POST", "listing", body).status == 400
    assert desk.venue.exchange.pairs["XRPUSDT"].listing == before
    assert desk.control("POST", "listing", {"symbol": "NOPE", "status": "2"}).status == 404


@pytest.mark.parametrize("symbol", ["龙虾USDT", "GOLD(PAXG)USDT"])
def test_symbol_of_other_letters_trades_and_streams(symbol: str) -> None:
    desk = Desk(symbol)
    assert body_of(desk.ask("GET", "exchangeInfo"))["symbols"][0]["symbol"] == symbol
    best = body_of(desk.ask("GET", "ticker/bookTicker", symbol=symbol))
    placed = desk.ask("POST", "order", symbol=symbol, side="BUY", type="MARKET", quoteOrderQty="20")
    assert body_of(placed)["symbol"] == best["symbol"] == symbol
    topic = f"spot@public.aggre.depth.v3.api.pb@100ms@{symbol}"
    connection, socket = desk.connect()
    connection.receive(f'{{"method":"SUBSCRIPTION","params":["{topic}"]}}', desk.now_ms, echoes_id=True)
    assert socket.answer()["msg"] == topic
    desk.pass_ms(2_000)
    push = pb.PushDataV3ApiWrapper.FromString(socket.payloads[-1])
    assert (push.channel, push.symbol) == (topic, symbol)
