"""Any file is a recording or one sentence, never a traceback: imports, replays and recoveries of odd input."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.replay.recording import open_recording
from simulator.settings import SimulatorSettings
from simulator.venue import Venue
from tests.integration.test_recording_import import GOOD
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.topics import BOOK_TICKER, DEALS, DEPTH
from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.importer import import_public
from trading.adapters.recording.parquet import read_recording, write_recording
from trading.adapters.recording.rows import Row
from trading.adapters.recording.seal import recover
from trading.adapters.recording.segments import MAGIC, SegmentWriter
from trading.model.errors import ConfigError
from trading.model.market import FeedDisconnected

LINES = tuple((line.partition(" ")[0], orjson.loads(line.partition(" ")[2])) for line in GOOD)

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=5), st.floats(allow_nan=False),
    st.sampled_from([0, 2**63 - 1, 1_700_000_000_000_000, 9_223_372_036_855, "9" * 30, "1E+9", "0", "0.00", "1" * 19]),
)  # fmt: skip
values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.sampled_from("esEUubaptq"), leaves, max_size=3)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A push of the symbol with odd figures and times."""
    times = st.sampled_from([0, -1, 2**63 - 1, -(2**63), 1_700_000_000_000])
    figures = st.sampled_from(["10.5", "0", "", "1" * 17, "-1", "10.55"])
    frame = pb.PushDataV3ApiWrapper(symbol="ABCUSDT", sendTime=draw(times))
    frame.channel = f"{draw(st.sampled_from([DEPTH, DEALS, BOOK_TICKER]))}@100ms@ABCUSDT"
    body = frame.publicAggreDepths
    body.fromVersion, body.toVersion = draw(st.sampled_from([("102", "104"), ("1", "2"), ("9", "8"), ("", "x")]))
    body.lastOrderCreateTime = draw(times)
    for items in (body.bids, body.asks):
        items.add(price=draw(figures), quantity=draw(figures))
    if draw(st.booleans()):
        frame.publicAggreDeals.deals.add(
            price=draw(figures), quantity=draw(figures), tradeType=draw(st.integers(0, 3)), time=draw(times)
        )
    return frame.SerializeToString()


def places(body: object) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    found: list[tuple[Any, Any]] = []
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        found += [(body, key), *places(value)]
    return found


def imported(folder: Path, content: bytes, is_lenient: bool = False) -> Path | None:
    """The recording of a file, None when it is refused in one sentence and nothing is left."""
    source, out = folder / "in.jsonl", folder / "out.parquet"
    source.write_bytes(content)
    try:
        import_public(source, out, is_lenient=is_lenient)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) < 1_000  # noqa: PT017
        assert not out.exists()
        return None
    return out


def play(path: Path, speed: float = 0.5) -> None:
    """Let the simulator play a recording, as it does behind its sockets: a slow one takes the times furthest away."""
    now_ms = [1_795_000_000_000]
    settings = SimulatorSettings(replay=path, speed=speed)
    recording = open_recording(path, (), settings.max_market_notional)
    venue = Venue(settings, lambda: now_ms[0])
    venue.open_replay(recording)
    venue.open_accounts()
    assert venue.player is not None
    venue.player.publish = lambda channel, symbol, topic, frame, at_ms: None
    for _ in range(20):
        now_ms[0] += 10_000
        venue.advance()


def assert_reads(path: Path) -> None:
    """Whatever an import wrote is read by the replay and by the simulator, every frame of it."""
    events = [event for _, event in market_events(read_recording(path))]
    assert not [event for event in events if isinstance(event, FeedDisconnected)]
    assert recording_instrument(path).exclusion is None
    play(path)


@given(data=st.data(), changes=st.integers(1, 2), is_lenient=st.booleans())
def test_import_of_lines_with_odd_values_is_a_recording_or_one_sentence(
    data: st.DataObject, changes: int, is_lenient: bool
) -> None:
    lines = copy.deepcopy(LINES)
    for _ in range(changes):
        container, key = data.draw(st.sampled_from(places([body for _, body in lines])[len(lines) :]))
        try:
            container[key] = data.draw(values)
        except (KeyError, IndexError):
            continue  # the first change took the place of the second away
    content = b"\n".join(f"{time} ".encode() + orjson.dumps(body) for time, body in lines)
    with TemporaryDirectory(prefix="mxb") as folder:
        if (path := imported(Path(folder), content, is_lenient)) is not None:
            assert_reads(path)


@given(content=st.binary(max_size=200), place=st.integers(0, 2_000), is_after=st.booleans())
def test_import_of_damaged_bytes_is_a_recording_or_one_sentence(content: bytes, place: int, is_after: bool) -> None:
    sound = "\n".join(GOOD).encode()
    with TemporaryDirectory(prefix="mxb") as folder:
        damaged = sound[:place] + content + sound[place + len(content) :] if is_after else content
        if (path := imported(Path(folder), damaged)) is not None:
            assert_reads(path)


@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.sampled_from(
                ["rest:depth", "rest:exchangeInfo", "event:disconnected", "raw:frame@ABCUSDT", "engine:timer", "",
                 "spot@public.aggre.depth.v3.api.pb@100ms@ABCUSDT"]
            ),
            st.binary(max_size=40) | values.map(orjson.dumps) | frames(),
        ),
        max_size=6,
    ),
    has_head=st.booleans(),
)  # fmt: skip
def test_recording_of_odd_rows_is_read_or_one_sentence(rows: list[tuple[int, str, bytes]], has_head: bool) -> None:
    with TemporaryDirectory(prefix="mxb") as name:
        path = Path(name) / "odd.parquet"
        whole = imported(Path(name), "\n".join(GOOD).encode())
        assert whole is not None
        head = list(read_recording(whole))[:3] if has_head else []
        write_recording(path, [*head, *(Row(*row) for row in rows)])
        for read in (
            lambda: list(market_events(read_recording(path))),
            lambda: recording_instrument(path),
            lambda: play(path),
            lambda: play(path, 100_000.0),
        ):
            try:
                read()
            except ConfigError as error:
                assert "\n" not in str(error)  # noqa: PT017


@given(content=st.binary(max_size=300), cut=st.integers(0, 60), flips=st.lists(st.integers(0, 400), max_size=3))
def test_recover_of_any_segment_gives_its_first_rows_and_keeps_what_is_none(
    content: bytes, cut: int, flips: list[int]
) -> None:
    with TemporaryDirectory(prefix="mxb") as name:
        folder = Path(name)
        writer = SegmentWriter(folder / "a.segment")
        for index in range(5):
            writer.append(index, b"s", bytes([index]) * 20)
        writer.close()
        damaged = bytearray((folder / "a.segment").read_bytes()[: 400 - cut] + content)
        for place in flips:
            damaged[place % len(damaged)] ^= 0x21
        (folder / "a.segment").write_bytes(damaged)
        (folder / "b.segment.open").write_bytes(MAGIC + content)
        for item in recover(folder).sealed:
            rows = list(read_recording(item.recording)) if item.recording is not None else []
            assert item.rows == len(rows)
            assert (item.kept is not None) == (item.dropped_bytes > 0)
        assert not list(folder.glob("*.segment*"))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["1", "2"]),
        pa.array([1.5, 2.5]),
        pa.array([1, None], pa.int64()),
        pa.array([[1], [2]]),
    ],
)
@pytest.mark.parametrize("name", ["recv_ts_ns", "stream", "payload"])
def test_recording_with_a_column_of_another_type_is_one_sentence(tmp_path: Path, name: str, column: pa.Array) -> None:
    columns = {"recv_ts_ns": pa.array([1, 2]), "stream": pa.array(["a", "b"]), "payload": pa.array([b"x", b"y"])}
    if name == "stream" and pa.types.is_string(column.type):
        column = pa.array(["a", None])
    pq.write_table(pa.table({**columns, name: column}), tmp_path / "odd.parquet")
    with pytest.raises(ConfigError, match=f"column {name} (holds|has an empty)"):
        list(read_recording(tmp_path / "odd.parquet"))


@pytest.mark.parametrize("time_ms", [2**63 - 1, -(2**63)])
def test_recording_of_a_time_that_is_none_is_played_all_the_same(tmp_path: Path, time_ms: int) -> None:
    whole = imported(tmp_path, "\n".join(GOOD).encode())
    assert whole is not None
    frame = pb.PushDataV3ApiWrapper(symbol="ABCUSDT", sendTime=time_ms, channel=f"{DEPTH}@100ms@ABCUSDT")
    frame.publicAggreDepths.fromVersion = frame.publicAggreDepths.toVersion = "105"
    frame.publicAggreDepths.lastOrderCreateTime = time_ms
    rows = list(read_recording(whole))
    write_recording(whole, [*rows, Row(rows[-1].recv_ts_ns + 1, frame.channel, frame.SerializeToString())])
    play(whole)
