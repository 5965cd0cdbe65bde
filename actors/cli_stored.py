"""What an instance left in its database, read without it: the lists, and the story of an order.

May import typer, the CLI's own files and, when a verb runs, the store. The bodies are the API's; what only a running
fleet knows is null: no bid marks what is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from actors.cli_api import data_dir_of, find_api
from actors.cli_database import open_database
from actors.cli_output import sentence
from actors.data_dir import DataDir
from trading.model.errors import ConfigError, NotRunning

if TYPE_CHECKING:
    from actors.cli_api import Address
    from trading.adapters.store.pages import RowPage
    from trading.adapters.store.reads import Reads

Stored = Annotated[bool, typer.Option("--stored", help="Read what a stopped instance left in its database.")]
T = TypeVar("T")


def find_api_or_say(data_dir: Path | None, api: str | None, token_file: Path | None) -> Address:
    """Find the API as `find_api` does; where nothing runs and a database is left, the error names --stored."""
    try:
        return find_api(data_dir, api, token_file)
    except NotRunning as error:
        if not is_left(data_dir):
            raise
        raise NotRunning(f"{sentence(error)}; --stored reads what it left")


def is_left(data_dir: Path | None) -> bool:
    """Tell whether an instance has kept books there, in a database that can be found."""
    from trading.adapters.settings import load_settings

    folder = DataDir(data_dir_of(data_dir))
    if not folder.remembered("account"):
        return False
    is_named = load_settings({"data_dir": folder.path}).database_url is not None
    return is_named or (folder.postgres / "cluster").exists()


def stored_list(data_dir: Path | None, name: str, query: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of "orders", "fills", "positions", "pnl" or "sessions", filtered as the API's.

    Raises: ConfigError, NotRunning without a database, StoreError.
    """

    async def look(reads: Reads) -> dict[str, Any]:
        page = await _page(reads, name, {key: value for key, value in query.items() if value is not None})
        return {"items": list(page.items), "next_cursor": page.next_cursor}

    return _read(data_dir, look)


def stored_explanation(data_dir: Path | None, client_order_id: str) -> dict[str, Any]:
    """Return what `GET /v1/orders/{client_order_id}/explain` would. Raises: as `stored_list`."""
    from trading.adapters.store.explanations import explained

    async def look(reads: Reads) -> dict[str, Any]:
        found = await reads.explain(client_order_id)
        if found is None:
            raise ConfigError(f"there is no order {client_order_id}")
        return explained(found)

    return _read(data_dir, look)


async def _page(reads: Reads, name: str, query: dict[str, Any]) -> RowPage:
    from trading.adapters.store.pages import ListQuery, one_of, page_in_memory
    from trading.model.orders import OrderStatus

    by = query.pop("by", "symbol")
    if by not in ("session", "symbol", "day"):
        raise ConfigError(f"--by: expected session, symbol or day, was {by!r}")
    asked = one_of(ListQuery(**query), tuple(OrderStatus))
    lists = {"orders": reads.orders, "fills": reads.fills, "sessions": reads.sessions}
    if name in lists:
        return await lists[name](asked)
    held = {row["symbol"]: {**row, **_unmarked(row)} for row in await reads.positions()}
    if name == "positions":
        return page_in_memory([row for row in held.values() if asked.symbol in (None, row["symbol"])], "symbol", asked)
    rows = await reads.pnl(by)
    if by == "symbol":
        rows = tuple({**row, "unrealized": held[row["key"]]["unrealized_pnl"]} for row in rows)
    return page_in_memory(rows, "key", asked, is_descending=by != "symbol")


def _unmarked(position: Mapping[str, Any]) -> dict[str, str | None]:
    return {"mark_price": None, "unrealized_pnl": None if Decimal(position["qty"]) else "0"}


def _read(data_dir: Path | None, look: Callable[[Reads], Awaitable[T]]) -> T:
    from trading.adapters.store.migrations import check_schema
    from trading.adapters.store.reads import Reads

    folder = DataDir(data_dir_of(data_dir))
    if not is_left(data_dir):
        raise NotRunning(
            f"{folder.path} holds no books: name the --data-dir of an instance, and where its database is not the "
            "embedded one, that too (MEXCBOT_DATABASE_URL)"
        )
    account = folder.remembered("account")

    async def run(url: str) -> T:
        reads = Reads.open(url, account)
        try:
            return await look(reads)
        finally:
            await reads.close()

    with open_database(data_dir, None, is_made=False) as url:
        check_schema(url)
        return asyncio.run(run(url))
