"""The foreground process of `up`: it forwards signals, gives the launcher's exit code, and ends with its parent.

The verb behind it here is the simulator: a long-running one that is quick to start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from actors.foreground import EXIT_WITH_PARENT
from actors.runfile import is_process_alive

ROOT = Path(__file__).resolve().parents[2]
FOREGROUND = [sys.executable, "-m", "actors.foreground"]
SIMULATOR = ["simulator", "--port", "0", "--json", "--symbols", "BTCUSDT"]


def eventually(condition: Callable[[], bool], within_s: float) -> bool:
    """Poll a condition until it holds or the time is over."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command, wait until the simulator behind it is ready, and leave none of its processes."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, start_new_session=True
    )
    assert process.stdout is not None
    family = [psutil.Process(process.pid)]
    try:
        assert '"ready":true' in process.stdout.readline()
        family += family[0].children(recursive=True)
        yield process
    finally:
        for item in family:
            with suppress(psutil.NoSuchProcess):
                item.kill()
        process.wait()
        process.stdout.close()


def test_foreground_forwards_a_signal_for_its_group_and_gives_the_exit_code() -> None:
    with started([*FOREGROUND, *SIMULATOR]) as foreground:
        launcher = psutil.Process(foreground.pid).children()[0]
        assert os.getpgid(launcher.pid) != os.getpgid(foreground.pid)
        os.killpg(foreground.pid, signal.SIGTERM)
        assert foreground.wait(60) == 0
        assert not is_process_alive(launcher.pid)


def test_foreground_gives_the_exit_code_of_bad_input() -> None:
    done = subprocess.run(
        [*FOREGROUND, "simulator", "--port", "99999"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_launcher_ends_when_its_foreground_is_killed() -> None:
    with started([*FOREGROUND, *SIMULATOR]) as foreground:
        launcher = psutil.Process(foreground.pid).children()[0]
        foreground.kill()
        foreground.wait()
        assert eventually(lambda: not is_process_alive(launcher.pid), 30)


@pytest.mark.parametrize("is_bound", [True, False])
def test_foreground_ends_with_the_shell_of_make_when_it_is_asked_to(is_bound: bool) -> None:
    # As make does it: a shell runs the recipe, and stays its parent.
    line = " ".join([*FOREGROUND, *SIMULATOR]) + "; exit $?"
    with started(["/bin/sh", "-c", line], **{EXIT_WITH_PARENT: "1" if is_bound else "0"}) as shell:
        foreground = psutil.Process(shell.pid).children()[0]
        launcher = foreground.children()[0]
        shell.kill()
        shell.wait()
        is_gone = eventually(
            lambda: not is_process_alive(launcher.pid) and not is_process_alive(foreground.pid), 30 if is_bound else 1
        )
        assert is_gone == is_bound
