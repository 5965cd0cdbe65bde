"""The same system on an existing Ray of two nodes: symbols spread over both, and the fleet outlives `up`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.up_process import ROOT, STOP_PATIENCE_S, eventually, mexcbot, running_up

pytestmark = pytest.mark.timeout(900)
NO_TOKEN = {"RAY_AUTH_MODE": "disabled"}


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """Two nodes for this module."""
    environment = {
        **os.environ,
        **NO_TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_prestart_worker_first_driver": "0",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ray.two_nodes"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def test_up_on_two_nodes_trades_on_both_and_its_fleet_outlives_it(ray_address: str, tmp_path: Path) -> None:
    with running_up("--ray-address", ray_address, data_dir=tmp_path / "data", **NO_TOKEN) as up:

        def trading() -> dict[str, str]:
            rows = up.json("status")["symbols"]
            is_up = all(row["state"] == "TRADING" and row["book"]["state"] == "PROVEN" for row in rows)
            return {row["symbol"]: row["node"] for row in rows} if is_up and len(rows) == 5 else {}

        nodes = eventually(trading, 150)
        assert len(nodes) == 5, up.json("status")
        assert len(set(nodes.values())) == 2, f"expected the symbols on both nodes, was {nodes}"
        assert eventually(lambda: up.json("fills", "--limit", "5")["items"], 150)

        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(STOP_PATIENCE_S) == 0
        # Its API is gone with it; the fleet is found through Ray, drained and ended.
        assert up.cli("status").returncode == 3
        down = mexcbot("down", "--json", "--data-dir", str(up.data_dir), timeout_s=200, **NO_TOKEN)
        assert down.returncode == 0, down.stderr + down.stdout
        report = json.loads(down.stdout)
        assert {item["symbol"] for item in report["drains"]} == set(nodes)
        assert mexcbot("down", "--data-dir", str(up.data_dir), **NO_TOKEN).returncode == 3
