"""Recording while trading: cheap, whole to the last second after a kill, and replayed to the same events."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from trading.adapters.clock import ManualClock
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.topics import market_topics
from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.parquet import read_recording
from trading.adapters.recording.recorder import RecorderSettings, SegmentRecorder
from trading.adapters.recording.rows import Row
from trading.adapters.recording.seal import recover, seal_segment
from trading.adapters.recording.segments import (
    SegmentReader,
    SegmentWriter,
)
from trading.model.instrument import Instrument
from trading.model.market import BookDelta, BookSnapshot, FeedConnected, FeedDisconnected
from trading.model.units import NS_PER_S

ROOT = Path(__file__).resolve().parents[2]
SYMBOL = "龙虾/USDT"
T0 = 1_700_000_000 * NS_PER_S
INSTRUMENT = Instrument(
    SYMBOL,
    "龙虾",
    "USDT",
    Decimal("0.001"),
    Decimal("0.1"),
    Decimal("0.5"),
    Decimal(1),
    Decimal(1000),
    Decimal(0),
    Decimal("0.0005"),
)
TOPICS = market_topics(SYMBOL, "100ms")


def frame(version: int) -> bytes:
    push = pb.PushDataV3ApiWrapper(channel=TOPICS[0], symbol=SYMBOL, sendTime=5)
    push.publicAggreDepths.fromVersion = push.publicAggreDepths.toVersion = str(version)
    push.publicAggreDepths.bids.add(price="1.5", quantity="0.5")
    return push.SerializeToString()


def rows(count: int) -> Iterator[Row]:
    return (Row(T0 + index, f"stream{index % 2}", bytes([index % 251]) * (index % 40)) for index in range(count))


def write_segment(path: Path, items: Iterator[Row]) -> None:
    writer = SegmentWriter(path)
    for row in items:
        writer.append(row.recv_ts_ns, row.stream.encode(), row.payload)
    writer.close()


def test_recording_of_a_session_replays_to_the_events_that_were_heard(tmp_path: Path) -> None:
    clock = ManualClock()
    recorder = SegmentRecorder(tmp_path / "new" / "folder", INSTRUMENT, TOPICS, clock)
    recorder.on_frame(T0, frame(7))
    recorder.on_depth(SYMBOL, T0 + 1, b'{"lastUpdateId":7,"bids":[["1.500","0.5"]],"asks":[],"timestamp":9}')
    recorder.on_depth("OTHERUSDT", T0 + 2, b"{}")
    recorder.on_frame(T0 + 3, b"garbage")
    recorder.on_lost(T0 + 4, "closed")
    recorder.on_frame(T0 + 5, frame(8))
    recorder.close()
    assert recorder.status().fault == ""
    assert recorder.status().rows == 6

    (sealed,) = recover(tmp_path).sealed
    assert (sealed.rows, sealed.dropped_bytes) == (6, 0)
    assert sealed.recording is not None
    assert not sealed.segment.exists()
    assert recording_instrument(sealed.recording) == INSTRUMENT
    events = [event for _, event in market_events(read_recording(sealed.recording))]
    assert [type(event) for event in events] == [
        FeedConnected,
        BookDelta,
        BookSnapshot,
        FeedDisconnected,
        FeedConnected,
        FeedDisconnected,
        FeedConnected,
        BookDelta,
    ]
    assert events[1] == BookDelta(SYMBOL, 7, 7, ((1500, 5),), (), 5_000_000, T0)


def test_recording_rotates_by_size_and_age_and_asks_for_a_snapshot(tmp_path: Path) -> None:
    clock, rotations = ManualClock(), []

    def snapshot() -> None:
        rotations.append(clock.monotonic_ns() // NS_PER_S)
        recorder.on_depth(SYMBOL, T0 + clock.monotonic_ns(), b'{"lastUpdateId":7,"bids":[],"asks":[]}')

    settings = RecorderSettings(segment_bytes_max=10_000, segment_s_max=60)
    recorder = SegmentRecorder(tmp_path, INSTRUMENT, TOPICS, clock, settings, snapshot)
    for second in range(150):
        clock.advance(NS_PER_S)
        recorder.on_frame(T0 + second * NS_PER_S, frame(second))
    recorder.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert recorder.status().segments == len(names) == len(rotations) + 1
    assert len(rotations) >= 2
    assert all(name.startswith("%E9%BE%99%E8%99%BE%2FUSDT-") for name in names)
    report = recover(tmp_path)
    for sealed in report.sealed:
        assert sealed.recording is not None
        assert recording_instrument(sealed.recording).symbol == SYMBOL
    deltas = sum(sealed.rows - 2 for sealed in report.sealed) + 1
    assert deltas == 150
    assert recover(tmp_path) == type(report)((), ()), "a second time there is nothing to do"


@pytest.mark.parametrize("cut", [1, 7, 9, 20, 33])
def test_recording_torn_end_loses_only_the_torn_row(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.segment"
    write_segment(path, rows(100))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    reader = SegmentReader(path)
    assert list(reader) == list(rows(100))[: reader.rows]
    assert reader.rows == 99
    assert 0 < reader.dropped_bytes < 60


def test_recording_without_a_feed_for_hours_gives_each_segment_a_name_of_its_own(tmp_path: Path) -> None:
    clock = ManualClock()
    finished: list[Path] = []
    settings = RecorderSettings(segment_s_max=3_600)
    recorder = SegmentRecorder(tmp_path, INSTRUMENT, TOPICS, clock, settings, None, finished.append)
    recorder.on_frame(T0, frame(1))
    for minute in range(240):
        clock.advance(60 * NS_PER_S)
        recorder.on_input("engine:timer", str(minute).encode())
        if minute == 130:  # the first of them is sealed by now, as it is while one trades
            assert seal_segment(finished[0]) is not None
    recorder.close()
    assert recorder.status().fault == ""
    assert len(finished) == len(set(finished)) == 4
    recover(tmp_path)
    heard = [
        int(row.payload)
        for path in sorted(tmp_path.iterdir())
        for row in read_recording(path)
        if row.stream == "engine:timer"
    ]
    assert heard == list(range(240))


def test_recording_of_another_process_of_the_same_number_is_not_written_over(tmp_path: Path) -> None:
    for version in (1, 2):  # two recorders in this process, from the same moment on
        recorder = SegmentRecorder(tmp_path, INSTRUMENT, TOPICS, ManualClock())
        recorder.on_frame(T0, frame(version))
        recorder.close()
        assert recorder.status().fault == ""
    assert len(recover(tmp_path).sealed) == 2
    with pytest.raises(FileExistsError):
        SegmentWriter(next(tmp_path.iterdir()).with_suffix(".segment"))


def test_recording_asks_for_the_snapshot_of_a_later_segment_until_it_has_come(tmp_path: Path) -> None:
    clock, asked = ManualClock(), []
    settings = RecorderSettings(segment_s_max=60)
    recorder = SegmentRecorder(
        tmp_path, INSTRUMENT, TOPICS, clock, settings, lambda: asked.append(clock.monotonic_ns() // NS_PER_S)
    )
    for second in range(90):
        clock.advance(NS_PER_S)
        recorder.on_frame(T0 + second * NS_PER_S, frame(second))
    assert asked == [61, 71, 81], "the venue refused: once more after a while"
    recorder.on_depth(SYMBOL, T0 + 90 * NS_PER_S, b'{"lastUpdateId":7,"bids":[],"asks":[],"timestamp":9}')
    for second in range(91, 119):
        clock.advance(NS_PER_S)
        recorder.on_frame(T0 + second * NS_PER_S, frame(second))
    assert asked == [61, 71, 81]
    recorder.close()


def test_recording_that_cannot_write_stops_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    recorder = SegmentRecorder(tmp_path / "file", INSTRUMENT, TOPICS, ManualClock())
    recorder.on_frame(T0, frame(1))
    recorder.on_frame(T0, frame(2))
    recorder.flush()
    recorder.close()
    assert recorder.status().fault.startswith(f"recording of {SYMBOL} stopped:")
    assert recorder.status().rows == 0


CHILD = """
import sys, time
from pathlib import Path
from tests.integration.test_recording_segments import INSTRUMENT, TOPICS, frame
from trading.adapters.clock import SystemClock
from trading.adapters.recording.recorder import SegmentRecorder
recorder = SegmentRecorder(Path(sys.argv[1]), INSTRUMENT, TOPICS, SystemClock())
version = 0
while True:
    version += 1
    recorder.on_frame(time.time_ns(), frame(version))
    if version % 50 == 0:
        recorder.flush()
        print(version, flush=True)
        time.sleep(0.01)
"""


def test_recording_survives_a_kill_up_to_its_last_flush(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    flushed = 0
    for line in child.stdout:
        flushed = int(line)
        if flushed >= 500:
            break
    child.send_signal(signal.SIGKILL)
    child.wait(60)
    for line in child.stdout:
        flushed = int(line)
    child.stdout.close()

    (sealed,) = recover(tmp_path).sealed
    assert sealed.recording is not None
    deltas = [event for _, event in market_events(read_recording(sealed.recording)) if isinstance(event, BookDelta)]
    assert [delta.to_version for delta in deltas] == list(range(1, len(deltas) + 1))
    assert len(deltas) >= flushed


def test_recording_in_a_symbol_actor_loads_no_parquet() -> None:
    script = (
        "import sys, trading.adapters.recording.recorder, trading.adapters.mexc.market_stream; "
        "import trading.adapters.mexc.rest_public; "
        "heavy = {'pyarrow', 'pandas', 'sqlalchemy', 'fastapi', 'streamlit', 'pydantic', 'ray'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.stdout.strip() == "[]", answer.stderr


def test_recording_of_a_quiet_symbol_connects_with_its_snapshot(tmp_path: Path) -> None:
    recorder = SegmentRecorder(tmp_path, INSTRUMENT, TOPICS, ManualClock())
    recorder.on_depth(SYMBOL, T0, b'{"lastUpdateId":7,"bids":[["1.500","0.5"]],"asks":[],"timestamp":9}')
    recorder.on_frame(T0 + 1, frame(8))
    recorder.close()
    (sealed,) = recover(tmp_path).sealed
    assert sealed.recording is not None
    events = [type(event) for _, event in market_events(read_recording(sealed.recording))]
    assert events == [FeedConnected, BookSnapshot, BookDelta]
