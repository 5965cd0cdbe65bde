"""Fixtures of the contract tests: one running simulator a module, without rate limits."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Shared pieces of the contract tests are modules beside them.
sys.path.insert(0, str(Path(__file__).parent))

from simulator_process import RunningSimulator, running


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with running("--limits", "off", "--symbols", "BTCUSDT,XRPUSDT,DOGEUSDT,MXUSDT", "--account", "second:other") as one:
        yield one
