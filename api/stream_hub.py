"""The stream's memory: one numbered ring of events, read by every client at its own pace. May import `trading.model`.

There is no queue per client: a client holds a number. One that falls behind the ring, or comes back with a number that
the ring does not hold, is told so by a `gap` and begins anew from a snapshot. Numbers are never used twice, also across
restarts: they begin at the start time in ms and grow by one an event, which is slower than time by far.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from trading.model.errors import Refused, TradingError
from trading.model.units import NS_PER_MS

RING_EVENTS = 8_192
CLIENTS_MAX = 200
# An id that no ring ever goes on from: ids begin at the start time.
NOWHERE = 0
# How often a client that got no snapshot yet is told why.
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: `data` is JSON."""

    id: int
    kind: str
    data: bytes

    def as_sse(self) -> bytes:
        """Render as a server-sent event; JSON of orjson holds no line break."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.id, self.kind.encode(), self.data)

    def as_text(self) -> str:
        """Render as a WebSocket message."""
        return f'{{"id":{self.id},"event":"{self.kind}","data":{self.data.decode()}}}'


class StreamHub:
    """Owned by the app's loop. Invariant: the ring holds consecutive ids, the last of which is `last_id`."""

    def __init__(self, now_ns: int, ring_events: int = RING_EVENTS, clients_max: int = CLIENTS_MAX) -> None:
        self.last_id = now_ns // NS_PER_MS
        self.clients = 0
        self.published = 0
        self.gaps = 0
        self._clients_max = clients_max
        self._ring: deque[StreamEvent] = deque(maxlen=ring_events)
        self._news = asyncio.Event()
        self._is_closed = False

    def publish(self, kind: str, data: Any) -> None:
        """Append an event and wake every client."""
        self.last_id += 1
        self.published += 1
        self._ring.append(StreamEvent(self.last_id, kind, orjson.dumps(data)))
        self._wake()

    def forget(self) -> None:
        """Drop the ring: nobody read along, so what comes next does not follow from it."""
        self._ring.clear()
        self.last_id += 1
        self._wake()

    def close(self) -> None:
        """End every client's stream."""
        self._is_closed = True
        self._wake()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a client's place, from before its first byte to its end. Raises: Refused when all are taken."""
        if self.clients >= self._clients_max:
            raise Refused(f"{self._clients_max} stream clients are connected already: close one first")
        self.clients += 1
        try:
            yield
        finally:
            self.clients -= 1

    async def follow(
        self, after_id: int | None, snapshot: Callable[[], Awaitable[dict[str, Any]]]
    ) -> AsyncGenerator[StreamEvent, None]:
        """Yield events after `after_id`, for ever; None begins with a snapshot. Ends when the hub closes.

        What comes before a snapshot bears an id after which nothing goes on, so that a client which leaves there
        begins anew: the id that the ring does not hold any more, or `NOWHERE`.
        """
        position, nowhere = after_id, NOWHERE
        while not self._is_closed:
            if position is None or not self._holds_after(position):
                if position is not None:
                    self.gaps += 1
                    nowhere = position if position < self.last_id else NOWHERE
                    yield StreamEvent(nowhere, "gap", orjson.dumps({"after": position, "next": self.last_id}))
                    position = None
                try:
                    whole = await snapshot()
                except TradingError as error:
                    yield StreamEvent(nowhere, "heartbeat", orjson.dumps({"problems": [str(error)]}))
                    await asyncio.sleep(RETRY_S)
                    continue
                position = int(whole["seq"])
                yield StreamEvent(position, "snapshot", orjson.dumps(whole))
                continue  # The ring may have moved on while the client took it.
            for event in self._after(position):
                yield event
                position = event.id
            if position == self.last_id and not self._is_closed:
                await self._news.wait()

    def _holds_after(self, position: int) -> bool:
        """Tell whether everything after `position` is in the ring (also when that is nothing yet)."""
        oldest = self._ring[0].id if self._ring else self.last_id + 1
        return oldest - 1 <= position <= self.last_id

    def _after(self, position: int) -> list[StreamEvent]:
        count = min(self.last_id - position, len(self._ring))
        return list(islice(self._ring, len(self._ring) - count, None))

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
