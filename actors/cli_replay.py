"""`mexcbot replay`: a recording through the engine, with the account rules and balances of the settings.

May import `trading`. The decisions and the sums are `trading.engine.replay`'s; this file only brings the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trading.adapters.plugins import load_strategies
from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.parquet import read_recording
from trading.adapters.settings import Settings
from trading.engine.account_limits import AccountLimits
from trading.engine.parameters import parse
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.strategy.registry import register


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """The contract's summary as JSON (`body`), and the order log, one line a step."""

    body: Mapping[str, Any]
    order_log: tuple[str, ...]


def run_replay(path: Path, settings: Settings) -> ReplayOutcome:
    """Play a recording. Raises: ConfigError for a missing or broken recording, an unknown strategy, a bad parameter."""
    load_strategies(register)
    instrument = recording_instrument(path)
    balances = dict(settings.paper_balances)
    if settings.quote_asset != instrument.quote:
        # Recorded on another quote asset than the account's: the same amount of that one.
        balances[instrument.quote] = balances.get(settings.quote_asset, next(iter(balances.values())))
    run = ReplayRun(
        instrument,
        market_events(read_recording(path), instrument),
        ReplaySettings(
            strategy_name=settings.strategy,
            params=tuple(sorted(settings.strategy_params.items())),
            seed=settings.seed,
            limits=parse(AccountLimits, settings.risk_limits),
            balances=balances,
            allocation_quote=settings.allocation,
        ),
    )
    result = run.run()
    return ReplayOutcome(result.as_dict(), result.order_log)


def summary_lines(body: Mapping[str, Any], seconds: float) -> list[str]:
    """Render the summary for people; `seconds` is how long it took."""
    covered = (body["last_ns"] - body["first_ns"]) / 1e9
    pace = body["events"] / seconds if seconds > 0 else 0.0
    lines = [
        f"{body['events']} events over {covered:.0f} s of market in {seconds:.1f} s "
        f"({pace:,.0f} events/s, {covered / max(seconds, 1e-9):,.0f} times real time)",
        f"{body['orders']} orders, {body['denied']} denied; order log sha256 {body['order_log_sha256']}",
    ]
    lines += [
        f"{name}: {model['fills']} fills, gross {model['gross']}, fees {model['fees']}, net {model['net']}, "
        f"held at the end {model['held']}"
        for name, model in body["models"].items()
    ]
    refusals = sorted(body["refusals"].items(), key=lambda item: -item[1])
    lines.append("refusals: " + (", ".join(f"{name} {count}" for name, count in refusals) or "none"))
    return lines
