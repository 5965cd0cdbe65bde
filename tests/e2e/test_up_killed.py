"""kill -9 of `up`: nothing that it started is left a moment later, and the next start finds everything as it was."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.up_process import UpProcess, alive, command_lines, eventually, family_of, running_up

pytestmark = pytest.mark.timeout(900)
SYMBOLS = ("--symbols", "BTCUSDT,ETHUSDT")
# 10 s by the contract, of which the watchdog leaves 7 to a launcher that is still at it: a busy machine takes longer.
GONE_S = 40.0


def kill_and_watch(system: UpProcess, victim: psutil.Process) -> None:
    """Kill one process of the instance; all of them must be gone soon, and how soon is printed."""
    family = system.family()
    assert len(family) > 8
    victim.kill()
    began = time.monotonic()
    system.process.wait(GONE_S)
    eventually(lambda: not alive(family) and not family_of(0, system.data_dir), GONE_S - (time.monotonic() - began))
    print(f"gone {time.monotonic() - began:.1f} s after the kill")
    assert command_lines((*family, *family_of(0, system.data_dir))) == []


def test_up_killed_leaves_nothing_and_starts_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = Path(tmp_path_factory.mktemp("k")) / "data"
    with running_up(*SYMBOLS, data_dir=place) as first:
        assert eventually(lambda: first.read("/v1/orders")["items"], 150)
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
        assert eventually(lambda: not second.read(f"/v1/orders?status=OPEN&session={session}")["items"], 60)
        # The other half of `up`: the foreground process ends with the launcher's signal, the watchdog ends the rest.
        kill_and_watch(second, psutil.Process(second.process.pid).children()[0])
        assert second.process.returncode == 128 + signal.SIGKILL
