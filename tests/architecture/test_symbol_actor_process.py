"""A symbol actor's process stays small: what it need not have, it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Each costs memory times the size of the fleet: 18 MiB for sqlalchemy with psycopg, 27 MiB for fastapi with httpx.
UNWANTED = frozenset(
    {"fastapi", "starlette", "sqlalchemy", "alembic", "psycopg", "streamlit", "pandas", "numpy", "pyarrow", "ccxt"}
)


def _imported_by(module: str) -> set[str]:
    """Give the top-level modules in a fresh interpreter after importing `module`."""
    code = f"import json, sys, {module}; print(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_symbol_actor_module_imports_nothing_heavy() -> None:
    assert _imported_by("actors.symbol") & UNWANTED == set()


def test_heavy_module_is_seen_when_imported() -> None:
    assert "sqlalchemy" in _imported_by("sqlalchemy.orm") & UNWANTED
