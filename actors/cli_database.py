"""The verbs' way to the database alone: the one named, the running embedded one, or the embedded one for a while.

May import typer, `actors.cli_api` and, when a verb runs, the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from actors.cli_api import data_dir_of
from actors.cli_output import without_none
from trading.model.errors import ConfigError

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
    if (running := EmbeddedPostgres.running_url(folder / "postgres")) is not None:
        yield running
        return
    if not is_made and not (folder / "postgres" / "cluster").exists():
        raise ConfigError(f"{folder} has no database: name another --data-dir, or --database-url")
    server = EmbeddedPostgres(folder / "postgres")
    try:
        yield server.start()
    finally:
        server.stop()
