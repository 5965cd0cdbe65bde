"""The simulator as a process of its own: started on a free port, ended by its own id, whatever happens.

May import bench and the standard library.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import CannotRunError
from bench.report import ROOT

STOP_TIMEOUT_S = 30.0


@contextmanager
def running_exchange(*flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the simulator with further flags until the block ends; give the process and its ready line.

    Raises: CannotRunError when it ends before it is ready.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--json", *flags],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise CannotRunError(f"the simulator ended with exit code {process.wait(STOP_TIMEOUT_S)}")
        yield process, json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
