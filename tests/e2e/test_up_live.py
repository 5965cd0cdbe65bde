"""Live mode against the simulator: signed REST and the private stream, drained by `mexcbot down`."""

from __future__ import annotations

import json
from decimal import Decimal

import httpx
import pytest

from tests.up_process import UpProcess, alive, eventually, running_up

pytestmark = pytest.mark.timeout(300)


def test_live_on_the_simulator_fills_agree_with_the_venue_and_down_leaves_no_order() -> None:
    with running_up("--mode", "live", "--symbols", "ETHUSDT,XRPUSDT,DOGEUSDT", "--record") as up:
        simulator = up.ready["simulator"]
        assert eventually(lambda: up.read("/v1/fills")["items"], 90)
        halted = up.cli("halt", "--json", timeout_s=90)
        body = json.loads(halted.stdout)
        assert (halted.returncode, body["confirmed"], body["open_orders"]) == (0, True, 0), halted.stderr

        def venue() -> dict[str, dict[str, str]]:
            state = httpx.get(simulator["rest"] + "/sim/state", timeout=10, trust_env=False).json()
            account = state["accounts"][simulator["api_key"]]
            return {"trades": {row["id"]: row for row in account["trades"]}, "orders": account["orders"]}

        def traded_there() -> Decimal:
            return sum((Decimal(row["qty"]) for row in venue()["trades"].values()), Decimal(0))

        def booked_here() -> Decimal:
            rows = up.read("/v1/fills?limit=1000")["items"]
            return sum((Decimal(row["qty"]) for row in rows), Decimal(0))

        assert eventually(lambda: traded_there() == booked_here() > 0, 30), (traded_there(), booked_here())
        ours = [row for row in venue()["orders"] if row["clientOrderId"].startswith("mx-")]
        assert ours
        assert [row for row in ours if row["status"] in ("NEW", "PARTIALLY_FILLED")] == []
        _explained_and_mirrored(up)
        family = up.family()
        down = up.cli("down", "--json", timeout_s=150)
        assert down.returncode == 0, down.stderr
        report = json.loads(down.stdout)
        assert (report["is_confirmed"], report["open_orders"]) == (True, 0)
        assert up.process.wait(10) == 0
        assert eventually(lambda: not alive(family), 10)


def _explained_and_mirrored(up: UpProcess) -> None:
    """The session was recorded: a filled order's decision is derived again; its twin was looked at too."""
    order_id = up.read("/v1/fills?limit=1")["items"][0]["client_order_id"]
    explained = up.cli("explain", order_id, "--json", timeout_s=120)
    assert explained.returncode == 0, explained.stderr
    body = json.loads(explained.stdout)
    assert body["derivation"]["status"] == "same", body["derivation"]
    assert body["derivation"]["steps"] > 10
    assert body["parameters"]
    assert body["parameters_note"] == ""
    assert [item["verdict"] for item in body["risk"]] == ["approved", "approved"]
    times = [point["at_ns"] for point in body["timeline"]]
    assert times == sorted(times)
    shadow = json.loads(up.cli("shadow", "--json").stdout)["items"]
    assert len(shadow) == 3
    assert sum(item["orders"] for item in shadow) > 0
    assert any(item["live"]["filled_orders"] for item in shadow)
