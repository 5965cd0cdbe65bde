"""Public frames: the golden ones, the habits of the live wire, and everything that must be refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.golden_wire import DEALS_FRAME, DEPTH_FRAME
from trading.adapters.mexc.codec import PRICES_MAX, QUANTITIES_MAX, PublicCodec, decode_public
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.model.errors import DecodeError
from trading.model.instrument import Instrument
from trading.model.market import BestQuote, BookDelta, FeedAlive, FeedConnected, FeedDisconnected, MarketTrade, Side

RECV_NS = 1_789_897_517_500_000_000
SENT_NS = 1_789_897_517_479_000_000


def instrument(symbol: str = "BTCUSDT") -> Instrument:
    zero = Decimal(0)
    return Instrument(
        symbol, "BTC", "USDT", Decimal("0.01"), Decimal("0.000001"), zero, Decimal(1), zero, zero, Decimal("0.0005")
    )


def frame(symbol: str = "BTCUSDT") -> pb.PushDataV3ApiWrapper:
    return pb.PushDataV3ApiWrapper(channel=f"spot@public.test@{symbol}", symbol=symbol, sendTime=1_789_897_517_479)


def test_codec_golden_depth_frame_gives_its_delta() -> None:
    assert decode_public(DEPTH_FRAME, instrument(), RECV_NS) == (
        BookDelta("BTCUSDT", 101, 103, ((8_053_588, 250_000),), ((8_053_589, 0),), SENT_NS, RECV_NS),
    )


def test_codec_golden_deals_frame_gives_its_trade_with_the_takers_side() -> None:
    assert decode_public(DEALS_FRAME, instrument(), RECV_NS) == (
        MarketTrade("BTCUSDT", 8_053_589, 10_000, Side.BUY, 1_789_897_517_470_000_000, RECV_NS),
    )


def test_codec_book_ticker_with_an_empty_side_has_none_there() -> None:
    push = frame()
    push.publicAggreBookTicker.bidPrice = "80535.8"
    push.publicAggreBookTicker.bidQuantity = "1"
    push.publicAggreBookTicker.version = "103"
    assert decode_public(push.SerializeToString(), instrument(), RECV_NS) == (
        BestQuote("BTCUSDT", 103, (8_053_580, 1_000_000), None, SENT_NS, RECV_NS),
    )


def test_codec_book_ticker_without_a_version_compares_with_none() -> None:
    push = frame()
    push.publicAggreBookTicker.bidPrice, push.publicAggreBookTicker.bidQuantity = "1", "1"
    (quote,) = decode_public(push.SerializeToString(), instrument(), RECV_NS)
    assert isinstance(quote, BestQuote)
    assert quote.version == 0


def test_codec_frame_without_a_body_is_a_sign_of_life() -> None:
    codec, push = PublicCodec(instrument()), frame()
    push.channel = "spot@public.aggre.depth.v3.api.pb@10ms@BTCUSDT"
    assert codec.decode(push.SerializeToString(), RECV_NS) == (FeedAlive("BTCUSDT", RECV_NS),)
    assert codec.unexpected == 0
    assert not codec.drift.findings


def test_codec_body_of_another_channel_is_a_sign_of_life_and_counted() -> None:
    codec = PublicCodec(instrument())
    push = frame()
    push.channel = "spot@public.kline.v3.api.pb@BTCUSDT@Min1"
    push.publicSpotKline.interval = "Min1"
    assert codec.decode(push.SerializeToString(), RECV_NS) == (FeedAlive("BTCUSDT", RECV_NS),)
    assert codec.unexpected == 1
    channel = "unknown channel spot@public.kline.v3.api.pb@@Min1"
    assert codec.drift.findings == {"unexpected body publicSpotKline": 1, channel: 1}


def test_codec_body_of_the_future_on_the_depth_channel_costs_the_proof() -> None:
    """A renumbered body looks like an empty frame; taken for a sign of life, the book would stand still, proven."""
    codec, push = PublicCodec(instrument()), frame()
    push.channel = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
    assert codec.decode(push.SerializeToString(), RECV_NS) == (FeedAlive("BTCUSDT", RECV_NS),)
    unknown_body = b"\xfa\x7d\x03abc"
    with pytest.raises(DecodeError, match="expected publicAggreDepths, was an unknown body"):
        codec.decode(push.SerializeToString() + unknown_body, RECV_NS)
    assert codec.drift.findings == {"unknown field 2015 in PushDataV3ApiWrapper": 1}


def test_codec_trade_of_an_unknown_side_is_left_out_and_counted_and_the_others_stay() -> None:
    codec, push = PublicCodec(instrument()), frame()
    push.channel = "spot@public.aggre.deals.v3.api.pb@10ms@BTCUSDT"
    for trade_type in (1, 3, 2):
        push.publicAggreDeals.deals.add(price="1", quantity="1", tradeType=trade_type)
    trades = codec.decode(push.SerializeToString(), RECV_NS)
    assert [trade.taker_side for trade in trades if isinstance(trade, MarketTrade)] == [Side.BUY, Side.SELL]
    assert codec.drift.findings == {"unknown trade type 3": 1}


@pytest.mark.parametrize(
    "channel",
    ["spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT", "spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT"],
)
def test_codec_trade_or_quote_that_cannot_be_read_costs_no_proof(channel: str) -> None:
    codec, push = PublicCodec(instrument()), frame()
    push.channel = channel
    push.publicAggreDeals.deals.add(price="no number", quantity="1", tradeType=1)
    for payload in (push.SerializeToString(), push.SerializeToString()[:-3]):
        assert codec.read(payload, RECV_NS) == (FeedAlive("BTCUSDT", RECV_NS),)
    assert codec.errors == 2
    assert codec.drift.findings["undecodable frame"] == 2


def test_codec_age_is_from_the_venues_stamp_to_our_arrival() -> None:
    codec = PublicCodec(instrument())
    codec.decode(DEPTH_FRAME, RECV_NS)
    age_ns = RECV_NS - 1_789_897_517_479 * 1_000_000
    assert (codec.age_ns, codec.age_max_ns) == (age_ns, age_ns)


def test_codec_unknown_fields_are_skipped() -> None:
    unknown_field_of_2027 = b"\xfa\x7d\x03abc"
    assert (
        decode_public(DEPTH_FRAME + unknown_field_of_2027, instrument(), RECV_NS)[0]
        == (decode_public(DEPTH_FRAME, instrument(), RECV_NS)[0])
    )


@pytest.mark.parametrize("symbol", ["龙虾USDT", "GOLD(PAXG)USDT"])
def test_codec_symbols_of_any_script_are_read(symbol: str) -> None:
    push = frame(symbol)
    push.publicAggreDepths.fromVersion = push.publicAggreDepths.toVersion = "7"
    (delta,) = decode_public(push.SerializeToString(), instrument(symbol), RECV_NS)
    assert isinstance(delta, BookDelta)
    assert (delta.symbol, delta.bids, delta.asks) == (symbol, (), ())


def test_codec_padded_and_trimmed_numbers_are_the_same_level() -> None:
    push = frame()
    push.publicAggreDepths.fromVersion = push.publicAggreDepths.toVersion = "7"
    for price, quantity in (("82990.7", "1"), ("82990.70", "1.000000"), ("82990.7000", "1.0")):
        push.publicAggreDepths.bids.add(price=price, quantity=quantity)
    (delta,) = decode_public(push.SerializeToString(), instrument(), RECV_NS)
    assert isinstance(delta, BookDelta)
    assert set(delta.bids) == {(8_299_070, 1_000_000)}


def broken_frames() -> dict[str, bytes]:
    depth = {}
    for name, first, last, price, quantity in (
        ("versions run backwards", "8", "7", "1", "1"),
        ("version with a blank", " 7", "7", "1", "1"),
        ("version with underscore", "7", "1_0", "1", "1"),
        ("version missing", "", "", "1", "1"),
        ("version beyond 64 bits", "7", "9" * 20, "1", "1"),
        ("price off the tick", "7", "7", "1.001", "1"),
        ("price of zero", "7", "7", "0", "1"),
        ("price negative", "7", "7", "-1", "1"),
        ("price empty", "7", "7", "", "1"),
        ("price no number", "7", "7", "nan", "1"),
        ("quantity off the lot", "7", "7", "1", "0.0000001"),
        ("quantity beyond 64 bits", "7", "7", "1", "9" * 20),
    ):
        push = frame()
        push.publicAggreDepths.fromVersion, push.publicAggreDepths.toVersion = first, last
        push.publicAggreDepths.bids.add(price=price, quantity=quantity)
        depth[name] = push.SerializeToString()
    sizeless = frame()
    sizeless.publicAggreDeals.deals.add(price="1", quantity="0", tradeType=1)
    return {
        **depth,
        "trade without size": sizeless.SerializeToString(),
        "another symbol": frame("ETHUSDT").SerializeToString(),
        "no bytes": b"",
        "text": b'{"id":0,"code":0,"msg":"PONG"}',
        "truncated": DEPTH_FRAME[:-5],
    }


@pytest.mark.parametrize("name", broken_frames())
def test_codec_broken_frame_is_a_decode_error_and_costs_the_proof(name: str) -> None:
    codec, payload = PublicCodec(instrument()), broken_frames()[name]
    with pytest.raises(DecodeError):
        codec.decode(payload, RECV_NS)

    lost, restored = codec.read(payload, RECV_NS)
    assert isinstance(lost, FeedDisconnected)
    assert lost.reason.startswith("undecodable frame")
    assert restored == FeedConnected("BTCUSDT", RECV_NS)
    assert codec.errors == 1


def test_frames_of_a_channel_we_do_not_know_are_drift_whatever_their_body() -> None:
    codec = PublicCodec(instrument())
    for number in range(10):
        frame = pb.PushDataV3ApiWrapper(channel="spot@public.aggre.depth.v9.api.pb@10ms@BTCUSDT", symbol="BTCUSDT")
        frame.publicAggreDepths.fromVersion = frame.publicAggreDepths.toVersion = str(number + 1)
        codec.decode(frame.SerializeToString(), 1)
    codec.decode(pb.PushDataV3ApiWrapper(channel="spot@public.bogus", symbol="BTCUSDT").SerializeToString(), 1)
    assert codec.drift.findings == {
        "unknown channel spot@public.aggre.depth.v9.api.pb@10ms@": 10,
        "unknown channel spot@public.bogus": 1,
    }
    assert codec.drift.alarm.startswith("unknown channel")


@pytest.mark.parametrize(
    ("price", "quantity"), [("80000.01", ""), ("", "1"), ("80_000", "1"), (" 1", "1"), ("-1", "1"), (".5", "1")]
)
def test_codec_level_that_is_no_pair_of_numbers_is_refused_and_never_a_deletion(price: str, quantity: str) -> None:
    push = frame()
    push.publicAggreDepths.fromVersion, push.publicAggreDepths.toVersion = "1", "1"
    push.publicAggreDepths.bids.add(price=price, quantity=quantity)
    with pytest.raises(DecodeError):
        decode_public(push.SerializeToString(), instrument(), RECV_NS)


def test_codec_body_decides_whatever_the_channel_says() -> None:
    push = frame()
    push.channel = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
    push.publicAggreBookTicker.askPrice, push.publicAggreBookTicker.askQuantity = "2", "1"
    assert decode_public(push.SerializeToString(), instrument(), RECV_NS) == (
        BestQuote("BTCUSDT", 0, None, (200, 1_000_000), SENT_NS, RECV_NS),
    )


def test_codec_reads_more_different_numbers_than_it_remembers() -> None:
    codec, count = PublicCodec(instrument()), 2 * PRICES_MAX + 1
    push = frame()
    push.publicAggreDepths.fromVersion = push.publicAggreDepths.toVersion = "7"
    for number in range(1, count + 1):
        push.publicAggreDepths.bids.add(price=f"{number}.5", quantity=f"0.{number:06}")
    (delta,) = codec.decode(push.SerializeToString(), RECV_NS)
    assert isinstance(delta, BookDelta)
    assert delta.bids == tuple((number * 100 + 50, number) for number in range(1, count + 1))
    assert codec.remembered <= PRICES_MAX + QUANTITIES_MAX
