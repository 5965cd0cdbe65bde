"""The generated market as a stream of events, without sockets: to try strategies on. May import simulator, trading."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from simulator.exchange.pair import Pair, Sequence
from simulator.market.generator import INFORMED_RATE, US, PairGenerator
from simulator.market.profiles import profile_of
from simulator.wire.feeds import DealsFeed, DepthFeed
from simulator.wire.topics import parse_topic
from trading.adapters.mexc.codec import PublicCodec
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, FeedConnected, MarketEvent

START_MS = 1_790_000_000_000
WARM_UP_S = 20


class GeneratedMarket:
    """One pair of the generator at an interval of pushes; the same seed gives the same events."""

    def __init__(
        self,
        symbol: str,
        seed: int,
        maker: str = "0",
        taker: str = "0.0005",
        interval_ms: int = 100,
        informed_rate: float = INFORMED_RATE,
    ) -> None:
        profile = profile_of(symbol, int(Decimal(maker) * 10**8), int(Decimal(taker) * 10**8))
        listing = profile.listing
        self._pair = Pair(listing, profile.first_price_ticks, Sequence())
        self._generator = PairGenerator(self._pair, profile, seed, informed_rate)
        self._interval_ms = interval_ms
        self.instrument = Instrument(
            symbol=symbol,
            base=listing.base,
            quote=listing.quote,
            tick_size=Decimal(1).scaleb(-listing.price_decimals),
            lot_size=Decimal(1).scaleb(-listing.qty_decimals),
            min_qty=Decimal(0),
            min_notional=Decimal(1),
            max_notional=Decimal(0),
            maker_fee_rate=Decimal(maker),
            taker_fee_rate=Decimal(taker),
        )

    def events(self, seconds: int) -> Iterator[tuple[int, MarketEvent]]:
        """Give (recv_ts_ns, event) of so many seconds, beginning with the connection and a snapshot."""
        codec = PublicCodec(self.instrument)
        for now_ns, item in self.frames(seconds):
            if isinstance(item, bytes):
                for event in codec.decode(item, now_ns):
                    yield now_ns, event
            else:
                yield now_ns, item

    def frames(self, seconds: int) -> Iterator[tuple[int, MarketEvent | bytes]]:
        """Give the same with the frames as they come from the wire."""
        symbol = self.instrument.symbol
        self._generator.run_until(WARM_UP_S * US, START_MS)
        topics = [
            parse_topic(f"spot@public.aggre.{name}.v3.api.pb@{self._interval_ms}ms@{symbol}", {symbol})
            for name in ("deals", "depth")
        ]
        deals, depth = topics
        assert deals is not None
        assert depth is not None
        feeds = (DealsFeed(deals, self._pair), DepthFeed(depth, self._pair))
        now_ms = START_MS + WARM_UP_S * 1000
        yield now_ms * 1_000_000, FeedConnected(symbol, now_ms * 1_000_000)
        yield now_ms * 1_000_000, self._snapshot(now_ms)
        for _ in range(seconds * 1000 // self._interval_ms):
            now_ms += self._interval_ms
            self._generator.run_until((now_ms - START_MS) * 1000, START_MS)
            for feed in feeds:
                frame = feed.flush(now_ms)
                if frame is not None:
                    yield now_ms * 1_000_000, frame

    def _snapshot(self, now_ms: int) -> BookSnapshot:
        book, at_ns = self._pair.book, now_ms * 1_000_000
        return BookSnapshot(
            self.instrument.symbol,
            book.version,
            tuple(book.bids.top(1000)),
            tuple(book.asks.top(1000)),
            at_ns,
            at_ns,
        )
