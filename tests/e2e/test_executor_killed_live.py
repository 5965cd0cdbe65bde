"""kill -9 of the executor while the fleet trades live: it comes back by itself, and venue and journal agree."""

from __future__ import annotations

import contextlib
import time
from decimal import Decimal
from typing import Any

import httpx
import psutil
import pytest

from tests.up_process import UpProcess, eventually, running_up

pytestmark = pytest.mark.timeout(400)


def executor_of(up: UpProcess) -> psutil.Process:
    """The process that writes the executor's log."""
    for process in up.family():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if any("executor-" in file.path for file in process.open_files()):
                return process
    raise AssertionError("no process writes an executor's log")


def test_executor_killed_under_load_trades_again_and_agrees_with_the_venue() -> None:
    with running_up("--mode", "live", "--symbols", "ETHUSDT,XRPUSDT,DOGEUSDT") as up:
        simulator = up.ready["simulator"]
        assert eventually(lambda: up.read("/v1/fills")["items"], 90)
        executor = executor_of(up)
        executor.kill()
        killed_s, killed_ns = time.monotonic(), time.time_ns()

        def new_orders() -> list[dict[str, Any]]:
            rows = up.read("/v1/orders?limit=1000")["items"]
            return [row for row in rows if row["sent_ns"] and row["created_ns"] > killed_ns]

        assert eventually(new_orders, 60), "nobody trades after the executor's death"
        print(f"first order sent within {time.monotonic() - killed_s:.1f} s of the kill")
        halted = up.cli("halt", "--json", timeout_s=90)
        assert halted.returncode == 0, halted.stderr

        def differences() -> list[str]:
            state = httpx.get(simulator["rest"] + "/sim/state", timeout=10, trust_env=False).json()
            account = state["accounts"][simulator["api_key"]]
            rows = {row["client_order_id"]: row for row in up.read("/v1/orders?limit=1000")["items"]}
            ours = [row for row in account["orders"] if row["clientOrderId"].startswith("mx-")]
            names = [row["clientOrderId"] for row in ours]
            found = [f"{name} was sent twice" for name in set(names) if names.count(name) > 1]
            for order in ours:
                row = rows.get(order["clientOrderId"])
                if row is None or Decimal(row["filled_qty"]) != Decimal(order["executedQty"]):
                    found.append(f"{order['clientOrderId']}: {row and row['filled_qty']} here, {order['executedQty']}")
                elif order["status"] in ("NEW", "PARTIALLY_FILLED"):
                    found.append(f"{order['clientOrderId']} is open after the halt")
            booked = sum((Decimal(row["qty"]) for row in up.read("/v1/fills?limit=1000")["items"]), Decimal(0))
            traded = sum((Decimal(row["qty"]) for row in account["trades"]), Decimal(0))
            return found + ([] if booked == traded else [f"{booked} booked, {traded} traded"])

        eventually(lambda: not differences(), 30)
        assert differences() == []
