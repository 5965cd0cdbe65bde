"""What fills the stream: one poll of fleet and journal a tick, shared by all clients. May import the API.

Runs while somebody reads along and a minute longer, so that a client which comes back finds what it missed. What could
not be read is said in the next `heartbeat`; what was committed meanwhile comes with the next tick that can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from api.fleet_view import MAX_AGE_S, FleetView
from api.ports import ChangeCursor, ReadsPort, Row
from api.stream_hub import StreamHub
from trading.adapters.telemetry import logger
from trading.model.errors import TradingError
from trading.model.session import HaltState

HEARTBEAT_S = 2.0
LINGER_S = 60.0
CHANGES_MAX = 500
# What grows by itself in a symbol's row is no news; a change of anything else is.
_VOLATILE = ("heard_ns", "frames", "bytes_in", "inbox_depth", "proven_ratio", "market")
_log = logger("api")


class StreamFeed:
    """Owned by the app: `run` is one task."""

    def __init__(self, hub: StreamHub, view: FleetView, reads: ReadsPort) -> None:
        self._hub = hub
        self._view = view
        self._reads = reads
        self._cursor = ChangeCursor()
        self._seen: dict[str, dict[str, Any]] = {}
        self._idle_since: float | None = None
        self._next_heartbeat = 0.0
        self._problems: list[str] = []
        self._is_primed = False
        self._lock = asyncio.Lock()

    async def prime(self) -> None:
        """Fix where the news begin; before a client's first snapshot, so that nothing falls in between."""
        async with self._lock:
            if not self._is_primed:
                await self._tick()
                for kind in ("symbol", "position", "risk"):
                    self._seen.setdefault(kind, {})
                self._is_primed = True

    async def run(self) -> None:
        """Tick for ever; ends by cancellation."""
        while True:
            await asyncio.sleep(MAX_AGE_S)
            if self._is_idle():
                continue
            try:
                while await self.tick():
                    continue
            except Exception as error:  # noqa: BLE001 - a bug in one tick must not end the stream for good
                _log.error("stream_tick_failed", error=f"{type(error).__name__}: {error}")
                self._problems.append("the API failed while it read the news: see its log")

    async def tick(self) -> bool:
        """Publish what is new since the last tick; True when more waits in the journal."""
        async with self._lock:
            is_more = await self._tick()
            self._is_primed = True
            return is_more

    async def _tick(self) -> bool:
        self._problems = []
        # What a booking leads to is read before the bookings and told after them: none comes before its order and fill.
        symbols = await _read(self._view.symbols())
        positions = await _read(self._view.positions())
        is_more = await self._publish_changes()
        if not is_more:
            self._publish_news("symbol", "symbol", symbols)
            self._publish_news("position", "symbol", positions)
        halt = await self._view.halt()
        self._publish_news("risk", "scope", [{"scope": "account", **halt}])
        now = asyncio.get_running_loop().time()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_S
            problems = list(dict.fromkeys([*self._problems, *self._view.problems()]))
            self._hub.publish("heartbeat", {"now_ns": self._view.now_ns(), "problems": problems})
        return is_more

    def _is_idle(self) -> bool:
        """Tell whether nobody reads along; forget where we were when that lasts."""
        now = asyncio.get_running_loop().time()
        if self._hub.clients:
            self._idle_since = None
            return False
        if self._idle_since is None:
            self._idle_since = now
        if now - self._idle_since < LINGER_S:
            return False
        if self._is_primed:
            self._is_primed = False
            self._cursor = ChangeCursor()
            self._seen = {}
            self._hub.forget()
        return True

    async def _publish_changes(self) -> bool:
        try:
            changes = await self._reads.changes(self._cursor, CHANGES_MAX)
        except TradingError as error:
            self._problems.append(str(error.args[0]) if error.args else str(error))
            return False
        if self._is_primed and self._cursor == ChangeCursor():
            # The journal could not be read when the clients came: what happened since is unknown to them.
            self._hub.forget()
        self._cursor = changes.cursor
        for kind, rows in (("order", changes.orders), ("fill", changes.fills), ("alert", changes.alerts)):
            for row in rows:
                self._hub.publish(kind, row)
        return max(len(changes.orders), len(changes.fills), len(changes.alerts)) >= CHANGES_MAX

    def _publish_news(self, kind: str, key: str, rows: Sequence[Row] | None) -> None:
        """Publish the rows that differ from the last ones published under their key; None: they could not be read."""
        if rows is None:
            return
        # The first round is what every snapshot holds already.
        is_first = kind not in self._seen
        seen = self._seen.setdefault(kind, {})
        for row in rows:
            essence = _essence(row)
            if seen.get(row[key]) != essence:
                seen[row[key]] = essence
                if not is_first:
                    self._hub.publish(kind, row)


async def _read(reading: Awaitable[Sequence[Row]]) -> Sequence[Row] | None:
    """Return the rows; None when they cannot be read now."""
    try:
        return await reading
    except TradingError:
        return None


def _essence(row: Row) -> Row:
    """Leave out what changes all the time and is no news."""
    essence = {name: value for name, value in row.items() if name not in _VOLATILE}
    if isinstance(book := essence.get("book"), dict):
        essence["book"] = {name: value for name, value in book.items() if name not in ("age_ms", "version")}
    if essence.get("state") == HaltState.ACTIVE.value:
        essence.pop("open_orders", None)  # Each order is an event of its own; the count matters to a halt.
    return essence
