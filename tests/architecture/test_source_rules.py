"""The tree obeys every rule, and every rule notices when it is broken: each is run on a tree with one violation."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import source_rules as rules

ROOT = Path(__file__).resolve().parents[2]

HASH = "--hash=sha256:" + "0" * 64
ADDRESS = "https:" + "//example.invalid/simple"
LONG_FUNCTION = '"""Doc."""\ndef f():\n' + "    x = 1\n" * 70
LAZY_RAY = '"""Doc."""\ndef f():\n    import ray.util\n'
MOCK = '"""Doc."""\nfrom unittest import mock\n'
SETATTR = '"""Doc."""\ndef test_x(monkeypatch):\n    monkeypatch.setattr("trading.engine.book.Book", None)\n'
SCHEMAS = '"""Doc."""\nfrom trading.model import units\n'
CLOCK = '"""Doc."""\nfrom datetime import datetime\nx = datetime.now()\n'
ENGINE_ADAPTER = '"""Doc."""\nfrom trading.adapters import clock\n'
RELATIVE = '"""Doc."""\nfrom ..adapters import clock\n'

BROKEN: tuple[tuple[Callable[[Path], list[str]], str, str, str], ...] = (
    (rules.long_files, "trading/model/units.py", '"""Doc."""\n' + "x = 1\n" * 400, ":401:"),
    (rules.long_functions, "api/app.py", LONG_FUNCTION, "f has 71 lines"),
    (rules.long_functions, "api/app.py", LONG_FUNCTION.replace("def", "async def"), "f has 71 lines"),
    (rules.vague_names, "trading/adapters/order_utils.py", '"""Doc."""\n', "vague"),
    (rules.vague_names, "trading/common/__init__.py", '"""Doc."""\n', "vague"),
    (rules.vague_names, "actors/manager.py", '"""Doc."""\n', "vague"),
    (rules.missing_docstrings, "simulator/book.py", "x = 1\n", "no module docstring"),
    (rules.bare_excepts, "api/app.py", '"""Doc."""\ntry:\n    x = 1\nexcept:\n    x = 2\n', "bare except"),
    (rules.stubs, "api/app.py", '"""Doc."""\nx = 1  # TO' + "DO: later\n", "left for later"),
    (rules.stubs, "api/app.py", '"""Doc."""\ndef f():\n    raise NotImplementedError\n', "NotImplementedError"),
    (rules.ray_outside_handles, "actors/symbol.py", '"""Doc."""\nimport ray\n', "imports ray"),
    (rules.ray_outside_handles, "api/app.py", LAZY_RAY, "imports ray.util"),
    (
        rules.ray_outside_handles,
        "actors/x.py",
        '"""Doc."""\nimport importlib\nimportlib.import_module("ray")\n',
        "imports ray",
    ),
    (rules.impure_core, "trading/model/units.py", '"""Doc."""\nimport asyncio\n', "imports asyncio"),
    (rules.impure_core, "trading/engine/book.py", '"""Doc."""\nfrom time import time_ns\n', "imports time.time_ns"),
    (rules.impure_core, "trading/engine/book.py", '"""Doc."""\nx = open("f")\n', "calls open()"),
    (rules.impure_core, "trading/engine/book.py", CLOCK, "reads a clock"),
    (rules.impure_core, "trading/engine/book.py", ENGINE_ADAPTER, "imports trading.adapters.clock"),
    (rules.impure_core, "trading/engine/book.py", RELATIVE, "imports trading.adapters.clock"),
    (
        rules.impure_core,
        "trading/model/units.py",
        '"""Doc."""\nimport trading.engine.book\n',
        "imports trading.engine.book",
    ),
    (rules.dashboard_reaching_in, "dashboard/app.py", '"""Doc."""\nfrom api.auth import t\n', "imports api.auth.t"),
    (
        rules.dashboard_reaching_in,
        "dashboard/app.py",
        '"""Doc."""\nfrom trading.model import units\n',
        "trading.model.units",
    ),
    (rules.dashboard_reaching_in, "api/schemas.py", SCHEMAS, "imports trading.model.units"),
    (rules.dashboard_reaching_in, "api/schemas/order.py", '"""Doc."""\nimport sqlalchemy\n', "imports sqlalchemy"),
    (rules.patches_of_our_code, "tests/unit/test_x.py", MOCK, "imports unittest.mock"),
    (rules.patches_of_our_code, "tests/unit/test_x.py", '"""Doc."""\ndef test_x(mocker): ...\n', "mocker"),
    (rules.patches_of_our_code, "tests/unit/test_x.py", SETATTR, "monkeypatches trading.engine.book.Book"),
    (rules.lock_faults, "requirements.lock", f"--index-url {ADDRESS}\n", "an address"),
    (rules.lock_faults, "requirements.lock", "ray==2.60.0\n", "neither pinned nor hashed"),
    (rules.lock_faults, "requirements.lock", f"ray>=2.60.0 \\\n    {HASH}\n", "neither pinned nor hashed"),
    (rules.lock_faults, "requirements.lock", f"ray==2.60.0 \\\n    {HASH}\n", "lacks the run pin ray==2.60.0"),
    (rules.lock_faults, "pyproject.toml", "", "no lock file"),
    (rules.machine_paths, "docs/start.md", "Look into /ro" + "ot/bot for it.\n", "a path of one machine"),
    (rules.machine_paths, "Makefile", "X := /ho" + "me/jane/bot\n", "a path of one machine"),
    (rules.machine_paths, "Dockerfile", "RUN pip install --index" + "-url mirror x\n", "package index"),
)


def _write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_rule_on_this_tree_finds_nothing(rule: Callable[[Path], list[str]]) -> None:
    assert rule(ROOT) == []


@pytest.mark.parametrize(
    ("rule", "name", "text", "expected"), BROKEN, ids=[f"{case[0].__name__}-{i}" for i, case in enumerate(BROKEN)]
)
def test_rule_on_a_broken_tree_names_the_fault(
    tmp_path: Path, rule: Callable[[Path], list[str]], name: str, text: str, expected: str
) -> None:
    _write(tmp_path, name, text)
    found = rule(tmp_path)
    assert [line for line in found if expected in line], f"expected a line with {expected!r}, was {found}"


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert {case[0] for case in BROKEN} == set(rules.RULES)


def test_rules_on_a_sound_tree_find_nothing(tmp_path: Path) -> None:
    engine = '"""Doc."""\nfrom decimal import Decimal\nfrom trading.model.units import x\n'
    _write(tmp_path, "trading/engine/book.py", engine)
    _write(tmp_path, "trading/engine/sync.py", '"""Doc."""\nfrom . import book\nfrom ..model import units\n')
    _write(tmp_path, "actors/handles.py", '"""Doc."""\nimport ray\n')
    _write(tmp_path, "dashboard/app.py", '"""Doc."""\nimport streamlit\nfrom api.schemas import Order\n')
    _write(tmp_path, "api/schemas.py", '"""Doc."""\nfrom pydantic import BaseModel\n')
    _write(tmp_path, "trading/adapters/mexc/push_pb2.py", "x = 1\n" * 500)
    _write(tmp_path, "requirements.lock", f"ray==2.60.0 ; sys_platform != 'win32' \\\n    {HASH}\n")
    _write(tmp_path, "requirements-dev.lock", f"ray==2.60.0 ; sys_platform != 'win32' \\\n    {HASH}\n")
    assert [line for rule in rules.RULES for line in rule(tmp_path)] == []


# --- names that others own -----------------------------------------------------------------------------------------


def _taken_names() -> frozenset[str]:
    installed = importlib.metadata.packages_distributions()
    return frozenset({*sys.stdlib_module_names, *installed, *rules.PACKAGES, "bench", "tests"})


def test_dashboard_modules_shadow_no_package() -> None:
    assert rules.dashboard_shadows(ROOT, _taken_names()) == []


@pytest.mark.parametrize("name", ["dashboard/api.py", "dashboard/http/__init__.py", "dashboard/pages/one.py"])
def test_dashboard_shadow_in_a_broken_tree_is_found(tmp_path: Path, name: str) -> None:
    _write(tmp_path, name, '"""Doc."""\n')
    assert rules.dashboard_shadows(tmp_path, _taken_names())


@pytest.mark.parametrize("safe_path", [[], ["-I"]], ids=["from-the-root", "installed"])
def test_top_level_packages_are_ours(safe_path: list[str], tmp_path: Path) -> None:
    """From the root `python -m` finds the tree first; the editable install has to find it from anywhere else (-I)."""
    code = f"import {', '.join(rules.PACKAGES)}\nfor m in ({', '.join(rules.PACKAGES)}): print(m.__file__)"
    done = subprocess.run(
        [sys.executable, *safe_path, "-c", code],
        cwd=tmp_path if safe_path else ROOT,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [Path(line) for line in done.stdout.split()] == [ROOT / name / "__init__.py" for name in rules.PACKAGES]


def test_site_packages_hold_no_package_named_like_ours() -> None:
    site = Path(importlib.metadata.distribution("pytest").locate_file("")).resolve()
    assert [name for name in (*rules.PACKAGES, "bench", "tests") if (site / name).exists()] == []
