"""Sealing and recovering: segments become Parquet once, over nothing, and beside whoever else is at it."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from socket import AF_UNIX, socket

import pytest

from actors.launcher_recordings import seal_recordings
from tests.integration.test_recording_segments import T0, rows, write_segment
from trading.adapters.recording.parquet import read_recording
from trading.adapters.recording.seal import RecoverReport, recover, seal_segment
from trading.adapters.recording.sealer import seal_apart
from trading.adapters.recording.segments import (
    MAGIC,
    OPEN_SUFFIX,
    SegmentWriter,
    claimed,
    is_being_written,
    remove_unnamed,
)
from trading.model.errors import ConfigError


def test_recording_damaged_byte_ends_the_segment_there(tmp_path: Path) -> None:
    path = tmp_path / "a.segment"
    write_segment(path, rows(100))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    sealed = seal_segment(path)
    assert sealed is not None
    assert 0 < sealed.rows < 100
    assert sealed.dropped_bytes > 0
    assert sealed.recording is not None
    assert list(read_recording(sealed.recording)) == list(rows(100))[: sealed.rows]
    assert sealed.kept == tmp_path / "a.damaged"
    assert sealed.kept.read_bytes() == content, "what could not be read is not thrown away"
    assert recover(tmp_path) == RecoverReport((), ()), "nor looked at again"


@pytest.mark.parametrize("content", [b"", MAGIC])
def test_recording_that_died_before_it_had_its_name_leaves_nothing_behind(tmp_path: Path, content: bytes) -> None:
    for name in ("old", "young", "locked"):
        (tmp_path / f"{name}.segment.new").write_bytes(content)
    (tmp_path / "full.segment.new").write_bytes(MAGIC + b"no row, but bytes")
    for name in ("old", "locked", "full"):
        os.utime(tmp_path / f"{name}.segment.new", (1.0, 1.0))
    with claimed(tmp_path / "locked.segment.new") as is_ours:
        assert is_ours
        assert recover(tmp_path) == RecoverReport((), ())
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.segment.new" for name in ("young", "locked", "full")}


def test_recording_that_is_just_getting_its_name_is_not_even_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A lock held for a moment would fail the recorder that is about to take it. A socket cannot be opened.
    monkeypatch.chdir(tmp_path)  # a socket's path is to be short
    with socket(AF_UNIX) as young:
        young.bind("a.segment.new")
        assert remove_unnamed(tmp_path) == 0


async def test_recordings_without_a_row_are_not_counted_as_sealed(tmp_path: Path) -> None:
    said: list[str] = []
    for name in ("a", "b"):
        SegmentWriter(tmp_path / f"{name}.segment").close()
    await seal_recordings(tmp_path, asyncio.Event(), said.append)
    assert said == [f"recordings: nothing was left to seal in {tmp_path}"]
    SegmentWriter(tmp_path / "a.segment").close()
    write_segment(tmp_path / "c.segment", rows(3))
    await seal_recordings(tmp_path, asyncio.Event(), said.append)
    assert said[1:] == [f"recordings: 1 sealed in {tmp_path}"]
    assert [path.name for path in tmp_path.iterdir()] == ["c.parquet"]


@pytest.mark.parametrize("content", [b"", MAGIC])
def test_recording_segment_without_rows_is_removed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.segment.open"
    path.write_bytes(content)
    (sealed,) = recover(tmp_path).sealed
    assert (sealed.rows, sealed.recording, sealed.kept) == (0, None, None)
    assert list(tmp_path.iterdir()) == []


def test_recording_file_of_other_bytes_is_kept_beside_the_damaged_ones(tmp_path: Path) -> None:
    (tmp_path / "a.damaged").write_bytes(b"an older one")
    (tmp_path / "a.segment").write_bytes(b"no magic at all, but some bytes")
    (sealed,) = recover(tmp_path).sealed
    assert (sealed.rows, sealed.recording, sealed.dropped_bytes) == (0, None, 31)
    assert {path.name: path.read_bytes()[:5] for path in tmp_path.iterdir()} == {
        "a.damaged": b"an ol",
        "a-2.damaged": b"no ma",
    }


def test_recording_is_never_sealed_over_another_and_twice_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.segment"
    write_segment(path, rows(3))
    content = path.read_bytes()
    assert seal_segment(path) is not None
    path.write_bytes(content)  # as after a kill between the Parquet file and the end of the segment
    again = seal_segment(path)
    assert again is not None
    assert [item.name for item in tmp_path.iterdir()] == ["a.parquet"]

    (tmp_path / "b.segment").write_bytes(content)
    (tmp_path / "a.parquet").rename(tmp_path / "b.parquet")
    write_segment(tmp_path / "c", rows(5))
    (tmp_path / "c").rename(tmp_path / "b.segment")
    (sealed,) = recover(tmp_path).sealed
    assert sealed.recording == tmp_path / "b-2.parquet"
    assert len(list(read_recording(tmp_path / "b.parquet"))) == 3
    assert len(list(read_recording(tmp_path / "b-2.parquet"))) == 5


def test_recording_recover_of_a_folder_where_a_recorder_and_its_sealing_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.segment"
    written = path.with_name("a.segment.open")
    writer = SegmentWriter(path)
    writer.append(T0, b"s", b"p")
    writer.close()
    assert seal_segment(written) is None, "its recorder finished it between a look and the lock"
    assert seal_segment(path) is not None
    assert seal_segment(path) is None, "somebody sealed it between a look and the lock"
    with pytest.raises(ConfigError, match="cannot seal"):
        seal_segment(tmp_path / "never.segment")


def test_recording_segment_that_is_sealed_while_it_is_being_claimed_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.segment"
    write_segment(path, rows(3))
    lock = fcntl.flock

    def late(file: object, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        assert seal_segment(path) is not None, "another sealing is quicker"
        lock(file, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", late)
    assert seal_segment(path) is None
    assert [item.name for item in tmp_path.iterdir()] == ["a.parquet"]


def test_recording_recover_leaves_a_living_recorder_alone(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "a.segment")
    writer.append(T0, b"s", b"p")
    writer.flush()
    path = tmp_path / f"a.segment{OPEN_SUFFIX}"
    assert is_being_written(path)
    assert recover(tmp_path).busy == (path,)
    writer.close()
    writer.close()
    assert [item.rows for item in recover(tmp_path).sealed] == [1]


def test_recording_recover_of_no_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder at"):
        recover(tmp_path / "nothing")


async def test_recording_is_sealed_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.segment"
    write_segment(path, rows(100))
    assert await seal_apart(path) is None
    assert [item.name for item in tmp_path.iterdir()] == ["a.parquet"]
    assert list(read_recording(tmp_path / "a.parquet")) == list(rows(100))
    fault = await seal_apart(tmp_path / "gone.segment")
    assert fault is not None
    assert fault.endswith(f"run mexcbot recover {tmp_path}")


async def test_recordings_of_an_up_are_sealed_at_its_end_unless_somebody_cannot_wait(tmp_path: Path) -> None:
    said: list[str] = []
    await seal_recordings(tmp_path / "none", asyncio.Event(), said.append)
    assert said == []
    write_segment(tmp_path / "a.segment", rows(3))
    hurry = asyncio.Event()
    hurry.set()
    await seal_recordings(tmp_path, hurry, said.append)
    assert said == [f"recordings were left as segments: run mexcbot recover {tmp_path}"]
    await seal_recordings(tmp_path, asyncio.Event(), said.append)
    assert said[1:] == [f"recordings: 1 sealed in {tmp_path}"]
    assert [item.name for item in tmp_path.iterdir()] == ["a.parquet"]


def test_recording_segment_that_is_being_sealed_is_left_alone_by_another(tmp_path: Path) -> None:
    path = tmp_path / "a.segment"
    write_segment(path, rows(3))
    with claimed(path) as is_ours:
        assert is_ours
        assert seal_segment(path) is None
        assert recover(tmp_path).busy == (path,)
    sealed = seal_segment(path)
    assert sealed is not None
    assert sealed.rows == 3
