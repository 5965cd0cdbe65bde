"""Real child processes: they die with their parent, come back when they die, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.processes import Child, check_port, last_words, start_child, stop_child
from actors.runfile import is_process_alive
from actors.watchdog import HASTE_S, LOOK_S, MARK_NAME, end_marked, marked
from trading.model.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(120)")


@contextmanager
def ended_after(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process for the length of a block, whatever happens in it."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def watched(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A watchdog that has begun to watch, and the end of the pipe that only its launcher holds."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "actors.watchdog", str(reader), *arguments]
    try:
        with ended_after(*command, pass_fds=(reader,), cwd=ROOT) as watchdog:
            # It ignores the signals of terminals from its first moment on.
            assert eventually(lambda: ignores(watchdog.pid, signal.SIGHUP))
            yield watchdog, writer
    finally:
        os.close(reader)


def ignores(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process ignores a signal."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return bool(int(text.partition("SigIgn:")[2].split()[0], 16) >> (number - 1) & 1)


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> bool:
    """Poll a condition until it holds or the time is over."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@pytest.fixture
def mark() -> Iterator[str]:
    """A fresh mark; whatever carries it at the end is ended."""
    text = uuid.uuid4().hex
    yield text
    end_marked(text, 0.2, 3.0)


@pytest.fixture
def launcher() -> Iterator[tuple[str, str]]:
    """A launcher that lives and has no children, as launcher and foreground process: what a watchdog is given."""
    with subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL) as process:
        yield str(process.pid), str(process.pid)
        process.kill()


def test_child_dies_when_its_parent_is_killed(tmp_path: Path, mark: str) -> None:
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from actors.processes import start_child\n"
        f"child = start_child({SLEEPER!r}, Path({str(tmp_path / 'child.log')!r}), os.environ)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(120)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), MARK_NAME: mark}
    with subprocess.Popen([sys.executable, str(parent)], stdout=subprocess.PIPE, env=environment, text=True) as up:
        assert up.stdout is not None
        pid = int(up.stdout.readline())
        assert eventually(lambda: (tmp_path / "child.log").read_text() == "up\n")
        up.kill()
    assert eventually(lambda: not is_process_alive(pid))


def test_child_that_dies_is_started_again_after_a_back_off(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, tmp_path / "sleeper.log", dict(os.environ))
    child.start()
    first = child.process
    assert first is not None
    assert child.keep() is None
    os.kill(first.pid, signal.SIGKILL)
    assert eventually(lambda: not child.is_alive)
    said = [child.keep()]
    assert eventually(lambda: said.append(child.keep()) or child.is_alive)
    assert "SIGKILL" in str(said[0])
    assert child.restarts == 1
    pid = child.process.pid if child.process else 0
    child.stop()
    assert not is_process_alive(pid)
    child.stop()


def test_stop_of_a_child_ends_what_it_started_too(tmp_path: Path) -> None:
    nap = "import time; time.sleep(120)"
    program = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {nap!r}]).pid, flush=True); {nap}"
    log = tmp_path / "family.log"
    child = start_child((sys.executable, "-c", program), log, os.environ)
    assert eventually(lambda: log.read_text().strip().isdigit())
    grandchild = int(log.read_text())
    stop_child(child)
    assert eventually(lambda: not is_process_alive(grandchild))


def test_watchdog_ends_what_a_killed_parent_left_and_only_that(
    tmp_path: Path, mark: str, launcher: tuple[str, str]
) -> None:
    folder = tmp_path / "ray"
    folder.mkdir()
    environment = {**os.environ, MARK_NAME: mark}
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(120)"
    with (
        ended_after(sys.executable, "-c", stubborn, env=environment, start_new_session=True) as left,
        ended_after(*SLEEPER, stdout=subprocess.DEVNULL) as other,
        watched(mark, str(folder), *launcher) as (watchdog, writer),
    ):
        assert eventually(lambda: ignores(left.pid, signal.SIGTERM))
        assert left.pid in marked(mark)
        os.close(writer)
        assert watchdog.wait(60) == 0
        assert left.wait(60) == -signal.SIGKILL
        assert not folder.exists()
        assert other.poll() is None


def test_watchdog_does_nothing_after_an_orderly_end(tmp_path: Path, mark: str, launcher: tuple[str, str]) -> None:
    environment = {**os.environ, MARK_NAME: mark}
    with (
        ended_after(*SLEEPER, env=environment, stdout=subprocess.DEVNULL) as left,
        watched(mark, str(tmp_path), *launcher) as (watchdog, writer),
    ):
        os.write(writer, b"1")
        os.close(writer)
        assert watchdog.wait(60) == 0
        assert left.poll() is None
        assert tmp_path.exists()


def test_watchdog_ends_a_launcher_that_hangs_after_its_foreground_was_killed(mark: str) -> None:
    environment = {**os.environ, MARK_NAME: mark}
    with (
        ended_after(*SLEEPER, stdout=subprocess.DEVNULL) as foreground,
        ended_after(*SLEEPER, stdout=subprocess.DEVNULL) as launcher,
        ended_after(*SLEEPER, env=environment, stdout=subprocess.DEVNULL) as child,
        watched(mark, "", str(launcher.pid), str(foreground.pid)) as (watchdog, writer),
    ):
        began = time.monotonic()
        foreground.kill()
        foreground.wait()
        assert watchdog.wait(60) == 0
        assert time.monotonic() - began > HASTE_S - 0.5
        assert launcher.wait(60) == -signal.SIGKILL
        assert child.wait(60) == -signal.SIGKILL
        os.close(writer)


def test_watchdog_ends_descendants_that_hid_their_environment(mark: str) -> None:
    """Ray's agents write their titles over it: they are known by having descended from the launcher."""
    hidden = f"import subprocess, sys; print(subprocess.Popen({list(SLEEPER)!r}, env={{}}, start_new_session=True,"
    hidden += " stdout=subprocess.DEVNULL).pid, flush=True); sys.stdin.read()"
    with ended_after(sys.executable, "-c", hidden, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        with watched(mark, "", str(parent.pid), str(parent.pid)) as (watchdog, writer):
            # It looks once a second; nothing tells when it has. Three times that.
            time.sleep(3 * LOOK_S)
            parent.kill()
            parent.wait()
            os.close(writer)
            assert watchdog.wait(60) == 0
    assert not is_process_alive(grandchild)


def test_watchdog_is_small(launcher: tuple[str, str]) -> None:
    with watched("x", "", *launcher) as (watchdog, writer):
        resident = psutil.Process(watchdog.pid).memory_info().rss
        os.write(writer, b"1")
        os.close(writer)
        assert watchdog.wait(60) == 0
    assert resident < 40 * 2**20


def test_port_in_use_is_a_sentence_with_the_flag_and_zero_takes_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} .* --api-port"):
            check_port(port, "--api-port")
    assert check_port(0, "--api-port") > 0


def test_last_words_of_a_log_are_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert last_words(log) == "it wrote nothing"
    log.write_text("one\ntwo\n\n")
    assert last_words(log) == "two"
