"""The push schema against golden frames of the wire, and against its own source."""

from pathlib import Path

import pytest

from tests.golden_wire import DEALS_FRAME, DEPTH_FRAME, ORDER_FRAME, SEND_TIME_MS
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.proto.compile_schema import COMPILED, SCHEMA, compile_schema


def depth_frame() -> pb.PushDataV3ApiWrapper:
    frame = pb.PushDataV3ApiWrapper(
        channel="spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT", symbol="BTCUSDT", sendTime=SEND_TIME_MS
    )
    body = frame.publicAggreDepths
    body.asks.add(price="80535.89", quantity="0")
    body.bids.add(price="80535.88", quantity="0.25")
    body.eventType = "spot@public.aggre.depth.v3.api.pb@100ms"
    body.fromVersion = "101"
    body.toVersion = "103"
    return frame


def deals_frame() -> pb.PushDataV3ApiWrapper:
    frame = pb.PushDataV3ApiWrapper(
        channel="spot@public.aggre.deals.v3.api.pb@10ms@BTCUSDT", symbol="BTCUSDT", sendTime=SEND_TIME_MS
    )
    frame.publicAggreDeals.deals.add(price="80535.89", quantity="0.01", tradeType=1, time=1789897517470)
    frame.publicAggreDeals.eventType = "spot@public.aggre.deals.v3.api.pb@10ms"
    return frame


def order_frame() -> pb.PushDataV3ApiWrapper:
    return pb.PushDataV3ApiWrapper(
        channel="spot@private.orders.v3.api.pb",
        symbol="BTCUSDT",
        sendTime=SEND_TIME_MS,
        privateOrders=pb.PrivateOrdersV3Api(
            id="C02__1",
            clientId="cid1",
            price="80000",
            quantity="0.01",
            amount="800",
            avgPrice="0",
            orderType=1,
            tradeType=1,
            remainAmount="800",
            remainQuantity="0.01",
            cumulativeQuantity="0",
            cumulativeAmount="0",
            status=1,
            createTime=1789897517400,
        ),
    )


@pytest.mark.parametrize(
    ("frame", "golden", "size"),
    [(depth_frame(), DEPTH_FRAME, 152), (deals_frame(), DEALS_FRAME, 134), (order_frame(), ORDER_FRAME, 116)],
    ids=["depth", "deals", "order"],
)
def test_push_frame_serialises_to_the_golden_bytes(frame: pb.PushDataV3ApiWrapper, golden: bytes, size: int) -> None:
    assert len(golden) == size
    assert frame.SerializeToString() == golden
    assert pb.PushDataV3ApiWrapper.FromString(golden) == frame


@pytest.mark.parametrize(
    ("body", "tag"),
    [
        ("publicLimitDepths", "fa12"),
        ("privateOrders", "8213"),
        ("privateDeals", "9213"),
        ("privateAccount", "9a13"),
        ("publicSpotKline", "a213"),
        ("publicMiniTicker", "aa13"),
        ("publicMiniTickers", "b213"),
        ("publicBookTickerBatch", "ba13"),
        ("publicAggreDepths", "ca13"),
        ("publicAggreDeals", "d213"),
        ("publicAggreBookTicker", "da13"),
    ],
)
def test_push_body_has_the_wire_tag_of_the_venue(body: str, tag: str) -> None:
    frame = pb.PushDataV3ApiWrapper()
    getattr(frame, body).SetInParent()
    assert frame.SerializeToString().hex() == tag + "00"


def test_push_frame_with_unknown_field_still_decodes() -> None:
    unknown = bytes.fromhex("f27f0161")  # field 2046, one byte "a"
    assert pb.PushDataV3ApiWrapper.FromString(DEPTH_FRAME + unknown).publicAggreDepths.toVersion == "103"


def test_compiled_schema_is_what_the_source_compiles_to(tmp_path: Path) -> None:
    compile_schema(tmp_path)
    for name in COMPILED:
        assert (tmp_path / name).read_text() == (SCHEMA.parent / name).read_text(), f"{name} is stale: recompile"
