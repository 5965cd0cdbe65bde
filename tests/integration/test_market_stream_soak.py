"""Many symbols under random faults: never wrong while proven, and in the end all proven, nothing grown, nothing left.

The full length (20 symbols, 10 minutes) is marked `soak`; the suite runs the same code, seeded, for some seconds.
"""

from __future__ import annotations

import asyncio
import gc
from random import Random

import httpx
import psutil
import pytest

from bench.follower import BookFollower, LocalPace, until
from simulator.market.profiles import default_symbols
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.rest_public import PublicRest
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.units import NS_PER_S

NAMES = ("龙虾USDT", "GOLD(PAXG)USDT")
# What strikes, and how: by probability for a stretch, or so many times.
LASTING = ("drop_delta", "duplicate_delta", "reorder_delta", "empty_frame")
COUNTED = (
    "truncated_frame", "garbage_frame", "stale_snapshot", "snapshot_inside", "stall", "close", "rollover", "blocked",
    "http_429", "delay_reply",
)  # fmt: skip
STRETCH_S = 2.0
KEPT_VERSIONS = 3_000
PROVEN_WITHIN_S = 60.0
MEMORY_GROWTH_MAX = 24 * 2**20


class Soak:
    """Followers of every symbol, and the hand that breaks things."""

    def __init__(self, sim: SimulatorProcess, followers: list[BookFollower], seed: int, check_every_s: float) -> None:
        self._sim = sim
        self._followers = followers
        self._draw = Random(f"soak:{seed}")
        self._check_every_s = check_every_s
        self.injected: set[str] = set()
        self.memory: list[int] = []

    async def run(self, http: httpx.AsyncClient, seconds: float) -> None:
        """Strike and check for so long. Raises: AssertionError for a book that is proven and wrong."""
        deadline = asyncio.get_running_loop().time() + seconds
        checks = asyncio.create_task(self._check_for_ever())
        try:
            while (left := deadline - asyncio.get_running_loop().time()) > 0:
                await self._strike(http)
                await asyncio.wait({checks}, timeout=min(STRETCH_S, left))
                if checks.done():
                    checks.result()
                self.memory.append(psutil.Process().memory_info().rss)
        finally:
            checks.cancel()
            await asyncio.gather(checks, return_exceptions=True)
            (await http.delete("/sim/faults")).raise_for_status()

    async def _check_for_ever(self) -> None:
        pause_s = self._check_every_s / len(self._followers)
        while True:
            for follower in self._followers:
                await asyncio.sleep(pause_s)
                assert await follower.differences() == []

    async def _strike(self, http: httpx.AsyncClient) -> None:
        """Lift what lasted, and let three kinds strike symbols drawn by the seed."""
        (await http.delete("/sim/faults")).raise_for_status()
        for _ in range(3):
            kind = self._draw.choice(LASTING + COUNTED)
            body: dict[str, object] = {"kind": kind, "seed": self._draw.randrange(10**6)}
            body["symbol"] = self._draw.choice(self._followers).instrument.symbol
            if kind in LASTING:
                body["probability"] = self._draw.choice((0.02, 0.2))
            else:
                body["count"] = self._draw.randint(1, 2)
                body["params"] = {"delay_ms": self._draw.randint(200, 1_500)}
            if kind in ("http_429", "delay_reply"):
                body["params"] = {"delay_ms": 500, "path": "/api/v3/depth"}
            if kind == "blocked":  # strikes at the next subscription, which something has to bring about
                (await http.post("/sim/faults", json={**body, "kind": "close", "params": {}})).raise_for_status()
            (await http.post("/sim/faults", json=body)).raise_for_status()


async def soak(count: int, seconds: float, seed: int, check_every_s: float) -> Soak:
    """Run one soak on a simulator of its own, and judge how it ended."""
    own_tasks = len(asyncio.all_tasks())
    names = [*default_symbols(count - len(NAMES)), *NAMES]
    with running_simulator("--symbols", ",".join(names), "--seed", str(seed)) as sim:
        rest = PublicRest(sim.rest)
        http = httpx.AsyncClient(base_url=sim.rest, trust_env=False, timeout=20)
        for name in names:
            (await http.post("/sim/book_history", json={"symbol": name, "keep": KEPT_VERSIONS})).raise_for_status()
        instruments = await rest.exchange_info()
        pace = LocalPace(15.0)
        settings = MarketStreamSettings(rollover_s=max(5.0, seconds / 4), silence_min_s=3.0)
        audits = BookSyncSettings(audit_first_ns=2 * NS_PER_S, audit_interval_ns=20 * NS_PER_S)
        followers = [
            BookFollower(sim.ws, rest, http, instruments[name], pace, settings, audits, seed) for name in names
        ]
        for follower in followers:
            follower.start()
        try:
            await until(
                lambda: all(follower.is_proven for follower in followers), PROVEN_WITHIN_S, lambda: _open(followers)
            )
            made = Soak(sim, followers, seed, check_every_s)
            await made.run(http, seconds)
            await until(
                lambda: all(follower.is_proven for follower in followers), PROVEN_WITHIN_S, lambda: _open(followers)
            )
            for follower in followers:
                assert await follower.differences() == []
            state = sim.state(depth=1)
        finally:
            await asyncio.gather(*(follower.close() for follower in followers))
            await http.aclose()
            await rest.close()
    made.injected = set(state["injected"])
    assert all(follower.checked for follower in followers)
    assert [crash for follower in followers for crash in follower.crashes] == []
    assert sum(follower.sync.audit.counters.differing for follower in followers) == 0
    assert len(asyncio.all_tasks()) == own_tasks, "a task was left behind"
    _report(followers, made, state, seconds)
    return made


def _open(followers: list[BookFollower]) -> list[tuple[str, str, str]]:
    return [(f.instrument.symbol, f.sync.state.value, f.sync.reason) for f in followers if not f.is_proven]


def _report(followers: list[BookFollower], made: Soak, state: dict[str, object], seconds: float) -> None:
    """Say what was seen; `pytest -s` shows it."""
    counters = [follower.sync.counters for follower in followers]
    print(
        f"\nsoak: {len(followers)} symbols, {seconds:g} s, {sum(f.stream.counters.frames for f in followers)} frames, "
        f"{sum(f.checked for f in followers)} comparisons with the truth, 0 differ; "
        f"{sum(c.gaps for c in counters)} gaps, {sum(c.resyncs for c in counters)} resyncs, "
        f"{sum(f.stream.counters.losses for f in followers)} connections lost, "
        f"{sum(f.stream.counters.rollovers for f in followers)} rolled over, "
        f"{sum(f.sync.audit.counters.done for f in followers)} audits; longest resync "
        f"{max(c.longest_resync_ns for c in counters) / NS_PER_S:.1f} s; MiB at each fifth "
        f"{[rss >> 20 for rss in made.memory[:: max(1, len(made.memory) // 5)]]}; "
        f"injected {state['injected']}, refused {state['rate_limited']}"
    )


async def test_market_stream_soak_of_five_symbols_for_some_seconds_ends_proven() -> None:
    made = await soak(count=5, seconds=8.0, seed=4, check_every_s=0.5)
    assert len(made.injected) >= 3


@pytest.mark.soak
@pytest.mark.timeout(1_200)
async def test_market_stream_soak_of_twenty_symbols_for_ten_minutes_ends_proven_and_flat() -> None:
    gc.collect()
    made = await soak(count=20, seconds=600.0, seed=1, check_every_s=3.0)
    assert made.injected == set(LASTING + COUNTED)
    settled = made.memory[len(made.memory) // 4 :]
    assert max(settled[-20:]) - min(settled[:20]) < MEMORY_GROWTH_MAX
