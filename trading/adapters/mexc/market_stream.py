"""The public stream of one symbol, for ever: connect, decode, lose, pause, connect again, roll over before 24 h.

May import `trading.model` and the connection and codec beside it. Events leave through one sink, in order of arrival;
every loss is an ordinary event, and nothing is dropped without one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from trading.adapters.backoff import backoff_s
from trading.adapters.clock import Clock
from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.mexc.market_connection import (
    ConnectionLost,
    MarketConnection,
    MarketStreamSettings,
    Signal,
    StreamCounters,
    is_deals_frame,
)
from trading.adapters.mexc.topics import market_topics
from trading.model.errors import DecodeError, InvariantViolated, RateLimited
from trading.model.instrument import Instrument
from trading.model.market import FeedAlive, FeedConnected, FeedDisconnected, MarketEvent, MarketTrade
from trading.model.units import NS_PER_S

Sink = Callable[[MarketEvent], None]

REPEAT_NS = NS_PER_S
"""For so long after a rollover the successor may still tell trades that its predecessor has told."""

BATCH = 64
"""Frames handed to the engine before the reader gets the loop again: it must stamp what has come meanwhile."""


class FrameTap(Protocol):
    """The recorder's ear: hears exactly what the engine hears, before it. Must not raise and must not block."""

    def on_frame(self, recv_ts_ns: int, payload: bytes) -> None:
        """Take a binary frame as it came."""
        ...

    def on_lost(self, recv_ts_ns: int, reason: str) -> None:
        """Take note that the proof is gone from here."""
        ...


class MarketStream:
    """Keeps one symbol's market data flowing. Lives on one event loop; `run` is cancelled to end it."""

    def __init__(
        self,
        url: str,
        instrument: Instrument,
        settings: MarketStreamSettings,
        clock: Clock,
        rng: random.Random,
        tap: FrameTap | None = None,
        pace: Callable[[], Awaitable[None]] | None = None,
        on_refused: Callable[[RateLimited], Awaitable[None]] | None = None,
    ) -> None:
        """
        Args:
            url: the venue's public socket address. rng: seeded, for the jitter of pauses.
            tap: hears every frame and loss. pace: awaited before each connect, so that a fleet shares its IP's budget.
            on_refused: told when the venue answers a connect with 429 or 403: the whole address is to keep silent.
        """
        self._url = url
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._tap = tap
        self._pace = pace
        self._on_refused = on_refused
        self._symbol = instrument.symbol
        self._topics = market_topics(instrument.symbol, settings.interval)
        self._current: _Running | None = None
        self._has_told = False
        self._retired: list[_Running] = []
        self._spare_not_before_ns = 0
        self._told_trade_ns = 0  # the venue's stamp of the last trade told
        self._repeats_until_ns = 0
        # Symbols that started together shall not roll over together.
        self._rollover_s = settings.rollover_s * (0.9 + rng.random() / 10)
        self.codec = PublicCodec(instrument)
        self.counters = StreamCounters()
        self.last_fault = ""

    @property
    def inbox_depth(self) -> int:
        """Frames that wait for the engine now; at most `settings.inbox_max`."""
        return len(self._current.connection.inbox) if self._current is not None else 0

    @property
    def inbox_max(self) -> int:
        """The bound of `inbox_depth`; beyond it the book loses its proof."""
        return self._settings.inbox_max

    @property
    def decode_errors(self) -> int:
        """Frames that could not be decoded; each cost the book its proof."""
        return self.codec.errors

    async def run(self, sink: Sink) -> None:
        """Push events into `sink` until cancelled. An exception of `sink` ends it: a broken engine gets no more."""
        failures = 0
        while True:
            reason, live_s = await self._serve(sink)
            self.counters.losses += 1
            self.last_fault = reason
            if not self._has_told:
                self._tell_loss(sink, reason)
            failures = 0 if live_s >= self._settings.healthy_after_s else failures + 1
            settings = self._settings
            await asyncio.sleep(backoff_s(failures, settings.backoff_min_s, settings.backoff_max_s, self._rng))

    def reconnect(self, reason: str) -> None:
        """Give up the connection that is in use, within a second; another follows, as after any loss. Idempotent."""
        if self._current is not None:
            self._current.connection.give_up(reason)

    async def _serve(self, sink: Sink) -> tuple[str, float]:
        """Run one connection, and those that take over from it, to the end. Returns: why, and how long it was live."""
        self._current = self._open()
        spare: _Running | None = None
        try:
            while True:
                current = self._current
                has_more = self._drain(current, sink)
                if current.task.done() and not has_more:
                    if spare is None or not spare.is_ready(0.0):
                        return current.fault(), current.live_s()
                    self._current, spare = self._switch(current, spare), None
                    continue
                spare = self._tend(current, spare)
                if spare is not None and spare.is_ready(self._settings.rollover_overlap_s) and not has_more:
                    self._current, spare = self._switch(current, spare), None
                    continue
                await (asyncio.sleep(0) if has_more else current.connection.inbox.wait())
        finally:
            for running in (self._current, spare, *self._retired):
                if running is not None:
                    await running.end()
            self._retired.clear()

    def _drain(self, running: _Running, sink: Sink) -> bool:
        """Hand over up to a batch; True when more waits."""
        inbox = running.connection.inbox
        for _ in range(BATCH):
            item = inbox.take()
            if item is None:
                return False
            recv_ts_ns, what = item
            if isinstance(what, bytes):
                if self._repeats_until_ns and self._is_repeat(what, recv_ts_ns):
                    continue
                if self._tap is not None:
                    self._tap.on_frame(recv_ts_ns, what)
                events = self.codec.read(what, recv_ts_ns)
                for event in events:
                    sink(event)
                if events and type(events[-1]) is MarketTrade:
                    self._told_trade_ns = events[-1].exch_ts_ns
            elif what is Signal.OVERFLOW:
                self._tell_loss(sink, "inbox overflow")
                if running.connection.live_since_ns:
                    sink(FeedConnected(self._symbol, recv_ts_ns))
            elif what is Signal.ALIVE:
                sink(FeedAlive(self._symbol, recv_ts_ns))
            elif not running.has_taken_over:
                sink(FeedConnected(self._symbol, recv_ts_ns))
            self._has_told = False
        return bool(len(inbox))

    def _is_repeat(self, payload: bytes, recv_ts_ns: int) -> bool:
        """True for trades that the predecessor has told: a paper order must not be filled by one trade twice.

        Of trades in the very millisecond of the last one told, a new one is lost with the repeats: the cautious side.
        """
        if recv_ts_ns >= self._repeats_until_ns:
            self._repeats_until_ns = 0
            return False
        if not is_deals_frame(payload):
            return False
        try:
            trades = self.codec.decode(payload, recv_ts_ns)
        except DecodeError:
            return False
        return all(isinstance(trade, MarketTrade) and trade.exch_ts_ns <= self._told_trade_ns for trade in trades)

    def _tell_loss(self, sink: Sink, reason: str) -> None:
        """Tell a loss once, however many attempts fail after it."""
        self._has_told = True
        now_ns = self._clock.now_ns()
        if self._tap is not None:
            self._tap.on_lost(now_ns, reason)
        sink(FeedDisconnected(self._symbol, reason, now_ns))

    # --- rollover ---------------------------------------------------------------------------------------------------

    def _open(self) -> _Running:
        connection = MarketConnection(
            self._url, self._topics, self._settings, self._clock, self.counters, self._pace, self._on_refused
        )
        return _Running(connection, self._clock)

    def _tend(self, current: _Running, spare: _Running | None) -> _Running | None:
        """Open the successor in time; a failed one is replaced after a pause."""
        now_ns = self._clock.monotonic_ns()
        if spare is not None:
            if not spare.task.done():
                return spare
            self.last_fault = f"rollover: {spare.fault()}"
            self._spare_not_before_ns = now_ns + int(self._settings.backoff_max_s * NS_PER_S)
            return None
        is_due = current.connection.live_since_ns and current.connection.age_s > self._rollover_s
        return self._open() if is_due and now_ns >= self._spare_not_before_ns else None

    def _switch(self, current: _Running, spare: _Running) -> _Running:
        """Go over to the successor: its depth frames overlap with what is known, the rest of them was told already."""
        spare.connection.inbox.keep_depth_only()
        spare.has_taken_over = True
        self._repeats_until_ns = self._clock.now_ns() + REPEAT_NS
        self.counters.rollovers += 1
        # The farewell takes up to half a second: nobody waits for it, but the end of the stream does.
        current.task.cancel()
        self._retired = [running for running in self._retired if not running.task.done()] + [current]
        return spare


class _Running:
    """A connection and the task that runs it."""

    def __init__(self, connection: MarketConnection, clock: Clock) -> None:
        self.connection = connection
        self.has_taken_over = False
        self._clock = clock
        self.task = asyncio.create_task(connection.run(), name="market-connection")

    def live_s(self) -> float:
        """Seconds since all topics were acknowledged; 0 before."""
        since_ns = self.connection.live_since_ns
        return (self._clock.monotonic_ns() - since_ns) / NS_PER_S if since_ns else 0.0

    def is_ready(self, overlap_s: float) -> bool:
        """True when it has been live for so long that the other side has told all that came before."""
        return not self.task.done() and self.connection.live_since_ns > 0 and self.live_s() >= overlap_s

    def fault(self) -> str:
        """Return why the ended task ended. Raises what is no fault of the line."""
        error = self.task.exception()
        if isinstance(error, ConnectionLost):
            return str(error)
        if error is not None:
            raise error
        raise InvariantViolated("a market connection ended without a reason")

    async def end(self) -> None:
        """Stop the task and wait for it; idempotent."""
        self.task.cancel()
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            self.task.exception()
