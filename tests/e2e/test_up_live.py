"""Live mode against the simulator: signed REST and the private stream, the executor killed, drained by `mexcbot down`.

One system for this module; its tests run in order, the last one ends it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from decimal import Decimal

import httpx
import psutil
import pytest

from tests.up_process import UpProcess, alive, eventually, running_up

pytestmark = pytest.mark.timeout(400)
SYMBOLS = ("ETHUSDT", "XRPUSDT", "DOGEUSDT")
# A busy machine's; how soon they trade again on a quiet one is `python -m bench restart`'s to say (target 5 s).
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    with running_up("--mode", "live", "--symbols", ",".join(SYMBOLS), "--record") as system:
        yield system


def executor_of(up: UpProcess) -> psutil.Process:
    """The process that writes the executor's log."""
    for process in up.family():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if any("executor-" in file.path for file in process.open_files()):
                return process
    raise AssertionError("no process writes an executor's log")


def sent_since(up: UpProcess, killed_ns: int) -> dict[str, int]:
    """When each symbol first sent an order that it made after the kill, ns UTC."""
    first: dict[str, int] = {}
    for row in up.read("/v1/orders?limit=1000")["items"]:
        if row["sent_ns"] and row["created_ns"] > killed_ns:
            first[row["symbol"]] = min(row["sent_ns"], first.get(row["symbol"], row["sent_ns"]))
    return first


def unknown_after(up: UpProcess, killed_ns: int) -> set[str]:
    """The symbols of orders whose outcome the new executor did not know: they wait by promise 2."""
    found = set()
    for row in up.read("/v1/orders?limit=1000")["items"]:
        if killed_ns - 30 * 10**9 < row["created_ns"] <= killed_ns:
            events = up.read(f"/v1/orders/{row['client_order_id']}/explain")["events"]
            if any(event["kind"] == "outcome_unknown" and event["at_ns"] >= killed_ns for event in events):
                found.add(row["symbol"])
    return found


def eventually_sent(up: UpProcess, killed_ns: int) -> dict[str, int]:
    """Wait until a symbol that had nothing to wait for has sent again (any, where all had), and say who has by then."""

    def is_enough() -> bool:
        first = sent_since(up, killed_ns)
        return bool(first) and bool(first.keys() & (set(SYMBOLS) - unknown_after(up, killed_ns) or set(SYMBOLS)))

    eventually(is_enough, PATIENCE_S, every_s=1.0)
    return sent_since(up, killed_ns)


def test_executor_killed_under_load_trades_again_and_agrees_with_the_venue(up: UpProcess) -> None:
    simulator = up.ready["simulator"]
    assert eventually(lambda: up.read("/v1/fills")["items"], 90)
    executor = executor_of(up)
    executor.kill()
    killed_ns = time.time_ns()
    first = eventually_sent(up, killed_ns)
    assert first, "nobody trades after the executor's death"
    waited = unknown_after(up, killed_ns)
    for symbol, sent_ns in sorted(first.items()):
        kind = "had an order of unknown outcome" if symbol in waited else "had none"
        print(f"{symbol} {kind}: next order sent {(sent_ns - killed_ns) / 1e9:.1f} s after the kill")
    if plain := set(SYMBOLS) - waited:
        assert plain & first.keys(), f"none of {sorted(plain)}, which had nothing to wait for, has sent an order"
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
    assert up.json("resume-trading")["state"] == "ACTIVE"


def test_live_on_the_simulator_fills_agree_with_the_venue_and_down_leaves_no_order(up: UpProcess) -> None:
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
