"""The market: candles of a symbol, and the scanner. May import fastapi and the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response

from api.context import Context, Here
from api.items import candle_item
from api.lists import Filters, csv_response, symbol_query
from api.ports import ListQuery, RowPage
from api.schemas import CandleItem, Page, ScanPage, ScanRow
from trading.adapters.scanner import Scan, scan_rows
from trading.adapters.store.pages import one_of, page_in_memory
from trading.model.errors import ConfigError

TOP_DEFAULT = 10
TOP_MAX = 50
SCAN_STATUSES = ("fit", "unfit")
router = APIRouter(prefix="/v1", tags=["market"])

Interval = Annotated[
    Literal["1m", "5m", "15m", "30m", "60m", "4h", "1d", "1W", "1M"], Query(description="The venue's own names.")
]
Top = Annotated[int, Query(ge=1, le=TOP_MAX, description="How many symbols to look at twice.")]
CandleQuery = Annotated[ListQuery, Depends(symbol_query)]


@router.get("/symbols/{symbol}/candles", response_model=Page[CandleItem], summary="A symbol's candles, oldest first")
async def read_candles(context: Here, query: CandleQuery, interval: Interval = "1m") -> dict[str, Any]:
    """The newest `limit`; with `since_ns` those from then on, and `next_cursor` goes on."""
    page = await _candles(context, query, interval)
    return {"items": page.items, "next_cursor": page.next_cursor}


@router.get("/symbols/{symbol}/candles.csv", response_class=Response, summary="The same as CSV")
async def read_candles_csv(context: Here, query: CandleQuery, interval: Interval = "1m") -> Response:
    """A column for each field."""
    return csv_response(CandleItem, await _candles(context, query, interval))


@router.get("/scanner", response_model=ScanPage, summary="Which symbols are worth trading, by net expected edge")
async def read_scanner(context: Here, query: Filters, top: Top = TOP_DEFAULT) -> dict[str, Any]:
    """Scans the venue at most once a minute; answers within some seconds, with `is_complete` false if it goes on.

    `status` is fit or unfit; `since_ns` asks for a scan that is no older.
    """
    scan = await context.market.scan(top)
    page = _scan_page(context, scan, query, top)
    return {
        "items": page.items,
        "next_cursor": page.next_cursor,
        "scanned_ns": scan.at_ns,
        "is_complete": scan.is_complete,
        "listed": scan.listed,
        "excluded": dict(scan.excluded),
    }


@router.get("/scanner.csv", response_class=Response, summary="The same as CSV")
async def read_scanner_csv(context: Here, query: Filters, top: Top = TOP_DEFAULT) -> Response:
    """A column for each field."""
    return csv_response(ScanRow, _scan_page(context, await context.market.scan(top), query, top))


async def _candles(context: Context, query: ListQuery, interval: str) -> RowPage:
    assert query.symbol is not None, "the path names it"
    await context.view.require(query.symbol)
    since_ns = query.since_ns
    if query.cursor is not None:
        if not (query.cursor.isascii() and query.cursor.isdecimal()) or len(query.cursor) > 19:
            raise ConfigError("cursor: expected the next_cursor of an earlier page")
        since_ns = int(query.cursor)
    found = await context.market.candles(query.symbol, interval, query.limit, since_ns)
    now_ns = context.deps.now_ns()
    items = tuple(candle_item(candle, now_ns) for candle in found[: query.limit])
    # A full page may have a next one, when it was read forwards.
    has_more = since_ns is not None and len(items) == query.limit
    return RowPage(items, str(found[len(items) - 1].open_ns + 1) if has_more else None)


def _scan_page(context: Context, scan: Scan, query: ListQuery, top: int) -> RowPage:
    is_fit = one_of(query, SCAN_STATUSES).status == "fit"
    is_asked = query.session in (None, context.deps.identity.session) and scan.at_ns >= (query.since_ns or 0)
    chosen = [
        row
        for row in scan_rows(scan)
        if is_asked and query.symbol in (None, row["symbol"]) and (query.status is None or row["is_fit"] is is_fit)
    ]
    rows = [{**row, "order": f"{row['rank']:06}"} for row in (chosen if query.symbol else chosen[:top])]
    return page_in_memory(rows, "order", query)
