"""What a market stream does about misbehaviour that the simulator does not know: a small real server shows it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from http import HTTPStatus
from itertools import pairwise

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from trading.adapters.clock import SystemClock
from trading.adapters.mexc.market_connection import (
    FrameInbox,
    MarketConnection,
    MarketStreamSettings,
    Signal,
    StreamCounters,
)
from trading.adapters.mexc.market_stream import MarketStream
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.topics import market_topics, read_control
from trading.model.errors import InvariantViolated, RateLimited
from trading.model.instrument import Instrument
from trading.model.market import BookDelta, FeedAlive, FeedConnected, FeedDisconnected, MarketEvent, MarketTrade

ZERO = Decimal(0)
INSTRUMENT = Instrument("XUSDT", "X", "USDT", Decimal("0.01"), Decimal("0.1"), ZERO, Decimal(1), ZERO, ZERO, ZERO)
TOPICS = market_topics("XUSDT", "100ms")
Handler = Callable[[ServerConnection], Awaitable[None]]


def depth_frame(version: int) -> bytes:
    push = pb.PushDataV3ApiWrapper(channel=TOPICS[0], symbol="XUSDT", sendTime=5)
    push.publicAggreDepths.fromVersion = push.publicAggreDepths.toVersion = str(version)
    push.publicAggreDepths.bids.add(price="1", quantity="1")
    return push.SerializeToString()


def deals_frame(at_ms: int) -> bytes:
    push = pb.PushDataV3ApiWrapper(channel=TOPICS[1], symbol="XUSDT", sendTime=at_ms)
    push.publicAggreDeals.deals.add(price="1", quantity="1", tradeType=1, time=at_ms)
    return push.SerializeToString()


async def acknowledge(socket: ServerConnection) -> None:
    request = orjson.loads(await socket.recv())
    await socket.send(orjson.dumps({"id": 1, "code": 0, "msg": ",".join(reversed(request["params"]))}).decode())


class Recorded:
    """A tap and a sink that remember."""

    def __init__(self) -> None:
        self.events: list[MarketEvent] = []
        self.frames: list[bytes] = []
        self.lost: list[str] = []

    def on_frame(self, recv_ts_ns: int, payload: bytes) -> None:
        self.frames.append(payload)

    def on_lost(self, recv_ts_ns: int, reason: str) -> None:
        self.lost.append(reason)

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 — conditions of other tasks, without an event
                await asyncio.sleep(0.01)

    def trades(self) -> list[int]:
        return [event.exch_ts_ns // 1_000_000 for event in self.events if isinstance(event, MarketTrade)]

    def kinds(self) -> list[type[MarketEvent]]:
        return [type(event) for event in self.events]


@asynccontextmanager
async def streaming(handler: Handler, **settings: float | int | str) -> AsyncIterator[tuple[MarketStream, Recorded]]:
    recorded = Recorded()
    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        stream = MarketStream(
            f"ws://127.0.0.1:{port}/ws",
            INSTRUMENT,
            MarketStreamSettings(backoff_min_s=0.02, **settings),  # type: ignore[arg-type]
            SystemClock(),
            random.Random(5),
            recorded,
        )
        task = asyncio.create_task(stream.run(recorded.events.append))
        try:
            yield stream, recorded
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_market_stream_is_connected_only_when_every_topic_is_acknowledged() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(orjson.dumps({"id": 1, "code": 0, "msg": ",".join(TOPICS[:2])}).decode())
        await socket.send(depth_frame(1))
        await asyncio.sleep(0.2)
        await socket.send(orjson.dumps({"id": 1, "code": 0, "msg": TOPICS[2]}).decode())
        await socket.wait_closed()

    async with streaming(handler) as (stream, recorded):
        await recorded.until(lambda: len(recorded.events) >= 2)
        assert recorded.kinds() == [BookDelta, FeedConnected], "pushes before the last acknowledgement are not lost"
        assert recorded.frames == [depth_frame(1)]
        assert stream.counters.connections == 1


async def test_market_stream_topic_never_acknowledged_ends_the_connection() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.wait_closed()

    async with streaming(handler, ack_timeout_s=0.2, ping_interval_s=0.2) as (stream, recorded):
        await recorded.until(lambda: stream.counters.losses >= 2)
        assert "not acknowledged" in stream.last_fault
        assert recorded.kinds() == [FeedDisconnected], "told once, however many attempts fail"
        assert recorded.lost == [stream.last_fault]


async def test_market_stream_answers_pongs_as_signs_of_life_and_a_dead_line_as_a_stall() -> None:
    async def handler(socket: ServerConnection) -> None:
        await acknowledge(socket)
        for _ in range(2):
            assert orjson.loads(await socket.recv()) == {"method": "PING"}
            await socket.send('{"id":0,"code":0,"msg":"PONG"}')
        await socket.wait_closed()

    async with streaming(handler, ping_interval_s=0.1, stall_timeout_s=2.0) as (stream, recorded):
        await recorded.until(lambda: stream.counters.losses >= 1)
        assert recorded.kinds()[:4] == [FeedConnected, FeedAlive, FeedAlive, FeedDisconnected]
        assert stream.last_fault.startswith("stalled: nothing came for")


async def test_market_stream_inbox_overflow_is_a_loss_and_a_new_start_on_the_same_line() -> None:
    async def handler(socket: ServerConnection) -> None:
        await acknowledge(socket)
        for version in range(1, 500):
            await socket.send(depth_frame(version))
        await socket.wait_closed()

    async with streaming(handler, inbox_max=20) as (stream, recorded):
        # A loop that is busy elsewhere for a while: the frames wait in the socket and then come all at once.
        await recorded.until(lambda: stream.counters.connections == 1)
        end = asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < end:
            pass
        await recorded.until(lambda: bool(recorded.events) and stream.counters.frames >= 499 and not stream.inbox_depth)
        assert stream.counters.overflows > 0
        assert stream.counters.inbox_high <= 22
        assert stream.counters.connections == 1
        kinds = recorded.kinds()
        places = [place for place, kind in enumerate(kinds) if kind is FeedDisconnected]
        assert places
        assert all(kinds[place + 1] is FeedConnected for place in places)
        last = recorded.events[-1]
        assert isinstance(last, BookDelta)
        assert last.to_version == 499
        versions = [event.to_version if isinstance(event, BookDelta) else None for event in recorded.events]
        for before, after in pairwise(versions):
            assert before is None or after is None or after == before + 1, "nothing is dropped without being told"


async def test_market_stream_pause_between_attempts_is_bounded_and_jittered() -> None:
    attempts: list[float] = []

    async def handler(socket: ServerConnection) -> None:
        attempts.append(asyncio.get_running_loop().time())
        await socket.close()

    async with streaming(handler, backoff_max_s=0.2) as (_, recorded):
        await recorded.until(lambda: len(attempts) >= 9)
    gaps = [after - before for before, after in pairwise(attempts)]
    # No pause is shorter than half of what it may be at most; how much longer it takes is the machine's affair.
    assert all(gap > 0.5 * min(0.2, 0.02 * 2**place) - 0.005 for place, gap in enumerate(gaps))
    assert min(gaps[-4:]) < 5
    assert len({round(gap, 4) for gap in gaps[-4:]}) > 1


async def test_market_stream_rollover_tells_no_trade_twice_and_goes_on_with_the_next() -> None:
    opened: list[int] = []

    async def handler(socket: ServerConnection) -> None:
        opened.append(len(opened))
        number = opened[-1]
        await acknowledge(socket)
        if number == 0:
            await socket.send(deals_frame(5))
        elif number == 1:
            await asyncio.wait_for(switched.wait(), 60)
            for at_ms in (5, 6):
                await socket.send(deals_frame(at_ms))
        await socket.wait_closed()

    switched = asyncio.Event()
    async with streaming(handler, rollover_s=0.3, rollover_overlap_s=0.1, ping_interval_s=0.2) as (stream, recorded):
        await recorded.until(lambda: stream.counters.rollovers == 1)
        switched.set()
        await recorded.until(lambda: recorded.trades()[-1:] == [6])
        assert recorded.trades() == [5, 6]
        assert recorded.frames == [deals_frame(5), deals_frame(6)], "a replay hears what the engine heard"
        assert FeedDisconnected not in recorded.kinds()


def test_market_stream_connection_with_more_topics_than_the_venue_allows_is_a_bug() -> None:
    topics = tuple(f"spot@x@{number}" for number in range(31))
    with pytest.raises(InvariantViolated, match="at most 30 topics"):
        MarketConnection("ws://x", topics, MarketStreamSettings(), SystemClock(), StreamCounters(), None)


async def test_market_stream_sink_that_raises_ends_the_stream() -> None:
    async def handler(socket: ServerConnection) -> None:
        await acknowledge(socket)
        await socket.wait_closed()

    def broken(event: MarketEvent) -> None:
        raise ZeroDivisionError

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        stream = MarketStream(
            f"ws://127.0.0.1:{port}/ws", INSTRUMENT, MarketStreamSettings(), SystemClock(), random.Random(5)
        )
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(stream.run(broken), 60)
    assert len(asyncio.all_tasks()) == 1


async def test_market_stream_waits_for_its_pace_before_each_connect() -> None:
    paced: list[int] = []

    async def handler(socket: ServerConnection) -> None:
        await socket.close()

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        async def pace() -> None:
            paced.append(stream.counters.connections)

        stream = MarketStream(
            f"ws://127.0.0.1:{port}/ws",
            INSTRUMENT,
            MarketStreamSettings(backoff_min_s=0.01),
            SystemClock(),
            random.Random(5),
            pace=pace,
        )
        task = asyncio.create_task(stream.run(lambda event: None))
        await Recorded().until(lambda: stream.counters.connections >= 3)
        task.cancel()
        await asyncio.wait({task})
    assert paced[:3] == [0, 1, 2]


def test_market_stream_inbox_overflow_keeps_the_word_that_the_line_is_live() -> None:
    inbox = FrameInbox(3, StreamCounters())
    for item in (b"a", Signal.LIVE, b"b", b"c"):
        inbox.put(1, item)
    assert [inbox.take() for _ in range(4)] == [(1, Signal.LIVE), (1, Signal.OVERFLOW), (1, b"c"), None]


@pytest.mark.parametrize(
    ("message", "accepted", "rejected"),
    [
        ("a,b", {"a", "b"}, set()),
        ("b", {"b"}, set()),
        ("Not Subscribed successfully! [a,b].  Reason： Blocked! ", set(), {"a", "b"}),
        ("Subscribed successful! [a]. Not Subscribed successfully! [b].  Reason： Blocked! ", {"a"}, {"b"}),
        ("Not Subscribed successfully! [].  Reason： Blocked! ", set(), set()),
        ("no subscription success", set(), {"a", "b"}),
        ("msg format invalid: x", set(), {"a", "b"}),
        ("PONG", set(), set()),
    ],
)
def test_market_stream_topic_is_live_only_in_the_accepted_part(
    message: str, accepted: set[str], rejected: set[str]
) -> None:
    answer = read_control(orjson.dumps({"id": 0, "code": 0, "msg": message}).decode(), ["a", "b"])
    assert (set(answer.accepted), set(answer.rejected)) == (accepted, rejected)
    assert answer.is_pong is (message == "PONG")


@pytest.mark.parametrize(("status", "retry_after", "pause_s"), [(429, "7", 7.0), (429, None, 1.0), (403, None, 90.0)])
async def test_market_stream_connect_that_the_venue_refuses_is_told_to_the_whole_address(
    status: int, retry_after: str | None, pause_s: float
) -> None:
    told: list[RateLimited] = []
    granted = 0

    def refuse(socket: ServerConnection, request: Request) -> Response:
        response = socket.respond(HTTPStatus(status), "<html>no</html>")
        if retry_after is not None:
            response.headers["Retry-After"] = retry_after
        return response

    async def pace() -> None:
        nonlocal granted
        granted += 1
        if told:
            await asyncio.Event().wait()  # the node holds this one back

    async def on_refused(error: RateLimited) -> None:
        told.append(error)

    async def handler(socket: ServerConnection) -> None:
        raise AssertionError("nobody is let in")

    async with serve(handler, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        recorded = Recorded()
        stream = MarketStream(
            f"ws://127.0.0.1:{port}/ws", INSTRUMENT, MarketStreamSettings(backoff_min_s=0.01), SystemClock(),
            random.Random(1), recorded, pace, on_refused,
        )  # fmt: skip
        task = asyncio.create_task(stream.run(recorded.events.append))
        await recorded.until(lambda: granted == 2)
        task.cancel()
        await asyncio.wait({task})
    assert [error.retry_after_s for error in told] == [pause_s]
    assert str(status) in stream.last_fault
