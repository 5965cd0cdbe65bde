"""The real parts of the API: the store and the actors' handles. May import the API, `actors.clients` and the store.

Import it only after `ray_environment.prepare`: Ray reads its environment when it is imported.
"""

from __future__ import annotations

import time

from actors import handles
from actors.clients import ExecutorHandle, SupervisorHandle, SymbolHandle
from api.config import ApiConfig
from api.ports import Dependencies, Identity
from trading.adapters.mexc.rest_public import PublicRest, PublicRestSettings
from trading.adapters.scanner import rules_for
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.reads import Reads


class Wiring:
    """Opens what the app stands on, and closes it."""

    def __init__(self, config: ApiConfig) -> None:
        url = config.database_url.get_secret_value()
        self._reads = Reads.open(url, config.account)
        self._fleet = FleetStore.open(url, config.account, config.session)
        self._rest = PublicRest(config.rest_url, settings=PublicRestSettings(connections_max=2))
        rules = rules_for(config.venue, config.quote_asset)
        self.dependencies = Dependencies(
            identity=Identity(
                config.session, config.mode.value, config.venue.value, config.symbols, handles.node_id(), rules
            ),
            reads=self._reads,
            fleet=self._fleet,
            supervisor=SupervisorHandle(),
            executor=ExecutorHandle(config.account),
            book_of=SymbolHandle,
            now_ns=time.time_ns,
            market=self._rest,
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._rest.close()
        await self._reads.close()
        await self._fleet.close()
