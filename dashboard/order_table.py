"""Orders and fills as tables, for every view that shows some. May import `api.schemas` and the dashboard. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from api.schemas import FillItem, OrderItem
from dashboard.figures import NOTHING, amount, clock_time, latency_ms, plain_number, signed, tone
from dashboard.markup import Column, Html, pill, table, tag, toned

ORDER_COLUMNS = (
    Column("Created UTC"),
    Column("Symbol"),
    Column("Side"),
    Column("Type"),
    Column("Why", hint="entry or exit"),
    Column("Price", True),
    Column("Quantity", True),
    Column("Filled", True),
    Column("Average", True),
    Column("Status"),
    Column("Commit ms", True, hint="created to committed"),
    Column("Ack ms", True, hint="sent to acknowledged"),
    Column("Order id"),
    Column("Reason", is_wide=True),
)
FILL_COLUMNS = (
    Column("Booked UTC"),
    Column("Symbol"),
    Column("Side"),
    Column("Price", True),
    Column("Quantity", True),
    Column("Value", True),
    Column("Fee", True),
    Column("Role"),
    Column("Realised", True, hint="gross, in the quote asset"),
    Column("Order id"),
    Column("Trade id"),
)


def order_table(orders: Sequence[OrderItem], name: str, empty: str = "No orders.") -> Html:
    """Render orders."""
    return table(ORDER_COLUMNS, (_order_row(item) for item in orders), empty, name)


def fill_table(fills: Sequence[FillItem], name: str, empty: str = "No fills.") -> Html:
    """Render fills."""
    return table(FILL_COLUMNS, (_fill_row(item) for item in fills), empty, name)


def _order_row(item: OrderItem) -> tuple[object, ...]:
    return (
        clock_time(item.created_ns),
        tag("b", item.symbol),
        toned(item.side, item.side.lower()),
        item.type,
        item.purpose.lower() or NOTHING,
        plain_number(item.price),
        plain_number(item.qty),
        plain_number(item.filled_qty) if item.filled_qty != "0" else NOTHING,
        plain_number(item.avg_price),
        pill(item.status),
        latency_ms(item.created_ns, item.committed_ns),
        latency_ms(item.sent_ns, item.acked_ns),
        tag("code", item.client_order_id),
        item.reason,
    )


def _fill_row(item: FillItem) -> tuple[object, ...]:
    return (
        clock_time(item.recv_ts_ns),
        tag("b", item.symbol),
        toned(item.side, item.side.lower()),
        plain_number(item.price),
        plain_number(item.qty),
        amount(item.quote_qty),
        f"{amount(item.fee, 4)} {item.fee_asset}" if item.fee != "0" else "0",
        "maker" if item.is_maker else "taker",
        toned(signed(item.realized_pnl, 4), tone(item.realized_pnl)) if item.side == "SELL" else NOTHING,
        tag("code", item.client_order_id),
        tag("code", item.trade_id),
    )
