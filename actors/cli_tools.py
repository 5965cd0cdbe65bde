"""The verbs that need no running instance: doctor, migrate, import, replay, simulator.

May import typer and, when a verb runs, simulator and `trading`. The checks of `doctor` are in `cli_doctor`.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.cli_api import data_dir_of
from actors.cli_database import DatabaseUrl, open_database
from actors.cli_fleet import DataDir, Json
from actors.cli_output import FAILED, OK, answer, answer_json, assignments, say

Recording = Annotated[Path, typer.Argument(metavar="FILE", help="A recording (Parquet).")]


def doctor(data_dir: DataDir = None, json: Json = False) -> int:
    """Check this machine and the settings: ports, data directory, database, venue, request budget."""
    from actors.cli_doctor import examine

    checks = examine(data_dir_of(data_dir))
    if json:
        answer_json({"ok": all(check.ok for check in checks), "checks": [check.as_json() for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            answer(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<{width}}  {check.detail}")
    return OK if all(check.ok for check in checks) else FAILED


def migrate(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> int:
    """Bring the database to this version's schema; changes nothing when it has it."""
    from trading.adapters.store.migrations import migrate as bring_up

    with open_database(data_dir, database_url, is_made=True) as url:
        revision = bring_up(url)
    if json:
        answer_json({"revision": revision})
    else:
        answer(f"the database has schema {revision}")
    return OK


def import_recording(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A public recording (JSON lines, plain or gzip).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The recording to write (Parquet).")],
    symbol: Annotated[str | None, typer.Option("--symbol", help="Which one, if the file holds several.")] = None,
    tick: Annotated[str | None, typer.Option("--tick", help="Price step (default: the finest that occurs).")] = None,
    lot: Annotated[str | None, typer.Option("--lot", help="Quantity step (default: the finest that occurs).")] = None,
    maker_fee: Annotated[str | None, typer.Option("--maker-fee", help="As a fraction (default 0).")] = None,
    taker_fee: Annotated[str | None, typer.Option("--taker-fee", help="As a fraction (default 0.0005).")] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave broken lines out, and count them.")] = False,
    json: Json = False,
) -> int:
    """Turn a public recording of another venue into one of ours."""
    from trading.adapters.recording.importer import import_public

    began = time.monotonic()
    report = import_public(file, out, symbol, tick, lot, maker_fee, taker_fee, skip_broken)
    if json:
        answer_json(asdict(report))
    else:
        seconds = (report.last_recv_ns - report.first_recv_ns) / 1e9
        answer(
            f"{out}: {report.symbol}, {report.rows} rows over {seconds:.0f} s ({report.depth} depth, {report.trades} "
            f"trades, {report.quotes} quotes, {report.snapshots} snapshots, {report.gaps} gaps), "
            f"tick {report.tick_size}, lot {report.lot_size}, written in {time.monotonic() - began:.1f} s"
        )
        if report.skipped:
            answer("left out: " + ", ".join(f"{kind} {count}" for kind, count in sorted(report.skipped.items())))
    return OK


def replay(
    file: Recording,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Strategy (default spread_capture).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="Strategy parameter.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of every draw.")] = None,
    orders_out: Annotated[Path | None, typer.Option("--orders-out", help="Write the order log here.")] = None,
    report: Annotated[Path | None, typer.Option("--report", metavar="OUT.html", help="Write an HTML report.")] = None,
    queue_power: Annotated[
        float | None,
        typer.Option(
            "--queue-power", min=0.01, max=64, help="The probabilistic queue's n, as measured live (mexcbot shadow)."
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Run the engine over a recording, offline; the same input gives the same orders."""
    from actors.cli_output import without_none
    from actors.cli_replay import check_folder, run_replay, summary_lines, write_orders
    from trading.adapters.report import replay_report
    from trading.adapters.settings import load_settings

    values: dict[str, Any] = {
        "strategy": strategy,
        "strategy_params": assignments(set_, "--set") or None,
        "seed": seed,
        "paper_queue_power": queue_power,
    }
    settings = load_settings(without_none(values))
    check_folder(orders_out, "--orders-out", file)
    check_folder(report, "--report", file, orders_out)
    outcome = run_replay(file, settings)
    if orders_out is not None:
        write_orders(orders_out, outcome)
    if report is not None:
        replay_report.write(report, replay_report.render(outcome.result, outcome.tape, outcome.facts))
    if json:
        say(outcome.speed)  # it differs from run to run, as the answer must not
        answer_json(outcome.body)
    else:
        for line in summary_lines(outcome):
            answer(line)
    return OK


def simulator(context: typer.Context) -> int:
    """Run the simulator exchange alone (flags: mexcbot simulator --help)."""
    from simulator.__main__ import main

    return main(list(context.args))


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(doctor)
    app.command()(migrate)
    app.command("import")(import_recording)
    app.command()(replay)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)(
        simulator
    )
