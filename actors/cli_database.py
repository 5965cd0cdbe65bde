"""The verbs' way to the database alone: the one named, the running embedded one, or the embedded one for a while.

May import typer, `actors.cli_api`, `actors.data_dir` and, when a verb runs, the store.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from actors.cli_api import data_dir_of
from actors.cli_output import without_none
from actors.data_dir import DataDir
from actors.runfile import try_lock
from trading.model.errors import ConfigError, NotRunning

TURN_TIMEOUT_S = 30.0
TURN_STEP_S = 0.05
DatabaseUrl = Annotated[str | None, typer.Option("--database-url", help="Postgres (default: embedded).")]


@contextmanager
def open_database(
    data_dir: Path | None, database_url: str | None, is_made: bool, patience_s: float = TURN_TIMEOUT_S
) -> Iterator[str]:
    """Give the URL of the database: the one named, the running embedded one, or the embedded one, started for this.

    A server that another verb has started is waited for, as it ends with that verb; after `patience_s` it is used.
    is_made: an embedded database that is not there yet is made. Raises: ConfigError, NotRunning.
    """
    from trading.adapters.settings import load_settings
    from trading.adapters.store.embedded import EmbeddedPostgres

    folder = DataDir(data_dir_of(data_dir))
    settings = load_settings(without_none({"data_dir": folder.path, "database_url": database_url}))
    if settings.database_url is not None:
        yield settings.database_url
        return
    place = folder.postgres
    if not is_made and not (place / "cluster").exists():
        raise ConfigError(f"{folder.path} has no database: name another --data-dir, or --database-url")
    with ExitStack() as held:
        is_our_turn = held.enter_context(_turn(place, patience_s))
        if (running := EmbeddedPostgres.running_url(place)) is not None:
            held.close()
            yield running
            return
        if not is_our_turn:
            raise NotRunning(f"another command is at work on the database in {place}: try again when it is done")
        server = EmbeddedPostgres(place)
        held.callback(server.stop)
        yield server.start()


@contextmanager
def _turn(place: Path, patience_s: float) -> Iterator[bool]:
    """Keep other verbs from a server that this one starts; False when one is still at work. Raises: ConfigError."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / "turn").open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot use {place} for the database ({error.strerror}): choose another --data-dir")
    deadline = time.monotonic() + patience_s
    with lock:
        while not (is_ours := try_lock(lock, fcntl.LOCK_EX)) and time.monotonic() < deadline:
            time.sleep(TURN_STEP_S)
        yield is_ours
