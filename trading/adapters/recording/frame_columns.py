"""Frames of a recording as events, many at a time: a column of numbers a field. May import numpy, the schema, topics.

`mexc.codec` says what a frame means, and takes one at a time, field by field. A recording has them by the thousand, and
nearly all are written alike: the schema's fields in the schema's order, times of six bytes, plain numbers of at most
eighteen digits. Those are read here, every byte of them accounted for. A frame that differs from that form in any byte
is left to the codec, so that both say the same, errors included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trading.adapters.mexc.proto.mexc_push_pb2 import PushDataV3ApiWrapper
from trading.adapters.mexc.topics import INTERVALS, market_topics
from trading.adapters.recording.rows import Row
from trading.model.instrument import Grid, Instrument
from trading.model.market import BestQuote, BookDelta, MarketEvent, MarketTrade, Side
from trading.model.message import maker
from trading.model.units import NS_PER_MS

Events = tuple[MarketEvent, ...]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

DEALS_MAX = 64
"""Trades of a frame that are read here; the gathered ones of a busy second are some ten."""

_TIME_BYTES = 6  # of milliseconds from 2^35 to 2^42: 1971 to 2109
_DIGITS_MAX = 18  # fit 64 bits, whatever they are
_TEXT_MAX = 127  # longer ones have a length of two bytes
_PADDING = bytes(4_096)  # a frame that is none may point that far beyond the last
_POWERS = 10 ** np.arange(_DIGITS_MAX + 1, dtype=np.int64)
_SIDES = (Side.BUY, Side.BUY, Side.SELL)  # by the wire's number; 0 is none, and is not read

_delta_of, _quote_of, _trade_of = maker(BookDelta), maker(BestQuote), maker(MarketTrade)


class _Texts(NamedTuple):
    """A text of each frame: where it starts, and its length."""

    start: Whole
    length: Whole


class _Frames:
    """Where reading stands in each of some frames, and which of them have been of the known form so far."""

    def __init__(self, data: Bytes, at: Whole, end: Whole) -> None:
        self.data, self.at, self.end = data, at, end
        self.is_plain: Flags = np.ones(len(at), np.bool_)

    def open(self, *tag: int) -> Whole:
        """Enter a message: its tag, and a length of one or two bytes. Returns: where it ends."""
        for byte in tag:
            self.is_plain &= self.data[self.at] == byte
            self.at = self.at + 1
        first, second = self.data[self.at].astype(np.int64), self.data[self.at + 1].astype(np.int64)
        is_long = first > _TEXT_MAX
        self.is_plain &= ~is_long | (second <= _TEXT_MAX)
        self.at = self.at + 1 + is_long
        return self.at + np.where(is_long, first - 128 + second * 128, first)

    def text(self, tag: int) -> _Texts:
        """Pass a text; one that is not there is empty."""
        is_there = self.data[self.at] == tag
        length = np.where(is_there, self.data[self.at + 1], 0).astype(np.int64)
        self.is_plain &= length <= _TEXT_MAX
        start = self.at + 2 * is_there
        self.at = start + length
        return _Texts(start, length)

    def number(self, tag: int, size: int) -> Whole:
        """Pass a number of `size` bytes; one that is not there is 0."""
        is_there = self.data[self.at] == tag
        value = np.zeros(len(self.at), np.int64)
        if not is_there.any():
            return value
        for place in range(size):
            byte = self.data[self.at + 1 + place]
            self.is_plain &= ~is_there | ((byte > _TEXT_MAX) == (place < size - 1))
            value |= (byte & _TEXT_MAX).astype(np.int64) << 7 * place
        self.at = self.at + (1 + size) * is_there
        return np.where(is_there, value, 0)


class FrameColumns:
    """Reads one symbol's frames by the batch. Owned by whoever plays a recording; it keeps nothing between batches."""

    def __init__(self, instrument: Instrument) -> None:
        self._symbol = instrument.symbol
        self._price_grid, self._qty_grid = instrument.price_grid, instrument.qty_grid
        readers = (self._deltas, self._trades, self._quotes)  # of `market_topics`
        bodies = ((0xCA, 0x13), (0xD2, 0x13), (0xDA, 0x13))  # tags of publicAggreDepths, …Deals, …BookTicker
        self._kinds = {
            topic: (PushDataV3ApiWrapper(channel=topic, symbol=self._symbol).SerializeToString(), body, reader)
            for interval in INTERVALS
            for topic, body, reader in zip(market_topics(self._symbol, interval), bodies, readers, strict=True)
        }

    def read(self, rows: Sequence[Row]) -> list[Events | None]:
        """Read some rows; None for each that is not a frame of this symbol in the form that is known here."""
        found: list[Events | None] = [None] * len(rows)
        groups: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(row.stream, []).append(place)
        for stream, places in groups.items():
            if stream in self._kinds:
                head, body, reader = self._kinds[stream]
                chosen = [place for place in places if rows[place].payload.startswith(head)]
                read = _read([rows[place] for place in chosen], head, body, reader) if chosen else []
                for place, events in zip(chosen, read, strict=True):
                    found[place] = events
        return found

    def _quotes(self, frames: _Frames, sent_ns: Whole, recv_ns: list[int]) -> list[Events]:
        bid, bid_qty, ask, ask_qty, number = (frames.text(tag) for tag in (0x0A, 0x12, 0x1A, 0x22, 0x2A))
        version, is_version = _versions(frames.data, number)
        frames.number(0x30, _TIME_BYTES)  # lastOrderCreateTime
        prices, qtys, is_level = self._levels(frames.data, _joined(bid, ask), _joined(bid_qty, ask_qty))
        count = len(recv_ns)
        frames.is_plain &= (is_version | (number.length == 0)) & is_level[:count] & is_level[count:]
        levels = list(zip(prices, qtys, strict=True))
        quotes = map(
            _quote_of,
            repeat(self._symbol),
            version.tolist(),
            levels[:count],
            levels[count:],
            sent_ns.tolist(),
            recv_ns,
        )
        return list(zip(quotes, strict=True))

    def _deltas(self, frames: _Frames, sent_ns: Whole, recv_ns: list[int]) -> list[Events]:
        data = frames.data
        first, last, price, qty, is_bid = _levels_of(frames)
        prices, qtys, is_level = self._levels(data, price, qty)
        odd, bids = _sums(~is_level), _sums(is_bid)
        middle = last - (bids[last] - bids[first])  # asks come first
        frames.is_plain &= (odd[last] == odd[first]) & (bids[last] - bids[middle] == last - middle)
        name = frames.text(0x1A)  # eventType
        from_version, is_from = _versions(data, frames.text(0x22))
        to_version, is_to = _versions(data, frames.text(0x2A))
        frames.number(0x30, _TIME_BYTES)  # lastOrderCreateTime
        frames.is_plain &= _is_ascii(data, name) & is_from & is_to & (from_version <= to_version)
        levels = tuple(zip(prices, qtys, strict=True))
        columns = (from_version, to_version, first, middle, last, sent_ns)
        deltas = [
            _delta_of(self._symbol, before, to, levels[mid:end], levels[begin:mid], sent, recv)
            for before, to, begin, mid, end, sent, recv in zip(*(c.tolist() for c in columns), recv_ns, strict=True)
        ]
        return list(zip(deltas, strict=True))

    def _trades(self, frames: _Frames, _: Whole, recv_ns: list[int]) -> list[Events]:
        owner, price, qty, side, time_ms = _deals_of(frames)
        frames.is_plain &= _is_ascii(frames.data, frames.text(0x12))  # eventType
        prices, qtys, is_level = self._levels(frames.data, price, qty)
        is_deal = is_level & (np.array(qtys, np.int64) > 0) & ((side == 1) | (side == 2))
        frames.is_plain[owner[~is_deal]] = False
        sides = [_SIDES[number] for number in np.where(is_deal, side, 0).tolist()]
        recvs = [recv_ns[place] for place in owner.tolist()]
        times = (time_ms * NS_PER_MS).tolist()
        trades = list(map(_trade_of, repeat(self._symbol), prices, qtys, sides, times, recvs))
        ends = np.searchsorted(owner, np.arange(len(recv_ns)), "right").tolist()
        return [tuple(trades[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]

    def _levels(self, data: Bytes, price: _Texts, qty: _Texts) -> tuple[list[int], list[int], Flags]:
        """Read prices in ticks and quantities in lots, and say which are a level as the codec takes one."""
        prices, is_price = _on_grid(data, price, self._price_grid)
        qtys, is_qty = _on_grid(data, qty, self._qty_grid)
        return prices.tolist(), qtys.tolist(), is_price & is_qty & (prices > 0)


def _read(
    rows: list[Row], head: bytes, body: tuple[int, int], reader: Callable[[_Frames, Whole, list[int]], list[Events]]
) -> list[Events | None]:
    """Read frames of one stream that begin with `head`."""
    ends = np.cumsum([len(row.payload) for row in rows])
    data = np.frombuffer(b"".join([*(row.payload for row in rows), _PADDING]), np.uint8)
    frames = _Frames(data, np.append(0, ends[:-1]) + len(head), ends)
    sent_ms = frames.number(0x30, _TIME_BYTES)
    frames.is_plain &= frames.open(*body) == frames.end
    events = reader(frames, sent_ms * NS_PER_MS, [row.recv_ts_ns for row in rows])
    frames.is_plain &= frames.at == frames.end
    if frames.is_plain.all():
        return list(events)
    return [item if is_plain else None for item, is_plain in zip(events, frames.is_plain.tolist(), strict=True)]


def _levels_of(frames: _Frames) -> tuple[Whole, Whole, _Texts, _Texts, Flags]:
    """Pass the levels of depth frames. Returns: first and one past the last of each frame, the levels' texts and sides.

    A level is a message of two texts. What looks like one is looked for everywhere at once: the levels of a frame are
    what stands there without a gap from its beginning on, and in the rest of it nothing may look like one.
    """
    data = frames.data
    at = np.flatnonzero(((data[:-2] == 0x0A) | (data[:-2] == 0x12)) & (data[2:] == 0x0A))
    at = at[at < frames.end[-1]]
    price_length = data[at + 3].astype(np.int64)
    qty_at = at + 4 + price_length
    qty_length = data[qty_at + 1].astype(np.int64)
    is_level = (data[qty_at] == 0x12) & (data[at + 1] == price_length + qty_length + 4)
    at, qty_at, price_length, qty_length = at[is_level], qty_at[is_level], price_length[is_level], qty_length[is_level]
    after = qty_at + 2 + qty_length
    first, last = np.searchsorted(at, frames.at), np.searchsorted(at, frames.end)
    has_levels = last > first
    follows = at == np.append(-1, after)[:-1]
    follows[first[has_levels]] = at[first[has_levels]] == frames.at[has_levels]
    gaps = _sums(~follows)
    frames.is_plain &= gaps[last] == gaps[first]
    frames.at = np.where(has_levels, np.append(after, 0)[last - 1], frames.at)
    return first, last, _Texts(at + 4, price_length), _Texts(qty_at + 2, qty_length), data[at] == 0x12


def _deals_of(frames: _Frames) -> tuple[Whole, _Texts, _Texts, Whole, Whole]:
    """Pass the trades of deals frames. Returns: whose each is (ascending), price, quantity, side, time in ms."""
    data, inside = frames.data, np.arange(len(frames.at))
    parts: list[tuple[Whole, ...]] = [(np.zeros(0, np.int64),) * 7]
    for _ in range(DEALS_MAX):
        at = frames.at[inside]
        inside = inside[(data[at] == 0x0A) & (at < frames.end[inside])]
        if not len(inside):
            break
        deal = _Frames(data, frames.at[inside], frames.end[inside])
        end = deal.open(0x0A)
        price, qty = deal.text(0x0A), deal.text(0x12)
        side, time_ms = deal.number(0x18, 1), deal.number(0x20, _TIME_BYTES)
        deal.is_plain &= _is_ascii(data, deal.text(0x2A)) & (deal.at == end)  # tradeId
        frames.at[inside] = deal.at
        frames.is_plain[inside] &= deal.is_plain
        parts.append((inside, *price, *qty, side, time_ms))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    owner, price_at, price_length, qty_at, qty_length, sides, times_ms = (column[order] for column in columns)
    return owner, _Texts(price_at, price_length), _Texts(qty_at, qty_length), sides, times_ms


def _on_grid(data: Bytes, texts: _Texts, grid: Grid) -> tuple[Whole, Flags]:
    """Read decimal numbers as multiples of a step, and say which are exactly that."""
    value, decimals, digits, is_number = _digits(data, texts)
    if grid.decimals > _DIGITS_MAX or grid.unit > _POWERS[-1]:
        return value, np.zeros(len(value), np.bool_)
    missing = grid.decimals - decimals
    is_number &= (missing >= 0) & (digits + missing <= _DIGITS_MAX)
    scaled = value * _POWERS[np.clip(missing, 0, _DIGITS_MAX)]
    if grid.unit == 1:
        return scaled, is_number
    steps, rest = np.divmod(scaled, grid.unit)
    return steps, is_number & (rest == 0)


def _versions(data: Bytes, texts: _Texts) -> tuple[Whole, Flags]:
    """Read whole numbers without a point, and say which are such."""
    value, _, digits, is_number = _digits(data, texts)
    return value, is_number & (digits == texts.length)


def _digits(data: Bytes, texts: _Texts) -> tuple[Whole, Whole, Whole, Flags]:
    """Read numbers. Returns: all digits as one, how many follow the point, how many there are, and which are numbers.

    A text is one of at most 18 digits, the first character one of them, with one point among or after them or none.
    """
    start, length = texts
    width = min(int(length.max(initial=1)), _DIGITS_MAX + 1)
    places = np.arange(width)[:, np.newaxis]
    chars = np.ascontiguousarray(sliding_window_view(data, width)[start].T)  # row by row: the first character of all, …
    is_inside, is_digit, is_point = places < length, (chars >= 0x30) & (chars <= 0x39), chars == 0x2E
    is_point &= is_inside
    value = np.zeros(len(start), np.int64)
    for row, is_counted in zip(chars & 0x0F, is_digit & is_inside, strict=True):
        value = np.where(is_counted, 10 * value + row, value)
    points = is_point.sum(axis=0)
    is_number = (length > 0) & (length <= width) & is_digit[0] & (points <= 1) & (length - points <= _DIGITS_MAX)
    is_number &= (is_digit | is_point | ~is_inside).all(axis=0)
    decimals = np.where(points > 0, length - 1 - is_point.argmax(axis=0), 0)
    return value, decimals, length - points, is_number


def _is_ascii(data: Bytes, texts: _Texts) -> Flags:
    """Say which texts are ASCII; others may be no text at all, which is for the codec to judge."""
    others = np.flatnonzero(data > 0x7F)
    is_ascii: Flags = np.searchsorted(others, texts.start) == np.searchsorted(others, texts.start + texts.length)
    return is_ascii


def _joined(one: _Texts, other: _Texts) -> _Texts:
    return _Texts(np.concatenate((one.start, other.start)), np.concatenate((one.length, other.length)))


def _sums(flags: Flags) -> Whole:
    """Return how many flags are set before each place, and one past the last."""
    return np.append(0, np.cumsum(flags))
