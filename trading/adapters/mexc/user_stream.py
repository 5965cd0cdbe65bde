"""The private stream of one account: listen key, socket, acknowledgements, and the events that come of it.

May import `trading.model`, websockets and the private codec. One task owns key and socket and reconnects until it is
closed. MEXC numbers nothing and replays nothing here, so each (re)connection is told as `VenueStreamRestored`, and who
listens reconciles. Sources: mexc-protocol §1.2, §1.4, §2; MEXC spot V3 documentation, read 2026-11-22.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from trading.adapters.backoff import backoff_s
from trading.adapters.clock import Clock
from trading.adapters.mexc.errors import connect_refusal
from trading.adapters.mexc.line_watch import LineWatch
from trading.adapters.mexc.private_codec import PRIVATE_TOPICS, ForeignPush, Instruments, decode_private
from trading.adapters.mexc.topics import PING
from trading.model.errors import DecodeError, OutcomeUnknown, RateLimited, VenueRejected, VenueUnavailable
from trading.model.orders import VenueEvent, VenueStreamLost, VenueStreamRestored
from trading.model.units import NS_PER_S

_PING_MIN_S = 0.25  # of a venue whose rules are scaled down
_SUBSCRIBE = orjson.dumps({"method": "SUBSCRIPTION", "params": list(PRIVATE_TOPICS), "id": 1}).decode()
_FRAME_BYTES_MAX = 1 << 20
_FRAMES_QUEUED_MAX = 4_096


class ListenKeys(Protocol):
    """The signed calls for listen keys. Raise VenueUnavailable, OutcomeUnknown or VenueRejected."""

    async def create_listen_key(self) -> str:
        """Make a key, valid for 60 minutes; at most 60 an account."""
        ...

    async def renew_listen_key(self, key: str) -> None:
        """Extend it by 60 minutes. Raises VenueRejected when it is none (any more)."""
        ...

    async def listen_keys(self) -> tuple[str, ...]:
        """List the account's valid keys."""
        ...

    async def delete_listen_key(self, key: str) -> None:
        """End it."""
        ...


@dataclass(frozen=True, slots=True)
class UserStreamSettings:
    """Durations in seconds. Keys live 60 minutes, sockets 24 hours (mexc-protocol §2.1, with other clients' habits)."""

    open_timeout_s: float = 5.0
    ack_timeout_s: float = 10.0
    ping_interval_s: float = 2.0
    stall_timeout_s: float = 5.0  # two PINGs without any answer: fills would be learnt late
    # The venue pushes each order that it takes, normally within milliseconds: else it has forgotten our subscription.
    push_timeout_s: float = 5.0
    # A key that expired leaves the socket open and silent: whether ours is still listed is asked between renewals.
    key_check_interval_s: float = 60.0
    key_renew_interval_s: float = 1_800.0
    age_max_s: float = 84_600.0
    backoff_min_s: float = 0.25
    backoff_max_s: float = 30.0
    # A connection that lived this long ends a series of failures.
    healthy_after_s: float = 60.0

    def scaled(self, time_scale: float) -> UserStreamSettings:
        """Shorten what answers the venue's own rules by `time_scale`: PINGs (below 4/s), listen keys, rollover."""
        shortened = ("key_check_interval_s", "key_renew_interval_s", "age_max_s", "healthy_after_s")
        ping_s = min(self.ping_interval_s, max(_PING_MIN_S, self.ping_interval_s / time_scale))
        return replace(self, ping_interval_s=ping_s, **{name: getattr(self, name) / time_scale for name in shortened})


@dataclass(frozen=True, slots=True)
class UserStreamStatus:
    """Counters since start, and whether the stream is up. `last_fault` is the text of the latest loss."""

    is_up: bool
    connections: int
    frames: int
    empty_frames: int
    foreign_pushes: int
    decode_errors: int
    keys_made: int
    last_frame_ns: int
    last_fault: str


class _StreamFault(Exception):
    """This connection is of no use any more; the text says why."""


class _KeyFault(_StreamFault):
    """The same, and the listen key is of no use either."""


class _DeadLine(_StreamFault):
    """Nobody is at the other end any more."""


class UserStream:
    """Keeps one private connection. Owned by the gateway; lives on one event loop."""

    def __init__(
        self,
        url: str,
        keys: ListenKeys,
        instruments: Instruments,
        clock: Clock,
        settings: UserStreamSettings,
        rng: random.Random,
        venue: str,
        on_limited: Callable[[float], None] = lambda retry_after_s: None,
    ) -> None:
        """on_limited: told the seconds to keep silent when the venue answers a connect with 429 or 403."""
        self._url = url
        self._keys = keys
        self._instruments = instruments
        self._clock = clock
        self._settings = settings
        self._rng = rng
        self._venue = venue
        self._on_limited = on_limited
        self._sink: Callable[[VenueEvent], None] = lambda event: None
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._key = ""
        self._pending: set[str] = set()
        self._is_up = False
        self._is_loss_told = False
        self._connections = self._frames = self._empty = self._foreign = self._undecodable = self._keys_made = 0
        self._last_frame_ns = 0
        self._last_fault = ""
        self._unpushed_looks: int | None = None  # since an order was taken of which nothing was pushed

    async def start(self, sink: Callable[[VenueEvent], None], patience_s: float) -> bool:
        """Begin, and wait until the stream is up, its first attempt failed, or `patience_s` is over.

        Returns: whether it is up. It goes on trying in any case; `sink` (never blocks, never raises) hears
        VenueStreamRestored after each connection, VenueStreamLost after each loss, and the events between.
        """
        self._sink = sink
        self._task = asyncio.create_task(self._run(), name="user-stream")
        self._task.add_done_callback(self._on_done)
        try:
            async with asyncio.timeout(patience_s):
                await self._settled.wait()
        except TimeoutError:
            self._lose(f"not connected within {patience_s} s")
        return self._is_up

    async def close(self) -> None:
        """End the task, close the socket and give the listen key back; idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        key, self._key = self._key, ""
        if key:
            try:
                async with asyncio.timeout(self._settings.open_timeout_s):
                    await self._keys.delete_listen_key(key)
            except (VenueUnavailable, OutcomeUnknown, VenueRejected, TimeoutError) as error:
                self._last_fault = f"listen key not given back: {error}".replace(key, "***")

    def status(self) -> UserStreamStatus:
        """Return the counters."""
        return UserStreamStatus(
            is_up=self._is_up,
            connections=self._connections,
            frames=self._frames,
            empty_frames=self._empty,
            foreign_pushes=self._foreign,
            decode_errors=self._undecodable,
            keys_made=self._keys_made,
            last_frame_ns=self._last_frame_ns,
            last_fault=self._last_fault,
        )

    @property
    def mark(self) -> tuple[bool, int, int]:
        """Whether the stream is up, which connection it is, and how many pushes have come that say something."""
        return self._is_up, self._connections, self._frames - self._empty

    def on_taken(self, mark: tuple[bool, int, int]) -> None:
        """Take it that the venue took an order: it pushes that, or the stream is worth nothing any more.

        Args: mark: `mark` before it was sent. Its push may have been faster than the answer, or have reached nobody.
        """
        if self._is_up and self.mark == mark and self._unpushed_looks is None:
            self._unpushed_looks = 0

    # --- the loop ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        while True:
            began_ns = self._clock.monotonic_ns()
            refusal: RateLimited | None = None
            try:
                await self._connection()
            except RateLimited as error:  # of a call for a listen key: who keeps these has told
                refusal, reason = error, self._shown(str(error))
            except (_StreamFault, VenueUnavailable, OutcomeUnknown, VenueRejected) as error:
                reason = self._shown(str(error))
                if isinstance(error, _KeyFault):
                    self._key = ""
            except (OSError, TimeoutError, WebSocketException) as error:
                reason = self._shown(f"{type(error).__name__}: {error}")
                refusal = connect_refusal(error)
                if refusal is not None:
                    self._on_limited(refusal.retry_after_s)
            else:
                reason = "connection ended"
            self._lose(reason)
            lived_s = (self._clock.monotonic_ns() - began_ns) / NS_PER_S
            failures = 0 if lived_s >= self._settings.healthy_after_s else failures + 1
            settings = self._settings
            pause_s = backoff_s(failures, settings.backoff_min_s, settings.backoff_max_s, self._rng)
            await asyncio.sleep(max(pause_s, refusal.retry_after_s if refusal is not None else 0.0))

    async def _connection(self) -> None:
        """Run one connection to its end, which is always an error of some kind."""
        await self._ensure_key()
        async with connect(
            f"{self._url}?listenKey={quote(self._key, safe='')}",
            open_timeout=self._settings.open_timeout_s,
            close_timeout=1.0,
            ping_interval=None,  # MEXC wants its own JSON PING; frames of RFC 6455 prove nothing there
            compression=None,
            proxy=None,
            max_size=_FRAME_BYTES_MAX,
            max_queue=_FRAMES_QUEUED_MAX,
        ) as socket:
            self._connections += 1
            self._unpushed_looks = None
            self._pending = set(PRIVATE_TOPICS)
            await socket.send(_SUBSCRIBE)
            try:
                await _first_end(
                    self._read(socket),
                    self._watch(socket),
                    self._keep_key(),
                    _fail_after(self._settings.age_max_s, "rolled over before the venue ends the connection"),
                    self._await_acknowledgement(),
                )
            except _DeadLine:
                socket.transport.abort()  # a farewell would wait for its answer
                raise

    async def _ensure_key(self) -> None:
        """Reuse our key when the venue still knows it: each reconnect with a new one would use up the account's 60."""
        if self._key:
            try:
                await self._keys.renew_listen_key(self._key)
                return
            except VenueRejected:
                self._key = ""
        self._key = await self._keys.create_listen_key()
        self._keys_made += 1

    async def _read(self, socket: ClientConnection) -> None:
        async for frame in socket:
            self._last_frame_ns = self._clock.now_ns()
            if isinstance(frame, str):
                self._on_text(frame)
            else:
                self._on_push(frame)

    async def _watch(self, socket: ClientConnection) -> None:
        """Ping in time, and end a line that is dead, or that tells nothing of an order that the venue took."""
        line = LineWatch(self._settings.ping_interval_s, self._settings.stall_timeout_s)
        while True:
            await asyncio.sleep(line.pause_s)
            if line.look(self._last_frame_ns):
                await socket.send(PING)
            if line.is_dead:
                raise _DeadLine(f"stalled: nothing came for {line.silent_s:.1f} s")
            if self._unpushed_looks is not None:
                self._unpushed_looks += 1
                if (quiet_s := self._unpushed_looks * line.pause_s) > self._settings.push_timeout_s:
                    raise _StreamFault(f"the venue took an order, and pushed nothing for {quiet_s:.1f} s")

    async def _keep_key(self) -> None:
        """Renew the key in time, and notice when the venue dropped it. A failed call is repeated at the next check."""
        renewed_ns = self._clock.monotonic_ns()
        while True:
            await asyncio.sleep(self._settings.key_check_interval_s)
            is_due = self._clock.monotonic_ns() - renewed_ns >= self._settings.key_renew_interval_s * NS_PER_S
            try:
                if is_due:
                    await self._keys.renew_listen_key(self._key)
                    renewed_ns = self._clock.monotonic_ns()
                elif self._key not in await self._keys.listen_keys():
                    raise _KeyFault("listen key expired")
            except VenueRejected as error:
                raise _KeyFault(f"listen key refused: {error}")
            except (VenueUnavailable, OutcomeUnknown) as error:
                # The key lives for two renewal intervals: there is time for several more checks.
                self._last_fault = self._shown(f"listen key not renewed: {error}")

    async def _await_acknowledgement(self) -> None:
        """Fail unless every topic is acknowledged in time; then wait for the other parts to end."""
        await asyncio.sleep(self._settings.ack_timeout_s)
        if self._pending:
            raise _StreamFault(f"not acknowledged: {', '.join(sorted(self._pending))}")
        await asyncio.Event().wait()

    # --- frames -----------------------------------------------------------------------------------------------------

    def _on_text(self, frame: str) -> None:
        if "invalid listen key" in frame.lower():
            raise _KeyFault("listen key refused on connect")
        try:
            answer = orjson.loads(frame)
        except orjson.JSONDecodeError:
            raise _StreamFault(f"unreadable answer {frame[:80]!r}")
        text = answer.get("msg") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            raise _StreamFault(f"unexpected answer {frame[:80]!r}")
        if text == "PONG" or not self._pending:
            return
        # A rejection keeps code 0: only a topic that is echoed in a plain list is live.
        accepted = {topic.strip() for topic in text.split(",")}
        if not accepted <= set(PRIVATE_TOPICS):
            raise _KeyFault(f"subscription refused: {text[:200]}")
        self._pending -= accepted
        if not self._pending:
            self._restore()

    def _on_push(self, payload: bytes) -> None:
        try:
            push = decode_private(payload, self._instruments, self._venue, self._last_frame_ns)
        except DecodeError as error:
            # What it said is lost: the reconnect makes everybody reconcile.
            self._undecodable += 1
            raise _StreamFault(f"undecodable push: {error}")
        self._frames += 1
        if push is None:
            self._empty += 1
            return
        self._unpushed_looks = None
        if isinstance(push, ForeignPush):
            self._foreign += 1
        else:
            self._sink(push)

    # --- state ------------------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        self._is_up, self._is_loss_told = True, False
        self._sink(VenueStreamRestored(self._clock.now_ns()))
        self._settled.set()

    def _shown(self, reason: str) -> str:
        """Take the listen key out of a text: whoever has it reads the account, and some errors hold the address."""
        return reason.replace(quote(self._key, safe=""), "***").replace(self._key, "***") if self._key else reason

    def _lose(self, reason: str) -> None:
        """Tell a loss once, however many attempts fail after it."""
        self._is_up = False
        self._last_fault = reason
        if not self._is_loss_told:
            self._is_loss_told = True
            self._sink(VenueStreamLost(reason, self._clock.now_ns()))
        self._settled.set()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """Turn a death that is nobody's wish into a loss and a loud report: it is a bug."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._lose(f"the stream's task died: {type(error).__name__}: {error}")
        task.get_loop().call_exception_handler({"message": "user stream died", "exception": error, "task": task})


async def _fail_after(delay_s: float, text: str) -> None:
    await asyncio.sleep(delay_s)
    raise _StreamFault(text)


async def _first_end(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all parts until the first ends, cancel the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
