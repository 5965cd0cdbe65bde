"""Feeds: one per public topic that somebody hears. A feed gathers changes and turns them into pushes. Pure.

Each push is built once per topic and interval, whoever listens.
"""

from collections.abc import Iterable
from typing import Protocol, assert_never

from simulator.exchange.amounts import amount_text
from simulator.exchange.book import BookSide, DepthCollector
from simulator.exchange.pair import Pair
from simulator.exchange.tape import Candle, Trade
from simulator.wire.frames import opaque_id, wrapper
from simulator.wire.intervals import day_start, window_end, window_start
from simulator.wire.topics import Channel, Topic
from simulator.wire.views import ratio_text
from trading.adapters.mexc.proto import mexc_push_pb2 as pb

KLINE_EVERY_MS = 1_000
TICKER_EVERY_MS = 3_000


class Feed(Protocol):
    """What a topic needs: how often it is looked at, its next push, and its end."""

    topic: Topic
    every_ms: int

    def flush(self, now_ms: int) -> bytes | None:
        """Return the push of what gathered since the last one, None when nothing did."""

    def close(self) -> None:
        """Stop gathering."""


class DepthFeed:
    """Aggregated deltas with an unbroken chain of versions."""

    def __init__(self, topic: Topic, pair: Pair) -> None:
        self.topic = topic
        self.every_ms = int(topic.detail.removesuffix("ms"))
        self._pair = pair
        self._collector = DepthCollector(pair.book.version)
        pair.book.collectors.append(self._collector)

    def flush(self, now_ms: int) -> bytes | None:
        collector, book, listing = self._collector, self._pair.book, self._pair.listing
        if collector.last_to_version == book.version or book.holds:
            return None
        frame = wrapper(self.topic, now_ms)
        body = frame.publicAggreDepths
        body.eventType = self.topic.event_type
        body.fromVersion = str(collector.last_to_version + 1)
        body.toVersion = str(book.version)
        body.lastOrderCreateTime = book.changed_ms
        for items, side, prices in (
            (body.asks, book.asks, sorted(collector.asks)),
            (body.bids, book.bids, sorted(collector.bids, reverse=True)),
        ):
            for price in prices:
                level = side.levels.get(price)
                quantity = "0" if level is None else listing.qty_trimmed(level.total)
                items.add(price=listing.price_trimmed(price), quantity=quantity)
        collector.asks.clear()
        collector.bids.clear()
        collector.last_to_version = book.version
        return frame.SerializeToString()

    def close(self) -> None:
        self._pair.book.collectors.remove(self._collector)


class DealsFeed:
    """Lists of trades."""

    def __init__(self, topic: Topic, pair: Pair) -> None:
        self.topic = topic
        self.every_ms = int(topic.detail.removesuffix("ms"))
        self._pair = pair
        self._trades: list[Trade] = []
        pair.tape.listeners.append(self._trades)

    def flush(self, now_ms: int) -> bytes | None:
        if not self._trades:
            return None
        listing = self._pair.listing
        frame = wrapper(self.topic, now_ms)
        body = frame.publicAggreDeals
        for trade in self._trades:
            number = 2 * trade.trade_no  # the ids of both orders' ends, as the venue joins them
            body.deals.add(
                price=listing.price_trimmed(trade.price_ticks),
                quantity=listing.qty_trimmed(trade.lots),
                tradeType=1 if trade.is_buyer_taker else 2,
                time=trade.time_ms,
                tradeId=f"{number}X0_{number + 1}X0",
            )
        body.eventType = self.topic.event_type
        self._trades.clear()
        return frame.SerializeToString()

    def close(self) -> None:
        listeners = self._pair.tape.listeners
        listeners[:] = [listener for listener in listeners if listener is not self._trades]


class BookTickerFeed:
    """Best bid and ask when they changed, single or as a batch of one; an empty side is absent."""

    def __init__(self, topic: Topic, pair: Pair) -> None:
        self.topic = topic
        self.every_ms = 10 if topic.detail == "10ms" else 100
        self._pair = pair
        self._last: tuple[str, str, str, str] | None = None
        self._last_version = 0

    def _best(self, side: BookSide) -> tuple[str, str]:
        price = side.best()
        if price is None:
            return "", ""
        listing = self._pair.listing
        return listing.price_trimmed(price), listing.qty_trimmed(side.levels[price].total)

    def flush(self, now_ms: int) -> bytes | None:
        book = self._pair.book
        if book.version == self._last_version or book.holds:
            return None
        self._last_version = book.version
        best = (*self._best(book.bids), *self._best(book.asks))
        if best == self._last:
            return None
        self._last = best
        frame = wrapper(self.topic, now_ms)
        target: pb.PublicAggreBookTickerV3Api | pb.PublicBookTickerV3Api
        if self.topic.channel is Channel.BOOK_TICKER_BATCH:
            frame.publicBookTickerBatch.version = str(book.version)
            frame.publicBookTickerBatch.lastOrderCreateTime = book.changed_ms
            target = frame.publicBookTickerBatch.items.add()
        else:
            frame.publicAggreBookTicker.version = str(book.version)
            frame.publicAggreBookTicker.lastOrderCreateTime = book.changed_ms
            target = frame.publicAggreBookTicker
        target.bidPrice, target.bidQuantity, target.askPrice, target.askQuantity = best
        return frame.SerializeToString()

    def close(self) -> None:
        self._last = None


class LimitDepthFeed:
    """The best levels in full, when the book changed."""

    every_ms = 100

    def __init__(self, topic: Topic, pair: Pair) -> None:
        self.topic = topic
        self._pair = pair
        self._depth = int(topic.detail)
        self._last_version = 0

    def flush(self, now_ms: int) -> bytes | None:
        book, listing = self._pair.book, self._pair.listing
        if book.version == self._last_version or book.holds:
            return None
        self._last_version = book.version
        frame = wrapper(self.topic, now_ms)
        body = frame.publicLimitDepths
        for items, side in ((body.asks, book.asks), (body.bids, book.bids)):
            for price, lots in side.top(self._depth):
                items.add(price=listing.price_trimmed(price), quantity=listing.qty_trimmed(lots))
        body.eventType = self.topic.event_type
        body.version = str(book.version)
        body.lastOrderCreateTime = book.changed_ms
        return frame.SerializeToString()

    def close(self) -> None:
        self._last_version = 0


class KlineFeed:
    """The current candle, about each second while there are trades.

    The last push of a window is its final state: the trades since the push before it come before the next window does.
    """

    every_ms = KLINE_EVERY_MS

    def __init__(self, topic: Topic, pair: Pair) -> None:
        self.topic = topic
        self._pair = pair
        self._window_start = window_start(topic.detail)
        self._last: Candle | None = None
        self._last_start_ms = 0

    def flush(self, now_ms: int) -> bytes | None:
        start_ms = self._window_start(now_ms)
        if self._last is not None and start_ms != self._last_start_ms:
            closed = self._pair.tape.window(self._last_start_ms, start_ms)
            last_start_ms, self._last_start_ms = self._last_start_ms, start_ms
            if closed is not None and closed != self._last:
                return self._push(closed, last_start_ms, now_ms)
        candle = self._pair.tape.since(self.topic.detail, start_ms, now_ms)
        if candle == self._last:
            return None
        self._last, self._last_start_ms = candle, start_ms
        return self._push(candle, start_ms, now_ms)

    def _push(self, candle: Candle, start_ms: int, now_ms: int) -> bytes:
        listing = self._pair.listing
        frame = wrapper(self.topic, now_ms)
        frame.symbolId = opaque_id(listing.symbol)
        frame.createTime = now_ms
        body = frame.publicSpotKline
        body.interval = self.topic.detail
        body.windowStart = start_ms // 1_000
        body.windowEnd = window_end(self.topic.detail, start_ms) // 1_000
        body.openingPrice = listing.price_trimmed(candle.open)
        body.closingPrice = listing.price_trimmed(candle.close)
        body.highestPrice = listing.price_trimmed(candle.high)
        body.lowestPrice = listing.price_trimmed(candle.low)
        body.volume = listing.qty_trimmed(candle.lots)
        body.amount = amount_text(listing.value(candle.ticks_lots))
        return frame.SerializeToString()

    def close(self) -> None:
        self._last = None


class MiniTickerFeed:
    """The ticker of one pair or of all, every three seconds."""

    every_ms = TICKER_EVERY_MS

    def __init__(self, topic: Topic, pairs: Iterable[Pair]) -> None:
        self.topic = topic
        self._pairs = tuple(pairs)

    def _item(self, pair: Pair, now_ms: int) -> pb.PublicMiniTickerV3Api:
        listing, zone = pair.listing, self.topic.detail
        day = pair.tape.since(zone, day_start(zone, now_ms), now_ms)
        eastern = pair.tape.since("UTC+8", day_start("UTC+8", now_ms), now_ms)
        rate = ratio_text(eastern.close - eastern.open, eastern.open)
        zoned = ratio_text(day.close - day.open, day.open)
        high, low = listing.price_trimmed(day.high), listing.price_trimmed(day.low)
        return pb.PublicMiniTickerV3Api(
            symbol=listing.symbol,
            price=listing.price_trimmed(day.close),
            rate=rate,
            zonedRate=zoned,
            high=high,
            low=low,
            volume=amount_text(listing.value(day.ticks_lots)),
            quantity=listing.qty_trimmed(day.lots),
            lastCloseRate=rate,
            lastCloseZonedRate=zoned,
            lastCloseHigh=high,
            lastCloseLow=low,
        )

    def flush(self, now_ms: int) -> bytes | None:
        frame = wrapper(self.topic, now_ms)
        items = [self._item(pair, now_ms) for pair in self._pairs]
        if self.topic.channel is Channel.MINI_TICKERS:
            frame.publicMiniTickers.items.extend(items)
        else:
            frame.publicMiniTicker.CopyFrom(items[0])
        return frame.SerializeToString()

    def close(self) -> None:
        self._pairs = ()


def open_feed(topic: Topic, pairs: dict[str, Pair]) -> Feed:
    """Return a new feed of a public topic."""
    channel = topic.channel
    if channel is Channel.MINI_TICKERS:
        return MiniTickerFeed(topic, pairs.values())
    assert topic.symbol is not None, "public topics but miniTickers have a symbol"
    pair = pairs[topic.symbol]
    match channel:
        case Channel.DEPTH:
            return DepthFeed(topic, pair)
        case Channel.DEALS:
            return DealsFeed(topic, pair)
        case Channel.BOOK_TICKER | Channel.BOOK_TICKER_BATCH:
            return BookTickerFeed(topic, pair)
        case Channel.LIMIT_DEPTH:
            return LimitDepthFeed(topic, pair)
        case Channel.KLINE:
            return KlineFeed(topic, pair)
        case Channel.MINI_TICKER:
            return MiniTickerFeed(topic, (pair,))
        case Channel.PRIVATE_ORDERS | Channel.PRIVATE_DEALS | Channel.PRIVATE_ACCOUNT:
            raise ValueError(f"expected a public topic, was {topic.text}")
        case _:
            assert_never(channel)
