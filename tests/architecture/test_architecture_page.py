"""docs/architecture.md stays true: every file it names exists, and every class, method or function in it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
# `path.py` or `path.py: Name.method`, `path.py: Name.one / two`
REFERENCE = re.compile(r"`((?:[\w]+/)*[\w]+\.py)(?:: ([\w.]+(?: / \w+)*))?`")


def references(text: str) -> list[tuple[str, str]]:
    """Return (file, name) for each code reference of a page; the name may be empty."""
    found = []
    for path, names in REFERENCE.findall(text):
        first, *others = names.split(" / ")
        found.append((path, first))
        owner = first.rpartition(".")[0]
        found += [(path, f"{owner}.{other}" if owner else other) for other in others]
    return found


def is_true(path: str, name: str, root: Path) -> bool:
    """Tell whether a file of the tree ends with `path` and defines `name` (a class, function, method or constant)."""
    files = [file for file in _sources(root) if file.as_posix().endswith("/" + path)]
    return any(not name or name in _defined(file) for file in files)


@cache
def _sources(root: Path) -> tuple[Path, ...]:
    """List the Python files of the tree; not those of environments, which are many."""
    folders = [item for item in root.iterdir() if item.is_dir() and not item.name.startswith(".")]
    return tuple(file for folder in folders for file in folder.rglob("*.py"))


@cache
def _defined(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {
                f"{node.name}.{item.name}"
                for item in node.body
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


@pytest.mark.parametrize(("path", "name"), sorted(set(references(PAGE.read_text(encoding="utf-8")))))
def test_architecture_page_names_only_what_exists(path: str, name: str) -> None:
    assert is_true(path, name, ROOT), f"docs/architecture.md names {path}: {name}, which is not there"


@pytest.mark.parametrize(
    "text", ["`actors/nowhere.py`", "`actors/symbol.py: SymbolActor.fly`", "`engine/edge.py: nothing`"]
)
def test_architecture_page_with_a_false_name_is_found(text: str) -> None:
    ((path, name),) = references(text)
    assert not is_true(path, name, ROOT)
