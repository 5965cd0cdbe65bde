"""The run file and the data directory: how an instance is found, and kept to one."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path

import pytest

from actors.data_dir import VERSION, DataDir
from actors.runfile import RunFile, find_instance, read_run_file, remove_run_file, starting_pid, write_run_file
from trading.model.errors import ConfigError, NotRunning

RUN = RunFile(os.getpid(), "http://127.0.0.1:1", None, "control.token", "read.token", "s1", "mexcbot-x")
# Larger than any pid that Linux gives (pid_max is at most 2^22).
DEAD_PID = 2**22 + 1


def test_run_file_comes_back_as_written_with_the_names_of_the_contract(tmp_path: Path) -> None:
    write_run_file(tmp_path, RUN)
    assert find_instance(tmp_path) == RUN
    fields = json.loads((tmp_path / "run.json").read_text())
    assert {"pid", "api", "dashboard", "token_file", "session"} <= set(fields)
    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o600


def test_run_file_of_a_dead_process_counts_as_absent(tmp_path: Path) -> None:
    write_run_file(tmp_path, RunFile(DEAD_PID, "http://x", None, "t", "r", "s", "n"))
    with pytest.raises(NotRunning, match="has ended"):
        find_instance(tmp_path)


def test_run_file_of_a_detached_fleet_is_found_after_its_up_has_ended(tmp_path: Path) -> None:
    run = RunFile(DEAD_PID, "http://x", None, "t", "r", "s", "n", "127.0.0.1:6379", True)
    write_run_file(tmp_path, run)
    assert find_instance(tmp_path) == run


def test_instance_that_has_the_directory_but_no_run_file_yet_is_starting(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    assert starting_pid(tmp_path) is None
    directory.take()
    assert starting_pid(tmp_path) == os.getpid()
    with pytest.raises(NotRunning, match=f"pid {os.getpid()}. is still starting"):
        find_instance(tmp_path)
    write_run_file(tmp_path, RUN)
    assert starting_pid(tmp_path) is None
    assert find_instance(tmp_path) == RUN
    remove_run_file(tmp_path, RUN.pid)
    directory.release()
    assert starting_pid(tmp_path) is None, "the pid of the last start stands in the lock, but nobody holds it"


def test_run_file_is_removed_by_its_owner_only(tmp_path: Path) -> None:
    write_run_file(tmp_path, RUN)
    remove_run_file(tmp_path, RUN.pid + 1)
    assert read_run_file(tmp_path) == RUN
    remove_run_file(tmp_path, RUN.pid)
    assert read_run_file(tmp_path) is None
    remove_run_file(tmp_path, RUN.pid)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"pid": 1}', '{"pid": "1", "api": "x"}'])
def test_run_file_that_is_broken_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_instance(tmp_path)
    assert "remove it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_run_file_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="nothing runs in"):
        find_instance(tmp_path / "absent")


def test_data_dir_is_taken_once_and_names_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    first, second = DataDir(tmp_path / "d"), DataDir(tmp_path / "d")
    first.take()
    with pytest.raises(ConfigError, match=rf"in use by another instance \(pid {os.getpid()}\)"):
        second.take()
    first.release()
    first.release()
    second.take()
    second.release()


def test_data_dir_that_somebody_only_looks_at_is_taken_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = DataDir(tmp_path)
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")  # of an earlier start, whose pid is in use again
    waits: list[float] = []
    with (tmp_path / "lock").open(encoding="utf-8") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH | fcntl.LOCK_NB)

        def look_away(seconds: float) -> None:
            waits.append(seconds)
            fcntl.flock(looked_at, fcntl.LOCK_UN)

        monkeypatch.setattr("time.sleep", look_away)
        directory.take()
    assert len(waits) == 1
    directory.release()


def test_data_dir_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("99\n")
    with pytest.raises(ConfigError, match=f"version '99', expected {VERSION}"):
        DataDir(tmp_path).take()
    assert not list(tmp_path.glob("*.token"))
    (tmp_path / "version").write_text(f"{VERSION}\n")
    again = DataDir(tmp_path)
    again.take()
    again.release()


def test_data_dir_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another --data-dir"):
        DataDir(tmp_path / "file").take()


def test_data_dir_keeps_tokens_private_and_instance_constant(tmp_path: Path) -> None:
    first = DataDir(tmp_path)
    first.take()
    token, name = first.control_token_file.read_text(), first.instance()
    for path in (first.control_token_file, first.read_token_file, first.ray_token_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len({path.read_text() for path in tmp_path.glob("*.token")}) == 3
    first.release()
    again = DataDir(tmp_path)
    again.take()
    assert (again.control_token_file.read_text(), again.instance()) == (token, name)
    again.release()
