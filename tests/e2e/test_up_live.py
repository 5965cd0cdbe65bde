"""Live mode against the simulator: signed REST and the private stream, actors killed, drained by `mexcbot down`.

One system for this module; its tests run in order, the last one ends it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import psutil
import pytest

from tests.up_process import (
    GONE_PATIENCE_S,
    ROOT,
    STOP_PATIENCE_S,
    UpProcess,
    alive,
    eventually,
    kill_all,
    running_up,
)
from tests.up_venue import UpVenue

pytestmark = pytest.mark.timeout(900)
SYMBOLS = ("ETHUSDT", "XRPUSDT", "DOGEUSDT")
FIRST, SECOND, _ = SYMBOLS
LEFT, LEFT_EACH = "mx-left-", 5  # orders under our prefix that no row explains
# A strategy that buys at once in any market, and keeps what it has.
HOLDING = (
    "min_edge_bps=-1000",
    "min_spread_bps=0",
    "max_spread_bps=10000",
    "min_imbalance=0",
    "min_trades_per_minute=0",
    "max_volatility_bps=1000",
    "cooldown_s=0",
    "loss_cooldown_s=0",
    "loss_streak=0",
    "take_profit_bps=300",
    "patience_s=3600",
    "stop_loss_bps=1000",
    "hard_stop_bps=5000",
    "trailing_start_bps=1000",
    "timeout_s=86400",
    "gone_spread_bps=10000",
)
HELD_QUOTE_MIN = Decimal(15)
DUST_QUOTE_MAX = Decimal(7)  # the venue's smallest order is worth 5
# A busy machine's; how soon they trade again on a quiet one is `python -m bench restart`'s to say (target 5 s).
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    # Orphans that are left alone until a halt: as many open orders as a test wants.
    flags = ("--mode", "live", "--symbols", ",".join(SYMBOLS), "--record")
    with running_up(*flags, MEXCBOT_ORPHAN_POLICY="leave") as system:
        yield system


@pytest.fixture(scope="module")
def venue(up: UpProcess) -> UpVenue:
    return UpVenue(up)


@contextmanager
def asked(up: UpProcess, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Let a client verb run beside the test; it ends with the block, whatever happens."""
    command = [sys.executable, "-m", "actors.cli", *arguments, "--data-dir", str(up.data_dir)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def standing(up: UpProcess) -> dict[str, Any]:
    """What the API says of the account's halt; empty while nobody answers."""
    try:
        answer = up.get("/v1/halt")
    except httpx.HTTPError:
        return {}
    return dict(answer.json()) if answer.status_code == 200 else {}


def confirmed(up: UpProcess) -> dict[str, Any]:
    """The same, once it is confirmed; empty before."""
    told = standing(up)
    return told if told.get("confirmed") else {}


def differences(up: UpProcess, venue: UpVenue) -> list[str]:
    """How journal and venue differ after a halt, in words."""
    rows, fills = (up.read_all(f"/v1/{name}") for name in ("orders", "fills"))
    return venue.differences(rows, fills, LEFT)


def writer_of(up: UpProcess, log: str) -> psutil.Process:
    """The process that writes a log whose name begins so."""
    for process in up.family():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if any(f"/{log}" in file.path for file in process.open_files()):
                return process
    raise AssertionError(f"no process writes {log}*")


def executor_of(up: UpProcess) -> psutil.Process:
    """The executor's process."""
    return writer_of(up, "executor-")


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


def test_executor_killed_under_load_trades_again_and_agrees_with_the_venue(up: UpProcess, venue: UpVenue) -> None:
    assert eventually(lambda: up.read("/v1/fills")["items"], PATIENCE_S)
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
    halted = up.cli("halt", "--timeout", "110", "--json", timeout_s=PATIENCE_S)
    assert halted.returncode == 0, halted.stderr

    eventually(lambda: not differences(up, venue), PATIENCE_S)
    assert differences(up, venue) == []
    assert up.json("resume-trading")["state"] == "ACTIVE"


def test_live_on_the_simulator_fills_agree_with_the_venue_and_are_explained(up: UpProcess, venue: UpVenue) -> None:
    assert eventually(lambda: up.read("/v1/fills")["items"], PATIENCE_S)
    halted = up.cli("halt", "--timeout", "110", "--json", timeout_s=PATIENCE_S)
    body = json.loads(halted.stdout)
    assert (halted.returncode, body["confirmed"], body["open_orders"]) == (0, True, 0), halted.stderr
    assert eventually(lambda: not differences(up, venue), PATIENCE_S), differences(up, venue)
    assert venue.account()["trades"]
    _explained_and_mirrored(up)
    assert up.json("resume-trading")["state"] == "ACTIVE"


def test_supervisor_api_and_executor_killed_in_the_middle_of_a_halt_do_not_keep_it_from_its_end(
    up: UpProcess, venue: UpVenue
) -> None:
    """Half of the orders are over and the cancels of the others are refused: that is when each of them dies."""
    by_hand = {f"by-hand-{symbol}" for symbol in (FIRST, SECOND)}
    for symbol in (FIRST, SECOND):
        venue.place_far_buy(symbol, f"by-hand-{symbol}")  # beside it ours are cancelled one by one
        for number in range(LEFT_EACH):
            venue.place_far_buy(symbol, f"{LEFT}{symbol}-{number}")
    left = {f"{LEFT}{SECOND}-{number}" for number in range(LEFT_EACH)}
    venue.fault("delay_reply", FIRST, "DELETE", delay_ms=60_000)  # done, and not answered
    venue.fault("error_reply", SECOND, "DELETE", status=503, code=503, msg="Service unavailable")
    with asked(up, "halt", "--reason", "killed in the middle"):
        assert eventually(lambda: not venue.ours(FIRST) and left <= venue.ours(SECOND), PATIENCE_S), venue.open_orders()
        kill_all((up.find("api.json"), writer_of(up, "supervisor")))
        refused = venue.injected("error_reply")
        assert eventually(lambda: venue.injected("error_reply") > refused, PATIENCE_S), "the executor goes on alone"
        told = eventually(lambda: standing(up), PATIENCE_S)
        assert (told["state"], told["confirmed"]) == ("HALTED", False)
        executor = executor_of(up)
        executor.kill()
        killed_ns = time.time_ns()
    assert left <= venue.ours(SECOND)
    venue.clear_faults()
    told = eventually(lambda: confirmed(up), PATIENCE_S)
    assert told, standing(up)
    assert (told["state"], told["open_orders"], told["verified_at_ns"] > killed_ns) == ("HALTED", 0, True)
    assert executor_of(up).pid != executor.pid
    assert venue.open_orders() == by_hand
    assert eventually(lambda: not differences(up, venue), PATIENCE_S), differences(up, venue)
    assert up.json("resume-trading")["state"] == "ACTIVE"
    assert eventually(lambda: {row["state"] for row in up.symbols().values()} == {"TRADING"}, PATIENCE_S), up.symbols()


def test_executor_killed_in_the_middle_of_a_flatten_is_followed_by_one_that_sells_the_rest_once(
    up: UpProcess, venue: UpVenue
) -> None:
    """One position is sold and the sale not answered, the other's sale is refused: that is when it dies."""
    for symbol in SYMBOLS:
        up.json("set", symbol, *HOLDING)
    assert eventually(lambda: all(venue.worth(symbol) > HELD_QUOTE_MIN for symbol in (FIRST, SECOND)), PATIENCE_S)
    venue.fault("delay_reply", FIRST, "POST", delay_ms=60_000)
    venue.fault("error_reply", SECOND, "POST", status=503, code=503, msg="Service unavailable")
    refused = venue.injected("error_reply")
    with asked(up, "halt", "--flatten", "--json", "--timeout", "240") as halting:
        is_halfway = lambda: venue.sales(FIRST) and venue.injected("error_reply") > refused  # noqa: E731
        assert eventually(is_halfway, PATIENCE_S, every_s=0.05), standing(up)
        executor_of(up).kill()
        assert venue.worth(SECOND) > HELD_QUOTE_MIN
        venue.clear_faults()
        printed, said = halting.communicate(timeout=250)
    body = json.loads(printed)
    assert (halting.returncode, body["state"], body["confirmed"], body["open_orders"]) == (0, "HALTED", True, 0), said
    assert venue.ours() == set()
    assert eventually(lambda: not differences(up, venue), PATIENCE_S), differences(up, venue)
    for symbol in (FIRST, SECOND):
        assert venue.sales(symbol), "the flatten sold it"
        assert Decimal(0) <= venue.worth(symbol) < DUST_QUOTE_MAX, f"{symbol} is still held: {body['reason']}"
    held = {row["symbol"]: Decimal(row["qty"]) for row in up.read("/v1/positions")["items"]}
    # The third may never have traded, and has no row then.
    assert {symbol: venue.held(symbol) for symbol in SYMBOLS} == {symbol: held.get(symbol, 0) for symbol in SYMBOLS}


def test_down_leaves_no_order_and_no_process(up: UpProcess, venue: UpVenue) -> None:
    family = up.family()
    down = up.cli("down", "--json", timeout_s=150)
    assert down.returncode == 0, down.stderr
    report = json.loads(down.stdout)
    assert (report["is_confirmed"], report["open_orders"]) == (True, 0)
    assert up.process.wait(STOP_PATIENCE_S) == 0
    assert eventually(lambda: not alive(family), GONE_PATIENCE_S)


def _explained_and_mirrored(up: UpProcess) -> None:
    """The session was recorded: a filled order's decision is derived again; its twin was looked at too."""
    order_id = up.read("/v1/fills?limit=1")["items"][0]["client_order_id"]
    explained = up.cli("explain", order_id, "--json", timeout_s=PATIENCE_S)
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
