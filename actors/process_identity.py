"""Who a process is, in a way that another process of the same host can check. May import the standard library.

A lease's owner carries it, so that a successor on the same host need not wait for the lease of a process that the
kernel says is gone. Linux only: elsewhere, and across hosts and containers, nothing is certain and the lease runs out.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_MARK = "proc"
# Fields of /proc/<pid>/stat after the command's closing bracket (proc(5)): the state first, the start time 20th.
_STATE, _START = 0, 19
_GONE = frozenset("ZX")


def identity_of(pid: int) -> str:
    """Name a process: "proc/<boot>/<pid namespace>/<pid>/<start time>"; only the pid where /proc cannot say more."""
    place, stat = _place(), _stat(pid)
    if place is None or stat is None:
        return f"pid/{pid}"
    return f"{_MARK}/{place}/{pid}/{stat[_START]}"


def own_identity() -> str:
    """Name this process."""
    return identity_of(os.getpid())


def is_certainly_dead(owner: str) -> bool:
    """Tell whether the process whose identity ends this owner's name is gone for certain; False when in doubt.

    A process that is stopped or hangs is not dead. A pid that was given out again has another start time.
    """
    parts = owner.rsplit("/", 4)
    if len(parts) != 5 or not parts[0].endswith(_MARK) or not parts[3].isdecimal():
        return False
    if _place() != f"{parts[1]}/{parts[2]}":
        return False
    if not (_PROC / parts[3]).exists():
        return True
    stat = _stat(int(parts[3]))
    return stat is not None and (stat[_START] != parts[4] or stat[_STATE] in _GONE)


def _place() -> str | None:
    """This boot of this host, and the namespace that our pids mean something in."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return None


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > _START else None
