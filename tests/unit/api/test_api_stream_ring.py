"""The ring of the stream: order, resumption, gaps, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from api.stream_hub import StreamEvent, StreamHub
from trading.model.errors import NotRunning, Refused

MS = 1_000_000


def _hub(ring: int = 8) -> StreamHub:
    return StreamHub(100 * MS, ring_events=ring, clients_max=2)


def _follow(hub: StreamHub, after: int | None) -> AsyncGenerator[StreamEvent, None]:
    async def snapshot() -> dict[str, Any]:
        return {"seq": hub.last_id}

    return hub.follow(after, snapshot)


async def _take(events: AsyncGenerator[StreamEvent, None], count: int) -> list[tuple[int, str]]:
    return [((event := await asyncio.wait_for(anext(events), 60)).id, event.kind) for _ in range(count)]


async def test_follower_gets_a_snapshot_then_every_event_in_order() -> None:
    hub = _hub()
    async with aclosing(_follow(hub, None)) as events:
        assert await _take(events, 1) == [(100, "snapshot")]
        hub.publish("order", {})
        hub.publish("fill", {})
        assert await _take(events, 2) == [(101, "order"), (102, "fill")]


async def test_follower_goes_on_after_its_last_event() -> None:
    hub = _hub()
    for kind in ("order", "fill", "alert"):
        hub.publish(kind, {})
    async with aclosing(_follow(hub, 101)) as events:
        assert await _take(events, 2) == [(102, "fill"), (103, "alert")]


async def test_follower_that_is_up_to_date_waits_for_news() -> None:
    hub = _hub()
    hub.publish("order", {})
    async with aclosing(_follow(hub, 101)) as events:
        waiting = asyncio.create_task(_take(events, 1))
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.publish("fill", {})
        assert await waiting == [(102, "fill")]


@pytest.mark.parametrize("after", [1, 99, 100, 10_000])
async def test_follower_behind_or_beyond_the_ring_is_told_of_a_gap(after: int) -> None:
    hub = _hub(ring=2)
    for _ in range(5):
        hub.publish("order", {})
    async with aclosing(_follow(hub, after)) as events:
        gap = await anext(events)
        assert (gap.kind, orjson.loads(gap.data)) == ("gap", {"after": after, "next": 105})
        assert await _take(events, 1) == [(105, "snapshot")]
    assert hub.gaps == 1


@pytest.mark.parametrize("after", [None, 1, 99, 10_000])
async def test_follower_that_leaves_before_its_snapshot_begins_anew(after: int | None) -> None:
    hub = _hub(ring=2)
    for _ in range(5):
        hub.publish("order", {})

    async def away() -> dict[str, Any]:
        raise NotRunning("the database does not answer")

    async with aclosing(hub.follow(after, away)) as events:
        told = [await anext(events) for _ in range(1 if after is None else 2)]
    assert [event.kind for event in told] == ["heartbeat"] if after is None else ["gap", "heartbeat"]
    for event in told:
        hub.publish("order", {})
        async with aclosing(_follow(hub, event.id)) as events:
            assert [kind for _, kind in await _take(events, 2)] == ["gap", "snapshot"]


async def test_slow_follower_loses_its_place_and_learns_of_it() -> None:
    hub = _hub(ring=2)
    async with aclosing(_follow(hub, None)) as events:
        await _take(events, 1)
        for _ in range(5):
            hub.publish("order", {})
        assert [kind for _, kind in await _take(events, 2)] == ["gap", "snapshot"]


async def test_forgotten_ring_is_a_gap_for_everybody() -> None:
    hub = _hub()
    hub.publish("order", {})
    async with aclosing(_follow(hub, 101)) as events:
        waiting = asyncio.create_task(_take(events, 2))
        await asyncio.sleep(0)
        hub.forget()
        assert [kind for _, kind in await waiting] == ["gap", "snapshot"]


async def test_ids_of_a_later_start_are_beyond_those_of_the_one_before() -> None:
    first = StreamHub(1_000 * MS)
    for _ in range(900):
        first.publish("order", {})
    assert StreamHub(2_000 * MS).last_id > first.last_id


async def test_closed_hub_ends_its_followers() -> None:
    hub = _hub()
    async with aclosing(_follow(hub, None)) as events:
        await _take(events, 1)
        ending = asyncio.create_task(anext(events, None))
        await asyncio.sleep(0)
        hub.close()
        assert await asyncio.wait_for(ending, 60) is None


def test_clients_are_counted_and_bounded() -> None:
    hub = _hub()
    with hub.place():
        with hub.place():
            with pytest.raises(Refused), hub.place():
                pass
            assert hub.clients == 2
        with hub.place():
            assert hub.clients == 2
    assert hub.clients == 0


async def test_follower_without_a_snapshot_is_told_why() -> None:
    hub = _hub()

    async def away() -> dict[str, Any]:
        raise NotRunning("the database does not answer")

    async with aclosing(hub.follow(None, away)) as events:
        event = await anext(events)
    assert (event.kind, orjson.loads(event.data)) == ("heartbeat", {"problems": ["the database does not answer"]})


def test_event_renders_as_server_sent_event_and_as_message() -> None:
    event = StreamEvent(7, "order", b'{"a":"x\\ny"}')
    assert event.as_sse() == b'id: 7\nevent: order\ndata: {"a":"x\\ny"}\n\n'
    assert orjson.loads(event.as_text()) == {"id": 7, "event": "order", "data": {"a": "x\ny"}}
