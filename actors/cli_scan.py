"""`mexcbot scan`: which symbols are worth trading. Asks a running instance, or the venue itself.

May import typer, httpx and, when it runs, `trading`.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.cli_api import ApiClient, data_dir_of, find_api
from actors.cli_fleet import Api, DataDir, Json, TokenFile
from actors.cli_output import OK, answer_json, say, without_none
from trading.model.errors import NotRunning

# As the API allows it (`api/routes_market`).
TOP_MAX = 50
PATIENCE_S = 120.0
POLL_S = 1.0


def scan(
    top: Annotated[int, typer.Option("--top", min=1, max=TOP_MAX, help="How many symbols to look at twice.")] = 10,
    venue: Annotated[str | None, typer.Option("--venue", help="mexc: ask the venue itself, no instance.")] = None,
    venue_rest: Annotated[str | None, typer.Option("--venue-rest", help="REST URL of a running simulator.")] = None,
    venue_ws: Annotated[str | None, typer.Option("--venue-ws", help="Its WebSocket URL.")] = None,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Rank the venue's symbols by net expected edge after fees: all tickers, then a closer look at the best."""
    place = without_none({"venue": venue, "venue_rest": venue_rest, "venue_ws": venue_ws})
    body = _ask_venue(place, data_dir, top) if place else _ask_instance(data_dir, api, token_file, top)
    if json:
        answer_json(body)
        return OK
    from actors import cli_tables

    cli_tables.show(cli_tables.list_table(cli_tables.SCAN_COLUMNS, body["items"], "no symbol is fit to trade"))
    if not body["is_complete"]:
        say("the second look is not complete: ask again")
    left_out = sorted(body["excluded"].items(), key=lambda item: -item[1])
    say(
        f"{body['listed']} symbols listed; left out at the first look: "
        + (", ".join(f"{count} {reason}" for reason, count in left_out[:6]) or "none")
    )
    return OK


def _ask_instance(data_dir: Path | None, api: str | None, token_file: Path | None, top: int) -> dict[str, Any]:
    """Ask the API until its scan is complete or patience is over."""
    try:
        address = find_api(data_dir, api, token_file)
    except NotRunning as error:
        raise NotRunning(f"{error}; or ask the venue itself: mexcbot scan --venue mexc") from error
    deadline = time.monotonic() + PATIENCE_S
    with ApiClient(address) as client:
        while True:
            body: dict[str, Any] = client.get("/v1/scanner", {"top": top}, timeout_s=30.0)
            if body["is_complete"] or time.monotonic() > deadline:
                return body
            time.sleep(POLL_S)


def _ask_venue(place: dict[str, Any], data_dir: Path | None, top: int) -> dict[str, Any]:
    """Scan without an instance; the same body as the API's."""
    from actors.launcher_venue import scan_venue
    from trading.adapters.scanner import scan_rows
    from trading.adapters.settings import load_settings

    settings = load_settings({**place, "data_dir": data_dir_of(data_dir)})
    urls = settings.venue_urls()
    if urls is None:
        raise NotRunning("there is no market to scan: name --venue mexc, or --venue-rest and --venue-ws of a simulator")
    say(f"scanning {urls[0]} …")
    found = asyncio.run(scan_venue(settings, urls[0], top))
    return {
        "items": scan_rows(found)[:top],
        "next_cursor": None,
        "scanned_ns": found.at_ns,
        "is_complete": found.is_complete,
        "listed": found.listed,
        "excluded": dict(found.excluded),
    }


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(scan)
