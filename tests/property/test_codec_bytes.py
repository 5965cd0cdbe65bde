"""Any bytes are events or a DecodeError, never anything else; and what is written is what is read."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.topics import read_control
from trading.model.errors import ConfigError, DecodeError
from trading.model.instrument import Instrument
from trading.model.market import BestQuote, BookDelta, FeedAlive, MarketTrade

ZERO = Decimal(0)
INSTRUMENT = Instrument("XUSDT", "X", "USDT", Decimal("0.001"), Decimal("0.1"), ZERO, Decimal(1), ZERO, ZERO, ZERO)
RECV_NS = 1_789_897_517_500_000_000

ticks = st.integers(1, 10**9)
lots = st.integers(0, 10**9)
levels = st.lists(st.tuples(ticks, lots), max_size=8)
odd_texts = st.one_of(
    st.text(max_size=6), st.sampled_from(["1", "0", "1.5", "٣", "1e3", "-0", "+1", "1_0", " 1", ".", "1."])
)


def depth_frame(bids: list[tuple[int, int]], asks: list[tuple[int, int]], first: int, last: int) -> bytes:
    push = pb.PushDataV3ApiWrapper(channel="c", symbol="XUSDT", sendTime=5)
    for source, items in ((bids, push.publicAggreDepths.bids), (asks, push.publicAggreDepths.asks)):
        for price, qty in source:
            items.add(price=INSTRUMENT.price_text(price), quantity=INSTRUMENT.qty_text(qty))
    push.publicAggreDepths.fromVersion, push.publicAggreDepths.toVersion = str(first), str(last)
    return push.SerializeToString()


def assert_event_or_decode_error(payload: bytes) -> None:
    try:
        events = PublicCodec(INSTRUMENT).decode(payload, RECV_NS)
    except DecodeError:
        return
    for event in events:
        assert isinstance(event, BookDelta | BestQuote | MarketTrade | FeedAlive)
        assert event.symbol == "XUSDT"


@given(bids=levels, asks=levels, first=st.integers(1, 10**15), width=st.integers(0, 1000))
def test_codec_written_depth_is_read_back_exactly(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], first: int, width: int
) -> None:
    codec = PublicCodec(INSTRUMENT)
    payload = depth_frame(bids, asks, first, first + width)
    expected = (BookDelta("XUSDT", first, first + width, tuple(bids), tuple(asks), 5_000_000, RECV_NS),)
    assert codec.decode(payload, RECV_NS) == expected
    assert codec.decode(payload, RECV_NS) == expected, "the second time from the memory of texts"


@given(st.binary(max_size=300))
def test_codec_random_bytes_are_events_or_a_decode_error(payload: bytes) -> None:
    assert_event_or_decode_error(payload)


@given(bids=levels, cuts=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
def test_codec_mutated_frames_are_events_or_a_decode_error(
    bids: list[tuple[int, int]], cuts: list[tuple[int, int]]
) -> None:
    payload = bytearray(depth_frame(bids, bids, 1, 2))
    for place, value in cuts:
        payload[place % len(payload)] = value
    assert_event_or_decode_error(bytes(payload))
    assert_event_or_decode_error(bytes(payload[: cuts[0][0] % len(payload)]))


@given(
    texts=st.tuples(odd_texts, odd_texts, odd_texts, odd_texts, odd_texts),
    kind=st.integers(-(2**31), 2**31 - 1),
    at_ms=st.integers(-(2**63), 2**63 - 1),
)
def test_codec_odd_texts_are_events_or_a_decode_error(
    texts: tuple[str, str, str, str, str], kind: int, at_ms: int
) -> None:
    quote = pb.PushDataV3ApiWrapper(channel="c", symbol="XUSDT", sendTime=at_ms)
    body = quote.publicAggreBookTicker
    body.bidPrice, body.bidQuantity, body.askPrice, body.askQuantity, body.version = texts
    deals = pb.PushDataV3ApiWrapper(channel="c", symbol="XUSDT")
    deals.publicAggreDeals.deals.add(price=texts[0], quantity=texts[1], tradeType=kind, time=at_ms)
    assert_event_or_decode_error(quote.SerializeToString())
    assert_event_or_decode_error(deals.SerializeToString())


@given(text=st.text(max_size=80), topics=st.lists(st.text(min_size=1, max_size=10), max_size=4))
def test_codec_any_control_text_is_read_and_accepts_no_topic_that_was_not_asked_for(
    text: str, topics: list[str]
) -> None:
    answer = read_control(text, topics)
    assert answer.accepted | answer.rejected <= set(topics)


@given(
    steps=st.tuples(st.integers(-60, 60), st.integers(-60, 60)),
    amount=st.decimals(allow_nan=True, allow_infinity=True) | st.sampled_from(["1E+999999", "1E-999999", "NaN"]),
)
def test_instrument_of_any_figures_is_one_or_a_config_error(steps: tuple[int, int], amount: Decimal | str) -> None:
    tick, lot = (Decimal(1).scaleb(places) for places in steps)
    for figures in ((Decimal(amount), ZERO, ZERO), (ZERO, Decimal(amount), ZERO), (ZERO, ZERO, Decimal(amount))):
        with suppress(ConfigError):
            made = Instrument("XUSDT", "X", "USDT", tick, lot, *figures, ZERO, ZERO)
            assert made.min_lots(10**6) >= 1
    for round_to_grid in (INSTRUMENT.units_of, INSTRUMENT.qty_lots_ceil, INSTRUMENT.price_ticks_floor):
        with suppress(ConfigError):
            assert isinstance(round_to_grid(Decimal(amount)), int)
