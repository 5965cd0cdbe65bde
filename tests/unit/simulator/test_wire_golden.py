"""The simulator's frames and signatures against the golden ones of the protocol reference."""

import pytest

from simulator.exchange.accounts import Account
from simulator.exchange.listings import Listing
from simulator.exchange.orders import NewOrder, Order, OrderState, OrderUpdated
from simulator.exchange.pair import Pair, Sequence
from simulator.exchange.tape import Trade
from simulator.wire.auth import authenticate
from simulator.wire.errors import WireError
from simulator.wire.feeds import open_feed
from simulator.wire.frames import order_push
from simulator.wire.requests import Request
from simulator.wire.topics import Topic, parse_topic
from tests.golden_wire import DEALS_FRAME, DEPTH_FRAME, ORDER_FRAME, SEND_TIME_MS, VECTORS
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.model.market import Side
from trading.model.orders import OrderType

LISTING = Listing("BTCUSDT", "BTC", "USDT", "Bitcoin", 2, 6)


def topic_of(text: str) -> Topic:
    topic = parse_topic(text, {"BTCUSDT"})
    assert topic is not None
    return topic


def test_depth_push_is_the_golden_frame_but_for_the_newer_field() -> None:
    pair = Pair(LISTING, 8_053_588, Sequence(), version=99)
    goes = pair.agent_order(Side.SELL, 8_053_589, 250_000, SEND_TIME_MS, rests=True)
    assert goes is not None
    assert pair.book.version == 100
    feed = open_feed(topic_of("spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"), {"BTCUSDT": pair})
    pair.agent_order(Side.BUY, 8_053_588, 200_000, SEND_TIME_MS, rests=True)
    pair.agent_cancel(goes, SEND_TIME_MS)
    pair.agent_order(Side.BUY, 8_053_588, 50_000, SEND_TIME_MS, rests=True)
    payload = feed.flush(SEND_TIME_MS)
    assert payload is not None
    push = pb.PushDataV3ApiWrapper.FromString(payload)
    assert push.publicAggreDepths.lastOrderCreateTime == SEND_TIME_MS
    push.publicAggreDepths.ClearField("lastOrderCreateTime")
    assert push.SerializeToString() == DEPTH_FRAME
    assert feed.flush(SEND_TIME_MS) is None, "a delta without levels is never sent"


def test_deals_push_is_the_golden_frame_but_for_the_newer_field() -> None:
    pair = Pair(LISTING, 8_053_588, Sequence())
    feed = open_feed(topic_of("spot@public.aggre.deals.v3.api.pb@10ms@BTCUSDT"), {"BTCUSDT": pair})
    pair.tape.record(Trade(7, 8_053_589, 10_000, True, SEND_TIME_MS - 9))
    payload = feed.flush(SEND_TIME_MS)
    assert payload is not None
    push = pb.PushDataV3ApiWrapper.FromString(payload)
    assert push.publicAggreDeals.deals[0].tradeId == "14X0_15X0"
    push.publicAggreDeals.deals[0].ClearField("tradeId")
    assert push.SerializeToString() == DEALS_FRAME


def test_private_order_push_is_the_golden_frame() -> None:
    pair = Pair(LISTING, 8_053_588, Sequence())
    account = Account("key", "secret", "1")
    new = NewOrder("BTCUSDT", Side.BUY, OrderType.LIMIT, 8_000_000, 10_000, client_id="cid1")
    created_ms = pb.PushDataV3ApiWrapper.FromString(ORDER_FRAME).privateOrders.createTime
    order = Order(1, "C02__1", account, pair, new, 8_000_000, created_ms)
    event = OrderUpdated(account, order, OrderState.NEW, 10_000, 0, 0, 0, False, created_ms)
    assert order_push(event, SEND_TIME_MS) == ORDER_FRAME


@pytest.mark.parametrize(("secret", "query", "body", "signature"), VECTORS, ids=range(1, 10))
def test_signature_vector_is_accepted_wherever_it_stands_and_no_other_is(
    secret: str, query: str, body: str, signature: str
) -> None:
    account = Account("key", secret, "1")
    stamp = f"{query}{body}".partition("timestamp=")[2].partition("&")[0]
    variants = [(f"{query}&signature={signature}", body), (f"signature={signature}&{query}", body)]
    if body:
        variants.append((query, f"{body}&signature={signature}"))
    else:
        variants.append(("", f"{query}&signature={signature}"))
    for signed_query, signed_body in variants:
        request = Request("POST", "/api/v3/order", signed_query, signed_body, {"x-mexc-apikey": "key"}, "here")
        assert authenticate(request, {"key": account}, int(stamp)) is account
        broken = Request("POST", "/api/v3/order", f"a=1&{signed_query}", signed_body, {"x-mexc-apikey": "key"}, "here")
        with pytest.raises(WireError, match="700002"):
            authenticate(broken, {"key": account}, int(stamp))


@pytest.mark.parametrize(("late_ms", "code"), [(-999, None), (-1_000, 700003), (5_000, None), (5_001, 700003)])
def test_timestamp_is_taken_up_to_a_second_ahead_and_a_window_late(late_ms: int, code: int | None) -> None:
    secret, query, body, signature = VECTORS[3]
    request = Request("GET", "/api/v3/account", f"{query}&signature={signature}", body, {"x-mexc-apikey": "k"}, "here")
    account = Account("k", secret, "1")
    if code is None:
        assert authenticate(request, {"k": account}, 1_700_000_000_000 + late_ms) is account
        return
    with pytest.raises(WireError, match=str(code)):
        authenticate(request, {"k": account}, 1_700_000_000_000 + late_ms)
