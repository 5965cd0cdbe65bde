"""The import contracts of pyproject.toml hold on the tree, and each breaks on a copy of it with one bad import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_rules import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
]

# contract → (file added to the copy, its import, how the report names that import)
VIOLATIONS = {
    "Stairs only go down": (
        "trading/adapters/upstairs.py",
        "import simulator",
        "trading.adapters.upstairs -> simulator",
    ),
    "The words and the decisions do no I/O and own no clock, no dice, no log": (
        "trading/engine/clocked.py",
        "import time",
        "trading.engine.clocked -> time",
    ),
    "The venue and the store do not know each other": (
        "trading/adapters/mexc/journaled.py",
        "import trading.adapters.store",
        "trading.adapters.mexc.journaled -> trading.adapters.store",
    ),
    "The dashboard knows api.schemas and nothing else of ours": (
        "dashboard/shortcut.py",
        "import trading.model",
        "dashboard.shortcut -> trading.model",
    ),
    "Ray is called in actors.handles only": (
        "actors/impatient.py",
        "import ray",
        "actors.impatient -> ray",
    ),
}


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages in `root`. Width is fixed, since its report wraps to the terminal's."""
    code = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    env = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def broken_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the report on a copy of the tree that breaks every contract once."""
    root = tmp_path_factory.mktemp("broken")
    shutil.copy(ROOT / "pyproject.toml", root)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, statement, _ in VIOLATIONS.values():
        (root / name).write_text(f'"""One bad import."""\n\n{statement}\n', encoding="utf-8")
    done = _lint(root)
    assert done.returncode != 0, done.stdout
    return done.stdout


def test_contracts_on_this_tree_are_kept() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract_with_one_bad_import_is_broken(broken_report: str, contract: str) -> None:
    assert f"{contract} BROKEN" in broken_report
    assert VIOLATIONS[contract][2] in broken_report
