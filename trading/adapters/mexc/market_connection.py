"""One public socket of one symbol: subscribe, check, keep alive, stamp, hand over. No decoding and no decision here.

May import websockets, `trading.model` and the topics. Rules of the venue: mexc-protocol §1.1 to §1.4 (read 2026-11-22).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from trading.adapters.clock import Clock
from trading.adapters.mexc.errors import connect_refusal
from trading.adapters.mexc.line_watch import LineWatch
from trading.adapters.mexc.topics import DEALS, DEPTH, PING, TOPICS_MAX, read_control, subscription
from trading.model.errors import InvariantViolated, RateLimited
from trading.model.units import NS_PER_S

_DEPTH_PREFIX = DEPTH.encode()
_DEALS_PREFIX = DEALS.encode()
_FRAME_BYTES_MAX = 1 << 20
PING_MIN_S = 0.25
# Frames that websockets holds before it stops reading. Our reader empties it at once: it bounds a blocked loop.
_FRAMES_QUEUED_MAX = 1_024


@dataclass(frozen=True, slots=True)
class MarketStreamSettings:
    """Durations in seconds.

    Attributes:
        interval: "10ms" or "100ms", the pace of the three streams.
        open_timeout_s, ack_timeout_s: bounds of one attempt.
        ping_interval_s: the venue drops a silent line after 60 s.
        stall_timeout_s: nothing at all came for so long, not even the answer to a PING: the line is dead.
        silence_factor, silence_min_s, silence_frames_min: on a connection that had so many frames, data has been gone
            for this many times their mean gap, and for this time at least, though PINGs are answered: the venue has
            forgotten our subscription.
        rollover_s, rollover_overlap_s: a second connection takes over before the venue ends the first at 24 h; both run
            for the overlap, so that the version chain does not break.
        backoff_min_s, backoff_max_s: pause after a loss, doubled each time; healthy_after_s live ends the doubling.
        inbox_max: frames that may wait for the engine (a minute of a busy symbol).
    """

    interval: str = "100ms"
    open_timeout_s: float = 5.0
    ack_timeout_s: float = 10.0
    ping_interval_s: float = 15.0
    stall_timeout_s: float = 25.0
    silence_factor: float = 50.0
    silence_min_s: float = 15.0
    silence_frames_min: int = 200
    rollover_s: float = 84_600.0
    rollover_overlap_s: float = 1.0
    backoff_min_s: float = 0.25
    backoff_max_s: float = 30.0
    healthy_after_s: float = 5.0
    inbox_max: int = 8_192

    def scaled(self, time_scale: float) -> MarketStreamSettings:
        """Shorten what answers the venue's own rules, PINGs and rollover, by `time_scale`; PINGs stay below 4/s."""
        ping_s = min(self.ping_interval_s, max(PING_MIN_S, self.ping_interval_s / time_scale))
        return replace(self, ping_interval_s=ping_s, rollover_s=self.rollover_s / time_scale)


class Signal(Enum):
    """What the reader tells between frames."""

    LIVE = auto()  # every topic is acknowledged
    ALIVE = auto()  # the venue answered a PING
    OVERFLOW = auto()  # frames were dropped before this point


Item = tuple[int, bytes | Signal]


@dataclass(slots=True)
class StreamCounters:
    """What happened since the start, over all connections of one stream."""

    frames: int = 0
    bytes_in: int = 0
    texts: int = 0
    connections: int = 0
    losses: int = 0
    rollovers: int = 0
    overflows: int = 0
    inbox_high: int = 0


class FrameInbox:
    """Frames on their way from the reader to the engine, with the time of their arrival. Bounded by `limit`."""

    def __init__(self, limit: int, counters: StreamCounters) -> None:
        self._items: deque[Item] = deque()
        self._limit = limit
        self._counters = counters
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, recv_ts_ns: int, what: bytes | Signal) -> None:
        """Append. When full, all is dropped for one OVERFLOW: the rest of a broken chain is worth nothing."""
        items, counters = self._items, self._counters
        if len(items) >= self._limit:
            # LIVE must survive, or nobody would ever know that the topics are acknowledged.
            was_live = any(item[1] is Signal.LIVE for item in items)
            items.clear()
            counters.overflows += 1
            if was_live:
                items.append((recv_ts_ns, Signal.LIVE))
            items.append((recv_ts_ns, Signal.OVERFLOW))
        items.append((recv_ts_ns, what))
        counters.inbox_high = max(counters.inbox_high, len(items))
        self._ready.set()

    def take(self) -> Item | None:
        """Remove and return the oldest; None when empty."""
        return self._items.popleft() if self._items else None

    def keep_depth_only(self) -> None:
        """Drop all frames but depth: the other connection has told the rest already."""
        self._items = deque(item for item in self._items if isinstance(item[1], Signal) or is_depth_frame(item[1]))

    def wake(self) -> None:
        """Let `wait` return though nothing came."""
        self._ready.set()

    async def wait(self) -> None:
        """Wait until something came since the last wait, or `wake` was called."""
        await self._ready.wait()
        self._ready.clear()


class ConnectionLost(Exception):
    """This connection is of no use any more; the text says why."""


class MarketConnection:
    """One socket from opening to its end. Owned by a `MarketStream`."""

    def __init__(
        self,
        url: str,
        topics: tuple[str, ...],
        settings: MarketStreamSettings,
        clock: Clock,
        counters: StreamCounters,
        pace: Callable[[], Awaitable[None]] | None,
        on_refused: Callable[[RateLimited], Awaitable[None]] | None = None,
    ) -> None:
        if len(topics) > TOPICS_MAX:
            # The venue would refuse the surplus and go on: static books, still traded on (field-notes, case 2).
            raise InvariantViolated(f"expected at most {TOPICS_MAX} topics a connection, was {len(topics)}")
        self._url = url
        self._topics = topics
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._pace = pace
        self._on_refused = on_refused
        self._pending = set(topics)
        self._frames = 0
        self._given_up = ""
        self._opened_ns = self._heard_ns = self._data_ns = clock.monotonic_ns()
        self.inbox = FrameInbox(settings.inbox_max, counters)
        self.live_since_ns = 0
        """Monotonic time of the last acknowledgement that was missing; 0 before."""

    @property
    def age_s(self) -> float:
        """Seconds since the socket was opened."""
        return (self._clock.monotonic_ns() - self._opened_ns) / NS_PER_S

    def give_up(self, reason: str) -> None:
        """End it, within a second, because whoever reads it finds it worthless."""
        self._given_up = reason

    async def run(self) -> None:
        """Open, subscribe and read until it ends, which is always a ConnectionLost."""
        try:
            if self._pace is not None:
                await self._pace()
            async with connect(
                self._url,
                open_timeout=self._settings.open_timeout_s,
                close_timeout=0.5,  # a flooded connection takes all of it, and nobody waits for the farewell
                ping_interval=None,  # the venue wants its own JSON PING; frames of RFC 6455 prove nothing there
                compression=None,
                proxy=None,
                max_size=_FRAME_BYTES_MAX,
                max_queue=_FRAMES_QUEUED_MAX,
            ) as socket:
                self._counters.connections += 1
                self._opened_ns = self._heard_ns = self._data_ns = self._clock.monotonic_ns()
                await socket.send(subscription(self._topics, 1))
                await self._serve(socket)
        except (OSError, TimeoutError, WebSocketException) as error:
            refusal = connect_refusal(error)
            if refusal is not None and self._on_refused is not None:
                await self._on_refused(refusal)
            raise ConnectionLost(f"{type(error).__name__}: {error}".rstrip(": "))
        finally:
            self.inbox.wake()

    async def _serve(self, socket: ClientConnection) -> None:
        """Read and watch until one of both ends; the other is stopped."""
        parts = (asyncio.create_task(self._read(socket)), asyncio.create_task(self._watch(socket)))
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
        for part in done:
            part.result()
        raise ConnectionLost("closed by the venue")

    async def _read(self, socket: ClientConnection) -> None:
        """Stamp and hand over; nothing else happens between two frames."""
        now_ns, monotonic_ns, put, counters = (
            self._clock.now_ns,
            self._clock.monotonic_ns,
            self.inbox.put,
            self._counters,
        )
        async for frame in socket:
            recv_ts_ns = now_ns()
            self._heard_ns = monotonic_ns()
            if isinstance(frame, str):
                self._on_text(frame, recv_ts_ns)
                continue
            self._data_ns = self._heard_ns
            self._frames += 1
            counters.frames += 1
            counters.bytes_in += len(frame)
            put(recv_ts_ns, frame)

    def _on_text(self, text: str, recv_ts_ns: int) -> None:
        self._counters.texts += 1
        answer = read_control(text, self._pending)
        if answer.is_pong:
            self.inbox.put(recv_ts_ns, Signal.ALIVE)
            return
        if answer.rejected:
            raise ConnectionLost(f"subscription refused: {', '.join(sorted(answer.rejected))} ({answer.text[:200]})")
        if self._pending and answer.accepted:
            self._pending -= answer.accepted
            if not self._pending:
                self.live_since_ns = self._heard_ns
                self.inbox.put(recv_ts_ns, Signal.LIVE)

    async def _watch(self, socket: ClientConnection) -> None:
        """Ping in time, and end the connection when answers or data stay away."""
        settings = self._settings
        line = LineWatch(settings.ping_interval_s, settings.stall_timeout_s)
        while True:
            await asyncio.sleep(line.pause_s)
            if self._given_up:
                raise ConnectionLost(self._given_up)
            now_ns = self._clock.monotonic_ns()
            if line.look(self._heard_ns):
                await socket.send(PING)
            if self._pending and now_ns - self._opened_ns > settings.ack_timeout_s * NS_PER_S:
                raise ConnectionLost(f"not acknowledged: {', '.join(sorted(self._pending))}")
            if line.is_dead:
                raise ConnectionLost(f"stalled: nothing came for {line.silent_s:.1f} s")
            data_s = (now_ns - self._data_ns) / NS_PER_S
            mean_gap_s = (self._data_ns - self._opened_ns) / NS_PER_S / max(self._frames, 1)
            is_busy = self._frames >= settings.silence_frames_min
            if is_busy and data_s > max(settings.silence_min_s, settings.silence_factor * mean_gap_s):
                raise ConnectionLost(f"silent: no data for {data_s:.1f} s after one frame each {mean_gap_s:.2f} s")
            self.inbox.wake()


def is_depth_frame(payload: bytes) -> bool:
    """Tell a diff-depth frame by its first field, the channel, without decoding it."""
    return payload.startswith(_DEPTH_PREFIX, 2)


def is_deals_frame(payload: bytes) -> bool:
    """Tell a frame of trades the same way."""
    return payload.startswith(_DEALS_PREFIX, 2)
