"""Every market-data fault of the contract, struck one at a time on the simulator's wire: each single one is noticed.

A soak: the suite tests each kind in `test_market_stream_faults.py`. Throughout, a book that says PROVEN is compared
with the simulator's truth of the same version (top 50, both sides).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from bench.follower import BookFollower, LocalPace, until
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.rest_public import PublicRest
from trading.engine.messages import EngineEvent
from trading.model.market import FeedAlive

SYMBOL = "BTCUSDT"
PATIENCE_S = 20.0
QUICK = MarketStreamSettings(
    silence_min_s=1.0, silence_factor=1.0, silence_frames_min=5, ping_interval_s=0.3, backoff_min_s=0.05
)


class Witness(BookFollower):
    """A follower that counts signs of life without a change, too."""

    alive = 0

    def on_event(self, event: EngineEvent) -> None:
        self.alive += isinstance(event, FeedAlive)
        super().on_event(event)


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind, what counts as noticing it, and what has to happen for it to strike at all."""

    kind: str
    noticed: Callable[[Witness], int]
    provoked_by: str = ""
    delay_ms: int = 0


FAULTS = (
    # A line that falls silent before the next push tells the hole by its own loss.
    Fault("drop_delta", lambda w: w.sync.counters.gaps + w.stream.counters.losses),
    Fault("reorder_delta", lambda w: w.sync.counters.gaps + w.stream.counters.losses),
    Fault("duplicate_delta", lambda w: w.sync.counters.duplicates),
    Fault("truncated_frame", lambda w: w.stream.decode_errors),
    Fault("garbage_frame", lambda w: w.stream.decode_errors),
    Fault("empty_frame", lambda w: w.alive),
    Fault("stall", lambda w: w.stream.counters.losses, delay_ms=2_500),
    Fault("close", lambda w: w.stream.counters.losses),
    Fault("rollover", lambda w: w.stream.counters.losses),
    Fault("blocked", lambda w: "subscription refused" in w.stream.last_fault, "close"),
    Fault("stale_snapshot", lambda w: w.sync.counters.snapshots_lagging, "drop_delta"),
    # A snapshot inside a push is no error: it is noticed by being joined rightly, which the truth says.
    Fault("snapshot_inside", lambda w: w.sync.counters.proofs, "drop_delta"),
)


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorProcess]:
    with running_simulator("--symbols", SYMBOL, "--seed", "23", "--limits", "off") as process:
        history = {"symbol": SYMBOL, "keep": 20_000}
        httpx.post(f"{process.rest}/sim/book_history", json=history, trust_env=False).raise_for_status()
        yield process


async def strike_each(sim: SimulatorProcess, times: int) -> tuple[Counter[str], Counter[str], int]:
    """Strike every kind so often. Returns: faults that struck, faults that were noticed, comparisons with the truth."""
    struck: Counter[str] = Counter()
    noticed: Counter[str] = Counter()
    rest = PublicRest(sim.rest)
    truth = httpx.AsyncClient(base_url=sim.rest, trust_env=False, timeout=10)
    witness = Witness(sim.ws, rest, truth, (await rest.exchange_info())[SYMBOL], LocalPace(1_000.0), QUICK)

    async def compare() -> None:
        while True:
            assert await witness.differences() == []
            await asyncio.sleep(0.1)

    async def settled() -> None:
        await until(lambda: witness.is_proven, PATIENCE_S, lambda: witness.sync.reason)

    witness.start()
    comparing = asyncio.create_task(compare())
    try:
        for fault in FAULTS * times:
            await settled()
            await asyncio.sleep(0.3)
            await settled()
            before, injected = int(fault.noticed(witness)), sim.state()["injected"].get(fault.kind, 0)
            if fault.kind == "blocked":
                before, witness.stream.last_fault = 0, ""
            sim.fault(fault.kind, symbol=SYMBOL, count=1, params={"delay_ms": fault.delay_ms})
            if fault.provoked_by:
                sim.fault(fault.provoked_by, symbol=SYMBOL, count=1)
            kind = fault.kind
            await until(lambda: sim.state()["injected"].get(kind, 0) > injected, PATIENCE_S, lambda: f"{kind} strikes")  # noqa: B023
            struck[kind] += 1
            await until(lambda: int(fault.noticed(witness)) > before, PATIENCE_S, lambda: f"{kind} noticed")  # noqa: B023
            noticed[kind] += 1
            sim.clear_faults()
        await settled()
        await until(lambda: comparing.done() or witness.checked > 5 * times, PATIENCE_S, lambda: witness.checked)
        if comparing.done():
            comparing.result()
    finally:
        sim.clear_faults()
        comparing.cancel()
        await asyncio.gather(comparing, return_exceptions=True)
        await witness.close()
        await truth.aclose()
        await rest.close()
    assert witness.crashes == []
    assert witness.sync.audit.counters.differing == 0
    return struck, noticed, witness.checked


@pytest.mark.soak
@pytest.mark.timeout(1_200)
async def test_market_stream_notices_each_of_ten_faults_of_every_kind(sim: SimulatorProcess) -> None:
    struck, noticed, checked = await strike_each(sim, times=10)
    print(f"\nstruck {dict(struck)}, noticed {dict(noticed)}, {checked} comparisons with the truth, 0 differ")
    assert noticed == struck == Counter({fault.kind: 10 for fault in FAULTS})
    assert checked > 50
