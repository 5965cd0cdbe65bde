"""How soon books are proven: from a granted snapshot to the proof, and a whole fleet within the node's budget.

May import simulator's names and trading. The simulator is a real process with MEXC's effective limits in force.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from actors.node_budget import SNAPSHOT_SHARE
from bench.exchange_process import running_exchange
from bench.figures import Benchmark, CannotRunError, Effort, Figure, median, percentile
from bench.follower import BookFollower, LocalPace, until
from simulator.market.profiles import default_symbols
from trading.adapters.mexc.rest_public import PublicRest
from trading.adapters.settings import Settings

FLEET = 200
PATIENCE_S = 300.0
# A fleet that shares the address with nobody else could go at the venue's own limit; ours leaves room for orders.
REQUESTS_PER_S = float(Settings.model_fields["ip_request_rate"].default)


@dataclass(frozen=True, slots=True)
class Start:
    """How a fleet started: seconds until all were proven, each one's time to the proof, and what the venue refused."""

    proven_s: float
    thin_s: tuple[float, ...]
    busy_s: tuple[float, ...]
    refused: int
    blocks: int
    requests: int
    second_looks: int
    snapshots: int


async def _start_fleet(rest_url: str, ws_url: str, count: int, listen_s: float) -> Start:
    pace, rest = LocalPace(REQUESTS_PER_S), PublicRest(rest_url)
    http = httpx.AsyncClient(base_url=rest_url, trust_env=False, timeout=30)
    try:
        listed = await rest.exchange_info()
        names = [name for name in default_symbols(count) if name in listed]
        followers = [BookFollower(ws_url, rest, http, listed[name], pace) for name in names]
        began = time.monotonic()
        for follower in followers:
            follower.start()
        try:
            await until(
                lambda: all(follower.first_proof_ns for follower in followers),
                PATIENCE_S,
                lambda: [(f.instrument.symbol, f.sync.reason) for f in followers if not f.first_proof_ns][:5],
            )
            proven_s = time.monotonic() - began
            await asyncio.sleep(listen_s)
            differing = [text for follower in followers[::10] for text in await follower.differences()]
            refused = int((await http.get("/sim/state", params={"depth": 1})).json()["rate_limited"])
        finally:
            await asyncio.gather(*(follower.close() for follower in followers))
    except TimeoutError as error:
        raise CannotRunError(str(error)[:300])
    finally:
        await http.aclose()
        await rest.close()
    if differing:
        raise CannotRunError(f"a proven book is wrong: {differing[0]}")
    by_traffic = sorted(followers, key=lambda follower: follower.stream.counters.frames)
    took = [(f.first_proof_ns - f.first_answer_ns) / 1e9 for f in by_traffic]
    half = len(took) // 2
    return Start(
        proven_s,
        tuple(took[:half]),
        tuple(took[half:]),
        refused,
        pace.blocks,
        rest.requests,
        sum(follower.sync.counters.snapshots > 1 for follower in followers),
        sum(follower.snapshots_to_proof for follower in followers),
    )


def measure_start(effort: Effort) -> Iterator[Figure]:
    """A fleet in one process, each symbol with its own socket and book, paced as one node."""
    count = effort.choose(FLEET, 20)
    with running_exchange("--count", str(count)) as (_, ready):
        start = asyncio.run(_start_fleet(ready["rest"], ready["ws"], count, effort.choose(10, 2)))
    note = (
        f"{count} symbols from one address at {REQUESTS_PER_S:g} requests/s, 30 % for snapshots, 30 % for connects; "
        f"{start.requests} REST requests, {start.second_looks} symbols looked twice, "
        f"{start.refused} refused, {start.blocks} blocks"
    )
    yield Figure("fleet_proven", "s", start.proven_s, note=note)
    # A symbol's connect has to come before its snapshot, and both have 30 % of the pace.
    share = SNAPSHOT_SHARE * REQUESTS_PER_S
    reason = (
        f"{start.snapshots} snapshots were needed: a pair on which nothing moves is looked at twice; "
        f"{share:g}/s are theirs of {REQUESTS_PER_S:g} requests/s, the rest is for orders, connects and audits"
    )
    yield Figure("fleet_budget_allows", "s", max(count, start.snapshots) / share, note=reason)
    yield Figure("fleet_refused", "answers", float(start.refused), target=0.0, note="429 or firewall pages, all in all")
    for name, values in (("thin", start.thin_s), ("busy", start.busy_s)):
        half = f"the {name} half of {count} by traffic, from the first snapshot's request to PROVEN"
        yield Figure(f"{name}_granted_to_proven_p50", "s", median(values), note=half)
        yield Figure(f"{name}_granted_to_proven_p99", "s", percentile(values, 99), target=1.0, note=half)


BENCHMARKS = (
    Benchmark("market_data", "from a granted snapshot to PROVEN; 200 symbols within the budget", measure_start),
)
