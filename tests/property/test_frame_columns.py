"""What is read by the column is what the codec reads, frame by frame; sound frames are all read so."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.topics import book_ticker_topic, deals_topic, depth_topic
from trading.adapters.recording.frame_columns import FrameColumns
from trading.adapters.recording.rows import Row
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument

ZERO = Decimal(0)
SYMBOL = "XUSDT"
SENT_MS = 1_789_897_517_500
FINE = Instrument(SYMBOL, "X", "USDT", Decimal("0.001"), Decimal("0.1"), ZERO, Decimal(1), ZERO, ZERO, ZERO)
COARSE = Instrument(SYMBOL, "X", "USDT", Decimal("0.25"), Decimal(50), ZERO, Decimal(1), ZERO, ZERO, ZERO)
EXTREME = Instrument(SYMBOL, "X", "USDT", Decimal("1E-25"), Decimal("1E+25"), ZERO, Decimal(1), ZERO, ZERO, ZERO)
INSTRUMENTS = (FINE, COARSE, EXTREME)

# Numbers as venues write them, sound for one instrument and off the grid of another; and what is no plain number.
plain = st.builds(
    lambda whole, tail: f"{whole}.{tail}".rstrip(".") if tail else str(whole),
    st.integers(0, 10**7),
    st.sampled_from(["", "0", "5", "25", "250", "001", "3000", "10000000"]),
)
odd = st.one_of(
    st.text(max_size=4),
    st.sampled_from(["", ".", "1.", ".5", "1.2.3", "1e3", "+1", " 1", "1_0", "٣", "9" * 18, "9" * 19, "1" * 130]),
)
texts = st.one_of(plain, plain, plain, odd)
levels = st.lists(st.tuples(texts, texts), max_size=6)
versions = st.one_of(st.integers(0, 10**12).map(str), st.integers(0, 10**12).map(str), odd)
times = st.one_of(st.just(SENT_MS), st.integers(-(2**63), 2**63 - 1))


@st.composite
def frames(draw: st.DrawFn) -> Row:
    """A frame of one of the three kinds, and perhaps a few of its bytes changed, taken out or added."""
    kind = draw(st.sampled_from([depth_topic, deals_topic, book_ticker_topic]))
    topic = kind(SYMBOL, draw(st.sampled_from(["10ms", "100ms"])))
    push = pb.PushDataV3ApiWrapper(channel=topic, symbol=SYMBOL, sendTime=draw(times))
    if kind is depth_topic:
        depth = push.publicAggreDepths
        for items in (depth.asks, depth.bids):
            for price, qty in draw(levels):
                items.add(price=price, quantity=qty)
        depth.eventType = draw(st.sampled_from(["", topic.rpartition("@")[0], "ä"]))
        depth.fromVersion, depth.toVersion = draw(versions), draw(versions)
        depth.lastOrderCreateTime = draw(st.sampled_from([0, SENT_MS, 1]))
    elif kind is deals_topic:
        deals = push.publicAggreDeals
        for price, qty in draw(levels):
            side = draw(st.sampled_from([1, 2, 1, 2, 0, 3, 200]))
            deals.deals.add(
                price=price, quantity=qty, tradeType=side, time=draw(times), tradeId=draw(st.text(max_size=3))
            )
        deals.eventType = topic.rpartition("@")[0]
    else:
        quote = push.publicAggreBookTicker
        quote.bidPrice, quote.bidQuantity, quote.askPrice, quote.askQuantity = (draw(texts) for _ in range(4))
        quote.version = draw(versions)
        quote.lastOrderCreateTime = draw(st.sampled_from([0, SENT_MS, 1]))
    payload = bytearray(push.SerializeToString())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place, byte = draw(st.integers(0, len(payload) - 1)), draw(st.integers(0, 255))
        change = draw(st.sampled_from([bytes([byte]), b"", bytes([payload[place], byte])]))
        payload[place : place + 1] = change
    return Row(SENT_MS * 1_000_000, topic, bytes(payload))


@given(instrument=st.sampled_from(INSTRUMENTS), rows=st.lists(frames(), max_size=8))
def test_frame_columns_any_frames_are_read_as_the_codec_reads_them_or_left_to_it(
    instrument: Instrument, rows: list[Row]
) -> None:
    for row, events in zip(rows, FrameColumns(instrument).read(rows), strict=True):
        if events is not None:
            assert repr(events) == repr(PublicCodec(instrument).decode(row.payload, row.recv_ts_ns)), row.payload


sound = st.builds(FINE.price_text, st.integers(1, 10**12))
sound_qty = st.builds(FINE.qty_text, st.integers(1, 10**12))
sound_levels = st.lists(st.tuples(sound, sound_qty), max_size=5)


@given(asks=sound_levels, bids=sound_levels, version=st.integers(0, 10**17), has_name=st.booleans())
def test_frame_columns_frames_as_the_venue_writes_them_are_all_read_here(
    asks: list[tuple[str, str]], bids: list[tuple[str, str]], version: int, has_name: bool
) -> None:
    rows = []
    for topic in (depth_topic(SYMBOL, "100ms"), deals_topic(SYMBOL, "100ms"), book_ticker_topic(SYMBOL, "100ms")):
        name = topic.rpartition("@")[0] if has_name else ""
        push = pb.PushDataV3ApiWrapper(channel=topic, symbol=SYMBOL, sendTime=SENT_MS)
        if "depth" in topic:
            body = push.publicAggreDepths
            for levels, items in ((asks, body.asks), (bids, body.bids)):
                for price, qty in levels:
                    items.add(price=price, quantity=qty)
            body.eventType, body.fromVersion, body.toVersion = name, str(version), str(version + 7)
        elif "deals" in topic:
            for number, (price, qty) in enumerate(asks):
                push.publicAggreDeals.deals.add(price=price, quantity=qty, tradeType=1 + number % 2, time=SENT_MS)
            push.publicAggreDeals.eventType = name
        else:
            quote = push.publicAggreBookTicker
            (quote.bidPrice, quote.bidQuantity), (quote.askPrice, quote.askQuantity) = (
                (*bids, ("1", "0.1"))[0],
                (*asks, ("2", "0"))[0],
            )
            quote.version = str(version) if has_name else ""
        rows.append(Row(SENT_MS * 1_000_000, topic, push.SerializeToString()))
    rows = [*rows, Row(1, "rest:depth", b"{}"), *rows]
    codec = PublicCodec(FINE)
    for row, events in zip(rows, FrameColumns(FINE).read(rows), strict=True):
        if row.stream.startswith("rest"):
            assert events is None
        elif "deals" in row.stream and not asks:
            assert events in (None, ())
        else:
            assert events == codec.decode(row.payload, row.recv_ts_ns)


def test_frame_columns_frame_that_the_codec_refuses_is_left_to_it() -> None:
    topic = depth_topic(SYMBOL, "100ms")
    push = pb.PushDataV3ApiWrapper(channel=topic, symbol=SYMBOL, sendTime=SENT_MS)
    push.publicAggreDepths.fromVersion, push.publicAggreDepths.toVersion = "8", "7"
    row = Row(1, topic, push.SerializeToString())
    assert FrameColumns(FINE).read([row]) == [None]
    try:
        PublicCodec(FINE).decode(row.payload, 1)
    except DecodeError:
        return
    raise AssertionError("expected the codec to refuse versions out of order")
