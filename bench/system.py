"""A whole running system to measure: started, timed to its ready line, spoken to, stopped, and nothing left of it.

May import httpx, psutil and the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.figures import CannotRunError
from bench.process_tree import MARK_NAME, end, family
from bench.report import ROOT

READY_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 90.0
PAGE = 1_000
# A benchmark measures the shipped defaults, whoever calls it: no setting and no interpreter path leaks in.
_FOREIGN = ("MEXCBOT_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "RAY_", "MAKE", "MFLAGS")


def clean_environment(**additions: str) -> dict[str, str]:
    """Return this process's environment without what would change what is measured."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", **additions}


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder with a short path (socket addresses hold 107 bytes), and remove it with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix="mxb"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class System:
    """A system that is ready. ready_s: from the start of its command to its ready line."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    mark: str
    ready: Mapping[str, Any]
    ready_s: float

    def client(self) -> httpx.Client:
        """Return a client of the API with the control token; the caller closes it."""
        token = Path(self.ready["token_file"]).read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.ready["api"], headers=headers, timeout=30, trust_env=False)

    def family(self) -> list[psutil.Process]:
        """Return every process of this system."""
        return family(self.process.pid, self.mark, self.data_dir)

    def stop(self) -> float:
        """Ask `up` to drain and stop, as Ctrl-C would; return the seconds it took.

        Raises: CannotRunError when it does not end or does not end well.
        """
        began = time.monotonic()
        run = json.loads((self.data_dir / "run.json").read_text(encoding="utf-8"))
        os.kill(int(run["pid"]), signal.SIGINT)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise CannotRunError(f"the system did not stop within {STOP_TIMEOUT_S:g} s") from None
        if code:
            raise CannotRunError(f"the system ended with exit code {code} when it was asked to stop")
        return time.monotonic() - began


def items(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Read a whole list of the API, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = client.get(path, params={"limit": PAGE} | ({"cursor": cursor} if cursor else {}))
        answer.raise_for_status()
        body = answer.json()
        found += body["items"]
        cursor = body["next_cursor"]
        if cursor is None:
            return found


def up_arguments(data_dir: Path, *further: str) -> list[str]:
    """Return the flags of `up` that every benchmark gives: JSON, free ports, its own data directory."""
    return ["--json", "--api-port", "0", "--dashboard-port", "0", "--data-dir", str(data_dir), *further]


@contextmanager
def started(
    command: Sequence[str], data_dir: Path, folder: Path, environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[System]:
    """Run a command that ends in `up`, wait for its ready line, and end all of it with the block.

    folder: where its log goes. Raises: CannotRunError with its last words when it does not come up.
    """
    mark = uuid.uuid4().hex
    log = folder / "up.log"
    began = time.monotonic()
    with log.open("ab") as errors:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**(environment or clean_environment()), "MEXCBOT_EXIT_WITH_PARENT": "1", MARK_NAME: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        ready = _await_ready(process, log, began + READY_TIMEOUT_S)
        yield System(process, data_dir, mark, ready, time.monotonic() - began)
    finally:
        _end(process, mark, data_dir)


@contextmanager
def running_up(*flags: str) -> Iterator[System]:
    """Run this checkout's `up` in this environment, on a new data directory."""
    with temporary_folder() as folder:
        data_dir = folder / "data"
        command = [sys.executable, "-m", "actors.cli", "up", *up_arguments(data_dir, *flags)]
        with started(command, data_dir, folder) as system:
            yield system


def _await_ready(process: subprocess.Popen[bytes], log: Path, deadline: float) -> Mapping[str, Any]:
    assert process.stdout is not None
    descriptor, text = process.stdout.fileno(), b""
    while time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.5)[0]:
            part = os.read(descriptor, 65_536)
            if not part:
                break
            text += part
        for line in text.splitlines(keepends=True):
            if line.endswith(b"\n") and line.startswith(b"{"):
                ready: Mapping[str, Any] = json.loads(line)
                return ready
    raise CannotRunError(f"no ready line: {last_words(log)}")


def last_words(log: Path) -> str:
    """Return the last lines of a log that say something, as one; make's own complaint comes after its cause."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " | ".join(line[:300] for line in lines[-3:]) or "it wrote nothing"


def _end(process: subprocess.Popen[bytes], mark: str, data_dir: Path) -> None:
    """End what is left; nothing when `stop` was called."""
    left = family(process.pid, mark, data_dir)
    if process.poll() is None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            os.kill(int(json.loads((data_dir / "run.json").read_text(encoding="utf-8"))["pid"]), signal.SIGINT)
        if not (data_dir / "run.json").exists():
            process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
    end(left)
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
