"""Rounds: each feed once an interval, a symbol's feeds together, symbols spread; missed beats are made up for once."""

from collections import Counter

from simulator.exchange.pair import Pair, Sequence
from simulator.market.profiles import default_symbols, profile_of
from simulator.wire.feeds import open_feed
from simulator.wire.rounds import BEAT_MS, Rounds
from simulator.wire.topics import parse_topic

SYMBOLS = default_symbols(40)
START_MS = 1_700_000_000_000


def open_rounds(*kinds: str) -> Rounds:
    pairs = {}
    for symbol in SYMBOLS:
        profile = profile_of(symbol, 0, 0)
        pairs[symbol] = Pair(profile.listing, profile.first_price_ticks, Sequence())
    rounds = Rounds()
    for symbol in SYMBOLS:
        for kind in kinds:
            topic = parse_topic(f"spot@public.{kind}.v3.api.pb@100ms@{symbol}", pairs)
            assert topic is not None
            rounds.add(open_feed(topic, pairs))
    tuple(rounds.due(START_MS))
    return rounds


def test_rounds_look_at_each_feed_once_an_interval_with_its_symbols_others() -> None:
    rounds = open_rounds("aggre.depth", "aggre.bookTicker")
    turns: Counter[str] = Counter()
    together: dict[str, set[int]] = {symbol: set() for symbol in SYMBOLS}
    busiest = 0
    for beat in range(1, 31):
        due = tuple(rounds.due(START_MS + beat * BEAT_MS))
        busiest = max(busiest, len(due))
        for feed in due:
            turns[feed.topic.text] += 1
            together[feed.topic.symbol or ""].add(beat % 10)
    assert set(turns.values()) == {3}
    assert all(len(beats) == 1 for beats in together.values())
    assert busiest < len(SYMBOLS)


def test_rounds_make_up_for_missed_beats_once() -> None:
    rounds = open_rounds("aggre.depth")
    assert len(tuple(rounds.due(START_MS + 5_000))) == len(SYMBOLS)
    assert not tuple(rounds.due(START_MS + 5_001))


def test_rounds_forget_a_removed_feed() -> None:
    rounds = open_rounds("aggre.depth")
    text = f"spot@public.aggre.depth.v3.api.pb@100ms@{SYMBOLS[0]}"
    assert text in rounds
    rounds.remove(text)
    rounds.remove(text)
    assert text not in rounds
    assert len(rounds.all()) == len(tuple(rounds.due(START_MS + 1_000))) == len(SYMBOLS) - 1
