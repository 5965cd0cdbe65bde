"""The verbs that list what happened: orders, fills, positions, P&L, sessions.

May import typer, httpx and the CLI's own files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from actors.cli_api import ApiClient
from actors.cli_fleet import Api, DataDir, Json, TokenFile
from actors.cli_output import OK, answer_json, say, without_none
from actors.cli_stored import Stored, find_api_or_say, stored_list
from trading.model.errors import ConfigError

LIMIT_MAX = 1000  # of one page of the API

Symbol = Annotated[str | None, typer.Option("--symbol", help="Only this symbol.")]
Session = Annotated[str | None, typer.Option("--session", help="Only this session.")]
SinceNs = Annotated[int | None, typer.Option("--since-ns", min=0, help="Only from this time on, ns UTC.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="At most so many.")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="Go on after an earlier page (its next_cursor).")]


def orders(
    symbol: Symbol = None,
    status: Annotated[str | None, typer.Option("--status", help="Only with this status, e.g. OPEN.")] = None,
    session: Session = None,
    since_ns: SinceNs = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    stored: Stored = False,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """List orders, newest first."""
    query = {"symbol": symbol, "status": status, "session": session, "since_ns": since_ns, "cursor": cursor}
    body = _get(data_dir, api, token_file, stored, "orders", {**query, "limit": limit})
    return _show(body, json, lambda tables: tables.list_table(tables.ORDER_COLUMNS, body["items"], "no orders"))


def fills(
    symbol: Symbol = None,
    session: Session = None,
    since_ns: SinceNs = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    stored: Stored = False,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """List fills, newest first."""
    query = {"symbol": symbol, "session": session, "since_ns": since_ns, "cursor": cursor, "limit": limit}
    body = _get(data_dir, api, token_file, stored, "fills", query)
    return _show(body, json, lambda tables: tables.list_table(tables.FILL_COLUMNS, body["items"], "no fills"))


def positions(
    symbol: Symbol = None,
    limit: Limit = LIMIT_MAX,
    cursor: Cursor = None,
    stored: Stored = False,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """List what is held, by symbol."""
    query = {"symbol": symbol, "limit": limit, "cursor": cursor}
    body = _get(data_dir, api, token_file, stored, "positions", query)
    return _show(body, json, lambda tables: tables.list_table(tables.POSITION_COLUMNS, body["items"], "no positions"))


def pnl(
    by: Annotated[str, typer.Option("--by", help="session, symbol or day.")] = "symbol",
    limit: Limit = LIMIT_MAX,
    cursor: Cursor = None,
    stored: Stored = False,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Show profit and loss, net of fees."""
    body = _get(data_dir, api, token_file, stored, "pnl", {"by": by, "limit": limit, "cursor": cursor})
    return _show(body, json, lambda tables: tables.list_table(tables.PNL_COLUMNS, body["items"], "no fills yet"))


def sessions(
    limit: Limit = 50,
    cursor: Cursor = None,
    stored: Stored = False,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """List the runs of the system, newest first."""
    body = _get(data_dir, api, token_file, stored, "sessions", {"limit": limit, "cursor": cursor})
    return _show(body, json, lambda tables: tables.list_table(tables.SESSION_COLUMNS, body["items"], "no sessions"))


def _get(data_dir: DataDir, api: Api, token_file: TokenFile, stored: Stored, name: str, query: dict[str, Any]) -> Any:
    if stored:
        if api is not None or token_file is not None:
            raise ConfigError("--stored reads the database of --data-dir: leave out --api and --token-file")
        return stored_list(data_dir, name, query)
    with ApiClient(find_api_or_say(data_dir, api, token_file)) as client:
        return client.get(f"/v1/{name}", without_none(query))


def _show(body: Any, is_json: bool, view: Callable[[Any], Any]) -> int:
    if is_json:
        answer_json(body)
        return OK
    from actors import cli_tables

    cli_tables.show(view(cli_tables))
    if isinstance(body, dict) and body.get("next_cursor"):
        say(f"there is more: --cursor {body['next_cursor']}")
    return OK


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    for verb in (orders, fills, positions, pnl, sessions):
        app.command()(verb)
