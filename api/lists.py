"""Lists: their filters, their pages, and the same as CSV. May import fastapi, pydantic and the API."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, get_args

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel

from api.context import Context, Here
from api.ports import ListQuery, RowPage
from trading.model.errors import ConfigError

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
NS_MAX = 2**63 - 1
NEXT_CURSOR = "X-Next-Cursor"
CSV_TYPE = "text/csv; charset=utf-8"

Fetch = Callable[[Context, ListQuery], Awaitable[RowPage]]


Session = Annotated[str | None, Query(min_length=1, max_length=100)]
Status = Annotated[str | None, Query(min_length=1, max_length=200)]
SinceNs = Annotated[int | None, Query(ge=0, le=NS_MAX, description="Only what is as new as this, ns UTC.")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str | None, Query(min_length=1, max_length=500, description="`next_cursor` of an earlier page.")]


def list_query(
    symbol: Annotated[str | None, Query(min_length=1, max_length=64)] = None,
    status: Status = None,
    session: Session = None,
    since_ns: SinceNs = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> ListQuery:
    """Read the filters that every list takes; a list ignores those that mean nothing to it."""
    return _checked(ListQuery(symbol, status, session, since_ns, limit, cursor))


def symbol_query(
    symbol: Annotated[str, Path(min_length=1, max_length=64)],
    status: Status = None,
    session: Session = None,
    since_ns: SinceNs = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> ListQuery:
    """Read the filters of a list below one symbol."""
    return _checked(ListQuery(symbol, status, session, since_ns, limit, cursor))


def _checked(query: ListQuery) -> ListQuery:
    """Refuse what Postgres cannot hold in a text. Raises: ConfigError."""
    for name in ("symbol", "status", "session", "cursor"):
        if "\0" in (getattr(query, name) or ""):
            raise ConfigError(f"{name}: a NUL character is no part of a name")
    return query


Filters = Annotated[ListQuery, Depends(list_query)]


def add_list(router: APIRouter, path: str, page_model: type[BaseModel], fetch: Fetch, what: str) -> None:
    """Serve a list at `path` as JSON and at `path`.csv as CSV. page_model: a `Page` of the items."""
    (item,) = get_args(page_model.model_fields["items"].annotation)

    async def as_json(context: Here, query: Filters) -> dict[str, Any]:
        page = await fetch(context, query)
        return {"items": page.items, "next_cursor": page.next_cursor}

    async def as_csv(context: Here, query: Filters) -> Response:
        page = await fetch(context, query)
        return csv_response(item, page)

    name = path.strip("/").replace("/", "_").replace("{", "").replace("}", "")
    router.add_api_route(
        path,
        as_json,
        response_model=page_model,
        summary=f"List {what}",
        name=name,
        operation_id=f"list_{name}",
    )
    router.add_api_route(
        f"{path}.csv",
        as_csv,
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The page as CSV."}},
        summary=f"List {what} as CSV; {NEXT_CURSOR} gets the next page",
        name=f"{name}_csv",
        operation_id=f"list_{name}_csv",
    )


def csv_response(item: type[BaseModel], page: RowPage) -> Response:
    """Render a page as CSV, a column for each of the item's fields."""
    columns = list(item.model_fields)
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in page.items:
        writer.writerow([_cell(row.get(name)) for name in columns])
    headers = {NEXT_CURSOR: page.next_cursor} if page.next_cursor else {}
    return Response(file.getvalue(), headers=headers, media_type=CSV_TYPE)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict() | list() | tuple():
            return orjson.dumps(value).decode()
        case str() if value[:1] in ("=", "+", "@", "\t") or (value[:1] == "-" and not _is_number(value)):
            return "'" + value  # A spreadsheet would take it for a formula.
        case _:
            return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
