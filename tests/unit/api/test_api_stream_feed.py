"""What the stream tells, and in which order."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from api.ports import ChangeCursor, Row
from api.stream_feed import StreamFeed
from api.stream_hub import StreamHub
from tests.unit.api.view_parts import Parts, view_of
from trading.adapters.store.pages import Changes


class BookingBetween(Parts):
    """An empty fleet for which one fill is booked after the first read of a round, whatever is read first."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer.set()
        self.reads = 0
        self.is_due = self.is_booked = self.is_told = False

    async def positions(self) -> tuple[Row, ...]:
        rows: tuple[Row, ...] = ({"symbol": "BTCUSDT", "qty": "1", "cost": "100"},) if self.is_booked else ()
        self.is_booked = self.is_booked or self.is_due
        return rows

    async def changes(self, after: ChangeCursor, limit: int) -> Changes:
        is_news = self.is_booked and not self.is_told
        self.is_told = self.is_told or is_news
        self.is_booked = self.is_booked or self.is_due
        row = {"client_order_id": "o1"}
        return (
            Changes(ChangeCursor(1, 1, 1), (row,), (row,), ())
            if is_news
            else Changes(ChangeCursor(1, 1, 1), (), (), ())
        )


async def test_position_is_told_after_the_order_and_the_fill_that_made_it() -> None:
    parts: Any = BookingBetween()
    view = view_of(parts, read_age_s=0.0)
    hub = StreamHub(1, ring_events=32, clients_max=2)
    feed = StreamFeed(hub, view, parts)
    await feed.prime()

    async def snapshot() -> dict[str, Any]:
        return {"seq": hub.last_id}

    async with aclosing(hub.follow(None, snapshot)) as events:
        assert (await anext(events)).kind == "snapshot"
        parts.is_due = True
        for _ in range(3):
            await feed.tick()
        kinds = [(await anext(events)).kind for _ in range(3)]
    assert kinds == ["order", "fill", "position"]
