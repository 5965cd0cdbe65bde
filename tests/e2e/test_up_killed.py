"""kill -9 of `up`: nothing that it started is left 10 s later, and the next start finds everything as it was."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.up_process import alive, eventually, family_of, running_up

pytestmark = pytest.mark.timeout(400)


def test_up_killed_leaves_nothing_after_ten_seconds_and_starts_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = Path(tmp_path_factory.mktemp("k")) / "data"
    with running_up("--symbols", "BTCUSDT,ETHUSDT", data_dir=place) as up:
        assert eventually(lambda: up.json("orders", "--limit", "1")["items"], 90)
        ids = {row["client_order_id"] for row in up.json("orders", "--limit", "1000")["items"]}
        family = up.family()
        up.process.kill()
        began = time.monotonic()
        up.process.wait()
        assert eventually(lambda: not alive(family) and not family_of(0, place), 10), [
            item.cmdline() for item in alive(family)
        ]
        assert time.monotonic() - began < 10.5
    assert up.process.returncode == -signal.SIGKILL
    with running_up("--symbols", "BTCUSDT,ETHUSDT", data_dir=place) as again:
        assert again.ready["session"] != up.ready["session"]
        known = {row["client_order_id"]: row for row in again.json("orders", "--limit", "1000")["items"]}
        assert ids <= set(known)
        still_open = [
            row for name, row in known.items() if name in ids and row["status"] in ("OPEN", "SENT", "UNKNOWN")
        ]
        assert eventually(lambda: not still_open, 1), still_open
        down = again.cli("down", "--json", timeout_s=120)
        assert down.returncode == 0, down.stderr
        assert again.process.wait(10) == 0
