"""Durable paper orders a second, through Ray: real executor, journal, symbol actors and paper venues; limits lifted.

Each symbol's actor submits batches as its outbox does, and holds the paper venue that acknowledges them. An order
counts when its acknowledgement is committed: when the delivery that follows that commit is back at its symbol.
May import the actors, the store and psutil.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.figures import Benchmark, CannotRunError, Effort, Figure, percentile
from bench.system import temporary_folder
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.migrations import migrate
from trading.model.errors import TradingError

if TYPE_CHECKING:
    from actors.clients import ExecutorHandle
    from actors.handles import Handle
    from bench.order_flow_actors import FlowResult

TARGET_PER_S = 2_000
SYMBOLS = 4
LANES = 3
BATCH = 50
START_PATIENCE_S = 60.0
PART_S = 5


async def _measure(folder: Path, url: str, server_pid: int, seconds: int) -> Iterator[Figure]:
    from actors import handles, ray_environment

    ray_environment.prepare(None)
    from actors.clients import ExecutorHandle
    from bench import order_flow_actors as hosted

    store = FleetStore.open(url, hosted.ACCOUNT, hosted.SESSION)
    await store.begin_session("paper", "sim", {}, os.getpid(), time.time_ns())
    await store.close()
    handles.start_local(folder / "ray", hosted.NAMESPACE, slots=SYMBOLS)
    try:
        names = hosted.symbols_of(SYMBOLS)
        recipe = hosted.FlowExecutorRecipe(url, names)
        handles.spawn(handles.executor_name(hosted.ACCOUNT), recipe, handles.SHARED_PLACEMENT)
        executor = ExecutorHandle(hosted.ACCOUNT)
        await until(executor.is_ready)
        symbols = []
        for number, symbol in enumerate(names, 1):
            name = handles.symbol_name(symbol)
            handles.spawn(name, hosted.FlowSymbolRecipe(symbol, number), handles.SYMBOL_PLACEMENT)
            symbols.append(handles.Handle(name))
        for handle in symbols:
            await until(partial(handle.call, "is_up"))
        await asyncio.sleep(2)  # the first marks
        roles = await _roles(executor, symbols, server_pid)
        before = _cpu(roles)
        flows = (handle.call("flow", seconds, BATCH, LANES, timeout_s=seconds + 40) for handle in symbols)
        watch = asyncio.create_task(_watch(symbols, roles, seconds))
        results: list[FlowResult] = list(await asyncio.gather(*flows))
        parts = await watch
        spent = {role: after - before[role] for role, after in _cpu(roles).items()}
    finally:
        handles.disconnect()
    if lost := sum(item.submitted - item.acknowledged - item.denied for item in results):
        raise CannotRunError(f"{lost} orders were not acknowledged")
    return _figures(results, spent, parts)


@dataclass(frozen=True, slots=True)
class Part:
    """Some seconds of the run: orders acknowledged in them, and CPU seconds by role."""

    seconds: float
    orders: int
    spent: dict[str, float]


async def _watch(symbols: list[Handle], roles: dict[str, list[psutil.Process]], seconds: int) -> list[Part]:
    """Look at each five seconds of the run: what grows with time or with what rests would hide in the mean."""
    parts: list[Part] = []
    began, done, used = time.perf_counter(), 0, _cpu(roles)
    for _ in range(seconds // PART_S):
        await asyncio.sleep(PART_S)
        now, orders, cpu = time.perf_counter(), sum([await item.call("progress") for item in symbols]), _cpu(roles)
        parts.append(Part(now - began, orders - done, {role: cpu[role] - used[role] for role in cpu}))
        began, done, used = now, orders, cpu
    return parts


async def _roles(executor: ExecutorHandle, symbols: list[Handle], server_pid: int) -> dict[str, list[psutil.Process]]:
    """Name the processes that do the work."""
    me, server = psutil.Process(), psutil.Process(server_pid)
    pids = {"executor": {int(await executor.ping())}, "symbols": {int(await item.call("ping")) for item in symbols}}
    actors = {pid for found in pids.values() for pid in found}
    rest = [item for item in me.children(recursive=True) if item.pid not in actors]
    postgres = [server, *server.children(recursive=True)]
    return {
        **{role: [psutil.Process(pid) for pid in found] for role, found in pids.items()},
        "postgres": postgres,
        "ray": [me, *(item for item in rest if item not in postgres)],
    }


def _cpu(roles: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """Return the CPU seconds each part has used so far."""
    used = {}
    for role, processes in roles.items():
        used[role] = 0.0
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used[role] += times.user + times.system
    return used


def _figures(results: list[FlowResult], spent: dict[str, float], parts: list[Part]) -> Iterator[Figure]:
    orders = sum(item.acknowledged for item in results)
    longest = max(item.seconds for item in results)
    latencies = [value for item in results for value in item.latencies_ms]
    note = (
        f"{orders} orders in {longest:.1f} s from {len(results)} symbols, {LANES} batches of {BATCH} each under way; "
        f"commit, place, acknowledgement committed; fsync on; {sum(item.denied for item in results)} denied (too late)"
    )
    yield Figure("durable_orders", "orders/s", orders / longest, TARGET_PER_S, note, is_more_better=True)
    text = "CPU time, user and system, whoever else was on the machine; two cores give 1000 us an order at the target"
    total = sum(spent.values())
    shares = ", ".join(f"{role} {seconds / orders * 1e6:.0f}" for role, seconds in spent.items())
    yield Figure("cpu_order", "us/order", total / orders * 1e6, 2e6 / TARGET_PER_S, f"{text}; of it: {shares}")
    for role, seconds in spent.items():
        yield Figure(f"cpu_{role}", "us/order", seconds / orders * 1e6, note=text)
    rates = [part.orders / part.seconds for part in parts]
    note = f"of {len(parts)} parts of {PART_S} s: {', '.join(f'{rate:.0f}' for rate in rates)}"
    yield Figure("slowest_part", "orders/s", min(rates), note=note, is_more_better=True)
    costs = [part.spent["executor"] / max(1, part.orders) * 1e6 for part in parts]
    note = f"the executor's CPU time in parts of {PART_S} s: {', '.join(f'{cost:.0f}' for cost in costs)}"
    yield Figure("cpu_executor_last_part", "us/order", costs[-1], note=note)
    yield Figure("made_to_delivered_p50", "ms", percentile(latencies, 50), note="at that load: every queue is full")
    yield Figure("made_to_delivered_p99", "ms", percentile(latencies, 99), note="at that load: every queue is full")


async def until(is_done: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is true. Raises: CannotRunError after a minute."""
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if await is_done():
                return
        except TradingError:
            pass
        await asyncio.sleep(0.2)
    raise CannotRunError(f"the actors were not up within {START_PATIENCE_S:g} s")


def _server_pid(folder: Path) -> int:
    """Read the server's own process id."""
    (path,) = folder.rglob("postmaster.pid")
    return int(path.read_text(encoding="utf-8").splitlines()[0])


def measure(effort: Effort) -> Iterator[Figure]:
    """Run a server and a Ray of our own, let the symbols submit, and take both away."""
    with temporary_folder() as folder:
        server = EmbeddedPostgres(folder / "postgres")
        try:
            url = server.start()
            migrate(url)
            yield from asyncio.run(_measure(folder, url, _server_pid(folder), effort.choose(30, 5)))
        finally:
            server.stop()


BENCHMARKS = (Benchmark("order_flow", "durable paper orders a second, through Ray, limits lifted", measure),)
