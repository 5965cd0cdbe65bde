"""The watchdog: a tiny process that ends whatever `up` leaves behind when it is killed. Imports the standard library.

`python -m actors.watchdog PIPE_FD MARK FOLDER LAUNCHER FOREGROUND` waits on a pipe whose other end only the launcher
holds. A byte means that it has cleaned up by itself. The end of the pipe without one means that it is gone: every
process that carries the mark in its environment, or was seen to descend from the launcher (Ray's agents write their
titles over their environment), is ended (the kernel has already told most of them), and FOLDER (Ray's
sockets and logs) is removed. A launcher that hangs although its foreground process is gone is ended too. The watchdog
holds the data directory's lock, inherited, so that nobody starts there before it has finished.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from actors.runfile import is_process_alive

MARK_NAME = "MEXCBOT_INSTANCE_MARK"
# "Nothing left 10 s later" (contract.md). Ask at first, then insist.
ASK_S = 2.0
INSIST_S = 6.0
# From the end of the foreground process until a launcher that is still there is ended, and what it left is not asked.
HASTE_S = 7.0
POLL_S = 0.25
LOOK_S = 1.0

Family = dict[int, str]
"""Process id and start time (in clock ticks, as the kernel says it): an id that is used again is not ours."""


def descendants(ancestor: int) -> Family:
    """Find the processes below one; empty where there is no /proc."""
    parents: dict[int, int] = {}
    started: Family = {}
    for name in os.listdir("/proc") if Path("/proc/self/stat").exists() else ():
        if name.isdigit() and (fields := _stat(int(name))):
            parents[int(name)], started[int(name)] = int(fields[1]), fields[19]
    found = {ancestor}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return {pid: started[pid] for pid in found - {ancestor, os.getpid()} if pid in started}


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state, parent, ...; empty when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


def marked(mark: str) -> list[int]:
    """Find the processes of ours that carry the mark, but not this one."""
    if Path("/proc/self/environ").exists():
        needle = f"{MARK_NAME}={mark}".encode()
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _carries(pid, needle)]
    shown = subprocess.run(["ps", "eww", "-A", "-o", "pid=,command="], capture_output=True, text=True, check=False)
    lines = (line.split(None, 1) for line in shown.stdout.splitlines() if f"{MARK_NAME}={mark}" in line)
    return [int(pid) for pid, *_ in lines if int(pid) != os.getpid()]


def _carries(pid: int, needle: bytes) -> bool:
    if pid == os.getpid():
        return False
    try:
        return needle in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def end_marked(mark: str, ask_s: float = ASK_S, insist_s: float = INSIST_S, family: Family | None = None) -> int:
    """End all of them: SIGTERM, wait, SIGKILL until none is left or the time is over. Returns how many were met.

    family: processes to end although they do not carry the mark.
    """
    kin = family or {}
    met: set[int] = set()
    began = time.monotonic()
    is_asked = False
    while (left := _left(mark, kin)) and time.monotonic() - began < ask_s + insist_s:
        met.update(left)
        insists = time.monotonic() - began > ask_s
        if insists or not is_asked:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if insists else signal.SIGTERM)
            is_asked = True
        time.sleep(0.1)
    return len(met)


def _left(mark: str, family: Family) -> list[int]:
    kin = (pid for pid, began in family.items() if (fields := _stat(pid)) and fields[19] == began)
    return sorted({*(marked(mark) if mark else ()), *kin})


def main(arguments: list[str]) -> int:
    """Wait for the end of `up`. Returns the exit code."""
    pipe, mark, folder = int(arguments[0]), arguments[1], arguments[2]
    launcher, foreground = (int(text) for text in arguments[3:5])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gone_at = looked_at = 0.0
    family: Family = {}
    while not select.select([pipe], [], [], POLL_S)[0]:
        if gone_at == 0.0 and not is_process_alive(foreground):
            gone_at = time.monotonic()
        if gone_at and time.monotonic() - gone_at > HASTE_S:
            with contextlib.suppress(ProcessLookupError):
                os.kill(launcher, signal.SIGKILL)
            break
        if time.monotonic() - looked_at > LOOK_S:
            looked_at = time.monotonic()
            family = {pid: family[pid] for pid in _left("", family)} | descendants(launcher)
    else:
        if os.read(pipe, 1):
            return 0
    end_marked(mark, 0.0 if gone_at else ASK_S, family=family)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
