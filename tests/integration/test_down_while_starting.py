"""`mexcbot down` of an instance that has not said yet that it is up: it is stopped, not overlooked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from actors.cli_up import down
from actors.data_dir import DataDir
from trading.model.errors import NotRunning


def test_down_while_starting_stops_what_starts_and_says_that_nothing_was_drained(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as starting:
        directory = DataDir(tmp_path)
        try:
            directory.take(starting.pid)
            with pytest.raises(NotRunning, match="was stopped before its fleet was up"):
                down(data_dir=tmp_path)
            assert starting.wait(30) != 0
        finally:
            directory.release()
            starting.kill()
