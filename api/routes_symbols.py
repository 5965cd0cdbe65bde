"""Symbols: the fleet as it is, and the commands that change it. May import fastapi and the API."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from actors.fleet import FleetCommand, OperationStatus
from actors.workflow import CommandKind
from api.context import Context, Here
from api.items import operation_body
from api.lists import add_list, csv_response, symbol_query
from api.ports import ListQuery, Row, RowPage
from api.problems import ProblemError
from api.schemas import Book, OperationBody, Page, RunEventItem, SetRequest, SpawnRequest, SymbolItem
from trading.adapters.store.pages import one_of, page_in_memory
from trading.model.errors import TradingError
from trading.model.session import RunState

BY = "api:control"
DEPTH_DEFAULT = 50
DEPTH_MAX = 1_000
router = APIRouter(prefix="/v1", tags=["symbols"])

Symbol = Annotated[str, Path(min_length=1, max_length=64)]
IfMatch = Annotated[str | None, Header(description='The epoch the caller saw, as "7"; a stale one is refused (412).')]
Flatten = Annotated[bool, Query(description="Also sell what is held, with bounded prices.")]


async def _list_symbols(context: Context, query: ListQuery) -> RowPage:
    one_of(query, tuple(RunState))
    rows = await context.view.symbols()
    chosen = [
        row
        for row in rows
        if query.symbol in (None, row["symbol"])
        and query.status in (None, row["state"])
        and query.session in (None, context.deps.identity.session)
        and row["since_ns"] >= (query.since_ns or 0)
    ]
    return page_in_memory(chosen, "symbol", query)


add_list(router, "/symbols", Page[SymbolItem], _list_symbols, "the symbols of this session, by name")


@router.post("/symbols", status_code=202, response_model=OperationBody, summary="Start symbols")
async def spawn(context: Here, body: SpawnRequest, response: Response) -> Row:
    """All of them or none; an unknown or repeated symbol refuses the whole command."""
    command = FleetCommand(
        CommandKind.SPAWN, tuple(body.symbols), strategy=body.strategy, params=tuple(body.params.items()), by=BY
    )
    return await _request(context, command, response)


@router.get("/symbols/{symbol}", response_model=SymbolItem, summary="One symbol")
async def read_symbol(context: Here, symbol: Symbol, response: Response) -> Row:
    """Its ETag is its epoch: send it back as If-Match."""
    item = await context.view.symbol(symbol)
    response.headers["ETag"] = f'"{item["epoch"]}"'
    return item


@router.patch(
    "/symbols/{symbol}", status_code=202, response_model=OperationBody, summary="Change a symbol's parameters"
)
async def set_params(
    context: Here, symbol: Symbol, body: SetRequest, response: Response, if_match: IfMatch = None
) -> Row:
    """Validated whole, applied whole."""
    command = FleetCommand(CommandKind.SET, (symbol,), params=tuple(body.params.items()), by=BY)
    return await _request(context, command, response, if_match)


@router.delete("/symbols/{symbol}", status_code=202, response_model=OperationBody, summary="Stop a symbol")
async def kill(
    context: Here, symbol: Symbol, response: Response, flatten: Flatten = False, if_match: IfMatch = None
) -> Row:
    """Drain: cancel what is open, verify at the venue, end the actor."""
    command = FleetCommand(CommandKind.KILL, (symbol,), is_flatten=flatten, by=BY, timeout_s=90.0)
    return await _request(context, command, response, if_match)


@router.post(
    "/symbols/{symbol}/pause", status_code=202, response_model=OperationBody, summary="No entries; exits go on"
)
async def pause(context: Here, symbol: Symbol, response: Response, if_match: IfMatch = None) -> Row:
    """Quotes are cancelled."""
    return await _request(context, FleetCommand(CommandKind.PAUSE, (symbol,), by=BY), response, if_match)


@router.post("/symbols/{symbol}/resume", status_code=202, response_model=OperationBody, summary="Trade again")
async def resume(context: Here, symbol: Symbol, response: Response, if_match: IfMatch = None) -> Row:
    """After a pause, a flatten, or a strategy's fault."""
    return await _request(context, FleetCommand(CommandKind.RESUME, (symbol,), by=BY), response, if_match)


@router.post("/symbols/{symbol}/flatten", status_code=202, response_model=OperationBody, summary="Sell and pause")
async def flatten_symbol(context: Here, symbol: Symbol, response: Response, if_match: IfMatch = None) -> Row:
    """Cancels what is open, exits the position with bounded prices, and stays paused."""
    command = FleetCommand(CommandKind.FLATTEN, (symbol,), is_flatten=True, by=BY, timeout_s=90.0)
    return await _request(context, command, response, if_match)


@router.get("/symbols/{symbol}/book", response_model=Book, summary="A symbol's order book")
async def read_book(
    context: Here, symbol: Symbol, depth: Annotated[int, Query(ge=1, le=DEPTH_MAX)] = DEPTH_DEFAULT
) -> dict[str, Any]:
    """Best first, as the symbol's actor holds it now."""
    return await context.view.book(symbol, depth)


@router.get("/symbols/{symbol}/events", response_model=Page[RunEventItem], summary="A symbol's steps and states")
async def list_events(context: Here, query: Annotated[ListQuery, Depends(symbol_query)]) -> dict[str, Any]:
    """Newest first, over all of its runs."""
    page = await _events(context, query)
    return {"items": page.items, "next_cursor": page.next_cursor}


@router.get("/symbols/{symbol}/events.csv", response_class=Response, summary="The same as CSV")
async def list_events_csv(context: Here, query: Annotated[ListQuery, Depends(symbol_query)]) -> Response:
    """A column for each field."""
    return csv_response(RunEventItem, await _events(context, query))


async def _events(context: Context, query: ListQuery) -> RowPage:
    page = await context.deps.reads.run_events(one_of(query, tuple(RunState)))
    if not page.items and query.symbol is not None and query.cursor is None:
        await context.view.require(query.symbol)
    return page


@router.get("/operations/{operation_id}", response_model=OperationBody, summary="How far a command has got")
async def read_operation(context: Here, operation_id: Annotated[str, Path(max_length=100)]) -> Row:
    """Poll until `status` is succeeded or failed: what is read after such an answer shows what was done."""
    body = context.halts.operation(operation_id)
    if body is None:
        operation = await context.deps.supervisor.operation(operation_id)
        if operation is None:
            raise ProblemError(404, "unknown_operation", f"there is no operation {operation_id} in this session")
        body = operation_body(operation)
    if OperationStatus(body["status"]).is_over:
        context.view.forget_fleet()
    return body


async def _request(context: Context, command: FleetCommand, response: Response, if_match: str | None = None) -> Row:
    """Hand a command to the supervisor; answer with its operation."""
    command = replace(command, expected_epoch=read_epoch(if_match))
    try:
        operation_id = await context.deps.supervisor.request(command)
    finally:
        # Taken or refused (a stale epoch): whoever reads next must see what the supervisor knows now.
        context.view.forget_fleet()
    response.headers["Location"] = f"/v1/operations/{operation_id}"
    try:
        operation = await context.deps.supervisor.operation(operation_id)
    except TradingError:
        operation = None  # Taken and committed all the same: it is polled.
    if operation is not None:
        return operation_body(operation)
    return {"operation_id": operation_id, "status": "pending", "error": None, "kind": command.kind.value}


def read_epoch(if_match: str | None) -> int | None:
    """Read an If-Match header: "7" (quotes may be missing), or * for any. Raises: ProblemError 400."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = re.fullmatch(r'"?(\d{1,18})"?', if_match.strip(), re.ASCII)
    if found is None:
        raise ProblemError(400, "bad_request", 'If-Match: expected the epoch that GET gave as ETag, e.g. "7"')
    return int(found[1])
