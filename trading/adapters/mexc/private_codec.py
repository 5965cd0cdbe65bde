"""What MEXC says about our account, in our words: private pushes and signed REST bodies. Pure: no socket, no clock.

May import `trading.model`, the push schema and protobuf. Decimal strings become ticks and lots through `Instrument`.
Sources: mexc-protocol §2.3 (pushes) and §3.4 (REST), MEXC spot V3 documentation, read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from trading.adapters.mexc.fields import amount_of, flag_of, kept, name_of, required, text_of, time_ms_of
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill, OrderStatus, OrderType, VenueBalance, VenueOrder, VenueTrade
from trading.model.units import UNITS_MAX, ns_from_ms

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
    symbol = text_of(body, "symbol")
    instrument = instruments.get(symbol)
    if instrument is None:
        return None
    status = _REST_STATUS.get(text_of(body, "status"))
    if status is None:
        raise DecodeError(f"expected an order status, was {text_of(body, 'status')!r}")
    filled = amount_of(text_of(body, "executedQty"), "executedQty")
    filled_lots = _lots(instrument, text_of(body, "executedQty") or "0")
    kind, note = _order_type(_REST_TYPE.get(text_of(body, "type")), text_of(body, "type"))
    return VenueOrder(
        symbol=symbol,
        client_order_id=name_of(text_of(body, "clientOrderId")),
        venue_order_id=name_of(required(body, "orderId")),
        status=_with_fills(status, filled > 0),
        side=_side(text_of(body, "side")),
        type=kind,
        price_ticks=_asked_ticks(instrument, text_of(body, "price")),
        qty_lots=_asked_lots(instrument, text_of(body, "origQty")),
        filled_lots=filled_lots,
        filled_quote=amount_of(text_of(body, "cummulativeQuoteQty"), "cummulativeQuoteQty"),
        exch_ts_ns=ns_from_ms(time_ms_of(body, "updateTime") or time_ms_of(body, "time")),
        recv_ts_ns=recv_ts_ns,
        reason=note,
        created_ts_ns=ns_from_ms(time_ms_of(body, "time")),
    )


def trade_from_rest(body: Any, instruments: Instruments, venue: str, recv_ts_ns: int) -> VenueTrade | None:
    """Read one of my-trades. Its id differs from the stream's id of the same execution, and its time is rounded.

    Returns: None for a symbol without instrument. Raises: DecodeError when it is no trade object.
    """
    instrument = instruments.get(text_of(body, "symbol"))
    if instrument is None:
        return None
    fill = _fill(
        instrument,
        venue,
        trade_id=required(body, "id"),
        client_order_id=text_of(body, "clientOrderId"),
        venue_order_id=required(body, "orderId"),
        side=Side.BUY if flag_of(body, "isBuyer") else Side.SELL,
        price=text_of(body, "price"),
        qty=text_of(body, "qty"),
        quote_qty=text_of(body, "quoteQty"),
        fee=text_of(body, "commission"),
        fee_asset=text_of(body, "commissionAsset"),
        is_maker=flag_of(body, "isMaker"),
        exch_ts_ns=ns_from_ms(time_ms_of(body, "time")),
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
            asset=required(item, "asset"),
            free=amount_of(text_of(item, "free"), "free"),
            locked=amount_of(text_of(item, "locked"), "locked"),
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
    return amount_of(text_of(body, "bidPrice"), "bidPrice") or None


# --- pushes ---------------------------------------------------------------------------------------------------------


def _pushed_order(body: pb.PrivateOrdersV3Api, instrument: Instrument, sent_ns: int, recv_ts_ns: int) -> VenueOrder:
    status = _PUSH_STATUS.get(body.status)
    side = _SIDE.get(body.tradeType)
    if status is None or side is None or not body.id:
        raise DecodeError(f"expected id, status 1..5 and side 1..2, was {body.id!r}, {body.status}, {body.tradeType}")
    filled = amount_of(body.cumulativeQuantity, "cumulativeQuantity")
    filled_quote = amount_of(body.cumulativeAmount, "cumulativeAmount")
    if filled and not filled_quote:
        filled_quote = filled * amount_of(body.avgPrice, "avgPrice")
    kind, note = _order_type(_PUSH_TYPE.get(body.orderType), str(body.orderType))
    return VenueOrder(
        symbol=instrument.symbol,
        client_order_id=name_of(body.clientId),
        venue_order_id=name_of(body.id),
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
        free=amount_of(body.balanceAmount, "balanceAmount"),
        locked=amount_of(body.frozenAmount, "frozenAmount"),
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
    if not 0 < price_ticks <= UNITS_MAX or qty_lots <= 0:
        raise DecodeError(f"trade {trade_id}: expected a positive price and quantity, was {price!r} and {qty!r}")
    if exch_ts_ns > UNITS_MAX:
        raise DecodeError(f"trade {trade_id}: expected a time, was {exch_ts_ns} ns")
    return Fill(
        venue=venue,
        trade_id=name_of(trade_id),
        client_order_id=name_of(client_order_id),
        venue_order_id=name_of(venue_order_id),
        symbol=instrument.symbol,
        side=side,
        price_ticks=price_ticks,
        qty_lots=qty_lots,
        # What moved at the venue is its own figure; price x quantity stands in where it gives none.
        quote_qty=amount_of(quote_qty, "quote quantity") or instrument.notional(price_ticks, qty_lots),
        fee=amount_of(fee, "fee", is_signed=True),
        fee_asset=name_of(fee_asset) or instrument.quote,
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
    return (known, "") if known is not None else (OrderType.LIMIT, f"venue type {name_of(wire)}")


def _side(text: str) -> Side:
    try:
        return Side(text)
    except ValueError:
        raise DecodeError(f"expected BUY or SELL, was {text!r}")


def _lots(instrument: Instrument, text: str) -> int:
    """What has traded must be whole lots: anything else means that our instrument is out of date."""
    try:
        return kept(instrument.qty_lots(text))
    except ValueError as error:
        raise DecodeError(f"{instrument.symbol}: {error}")


def _asked_lots(instrument: Instrument, text: str) -> int:
    """A quantity as asked for. A market buy by value has none, or one off the grid: whole lots, rounded down."""
    return kept(instrument.qty_lots_floor(amount_of(text, "quantity")))


def _asked_ticks(instrument: Instrument, text: str) -> int:
    """A price as asked for. A market order's protection price may be off the grid: rounded down."""
    return kept(instrument.price_ticks_floor(amount_of(text, "price")))


def _rate(data: dict[str, Any], name: str) -> Decimal:
    rate = amount_of(text_of(data, name), name, is_signed=True)
    if name not in data or not -1 < rate < 1:
        raise DecodeError(f"{name}: expected a fraction, was {data.get(name)!r}")
    return rate
