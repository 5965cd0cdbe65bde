"""Private pushes of MEXC: orders, deals, balances, and what is none of them."""

from decimal import Decimal

import pytest

from tests.golden_wire import ORDER_FRAME, SEND_TIME_MS
from trading.adapters.mexc.private_codec import ORDERS_TOPIC, ForeignPush, decode_private
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderStatus, OrderType, VenueBalance, VenueOrder, VenueTrade

INSTRUMENT = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.000001"),
    min_qty=Decimal(0),
    min_notional=Decimal(1),
    max_notional=Decimal(0),
    maker_fee_rate=Decimal(0),
    taker_fee_rate=Decimal("0.0005"),
)
INSTRUMENTS = {"BTCUSDT": INSTRUMENT}


def order_frame(**changes: object) -> bytes:
    frame = pb.PushDataV3ApiWrapper.FromString(ORDER_FRAME)
    for name, value in changes.items():
        setattr(frame.privateOrders, name, value)
    return frame.SerializeToString()


def deal_frame(**changes: object) -> bytes:
    deal = pb.PrivateDealsV3Api(
        price="80000.5",
        quantity="0.004",
        amount="320.002",
        tradeType=2,
        isMaker=True,
        tradeId="505979017439002624X1",
        clientOrderId="mx-1-1-1",
        orderId="C02__1",
        feeAmount="0.160001",
        feeCurrency="USDT",
        time=SEND_TIME_MS - 5,
    )
    for name, value in changes.items():
        setattr(deal, name, value)
    return pb.PushDataV3ApiWrapper(
        channel="spot@private.deals.v3.api.pb", symbol="BTCUSDT", sendTime=SEND_TIME_MS, privateDeals=deal
    ).SerializeToString()


def decoded_order(payload: bytes) -> VenueOrder:
    order = decode_private(payload, INSTRUMENTS, "mexc", 7)
    assert isinstance(order, VenueOrder)
    return order


def test_golden_order_frame_is_read_in_full() -> None:
    assert decoded_order(ORDER_FRAME) == VenueOrder(
        symbol="BTCUSDT",
        client_order_id="cid1",
        venue_order_id="C02__1",
        status=OrderStatus.OPEN,
        side=Side.BUY,
        type=OrderType.LIMIT,
        price_ticks=8_000_000,
        qty_lots=10_000,
        filled_lots=0,
        filled_quote=Decimal(0),
        exch_ts_ns=SEND_TIME_MS * 1_000_000,
        recv_ts_ns=7,
    )


@pytest.mark.parametrize(
    ("code", "filled", "status", "is_terminal"),
    [
        (1, "0", OrderStatus.OPEN, False),
        (2, "0.01", OrderStatus.FILLED, True),
        (3, "0.004", OrderStatus.PARTIALLY_FILLED, False),
        (4, "0", OrderStatus.CANCELLED, True),
        (5, "0.004", OrderStatus.PARTIALLY_CANCELLED, True),
        (4, "0.004", OrderStatus.PARTIALLY_CANCELLED, True),
        (5, "0", OrderStatus.CANCELLED, True),
    ],
)
def test_order_push_status_codes_map_to_states(code: int, filled: str, status: OrderStatus, is_terminal: bool) -> None:
    order = decoded_order(order_frame(status=code, cumulativeQuantity=filled, cumulativeAmount="1"))
    assert order.status is status
    assert order.status.is_terminal is is_terminal


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, OrderType.LIMIT),
        (2, OrderType.LIMIT_MAKER),
        (3, OrderType.IOC),
        (4, OrderType.FOK),
        (5, OrderType.MARKET),
    ],
)
def test_order_push_type_codes_map_to_types(code: int, kind: OrderType) -> None:
    order = decoded_order(order_frame(orderType=code))
    assert (order.type, order.reason) == (kind, "")


def test_order_push_of_a_stop_order_is_shown_with_a_note() -> None:
    order = decoded_order(order_frame(orderType=100))
    assert (order.type, order.reason) == (OrderType.LIMIT, "venue type 100")


def test_market_order_push_takes_the_paid_amount_not_the_protection_price() -> None:
    order = decoded_order(
        order_frame(
            orderType=5,
            status=5,
            price="88000.123",
            amount="0",
            quantity="0.01",
            cumulativeQuantity="0.004",
            cumulativeAmount="",
            avgPrice="80000.25",
        )
    )
    assert order.filled_quote == Decimal("320.00100")
    assert order.price_ticks == 8_800_012
    assert order.filled_lots == 4_000


def test_deal_push_is_a_fill_with_its_fee_as_charged() -> None:
    trade = decode_private(deal_frame(), INSTRUMENTS, "mexc", 7)
    assert isinstance(trade, VenueTrade)
    fill = trade.fill
    assert (trade.source, trade.owner_epoch, fill.venue, fill.trade_id) == ("stream", 0, "mexc", "505979017439002624X1")
    assert (fill.client_order_id, fill.venue_order_id, fill.side) == ("mx-1-1-1", "C02__1", Side.SELL)
    assert (fill.price_ticks, fill.qty_lots, fill.quote_qty) == (8_000_050, 4_000, Decimal("320.002"))
    assert (fill.fee, fill.fee_asset, fill.is_maker) == (Decimal("0.160001"), "USDT", True)
    assert fill.exch_ts_ns == (SEND_TIME_MS - 5) * 1_000_000


def test_deal_push_without_amount_and_fee_asset_is_computed_from_the_instrument() -> None:
    trade = decode_private(deal_frame(amount="", feeAmount="", feeCurrency=""), INSTRUMENTS, "mexc", 7)
    assert isinstance(trade, VenueTrade)
    assert (trade.fill.quote_qty, trade.fill.fee, trade.fill.fee_asset) == (Decimal("320.002"), Decimal(0), "USDT")


def test_account_push_is_free_and_locked_of_one_asset() -> None:
    frame = pb.PushDataV3ApiWrapper(
        channel="spot@private.account.v3.api.pb",
        createTime=SEND_TIME_MS,
        privateAccount=pb.PrivateAccountV3Api(
            vcoinName="MX", balanceAmount="1.50", frozenAmount="0.25", type="ENTRUST", time=SEND_TIME_MS
        ),
    )
    balance = decode_private(frame.SerializeToString(), {}, "mexc", 7)
    assert balance == VenueBalance("MX", Decimal("1.5"), Decimal("0.25"), SEND_TIME_MS * 1_000_000, 7)


def test_frame_without_body_is_a_sign_of_life() -> None:
    assert decode_private(pb.PushDataV3ApiWrapper(channel=ORDERS_TOPIC).SerializeToString(), {}, "mexc", 7) is None
    assert decode_private(b"", {}, "mexc", 7) is None


def test_push_of_an_unknown_symbol_is_foreign_not_an_error() -> None:
    assert decode_private(ORDER_FRAME, {}, "mexc", 7) == ForeignPush(ORDERS_TOPIC, "BTCUSDT", "unknown symbol")


def test_push_with_a_public_body_is_foreign() -> None:
    frame = pb.PushDataV3ApiWrapper(channel="c", symbol="BTCUSDT", publicDeals=pb.PublicDealsV3Api(eventType="e"))
    push = decode_private(frame.SerializeToString(), INSTRUMENTS, "mexc", 7)
    assert push == ForeignPush("c", "BTCUSDT", "unexpected body publicDeals")


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xff",
        ORDER_FRAME[:-3],
        order_frame(status=9),
        order_frame(tradeType=3),
        order_frame(id=""),
        order_frame(cumulativeQuantity="0.0000001"),
        order_frame(price="NaN"),
        order_frame(cumulativeAmount="1e99"),
        deal_frame(tradeType=0),
        deal_frame(tradeId=""),
        deal_frame(price="80000.001"),
        deal_frame(quantity="0"),
        deal_frame(feeAmount="x"),
    ],
)
def test_frame_that_says_nothing_sound_is_a_decode_error(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_private(payload, INSTRUMENTS, "mexc", 7)


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "92233720368547758.08"},
        {"quantity": "9223372036854.775808"},
        {"time": (1 << 63) - 1},
        {"tradeId": "1\x00"},
        {"orderId": "x" * 129},
        {"feeCurrency": "US\nDT"},
    ],
)
def test_trade_that_the_journal_could_not_keep_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        decode_private(deal_frame(**changes), INSTRUMENTS, "mexc", 7)


@pytest.mark.parametrize("changes", [{"price": "1e20"}, {"quantity": "1e20"}, {"id": "C\x00"}, {"clientId": "\x07"}])
def test_order_that_the_journal_could_not_keep_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        decode_private(order_frame(**changes), INSTRUMENTS, "mexc", 7)
