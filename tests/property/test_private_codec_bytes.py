"""Any bytes on the private stream give an event, nothing, or a DecodeError: never anything else."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading.adapters.mexc.private_codec import ForeignPush, decode_private
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.orders import VenueBalance, VenueOrder, VenueTrade

INSTRUMENTS = {
    "BTCUSDT": Instrument(
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.05"),
        lot_size=Decimal("0.001"),
        min_qty=Decimal(0),
        min_notional=Decimal(1),
        max_notional=Decimal(0),
        maker_fee_rate=Decimal(0),
        taker_fee_rate=Decimal("0.0005"),
    )
}
NUMBERS = st.one_of(
    st.decimals(min_value=-10, max_value=10**9, places=3).map(str),
    st.sampled_from(["", "0", "NaN", "Infinity", "-0", "1e400", "1E-400", "٣", "1_0", "0x1", " 1", "1.", ".5", "-"]),
    st.text(max_size=6),
)


def check(payload: bytes) -> None:
    try:
        push = decode_private(payload, INSTRUMENTS, "mexc", 1)
    except DecodeError:
        return
    assert push is None or isinstance(push, VenueOrder | VenueTrade | VenueBalance | ForeignPush)
    match push:
        case VenueOrder():
            assert push.price_ticks >= 0
            assert push.qty_lots >= 0
            assert push.filled_lots >= 0
        case VenueTrade():
            assert push.fill.price_ticks > 0
            assert push.fill.qty_lots > 0
        case _:
            pass


@given(st.binary(max_size=300))
def test_private_codec_any_bytes_are_an_event_or_a_decode_error(payload: bytes) -> None:
    check(payload)


@given(
    numbers=st.lists(NUMBERS, min_size=7, max_size=7),
    codes=st.lists(st.integers(-1, 7), min_size=3, max_size=3),
    cut=st.integers(0, 3),
)
def test_private_codec_odd_order_fields_are_an_event_or_a_decode_error(
    numbers: list[str], codes: list[int], cut: int
) -> None:
    order = pb.PrivateOrdersV3Api(
        id="1",
        clientId="c",
        price=numbers[0],
        quantity=numbers[1],
        avgPrice=numbers[2],
        cumulativeQuantity=numbers[3],
        cumulativeAmount=numbers[4],
        status=codes[0],
        tradeType=codes[1],
        orderType=codes[2],
    )
    payload = pb.PushDataV3ApiWrapper(channel="c", symbol="BTCUSDT", privateOrders=order).SerializeToString()
    check(payload[: len(payload) - cut])


@given(
    numbers=st.lists(NUMBERS, min_size=4, max_size=4), side=st.integers(0, 3), time_ms=st.integers(-(2**63), 2**63 - 1)
)
def test_private_codec_odd_deal_fields_are_an_event_or_a_decode_error(
    numbers: list[str], side: int, time_ms: int
) -> None:
    deal = pb.PrivateDealsV3Api(
        price=numbers[0],
        quantity=numbers[1],
        amount=numbers[2],
        feeAmount=numbers[3],
        tradeType=side,
        tradeId="1",
        orderId="1",
        time=time_ms,
    )
    check(pb.PushDataV3ApiWrapper(channel="c", symbol="BTCUSDT", privateDeals=deal).SerializeToString())
