"""`mexcbot replay`: a recording through the engine, with the account rules and balances of the settings.

May import `trading`. The decisions and the sums are `trading.engine.replay`'s; this file brings the input and puts the
answer into words, JSON and the report.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any

from actors.cli_output import say
from trading.adapters.plugins import load_strategies
from trading.adapters.recording.events import collected_seldom, market_events, recording_instrument
from trading.adapters.recording.findings import findings
from trading.adapters.recording.parquet import read_recording
from trading.adapters.report.replay_report import ReplayFacts
from trading.adapters.settings import Settings
from trading.engine.account_limits import AccountLimits
from trading.engine.matching_models import QueueModel, leg_ms, matching_rules, parse_latency, queue_text
from trading.engine.parameters import parse
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_result import ReplayResult
from trading.engine.replay_tape import ReplayTape, markout_curve
from trading.engine.strategy.registry import register
from trading.model.errors import ConfigError
from trading.model.instrument import Instrument
from trading.model.units import NS_PER_S, plain


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """A replay that has ended.

    Attributes:
        body: the contract's summary as JSON; the same for the same input, whenever and wherever it is played.
        speed: how fast it went, in one line. result, tape, facts: what they were made of, and the report is.
    """

    body: Mapping[str, Any]
    speed: str
    result: ReplayResult
    tape: ReplayTape
    facts: ReplayFacts


def load_plugins() -> None:
    """Load the strategies of other packages, and tell of those that cannot be loaded."""
    for name, reason in load_strategies(register).failed:
        say(f"mexcbot: strategy {name!r} is left out: {reason}")


def replay_settings(settings: Settings, instrument: Instrument) -> ReplaySettings:
    """Return what a replay of this instrument assumes under these settings. Raises: ConfigError for a bad limit."""
    balances: dict[str, Decimal] = dict(settings.paper_balances)
    if settings.quote_asset != instrument.quote:
        # Recorded on another quote asset than the account's: the same amount of that one.
        balances[instrument.quote] = balances.get(settings.quote_asset, next(iter(balances.values())))
    return ReplaySettings(
        strategy_name=settings.strategy,
        params=tuple(sorted(settings.strategy_params.items())),
        seed=settings.seed,
        limits=parse(AccountLimits, settings.risk_limits),
        balances=balances,
        allocation_quote=settings.allocation,
        latency=parse_latency(settings.paper_latency_ms, settings.seed),
        matching=matching_rules(settings.paper_queue_power),
    )


def run_replay(path: Path, settings: Settings) -> ReplayOutcome:
    """Play a recording.

    Raises: ConfigError for a missing or broken recording, an unknown strategy, a bad parameter.
    """
    load_plugins()
    instrument = recording_instrument(path)
    assumed = replay_settings(settings, instrument)
    tape = ReplayTape(instrument)
    run = ReplayRun(instrument, market_events(read_recording(path), instrument), assumed, tape)
    found = findings(path)
    for note in found:
        say(f"mexcbot: {note}")
    began, began_cpu = time.monotonic(), time.process_time()
    with collected_seldom():
        result = run.run()
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - began_cpu
    facts = ReplayFacts(
        recording=path.name,
        data_sha256=data_sha256(path),
        strategy=assumed.strategy_name,
        seed=assumed.seed,
        latency=assumed.latency,
        matching=assumed.matching,
        balances=dict(assumed.balances or {}),
        allocation_quote=assumed.allocation_quote,
        limits=assumed.limits,
        wall_s=wall_s,
        version=version("mexcbot"),
    )
    body = {**result.as_dict(), **_more(tape, facts), "findings": list(found)}
    return ReplayOutcome(body, _speed(result, wall_s, cpu_s), result, tape, facts)


def data_sha256(path: Path) -> str:
    """Return the hash of a file's bytes: the name of a replay's input. Raises: ConfigError."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}")


def _more(tape: ReplayTape, facts: ReplayFacts) -> dict[str, Any]:
    """Say what the contract's summary does not: drawdown, markouts, exits, input and assumptions."""
    return {
        "max_drawdown": plain(tape.max_drawdown),
        "exit_reasons": {
            name: {
                "orders": item.orders,
                "fills": item.fills,
                "value": plain(item.value),
                "gross": plain(item.gross),
                "fees": plain(item.fees),
                "net": plain(item.net),
            }
            for name, item in sorted(tape.exits.items())
        },
        "markouts": {
            model.value: [
                {
                    "horizon_s": point.horizon_ns / NS_PER_S,
                    "bps": round(point.mean_bps, 4),
                    "error_bps": round(point.error_bps, 4),
                    "fills": point.fills,
                }
                for point in markout_curve([item for item in tape.fills if item.model is model])
            ]
            for model in QueueModel
        },
        "latency_ms": {
            "feed": leg_ms(facts.latency.feed_ns),
            "entry": leg_ms(facts.latency.entry_ns),
            "response": leg_ms(facts.latency.response_ns),
        },
        "probabilistic_queue": queue_text(facts.matching),
        "strategy": facts.strategy,
        "data_sha256": facts.data_sha256,
    }


def _speed(result: ReplayResult, wall_s: float, cpu_s: float) -> str:
    """Say how fast it went: reading, decoding, decisions, fills and what the report is made of; no start, no report.

    Events a second of CPU time are what one core does; by the clock it is less where others use it too.
    """
    market_s = (result.last_ns - result.first_ns) / NS_PER_S
    pace, pace_cpu = (round(result.events / max(spent_s, 1e-9)) for spent_s in (wall_s, cpu_s))
    return (
        f"{result.events} events over {market_s:.0f} s of market in {wall_s:.1f} s ({pace:,} events/s, "
        f"{market_s / max(wall_s, 1e-9):,.0f} times real time; {pace_cpu:,} events a second of CPU time)"
    )


def check_folder(path: Path | None, flag: str, *kept: Path | None) -> None:
    """Refuse an output path before the work is done.

    kept: files that it must not be: what is read, and what else is written.
    Raises: ConfigError when its folder is missing, it is a folder, or one of those.
    """
    if path is not None and not path.absolute().parent.is_dir():
        raise ConfigError(f"{flag}: there is no folder {path.absolute().parent}: make it first")
    if path is not None and path.is_dir():
        raise ConfigError(f"{flag}: {path} is a folder: name a file")
    if path is not None and any(other is not None and path.resolve() == other.resolve() for other in kept):
        raise ConfigError(f"{flag}: {path} is read or written already by this command: name another file")


def write_orders(path: Path, outcome: ReplayOutcome) -> None:
    """Write the order log, one line a step. Raises: ConfigError."""
    try:
        path.write_text("".join(f"{line}\n" for line in outcome.result.order_log), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--orders-out: {path} cannot be written: {error.strerror}")


def summary_lines(outcome: ReplayOutcome) -> list[str]:
    """Render the summary for people."""
    body = outcome.body
    lines = [
        outcome.speed,
        f"{body['orders']} orders, {body['denied']} denied; order log sha256 {body['order_log_sha256']}",
    ]
    lines += [
        f"{name}: {model['fills']} fills, gross {model['gross']}, fees {model['fees']}, net {model['net']}, "
        f"held at the end {model['held']}"
        + (f", whose sale would cost a taker {model['closing_fee']} more" if model["closing_fee"] != "0" else "")
        for name, model in body["models"].items()
    ]
    lines.append(f"max drawdown {body['max_drawdown']}")
    lines += [
        f"exit {name}: {item['orders']} orders, gross {item['gross']}, fees {item['fees']}, net {item['net']}"
        for name, item in body["exit_reasons"].items()
    ]
    refusals = sorted(body["refusals"].items(), key=lambda item: -item[1])
    lines.append("refusals: " + (", ".join(f"{name} {count}" for name, count in refusals) or "none"))
    return lines
