"""The dashboard's script, run as Streamlit runs it, without a browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_page_without_its_environment_says_what_to_set(tmp_path: Path) -> None:
    code = (
        "from streamlit.testing.v1 import AppTest; "
        "page = AppTest.from_file('dashboard/app.py', default_timeout=60).run(); "
        "print(page.error[0].value, len(page.exception))"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False, timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert "set MEXCBOT_API to the API's address and MEXCBOT_TOKEN_FILE" in run.stdout, run.stderr[-2_000:]
    assert run.stdout.strip().endswith(" 0")
