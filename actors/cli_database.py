"""The verbs' way to the database alone: the one named, the running embedded one, or the embedded one for a while.

May import typer, `actors.cli_api` and, when a verb runs, the store.
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
from trading.model.errors import ConfigError

TURN_TIMEOUT_S = 30.0
TURN_STEP_S = 0.05
DatabaseUrl = Annotated[str | None, typer.Option("--database-url", help="Postgres (default: embedded).")]


@contextmanager
def open_database(data_dir: Path | None, database_url: str | None, is_made: bool) -> Iterator[str]:
    """Give the URL of the database: the one named, the running embedded one, or the embedded one, started for this.

    is_made: an embedded database that is not there yet is made. Raises: ConfigError, NotRunning.
    """
    from trading.adapters.settings import load_settings
    from trading.adapters.store.embedded import EmbeddedPostgres

    folder = data_dir_of(data_dir)
    settings = load_settings(without_none({"data_dir": folder, "database_url": database_url}))
    if settings.database_url is not None:
        yield settings.database_url
        return
    place = folder / "postgres"
    if not is_made and not (place / "cluster").exists():
        raise ConfigError(f"{folder} has no database: name another --data-dir, or --database-url")
    with ExitStack() as held:
        held.enter_context(_turn(place))
        if (running := EmbeddedPostgres.running_url(place)) is not None:
            held.close()
            yield running
            return
        server = EmbeddedPostgres(place)
        held.callback(server.stop)
        yield server.start()


@contextmanager
def _turn(place: Path) -> Iterator[None]:
    """Keep other verbs from a server that this one starts, and will end while they read. Raises: ConfigError."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / "turn").open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot use {place} for the database ({error.strerror}): choose another --data-dir")
    deadline = time.monotonic() + TURN_TIMEOUT_S
    with lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigError(
                        f"another command is at work in the database of {place}: try again when it is done"
                    )
            time.sleep(TURN_STEP_S)
        yield
