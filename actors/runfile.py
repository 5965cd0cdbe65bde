"""The run file: how programs find a running instance. DATA_DIR/run.json is there while the API's address is known.

May import `trading.model` and the standard library. Written whole or not at all; a file whose process is dead counts as
absent.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from trading.model.errors import ConfigError, NotRunning

NAME = "run.json"


@dataclass(frozen=True, slots=True)
class RunFile:
    """What DATA_DIR/run.json says.

    Attributes:
        pid: of `mexcbot up`. api, dashboard: base URLs (dashboard None without one).
        token_file, read_token_file: hold the control token and the read token.
        session: id. namespace, ray_address: where the actors live; ray_address empty when Ray is `up`'s own.
        is_fleet_detached: the fleet outlives `up` (it runs on an existing Ray).
        account: whose books the executor keeps.
    """

    pid: int
    api: str
    dashboard: str | None
    token_file: str
    read_token_file: str
    session: str
    namespace: str
    ray_address: str = ""
    is_fleet_detached: bool = False
    account: str = ""


def write_private(path: Path, text: str) -> None:
    """Replace a file by one of mode 0600 that is never seen half-written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def write_run_file(data_dir: Path, run: RunFile) -> None:
    """Publish the instance."""
    write_private(data_dir / NAME, json.dumps(asdict(run)) + "\n")


def remove_run_file(data_dir: Path, pid: int) -> None:
    """Take the instance back, if the file is this process's; idempotent."""
    run = read_run_file(data_dir)
    if run is not None and run.pid == pid:
        with contextlib.suppress(FileNotFoundError):
            (data_dir / NAME).unlink()


def read_run_file(data_dir: Path) -> RunFile | None:
    """Read the file, whoever wrote it; None when there is none.

    Raises: ConfigError when it is unreadable or not ours.
    """
    path = data_dir / NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): remove it, or name another --data-dir")
    foreign = ConfigError(f"{path} is not a run file of this version: remove it, or name another --data-dir")
    if not isinstance(fields, dict) or not isinstance(fields.get("pid"), int) or not isinstance(fields.get("api"), str):
        raise foreign
    try:
        return RunFile(**{name: fields[name] for name in RunFile.__slots__ if name in fields})
    except TypeError:
        raise foreign


def is_process_alive(pid: int) -> bool:
    """Tell whether a process with this id exists and is no zombie."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def starting_pid(data_dir: Path) -> int | None:
    """Return the pid of an `up` that has the directory but has not published itself yet; None when there is none.

    Raises: ConfigError when the run file is unreadable or not ours.
    """
    run = read_run_file(data_dir)
    try:
        with (data_dir / "lock").open(encoding="utf-8") as lock:
            holder = lock.read().strip()
            if not holder.isdigit() or not is_process_alive(int(holder)) or try_lock(lock, fcntl.LOCK_SH):
                return None
    except OSError:
        return None
    is_published = run is not None and (run.pid == int(holder) or run.is_fleet_detached)
    return None if is_published else int(holder)


def try_lock(file: TextIO, kind: int) -> bool:
    """Take a lock of a kind (`fcntl.LOCK_SH` or `LOCK_EX`) and return True, or False where another process stops it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find_instance(data_dir: Path) -> RunFile:
    """Return the running instance of a data directory. Raises: NotRunning when there is none."""
    run = read_run_file(data_dir)
    if (pid := starting_pid(data_dir)) is not None:
        raise NotRunning(f"the instance of {data_dir} (pid {pid}) is still starting: wait until it says that it is up")
    if run is None:
        raise NotRunning(f"nothing runs in {data_dir}: start it with mexcbot up, or name its --data-dir")
    if not run.is_fleet_detached and not is_process_alive(run.pid):
        raise NotRunning(f"the instance of {data_dir} (pid {run.pid}) has ended: start it with mexcbot up")
    return run
