"""The verbs of recordings: record without trading, and recover what a killed recorder left.

May import typer and, when a verb runs, `trading` and the recording run.
"""

from __future__ import annotations

import asyncio
import json as json_text
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actors.cli_api import data_dir_of
from actors.cli_fleet import DataDir, Json, Symbols
from actors.cli_output import FAILED, OK, answer, answer_json, check_symbols, say, without_none
from trading.adapters.stop_signals import stop_signals
from trading.model.errors import ConfigError, NotRunning

if TYPE_CHECKING:
    from actors.launcher_venue import Venue
    from actors.record_run import RecordPlan, SymbolReport
    from trading.adapters.settings import Settings
    from trading.model.instrument import Instrument


def record(
    symbols: Symbols,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for the recordings.")],
    venue: Annotated[str | None, typer.Option("--venue", help="sim (the running one, default) or mexc.")] = None,
    venue_rest: Annotated[str | None, typer.Option("--venue-rest", help="REST URL of a running simulator.")] = None,
    venue_ws: Annotated[str | None, typer.Option("--venue-ws", help="WebSocket URL of a running simulator.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Stop by itself after so long.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> int:
    """Record symbols without trading, until Ctrl-C: then what was recorded is sealed into Parquet."""
    from actors.launcher_venue import read_instruments
    from actors.record_run import RecordPlan
    from trading.adapters import event_loop
    from trading.adapters.settings import load_settings

    names = check_symbols(symbols)
    settings = load_settings(
        without_none(
            {"venue": venue, "venue_rest": venue_rest, "venue_ws": venue_ws, "data_dir": data_dir_of(data_dir)}
        )
    )
    place = venue_to_record(settings)
    plan = RecordPlan(
        rest_url=place.rest,
        ws_url=place.ws,
        instruments=recordable(names, asyncio.run(read_instruments(place))),
        folder=out,
        depth_interval=settings.depth_interval,
        ip_request_rate=settings.ip_request_rate,
        request_timeout_s=settings.request_timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
        seconds=seconds,
        venue_time_scale=settings.venue_time_scale,
    )
    reports = event_loop.run(_record(plan))
    if json:
        answer_json({"folder": str(out), "symbols": [asdict(report) for report in reports]})
    else:
        for report in reports:
            answer(_line(report))
    if not any(report.fault for report in reports):
        return OK
    say(f"what could not be sealed is still there: mexcbot recover {out}")
    return FAILED


def venue_to_record(settings: Settings) -> Venue:
    """Return MEXC, the simulator named by its URLs, or the venue of the instance that runs in the data directory.

    Raises: NotRunning when none of them is there.
    """
    from actors.data_dir import DataDir as Directory
    from actors.launcher_venue import Venue, joined_venue
    from actors.runfile import find_instance

    if settings.venue_urls() is not None:
        return joined_venue(settings)
    try:
        find_instance(settings.data_dir)
    except NotRunning as error:
        raise NotRunning(
            "there is no market to record: name --venue mexc, or --venue-rest and --venue-ws of a running simulator, "
            f"or the --data-dir of a running instance (nothing runs in {settings.data_dir})"
        ) from error
    try:
        note = json_text.loads(Directory(settings.data_dir).remembered("venue.json"))
        return Venue(note["rest"], note["ws"], "", "", False)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the instance of {settings.data_dir} does not say where its venue is: name --venue-rest and --venue-ws"
        ) from error


def recordable(names: tuple[str, ...], listed: Mapping[str, Instrument]) -> tuple[Instrument, ...]:
    """Return the instruments of all names. What cannot be traded can be recorded, if its steps are known.

    Raises: ConfigError naming the first symbol that the venue does not have, or whose steps are missing.
    """
    from actors.symbol_names import nearest

    found = []
    for name in names:
        instrument = listed.get(name)
        if instrument is None:
            raise ConfigError(f"the venue has no symbol {name}{nearest(name, listed)}")
        if "precision" in (instrument.exclusion or ""):
            raise ConfigError(f"{name} cannot be recorded ({instrument.exclusion}): choose another symbol")
        if instrument.exclusion is not None:
            say(f"{name} cannot be traded now ({instrument.exclusion}); it is recorded all the same")
        found.append(instrument)
    return tuple(found)


async def _record(plan: RecordPlan) -> tuple[SymbolReport, ...]:
    from actors.record_run import RecordRun

    run = RecordRun(plan, say)
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, run.stop)
    say(f"recording {', '.join(item.symbol for item in plan.instruments)} into {plan.folder} (Ctrl-C seals it)")
    return await run.run()


def _line(report: SymbolReport) -> str:
    files = ", ".join(report.files) or "no file"
    text = (
        f"{report.symbol}: {report.rows} rows, {report.bytes / 1e6:.1f} MB, proven {report.proven:.1%} of the time, "
        f"{report.gaps} gaps, {report.losses} losses of the line; {files}"
    )
    return f"{text}; FAILED: {report.fault}" if report.fault else text


def recover(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of recorded segments.")], json: Json = False
) -> int:
    """Seal what a killed recorder left into whole recordings."""
    from trading.adapters.recording.seal import recover as seal_all

    report = seal_all(folder)
    if json:
        sealed = [{name: _plain(value) for name, value in asdict(item).items()} for item in report.sealed]
        answer_json({"sealed": sealed, "busy": [str(path) for path in report.busy]})
        return OK
    for item in report.sealed:
        lost = f"; {item.dropped_bytes} bytes at its end were no whole row: see {item.kept}" if item.kept else ""
        what = f"{item.recording}: {item.rows} rows" if item.recording is not None else f"{item.segment}: held no row"
        answer(f"{what}{lost}")
    for path in report.busy:
        answer(f"{path}: left alone, a recorder writes it now")
    if not report.sealed and not report.busy:
        answer(f"{folder} holds nothing to recover")
    return OK


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(record)
    app.command()(recover)
