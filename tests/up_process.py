"""A real `mexcbot up` for a test: the whole process tree on free ports in a directory of its own, ended by its own id.

Imported by the test modules that want it. May import httpx, psutil and the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
# Two busy cores need their time to start two dozen processes; the target (15 s warm) is a benchmark's to judge.
READY_PATIENCE_S = 200.0
STOP_PATIENCE_S = 90.0
# How soon what was killed is gone is the kernel's affair, and that of who else wants its processors.
GONE_PATIENCE_S = 60.0
# Files of the folder that a person starts it in: they bear our names, and are none of our business.
STRANGERS = ("actors", "api", "dashboard", "simulator", "trading")
T = TypeVar("T")


def mexcbot(*arguments: str, timeout_s: float = 60.0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "actors.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def eventually(look: Callable[[], T], within_s: float, every_s: float = 0.2) -> T:
    """Look again and again until the answer is true or the time is over; return the last answer."""
    deadline = time.monotonic() + within_s
    while not (answer := look()) and time.monotonic() < deadline:
        time.sleep(every_s)
    return answer


@dataclass(frozen=True, slots=True)
class UpProcess:
    """A system that is ready."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    data_dir: Path

    def cli(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a client verb on it."""
        return mexcbot(*arguments, "--data-dir", str(self.data_dir), timeout_s=timeout_s)

    def json(self, *arguments: str) -> Any:
        """Run a verb with --json and read its answer; it must succeed."""
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def get(self, path: str) -> httpx.Response:
        """GET a route with the control token."""
        token = Path(self.ready["token_file"]).read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(self.ready["api"] + path, headers=headers, timeout=30, trust_env=False)

    def read(self, path: str) -> Any:
        """GET a route and decode its body; it must succeed. Quicker than a verb, for polling."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read_all(self, path: str) -> list[dict[str, Any]]:
        """Read every page of a list, newest first."""
        page = self.read(f"{path}?limit=1000")
        rows: list[dict[str, Any]] = page["items"]
        while page["next_cursor"] is not None:
            page = self.read(f"{path}?limit=1000&cursor={page['next_cursor']}")
            rows += page["items"]
        return rows

    def symbols(self) -> dict[str, dict[str, Any]]:
        """Return the fleet's rows by symbol."""
        return {row["symbol"]: row for row in self.read("/v1/snapshot")["symbols"]}

    def family(self) -> list[psutil.Process]:
        """Every process of this system: those that carry its data directory or Ray's folder, or descend from it."""
        return family_of(self.process.pid, self.data_dir)

    def find(self, *words: str) -> psutil.Process:
        """The process of this system whose command line holds all these words."""
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                line = process.cmdline()
                if all(any(word in part for part in line) for word in words):
                    return process
        raise AssertionError(f"no process of the system was started with {words}")

    def stop(self) -> int:
        """End it as a person would, and wait. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_PATIENCE_S)


def family_of(pid: int, data_dir: Path) -> list[psutil.Process]:
    """Find the processes of an instance, also those whose parents are gone."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            is_named = str(data_dir) in " ".join(process.cmdline())
            if is_named or process.pid == pid:
                found |= {item.pid: item for item in (process, *process.children(recursive=True))}
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    found.pop(os.getpid(), None)
    return list(found.values())


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run."""
    left = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
        except psutil.NoSuchProcess:
            continue
    return left


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """kill -9 each of them. One may die of another's death before its turn comes: that is no error."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def command_lines(processes: Sequence[psutil.Process]) -> list[str]:
    """What those that still run were started as."""
    lines = []
    for process in alive(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            lines.append(" ".join(process.cmdline()))
    return lines


@contextmanager
def running_up(*arguments: str, data_dir: Path | None = None, **environment: str) -> Iterator[UpProcess]:
    """Start the system, wait for its ready line, and end it with the block, whatever happened in it."""
    with tempfile.TemporaryDirectory(prefix="mx-", ignore_cleanup_errors=True) as folder:
        place = data_dir or Path(folder) / "data"
        log = Path(folder) / "up.log"
        for name in STRANGERS:
            (Path(folder) / f"{name}.py").write_text(f"raise ImportError('a stranger: {name}')\n")
        command = [str(Path(sys.executable).with_name("mexcbot")), "up", "--json", "--api-port", "0"]
        command += ["--data-dir", str(place)]
        if "--dashboard-port" not in arguments:
            command += ["--no-dashboard"]
        with log.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        try:
            yield UpProcess(process, _ready_line(process, log), place)
        finally:
            _end(process, place)


def _ready_line(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    line = b""
    deadline = time.monotonic() + READY_PATIENCE_S
    while not line.endswith(b"\n"):
        with contextlib.suppress(BlockingIOError):
            line += os.read(process.stdout.fileno(), 65_536)
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"no ready line (exit code {process.poll()}):\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.05)
    ready: dict[str, Any] = json.loads(line)
    return ready


def _end(process: subprocess.Popen[str], data_dir: Path) -> None:
    """End what is left, by id; nothing when the test has ended it already."""
    left = family_of(process.pid, data_dir)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    kill_all(left)
    if process.stdout is not None:
        # Whatever died meanwhile, stdout carried the ready line and no more.
        more = _rest_of(process.stdout.fileno())
        process.stdout.close()
        assert not more, f"stdout of `up --json` carried more than its ready line: {more!r}"


def _rest_of(pipe: int) -> bytes:
    """Read a pipe that does not block (see `_ready_line`) to its end: who was killed just now may hold it a moment."""
    more = b""
    deadline = time.monotonic() + GONE_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            part = os.read(pipe, 65_536)
        except BlockingIOError:
            time.sleep(0.05)
            continue
        if not part:
            break
        more += part
    return more
