"""The small pure pieces of the wire: topics, limits, listen keys, intervals, faults, framing."""

from datetime import UTC, datetime

import pytest
from websockets.frames import Frame, Opcode

from simulator.exchange.accounts import Account
from simulator.faults import FaultKind, Faults
from simulator.wire.frames import binary_frame, text_frame
from simulator.wire.intervals import day_start, window_end, window_start
from simulator.wire.limits import ABUSE_COOLDOWN_MS, Limiter, LimitMode
from simulator.wire.listen_keys import VALID_MS, ListenKeys
from simulator.wire.topics import Channel, parse_topic

SYMBOLS = {"BTCUSDT", "GOLD(PAXG)USDT", "龙虾USDT"}


@pytest.mark.parametrize("symbol", sorted(SYMBOLS))
def test_parse_topic_reads_symbol_and_detail(symbol: str) -> None:
    topic = parse_topic(f"spot@public.aggre.depth.v3.api.pb@10ms@{symbol}", SYMBOLS)
    assert topic is not None
    assert (topic.channel, topic.symbol, topic.detail) == (Channel.DEPTH, symbol, "10ms")
    assert topic.event_type == "spot@public.aggre.depth.v3.api.pb@10ms"


@pytest.mark.parametrize(
    "text", ["", "@", "spot@", "spot@public.kline.v3.api.pb@BTCUSDT", "spot@private.orders.v3.api.pb@BTCUSDT"]
)
def test_parse_topic_of_no_stream_is_none(text: str) -> None:
    assert parse_topic(text, SYMBOLS) is None


def test_limiter_effective_counts_orders_and_requests_in_a_sliding_second() -> None:
    limiter = Limiter(LimitMode.EFFECTIVE)
    assert [limiter.admit_account("key", "here", 1, 1_000 + number) for number in range(12)] == [0] * 12
    assert limiter.admit_account("key", "here", 1, 1_500) == 500
    assert limiter.admit_account("other", "here", 1, 1_500) == 0
    assert limiter.admit_account("key", "here", 1, 2_000) == 0
    assert limiter.refusals == 1


def test_limiter_bans_who_goes_on_and_forgives_later() -> None:
    limiter = Limiter(LimitMode.EFFECTIVE, time_scale=10)
    for number in range(200):
        limiter.admit("here", "/api/v3/time", 1, 1_000 + number)
    assert limiter.is_banned("here", 1_300)
    assert not limiter.is_banned("there", 1_300)
    assert not limiter.is_banned("here", 1_300 + ABUSE_COOLDOWN_MS // 10)


def test_limiter_documented_counts_weight_per_endpoint() -> None:
    limiter = Limiter(LimitMode.DOCUMENTED)
    assert [limiter.admit("here", "/a", 100, 0) for _ in range(6)] == [0, 0, 0, 0, 0, 10_000]
    assert limiter.admit("here", "/b", 100, 0) == 0


def test_listen_keys_expire_unless_renewed() -> None:
    keys, account, other = ListenKeys(1), Account("a", "s", "1"), Account("b", "s", "2")
    key = keys.create(account, 0)
    assert key is not None
    assert keys.owner(key, VALID_MS - 1) is account
    assert keys.renew(key, account, VALID_MS - 1)
    assert not keys.renew(key, other, VALID_MS)
    assert keys.owner(key, 2 * VALID_MS - 2) is account
    assert keys.owner(key, 2 * VALID_MS) is None
    made = [keys.create(account, 3 * VALID_MS) for _ in range(61)]
    assert made.count(None) == 1


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000


def test_intervals_start_weeks_on_monday_and_months_on_the_first() -> None:
    now = ms(2026, 11, 22, 7, 47)  # a Sunday
    assert window_start("Week1")(now) == ms(2026, 11, 16)
    assert window_start("Month1")(now) == ms(2026, 11, 1)
    assert window_end("Month1", ms(2026, 11, 1)) == ms(2026, 12, 1)
    assert window_start("Hour4")(now) == ms(2026, 11, 22, 4)


def test_intervals_day_begins_at_midnight_of_the_zone() -> None:
    now = ms(2026, 11, 22, 7, 47)
    assert day_start("UTC+0", now) == ms(2026, 11, 22)
    assert day_start("UTC+8", now) == ms(2026, 11, 21, 16)
    assert day_start("UTC-10", now) == ms(2026, 11, 21, 10)
    assert day_start("UTC+5:30", now) == ms(2026, 11, 21, 18, 30)
    assert day_start("24H", now) == ms(2026, 11, 21, 7, 47)


def test_faults_strike_by_count_symbol_and_seeded_probability() -> None:
    faults = Faults()
    faults.add(FaultKind.DROP_DELTA, symbol="A", times=2)
    struck = [faults.fire(FaultKind.DROP_DELTA, symbol) is not None for symbol in ("B", "A", "A", "A")]
    assert struck == [False, True, True, False]
    assert faults.active() == []

    def pattern(seed: int) -> list[bool]:
        some = Faults()
        some.add(FaultKind.STALL, probability=0.5, seed=seed)
        return [some.fire(FaultKind.STALL) is not None for _ in range(64)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert 10 < sum(pattern(1)) < 54
    assert faults.injected == {"drop_delta": 2}


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_are_framed_as_the_websocket_library_does(size: int) -> None:
    payload = b"x" * size
    assert binary_frame(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)
    assert text_frame("x" * size) == Frame(Opcode.TEXT, payload).serialize(mask=False)
