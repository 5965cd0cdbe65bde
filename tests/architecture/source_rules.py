"""The rules of the house as functions: each takes the root of a source tree and gives its violations, a line each.

Source is read and parsed, never imported. May import the standard library only.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

PACKAGES = ("actors", "api", "dashboard", "simulator", "trading")
SOURCE_FOLDERS = (*PACKAGES, "bench", "tests")

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"})
RAY_MODULE = "actors/handles.py"

# What words and decisions may stand on: pure computation. A name added here does no I/O and reads no clock.
PURE_MODULES = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "bisect",
        "collections",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "re",
        "statistics",
        "string",
        "struct",
        "sys",
        "types",
        "typing",
    }
)
IMPURE_CALLS = frozenset({"open", "input", "print", "eval", "exec", "__import__", "breakpoint"})
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})

MACHINE_PATH = re.compile(r"(?<![\w.$~})\-])/(?:root|work|home|Users)/\w|/opt/(?:pypi|wheels)")
INDEX_HOST = re.compile(
    r"(?:pypi|pythonhosted)\.(?:org|io)|(?:--(?:extra-)?index-url|--find-links)[ =]\w", re.IGNORECASE
)
STUB_WORDS = re.compile(r"#.*\b(?:TO" + r"DO|FIX" + r"ME|X{3})\b")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


# --- reading -------------------------------------------------------------------------------------------------------


def is_generated(path: Path) -> bool:
    """Say whether a tool wrote this file: protoc's modules are exempt from what is about reading."""
    return path.stem.endswith(("_pb2", "_pb2_grpc"))


def source_files(root: Path, folders: tuple[str, ...] = SOURCE_FOLDERS) -> Iterator[Path]:
    """Give the hand-written Python files under `folders`, in a fixed order."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            if not is_generated(path):
                yield path


@cache
def _parse(path: Path, mtime_ns: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def parse(path: Path) -> ast.Module:
    """Parse a file once for all rules."""
    return _parse(path, path.stat().st_mtime_ns)


def _at(root: Path, path: Path, line: int, text: str) -> str:
    return f"{path.relative_to(root).as_posix()}:{line}: {text}"


def imports(root: Path, path: Path) -> Iterator[tuple[int, str]]:
    """Give (line, absolute dotted name) of everything a file imports, also in functions and by import_module("…")."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(parse(path)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package[: len(package) - level + 1] if level else ()
                base = ".".join((*parents, module) if module else parents)
                for alias in names:
                    yield node.lineno, f"{base}.{alias.name}"
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def _is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}.")


# --- shape of files ------------------------------------------------------------------------------------------------


def long_files(root: Path) -> list[str]:
    """Find files above the hard limit of lines."""
    return [
        _at(root, path, lines, f"{lines} lines, at most {FILE_LINES_MAX}")
        for path in source_files(root)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    ]


def long_functions(root: Path) -> list[str]:
    """Find functions above the hard limit of lines, from `def` to their end."""
    found = []
    for path in source_files(root):
        for node in ast.walk(parse(path)):
            if isinstance(node, FunctionNode):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    found.append(
                        _at(root, path, node.lineno, f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
                    )
    return found


def vague_names(root: Path) -> list[str]:
    """Find files and folders whose name says nothing about what is in them."""
    found = []
    for path in source_files(root):
        name = path.parent.name if path.name == "__init__.py" else path.stem
        if FORBIDDEN_NAMES & set(name.lower().split("_")):
            found.append(_at(root, path, 1, f"'{name}' is a vague name: name the noun that lives here"))
    return found


def missing_docstrings(root: Path) -> list[str]:
    """Find modules that do not say what lives in them."""
    return [
        _at(root, path, 1, "no module docstring")
        for path in source_files(root)
        if not (ast.get_docstring(parse(path)) or "").strip()
    ]


# --- what code may not do ------------------------------------------------------------------------------------------


def bare_excepts(root: Path) -> list[str]:
    """Find `except:` without a type."""
    return [
        _at(root, path, node.lineno, "bare except: name the error")
        for path in source_files(root)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]


def stubs(root: Path) -> list[str]:
    """Find what was left for later: the comment words for it, and NotImplementedError."""
    found = []
    for path in source_files(root):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if STUB_WORDS.search(line):
                found.append(_at(root, path, number, "left for later"))
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc):
                found.append(_at(root, path, node.lineno, "raises NotImplementedError"))
    return found


def ray_outside_handles(root: Path) -> list[str]:
    """Find imports of ray anywhere in the product but in the one module that knows it."""
    return [
        _at(root, path, line, f"imports {name}; only {RAY_MODULE} may")
        for path in source_files(root, PACKAGES)
        if path.relative_to(root).as_posix() != RAY_MODULE
        for line, name in imports(root, path)
        if _is_below(name, "ray")
    ]


def impure_core(root: Path) -> list[str]:
    """Find imports and calls by which words or decisions reach the world: I/O, clocks, dice, logs, upper floors."""
    found = []
    for floor, below in (
        ("trading/model", ("trading.model",)),
        ("trading/engine", ("trading.model", "trading.engine")),
    ):
        for path in source_files(root, (floor,)):
            for line, name in imports(root, path):
                if name.split(".")[0] not in PURE_MODULES and not any(_is_below(name, own) for own in below):
                    found.append(_at(root, path, line, f"{floor} imports {name}"))
            for node in ast.walk(parse(path)):
                match node:
                    case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                        found.append(_at(root, path, node.lineno, f"{floor} calls {name}()"))
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=name)) if (
                        name in CLOCK_METHODS
                    ):
                        found.append(_at(root, path, node.lineno, f"{floor} reads a clock: {name}()"))
    return found


def dashboard_reaching_in(root: Path) -> list[str]:
    """Find imports of ours in the dashboard other than api.schemas, and imports of api.schemas beyond pydantic."""
    found = []
    for path in source_files(root, ("dashboard",)):
        for line, name in imports(root, path):
            ours = name.split(".")[0] in PACKAGES
            if ours and not _is_below(name, "dashboard") and not _is_below(name, "api.schemas"):
                found.append(_at(root, path, line, f"dashboard imports {name}; only api.schemas is open to it"))
    for path in [*source_files(root, ("api/schemas",)), *(root / "api").glob("schemas.py")]:
        for line, name in imports(root, path):
            top = name.split(".")[0]
            if top not in PURE_MODULES | {"pydantic", "pydantic_core"} and not _is_below(name, "api.schemas"):
                found.append(_at(root, path, line, f"api.schemas imports {name}; only pydantic is open to it"))
    return found


def patches_of_our_code(root: Path) -> list[str]:
    """Find mocks in tests: unittest.mock, the mocker fixture, monkeypatched attributes of our own packages."""
    found = []
    for path in source_files(root, ("tests",)):
        found += [
            _at(root, path, line, f"imports {name}: pass a fake through the port")
            for line, name in imports(root, path)
            if _is_below(name, "unittest.mock") or _is_below(name, "mock") or _is_below(name, "pytest_mock")
        ]
        for node in ast.walk(parse(path)):
            match node:
                case ast.arg(arg="mocker"):
                    found.append(_at(root, path, node.lineno, "uses mocker: pass a fake through the port"))
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="monkeypatch"), attr="setattr" | "delattr"),
                    args=[ast.Constant(value=str(target)), *_],
                ) if target.split(".")[0] in PACKAGES:
                    found.append(_at(root, path, node.lineno, f"monkeypatches {target}: pass a fake through the port"))
    return found


# --- the tree ------------------------------------------------------------------------------------------------------


def dashboard_shadows(root: Path, taken: frozenset[str]) -> list[str]:
    """Find names in `dashboard/` that would shadow a top-level package (Streamlit puts the script's folder first on the
    path), and folders called `pages` (Streamlit would make pages of their files by itself)."""
    found = []
    for path in sorted((root / "dashboard").rglob("*")):
        name = path.stem if path.suffix == ".py" else path.name
        is_module = path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
        if is_module and path.parent == root / "dashboard" and name in taken:
            found.append(_at(root, path, 1, f"'{name}' shadows the package of that name"))
        if path.is_dir() and path.name == "pages":
            found.append(_at(root, path, 1, "a folder called pages"))
    return found


def lock_faults(root: Path) -> list[str]:
    """Find addresses, loose versions and missing hashes in lock files, and run pins that the dev lock lacks."""
    found = []
    pins: dict[str, set[str]] = {}
    for path in sorted(root.glob("requirements*.lock")):
        text = path.read_text(encoding="utf-8")
        found += [_at(root, path, n, "an address") for n, line in enumerate(text.splitlines(), 1) if "://" in line]
        entries = text.replace("\\\n", " ").splitlines()
        pins[path.name] = {entry.split(" --hash=")[0].strip() for entry in entries if entry.strip()}
        for number, entry in enumerate(entries, 1):
            if entry.strip() and not re.match(
                r"[a-z0-9][a-z0-9._-]*==\S+(?: ;[^@]*?)?\s+--hash=sha256:[0-9a-f]{64}", entry
            ):
                found.append(_at(root, path, number, f"neither pinned nor hashed: {entry[:80]}"))
    if not pins:
        return ["requirements.lock:1: there is no lock file"]
    missing = pins.get("requirements.lock", set()) - pins.get("requirements-dev.lock", set())
    return found + [f"requirements-dev.lock:1: lacks the run pin {pin}" for pin in sorted(missing)]


def tracked_files(root: Path) -> list[Path]:
    """List the files under version control; in a tree without git, everything that is neither hidden nor cached."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [path for name in listed.stdout.decode().split("\0") if name and (path := root / name).is_file()]
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(root).parts)
    ]


def machine_paths(root: Path) -> list[str]:
    """Find paths of one machine and hosts of a package index in files under version control."""
    found = []
    for path in tracked_files(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if path.name != Path(__file__).name and MACHINE_PATH.search(line):
                found.append(_at(root, path, number, "a path of one machine"))
            if path.name != Path(__file__).name and INDEX_HOST.search(line):
                found.append(_at(root, path, number, "an address of a package index"))
    return found


RULES: tuple[Callable[[Path], list[str]], ...] = (
    long_files,
    long_functions,
    vague_names,
    missing_docstrings,
    bare_excepts,
    stubs,
    ray_outside_handles,
    impure_core,
    dashboard_reaching_in,
    patches_of_our_code,
    lock_faults,
    machine_paths,
)
