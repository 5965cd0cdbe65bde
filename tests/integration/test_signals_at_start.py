"""Ctrl-C and SIGTERM while a long-running verb is still being imported: it ends in order and without a traceback."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a session of its own, and leave nothing of it."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                for item in psutil.Process(process.pid).children(recursive=True):
                    item.kill()
                process.kill()


def await_hearing(process: subprocess.Popen[str]) -> None:
    """Wait until the process catches SIGTERM or holds it back; before that there is a bare Python."""
    status = Path(f"/proc/{process.pid}/status")
    bit = 1 << (signal.SIGTERM - 1)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        text = status.read_text(encoding="utf-8")
        if any(int(text.partition(name)[2].split()[0], 16) & bit for name in ("SigCgt:", "SigBlk:")):
            return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's word on a process's signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["up", "record", "simulator", "python -m simulator"])
def test_signal_at_the_start_ends_a_long_running_verb_without_a_word(
    verb: str, number: signal.Signals, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        places = ("--venue-rest", f"http://127.0.0.1:{port}", "--venue-ws", f"ws://127.0.0.1:{port}/ws")
        command = {
            "up": ("-m", "actors.cli", "up", "--api-port", "0", *places, "--data-dir", str(tmp_path / "data")),
            "record": ("-m", "actors.cli", "record", "BTCUSDT", "-o", str(tmp_path / "out"), *places),
            "simulator": ("-m", "actors.cli", "simulator", "--count", "2000"),
            "python -m simulator": ("-m", "simulator", "--count", "2000"),
        }[verb]
        with started(*command) as process:
            await_hearing(process)
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "")
    assert err in ("", "interrupted while starting\n")


BUSY = """
import asyncio, os, signal, sys, time
from pathlib import Path
from actors.launcher import Launcher, Progress
from trading.adapters.settings import load_settings
from trading.model.errors import NotRunning

class Busy(Launcher):
    async def _start(self):
        os.kill(os.getpid(), signal.SIGINT)
        raise NotRunning("a local Ray did not start")

settings = load_settings({"data_dir": Path(sys.argv[1])}, None)
sys.exit(asyncio.run(Busy(settings, Progress(lambda text: print(text, file=sys.stderr), print)).run()))
"""


def test_signal_during_a_step_of_the_start_that_then_fails_is_what_counts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "interrupted while starting\n")
