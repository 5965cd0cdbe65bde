"""Frame received → intent committed → order at the venue, from the journal of a running system. May import httpx.

Each order's row holds the times: its decision's `book_recv_ns` (arrival of the last depth frame), `created_ns` (begin
of the step that decided), `committed_ns` (the commit was answered), `sent_ns` (handed to the gateway), `acked_ns` (the
venue had answered, so that it held the order before).

An order counts as caused by a frame when it was decided within `SAME_STEP_NS` of the frame's arrival, ten times what a
frame takes to its step on a free core. Others were decided by a timer or another topic's frame, at any time up to the
next depth frame 100 ms later (one in fifty of these is taken in), or by a delivery, which is a commit and two actor
calls away from the frame before it. A frame that had to wait longer is left out: the notes say how many orders came
soon after, among which such a one would be.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from bench.figures import Benchmark, CannotRunError, Effort, Figure, percentile
from bench.system import System, items, running_up

SAME_STEP_NS = 2_000_000
WARM_UP_S = 10
P50_TARGET_MS = 5.0
P99_TARGET_MS = 25.0
ORDERS_MIN = 5
# Busier than the defaults, so that there are orders to measure, but within the account's 10 operations a second: an
# order that waits for a token is late by intention.
BRISK = (
    ("risk_order_ops_per_s", "1"),
    ("requote_min_age_ms", "500"),
    ("requote_min_bps", "0.1"),
    ("entry_max_age_s", "3"),
    ("cooldown_s", "0"),
    ("loss_cooldown_s", "0"),
    ("loss_streak", "0"),
)


@dataclass(frozen=True, slots=True)
class OrderTimes:
    """The times of one order, ns UTC. `acked_ns` 0: it was never answered."""

    book_recv_ns: int
    created_ns: int
    committed_ns: int
    sent_ns: int
    acked_ns: int

    @property
    def is_of_a_frame(self) -> bool:
        """True when the step of a depth frame decided it."""
        return 0 <= self.created_ns - self.book_recv_ns < SAME_STEP_NS


def times_of(order: dict[str, Any], decision: dict[str, str]) -> OrderTimes | None:
    """Read an order of the API with its decision; None when it was not sent and answered."""
    stages = [order.get(name) for name in ("created_ns", "committed_ns", "sent_ns", "acked_ns")]
    if not all(stages) or not decision.get("book_recv_ns", "").isdecimal():
        return None
    return OrderTimes(int(decision["book_recv_ns"]), *(int(stage) for stage in stages if stage))


def _read(system: System, since_ns: int) -> tuple[list[OrderTimes], int]:
    """Return the times of orders created since then, and how many had to be left out."""
    found: list[OrderTimes] = []
    left_out = 0
    with system.client() as client:
        for order in items(client, "/v1/orders"):
            if order["created_ns"] < since_ns:
                continue
            times = times_of(order, _decision(client, order["client_order_id"]))
            if times is None:
                left_out += 1
            else:
                found.append(times)
    return found, left_out


def _decision(client: httpx.Client, client_order_id: str) -> dict[str, str]:
    answer = client.get(f"/v1/orders/{client_order_id}/explain")
    answer.raise_for_status()
    decision: dict[str, str] = answer.json()["decision"]
    return decision


def figures(mode: str, orders: Sequence[OrderTimes], left_out: int) -> Iterator[Figure]:
    """Turn times into figures. Raises: CannotRunError when there are too few orders."""
    caused = [item for item in orders if item.is_of_a_frame]
    if len(caused) < ORDERS_MIN:
        raise CannotRunError(f"{len(caused)} of {len(orders)} orders were decided by a frame: too few to measure")
    near = sum(SAME_STEP_NS <= item.created_ns - item.book_recv_ns < 5 * SAME_STEP_NS for item in orders)
    of_frames = (
        f"{len(caused)} of {len(orders)} orders, decided < {SAME_STEP_NS / 1e6:g} ms after their depth frame; "
        f"{near} more < {5 * SAME_STEP_NS / 1e6:g} ms; {left_out} not sent"
    )
    every = f"all {len(orders)} orders"
    stages: tuple[tuple[str, list[int], bool, str], ...] = (
        ("frame_to_decision", [item.created_ns - item.book_recv_ns for item in caused], False, of_frames),
        ("frame_to_committed", [item.committed_ns - item.book_recv_ns for item in caused], False, of_frames),
        ("frame_to_sent", [item.sent_ns - item.book_recv_ns for item in caused], False, of_frames),
        ("frame_to_acked", [item.acked_ns - item.book_recv_ns for item in caused], True, of_frames),
        ("decision_to_committed", [item.committed_ns - item.created_ns for item in orders], False, every),
        ("committed_to_sent", [item.sent_ns - item.committed_ns for item in orders], False, every),
        ("sent_to_acked", [item.acked_ns - item.sent_ns for item in orders], False, every),
    )
    for name, durations, has_target, note in stages:
        for percent, target in ((50, P50_TARGET_MS), (99, P99_TARGET_MS)):
            value = percentile(durations, percent) / 1e6
            yield Figure(f"{mode}_{name}_p{percent}", "ms", value, target if has_target else None, note)


def _measure(mode: str, effort: Effort) -> Iterator[Figure]:
    flags = ["--mode", mode, "--no-dashboard"]
    for name, value in BRISK:
        flags += ["--set", f"{name}={value}"]
    with running_up(*flags) as system:
        time.sleep(WARM_UP_S)
        since_ns = time.time_ns()
        time.sleep(effort.choose(120, 40))
        orders, left_out = _read(system, since_ns)
    yield from figures(mode, orders, left_out)


def measure_paper(effort: Effort) -> Iterator[Figure]:
    """Five symbols on their own paper venues."""
    yield from _measure("paper", effort)


def measure_live(effort: Effort) -> Iterator[Figure]:
    """Five symbols over signed REST on the simulator, which shares the machine."""
    yield from _measure("live", effort)


BENCHMARKS = (
    Benchmark("latency_paper", "frame received to order at the paper venue, five symbols", measure_paper),
    Benchmark("latency_live", "the same over signed REST on the simulator", measure_live),
)
