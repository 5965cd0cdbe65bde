"""`mexcbot shadow`: how far paper is from live, and the queue models from each other, per symbol.

May import typer, httpx, rich and the CLI's own files.
"""

from __future__ import annotations

from typing import Any

import typer

from actors.cli_api import ApiClient, find_api
from actors.cli_fleet import Api, DataDir, Json, TokenFile
from actors.cli_output import OK, answer, answer_json

SIDES = ("live", "pessimistic", "probabilistic")


def shadow(json: Json = False, data_dir: DataDir = None, api: Api = None, token_file: TokenFile = None) -> int:
    """Compare orders with their paper twins: fill rate, time to fill, markout; which queue live orders agree with."""
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        symbols = client.get("/v1/symbols", {"limit": 1000})["items"]
    items = [{"symbol": item["symbol"], **item["twin"]} for item in symbols if item.get("twin")]
    if json:
        answer_json({"items": items})
        return OK
    if not items:
        answer("no symbol runs here: only orders of running symbols have twins")
        return OK
    _show(items)
    return OK


def _show(items: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("symbol", "orders", "side", "fill rate", "filled", "time to fill", "markout 1 s", box=None)
    for item in items:
        for place, side in enumerate(side for side in SIDES if item[side] is not None):
            row = item[side]
            wait, markout = row["time_to_fill_ms"], row["markout_bps"]
            table.add_row(
                item["symbol"] if not place else "",
                str(item["orders"]) if not place else "",
                side,
                f"{row['fill_rate']:.1%}",
                str(row["filled_orders"]),
                "–" if wait is None else f"{wait:,.0f} ms",
                "–" if markout is None else f"{markout:+.2f} bps ({row['markouts']})",
            )
    Console().print(table)
    for item in items:
        if item["live"] is not None:
            answer(f"{item['symbol']}: {queue_line(item['queue'])}")


def queue_line(queue: dict[str, Any]) -> str:
    """Say what the live orders tell of the queue."""
    if queue["power"] is None:
        return f"{queue['telling']} orders tell one queue from another: too few to say which is the venue's"
    return (
        f"the venue's queue is like n = {queue['power']:g} (95 %: {queue['low']:g} to {queue['high']:g}; 0.25 or 8: "
        f"that or beyond), by {queue['telling']} orders: mexcbot replay … --queue-power {queue['power']:g}"
    )


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(shadow)
