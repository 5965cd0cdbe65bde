"""The tape of one pair: public trades, one-minute candles, and the statistics of the last 24 hours. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

MINUTE_MS = 60_000
DAY_MS = 86_400_000
# REST answers at most 1000 trades; 1500 minutes cover the 24 h ticker and one klines answer.
TRADES_KEPT = 1_000
CANDLES_KEPT = 1_500
# Longer candles of the time before: thousands, for whoever asks for a coarse interval (`market/history.py`).
OLDER_KEPT = 8_000
_OLDER_MS = 5 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Trade:
    """One public trade. `trade_no` counts the trades of the exchange."""

    trade_no: int
    price_ticks: int
    lots: int
    is_buyer_taker: bool
    time_ms: int


@dataclass(slots=True)
class Candle:
    """Prices in ticks, volume in lots, turnover as the sum of price_ticks x lots; starts at `start_ms`."""

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    ticks_lots: int = 0

    def add(self, price_ticks: int, lots: int) -> None:
        """Count one trade; the first one opens the candle."""
        if self.lots == 0:
            self.open = self.high = self.low = price_ticks
        self.high = max(self.high, price_ticks)
        self.low = min(self.low, price_ticks)
        self.close = price_ticks
        self.lots += lots
        self.ticks_lots += price_ticks * lots

    def merge(self, later: "Candle") -> None:
        """Count all trades of a candle that follows this one."""
        if self.lots == 0:
            self.open, self.high, self.low = later.open, later.high, later.low
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.lots += later.lots
        self.ticks_lots += later.ticks_lots


class Backfill(Protocol):
    """The time before the start, as candles, oldest first and without a gap."""

    def minutes(self, end_ms: int) -> list[Candle]:
        """Return one-minute candles up to `end_ms`."""
        ...

    def older(self, end_ms: int, close_ticks: int) -> list[Candle]:
        """Return longer candles up to `end_ms`, the last one closing at a price."""
        ...


class Tape:
    """Trades and candles of one pair, oldest first.

    `backfill` is asked once for each of its kinds, when somebody looks.
    `listeners` receive each trade: the market's agents and the push channels gather what they need.
    """

    def __init__(self, first_price_ticks: int, backfill: Backfill | None = None) -> None:
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT)
        self.listeners: list[list[Trade]] = []
        self.last_price = first_price_ticks
        self.signed_lots = 0  # bought minus sold by takers, since the start
        self._candles: deque[Candle] = deque(maxlen=CANDLES_KEPT)
        self._older: deque[Candle] = deque(maxlen=OLDER_KEPT)  # of more than a minute, joined to the first of these
        self._backfill = backfill
        self._has_minutes = backfill is None
        self._spans: dict[str, tuple[int, Candle]] = {}  # by label: (minute, the span before that minute)

    def record(self, trade: Trade) -> None:
        """Append a trade; times must not decrease."""
        self.trades.append(trade)
        self.last_price = trade.price_ticks
        self.signed_lots += trade.lots if trade.is_buyer_taker else -trade.lots
        self._candle_at(trade.time_ms).add(trade.price_ticks, trade.lots)
        for listener in self.listeners:
            listener.append(trade)

    def _candle_at(self, now_ms: int) -> Candle:
        start = now_ms - now_ms % MINUTE_MS
        if not self._candles:
            self._candles.append(Candle(start, *(self.last_price,) * 4))
        last = self._candles[-1]
        if start - last.start_ms > CANDLES_KEPT * MINUTE_MS:
            self._candles.clear()
            self._older.clear()
            self._backfill = None
            last = Candle(start, *(last.close,) * 4)
            self._candles.append(last)
        while last.start_ms < start:
            last = Candle(last.start_ms + MINUTE_MS, *(last.close,) * 4)
            if self._older and len(self._candles) == CANDLES_KEPT:
                self._retire(self._candles[0])
            self._candles.append(last)
        return last

    def _retire(self, minute: Candle) -> None:
        """Keep a minute that will be forgotten as part of a longer candle."""
        last = self._older[-1]
        if last.start_ms - last.start_ms % _OLDER_MS == minute.start_ms - minute.start_ms % _OLDER_MS:
            last.merge(minute)
        else:
            self._older.append(replace(minute))

    def minutes(self, now_ms: int) -> deque[Candle]:
        """Return the one-minute candles up to `now_ms`, oldest first, minutes without trades included."""
        self._candle_at(now_ms)
        if not self._has_minutes and self._backfill is not None and len(self._candles) < CANDLES_KEPT:
            past = self._backfill.minutes(self._candles[0].start_ms)
            self._candles.extendleft(reversed(past[-(CANDLES_KEPT - len(self._candles)) :]))
        self._has_minutes = True
        return self._candles

    def _before(self, first: Candle, length_ms: int, from_ms: int) -> list[Candle]:
        """Return the candles before the first minute that are no longer than `length_ms`, oldest first."""
        if length_ms <= MINUTE_MS:
            return []
        if self._backfill is not None:
            backfill, self._backfill = self._backfill, None
            self._older.extend(backfill.older(first.start_ms, first.open))
        found: list[Candle] = []
        end_ms = first.start_ms
        for candle in reversed(self._older):
            if end_ms - candle.start_ms > length_ms or end_ms <= from_ms:
                break
            found.append(candle)
            end_ms = candle.start_ms
        found.reverse()
        return found

    def day(self, now_ms: int) -> Candle:
        """Return the last 24 hours as one candle."""
        return self.since("24H", now_ms - DAY_MS, now_ms)

    def since(self, label: str, since_ms: int, now_ms: int) -> Candle:
        """Return everything since a time as one candle; `label` names the kind of span, for the cache of a minute."""
        minutes = self.minutes(now_ms)
        newest = minutes[-1]
        cached = self._spans.get(label)
        if cached is None or cached[0] != newest.start_ms:
            recent = [candle for candle in minutes if candle.start_ms >= since_ms and candle is not newest]
            first = recent[0] if recent else newest
            span = Candle(first.start_ms, *(first.open,) * 4)
            for candle in recent:
                span.merge(candle)
            cached = self._spans[label] = (newest.start_ms, span)
        whole = replace(cached[1])
        whole.merge(newest)
        return whole

    def window(self, start_ms: int, end_ms: int) -> Candle | None:
        """Return the trades of a past window as one candle, None when it is not remembered any more."""
        minutes = [candle for candle in self._candles if start_ms <= candle.start_ms < end_ms]
        if not minutes:
            return None
        whole = Candle(minutes[0].start_ms, *(minutes[0].open,) * 4)
        for candle in minutes:
            whole.merge(candle)
        return whole

    def candles(
        self, now_ms: int, window_start: Callable[[int], int], length_ms: int = MINUTE_MS, from_ms: int = 0
    ) -> list[Candle]:
        """Return the candles of another interval, oldest first.

        The first one is whole where there is a history; a history of candles that are longer than these is none.

        Args:
            window_start: maps a time to its candle's start. length_ms: of a candle, the longest.
            from_ms: what ended before this is not wanted.
        """
        minutes = self.minutes(now_ms)
        parts = [*self._before(minutes[0], length_ms, from_ms), *minutes]
        merged: list[Candle] = []
        for part in parts:
            start = window_start(part.start_ms)
            if merged and merged[-1].start_ms == start:
                merged[-1].merge(part)
            else:
                merged.append(Candle(start, part.open, part.high, part.low, part.close, part.lots, part.ticks_lots))
        is_partial = bool(self._older) and merged[0].start_ms < parts[0].start_ms
        return merged[1:] if is_partial else merged
