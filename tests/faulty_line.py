"""A line that misbehaves on purpose, and a plain dict that says what the book must be. Imports `trading` only.

Frames go as bytes through the codec into a `BookSync`, as in a symbol actor. Whenever the book says PROVEN it is held
against the dict's book of the same version; whenever something was done to the line, the proof must react at once.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Sequence
from random import Random

from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.engine.book_sync import BookSync
from trading.engine.book_sync_result import SyncResult
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.instrument import Instrument
from trading.model.market import BookDelta, BookSnapshot, BookState, FeedAlive, FeedConnected, FeedDisconnected, Level
from trading.model.units import NS_PER_MS

DEPTH = 50
KEPT = 40
"""States of the dict that a REST answer may come from: the newest and some that lag."""

AUDITED = BookSyncSettings(audit_first_ns=2_000 * NS_PER_MS, audit_interval_ns=3_000 * NS_PER_MS)
Top = tuple[tuple[Level, ...], tuple[Level, ...]]


class PlainBook:
    """Two dicts and a version: the rule of mexc-protocol §1.6, step 6, and nothing else."""

    def __init__(self, snapshot: BookSnapshot) -> None:
        self.version = snapshot.version
        self.bids = dict(snapshot.bids)
        self.asks = dict(snapshot.asks)

    def apply(self, delta: BookDelta) -> None:
        """Set absolute quantities; 0 deletes."""
        for side, changes in ((self.bids, delta.bids), (self.asks, delta.asks)):
            for price, qty in changes:
                if qty:
                    side[price] = qty
                else:
                    side.pop(price, None)
        self.version = delta.to_version

    def top(self) -> Top:
        """The best levels of both sides, best first."""
        return tuple(heapq.nlargest(DEPTH, self.bids.items())), tuple(heapq.nsmallest(DEPTH, self.asks.items()))

    def snapshot(self, symbol: str) -> BookSnapshot:
        """The whole book as REST gives it."""
        return BookSnapshot(symbol, self.version, tuple(self.bids.items()), tuple(self.asks.items()), 0, 0)


class FaultyLine:
    """Sends frames of an unbroken chain with faults among them. `done` and `noticed` count the faults by kind."""

    KINDS = ("drop", "duplicate", "reorder", "truncated", "garbage", "empty", "close")

    def __init__(self, instrument: Instrument, snapshot: BookSnapshot, seed: int, check_every: int) -> None:
        self.instrument = instrument
        self.codec = PublicCodec(instrument)
        self.sync = BookSync(instrument.symbol, AUDITED)
        self.done: Counter[str] = Counter()
        self.noticed: Counter[str] = Counter()
        self.checked = 0
        self.unproven = 0
        self._draw = Random(f"line:{seed}")
        self._check_every = check_every
        self._model = PlainBook(snapshot)
        self._reader = PublicCodec(instrument)
        self._states: deque[tuple[BookSnapshot, BookDelta | None]] = deque([(snapshot, None)], maxlen=KEPT)
        self._tops: dict[int, Top] = {}
        self._due: list[tuple[int, bool]] = []  # (frames until it comes, is it an audit)
        self._now_ns = 10**18
        self._count = 0

    # --- the venue's side -------------------------------------------------------------------------------------------

    def _advance(self, frame: bytes) -> None:
        """Let the truth take a push that the venue has made, whether or not it will arrive."""
        (delta,) = self._reader.decode(frame, 0)
        assert isinstance(delta, BookDelta)
        self._model.apply(delta)
        self._count += 1
        self._states.append((self._model.snapshot(self.instrument.symbol), delta))
        if not self._count % self._check_every:
            self._tops[self._model.version] = self._model.top()

    def _answer(self) -> BookSnapshot | None:
        """A REST answer: current, lagging, inside the newest push, or a failure."""
        kind = self._draw.choice(("current", "current", "current", "lagging", "inside", "failed"))
        newest, delta = self._states[-1]
        if kind == "failed":
            return None
        if kind == "lagging":
            return self._draw.choice(self._states)[0]
        if kind == "inside" and delta is not None and delta.from_version < delta.to_version:
            before = PlainBook(self._states[-2][0])
            part = BookDelta(
                delta.symbol,
                delta.from_version,
                self._draw.randint(delta.from_version, delta.to_version - 1),
                tuple(level for level in delta.bids if self._draw.random() < 0.5),
                tuple(level for level in delta.asks if self._draw.random() < 0.5),
                0,
                0,
            )
            before.apply(part)
            return before.snapshot(self.instrument.symbol)
        return newest

    # --- the line ---------------------------------------------------------------------------------------------------

    def run(self, frames: Sequence[bytes], fault_share: float) -> None:
        """Send the frames in order; before so large a share of them something goes wrong."""
        self._take(self.sync.on_connected(self._now_ns))
        queue = deque(frames)
        while queue:
            frame = queue.popleft()
            self._advance(frame)
            if self._draw.random() >= fault_share or not queue:
                self._send(frame)
                continue
            self._strike(self._draw.choice(self.KINDS), frame, queue)

    def settle(self, frames: Sequence[bytes]) -> None:
        """Send frames without faults until the book is proven."""
        for frame in frames:
            self._advance(frame)
            self._send(frame)

    def _strike(self, kind: str, frame: bytes, queue: deque[bytes]) -> None:
        was_proven = self._is_proven()
        errors, duplicates, unproven = self.codec.errors, self.sync.counters.duplicates, self.unproven
        match kind:
            case "drop":
                following = queue.popleft()
                self._advance(following)
                self._send(following)
                self._noted(kind, was_proven, self.unproven > unproven)
            case "reorder":
                following = queue.popleft()
                self._advance(following)
                self._send(following)
                self._noted(kind, was_proven, self.unproven > unproven)
                self._send(frame)
            case "truncated" | "garbage":
                broken = frame[: len(frame) // 2] if kind == "truncated" else b"\xff\x00garbage"
                self._send(broken)
                self._noted(kind, was_proven, self.unproven > unproven and self.codec.errors == errors + 1)
                if kind == "garbage":
                    self._send(frame)
            case "close":
                self._feed(FeedDisconnected(self.instrument.symbol, "closed", self._now_ns))
                self._noted(kind, was_proven, self.unproven > unproven)
                self._feed(FeedConnected(self.instrument.symbol, self._now_ns))
            case "duplicate":
                self._send(frame)
                is_proven = self._is_proven()
                self._send(frame)
                # Harmless, seen, and no reason to throw a book away; unproven books may hold it back.
                self._noted(kind, is_proven, self._is_proven() and self.sync.counters.duplicates > duplicates)
            case _:
                empty = pb.PushDataV3ApiWrapper(channel="spot@x", symbol=self.instrument.symbol, sendTime=1)
                self._send(empty.SerializeToString())
                self._noted(kind, was_proven, self._is_proven())
                self._send(frame)

    def _noted(self, kind: str, counts: bool, is_noticed: bool) -> None:
        """A fault counts when it met a proven book: an unproven one has nothing to lose."""
        if counts:
            self.done[kind] += 1
            self.noticed[kind] += is_noticed

    def _send(self, frame: bytes) -> None:
        for event in self.codec.read(frame, self._now_ns):
            assert isinstance(event, BookDelta | FeedAlive | FeedConnected | FeedDisconnected)
            self._feed(event)
        self._pass_time()

    def _feed(self, event: BookDelta | FeedAlive | FeedConnected | FeedDisconnected) -> None:
        sync, now_ns = self.sync, self._now_ns
        match event:
            case BookDelta():
                self._take(sync.on_delta(event, now_ns))
            case FeedAlive():
                self._take(sync.on_alive(now_ns))
            case FeedConnected():
                self._take(sync.on_connected(now_ns))
            case FeedDisconnected():
                self._take(sync.on_disconnected(event.reason, now_ns))

    def _pass_time(self) -> None:
        self._now_ns += 100 * NS_PER_MS
        ripe = [item for item in self._due if item[0] <= 0]
        self._due = [(delay - 1, is_audit) for delay, is_audit in self._due if delay > 0]
        for _ in ripe:
            answer = self._answer()
            if answer is None:
                self._take(self.sync.on_snapshot_failed(self._now_ns))
            else:
                self._take(self.sync.on_snapshot(answer, self._now_ns))
        self._take(self.sync.on_timer(self._now_ns))

    def _is_proven(self) -> bool:
        return self.sync.state is BookState.PROVEN

    def _take(self, result: SyncResult) -> None:
        sync = self.sync
        assert not sync.audit.counters.differing, sync.audit.finding
        if self._is_proven():
            truth = self._tops.get(sync.book.version)
            if truth is not None:
                self.checked += 1
                ours = (tuple(sync.book.bids(DEPTH)), tuple(sync.book.asks(DEPTH)))
                assert ours == truth, f"wrong while proven at version {sync.book.version}"
        else:
            self.unproven += 1
        if result.fetch_not_before_ns is not None:
            self._due.append((self._draw.randint(0, 4), result.is_audit))


SETTLING = 120


def assert_never_wrong_and_all_noticed(
    instrument: Instrument, snapshot: BookSnapshot, frames: Sequence[bytes], seed: int, check_every: int
) -> None:
    """Send the frames over a faulty line, the last of them over a clean one, and judge."""
    line = FaultyLine(instrument, snapshot, seed, check_every)
    line.run(frames[:-SETTLING], fault_share=0.06)
    line.settle(frames[-SETTLING:])
    assert line.noticed == line.done
    assert set(line.done) == set(FaultyLine.KINDS), "each kind has met a proven book"
    assert line.checked > len(frames) // (8 * check_every)
    assert line.sync.audit.counters.done > 3
    assert line.sync.state is BookState.PROVEN, "the book is proven again after the faults"
