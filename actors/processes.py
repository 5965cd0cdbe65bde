"""Child processes of `up`: started so that they die with us, watched, started again, stopped in order.

May import `trading.model` and the standard library. Children run in sessions of their own, so that a terminal's Ctrl-C
reaches `up` only, which then stops them in its order. On Linux the kernel ends them when `up` dies; everywhere the
watchdog does (see `watchdog`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trading.model.errors import ConfigError, NotRunning

STOP_TIMEOUT_S = 8.0
LOG_BYTES_MAX = 20_000_000
BACK_OFF_FIRST_S = 0.5
BACK_OFF_MOST_S = 15.0
# A child that has lived for so long starts again without a wait.
STEADY_AFTER_S = 60.0

# Runs first in every child, before its program replaces it: asks the kernel for a signal when the parent dies, then
# makes sure that it has not died already. No preexec_fn: that would run Python between fork and exec beside threads.
_BOOT = """
import os, sys
parent, number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, number, 0, 0, 0)
if os.getppid() != parent:
    sys.exit(75)
os.execv(program[0], program)
"""


def start_child(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    is_stdout_piped: bool = False,
    pass_fds: Sequence[int] = (),
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a program that gets `death_signal` when this process dies. Call it on the main thread only: the kernel
    counts the thread that forked as the parent.

    log: stderr (and stdout, unless piped) are appended to it. Raises: NotRunning when it cannot be started.
    """
    _rotate(log)
    boot = [sys.executable, "-I", "-S", "-c", _BOOT, str(os.getpid()), str(int(death_signal)), *command]
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                boot,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_stdout_piped else output,
                stderr=output,
                start_new_session=True,
                pass_fds=tuple(pass_fds),
                env=dict(environment),
            )
    except OSError as error:
        raise NotRunning(f"{command[0]} could not be started: {error.strerror}") from error


def stop_child(process: subprocess.Popen[bytes], timeout_s: float = STOP_TIMEOUT_S) -> None:
    """End a child and whatever is left of its session: SIGTERM, then SIGKILL. Returns when it is gone; idempotent."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()


def last_words(log: Path, bytes_max: int = 2_000) -> str:
    """Return the last line of a log that says something, for an error's sentence."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - bytes_max))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return "it wrote nothing"
    return lines[-1][:300] if lines else "it wrote nothing"


@dataclass(slots=True)
class Child:
    """One program that `up` keeps running: the recipe to start it, and the process that runs it now.

    Attributes:
        name: for people and for the log's name. command: absolute program first.
        environment: the child's whole environment.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    _started_at: float = 0.0
    _wait_s: float = 0.0
    _retry_at: float = 0.0

    def start(self, *, is_stdout_piped: bool = False) -> None:
        """Start it now. Raises: NotRunning."""
        self.process = start_child(self.command, self.log, self.environment, is_stdout_piped=is_stdout_piped)
        self._started_at = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """True while its process runs."""
        return self.process is not None and self.process.poll() is None

    def keep(self) -> str | None:
        """Start it again if it died and its back-off is over; return a sentence when it did or died anew.

        Call it regularly from the main thread.
        """
        if self.process is None or self.is_alive:
            return None
        now = time.monotonic()
        if self._retry_at == 0.0:
            is_steady = now - self._started_at > STEADY_AFTER_S
            self._wait_s = BACK_OFF_FIRST_S if is_steady else min(BACK_OFF_MOST_S, self._wait_s * 2 or BACK_OFF_FIRST_S)
            self._retry_at = now + self._wait_s
            status = self.process.returncode
            return f"{self.name} ended ({_how(status)}); it starts again in {self._wait_s:g} s"
        if now < self._retry_at:
            return None
        self._retry_at = 0.0
        self.restarts += 1
        stop_child(self.process)
        self.start()
        return f"{self.name} was started again (pid {self.process.pid})"

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End it for good; idempotent."""
        if self.process is not None:
            stop_child(self.process, timeout_s)
            self.process = None


def check_port(port: int, flag: str, host: str = "127.0.0.1") -> int:
    """Return a port that can be listened on: the given one, or for 0 any free one.

    Raises: ConfigError naming the flag when it is in use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be used ({error.strerror}): "
                f"free it, or choose another with {flag} (0 takes any free one)"
            )
        return int(probe.getsockname()[1])


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit code {status}"


def _rotate(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_name(log.name + ".1"))
