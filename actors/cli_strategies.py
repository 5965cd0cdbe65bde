"""`mexcbot strategies`: what can be traded with, and what can be set. May import typer, rich and `trading`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from actors.cli_fleet import Json
from actors.cli_output import OK, answer, answer_json


def strategies(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One strategy, with its parameters.")] = None,
    json: Json = False,
) -> int:
    """List the strategies, those of other packages included, or the parameters of one."""
    from importlib.metadata import entry_points

    from actors.cli_replay import load_plugins
    from trading.adapters.plugins import GROUP
    from trading.engine.strategy import registry

    load_plugins()
    foreign = {point.name: point for point in entry_points(group=GROUP)}
    chosen = (name,) if name is not None else registry.names()
    items = [_item(each, foreign.get(each)) for each in chosen]
    if json:
        answer_json({"items": items})
        return OK
    if name is None:
        width = max(len(item["name"]) for item in items)
        for item in items:
            answer(f"{item['name']:<{width}}  {item['summary']}  ({item['source']})")
        return OK
    from rich.console import Console
    from rich.table import Table

    answer(f"{name}: {items[0]['summary']} ({items[0]['source']})")
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "default", "unit", "range", "what it does"):
        # A name cut short could not be given to --set; into a pipe nothing is cut or wrapped.
        table.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for row in items[0]["parameters"]:
        choices = " ".join(row["choices"]) or (f"{row['low']} … {row['high']}" if row["low"] is not None else "")
        table.add_row(row["name"], row["default"], row["unit"], choices, row["reason"])
    Console(width=None if sys.stdout.isatty() else 240).print(table)
    return OK


def _item(name: str, point: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from trading.engine.strategy import registry

    found = registry.strategy_class(name)
    source = "shipped" if point is None else f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    return {
        "name": name,
        "summary": str(getattr(found, "summary", "")),
        "source": source,
        "parameters": [asdict(item) for item in registry.declarations(name)],
    }


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(strategies)
