"""The data directory of an instance: its lock, its version, its name, its tokens, and where everything in it lies.

May import `trading.model`, `actors.runfile` and the standard library.

    DIR/lock                held (flock) by `up` and by its watchdog, with the pid of `up` inside
    DIR/version             layout of this directory, one number
    DIR/instance            a random name: the Ray namespace is mexcbot-NAME
    DIR/run.json            while it runs (see `runfile`)
    DIR/control.token, DIR/read.token, DIR/ray.token     mode 0600
    DIR/postgres, DIR/logs, DIR/recordings
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import time
from pathlib import Path
from typing import TextIO

from actors.runfile import is_process_alive, write_private
from trading.model.errors import ConfigError

VERSION = 1
# After a kill -9 the watchdog needs its time to end what is left; a new start waits for that and no longer.
LOCK_PATIENCE_S = 12.0
# Others hold it for an instant too, to see whether it is held (`runfile.starting_pid`): not each holder is an instance.
# So it is tried this often again, at LOCK_STEP_S.
PROBES = 3
LOCK_STEP_S = 0.1


class DataDir:
    """One instance's directory. Invariant: between `take` and `release` the lock is ours."""

    def __init__(self, path: Path) -> None:
        """Name it; nothing is touched."""
        self.path = path.expanduser().absolute()
        self._lock: TextIO | None = None

    @property
    def logs(self) -> Path:
        """Where every process writes its log."""
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        """The embedded server's folder."""
        return self.path / "postgres"

    @property
    def recordings(self) -> Path:
        """Where symbols record."""
        return self.path / "recordings"

    @property
    def control_token_file(self) -> Path:
        """Holds the token that may command."""
        return self.path / "control.token"

    @property
    def read_token_file(self) -> Path:
        """Holds the token that may only read."""
        return self.path / "read.token"

    @property
    def ray_token_file(self) -> Path:
        """Holds the token of our own Ray."""
        return self.path / "ray.token"

    @property
    def lock_descriptor(self) -> int:
        """The open lock's file descriptor, for the watchdog to inherit."""
        if self._lock is None:
            raise ConfigError(f"{self.path} is not taken")
        return self._lock.fileno()

    def take(self, owner_pid: int | None = None) -> None:
        """Make it, lock it, check its version, and see to its tokens. owner_pid: what others are told; else ours.

        Waits up to `LOCK_PATIENCE_S` when its former owner is dead and is being cleaned up after, and for a moment
        when somebody only looks whether it is held.
        Raises: ConfigError when it is in use (naming the pid), of another version, or not ours to write.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
            lock = (self.path / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot use the data directory {self.path} ({error.strerror}): choose another --data-dir"
            )
        try:
            self._wait_for(lock)
            self._check_version()
        except BaseException:
            lock.close()
            raise
        lock.truncate(0)
        lock.write(f"{owner_pid or os.getpid()}\n")
        lock.flush()
        self._lock = lock
        for path in (self.control_token_file, self.read_token_file, self.ray_token_file):
            if not path.exists() or not path.read_text(encoding="utf-8").strip():
                # Ray refuses a token that does not look like its own: hexadecimal.
                write_private(path, secrets.token_hex(32))
            path.chmod(0o600)

    def release(self) -> None:
        """Give the lock back; idempotent."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def instance(self) -> str:
        """Return the instance's name, made at first use."""
        return self.remembered("instance") or self.remember("instance", secrets.token_hex(4))

    def remembered(self, name: str) -> str:
        """Read a small fact that an earlier start left; empty when there is none."""
        try:
            return (self.path / name).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def remember(self, name: str, text: str) -> str:
        """Keep a small fact for later starts, and return it."""
        write_private(self.path / name, text + "\n")
        return text

    def _wait_for(self, lock: TextIO) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        for attempt in itertools.count():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip()
            is_left_over = holder.isdigit() and not is_process_alive(int(holder))
            if time.monotonic() > deadline if is_left_over else attempt >= PROBES:
                raise ConfigError(
                    f"the data directory {self.path} is in use by another instance (pid {holder or 'unknown'}): "
                    "stop that one with mexcbot down, or choose another --data-dir"
                )
            time.sleep(LOCK_STEP_S)

    def _check_version(self) -> None:
        found = self.remembered("version")
        if not found:
            self.remember("version", str(VERSION))
        elif found != str(VERSION):
            raise ConfigError(
                f"the data directory {self.path} is of version {found[:20]!r}, expected {VERSION}: "
                "run the program that made it, or choose another --data-dir"
            )
