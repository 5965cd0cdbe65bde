"""Order events as JSON and back: what `order_events.body` holds. May import trading.model.

Decimals travel as text, enums by value. A field added to an event later needs a default there: old rows lack it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, assert_never

from trading.model.errors import StoreError
from trading.model.market import Side
from trading.model.orders import (
    Fill,
    OrderAccepted,
    OrderAdopted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderStatus,
    OrderType,
    Purpose,
    Refusal,
)


def encode_event(event: OrderEvent) -> tuple[str, dict[str, Any]]:
    """Return an event's kind and its body as JSON values."""
    body: dict[str, Any] = {"symbol": event.symbol, "client_order_id": event.client_order_id, "at_ns": event.at_ns}
    match event:
        case OrderDenied():
            return "denied", {**body, "reason": event.reason.value, "text": event.text}
        case OrderAccepted():
            return "accepted", {**body, "venue_order_id": event.venue_order_id}
        case OrderAdopted():
            return "adopted", {**body, **_terms(event)}
        case OrderRejected():
            return "rejected", {**body, "code": event.code, "text": event.text}
        case OrderFilled():
            return "filled", {**body, "status": event.status.value, "fill": encode_fill(event.fill)}
        case OrderCancelled():
            wish = {"why": event.why, "asked_ns": event.asked_ns, "sent_ns": event.sent_ns}
            return "cancelled", {**body, "filled_lots": event.filled_lots, "reason": event.reason, **wish}
        case OrderOutcomeUnknown():
            return "outcome_unknown", {**body, "text": event.text}
        case OrderNotSent():
            return "not_sent", {**body, "text": event.text}
        case _:
            assert_never(event)


def decode_event(kind: str, body: dict[str, Any]) -> OrderEvent:
    """Read an event back. Raises: StoreError when the row is of no kind that this version knows, or lacks a field."""
    try:
        return _decode(kind, body)
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"an order event of kind {kind!r} cannot be read: {type(error).__name__} {error}") from error


def _decode(kind: str, body: dict[str, Any]) -> OrderEvent:
    symbol, order_id, at_ns = str(body["symbol"]), str(body["client_order_id"]), int(body["at_ns"])
    match kind:
        case "denied":
            return OrderDenied(symbol, order_id, Refusal(body["reason"]), body["text"], at_ns)
        case "accepted":
            return OrderAccepted(symbol, order_id, body["venue_order_id"], at_ns)
        case "adopted":
            return OrderAdopted(
                symbol=symbol,
                client_order_id=order_id,
                venue_order_id=body["venue_order_id"],
                side=Side(body["side"]),
                type=OrderType(body["type"]),
                price_ticks=int(body["price_ticks"]),
                qty_lots=int(body["qty_lots"]),
                purpose=Purpose(body["purpose"]),
                created_ns=int(body["created_ns"]),
                at_ns=at_ns,
            )
        case "rejected":
            return OrderRejected(symbol, order_id, int(body["code"]), body["text"], at_ns)
        case "filled":
            return OrderFilled(symbol, order_id, _decode_fill(body["fill"]), OrderStatus(body["status"]), at_ns)
        case "cancelled":
            wish = (str(body.get("why", "")), int(body.get("asked_ns", 0)), int(body.get("sent_ns", 0)))
            return OrderCancelled(symbol, order_id, int(body["filled_lots"]), body["reason"], at_ns, *wish)
        case "outcome_unknown":
            return OrderOutcomeUnknown(symbol, order_id, body["text"], at_ns)
        case "not_sent":
            return OrderNotSent(symbol, order_id, body["text"], at_ns)
        case _:
            raise ValueError("unknown kind")


def _terms(event: OrderAdopted) -> dict[str, Any]:
    return {
        "venue_order_id": event.venue_order_id,
        "side": event.side.value,
        "type": event.type.value,
        "price_ticks": event.price_ticks,
        "qty_lots": event.qty_lots,
        "purpose": event.purpose.value,
        "created_ns": event.created_ns,
    }


def encode_fill(fill: Fill) -> dict[str, Any]:
    """Return a fill as JSON values."""
    return {
        "venue": fill.venue,
        "trade_id": fill.trade_id,
        "client_order_id": fill.client_order_id,
        "venue_order_id": fill.venue_order_id,
        "symbol": fill.symbol,
        "side": fill.side.value,
        "price_ticks": fill.price_ticks,
        "qty_lots": fill.qty_lots,
        "quote_qty": str(fill.quote_qty),
        "fee": str(fill.fee),
        "fee_asset": fill.fee_asset,
        "is_maker": fill.is_maker,
        "exch_ts_ns": fill.exch_ts_ns,
        "recv_ts_ns": fill.recv_ts_ns,
        "fee_rate_quote": None if fill.fee_rate_quote is None else str(fill.fee_rate_quote),
        "fee_rate_source": fill.fee_rate_source,
        "source": fill.source,
    }


def _decode_fill(body: dict[str, Any]) -> Fill:
    rate = body["fee_rate_quote"]
    return Fill(
        venue=body["venue"],
        trade_id=body["trade_id"],
        client_order_id=body["client_order_id"],
        venue_order_id=body["venue_order_id"],
        symbol=body["symbol"],
        side=Side(body["side"]),
        price_ticks=int(body["price_ticks"]),
        qty_lots=int(body["qty_lots"]),
        quote_qty=Decimal(body["quote_qty"]),
        fee=Decimal(body["fee"]),
        fee_asset=body["fee_asset"],
        is_maker=bool(body["is_maker"]),
        exch_ts_ns=int(body["exch_ts_ns"]),
        recv_ts_ns=int(body["recv_ts_ns"]),
        fee_rate_quote=None if rate is None else Decimal(rate),
        fee_rate_source=body["fee_rate_source"],
        source=body.get("source", ""),
    )
