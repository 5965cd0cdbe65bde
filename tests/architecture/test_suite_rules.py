"""The suite keeps its own promises: pure tests stay pure, the cheap floors run first, nothing is left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

PASSING = "def test_one(): pass\n"
SAMPLE_TEST = "def test_one(sample_path): assert sample_path.is_file()\n"
LEAVING = """
import pathlib, subprocess, sys

def test_one():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    pathlib.Path("left.pid").write_text(str(child.pid))
    child.returncode = 0  # as if it had been forgotten: no ResourceWarning
"""


def _run(root: Path, tests: dict[str, str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run a small suite under this suite's conftest and configuration, with the plugins it needs and no others."""
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", root / "tests")
    for name, text in tests.items():
        path = root / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MEXCBOT_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-v"],
        cwd=root,
        env={**clean, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_guard_on_connect_raises() -> None:
    with socket.socket() as sock, pytest.raises(AssertionError, match=r"socket\.connect"):
        sock.connect(("127.0.0.1", 9))


def test_guard_on_bind_raises() -> None:
    with socket.socket() as sock, pytest.raises(AssertionError, match=r"socket\.bind"):
        sock.bind(("127.0.0.1", 0))


def test_guard_on_sleep_raises() -> None:
    with pytest.raises(AssertionError, match=r"time\.sleep"):
        time.sleep(0)


def test_guard_on_sleep_lets_subprocess_wait_for_its_child() -> None:
    assert subprocess.run([sys.executable, "-c", ""], check=False, timeout=30).returncode == 0


def test_guard_on_ray_init_raises() -> None:
    with pytest.raises(AssertionError, match="ray"):
        __import__("ray").init(address="local")


def test_suite_of_all_folders_runs_the_cheap_floors_first(tmp_path: Path) -> None:
    folders = [
        "e2e",
        "ray",
        "integration",
        "contract",
        "chaos",
        "property",
        "unit",
        "architecture",
        "browser",
        "replay",
    ]
    done = _run(tmp_path, {f"{folder}/test_{folder}.py": PASSING for folder in folders})
    assert done.returncode == 0, done.stdout
    ran = [line.split("/")[1] for line in done.stdout.splitlines() if "PASSED" in line]
    assert ran == [
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
    ]


def test_suite_without_the_sample_skips_unless_it_is_required(tmp_path: Path) -> None:
    skipping = _run(_folder(tmp_path, "a"), {"replay/test_x.py": SAMPLE_TEST})
    assert skipping.returncode == 0
    assert "1 skipped" in skipping.stdout
    failing = _run(_folder(tmp_path, "b"), {"replay/test_x.py": SAMPLE_TEST}, MEXCBOT_REQUIRE_SAMPLE="1")
    assert failing.returncode == 1
    assert "set MEXCBOT_SAMPLE" in failing.stdout
    sample = tmp_path / "sample.jsonl.gz"
    sample.touch()
    found = _run(_folder(tmp_path, "c"), {"replay/test_x.py": SAMPLE_TEST}, MEXCBOT_SAMPLE=str(sample))
    assert "1 passed" in found.stdout


def _folder(root: Path, name: str) -> Path:
    (root / name).mkdir()
    return root / name


def test_suite_that_leaves_a_process_fails_and_ends_it(tmp_path: Path) -> None:
    done = _run(tmp_path, {"integration/test_x.py": LEAVING}, MEXCBOT_TEST_SWEEP_S="0.1")
    assert done.returncode == 1, done.stdout
    assert "1 passed" in done.stdout.splitlines()[-1]
    assert "1 processes left behind" in done.stdout
    pid = int((tmp_path / "left.pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
