"""The push schema against golden frames of the wire, and against its own source."""

from pathlib import Path

import pytest

from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.proto.compile_schema import COMPILED, SCHEMA, compile_schema

SEND_TIME_MS = 1789897517479
DEPTH = bytes.fromhex(
    "0a2f73706f74407075626c69632e61676772652e64657074682e76332e6170692e7062403130306d7340425443555344541a07425443555344"
    "5430a7d3d2f18b34ca13540a0d0a0838303533352e383912013012100a0838303533352e38381204302e32351a2773706f74407075626c6963"
    "2e61676772652e64657074682e76332e6170692e7062403130306d7322033130312a03313033"
)
DEALS = bytes.fromhex(
    "0a2e73706f74407075626c69632e61676772652e6465616c732e76332e6170692e70624031306d7340425443555344541a0742544355534454"
    "30a7d3d2f18b34d213430a190a0838303533352e38391204302e30311801209ed3d2f18b34122673706f74407075626c69632e61676772652e"
    "6465616c732e76332e6170692e70624031306d73"
)
ORDER = bytes.fromhex(
    "0a1d73706f7440707269766174652e6f72646572732e76332e6170692e70621a074254435553445430a7d3d2f18b348213420a064330325f5f"
    "311204636964311a0538303030302204302e30312a033830303201303801400152033830305a04302e30316a013072013078018001d8d2d2f1"
    "8b34"
)


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
    [(depth_frame(), DEPTH, 152), (deals_frame(), DEALS, 134), (order_frame(), ORDER, 116)],
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
    assert pb.PushDataV3ApiWrapper.FromString(DEPTH + unknown).publicAggreDepths.toVersion == "103"


def test_compiled_schema_is_what_the_source_compiles_to(tmp_path: Path) -> None:
    compile_schema(tmp_path)
    for name in COMPILED:
        assert (tmp_path / name).read_text() == (SCHEMA.parent / name).read_text(), f"{name} is stale: recompile"
