"""kill -9 of the executor and of Postgres while a fleet trades live: until each symbol's next order leaves, by phase.

The whole system against the simulator. Symbols that had an order of unknown outcome after the kill wait for promise 2,
and are counted apart. The phases are read from the executor's own log, the orders from the API. May import psutil.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import psutil

from bench.figures import Benchmark, CannotRunError, Effort, Figure, percentile
from bench.order_latency import BRISK
from bench.system import System, items, running_up

TARGET_S = 5.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
# With these the strategy wants an order at all times, in any market: how soon one leaves is the system's doing. By the
# defaults BTCUSDT, whose generated market is 1.6 bps wide, sends none at all: its edge is below the floor.
EAGER = (*BRISK, ("min_edge_bps", "-10"), ("min_spread_bps", "0"), ("min_imbalance", "0"))
WARM_UP_S = 60
PATIENCE_S = 90.0
# Each step's line in the executor's log, and what the time before it went into.
STEPS = (
    ("executor_building", "died, started again by Ray, imported"),
    ("executor_connected", "journal open, venue's list read"),
    ("lease_taken", "lease"),
    ("journal_loaded", "journal loaded"),
    ("executor_started", "venue's clock and private stream"),
    ("executor_reconciled", "compared with the venue"),
)


def _log_lines(system: System) -> list[dict[str, Any]]:
    (path,) = system.data_dir.rglob("executor-*.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def _executor(system: System) -> psutil.Process:
    """The process that holds the executor's log open."""
    for process in system.family():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if any("executor-" in file.path for file in process.open_files()):
                return process
    raise CannotRunError("no process writes an executor's log")


def _postmaster(system: System) -> psutil.Process:
    (path,) = system.data_dir.rglob("postmaster.pid")
    return psutil.Process(int(path.read_text(encoding="utf-8").splitlines()[0]))


def _orders(client: httpx.Client) -> list[dict[str, Any]]:
    with contextlib.suppress(httpx.HTTPError, KeyError):  # the database may be down
        return items(client, "/v1/orders")
    return []


def _first_sent(client: httpx.Client, killed_ns: int) -> dict[str, int]:
    """Wait until every symbol has sent an order that was made after the kill; return when, by symbol."""
    deadline = time.monotonic() + PATIENCE_S
    found: dict[str, int] = {}
    while time.monotonic() < deadline and len(found) < len(SYMBOLS):
        time.sleep(0.5)
        for order in _orders(client):
            if order["created_ns"] > killed_ns and order["sent_ns"]:
                found[order["symbol"]] = min(order["sent_ns"], found.get(order["symbol"], order["sent_ns"]))
    return found


def _unknown_symbols(client: httpx.Client, killed_ns: int) -> set[str]:
    """Return the symbols of orders made before the kill whose outcome was unknown after it."""
    found = set()
    for order in _orders(client):
        if killed_ns - 10 * 10**9 < order["created_ns"] <= killed_ns:
            answer = client.get(f"/v1/orders/{order['client_order_id']}/explain")
            answer.raise_for_status()
            events = answer.json()["events"]
            if any(event["kind"] == "outcome_unknown" and event["at_ns"] >= killed_ns for event in events):
                found.add(order["symbol"])
    return found


def _standing(row: dict[str, Any]) -> str:
    """Say where a symbol stands that sends nothing: one that is not attached shows no epoch."""
    return f"{row['symbol']} ({row['state']}, epoch {row['epoch']}, book {row['book']['state']}: {row['reason']})"


def _figures(name: str, client: httpx.Client, killed_ns: int) -> Iterator[Figure]:
    sent = _first_sent(client, killed_ns)
    unknown = _unknown_symbols(client, killed_ns)
    took = {symbol: (at_ns - killed_ns) / 1e9 for symbol, at_ns in sent.items()}
    plain = [seconds for symbol, seconds in took.items() if symbol not in unknown]
    if not plain:
        raise CannotRunError(f"no symbol without an unknown order traded within {PATIENCE_S:g} s of the kill")
    silent = [_standing(row) for row in items(client, "/v1/symbols") if row["symbol"] not in sent]
    note = f"{len(plain)} symbols without an unknown order, by a strategy that always wants one"
    if silent:
        note += f"; no order within {PATIENCE_S:g} s: {', '.join(silent)}"
    yield Figure(f"{name}_first_order", "s", min(plain), TARGET_S, note)
    yield Figure(f"{name}_median_symbol", "s", percentile(plain, 50), TARGET_S, note)
    waiting = [took[symbol] for symbol in unknown & took.keys()]
    if waiting:
        yield Figure(f"{name}_unknown_last", "s", max(waiting), note=f"{len(waiting)} symbols that had to wait")


def _phases(system: System, killed_ns: int) -> Iterator[Figure]:
    """Split the executor's way back by the lines of its log."""
    at: dict[str, int] = {}
    for line in _log_lines(system):
        at_ns = int(datetime.fromisoformat(line["timestamp"]).timestamp() * 1e9)
        if at_ns > killed_ns:
            at.setdefault(line["event"], at_ns)
    before_ns = killed_ns
    for event, text in STEPS:
        if event not in at:
            raise CannotRunError(f"the executor's log has no {event} after the kill")
        yield Figure(f"executor_phase_{event}", "s", max(0, at[event] - before_ns) / 1e9, note=text)
        before_ns = max(before_ns, at[event])
    yield Figure("executor_ready", "s", (before_ns - killed_ns) / 1e9, TARGET_S, "kill to reconciled: takes orders")


def measure(effort: Effort) -> Iterator[Figure]:
    """Kill the executor, then Postgres, in one system that trades live on the simulator."""
    flags = ["--mode", "live", "--no-dashboard", "--symbols", ",".join(SYMBOLS)]
    for name, value in EAGER:
        flags += ["--set", f"{name}={value}"]
    with running_up(*flags) as system, system.client() as client:
        time.sleep(effort.choose(WARM_UP_S, 20))
        victim = _executor(system)
        killed_ns = time.time_ns()
        victim.kill()
        yield from _figures("executor", client, killed_ns)
        yield from _phases(system, killed_ns)
        time.sleep(effort.choose(10, 5))
        postmaster = _postmaster(system)
        killed_ns = time.time_ns()
        for process in (postmaster, *postmaster.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        yield from _figures("postgres", client, killed_ns)


BENCHMARKS = (Benchmark("restart", "executor and Postgres killed under load, until orders go out again", measure),)
