"""Push frames: protobuf messages as the venue sends them, and their WebSocket framing. Pure.

Field order, absent fields and trimmed numbers follow what others measured on the live wire.
"""

import hashlib
from functools import lru_cache

from simulator.exchange.amounts import amount_text, trimmed
from simulator.exchange.listings import Listing
from simulator.exchange.orders import BalanceChanged, OrderState, OrderUpdated, TradeDone
from simulator.wire.topics import Channel, Topic
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.model.market import Side
from trading.model.orders import OrderType

ORDER_TYPES = {
    OrderType.LIMIT: 1,
    OrderType.LIMIT_MAKER: 2,
    OrderType.IOC: 3,
    OrderType.FOK: 4,
    OrderType.MARKET: 5,
}
ORDER_STATES = {
    OrderState.NEW: 1,
    OrderState.FILLED: 2,
    OrderState.PARTIALLY_FILLED: 3,
    OrderState.CANCELED: 4,
    OrderState.PARTIALLY_CANCELED: 5,
}
_AVERAGE_DECIMALS = 8
_TEXT, _BINARY = 0x81, 0x82


def _framed(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return bytes((opcode, 126)) + size.to_bytes(2) + payload
    return bytes((opcode, 127)) + size.to_bytes(8) + payload


def text_frame(text: str) -> bytes:
    """Return an unmasked WebSocket text message."""
    return _framed(_TEXT, text.encode())


def binary_frame(payload: bytes) -> bytes:
    """Return an unmasked WebSocket binary message, the same for all its receivers."""
    return _framed(_BINARY, payload)


@lru_cache(maxsize=4_096)
def opaque_id(name: str) -> str:
    """Return a stable 32-hex id of a name, as the venue gives symbols and coins."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def wrapper(topic: Topic, now_ms: int) -> pb.PushDataV3ApiWrapper:
    """Return a push of a topic without a body: channel, symbol, sendTime."""
    if topic.symbol is None:
        return pb.PushDataV3ApiWrapper(channel=topic.text, sendTime=now_ms)
    return pb.PushDataV3ApiWrapper(channel=topic.text, symbol=topic.symbol, sendTime=now_ms)


def _side_code(side: Side) -> int:
    return 1 if side is Side.BUY else 2


def order_push(event: OrderUpdated, now_ms: int) -> bytes:
    """Return the push of an order's new state."""
    order = event.order
    listing: Listing = order.pair.listing
    is_market = order.type is OrderType.MARKET
    remaining = listing.value(order.price_ticks * event.left_lots)
    average = event.filled_ticks_lots * 10**_AVERAGE_DECIMALS // event.filled_lots if event.filled_lots else 0
    is_done = not event.state.is_open
    body = pb.PrivateOrdersV3Api(
        id=order.order_id,
        clientId=order.client_id,
        price=listing.price_trimmed(order.price_ticks),
        quantity=listing.qty_trimmed(order.orig_lots or event.filled_lots),
        amount="0" if is_market else amount_text(listing.value(order.price_ticks * order.orig_lots)),
        avgPrice=trimmed(average, listing.price_decimals + _AVERAGE_DECIMALS),
        orderType=ORDER_TYPES[order.type],
        tradeType=_side_code(order.side),
        isMaker=event.is_maker,
        remainAmount="0" if is_market and is_done else amount_text(remaining),
        remainQuantity="0" if is_market and is_done else listing.qty_trimmed(event.left_lots),
        cumulativeQuantity=listing.qty_trimmed(event.filled_lots),
        cumulativeAmount=amount_text(listing.value(event.filled_ticks_lots)),
        status=ORDER_STATES[event.state],
        createTime=order.time_ms,
    )
    if event.last_lots:
        body.lastDealQuantity = listing.qty_trimmed(event.last_lots)
    return pb.PushDataV3ApiWrapper(
        channel=Channel.PRIVATE_ORDERS.value, symbol=listing.symbol, sendTime=now_ms, privateOrders=body
    ).SerializeToString()


def deal_push(event: TradeDone, now_ms: int) -> bytes:
    """Return the push of one fill."""
    trade = event.trade
    order = trade.order
    listing: Listing = order.pair.listing
    body = pb.PrivateDealsV3Api(
        price=listing.price_trimmed(trade.price_ticks),
        quantity=listing.qty_trimmed(trade.lots),
        amount=amount_text(listing.value(trade.price_ticks * trade.lots)),
        tradeType=_side_code(order.side),
        isMaker=trade.is_maker,
        isSelfTrade=trade.is_self_trade,
        tradeId=trade.stream_id,
        clientOrderId=order.client_id,
        orderId=order.order_id,
        feeAmount=amount_text(trade.fee),
        feeCurrency=trade.fee_asset,
        time=trade.time_ms,
    )
    return pb.PushDataV3ApiWrapper(
        channel=Channel.PRIVATE_DEALS.value, symbol=listing.symbol, sendTime=now_ms, privateDeals=body
    ).SerializeToString()


def account_push(event: BalanceChanged, now_ms: int) -> bytes:
    """Return the push of one balance's change; it has no symbol, but a createTime."""
    body = pb.PrivateAccountV3Api(
        vcoinName=event.asset,
        coinId=opaque_id(event.asset),
        balanceAmount=amount_text(event.free),
        balanceAmountChange=amount_text(event.free_change),
        frozenAmount=amount_text(event.locked),
        frozenAmountChange=amount_text(event.locked_change),
        type=event.kind,
        time=event.time_ms,
    )
    return pb.PushDataV3ApiWrapper(
        channel=Channel.PRIVATE_ACCOUNT.value, createTime=event.time_ms, sendTime=now_ms, privateAccount=body
    ).SerializeToString()
