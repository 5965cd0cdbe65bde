"""The embedded Postgres: a real server of our own in a folder of ours. May import trading.model and psycopg.

One folder holds one server:

    DIR/lock         held (flock) while an instance owns the folder, with its pid inside
    DIR/cluster      Postgres' own data directory; made under another name and renamed, so it is whole or absent
    DIR/password     of the database user, mode 0600
    DIR/port         the TCP port on 127.0.0.1, kept from start to start while it is free
    DIR/server.log   what the server says; the one before is server.log.1
    DIR/s            the socket folder, mode 0700, when its path fits into a socket address
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import re
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from trading.adapters.store.server_processes import RunAs, binaries, choose_run_as, end, end_orphans, run, spawn
from trading.model.errors import ConfigError, NotRunning

USER = "mexcbot"
DATABASE = "mexcbot"
HOST = "127.0.0.1"
INITDB_TIMEOUT_S = 120.0
# Crash recovery replays at most max_wal_size of log; a slow disk needs its time, a hung server must not hang us.
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
START_ATTEMPTS = 20
LOG_BYTES_MAX = 10_000_000
# A socket address holds 108 bytes with its end mark on Linux (unix(7)), 104 on macOS.
SOCKET_PATH_MAX = 103 - len("/.s.PGSQL.65535")

# A small server beside a trading fleet: few connections, no replication, no parallel workers, everything durable.
SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "256MB",
    "min_wal_size": "64MB",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "autovacuum_max_workers": "2",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}

# What a start may fail on that mends itself: a killed server's children hold its memory, or it is still going down.
_PASSING_FAULTS = ("is still in use", "Is another postmaster", "lock file", "another server might be running")
_PORT_FAULTS = ("could not bind", "Address already in use", "could not create any TCP/IP sockets")


class EmbeddedPostgres:
    """Own one Postgres server in one folder, from `start` to `stop`.

    Invariant: while started, the folder's lock is ours, and the server dies when this process does (at once on Linux,
    at the next start elsewhere). Used by one thread at a time.
    """

    def __init__(self, data_dir: Path) -> None:
        """Name the folder; nothing is touched before `start`."""
        self._dir = data_dir.absolute()
        self._cluster = self._dir / "cluster"
        self._lock: TextIO | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._run_as: RunAs | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster; None when it is not running."""
        return self._process.pid if self._process is not None and self.is_alive() else None

    def is_alive(self) -> bool:
        """Tell whether the server process that we started still runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start the server, creating the cluster and the database when absent, and return the database URL.

        Also starts again after the server died (same port). Blocks 0.2 s on a warm folder, up to 2 s on a new one.
        Raises: ConfigError when the folder is in use by a living instance, of another Postgres version, or not ours to
        write, or when this host cannot run the server; NotRunning with its last words when it does not come up.
        """
        if self.is_alive() and self._await_ready(int(_read(self._dir / "port") or 0)):  # and not just about to die
            return _url(self._dir, _read(self._dir / "port"))
        self._take_folder()
        try:
            self._run_as = self._run_as or choose_run_as(binaries() / "postgres")
            end_orphans(self._cluster, STOP_TIMEOUT_S)
            self._clear_scratch()
            self._check_version()
            if not self._cluster.exists():
                self._create_cluster(self._run_as)
            port = self._start_server(self._run_as)
            _create_database(self._dir, port)
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return _url(self._dir, port)

    def stop(self) -> None:
        """End the server (fast shutdown: open transactions roll back) and give the folder free; idempotent."""
        if self._process is not None:
            end(self._process, STOP_TIMEOUT_S)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if threading.current_thread() is threading.main_thread():
            atexit.unregister(self.stop)

    @staticmethod
    def running_url(data_dir: Path) -> str | None:
        """Return the URL of the server that some living instance runs in this folder; None when none does.

        For programs beside the instance (`halt --direct`, `migrate`): it takes no lock and starts nothing.
        """
        folder = data_dir.absolute()
        try:
            with (folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            port = _read(folder / "port")
            return _url(folder, port) if port and (folder / "password").exists() else None
        except OSError:
            return None
        return None

    # --- the folder ------------------------------------------------------------------------------------------------

    def _take_folder(self) -> None:
        if self._lock is not None:
            return
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            lock = (self._dir / "lock").open("a+")
        except OSError as error:
            raise ConfigError(
                f"cannot use {self._dir} for the database ({error.strerror}): choose another --data-dir"
            ) from None
        if not _locked(lock, patience_s=0.5):
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise ConfigError(
                f"the data directory {self._dir} is in use by another instance (pid {holder}): "
                "stop that one, or choose another --data-dir"
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _check_version(self) -> None:
        found = _read(self._cluster / "PG_VERSION")
        if not self._cluster.exists():
            return
        said = run((str(binaries() / "postgres"), "--version"), INITDB_TIMEOUT_S).stdout
        match = re.search(r"(\d+)", said)
        expected = match.group(1) if match else said.strip()
        if found != expected:
            raise ConfigError(
                f"the database in {self._cluster} was made by Postgres {found or '(unknown)'}, this build runs "
                f"Postgres {expected}: choose another --data-dir, or move the data over with that version's pg_dump"
            )

    def _clear_scratch(self) -> None:
        """Remove what owners left that were killed while they made a cluster. Their initdb may still be writing to it
        for a moment; what cannot be removed is tried again at the next start."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while left := list(self._dir.glob("cluster.new-*")):
            for path in left:
                shutil.rmtree(path, ignore_errors=True)
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def _create_cluster(self, run_as: RunAs) -> None:
        scratch = self._dir / f"cluster.new-{os.getpid()}"
        scratch.mkdir(mode=0o700)
        _write_private(self._dir / "password", secrets.token_urlsafe(24))
        # Under another user initdb can read the password only through a copy that is that user's.
        _write_private(scratch / "password", _read(self._dir / "password"))
        self._own(run_as, scratch, scratch / "password")
        command = [*run_as.prefix, str(binaries() / "initdb"), "-D", str(scratch / "cluster"), "-U", USER]
        command += [f"--pwfile={scratch / 'password'}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        try:
            done = run([*command, "--no-instructions"], INITDB_TIMEOUT_S)
            if done.returncode != 0:
                raise NotRunning(
                    f"could not create the database in {self._dir}: {_last_line(done.stderr or done.stdout)}"
                )
            os.rename(scratch / "cluster", self._cluster)
        except subprocess.TimeoutExpired:
            raise NotRunning(
                f"creating the database in {self._dir} took longer than {INITDB_TIMEOUT_S:.0f} s"
            ) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _own(self, run_as: RunAs, *paths: Path) -> None:
        if run_as.owner_uid is None:
            return
        for path in paths:
            os.chown(path, run_as.owner_uid, run_as.owner_uid)

    # --- the server ------------------------------------------------------------------------------------------------

    def _start_server(self, run_as: RunAs) -> int:
        """Start until it serves; passing faults are waited out, a lost port is replaced. Returns the port."""
        is_restart = self._process is not None
        port = int(_read(self._dir / "port") or 0)
        if not port or not (is_restart or _is_free(port)):
            port = _free_port()
        words = ""
        for attempt in range(START_ATTEMPTS):
            log_offset = self._rotate_log()
            self._process = spawn(self._command(run_as, port), self._dir / "server.log")
            if self._await_ready(port):
                _write_private(self._dir / "port", str(port))
                return port
            end(self._process, STOP_TIMEOUT_S)
            words = _tail(self._dir / "server.log", log_offset)
            if any(fault in words for fault in _PORT_FAULTS):
                # After a crash others still hold the old address: insist on it for a while, then take another.
                if not is_restart or attempt > START_ATTEMPTS // 2:
                    port = _free_port()
            elif not any(fault in words for fault in _PASSING_FAULTS):
                break
            time.sleep(min(0.1 * (attempt + 1), 1.0))
        raise NotRunning(f"the embedded Postgres did not start: {_last_line(words)} (log: {self._dir / 'server.log'})")

    def _command(self, run_as: RunAs, port: int) -> list[str]:
        sockets = self._dir / "s"
        has_sockets = len(os.fsencode(sockets)) <= SOCKET_PATH_MAX
        if has_sockets:
            sockets.mkdir(mode=0o700, exist_ok=True)
            self._own(run_as, sockets)
        settings = {
            **SERVER_SETTINGS,
            "port": str(port),
            "unix_socket_directories": str(sockets) if has_sockets else "",
        }
        command = [*run_as.prefix, str(binaries() / "postgres"), "-D", str(self._cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _await_ready(self, port: int) -> bool:
        """Wait until the server takes our login; False when it died or took too long."""
        import psycopg

        deadline = time.monotonic() + START_TIMEOUT_S
        while self.is_alive() and time.monotonic() < deadline:
            try:
                psycopg.connect(_conninfo(self._dir, port, "postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                # A stranger's server on this port would have refused our password; ours may still have died meanwhile.
                return self.is_alive()
        return False

    def _rotate_log(self) -> int:
        log = self._dir / "server.log"
        size = log.stat().st_size if log.exists() else 0
        if size <= LOG_BYTES_MAX:
            return size
        log.replace(log.with_name("server.log.1"))
        return 0


def _locked(lock: TextIO, patience_s: float) -> bool:
    """Take the lock; `running_url` of a neighbour holds it for an instant, which is no reason to give up."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _create_database(folder: Path, port: int) -> None:
    import psycopg
    from psycopg import sql

    with contextlib.closing(
        psycopg.connect(_conninfo(folder, port, "postgres"), autocommit=True, connect_timeout=5)
    ) as link:
        if link.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _url(folder: Path, port: int | str) -> str:
    return f"postgresql+psycopg://{USER}:{quote(_read(folder / 'password'), safe='')}@{HOST}:{port}/{DATABASE}"


def _conninfo(folder: Path, port: int, database: str) -> str:
    from psycopg.conninfo import make_conninfo

    password = _read(folder / "password")
    return make_conninfo("", host=HOST, port=port, user=USER, password=password, dbname=database)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _write_private(path: Path, text: str) -> None:
    """Write a 0600 file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _tail(path: Path, offset: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(100_000).decode(errors="replace")
    except OSError:
        return ""


def _last_line(text: str) -> str:
    """Pick the line that says most: the last FATAL or error line, else the last line at all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error:" in line]
    chosen = (telling or lines or ["it said nothing"])[-1]
    return re.sub(r"^.*?(FATAL|error):\s*", "", chosen)
