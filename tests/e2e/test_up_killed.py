"""kill -9 of `up`: nothing that it started is left 10 s later, and the next start finds everything as it was."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.up_process import UpProcess, alive, command_lines, eventually, family_of, running_up

pytestmark = pytest.mark.timeout(400)
SYMBOLS = ("--symbols", "BTCUSDT,ETHUSDT")


def kill_and_watch(system: UpProcess, victim: psutil.Process) -> None:
    """Kill one process of the instance; all of them must be gone within 10 s."""
    family = system.family()
    assert len(family) > 8
    victim.kill()
    began = time.monotonic()
    system.process.wait(15)
    eventually(lambda: not alive(family) and not family_of(0, system.data_dir), 10 - (time.monotonic() - began))
    assert command_lines((*family, *family_of(0, system.data_dir))) == []


def test_up_killed_leaves_nothing_after_ten_seconds_and_starts_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = Path(tmp_path_factory.mktemp("k")) / "data"
    with running_up(*SYMBOLS, data_dir=place) as first:
        assert eventually(lambda: first.read("/v1/orders")["items"], 60)
        ids = {row["client_order_id"] for row in first.read("/v1/orders?limit=1000")["items"]}
        kill_and_watch(first, psutil.Process(first.process.pid))
        assert first.process.returncode == -signal.SIGKILL
    with running_up(*SYMBOLS, data_dir=place) as second:
        session = first.ready["session"]
        assert second.ready["session"] != session
        known = {
            row["client_order_id"]: row for row in second.read(f"/v1/orders?limit=1000&session={session}")["items"]
        }
        assert ids <= set(known)
        # Paper orders end with the venue that held them: none of them may still count as open.
        assert eventually(lambda: not second.read(f"/v1/orders?status=OPEN&session={session}")["items"], 20)
        # The other half of `up`: the foreground process ends with the launcher's signal, the watchdog ends the rest.
        kill_and_watch(second, psutil.Process(second.process.pid).children()[0])
        assert second.process.returncode == 128 + signal.SIGKILL
