"""The books of the account: orders, fills, positions, P&L, sessions, audit, alerts. May import fastapi and the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from api.context import Context, Here
from api.items import with_unrealized
from api.lists import Filters, add_list, csv_response
from api.ports import ListQuery, PnlBy, Row, RowPage
from api.problems import ProblemError
from api.schemas import (
    AlertItem,
    AuditItem,
    FillItem,
    LedgerItem,
    OrderExplanation,
    OrderItem,
    Page,
    PnlItem,
    PositionItem,
    SessionItem,
)
from trading.adapters.store.explanations import explained
from trading.adapters.store.pages import one_of, page_in_memory
from trading.model.orders import OrderStatus

ALERT_LEVELS = ("info", "warning", "alert")
POSITION_STATUSES = ("open", "flat")
LEDGER_KINDS = ("opening", "trade", "fee", "adjustment")
By = Annotated[PnlBy, Query(description="What is summed up.")]
router = APIRouter(prefix="/v1", tags=["books"])


async def _orders(context: Context, query: ListQuery) -> RowPage:
    return await context.deps.reads.orders(one_of(query, tuple(OrderStatus)))


async def _fills(context: Context, query: ListQuery) -> RowPage:
    return await context.deps.reads.fills(one_of(query, tuple(OrderStatus)))


async def _positions(context: Context, query: ListQuery) -> RowPage:
    is_open = one_of(query, POSITION_STATUSES).status == "open"
    rows = await context.view.positions()
    chosen = [
        row for row in rows if query.symbol in (None, row["symbol"]) and row["updated_ns"] >= (query.since_ns or 0)
    ]
    if query.status is not None:
        chosen = [row for row in chosen if (Decimal(row["qty"]) != 0) is is_open]
    if query.session is not None:  # a position outlives sessions: those that traded it
        traded = {row["key"] for row in await context.deps.reads.pnl("symbol", ListQuery(session=query.session))}
        chosen = [row for row in chosen if row["symbol"] in traded]
    return page_in_memory(chosen, "symbol", query)


async def _sessions(context: Context, query: ListQuery) -> RowPage:
    return await context.deps.reads.sessions(query)


async def _audit(context: Context, query: ListQuery) -> RowPage:
    return await context.deps.reads.audit(query)


async def _alerts(context: Context, query: ListQuery) -> RowPage:
    return await context.deps.reads.alerts(one_of(query, ALERT_LEVELS))


async def _ledger(context: Context, query: ListQuery) -> RowPage:
    return await context.deps.reads.ledger(one_of(query, LEDGER_KINDS))


POSITIONS = "positions, by symbol; status is open or flat, session leaves those that were traded in it"
add_list(router, "/orders", Page[OrderItem], _orders, "orders, newest first")
add_list(router, "/fills", Page[FillItem], _fills, "fills, newest first; status filters by the order's")
add_list(router, "/positions", Page[PositionItem], _positions, POSITIONS)
add_list(router, "/sessions", Page[SessionItem], _sessions, "sessions, newest first")
add_list(router, "/audit", Page[AuditItem], _audit, "who asked for what, newest first")
add_list(router, "/alerts", Page[AlertItem], _alerts, "alerts, newest first; status filters by level")

add_list(router, "/ledger", Page[LedgerItem], _ledger, "movements of assets, newest first; status filters by kind")


@router.get("/orders/{client_order_id}/explain", response_model=OrderExplanation, summary="Why an order exists")
async def explain(context: Here, client_order_id: Annotated[str, Path(min_length=1, max_length=64)]) -> Row:
    """Book, inputs, edge terms, parameters and risk verdicts of its decision; its events, fills and every timestamp."""
    found = None if "\0" in client_order_id else await context.deps.reads.explain(client_order_id)
    if found is None:
        raise ProblemError(404, "unknown_order", f"there is no order {client_order_id}")
    return explained(found)


@router.get("/pnl", response_model=Page[PnlItem], summary="P&L from fills and fees, net")
async def read_pnl(context: Here, query: Filters, by: By = "symbol") -> dict[str, Any]:
    """By session or UTC day (newest first) or symbol: all three add up to the same."""
    page = await _pnl(context, query, by)
    return {"items": page.items, "next_cursor": page.next_cursor}


@router.get("/pnl.csv", response_class=Response, summary="The same as CSV")
async def read_pnl_csv(context: Here, query: Filters, by: By = "symbol") -> Response:
    """A column for each field."""
    return csv_response(PnlItem, await _pnl(context, query, by))


async def _pnl(context: Context, query: ListQuery, by: PnlBy) -> RowPage:
    rows = await context.deps.reads.pnl(by, one_of(query, tuple(OrderStatus)))
    if by == "symbol" and (query.status, query.session, query.since_ns) == (None, None, None):
        rows = with_unrealized(rows, await context.view.positions())
    return page_in_memory([{by: row["key"], **row} for row in rows], "key", query, is_descending=by != "symbol")
