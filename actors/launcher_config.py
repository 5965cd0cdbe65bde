"""From settings to what the actors, the API and the dashboard are given.

May import `trading.adapters` and the launcher's own files.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from actors.data_dir import DataDir
from actors.launcher_venue import Venue
from actors.processes import Child
from actors.recipes import SystemConfig
from actors.runfile import write_private
from trading.adapters.plugins import load_strategies
from trading.adapters.settings import Settings
from trading.engine.account_limits import AccountLimits
from trading.engine.matching_models import parse_latency
from trading.engine.parameters import parse
from trading.engine.strategy.registry import parse_parameters, register
from trading.model.session import Mode

ROOT = Path(__file__).resolve().parent.parent


def check_decisions(settings: Settings) -> None:
    """Refuse an unknown strategy, a bad parameter or a bad limit before anything is started. Raises: ConfigError."""
    load_strategies(register)
    parse_parameters(settings.strategy, settings.strategy_params)
    parse(AccountLimits, settings.risk_limits)
    parse_latency(settings.paper_latency_ms)


def account_of(settings: Settings, venue: Venue, session: str) -> str:
    """Name the account whose books this start keeps: money of different kinds never shares a ledger.

    Paper and live, each venue, and a replayed market have books of their own. Our own simulator forgets its accounts
    when it stops, so that live trading on it begins a new account with each session.
    """
    if settings.mode is Mode.PAPER:
        return "paper-replay" if settings.replay is not None else f"paper-{settings.venue.value}"
    return f"live-{settings.venue.value}-{session}" if venue.is_own else f"live-{settings.venue.value}"


def system_config(
    settings: Settings, data_dir: DataDir, namespace: str, session: str, database_url: str, venue: Venue
) -> SystemConfig:
    """Say everything the actors need to know."""
    return SystemConfig(
        namespace=namespace,
        account=account_of(settings, venue, session),
        session=session,
        mode=settings.mode,
        venue=settings.venue,
        database_url=database_url,
        rest_url=venue.rest,
        ws_url=venue.ws,
        api_key=venue.api_key,
        api_secret=venue.secret,
        strategy=settings.strategy,
        params=tuple(sorted(settings.strategy_params.items())),
        seed=settings.seed,
        paper_latency=parse_latency(settings.paper_latency_ms, settings.seed),
        quote_asset=settings.quote_asset,
        paper_balances=tuple(sorted(settings.paper_balances.items())),
        allocation=settings.allocation,
        limits=tuple(sorted(settings.risk_limits.items())),
        depth_interval=settings.depth_interval,
        order_rate=settings.order_rate,
        request_rate=settings.request_rate,
        ip_request_rate=settings.ip_request_rate,
        recv_window_ms=settings.recv_window_ms,
        request_timeout_s=settings.request_timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
        drain_timeout_s=settings.drain_timeout_s,
        halt_timeout_s=settings.halt_timeout_s,
        lease_ttl_s=settings.lease_ttl_s,
        orphan_policy=settings.orphan_policy,
        record_dir=str(data_dir.recordings) if settings.record else "",
        log_dir=str(data_dir.logs),
        log_level=settings.log_level,
        venue_time_scale=settings.venue_time_scale,
        paper_queue_power=settings.paper_queue_power,
    )


def child_environment() -> dict[str, str]:
    """Return the environment of children: ours, so that modules are found from anywhere, without the venue's keys."""
    environment = {name: text for name, text in os.environ.items() if name not in _KEYS}
    paths = [str(ROOT), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


_KEYS = frozenset({"MEXCBOT_API_KEY", "MEXCBOT_API_SECRET", "MEXCBOT_KEY_FILE"})


def api_child(
    config: SystemConfig,
    data_dir: DataDir,
    symbols: tuple[str, ...],
    ray_address: str,
    port: int,
    dashboard: str | None,
) -> Child:
    """Describe the API process, and write its configuration (mode 0600: the database's URL is in it)."""
    path = data_dir.path / "api.json"
    fields = {
        "host": "127.0.0.1",
        "port": port,
        "database_url": config.database_url,
        "ray_address": ray_address,
        "namespace": config.namespace,
        "account": config.account,
        "session": config.session,
        "mode": config.mode.value,
        "venue": config.venue.value,
        "quote_asset": config.quote_asset,
        "rest_url": config.rest_url,
        "control_token_file": str(data_dir.control_token_file),
        "read_token_file": str(data_dir.read_token_file),
        "dashboard_url": dashboard,
        "symbols": list(symbols),
        "log_level": config.log_level,
        "log_file": str(data_dir.logs / "api.jsonl"),
    }
    write_private(path, json.dumps(fields, indent=1) + "\n")
    command = (sys.executable, "-m", "api", "--config", str(path))
    return Child("api", command, data_dir.logs / "api.log", child_environment())


def dashboard_child(data_dir: DataDir, api_url: str, port: int) -> Child:
    """Describe the dashboard process: a client of the API that knows a token file and nothing else of us."""
    flags = {
        "server.address": "127.0.0.1",
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        "server.enableCORS": "true",
        "server.enableXsrfProtection": "true",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": "127.0.0.1",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "logger.level": "warning",
        "global.developmentMode": "false",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py")]
    command += [f"--{name}={value}" for name, value in flags.items()]
    environment = child_environment()
    environment["MEXCBOT_API"] = api_url
    environment["MEXCBOT_TOKEN_FILE"] = str(data_dir.control_token_file)
    return Child("dashboard", tuple(command), data_dir.logs / "dashboard.log", environment)
