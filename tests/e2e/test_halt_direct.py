"""`mexcbot halt --direct`: API and Ray are gone, orders rest at the venue; database and venue alone must stop it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulator_process import running_simulator
from tests.up_process import GONE_PATIENCE_S, alive, eventually, kill_all, mexcbot, running_up

pytestmark = pytest.mark.timeout(600)


def test_halt_direct_cancels_what_a_killed_system_left_at_the_venue(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = Path(tmp_path_factory.mktemp("h")) / "data"
    with running_simulator("--symbols", "BTCUSDT,ETHUSDT,DOGEUSDT") as simulator:

        def open_orders() -> list[str]:
            orders = simulator.state()["accounts"][simulator.api_key]["orders"]
            return [row["clientOrderId"] for row in orders if row["status"] in ("NEW", "PARTIALLY_FILLED")]

        urls = ("--venue-rest", simulator.rest, "--venue-ws", simulator.ws)
        with running_up("--mode", "live", "--symbols", "BTCUSDT,ETHUSDT,DOGEUSDT", *urls, data_dir=place) as up:
            family = up.family()
            # Killed in the middle of its work, as a crash would: every process at once, none may tidy up.
            assert eventually(open_orders, 150, every_s=0.02)
            kill_all(family)
            up.process.wait(GONE_PATIENCE_S)
            assert eventually(lambda: not alive(family), GONE_PATIENCE_S)
        assert mexcbot("halt", "--data-dir", str(place)).returncode == 3
        done = mexcbot("halt", "--direct", "--timeout", "120", "--json", "--data-dir", str(place), timeout_s=150)
        body = json.loads(done.stdout)
        assert (done.returncode, body["state"], body["confirmed"], body["open_orders"]) == (0, "HALTED", True, 0), body
        assert open_orders() == []
    away = mexcbot("halt", "--direct", "--timeout", "120", "--json", "--data-dir", str(place), timeout_s=150)
    assert away.returncode == 3
    assert "the halt is persisted" in away.stderr.splitlines()[-1]
