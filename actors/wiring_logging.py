"""Sets up an actor's log inside its worker: one JSON file an actor. May import `trading.adapters.telemetry`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from actors.recipes import SystemConfig
from trading.adapters.telemetry import LogSettings, set_up_logging
from trading.model.errors import ConfigError

Level = Literal["debug", "info", "warning", "error"]


def log_to_file(config: SystemConfig, name: str) -> None:
    """Write this actor's log to `<log_dir>/<name>.jsonl`; on a node where that cannot be, to the worker's stderr.

    name: of the actor; signs that a file name must not hold become "-".
    """
    level = cast(Level, config.log_level)
    file_name = "".join(sign if sign.isalnum() or sign in "-_.()" else "-" for sign in name)
    try:
        path = Path(config.log_dir)
        path.mkdir(parents=True, exist_ok=True)
        set_up_logging(LogSettings(level=level, file=path / f"{file_name}.jsonl", console="off"))
    except (OSError, ConfigError):
        set_up_logging(LogSettings(level=level, console="json"))
