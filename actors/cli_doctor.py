"""What `mexcbot doctor` looks at. Changes nothing, starts nothing. May import the settings, psutil and the store."""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.data_dir import VERSION, DataDir
from actors.launcher_venue import joined_venue, read_instruments, requested_symbols
from actors.processes import check_port
from trading.adapters.settings import Settings, load_settings
from trading.model.errors import TradingError
from trading.model.session import Mode, VenueName

FREE_BYTES_MIN = 1_000_000_000
# Five symbols take about 1.5 GiB in all, each further one about 75 MiB (issue 2, targets).
BASE_MIB = 1_150
SYMBOL_MIB = 75
# What people ask next: how it would be with more.
MANY_SYMBOLS = (10, 50, 200, 500)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `detail` is a sentence; when not ok it says what to do. `values`: its figures, for programs."""

    name: str
    ok: bool
    detail: str
    values: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Render for --json."""
        body: dict[str, Any] = {"name": self.name, "ok": self.ok, "detail": self.detail}
        return {**body, "values": dict(self.values)} if self.values else body


def examine(data_dir: Path) -> tuple[Check, ...]:
    """Run every check. Raises: ConfigError when the settings themselves are wrong."""
    settings = load_settings({"data_dir": data_dir})
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("python", lambda _: f"{platform.python_version()} on {sys.platform}, {os.cpu_count()} cores"),
        ("memory", _memory),
        ("data directory", _data_dir),
        ("API port", lambda it: _port(it.api_port, "--api-port", it)),
        ("database", _database),
        ("venue", _venue),
        ("live trading", _live),
        ("request budget", _budget),
    ]
    if settings.dashboard:
        checks.insert(4, ("dashboard port", lambda it: _port(it.dashboard_port, "--dashboard-port", it)))
    return tuple(_run(name, check, settings) for name, check in checks)


def _run(name: str, check: Callable[[Settings], str], settings: Settings) -> Check:
    try:
        return Check(name, True, check(settings), _budget_values(settings) if check is _budget else {})
    except TradingError as error:
        return Check(name, False, str(error.args[0]))


def _symbols(settings: Settings) -> int:
    return len(requested_symbols(settings)) or settings.count or 1


def _memory(settings: Settings) -> str:
    import psutil

    free = psutil.virtual_memory().available // 2**20
    need = BASE_MIB + SYMBOL_MIB * _symbols(settings)
    if free < need:
        raise TradingError(f"{free} MiB are free, {need} MiB are needed for {_symbols(settings)} symbols: trade fewer")
    return f"{free} MiB free, about {need} MiB needed for {_symbols(settings)} symbols"


def _data_dir(settings: Settings) -> str:
    folder = DataDir(settings.data_dir)
    if not folder.path.exists():
        return f"{folder.path} will be made"
    if not os.access(folder.path, os.W_OK):
        raise TradingError(f"{folder.path} cannot be written: choose another --data-dir")
    found = folder.remembered("version")
    if found not in ("", str(VERSION)):
        raise TradingError(f"{folder.path} is of version {found[:20]!r}, expected {VERSION}: choose another --data-dir")
    if (free := shutil.disk_usage(folder.path).free) < FREE_BYTES_MIN:
        raise TradingError(f"only {free // 10**6} MB are free at {folder.path}: make room")
    return f"{folder.path}{', in use by a running instance' if _is_locked(folder.path / 'lock') else ''}"


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _port(port: int, flag: str, settings: Settings) -> str:
    if _is_locked(settings.data_dir / "lock"):
        return f"{port}: not tried, an instance runs in {settings.data_dir}"
    return f"{check_port(port, flag)} is free"


def _database(settings: Settings) -> str:
    from trading.adapters.store.database import Database
    from trading.adapters.store.server_processes import binaries, choose_run_as

    if settings.database_url is None:
        choose_run_as(binaries() / "postgres")
        return f"embedded, {binaries()}"
    database = Database(settings.database_url, "doctor")

    async def check() -> None:
        try:
            await database.check()
        finally:
            await database.close()

    asyncio.run(check())
    return "the server answers and keeps what it commits"


def _venue(settings: Settings) -> str:
    if settings.venue_urls() is None:
        return "our own simulator"
    venue = joined_venue(settings)
    instruments = asyncio.run(read_instruments(venue))
    tradable = sum(item.exclusion is None for item in instruments.values())
    return f"{venue.rest} answers: {tradable} of {len(instruments)} symbols can be traded"


def _live(settings: Settings) -> str:
    if settings.mode is Mode.PAPER:
        return "off (mode paper)"
    if settings.venue is VenueName.SIM:
        return "on, against a simulator"
    settings.check_start()
    return "ARMED: orders go to MEXC"


def _budget(settings: Settings) -> str:
    """Say how often each symbol can move a quote, now and with more symbols (design.md §5)."""
    count = _symbols(settings)
    more = ", ".join(f"with {many} {_pace(settings, many)}" for many in MANY_SYMBOLS if many > count)
    return (
        f"{settings.order_rate:g} orders and cancels/s: "
        f"each of {count} symbols can move a quote {_pace(settings, count)}"
        f"{f' ({more})' if more else ''}"
    )


def _budget_values(settings: Settings) -> dict[str, float]:
    count = _symbols(settings)
    return {"symbols": count, "requotes_per_symbol_per_s": round(sustainable_requotes(settings, count), 6)}


def sustainable_requotes(settings: Settings, count: int) -> float:
    """Return how many re-quotes a second each of `count` symbols has for ever: a cancel and a place are two requests of
    the account's order budget and of its request budget.
    """
    return min(settings.order_rate, settings.request_rate) / 2 / count


def _pace(settings: Settings, count: int) -> str:
    each = sustainable_requotes(settings, count)
    return f"{each:.3g}x a second" if each >= 1 else f"once in {1 / each:.3g} s"
