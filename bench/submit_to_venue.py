"""From a decision to the paper venue's door, through Ray: p50 and p99 with 1, 10 and 50 symbols that order at ease.

Real executor and journal in one process; the symbols, which submit as their outboxes do and hold the venue's door, in
another. An order's time runs from its making to its arrival at the door: over Ray, judged, committed, over Ray again.
May import the actors and the store.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Benchmark, Effort, Figure, percentile
from bench.order_flow import until
from bench.system import temporary_folder
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.migrations import migrate

COUNTS = (1, 10, 50)
# Each symbol orders so often, the symbols one after the other.
INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When orders were made and when they came to the venue's door, in ms between the two."""

    durations_ms: tuple[float, ...]
    lost: int


async def _measure(folder: Path, url: str, seconds: int) -> Iterator[Figure]:
    from actors import handles, ray_environment

    ray_environment.prepare(None)
    from actors.clients import ExecutorHandle
    from bench import order_flow_actors as flow
    from bench import submit_to_venue_actors as hosted

    store = FleetStore.open(url, flow.ACCOUNT, flow.SESSION)
    await store.begin_session("paper", "sim", {}, os.getpid(), time.time_ns())
    await store.close()
    handles.start_local(folder / "ray", flow.NAMESPACE, slots=1)
    found: dict[int, Arrivals] = {}
    try:
        names = flow.symbols_of(max(COUNTS))
        recipe = flow.FlowExecutorRecipe(url, names, hosted.DoorPort)
        handles.spawn(handles.executor_name(flow.ACCOUNT), recipe, handles.SHARED_PLACEMENT)
        handles.spawn(hosted.DOOR, hosted.DoorRecipe(), handles.SHARED_PLACEMENT)
        door = handles.Handle(hosted.DOOR)
        await until(ExecutorHandle(flow.ACCOUNT).is_ready)
        await until(door.is_alive)
        await door.call("attach", names, timeout_s=60)
        await door.call("run", names[:10], 3, INTERVAL_S, timeout_s=60)  # plans, caches, connections
        for count in COUNTS:
            found[count] = await door.call("run", names[:count], seconds, INTERVAL_S, timeout_s=seconds + 30)
    finally:
        handles.disconnect()
    return _figures(found)


def _figures(found: dict[int, Arrivals]) -> Iterator[Figure]:
    for count, arrivals in found.items():
        times = arrivals.durations_ms
        rate = count / INTERVAL_S
        note = f"{len(times)} orders at {rate:g}/s, {arrivals.lost} lost; made to the paper venue's door, committed"
        yield Figure(f"submit_to_venue_{count}_p50", "ms", percentile(times, 50), note=note)
        yield Figure(f"submit_to_venue_{count}_p99", "ms", percentile(times, 99), note=note)


def measure(effort: Effort) -> Iterator[Figure]:
    """Run a server and a Ray of our own, order, and take both away."""
    with temporary_folder() as folder:
        server = EmbeddedPostgres(folder / "postgres")
        try:
            url = server.start()
            migrate(url)
            yield from asyncio.run(_measure(folder, url, effort.choose(30, 5)))
        finally:
            server.stop()


BENCHMARKS = (Benchmark("submit_to_venue", "order made to the paper venue's door, 1, 10, 50 symbols", measure),)
