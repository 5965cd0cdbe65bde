"""The real parts of the API: the store and the actors' handles. May import the API, `actors.clients` and the store.

Import it only after `ray_environment.prepare`: Ray reads its environment when it is imported.
"""

from __future__ import annotations

import time

from actors.clients import ExecutorHandle, SupervisorHandle, SymbolHandle
from api.config import ApiConfig
from api.ports import Dependencies, Identity
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.reads import Reads


class Wiring:
    """Opens what the app stands on, and closes it."""

    def __init__(self, config: ApiConfig) -> None:
        url = config.database_url.get_secret_value()
        self._reads = Reads.open(url, config.account)
        self._fleet = FleetStore.open(url, config.account, config.session)
        self.dependencies = Dependencies(
            identity=Identity(config.session, config.mode.value, config.venue.value, config.symbols),
            reads=self._reads,
            fleet=self._fleet,
            supervisor=SupervisorHandle(),
            executor=ExecutorHandle(config.account),
            book_of=SymbolHandle,
            now_ns=time.time_ns,
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._reads.close()
        await self._fleet.close()
