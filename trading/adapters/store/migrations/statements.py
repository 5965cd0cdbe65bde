"""Runs a revision's SQL file. May import alembic and the standard library."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def execute_file(revision_module: str) -> None:
    """Execute the SQL file beside a revision's module; a statement ends with ";" at the end of a line."""
    script = Path(revision_module).with_suffix(".sql").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    for statement in "\n".join(lines).split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement.strip().removesuffix(";").replace("%", "%%"))
