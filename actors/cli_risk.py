"""`mexcbot risk`: show the account's limits and what they are compared with, or change some. May import the CLI."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from actors.cli_api import ApiClient, find_api
from actors.cli_fleet import Api, DataDir, Json, TokenFile
from actors.cli_output import OK, answer_json, assignments


def risk(
    values: Annotated[list[str] | None, typer.Argument(metavar="[K=V…]", help="Limits to change; all or none.")] = None,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Show the account's limits, or change some while it trades: validated, stored, written down in the audit."""
    wanted = assignments(values, "risk")
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        body = client.command("PUT", "/v1/risk", {"limits": wanted}) if wanted else client.get("/v1/risk")
    if json:
        answer_json(body)
    else:
        from actors.cli_tables import list_table, show

        show(list_table(LIMIT_COLUMNS, _rows(body), "no limits"))
    return OK


LIMIT_COLUMNS = tuple((name, name) for name in ("name", "value", "unit", "default", "now", "reason"))
# What a limit is compared with, by its name.
_USED = {
    "max_gross_exposure": "exposure",
    "max_open_orders": "open_orders",
    "daily_loss": "net_pnl_today",
    "max_drawdown": "drawdown",
}


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the limits as rows, each with what it is compared with."""
    usage = body["usage"]
    return [{**item, "now": usage.get(_USED.get(item["name"], ""))} for item in body["declarations"]]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(risk)
