"""Recording and scanning without trading, on a real simulator: the recorder is ended by Ctrl-C and by kill -9."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from actors import cli_verbs
from actors.cli_replay import run_replay, summary_lines
from actors.launcher_venue import best_by_edge
from tests.simulator_process import SimulatorProcess, running_simulator
from tests.up_process import ROOT
from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.parquet import read_recording
from trading.adapters.recording.rows import REST_DEPTH, REST_EXCHANGE_INFO, Row
from trading.adapters.recording.segments import SegmentReader
from trading.adapters.settings import load_settings
from trading.engine.book_sync import BookSync
from trading.model.market import BookDelta, BookSnapshot, BookState, FeedConnected, FeedDisconnected

PATIENCE_S = 90.0
NS_PER_S = 1_000_000_000


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with running_simulator("--symbols", "BTCUSDT,ETHUSDT") as running:
        yield running


def until(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


@contextmanager
def recording(simulator: SimulatorProcess, folder: Path, *symbols: str) -> Iterator[subprocess.Popen[str]]:
    """A recorder whose books are all proven."""
    place = ["--venue-rest", simulator.rest, "--venue-ws", simulator.ws]
    log = folder.with_name(f"{folder.name}.log")
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "actors.cli", "record", *symbols, "-o", str(folder), *place, "--json"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        until(lambda: log.read_text().count("its book is proven") == len(symbols), f"not live: {log.read_text()}")
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def is_healed(folder: Path, symbol: str) -> bool:
    """Tell whether what is on disk so far has a gap, and ends with a proven book again."""
    (segment,) = (path for path in folder.iterdir() if path.name.startswith(symbol))
    sync = followed(symbol, SegmentReader(segment))
    return sync.counters.gaps > 0 and sync.state is BookState.PROVEN


def next_flush(segment: Path) -> float:
    """Wait until the segment has grown; when that was, s."""
    before = segment.stat().st_size
    until(lambda: segment.stat().st_size > before, "nothing was flushed")
    return time.monotonic()


def proven_book(path: Path) -> BookSync:
    """The book after a recording."""
    return followed(recording_instrument(path).symbol, read_recording(path))


def followed(symbol: str, rows: Iterable[Row]) -> BookSync:
    """The book after these rows, by the chain rule of the live engine."""
    sync = BookSync(symbol)
    for now_ns, event in market_events(rows):
        match event:
            case FeedConnected():
                sync.on_connected(now_ns)
            case FeedDisconnected():
                sync.on_disconnected(event.reason, now_ns)
            case BookDelta():
                sync.on_delta(event, now_ns)
            case BookSnapshot():
                sync.on_snapshot(event, now_ns)
            case _:
                sync.on_alive(now_ns)
    return sync


def test_record_until_ctrl_c_seals_whole_recordings_that_replay(simulator: SimulatorProcess, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    folder.parent.mkdir()
    with recording(simulator, folder, "BTCUSDT", "ETHUSDT") as process:
        simulator.fault("drop_delta", symbol="BTCUSDT", count=1)
        # The hole is seen, a snapshot is fetched, and the stream goes on: all of it is recorded.
        until(lambda: simulator.state()["injected"].get("drop_delta"), "the fault did not fire")
        until(lambda: is_healed(folder, "BTCUSDT"), "the book is not proven again")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    report = {item["symbol"]: item for item in json.loads(out)["symbols"]}
    assert list(report) == ["BTCUSDT", "ETHUSDT"]
    assert [item["fault"] for item in report.values()] == ["", ""]
    assert sorted(path.suffix for path in folder.iterdir()) == [".parquet", ".parquet"], "no segment is left"
    assert report["BTCUSDT"]["gaps"] >= 1

    for symbol, item in report.items():
        (name,) = item["files"]
        rows = list(read_recording(name))
        assert len(rows) == item["rows"]
        assert rows[0].stream == REST_EXCHANGE_INFO
        assert sum(row.stream == REST_DEPTH for row in rows) >= 1
        assert {row.stream.rpartition("@")[2] for row in rows if row.stream.startswith("spot@")} == {symbol}
    path = Path(report["BTCUSDT"]["files"][0])
    rows = list(read_recording(path))
    sync = proven_book(path)
    assert sync.state is BookState.PROVEN
    assert sync.counters.gaps >= 1

    played, again = (run_replay(path, load_settings({}, None)) for _ in range(2))
    assert played.body["events"] > len(rows) / 2
    assert played.body == again.body, "how fast it went is no part of it"
    assert re.match(rf"{played.body['events']} events .*\([\d,]+ events/s, [\d,]+ times real", summary_lines(played)[0])
    with running_simulator("--replay", str(path), "--speed", "1000") as replaying:
        assert replaying.get("/api/v3/depth", symbol="BTCUSDT", limit=5)["bids"]


def test_record_killed_loses_at_most_the_last_second(
    simulator: SimulatorProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recordings"
    with recording(simulator, folder, "BTCUSDT") as process:
        (segment,) = folder.iterdir()
        flushed_at = [next_flush(segment) for _ in range(7)]
        process.kill()
        killed_ns = time.time_ns()
        process.wait(PATIENCE_S)
    assert segment.name.endswith(".segment.open")
    assert cli_verbs.run(["recover", str(folder), "--json"]) == 0
    (sealed,) = json.loads(capsys.readouterr().out)["sealed"]
    path = Path(sealed["recording"])
    assert [item.name for item in folder.iterdir()] == [path.name]
    rows = list(read_recording(path))
    # What a kill can cost is what lies between two flushes; the median, since a busy machine delays one now and then.
    assert median(later - sooner for sooner, later in pairwise(flushed_at)) < 2.0
    assert killed_ns - rows[-1].recv_ts_ns < 10 * NS_PER_S
    versions = [event.to_version for _, event in market_events(rows) if isinstance(event, BookDelta)]
    assert versions == sorted(versions)
    assert proven_book(path).state is BookState.PROVEN


def test_record_of_bad_input_is_one_sentence_and_leaves_nothing(
    simulator: SimulatorProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--venue-rest", simulator.rest, "--venue-ws", simulator.ws)
    (tmp_path / "file").write_text("")
    dead = ("--venue-rest", "http://127.0.0.1:1", "--venue-ws", "ws://127.0.0.1:1/ws")
    here = str(tmp_path / "folder")
    for code, words, arguments in (
        (2, "the venue has no symbol BTCUSD: did you mean BTCUSDT?", ("BTCUSD", "-o", here, *place)),
        (2, "named twice", ("BTCUSDT", "BTCUSDT", "-o", here, *place)),
        (2, "cannot record into", ("BTCUSDT", "-o", str(tmp_path / "file"), *place)),
        (3, "does not answer", ("BTCUSDT", "-o", here, *dead)),
        (3, "there is no market to record", ("BTCUSDT", "-o", here, "--data-dir", str(tmp_path / "none"))),
    ):
        assert cli_verbs.run(["record", *arguments]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert words in err
        assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_scan_of_a_venue_ranks_by_net_edge_and_top_takes_that_order(
    simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--venue-rest", simulator.rest, "--venue-ws", simulator.ws)
    assert cli_verbs.run(["scan", "--top", "2", "--json", *place]) == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["is_complete"], body["listed"]) == (True, 2)
    rows = body["items"]
    assert {row["symbol"] for row in rows} == {"BTCUSDT", "ETHUSDT"}
    assert rows[0]["net_edge_bps"] >= rows[1]["net_edge_bps"]
    for row in rows:
        assert (row["stage"], row["is_fit"]) == (2, True), row
        assert row["net_edge_bps"] <= row["spread_bps"] - row["fees_bps"]
    settings = load_settings({"venue_rest": simulator.rest, "venue_ws": simulator.ws}, None)
    (best,) = asyncio.run(best_by_edge(settings, 1))
    assert best in {row["symbol"] for row in rows}
