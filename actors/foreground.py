"""The process that a terminal, make or a service manager sees as `mexcbot up`.

May import the list of stop signals and the standard library.

It starts the launcher in a session of its own and stands between it and the world: a signal for the whole process group
(Ctrl-C, `timeout`, a closed terminal) must not reach Ray's processes and the actors before the launcher has drained
them. It forwards signals, ends with the launcher's exit code, and tells it when our own parent has gone. When this
process is killed, the kernel tells the launcher (HASTY).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trading.adapters.stop_signals import stop_signals

PID_NAME = "MEXCBOT_FOREGROUND_PID"
EXIT_WITH_PARENT = "MEXCBOT_EXIT_WITH_PARENT"
# To the launcher: nobody waits for you any more, be gone within 10 s.
HASTY = signal.SIGUSR1
POLL_S = 0.25
_SHELLS = frozenset({"sh", "dash", "bash", "ash", "ksh", "zsh"})
# Asks the kernel for HASTY when this process dies, then becomes the launcher.
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


def become_foreground(arguments: Sequence[str]) -> None:
    """Replace this process by the foreground of `mexcbot` with these arguments; never returns. The pid stays."""
    root = str(Path(__file__).resolve().parent.parent)
    sys.stdout.flush()
    sys.stderr.flush()
    boot = f"import sys; sys.path.insert(0, {root!r}); from actors.foreground import main; sys.exit(main(sys.argv[1:]))"
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", boot, *arguments])


def is_launcher() -> bool:
    """Tell whether this process was started by a foreground process."""
    return os.environ.get(PID_NAME) == str(os.getppid())


def main(arguments: Sequence[str]) -> int:
    """Run the launcher and wait for its end. Returns its exit code; 128 + n when signal n ended it."""
    environment = {**os.environ, PID_NAME: str(os.getpid())}
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    # The folder that somebody starts us in may hold an api.py of its own: `-m` would take that for ours.
    environment["PYTHONSAFEPATH"] = "1"
    command = [sys.executable, "-I", "-S", "-c", _BOOT, str(os.getpid()), str(int(HASTY))]
    command += [sys.executable, "-m", "actors.cli", *arguments]
    launcher: subprocess.Popen[bytes] | None = None

    def forward(number: int, frame: object) -> None:
        if launcher is not None:
            launcher.send_signal(number)

    numbers = stop_signals()
    # Blocked until there is a launcher to pass them on to. It inherits the block, and lifts it once it can be ended in
    # order: before that a signal would kill it, or make it print where in its imports it was struck.
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:
        signal.signal(number, forward)
    ancestors = _ancestors() if environment.get(EXIT_WITH_PARENT) == "1" else ()
    launcher = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, env=environment)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    is_told = False
    while (code := launcher.poll()) is None:
        time.sleep(POLL_S)
        if ancestors and not is_told and _ancestors() != ancestors:
            launcher.send_signal(HASTY)
            is_told = True
    return code if code >= 0 else 128 - code


def _ancestors() -> tuple[int, ...]:
    """Return our parent and, when that is a shell (make runs recipes through one), its parent."""
    parent = os.getppid()
    with contextlib.suppress(OSError, IndexError, ValueError):
        head, _, rest = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8").rpartition(")")
        if head.partition("(")[2] in _SHELLS:
            return parent, int(rest.split()[1])
    return (parent,)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
