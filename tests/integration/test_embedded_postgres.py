"""The embedded server: starts from nothing, comes back after anything, never outlives its owner."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.embedded_database import plain_url
from trading.adapters.store import server_processes
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.server_processes import binaries, choose_run_as, servers_of
from trading.model.errors import ConfigError

TRIES_MAX = 10
OWNER = """
import sys, time
from pathlib import Path
from trading.adapters.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.start(), server.pid, flush=True)
time.sleep(120)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mx"))
    yield path
    server_processes.end_orphans(path / "cluster", 5.0)
    shutil.rmtree(path)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(folder)
    yield postgres
    postgres.stop()


def _value(url: str, query: str) -> object:
    with psycopg.connect(plain_url(url), connect_timeout=30) as link:
        row = link.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def _eventually(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _owner(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)


def test_server_from_nothing_is_durable_private_and_remembers(server: EmbeddedPostgres, folder: Path) -> None:
    url = server.start()
    assert server.is_alive()
    assert _value(url, "SHOW fsync") == "on"
    assert _value(url, "SHOW synchronous_commit") == "on"
    assert _value(url, "SHOW server_encoding") == "UTF8"
    assert _value(url, "SHOW listen_addresses") == "127.0.0.1"
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o700
    with psycopg.connect(plain_url(url)) as link:
        link.execute("CREATE TABLE kept (n int)")
        link.execute("INSERT INTO kept VALUES (7)")
    server.stop()
    assert not server.is_alive()
    assert servers_of(folder / "cluster") == []
    assert server.start() == url
    assert _value(url, "SELECT n FROM kept") == 7


def test_server_without_the_password_lets_nobody_in(server: EmbeddedPostgres) -> None:
    url = server.start()
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(plain_url(url).replace(password, "guess"))


def test_killed_server_starts_again_on_the_same_port(server: EmbeddedPostgres) -> None:
    url = server.start()
    for _ in range(3):
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)  # and at once: the process may not have noticed yet
        assert server.start() == url
        assert _value(url, "SELECT 1") == 1


def test_second_instance_in_a_folder_is_refused_by_name(server: EmbeddedPostgres, folder: Path) -> None:
    url = server.start()
    with pytest.raises(ConfigError, match=f"in use by another instance \\(pid {os.getpid()}\\)"):
        EmbeddedPostgres(folder).start()
    assert EmbeddedPostgres.running_url(folder) == url
    assert _value(url, "SELECT 1") == 1
    server.stop()
    assert EmbeddedPostgres.running_url(folder) is None


def test_folder_of_another_version_is_refused_and_left_alone(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    server.stop()
    (folder / "cluster" / "PG_VERSION").write_text("14\n")
    with pytest.raises(ConfigError, match=r"made by Postgres 14, this build runs Postgres \d+"):
        server.start()
    assert (folder / "cluster" / "PG_VERSION").read_text() == "14\n"
    assert EmbeddedPostgres.running_url(folder) is None


def test_folder_that_cannot_be_made_is_refused(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another --data-dir"):
        EmbeddedPostgres(folder / "file" / "below").start()


def test_remembered_port_that_is_taken_is_replaced(server: EmbeddedPostgres, folder: Path) -> None:
    first = server.start()
    server.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int((folder / "port").read_text())))
        taken.listen()
        second = server.start()
    assert second != first
    assert _value(second, "SELECT 1") == 1


def test_server_started_by_a_thread_that_ended_lives_on(server: EmbeddedPostgres) -> None:
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    time.sleep(0.5)
    assert server.is_alive()


def test_owner_killed_takes_the_server_with_it_and_the_folder_starts_again(folder: Path) -> None:
    with _owner(folder) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline().split()[1])
        assert psutil.pid_exists(pid)
        owner.kill()
    assert _eventually(lambda: servers_of(folder / "cluster") == [])
    heir = EmbeddedPostgres(folder)
    try:
        assert _value(heir.start(), "SELECT 1") == 1
    finally:
        heir.stop()


def _is_half_made(folder: Path) -> bool:
    """Tell whether a cluster is being made; it may get its name while one looks."""
    with contextlib.suppress(FileNotFoundError):
        return any(folder.glob("cluster.new-*/cluster/PG_VERSION"))
    return False


def test_owner_killed_while_the_cluster_is_made_leaves_nothing_half_done(folder: Path) -> None:
    for _ in range(TRIES_MAX):
        with _owner(folder) as owner:
            assert _eventually(
                lambda: _is_half_made(folder) or (folder / "cluster").exists(),
            )
            owner.kill()
        if not (folder / "cluster").exists():
            break
        # The machine did not let this process look in time: the cluster was whole already.
        assert _eventually(lambda: servers_of(folder / "cluster") == [])
        shutil.rmtree(folder / "cluster")
    assert not (folder / "cluster").exists()
    assert list(folder.glob("cluster.new-*")) != []
    heir = EmbeddedPostgres(folder)
    try:
        assert _value(heir.start(), "SELECT 1") == 1
        assert list(folder.glob("cluster.new-*")) == []
    finally:
        heir.stop()


def test_orphan_without_an_owner_is_ended_at_the_next_start(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    server.stop()
    program = binaries() / "postgres"
    # As on a host without a death signal: nobody told this one to go.
    prefix = tuple(part for part in choose_run_as(program).prefix if part not in ("--pdeathsig", "INT"))
    port = (folder / "port").read_text()
    command = [*prefix, str(program), "-D", str(folder / "cluster"), "-p", port, "-c", "unix_socket_directories="]
    orphan = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert _eventually(lambda: any(item.pid == orphan.pid for item in servers_of(folder / "cluster")))
        url = server.start()
        assert orphan.wait(60) is not None
        assert _value(url, "SELECT 1") == 1
    finally:
        orphan.kill()
        orphan.wait()


def test_pid_file_of_a_pid_that_now_is_another_program_does_not_block_the_start(
    server: EmbeddedPostgres, folder: Path
) -> None:
    url = server.start()
    server.stop()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        lines = [str(stranger.pid), str(folder / "cluster"), "1700000000", "5432", "", "127.0.0.1", "0 0", "ready"]
        (folder / "cluster" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        assert server.start() == url
        assert stranger.poll() is None
        stranger.kill()


def test_normal_user_needs_no_namespace() -> None:
    assert not any("unshare" in part for part in choose_run_as(binaries() / "postgres", is_root=False).prefix)
