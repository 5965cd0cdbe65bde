"""What every test shares: the sample recording, the guard of pure tests, the order of the suite, the sweep.

May import pytest, hypothesis, psutil and the standard library.
Nothing of ours: a broken package breaks its own tests only.
"""

from __future__ import annotations

import importlib.abc
import os
import socket
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import psutil
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT.parent / "shared" / "data" / "binance_spot_btcusdt_20240808.jsonl.gz"

FOLDER_ORDER = (
    "unit",
    "property",
    "architecture",
    "replay",
    "integration",
    "contract",
    "ray",
    "e2e",
    "browser",
    "chaos",
)
# They start process trees and wait for them; one worker runs them all, so that they never compete among themselves.
SYSTEM_FOLDERS = frozenset({"ray", "e2e", "browser", "chaos"})
FOLDER_MARKS = {"ray": ("ray",), "e2e": ("e2e",), "browser": ("browser",), "chaos": ("e2e",)}
PURE_FOLDERS = frozenset({"unit", "property", "architecture"})

# Dozens of processes of the suite import the same packages: they are compiled once, whatever the shell says of it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Every process started by a test inherits this mark, and the sweep at the end finds it by it.
RUN_MARK = "MEXCBOT_TEST_RUN"
# The promise under test elsewhere is "nothing left after 10 s"; a busy machine may need longer.
SWEEP_PATIENCE_S = float(os.environ.get("MEXCBOT_TEST_SWEEP_S", "60"))

# `dev` explores anew each time; `quick` (make check) does so in fewer examples; `ci` takes the same path each time, and
# no machine is too slow for it.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("dev"), max_examples=25)
settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("MEXCBOT_TEST_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def _folder(path: Path) -> str:
    """Name the folder below `tests/` that holds `path`; empty for a file outside of it."""
    parts = path.parts
    return (
        parts[len(ROOT.parts) + 1] if path.is_relative_to(ROOT / "tests") and len(parts) > len(ROOT.parts) + 2 else ""
    )


def _is_worker() -> bool:
    """Tell whether this process is one of the workers of a parallel run (`pytest -n`)."""
    return "PYTEST_XDIST_WORKER" in os.environ


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder, and run the cheap floors first: a broken word fails before a cluster is started for it.

    A parallel run (`make test`) keeps each file together and starts the system tests at once: they take longest.
    """
    rank = {folder: index for index, folder in enumerate(FOLDER_ORDER)}
    for item in items:
        for mark in FOLDER_MARKS.get(_folder(item.path), ()):
            item.add_marker(mark)

    def place(item: pytest.Item) -> tuple[bool, int]:
        folder = _folder(item.path)
        return _is_worker() and folder not in SYSTEM_FOLDERS, rank.get(folder, len(rank))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give one worker of a parallel run all tests of whole systems, and keep every other file together."""
    from xdist.scheduler import LoadScopeScheduling

    class FloorScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "system" if _folder(ROOT / path) in SYSTEM_FOLDERS else path

    return FloorScheduling(config, log)


# --- the sample recording ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sample_path() -> Path:
    """Give the recorded market: `MEXCBOT_SAMPLE`, or the file beside the checkout. Without it skip, or fail in CI."""
    path = Path(os.environ.get("MEXCBOT_SAMPLE") or SAMPLE)
    if path.is_file():
        return path
    reason = f"no sample recording at {path}: set MEXCBOT_SAMPLE to a *.jsonl.gz recording"
    if os.environ.get("MEXCBOT_REQUIRE_SAMPLE") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


# --- the guard -----------------------------------------------------------------------------------------------------


class PureTestViolation(AssertionError):
    """A test that has to be pure touched the world."""


class _NoRayFinder(importlib.abc.MetaPathFinder):
    """Refuse the import of ray inside a pure test, so that it cannot be initialised through the back door."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "ray" or fullname.startswith("ray."):
            raise PureTestViolation(f"a pure test imported {fullname} while running")


def _refuse(what: str) -> NoReturn:
    raise PureTestViolation(
        f"a pure test called {what}; it belongs in tests/integration, or pass a fake through the port"
    )


_real_sleep = time.sleep


def _sleep_for_subprocess_only(seconds: float) -> None:
    """Let the standard library's subprocess wait for its child, and nobody else."""
    if sys._getframe(1).f_globals.get("__name__") != "subprocess":
        _refuse("time.sleep")
    _real_sleep(seconds)


@pytest.fixture(autouse=True)
def pure_test_guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In unit, property and architecture tests make sockets, sleep and Ray raise."""
    if _folder(request.path) not in PURE_FOLDERS:
        return
    monkeypatch.setattr(socket.socket, "connect", lambda *_: _refuse("socket.connect"))
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: _refuse("socket.connect_ex"))
    monkeypatch.setattr(socket.socket, "bind", lambda *_: _refuse("socket.bind"))
    monkeypatch.setattr(time, "sleep", _sleep_for_subprocess_only)
    if ray := sys.modules.get("ray"):
        monkeypatch.setattr(ray, "init", lambda *_, **__: _refuse("ray.init"))
    else:
        monkeypatch.setattr(sys, "meta_path", [_NoRayFinder(), *sys.meta_path])


# --- the sweep -----------------------------------------------------------------------------------------------------


def _marked_processes(mark: str) -> Iterator[psutil.Process]:
    """Find the processes that this run started, whoever their parent is by now."""
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(RUN_MARK) == mark
            ):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def pytest_configure() -> None:
    """Mark the environment; a run inside a run gets a mark of its own, so that neither sweeps the other away.

    The workers of a parallel run inherit the mark: whoever started them sweeps after all of them have ended.
    """
    if not _is_worker():
        os.environ[RUN_MARK] = uuid.uuid4().hex


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail the run when a test left a process behind, and end that process."""
    yield
    if not _is_worker():
        _sweep(session)


def _sweep(session: pytest.Session) -> None:
    mark = os.environ[RUN_MARK]
    deadline = time.monotonic() + SWEEP_PATIENCE_S
    while (left := list(_marked_processes(mark))) and time.monotonic() < deadline:
        time.sleep(0.2)
    if not left:
        return
    names = []
    for process in left:
        try:
            names.append(f"{process.pid} {' '.join(process.cmdline())[:160]}")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if names and reporter is not None:
        reporter.write_line("")
        reporter.write_line(f"ERROR: {len(names)} processes left behind by this run (ended now):", red=True)
        for name in names:
            reporter.write_line(f"  {name}")
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
