"""The player: rows of a recording become the book, the tape and the pushes of replayed pairs, in scaled time. Pure.

Exchange times in pushes are rebased: the recording's first instant is the moment the replay starts, and time runs
`speed` times as fast. Versions stay as recorded.
"""

from collections import deque
from collections.abc import Callable, Iterator

import orjson
from google.protobuf.message import DecodeError as ProtobufError

from simulator.exchange.pair import Pair
from simulator.exchange.tape import Trade
from simulator.replay.desk import PaperDesk
from simulator.replay.recording import RecordedPair, Recording, stream_of
from simulator.wire.topics import CADENCES, Channel
from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.rest_codec import snapshot_of
from trading.adapters.recording.rows import EVENT_DISCONNECTED, REST_DEPTH, Row
from trading.engine.book import Book
from trading.model.errors import TradingError
from trading.model.market import BookDelta, BookSnapshot, FeedDisconnected, MarketTrade, Side
from trading.model.units import NS_PER_MS

_INT64_MAX = 2**63 - 1
# Without a listener to the depth, the replay waits so long, ms.
START_AFTER_MS = 30_000
# At most so many rows a beat, so that a fast replay leaves room for requests.
ROWS_PER_BEAT = 250
# Deltas kept while a hole waits for its snapshot.
HELD_MAX = 20_000

Publish = Callable[[Channel, str, str, bytes, int], None]


class ReplayedPair:
    """One pair of the recording: the engine's book for the paper model, mirrored into the pair's own book."""

    def __init__(self, recorded: RecordedPair, pair: Pair, desk: PaperDesk) -> None:
        self.pair = pair
        self.desk = desk
        self.codec = PublicCodec(recorded.instrument)
        self._book = Book(recorded.instrument.symbol)
        self._is_lost = True
        self._held: deque[BookDelta] = deque(maxlen=HELD_MAX)
        self.on_snapshot(recorded.snapshot, 0)

    def on_snapshot(self, snapshot: BookSnapshot, now_ms: int) -> None:
        """Take a recorded snapshot when the book is not known; then the deltas that waited for it."""
        if not self._is_lost or snapshot.version < self._book.version:
            return
        self._book.apply_snapshot(snapshot)
        self.pair.book.mirror_all(list(snapshot.bids), list(snapshot.asks), snapshot.version)
        self.pair.book.changed_ms = now_ms
        self._is_lost = False
        held, self._held = self._held, deque(maxlen=HELD_MAX)
        for delta in held:
            self.on_delta(delta, now_ms)
        if not self._is_lost:
            self.desk.on_book(self._book, now_ms)

    def on_delta(self, delta: BookDelta, now_ms: int) -> None:
        """Apply a delta after the rule of the venue; a hole loses the book until the next snapshot."""
        if self._is_lost:
            self._held.append(delta)
        elif delta.to_version <= self._book.version:
            return
        elif delta.from_version > self._book.version + 1:
            self.lose()
            self._held.append(delta)
        else:
            self._book.apply_delta(delta)
            for side, levels in ((Side.BUY, delta.bids), (Side.SELL, delta.asks)):
                for price, lots in levels:
                    self.pair.book.mirror(side, price, lots, delta.to_version)
            self.pair.book.version = delta.to_version
            self.pair.book.changed_ms = now_ms
            self.desk.on_book(self._book, now_ms)

    def lose(self) -> None:
        """The recording has a hole here."""
        if not self._is_lost:
            self._is_lost = True
            self.desk.on_book_lost()

    def on_trade(self, trade: MarketTrade, now_ms: int) -> None:
        """Print a recorded trade."""
        number = next(self.pair.sequence.trade_no)
        is_buyer = trade.taker_side is Side.BUY
        self.pair.tape.record(Trade(number, trade.price_ticks, trade.qty_lots, is_buyer, now_ms))
        self.desk.on_trade(trade, now_ms)


class Player:
    """Plays a recording. `is_done` once its last row has been played."""

    def __init__(self, recording: Recording, pairs: dict[str, ReplayedPair], speed: float, opened_ms: int) -> None:
        self.is_done = False
        self._recording = recording
        self._pairs = pairs
        self._speed = speed
        self._opened_ms = opened_ms
        self._started_ms: int | None = None
        self._rows: Iterator[Row] = recording.rows()
        self._next: Row | None = next(self._rows, None)
        self.publish: Publish | None = None

    def is_recorded(self, channel: Channel, symbol: str | None) -> bool:
        """Return whether the recording itself pushes this channel of this symbol."""
        return symbol is not None and (channel, symbol) in self._recording.streams

    def start(self, now_ms: int) -> None:
        """Begin to play: somebody listens."""
        if self._started_ms is None:
            self._started_ms = now_ms

    def _rebased_ms(self, recorded_ms: int) -> int:
        assert self._started_ms is not None, "rows are played after the start"
        first_ms = self._recording.first_ns // NS_PER_MS
        rebased_ms = self._started_ms + round((recorded_ms - first_ms) / self._speed)
        return min(max(rebased_ms, -_INT64_MAX), _INT64_MAX)  # what was no time then is none now, and no fault of ours

    def advance(self, now_ms: int) -> None:
        """Play the rows that are due."""
        if self._started_ms is None and now_ms - self._opened_ms >= START_AFTER_MS:
            self.start(now_ms)
        if self._started_ms is None or self.is_done:
            return
        played_ns = round((now_ms - self._started_ms) * self._speed * NS_PER_MS)
        due_ns = self._recording.first_ns + played_ns
        for _ in range(ROWS_PER_BEAT):
            if self._next is None or self._next.recv_ts_ns > due_ns:
                break
            self._play(self._next, now_ms)
            self._next = next(self._rows, None)
        if self._next is None:
            self.is_done = True
            return
        due_ns = min(due_ns, self._next.recv_ts_ns)
        for replayed in self._pairs.values():
            replayed.desk.now_ns = max(replayed.desk.now_ns, due_ns)

    def _play(self, row: Row, now_ms: int) -> None:
        if row.stream == EVENT_DISCONNECTED:
            for replayed in self._pairs.values():
                replayed.lose()
            return
        if row.stream == REST_DEPTH:
            return self._play_snapshot(row, now_ms)
        stream = stream_of(row.stream)
        if stream is None or stream[1] not in self._pairs:
            return None
        replayed = self._pairs[stream[1]]
        replayed.desk.now_ns = max(replayed.desk.now_ns, row.recv_ts_ns)
        for event in replayed.codec.read(row.payload, row.recv_ts_ns):
            if isinstance(event, BookDelta):
                replayed.on_delta(event, now_ms)
            elif isinstance(event, MarketTrade):
                replayed.on_trade(event, now_ms)
            elif isinstance(event, FeedDisconnected):
                replayed.lose()
        return self._push(stream[0], stream[1], row.payload, now_ms)

    def _play_snapshot(self, row: Row, now_ms: int) -> None:
        body = orjson.loads(row.payload)
        replayed = self._pairs.get(body.get("symbol", ""))
        if replayed is None:
            return
        replayed.desk.now_ns = max(replayed.desk.now_ns, row.recv_ts_ns)
        try:
            snapshot = snapshot_of(body, replayed.codec.instrument, row.recv_ts_ns)
        except TradingError:
            return  # as unreadable now as it was then
        replayed.on_snapshot(snapshot, now_ms)

    def _push(self, channel: Channel, symbol: str, payload: bytes, now_ms: int) -> None:
        """Publish a recorded frame on both cadences, its times rebased."""
        if self.publish is None:
            return
        try:
            frame = pb.PushDataV3ApiWrapper.FromString(payload)
        except ProtobufError:
            return  # a broken frame has no times to rebase; it cost the proof already
        if frame.HasField("sendTime"):
            frame.sendTime = self._rebased_ms(frame.sendTime)
        for deal in frame.publicAggreDeals.deals if frame.HasField("publicAggreDeals") else ():
            deal.time = self._rebased_ms(deal.time)
        name = frame.WhichOneof("body")
        body = getattr(frame, name) if name is not None else None
        if body is not None and getattr(body, "lastOrderCreateTime", None):
            body.lastOrderCreateTime = self._rebased_ms(body.lastOrderCreateTime)
        for cadence in CADENCES:
            event_type = f"{channel.value}@{cadence}"
            frame.channel = f"{event_type}@{symbol}"
            if channel is not Channel.BOOK_TICKER and body is not None:
                body.eventType = event_type
            self.publish(channel, symbol, frame.channel, frame.SerializeToString(), now_ms)
