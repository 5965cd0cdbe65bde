"""The verbs that look at and command a running instance, over its API.

May import typer, httpx and the CLI's own files.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.cli_api import ApiClient, find_api, symbol_path
from actors.cli_output import FAILED, OK, answer_json, assignments, check_symbols, say
from actors.cli_progress import told_progress
from actors.symbol_names import in_capitals
from trading.model.errors import ConfigError

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Directory of the instance (default ./.mexcbot).")]
Api = Annotated[str | None, typer.Option("--api", help="Address of the API instead, with --token-file.")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="File that holds the API's token.")]
Json = Annotated[bool, typer.Option("--json", help="Print the API's body and nothing else.")]
Symbols = Annotated[list[str], typer.Argument(metavar="SYM…", help="Symbols, e.g. BTCUSDT.")]
OfSymbols = Annotated[
    list[str] | None, typer.Option("--symbol", metavar="S", help="Of this symbol only; again or with commas for more.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=600.0, help="Seconds to wait for the end.")]
HALT_SLACK_S = 15.0


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again each second until Ctrl-C.")] = False,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Show the fleet: states, books, positions, P&L."""
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        snapshot = client.get("/v1/snapshot")
        if json:
            answer_json(snapshot)
            while watch:
                time.sleep(1.0)
                answer_json(client.get("/v1/snapshot"))
            return OK
        from rich.live import Live

        from actors.cli_tables import show, status_view

        if not watch:
            show(status_view(snapshot))
            return OK
        with Live(status_view(snapshot), auto_refresh=False) as live:
            while True:
                time.sleep(1.0)
                live.update(status_view(client.get("/v1/snapshot")), refresh=True)


def spawn(
    symbols: Symbols,
    strategy: Annotated[str, typer.Option("--strategy", help="Strategy (default: the instance's).")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="Strategy parameter.")] = None,
    timeout: Timeout = 60.0,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Start trading symbols."""
    body = {"symbols": check_symbols(symbols), "strategy": strategy, "params": assignments(set_, "--set")}
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        return _follow(client, [client.command("POST", "/v1/symbols", body)], timeout, json, "started")


def kill(
    symbols: Symbols,
    flatten: Annotated[bool, typer.Option("--flatten", help="Also sell what is held, with bounded prices.")] = False,
    timeout: Timeout = 30.0,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Stop symbols: cancel, verify, end. Exit code 1 when NOT CONFIRMED."""
    query = {"flatten": "true"} if flatten else None
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        names = _known(client, symbols)
        begun = [client.command("DELETE", symbol_path(name), query=query) for name in names]
        return _follow(client, begun, timeout, json, "stopped, 0 open orders verified", "NOT CONFIRMED: ")


def pause(
    symbols: Symbols,
    timeout: Timeout = 30.0,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Stop entering: quotes are cancelled, exits go on."""
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        begun = [client.command("POST", symbol_path(name, "/pause")) for name in _known(client, symbols)]
        return _follow(client, begun, timeout, json, "paused")


def resume(
    symbols: Symbols,
    timeout: Timeout = 30.0,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Let paused symbols trade again."""
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        begun = [client.command("POST", symbol_path(name, "/resume")) for name in _known(client, symbols)]
        return _follow(client, begun, timeout, json, "resumed")


def set_parameters(
    symbol: Annotated[str, typer.Argument(metavar="SYM", help="Symbol, e.g. BTCUSDT.")],
    values: Annotated[list[str], typer.Argument(metavar="K=V…", help="Strategy parameters.")],
    timeout: Timeout = 30.0,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Change a symbol's strategy parameters while it trades, all or none."""
    body = {"params": assignments(values, "set")}
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        return _follow(client, [client.command("PATCH", symbol_path(symbol), body)], timeout, json, "set")


def halt(
    symbol: OfSymbols = None,
    flatten: Annotated[bool, typer.Option("--flatten", help="Sell what is held first, with bounded prices.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    direct: Annotated[bool, typer.Option("--direct", help="Without API and Ray: database and venue alone.")] = False,
    timeout: Timeout = 30.0,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Stop all trading: cancel everything of ours, ask the venue, report. Exit code 1 when NOT CONFIRMED."""
    symbols = _split(symbol)
    if direct:
        if api is not None:
            raise ConfigError("--direct goes past the API: leave out --api")
        from actors.cli_direct import halt_direct

        body = halt_direct(data_dir, symbols, flatten, reason, timeout)
        return _halted(body, json)
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        deadline = time.monotonic() + timeout
        wanted = {**_scope(symbols), "flatten": flatten, "reason": reason}
        with told_progress(client, symbols[0] if symbols else None):
            body = client.command("POST", "/v1/halt", wanted, timeout_s=timeout + HALT_SLACK_S)
            if len(symbols) < 2:
                body = client.await_halt(body, symbols[0] if symbols else None, deadline - time.monotonic())
    return _halted(body, json)


def resume_trading(
    symbol: OfSymbols = None,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Lift a halt."""
    with ApiClient(find_api(data_dir, api, token_file)) as client:
        body = client.command("POST", "/v1/resume", _scope(_split(symbol)), timeout_s=30.0)
    if json:
        answer_json(body)
    else:
        from actors.cli_tables import halt_view, show

        show(halt_view(body))
    return OK


def _split(given: list[str] | None) -> tuple[str, ...]:
    """Read --symbol A --symbol B,C; nothing given is the whole account, an empty name is not."""
    return check_symbols(given) if given else ()


def _scope(symbols: tuple[str, ...]) -> dict[str, Any]:
    match symbols:
        case ():
            return {"scope": "account"}
        case (symbol,):
            return {"scope": "symbol", "symbol": symbol}
        case _:
            return {"scope": "group", "symbols": list(symbols)}


def _known(client: ApiClient, symbols: list[str]) -> tuple[str, ...]:
    """Return the names, if all of them are in the fleet: a command for several is not half-done for a slip."""
    names = check_symbols(symbols)
    if len(names) > 1:
        fleet = {item["symbol"] for item in client.get("/v1/symbols", {"limit": 1000})["items"]}
        if missing := [name for name in names if name not in fleet]:
            where = in_capitals(missing[0], fleet, "see mexcbot status")
            raise ConfigError(f"{missing[0]} is not running, nothing was done: {where}")
    return names


def _halted(body: dict[str, Any], is_json: bool) -> int:
    if is_json:
        answer_json(body)
    else:
        from actors.cli_tables import halt_view, show

        show(halt_view(body))
    return OK if body["confirmed"] else FAILED


def _follow(client: ApiClient, begun: list[Any], timeout_s: float, is_json: bool, done: str, failed: str = "") -> int:
    """Wait for operations; print their last bodies, one object for one, {"items": […]} for more."""
    deadline = time.monotonic() + timeout_s
    over = [client.await_operation(body, max(0.0, deadline - time.monotonic())) for body in begun]
    if is_json:
        answer_json(over[0] if len(over) == 1 else {"items": over})
    for body in over:
        names = ", ".join(body.get("symbols") or []) or body["operation_id"]
        match body["status"]:
            case "succeeded":
                if not is_json:
                    say(f"{names}: {done}")
            case "failed":
                say(f"{failed}{names}: {body.get('error') or 'failed'}")
            case _:
                say(f"{failed}{names}: not done within {timeout_s:g} s (operation {body['operation_id']})")
    return OK if all(body["status"] == "succeeded" for body in over) else FAILED


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    for name, verb in (
        ("status", status),
        ("spawn", spawn),
        ("kill", kill),
        ("pause", pause),
        ("resume", resume),
        ("set", set_parameters),
        ("halt", halt),
        ("resume-trading", resume_trading),
    ):
        app.command(name)(verb)
