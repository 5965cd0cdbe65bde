"""Source events as rows on MEXC's wire: the frames, snapshot and listing that MEXC would have sent.

May import `trading.model`, the push schema, orjson. Deterministic: the same event gives the same bytes.
"""

from __future__ import annotations

from typing import assert_never

import orjson

from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.rest_codec import WHOLE, listing_of
from trading.adapters.mexc.topics import (
    DEALS,
    DEPTH,
    book_ticker_topic,
    deals_topic,
    depth_topic,
)
from trading.adapters.recording.binance_lines import (
    SourceDepth,
    SourceQuote,
    SourceSnapshot,
    SourceTrade,
    Texts,
)
from trading.adapters.recording.rows import REST_DEPTH, REST_EXCHANGE_INFO, Row
from trading.model.errors import ConfigError
from trading.model.instrument import Instrument
from trading.model.units import NS_PER_MS, UNITS_MAX, plain

INTERVAL = "100ms"
"""The interval that topics of imported recordings name: the pace of the source's depth stream."""

_CACHE_MAX = 100_000
_BUY, _SELL = 1, 2


class Transcoder:
    """Writes one instrument's events on MEXC's wire.

    Versions are the source's own. Events without a time of the exchange get the time of receipt plus `clock_offset_ms`,
    so that all of `sendTime` is one clock's.
    """

    def __init__(self, instrument: Instrument, clock_offset_ms: int) -> None:
        self.instrument = instrument
        self._clock_offset_ms = clock_offset_ms
        self._depth = depth_topic(instrument.symbol, INTERVAL)
        self._deals = deals_topic(instrument.symbol, INTERVAL)
        self._ticker = book_ticker_topic(instrument.symbol, INTERVAL)
        self._trimmed: dict[Texts, Texts] = {}

    def listing(self, recv_ts_ns: int) -> Row:
        """Return the rest:exchangeInfo row: the instrument as MEXC lists one (mexc-protocol §3.3)."""
        body = listing_of(self.instrument, self._clock_ms(recv_ts_ns))
        return Row(recv_ts_ns, REST_EXCHANGE_INFO, orjson.dumps(body))

    def row(self, event: SourceDepth | SourceTrade | SourceQuote | SourceSnapshot) -> Row:
        """Return the row of an event. Raises: ConfigError naming the line of a value that is off the steps."""
        match event:
            case SourceDepth():
                return self._depth_row(event)
            case SourceTrade():
                return self._deals_row(event)
            case SourceQuote():
                return self._ticker_row(event)
            case SourceSnapshot():
                return self._snapshot_row(event)
            case _:
                assert_never(event)

    def _depth_row(self, event: SourceDepth) -> Row:
        frame = self._frame(self._depth, event.exch_ms)
        body = frame.publicAggreDepths
        for levels, items in ((event.asks, body.asks), (event.bids, body.bids)):
            for level in levels:
                price, quantity = self._trim(level, event.line)
                items.add(price=price, quantity=quantity)
        body.eventType = f"{DEPTH}@{INTERVAL}"
        body.fromVersion = str(event.from_version)
        body.toVersion = str(event.to_version)
        return Row(event.recv_ts_ns, self._depth, frame.SerializeToString())

    def _deals_row(self, event: SourceTrade) -> Row:
        frame = self._frame(self._deals, event.exch_ms)
        price, quantity = self._trim((event.price, event.qty), event.line)
        side = _SELL if event.is_buyer_maker else _BUY
        body = frame.publicAggreDeals
        body.deals.add(price=price, quantity=quantity, tradeType=side, time=event.exch_ms, tradeId=event.trade_id)
        body.eventType = f"{DEALS}@{INTERVAL}"
        return Row(event.recv_ts_ns, self._deals, frame.SerializeToString())

    def _ticker_row(self, event: SourceQuote) -> Row:
        frame = self._frame(self._ticker, event.exch_ms or self._clock_ms(event.recv_ts_ns))
        body = frame.publicAggreBookTicker
        body.version = str(event.version)
        bid, ask = self._trim(event.bid, event.line), self._trim(event.ask, event.line)
        # An empty side is absent on MEXC's wire, where the source says 0.
        if bid[0] != "0":
            body.bidPrice, body.bidQuantity = bid
        if ask[0] != "0":
            body.askPrice, body.askQuantity = ask
        return Row(event.recv_ts_ns, self._ticker, frame.SerializeToString())

    def _snapshot_row(self, event: SourceSnapshot) -> Row:
        instrument = self.instrument

        def padded(levels: tuple[Texts, ...]) -> list[Texts]:
            scaled = (self._scale(level, event.line) for level in levels)
            return [(instrument.price_text(price), instrument.qty_text(qty)) for price, qty in scaled]

        body = {
            "symbol": instrument.symbol,
            "lastUpdateId": event.version,
            "bids": padded(event.bids),
            "asks": padded(event.asks),
            "timestamp": self._clock_ms(event.recv_ts_ns),
            # An import is a market of its own, and this file is all of it: nobody could fetch what lay deeper.
            WHOLE: True,
        }
        return Row(event.recv_ts_ns, REST_DEPTH, orjson.dumps(body))

    def _frame(self, channel: str, sent_ms: int) -> pb.PushDataV3ApiWrapper:
        return pb.PushDataV3ApiWrapper(channel=channel, symbol=self.instrument.symbol, sendTime=sent_ms)

    def _clock_ms(self, recv_ts_ns: int) -> int:
        return recv_ts_ns // NS_PER_MS + self._clock_offset_ms

    def _trim(self, level: Texts, line: int) -> Texts:
        """Check a level against the grid and write it as pushes do: without trailing zeros."""
        known = self._trimmed.get(level)
        if known is None:
            self._scale(level, line)
            if len(self._trimmed) >= _CACHE_MAX:
                self._trimmed.clear()
            known = self._trimmed[level] = _trimmed(level[0]), _trimmed(level[1])
        return known

    def _scale(self, level: Texts, line: int) -> tuple[int, int]:
        """Return ticks and lots. Raises: ConfigError for what is off the steps, or no recording could hold in them."""
        instrument = self.instrument
        tick, lot = instrument.tick_size, instrument.lot_size
        try:
            price = instrument.price_ticks(level[0])
        except ValueError:
            raise ConfigError(f"line {line}: price {level[0]} is off the tick {plain(tick)}; choose a finer --tick")
        try:
            qty = instrument.qty_lots(level[1])
        except ValueError:
            raise ConfigError(f"line {line}: quantity {level[1]} is off the lot {plain(lot)}; choose a finer --lot")
        if price > UNITS_MAX:
            raise ConfigError(
                f"line {line}: price {level[0]} is beyond 2^63 ticks of {plain(tick)}; choose a coarser --tick"
            )
        if qty > UNITS_MAX:
            raise ConfigError(
                f"line {line}: quantity {level[1]} is beyond 2^63 lots of {plain(lot)}; choose a coarser --lot"
            )
        return price, qty


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
