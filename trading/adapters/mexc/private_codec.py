"""What MEXC says about our account, in our words: private pushes and signed REST bodies. Pure: no socket, no clock.

May import `trading.model`, the push schema and protobuf. Decimal strings become ticks and lots through `Instrument`.
Sources: mexc-protocol §2.3 (pushes) and §3.4 (REST), MEXC spot V3 documentation, read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill, OrderStatus, OrderType, VenueBalance, VenueOrder, VenueTrade
from trading.model.units import ZERO, ns_from_ms

ACCOUNT_TOPIC = "spot@private.account.v3.api.pb"
DEALS_TOPIC = "spot@private.deals.v3.api.pb"
ORDERS_TOPIC = "spot@private.orders.v3.api.pb"
PRIVATE_TOPICS = (ACCOUNT_TOPIC, DEALS_TOPIC, ORDERS_TOPIC)

Instruments = Mapping[str, Instrument]

# 5 (partially filled, then cancelled) is terminal; other clients keep such orders open for ever.
_PUSH_STATUS = {
    1: OrderStatus.OPEN,
    2: OrderStatus.FILLED,
    3: OrderStatus.PARTIALLY_FILLED,
    4: OrderStatus.CANCELLED,
    5: OrderStatus.PARTIALLY_CANCELLED,
}
_REST_STATUS = {
    "NEW": OrderStatus.OPEN,
    "FILLED": OrderStatus.FILLED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "PARTIALLY_CANCELED": OrderStatus.PARTIALLY_CANCELLED,
}
_PUSH_TYPE = {1: OrderType.LIMIT, 2: OrderType.LIMIT_MAKER, 3: OrderType.IOC, 4: OrderType.FOK, 5: OrderType.MARKET}
_REST_TYPE = {member.value: member for member in OrderType}
_SIDE = {1: Side.BUY, 2: Side.SELL}


@dataclass(frozen=True, slots=True)
class ForeignPush:
    """A push about something that we have no word for: a symbol without instrument, a channel of later days."""

    channel: str
    symbol: str
    text: str


_ORDER_MOVES = ("ENTRUST", "TRADE")

PrivatePush = VenueOrder | VenueTrade | VenueBalance | ForeignPush


def decode_private(payload: bytes, instruments: Instruments, venue: str, recv_ts_ns: int) -> PrivatePush | None:
    """Decode one binary frame of the private stream.

    Args:
        instruments: by symbol; every listed one, tradable or not.
        venue: the name that fills carry.
        recv_ts_ns: when the frame arrived, our clock.
    Returns: the event; None for a frame without a body (a sign of life).
    Raises: DecodeError, and nothing else, for any bytes.
    """
    try:
        frame = pb.PushDataV3ApiWrapper.FromString(payload)
    except ProtobufError:
        raise DecodeError(f"expected a push frame, was {len(payload)} other bytes")
    kind = frame.WhichOneof("body")
    if kind is None:
        return None
    if kind == "privateAccount":
        return _pushed_balance(frame.privateAccount, recv_ts_ns)
    if kind not in ("privateOrders", "privateDeals"):
        return ForeignPush(frame.channel, frame.symbol, f"unexpected body {kind}")
    instrument = instruments.get(frame.symbol)
    if instrument is None:
        return ForeignPush(frame.channel, frame.symbol, "unknown symbol")
    sent_ns = ns_from_ms(frame.sendTime or frame.createTime)
    if kind == "privateOrders":
        return _pushed_order(frame.privateOrders, instrument, sent_ns, recv_ts_ns)
    return _pushed_trade(frame.privateDeals, instrument, venue, sent_ns, recv_ts_ns)


def order_from_rest(body: Any, instruments: Instruments, recv_ts_ns: int) -> VenueOrder | None:
    """Read an order object of a query.

    Returns: None for a symbol without instrument. Raises: DecodeError when it is no order object.
    """
    symbol = _text(body, "symbol")
    instrument = instruments.get(symbol)
    if instrument is None:
        return None
    status = _REST_STATUS.get(_text(body, "status"))
    if status is None:
        raise DecodeError(f"expected an order status, was {_text(body, 'status')!r}")
    filled = _amount(_text(body, "executedQty"), "executedQty")
    filled_lots = _lots(instrument, _text(body, "executedQty") or "0")
    kind, note = _order_type(_REST_TYPE.get(_text(body, "type")), _text(body, "type"))
    return VenueOrder(
        symbol=symbol,
        client_order_id=_text(body, "clientOrderId"),
        venue_order_id=_required(body, "orderId"),
        status=_with_fills(status, filled > 0),
        side=_side(_text(body, "side")),
        type=kind,
        price_ticks=_asked_ticks(instrument, _text(body, "price")),
        qty_lots=_asked_lots(instrument, _text(body, "origQty")),
        filled_lots=filled_lots,
        filled_quote=_amount(_text(body, "cummulativeQuoteQty"), "cummulativeQuoteQty"),
        exch_ts_ns=ns_from_ms(_time_ms(body, "updateTime") or _time_ms(body, "time")),
        recv_ts_ns=recv_ts_ns,
        reason=note,
        created_ts_ns=ns_from_ms(_time_ms(body, "time")),
    )


def trade_from_rest(body: Any, instruments: Instruments, venue: str, recv_ts_ns: int) -> VenueTrade | None:
    """Read one of my-trades. Its id differs from the stream's id of the same execution, and its time is rounded.

    Returns: None for a symbol without instrument. Raises: DecodeError when it is no trade object.
    """
    instrument = instruments.get(_text(body, "symbol"))
    if instrument is None:
        return None
    fill = _fill(
        instrument,
        venue,
        trade_id=_required(body, "id"),
        client_order_id=_text(body, "clientOrderId"),
        venue_order_id=_required(body, "orderId"),
        side=Side.BUY if _flag(body, "isBuyer") else Side.SELL,
        price=_text(body, "price"),
        qty=_text(body, "qty"),
        quote_qty=_text(body, "quoteQty"),
        fee=_text(body, "commission"),
        fee_asset=_text(body, "commissionAsset"),
        is_maker=_flag(body, "isMaker"),
        exch_ts_ns=ns_from_ms(_time_ms(body, "time")),
        recv_ts_ns=recv_ts_ns,
    )
    return VenueTrade(fill, "rest")


def balances_from_rest(body: Any, as_of_ns: int, recv_ts_ns: int) -> tuple[VenueBalance, ...]:
    """Read the balances of an account answer, one per asset; it names no time, so `as_of_ns` (venue time) is given.

    Raises: DecodeError when it is no account object.
    """
    items = body.get("balances") if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise DecodeError("expected an account with balances")
    return tuple(
        VenueBalance(
            asset=_required(item, "asset"),
            free=_amount(_text(item, "free"), "free"),
            locked=_amount(_text(item, "locked"), "locked"),
            exch_ts_ns=as_of_ns,
            recv_ts_ns=recv_ts_ns,
        )
        for item in items
    )


def fee_rates_from_rest(body: Any) -> tuple[Decimal, Decimal]:
    """Read a tradeFee answer: (maker, taker) as fractions; JSON numbers are read by their shortest text, not as floats.

    Raises: DecodeError when it is no fee answer or a rate is outside of -1..1.
    """
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        raise DecodeError("expected a fee answer with data")
    maker, taker = (_rate(data, name) for name in ("makerCommission", "takerCommission"))
    return maker, taker


def bid_from_rest(body: Any) -> Decimal | None:
    """Read the best bid of a bookTicker answer; None when nobody bids. Raises: DecodeError when it is none."""
    if not isinstance(body, dict) or "bidPrice" not in body:
        raise DecodeError("expected a bookTicker answer")
    return _amount(_text(body, "bidPrice"), "bidPrice") or None


# --- pushes ---------------------------------------------------------------------------------------------------------


def _pushed_order(body: pb.PrivateOrdersV3Api, instrument: Instrument, sent_ns: int, recv_ts_ns: int) -> VenueOrder:
    status = _PUSH_STATUS.get(body.status)
    side = _SIDE.get(body.tradeType)
    if status is None or side is None or not body.id:
        raise DecodeError(f"expected id, status 1..5 and side 1..2, was {body.id!r}, {body.status}, {body.tradeType}")
    filled = _amount(body.cumulativeQuantity, "cumulativeQuantity")
    filled_quote = _amount(body.cumulativeAmount, "cumulativeAmount")
    if filled and not filled_quote:
        filled_quote = filled * _amount(body.avgPrice, "avgPrice")
    kind, note = _order_type(_PUSH_TYPE.get(body.orderType), str(body.orderType))
    return VenueOrder(
        symbol=instrument.symbol,
        client_order_id=body.clientId,
        venue_order_id=body.id,
        status=_with_fills(status, filled > 0),
        side=side,
        type=kind,
        # For MARKET this is the protection price; what was paid is in filled_quote.
        price_ticks=_asked_ticks(instrument, body.price),
        qty_lots=_asked_lots(instrument, body.quantity),
        filled_lots=_lots(instrument, body.cumulativeQuantity or "0"),
        filled_quote=filled_quote,
        exch_ts_ns=sent_ns,
        recv_ts_ns=recv_ts_ns,
        reason=note,
    )


def _pushed_trade(
    body: pb.PrivateDealsV3Api, instrument: Instrument, venue: str, sent_ns: int, recv_ts_ns: int
) -> VenueTrade:
    side = _SIDE.get(body.tradeType)
    if side is None or not body.tradeId or not body.orderId:
        raise DecodeError(f"expected trade id, order id and side 1..2, was {body.tradeId!r}, {body.orderId!r}")
    fill = _fill(
        instrument,
        venue,
        trade_id=body.tradeId,
        client_order_id=body.clientOrderId,
        venue_order_id=body.orderId,
        side=side,
        price=body.price,
        qty=body.quantity,
        quote_qty=body.amount,
        fee=body.feeAmount,
        fee_asset=body.feeCurrency,
        is_maker=body.isMaker,
        exch_ts_ns=ns_from_ms(body.time) or sent_ns,
        recv_ts_ns=recv_ts_ns,
    )
    return VenueTrade(fill, "stream")


def _pushed_balance(body: pb.PrivateAccountV3Api, recv_ts_ns: int) -> VenueBalance:
    if not body.vcoinName:
        raise DecodeError("expected a balance with an asset")
    return VenueBalance(
        asset=body.vcoinName,
        free=_amount(body.balanceAmount, "balanceAmount"),
        locked=_amount(body.frozenAmount, "frozenAmount"),
        exch_ts_ns=ns_from_ms(body.time),
        recv_ts_ns=recv_ts_ns,
        # ENTRUST, ENTRUST_PLACE, ENTRUST_CANCEL, ENTRUST_UNFROZEN, TRADE_FEE: an order did it (mexc-protocol §2).
        cause="" if body.type.startswith(_ORDER_MOVES) else body.type[:40],
    )


# --- pieces ---------------------------------------------------------------------------------------------------------


def _fill(
    instrument: Instrument,
    venue: str,
    *,
    trade_id: str,
    client_order_id: str,
    venue_order_id: str,
    side: Side,
    price: str,
    qty: str,
    quote_qty: str,
    fee: str,
    fee_asset: str,
    is_maker: bool,
    exch_ts_ns: int,
    recv_ts_ns: int,
) -> Fill:
    try:
        price_ticks = instrument.price_ticks(price)
    except ValueError as error:
        raise DecodeError(f"trade {trade_id}: {error}")
    qty_lots = _lots(instrument, qty)
    if price_ticks <= 0 or qty_lots <= 0:
        raise DecodeError(f"trade {trade_id}: expected a positive price and quantity, was {price!r} and {qty!r}")
    return Fill(
        venue=venue,
        trade_id=trade_id,
        client_order_id=client_order_id,
        venue_order_id=venue_order_id,
        symbol=instrument.symbol,
        side=side,
        price_ticks=price_ticks,
        qty_lots=qty_lots,
        # What moved at the venue is its own figure; price x quantity stands in where it gives none.
        quote_qty=_amount(quote_qty, "quote quantity") or instrument.notional(price_ticks, qty_lots),
        fee=_amount(fee, "fee", is_signed=True),
        fee_asset=fee_asset or instrument.quote,
        is_maker=is_maker,
        exch_ts_ns=exch_ts_ns,
        recv_ts_ns=recv_ts_ns,
    )


def _with_fills(status: OrderStatus, has_fills: bool) -> OrderStatus:
    """A cancelled order that traded is PARTIALLY_CANCELLED, whichever of the two the venue says."""
    if status in (OrderStatus.CANCELLED, OrderStatus.PARTIALLY_CANCELLED):
        return OrderStatus.PARTIALLY_CANCELLED if has_fills else OrderStatus.CANCELLED
    return status


def _order_type(known: OrderType | None, wire: str) -> tuple[OrderType, str]:
    """Stop and OCO orders (100, 101, 102) are never ours; they are shown as limit orders with a note, not hidden."""
    return (known, "") if known is not None else (OrderType.LIMIT, f"venue type {wire}")


def _side(text: str) -> Side:
    try:
        return Side(text)
    except ValueError:
        raise DecodeError(f"expected BUY or SELL, was {text!r}")


def _lots(instrument: Instrument, text: str) -> int:
    """What has traded must be whole lots: anything else means that our instrument is out of date."""
    try:
        return instrument.qty_lots(text)
    except ValueError as error:
        raise DecodeError(f"{instrument.symbol}: {error}")


def _asked_lots(instrument: Instrument, text: str) -> int:
    """A quantity as asked for. A market buy by value has none, or one off the grid: whole lots, rounded down."""
    return instrument.qty_lots_floor(_amount(text, "quantity"))


def _asked_ticks(instrument: Instrument, text: str) -> int:
    """A price as asked for. A market order's protection price may be off the grid: rounded down."""
    return instrument.price_ticks_floor(_amount(text, "price"))


def _amount(text: str, name: str, is_signed: bool = False) -> Decimal:
    """Read a decimal string; an absent one (null, or proto3's empty default) is 0."""
    if not text:
        return ZERO
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise DecodeError(f"{name}: expected a decimal number, was {text!r}")
    # 1e40 and the like are no amounts of any asset, and would cost time and memory in integer form.
    if not value.is_finite() or value.adjusted() > 30 or (value < 0 and not is_signed):
        raise DecodeError(f"{name}: expected an amount, was {text!r}")
    return value


def _rate(data: dict[str, Any], name: str) -> Decimal:
    rate = _amount(_text(data, name), name, is_signed=True)
    if name not in data or not -1 < rate < 1:
        raise DecodeError(f"{name}: expected a fraction, was {data.get(name)!r}")
    return rate


def _text(body: Any, name: str) -> str:
    if not isinstance(body, dict):
        raise DecodeError(f"expected an object with {name}")
    value = body.get(name)
    return "" if value is None else str(value)


def _required(body: Any, name: str) -> str:
    if not (text := _text(body, name)):
        raise DecodeError(f"expected {name}, was nothing")
    return text


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool):
        raise DecodeError(f"{name}: expected true or false, was {value!r}")
    return value


def _time_ms(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
