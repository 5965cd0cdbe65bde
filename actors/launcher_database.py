"""The database of a start: the embedded server or one given by its URL, brought to the newest schema.

May import `trading.adapters.store` and the launcher's own files.
"""

from __future__ import annotations

import time

from actors.data_dir import DataDir
from trading.adapters.settings import Settings
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.model.errors import ConfigError, NotRunning

# A server that does not come up is tried again, but not at the pace of the launcher's loop.
RETRY_S = 5.0


class LauncherDatabase:
    """Owned by the launcher, used on the main thread."""

    def __init__(self, settings: Settings, data_dir: DataDir) -> None:
        self._url = settings.database_url
        self._server = EmbeddedPostgres(data_dir.postgres) if self._url is None else None
        self._is_started = False
        self._retry_at = 0.0

    def start(self) -> str:
        """Return the URL of a database that answers and has our schema.

        Raises: NotRunning within 5 s when it is out of reach; ConfigError when its server, schema or folder is not fit.
        """
        url = self._server.start() if self._server is not None else str(self._url)
        # Alembic and SQLAlchemy are most of what the launcher loads: it does that while the server comes up.
        from trading.adapters.store.migrations import migrate

        migrate(url)
        self._is_started = True
        return url

    def keep(self) -> str | None:
        """Start the embedded server again when it died; return a sentence when it did."""
        if self._server is None or not self._is_started or self._server.is_alive():
            return None
        if time.monotonic() < self._retry_at:
            return None
        try:
            self._server.start()
        except (ConfigError, NotRunning) as error:
            self._retry_at = time.monotonic() + RETRY_S
            return f"the database died and did not start again: {error}"
        return f"the database died and was started again (pid {self._server.pid})"

    def stop(self) -> None:
        """Stop the embedded server; idempotent."""
        if self._server is not None:
            self._server.stop()
