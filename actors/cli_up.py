"""`mexcbot up` and `mexcbot down`: start the whole system in the foreground, and end it from elsewhere.

May import typer, the settings and, when they run, the launcher's files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.cli_api import data_dir_of
from actors.cli_fleet import DataDir
from actors.cli_output import (
    FAILED,
    OK,
    answer,
    answer_json,
    assignments,
    check_symbols,
    say,
    stdout_for_answers_only,
    without_none,
)
from actors.runfile import RunFile, find_instance, is_process_alive, read_run_file, starting_pid, write_private
from trading.model.errors import ConfigError, NotRunning

if TYPE_CHECKING:
    from actors.launcher import Ready
    from trading.adapters.store.embedded import EmbeddedPostgres

# Drain, cancel, end: three times the drain's bound, and what the processes need to stop (launcher).
DOWN_TIMEOUT_S = 120.0


def up(
    venue: Annotated[str | None, typer.Option("--venue", help="sim (default) or mexc.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="paper (default) or live.")] = None,
    symbols: Annotated[str | None, typer.Option("--symbols", help="Symbols, separated by commas.")] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="The venue's first N symbols.")] = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="The scanner's best N symbols (mexcbot scan).")
    ] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Strategy (default spread_capture).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="Strategy parameter.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the generated market.")] = None,
    replay: Annotated[Path | None, typer.Option("--replay", help="Recording that the simulator replays.")] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="Speed of the replay.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Record every frame.")] = False,
    data_dir: DataDir = None,
    database_url: Annotated[str | None, typer.Option("--database-url", help="Postgres (default: embedded).")] = None,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Existing Ray (default: our own).")] = None,
    venue_rest: Annotated[str | None, typer.Option("--venue-rest", help="REST URL of a running simulator.")] = None,
    venue_ws: Annotated[str | None, typer.Option("--venue-ws", help="WebSocket URL of a running simulator.")] = None,
    api_port: Annotated[int | None, typer.Option("--api-port", help="Port of the API (8000; 0: any free).")] = None,
    dashboard_port: Annotated[int | None, typer.Option("--dashboard-port", help="Port (8501; 0: any free).")] = None,
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Start no dashboard.")] = False,
    arm_live: Annotated[bool, typer.Option("--arm-live", help="Really send live orders to MEXC.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one ready line of JSON.")] = False,
) -> int:
    """Run the whole system here until Ctrl-C: database, Ray, simulator, actors, API, dashboard."""
    from actors.launcher import Progress, run_up
    from trading.adapters.settings import load_settings

    values: dict[str, Any] = {
        "venue": venue,
        "mode": mode,
        "symbols": symbols,
        "count": count,
        "strategy": strategy,
        "strategy_params": assignments(set_, "--set") or None,
        "seed": seed,
        "replay": replay,
        "speed": speed,
        "record": record or None,
        "data_dir": data_dir,
        "database_url": database_url,
        "ray_address": ray_address,
        "venue_rest": venue_rest,
        "venue_ws": venue_ws,
        "api_port": api_port,
        "dashboard_port": dashboard_port,
        "dashboard": False if no_dashboard else None,
        "arm_live": arm_live or None,
    }
    if symbols is not None:
        check_symbols([symbols])
    if sum(item is not None for item in (symbols, count, top)) > 1:
        raise ConfigError("give one of --symbols, --count and --top")
    settings = load_settings(without_none(values))
    if top is not None:
        from actors.launcher_venue import best_by_edge

        names = asyncio.run(best_by_edge(settings, top))
        say(f"--top {top}: {', '.join(names)}")
        settings = load_settings(without_none({**values, "symbols": ",".join(names)}))
    progress = Progress(say, _announce_json if json else _announce)
    with stdout_for_answers_only():
        return run_up(settings, progress)


def down(
    flatten: Annotated[bool, typer.Option("--flatten", help="Also sell what is held, with bounded prices.")] = False,
    data_dir: DataDir = None,
    json: Annotated[bool, typer.Option("--json", help="Print the drain's report as JSON.")] = False,
) -> int:
    """Drain and stop the running instance. Exit code 1 when open orders were NOT CONFIRMED as 0."""
    folder = data_dir_of(data_dir)
    run = None if (starting := starting_pid(folder)) is not None else find_instance(folder)
    pid = run.pid if run is not None else starting or 0
    report = folder / "last_shutdown.json"
    report.unlink(missing_ok=True)
    if run is not None and not is_process_alive(pid):
        text = _down_detached(folder, run, flatten)
    else:
        write_private(folder / "down.request", "flatten\n" if flatten else "drain\n")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _await_end(folder, pid)
        text = report.read_text(encoding="utf-8").strip() if report.exists() else ""
    if not text:
        raise NotRunning(f"{folder} was stopped before its fleet was up: nothing was drained")
    return _show_report(text, json)


def _await_end(folder: Path, pid: int) -> None:
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    while is_process_alive(pid):
        if time.monotonic() > deadline:
            raise NotRunning(f"{folder} (pid {pid}) has not ended within {DOWN_TIMEOUT_S:g} s: see its logs")
        time.sleep(0.1)


def _down_detached(folder: Path, run: RunFile, is_flatten: bool) -> str:
    """Drain a fleet that outlived its `up`, through Ray."""
    from actors import ray_environment

    ray_environment.prepare(None)
    from actors import handles
    from actors.clients import ExecutorHandle
    from actors.launcher_fleet import ShutdownSummary, await_lease, shut_down
    from actors.launcher_recordings import seal_recordings

    handles.connect(run.ray_address, run.namespace)
    server = _own_database(folder)

    async def drain() -> ShutdownSummary:
        if server is not None:
            await await_lease(ExecutorHandle(run.account))
        return await shut_down(run.namespace, run.account, is_flatten, DOWN_TIMEOUT_S, say)

    try:
        with stdout_for_answers_only():
            summary = asyncio.run(drain())
    finally:
        handles.disconnect()
        if server is not None:
            server.stop()
    asyncio.run(seal_recordings(folder / "recordings", asyncio.Event(), say))
    still = read_run_file(folder)
    if still is not None and still.pid == run.pid:
        (folder / "run.json").unlink(missing_ok=True)
    return summary.text


def _own_database(folder: Path) -> EmbeddedPostgres | None:
    """Start the fleet's database again for its drain, when it was `up`'s own and ended with it."""
    from actors import data_dir
    from trading.adapters.store.embedded import EmbeddedPostgres

    place = data_dir.DataDir(folder).postgres
    if EmbeddedPostgres.running_url(place) is not None or not (place / "cluster").exists():
        return None
    server = EmbeddedPostgres(place)
    server.start()
    return server


def _show_report(text: str, is_json: bool) -> int:
    import json

    body = json.loads(text)
    if is_json:
        answer_json(body)
    elif body["is_confirmed"]:
        answer(f"stopped; open orders: {body['open_orders']} of {len(body['drains'])} symbols, verified")
    else:
        reasons = [drain["reason"] for drain in body.get("drains", []) if not drain["is_confirmed"]]
        answer("stopped; NOT CONFIRMED: " + ("; ".join(reasons) or body.get("reason", "see the logs")))
    return OK if body["is_confirmed"] else FAILED


def _announce_json(ready: Ready) -> None:
    simulator = ready.simulator
    answer_json(
        {
            "ready": True,
            "api": ready.api,
            "dashboard": ready.dashboard,
            "token_file": ready.token_file,
            "read_token_file": ready.read_token_file,
            "session": ready.session,
            "simulator": None
            if simulator is None
            else {
                "rest": simulator.rest,
                "ws": simulator.ws,
                "api_key": simulator.api_key,
                "secret": simulator.secret,
            },
        }
    )


def _announce(ready: Ready) -> None:
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from actors.cli_tables import show

    table = Table(box=None, pad_edge=False, show_header=False)
    if ready.dashboard is not None:
        table.add_row(Text("dashboard", style="bold"), Text(ready.dashboard, style="cyan"))
    table.add_row(Text("API", style="bold"), Text(ready.api, style="cyan"))
    table.add_row("token file", ready.token_file)
    if ready.simulator is not None:
        table.add_row("simulator", f"{ready.simulator.rest}   {ready.simulator.ws}")
    table.add_row("symbols", f"{', '.join(ready.symbols[:10])}{' …' if len(ready.symbols) > 10 else ''}")
    table.add_row("session", ready.session)
    hints = Text("mexcbot status --watch   mexcbot orders   mexcbot fills   mexcbot pnl   mexcbot halt", style="dim")
    show(Panel(Group(table, Text(), hints), title="mexcbot is up – Ctrl-C drains and stops it", expand=False))


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(up)
    app.command()(down)
