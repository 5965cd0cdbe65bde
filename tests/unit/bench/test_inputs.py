"""What the benchmarks feed: generated frames that keep a book proven, the virtual exchange, and what logs say last."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from bench.depth_frames import NOW_NS, generated
from bench.system import clean_environment, last_words
from bench.virtual_exchange import VirtualExchange, payload_of
from simulator.wire.frames import binary_frame
from trading.adapters.mexc.codec import PublicCodec
from trading.engine.book_sync import BookSync
from trading.model.market import BookDelta, BookSnapshot, BookState, FeedConnected


def test_generated_frames_are_a_proven_chain_and_the_same_twice() -> None:
    given = generated(50, (2, 3, 4, 5))
    assert generated(50, (2, 3, 4, 5)) == given
    assert generated(50, (2, 3, 4, 5), seed=2) != given
    assert 2 <= given.levels <= 5
    codec, sync = PublicCodec(given.instrument), BookSync(given.instrument.symbol)
    sync.on_connected(NOW_NS)
    sync.on_snapshot(given.snapshot, NOW_NS)
    for frame in given.frames:
        (event,) = codec.decode(frame, NOW_NS)
        assert isinstance(event, BookDelta)
        sync.on_delta(event, NOW_NS)
    assert (sync.state, sync.counters.gaps) == (BookState.PROVEN, 0)


def test_payload_of_a_frame_is_what_was_framed_at_every_length() -> None:
    for size in (0, 125, 126, 65_535, 65_536):
        assert payload_of(binary_frame(b"x" * size)) == b"x" * size


def test_virtual_exchange_gives_a_connected_proven_market() -> None:
    exchange = VirtualExchange(1, "100ms")
    (symbol,) = exchange.sinks
    events = [event for _, event in exchange.events(symbol, 2)]
    assert isinstance(events[0], FeedConnected)
    assert isinstance(events[1], BookSnapshot)
    versions = [(event.from_version, event.to_version) for event in events if isinstance(event, BookDelta)]
    assert len(versions) > 5
    assert versions[0][0] == events[1].version + 1
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(versions))


def test_last_words_are_the_last_lines_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\n\n the cause\nmake: Error 1\n\n", encoding="utf-8")
    assert last_words(log) == "two | the cause | make: Error 1"
    log.write_text("\n", encoding="utf-8")
    assert last_words(log) == "it wrote nothing"


def test_clean_environment_keeps_settings_of_others_out() -> None:
    environment = clean_environment(MEXCBOT_SEED="7")
    assert environment["MEXCBOT_SEED"] == "7"
    assert [name for name in environment if name.startswith("MEXCBOT_")] == ["MEXCBOT_SEED"]
    assert "PATH" in environment
