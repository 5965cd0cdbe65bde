"""make, .ci/run and the packaging keep what the outside contract says of them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONTRACT_TARGETS = ("run", "test", "soak", "check", "bench", "setup", "lock", "fmt", "clean", "help")


def _plan(*words: str) -> str:
    """Give the commands that make would run for a target, without running them."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", CONTRACT_TARGETS)
def test_make_target_of_the_contract_exists_and_is_explained(target: str) -> None:
    assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE)


def test_make_run_passes_flags_and_ties_the_system_to_make() -> None:
    plan = _plan("run", "ARGS=--json --symbols BTCUSDT")
    assert "MEXCBOT_EXIT_WITH_PARENT=1" in plan
    assert plan.rstrip().endswith("python -m actors.cli up --json --symbols BTCUSDT")


def test_make_lets_python_keep_what_it_compiles_whatever_the_shell_says() -> None:
    """Each start of the system would compile Ray five times over."""
    show = "include Makefile\nshow:\n\t@echo [$$PYTHONDONTWRITEBYTECODE]\n"
    run = subprocess.run(
        ["make", "--no-print-directory", "-f", "-", "show"], cwd=ROOT, input=show, capture_output=True, text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, check=False,
    )  # fmt: skip
    assert run.stdout == "[]\n", run.stderr


def test_make_setup_compiles_what_a_start_imports() -> None:
    """Every package that is a process of its own is named, and every name can be imported."""
    started = re.search(r"^STARTED := ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert started is not None
    names = started[1].replace("\\\n", "").replace(" ", "").replace("\t", "").split(",")
    assert {name.partition(".")[0] for name in names} >= {"actors", "api", "simulator", "dashboard", "streamlit"}
    assert [name for name in names if importlib.util.find_spec(name) is None] == []
    recipes = re.findall(r"^\$\(STAMPS\)/(?:run|dev):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert [recipe for recipe in recipes if "@$(COMPILE)" not in recipe] == []


def test_make_setup_prints_nothing_on_standard_output() -> None:
    """`make run ARGS=--json` promises JSON only: recipe lines are silent, and what they say goes to standard error."""
    rules = MAKEFILE.partition("# --- environment")[2]
    recipes = [line for line in rules.splitlines() if line.startswith("\t")]
    starts = [line for previous, line in zip(["", *recipes], recipes, strict=False) if not previous.endswith("\\")]
    assert [line for line in starts if not line.startswith("\t@")] == []
    installers = [
        line for line in recipes if re.search(r'pip (sync|install)|-m venv|echo "(creating|installing)', line)
    ]
    installers = [line for line in installers if "error:" not in line]
    assert len(installers) > 5
    assert [line for line in installers if ">&2" not in line] == []


def test_make_test_and_ci_run_the_same_suite() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert config["addopts"][-2:] == ["-m", "not soak"]
    assert config["filterwarnings"][0] == "error"
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make setup-dev\b", ci, re.MULTILINE)
    last = ci.rstrip().splitlines()[-1]
    assert last.removeprefix("exec ").removesuffix(" </dev/null") == _plan("test").strip().splitlines()[-1].strip()


def test_make_soak_selects_the_soak_marker() -> None:
    assert "pytest -m soak" in _plan("soak")


@pytest.mark.parametrize("environment", [("MEXCBOT_REQUIRE_SAMPLE=1",), ("CI=true",)])
def test_ci_run_is_strict(environment: tuple[str]) -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert ci.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in ci
    assert re.search(rf"^export .*{environment[0]}", ci, re.MULTILINE)


def test_make_with_an_old_or_missing_python_says_what_to_do(tmp_path: Path) -> None:
    """A copy of the Makefile, without an environment, stops before it creates anything."""
    (tmp_path / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\ncase "$1" in -V) echo "Python 3.9.2";; *) exit 1;; esac\n', encoding="utf-8")
    old.chmod(0o755)
    for python, sentence in (
        (str(old), "is Python 3.9.2, but Python >= 3.11 is needed"),
        ("no-such-python", "was not found"),
    ):
        done = subprocess.run(
            ["make", "setup", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "make PYTHON=" in done.stderr
        assert not (tmp_path / ".venv").exists()
