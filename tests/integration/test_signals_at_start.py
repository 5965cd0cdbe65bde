"""Ctrl-C, SIGTERM and a hang-up, from the first import of a long-running verb on: it ends in order, or lives on."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


# A terminal heeds SIGHUP and nohup ignores it, whichever of them these tests themselves run under.
BECOME = """
import os, signal, sys
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@contextmanager
def started(*command: str, is_nohup: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a session of its own, and leave nothing of it."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", BECOME, "SIG_IGN" if is_nohup else "SIG_DFL", *command],
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


def is_in(pid: int, name: str, number: signal.Signals) -> bool:
    """Tell whether a signal is in one of the sets that the kernel shows of a process: SigBlk, SigIgn, SigCgt."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return bool(int(text.partition(f"{name}:")[2].split()[0], 16) & 1 << (number - 1))


def await_hearing(process: subprocess.Popen[str]) -> None:
    """Wait until the process catches SIGTERM or holds it back; before that there is a bare Python."""
    deadline = time.monotonic() + PATIENCE_S
    while True:  # SIGTERM is the last that they take
        if any(is_in(process.pid, name, signal.SIGTERM) for name in ("SigCgt", "SigBlk")):
            return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's word on a process's signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's word on a process's signals")
@pytest.mark.parametrize("is_nohup", [False, True], ids=["terminal", "nohup"])
@pytest.mark.parametrize("module", ["actors.cli", "simulator"])
def test_hang_up_ends_simulator_and_record_in_order_and_is_not_heard_under_nohup(
    module: str, is_nohup: bool, tmp_path: Path
) -> None:
    verb = ("simulator",) if module == "actors.cli" else ()
    with started("-m", module, *verb, "--count", "2", "--port", "0", "--json", is_nohup=is_nohup) as simulator:
        assert simulator.stdout is not None
        ready = json.loads(simulator.stdout.readline())
        places = ("--venue-rest", ready["rest"], "--venue-ws", ready["ws"])
        if module == "actors.cli":
            symbol = httpx.get(f"{ready['rest']}/api/v3/exchangeInfo", trust_env=False, timeout=30).json()["symbols"][
                0
            ]["symbol"]
            command = ("-m", "actors.cli", "record", symbol, "-o", str(tmp_path / "out"), *places)
            with started(*command, is_nohup=is_nohup) as recorder:
                assert recorder.stderr is not None
                assert recorder.stderr.readline().startswith(f"recording {symbol}")
                report = hang_up(recorder, is_nohup)
            assert report.startswith(f"{symbol}: "), "it sealed what it had, and says so"
        hang_up(simulator, is_nohup)


def hang_up(process: subprocess.Popen[str], is_nohup: bool) -> str:
    """Let the terminal close, and return the last words. What was started with nohup lives on: SIGTERM ends it."""
    assert is_in(process.pid, "SigIgn", signal.SIGHUP) is is_nohup
    process.send_signal(signal.SIGHUP)
    if is_nohup:
        assert not is_in(process.pid, "SigCgt", signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    return out


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's word on a process's signals")
def test_up_under_nohup_leaves_hang_ups_ignored_in_both_its_processes(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        places = ("--venue-rest", f"http://127.0.0.1:{port}", "--venue-ws", f"ws://127.0.0.1:{port}/ws")
        command = ("-m", "actors.cli", "up", "--api-port", "0", *places, "--data-dir", str(tmp_path / "data"))
        with started(*command, is_nohup=True) as process:
            deadline = time.monotonic() + PATIENCE_S
            launchers: list[int] = []
            while not launchers:
                assert time.monotonic() < deadline
                children = [item.pid for item in psutil.Process(process.pid).children()]
                launchers = [pid for pid in children if is_in(pid, "SigCgt", signal.SIGTERM)]
                time.sleep(0.005)
            for pid in (process.pid, *launchers):
                assert is_in(pid, "SigIgn", signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


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
