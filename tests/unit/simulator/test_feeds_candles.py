"""The candle push: what a window's last push says is what the window was."""

from simulator.exchange.listings import Listing
from simulator.exchange.pair import Pair, Sequence
from simulator.exchange.tape import Trade
from simulator.wire.feeds import open_feed
from simulator.wire.topics import parse_topic
from trading.adapters.mexc.proto import mexc_push_pb2 as pb

LISTING = Listing("BTCUSDT", "BTC", "USDT", "Bitcoin", 2, 6)
MINUTE_MS = 1_789_897_500_000


def test_kline_feed_pushes_a_closed_window_with_its_last_trades_before_the_next_window() -> None:
    pair = Pair(LISTING, 8_000_000, Sequence())
    topic = parse_topic("spot@public.kline.v3.api.pb@BTCUSDT@Min1", {"BTCUSDT"})
    assert topic is not None
    feed = open_feed(topic, {"BTCUSDT": pair})

    def pushed(now_ms: int) -> tuple[int, str, str] | None:
        payload = feed.flush(now_ms)
        if payload is None:
            return None
        body = pb.PushDataV3ApiWrapper.FromString(payload).publicSpotKline
        return body.windowStart, body.closingPrice, body.volume

    pair.tape.record(Trade(1, 8_000_000, 1_000_000, True, MINUTE_MS + 58_000))
    assert pushed(MINUTE_MS + 59_000) == (MINUTE_MS // 1_000, "80000", "1")
    pair.tape.record(Trade(2, 8_000_100, 2_000_000, True, MINUTE_MS + 59_700))
    pair.tape.record(Trade(3, 8_000_200, 500_000, True, MINUTE_MS + 60_100))
    assert pushed(MINUTE_MS + 60_200) == (MINUTE_MS // 1_000, "80001", "3")
    assert pushed(MINUTE_MS + 61_200) == (MINUTE_MS // 1_000 + 60, "80002", "0.5")
    assert pushed(MINUTE_MS + 62_200) is None
