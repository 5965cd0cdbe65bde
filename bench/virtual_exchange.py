"""The simulator without sockets and without waiting: its market, its feeds and its fan-out on virtual time.

May import simulator and trading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from simulator.exchange.pair import Pair
from simulator.market.profiles import default_symbols
from simulator.settings import SimulatorSettings
from simulator.venue import Venue
from simulator.wire.connection import Connection
from simulator.wire.hub import Hub
from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.mexc.topics import market_topics
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, FeedConnected, MarketEvent
from trading.model.units import NS_PER_MS

START_MS = 1_790_000_000_000
BEAT_MS = 10
SNAPSHOT_DEPTH = 1_000
PAYLOAD_SHORT_MAX = 125
PAYLOAD_MARK = 126


class FrameSink:
    """A socket that keeps the frames of one beat, for whoever wants them, and counts them."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.count = 0

    def write(self, frame: bytes) -> None:
        """Take a frame."""
        self.frames.append(frame)
        self.count += 1

    def take(self) -> list[bytes]:
        """Return the frames since the last call."""
        taken, self.frames = self.frames, []
        return taken

    def backlog(self) -> int:
        """Return 0: nothing waits."""
        return 0

    def abort(self) -> None:
        """Nothing to break."""

    def close(self, code: int) -> None:
        """Nothing to close."""


class VirtualExchange:
    """A venue of `count` generated pairs and one listener a pair, driven by `run`."""

    def __init__(self, count: int, interval: str, seed: int = 1) -> None:
        """interval: "10ms" or "100ms", of depth, deals and book ticker alike."""
        self._now_ms = START_MS
        symbols = default_symbols(count)
        self._venue = Venue(SimulatorSettings(symbols=symbols, seed=seed), lambda: self._now_ms)
        self._venue.open_market()
        self._hub = Hub(self._venue)
        self.sinks: dict[str, FrameSink] = {}
        for symbol in symbols:
            sink = self.sinks[symbol] = FrameSink()
            connection = Connection(sink, self._hub, self._now_ms, None, "")
            self._hub.connections.add(connection)
            for topic in market_topics(symbol, interval):
                if not self._hub.subscribe(connection, topic):
                    raise ValueError(f"the simulator refused {topic}")

    def beats(self, seconds: int) -> Iterator[int]:
        """Let time pass in beats of 10 ms, as the simulator's service does; give the time of each, ms."""
        for _ in range(seconds * 1_000 // BEAT_MS):
            self._now_ms += BEAT_MS
            self._hub.beat(self._venue.advance())
            yield self._now_ms

    @property
    def pushes(self) -> int:
        """Frames fanned out so far."""
        return self._hub.pushes

    def pair(self, symbol: str) -> Pair:
        """Return the pair behind a symbol."""
        return self._venue.exchange.pairs[symbol]

    def instrument(self, symbol: str) -> Instrument:
        """Return what a client is told of a symbol, at the simulator's standard fees."""
        listing = self.pair(symbol).listing
        return Instrument(
            symbol=symbol,
            base=listing.base,
            quote=listing.quote,
            tick_size=Decimal(1).scaleb(-listing.price_decimals),
            lot_size=Decimal(1).scaleb(-listing.qty_decimals),
            min_qty=Decimal(0),
            min_notional=Decimal(1),
            max_notional=Decimal(0),
            maker_fee_rate=Decimal(0),
            taker_fee_rate=Decimal("0.0005"),
        )

    def events(self, symbol: str, seconds: int) -> Iterator[tuple[int, MarketEvent]]:
        """Give (recv_ts_ns, event) of one symbol, beginning with the connection and a snapshot."""
        opening = self.opening(symbol)
        return self.decoded(symbol, opening, self.frames(symbol, seconds))

    def opening(self, symbol: str) -> list[tuple[int, MarketEvent]]:
        """Return what comes before the first frame: the connection, and a snapshot as of now."""
        now_ns = self._now_ms * NS_PER_MS
        book = self.pair(symbol).book
        bids, asks = tuple(book.bids.top(SNAPSHOT_DEPTH)), tuple(book.asks.top(SNAPSHOT_DEPTH))
        snapshot = BookSnapshot(symbol, book.version, bids, asks, now_ns, now_ns)
        return [(now_ns, FeedConnected(symbol, now_ns)), (now_ns, snapshot)]

    def frames(self, symbol: str, seconds: int) -> Iterator[tuple[int, bytes]]:
        """Let time pass, and give (recv_ts_ns, payload) of one symbol."""
        for now_ms in self.beats(seconds):
            for frame in self.sinks[symbol].take():
                yield now_ms * NS_PER_MS, payload_of(frame)

    def decoded(
        self, symbol: str, opening: Iterable[tuple[int, MarketEvent]], frames: Iterable[tuple[int, bytes]]
    ) -> Iterator[tuple[int, MarketEvent]]:
        """Give the opening, and the events of the frames, decoded on the way."""
        codec = PublicCodec(self.instrument(symbol))
        yield from opening
        for now_ns, payload in frames:
            for event in codec.decode(payload, now_ns):
                yield now_ns, event


def payload_of(frame: bytes) -> bytes:
    """Return the payload of an unmasked WebSocket frame (RFC 6455 §5.2)."""
    if frame[1] <= PAYLOAD_SHORT_MAX:
        return frame[2:]
    return frame[4:] if frame[1] == PAYLOAD_MARK else frame[10:]
