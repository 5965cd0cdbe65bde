"""The processes of a running system: found, weighed, and ended by id. May import psutil and the standard library."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

MARK_NAME = "MEXCBOT_BENCH_RUN"


def family(root_pid: int, mark: str, data_dir: Path) -> list[psutil.Process]:
    """Find every process of a system, also those whose parents are gone.

    Which are: the root, what carries the mark in its environment or the data directory in its command line, and all
    that descends from these.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.pid in found or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.pid == root_pid or _is_named(process, data_dir) or _is_marked(process, mark):
                found |= {item.pid: item for item in (process, *process.children(recursive=True))}
    me = psutil.Process()
    for process in (me, *me.parents()):
        found.pop(process.pid, None)
    return list(found.values())


def _is_named(process: psutil.Process, data_dir: Path) -> bool:
    return any(str(data_dir) in part for part in process.cmdline())


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK_NAME) == mark
    except (psutil.AccessDenied, OSError):
        return False


def pss_bytes(rollup: str) -> int:
    """Read the proportional set size from the text of /proc/PID/smaps_rollup, in bytes. Raises: ValueError."""
    for line in rollup.splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            amount, _, unit = rest.strip().partition(" ")
            if unit != "kB":
                raise ValueError(f"expected kB, was {unit!r}")
            return int(amount) * 1024
    raise ValueError("expected a line with Pss")


def weigh(process: psutil.Process) -> int:
    """Return the proportional set size of a process in bytes, 0 when it has ended.

    Raises: PermissionError when it is not ours to weigh.
    """
    try:
        return pss_bytes(Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def kind_of(name: str, command: str) -> str:
    """Name the part of the system a process is, from its name and its command line.

    Ray gives all actors of ours one title: symbol actors are told apart by the process ids that the API names.
    """
    for needle, kind in (
        ("ray::_Host", "executor_and_supervisor"),
        ("ray::IDLE", "ray_idle_workers"),
        ("ray::", "ray_system"),
        ("raylet", "ray_system"),
        ("gcs_server", "ray_system"),
        ("ray/", "ray_system"),
        ("streamlit", "dashboard"),
        ("-m api", "api"),
        ("-m simulator", "simulator"),
        ("-m actors", "launcher"),
    ):
        if needle in command:
            return kind
    return "postgres" if name.startswith("postgres") or "postgres" in command else "other"


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run."""
    left = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
    return left


def end(processes: Iterable[psutil.Process], patience_s: float = 5.0) -> int:
    """Ask what is left to end, then make it; returns how many there were."""
    left = alive(processes)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    deadline = time.monotonic() + patience_s
    while alive(left) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in alive(left):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return len(left)
