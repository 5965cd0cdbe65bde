"""The whole market-data path of a symbol on the simulator's wire, under each market-data fault of the contract.

For every fault: it was injected, it was noticed, no book that said PROVEN differed from the simulator's truth at the
same version (top 50, both sides, sampled throughout), and afterwards the book is proven again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from bench.follower import NODE, BookFollower, LocalPace, until
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.adapters.mexc.market_connection import MarketStreamSettings
from trading.adapters.mexc.rest_public import PublicRest
from trading.engine.book_sync_settings import BookSyncSettings
from trading.model.market import BestQuote, BookDelta, BookState, FeedAlive, FeedConnected
from trading.model.units import NS_PER_S

SYMBOL = "BTCUSDT"
DEPTH = 50
PATIENCE_S = 60.0
OFTEN = BookSyncSettings(audit_first_ns=NS_PER_S, audit_interval_ns=NS_PER_S)


class Follower(BookFollower):
    """A follower whose book is held against the truth ten times a second."""

    async def check(self) -> None:
        assert await self.differences(DEPTH) == []

    async def tick(self, seconds: float) -> None:
        """Let time pass; the truth is compared ten times a second."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
            await self.check()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until the condition holds, as `tick` does."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, (self.sync.state, self.sync.reason, self.losses)
            await self.tick(0.1)

    async def until_proven(self) -> None:
        await self.until(lambda: self.sync.state is BookState.PROVEN)


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorProcess]:
    with running_simulator("--symbols", SYMBOL, "--seed", "11", "--limits", "off") as process:
        httpx.post(
            f"{process.rest}/sim/book_history", json={"symbol": SYMBOL, "keep": 20_000}, trust_env=False
        ).raise_for_status()
        yield process


@asynccontextmanager
async def following(sim: SimulatorProcess, book: BookSyncSettings = OFTEN, **settings: Any) -> AsyncIterator[Follower]:
    sim.clear_faults()
    rest = PublicRest(sim.rest)
    truth = httpx.AsyncClient(base_url=sim.rest, trust_env=False, timeout=30)
    instrument = (await rest.exchange_info())[SYMBOL]
    follower = Follower(sim.ws, rest, truth, instrument, LocalPace(1_000.0), MarketStreamSettings(**settings), book)
    follower.start()
    try:
        await follower.until_proven()
        yield follower
        sim.clear_faults()
        await follower.until_proven()
        await follower.until(lambda: follower.checked >= 5)
    finally:
        sim.clear_faults()
        await follower.close()
        await truth.aclose()
        await rest.close()
    assert follower.crashes == []
    assert follower.sync.audit.counters.differing == 0
    assert len(asyncio.all_tasks()) == 1, "a task was left behind"


def injected(sim: SimulatorProcess, kind: str) -> int:
    return int(sim.state()["injected"].get(kind, 0))


async def test_market_stream_without_faults_proves_the_book_and_keeps_it(sim: SimulatorProcess) -> None:
    async with following(sim) as follower:
        await follower.until(lambda: follower.stream.counters.frames > 20 and follower.sync.quote_check.checks > 0)
        counters = follower.sync.counters
        assert (counters.gaps, counters.resyncs, counters.stale, follower.losses) == (0, 1, 0, [])
        assert {FeedConnected, BookDelta, BestQuote} <= follower.kinds
        assert follower.sync.quote_check.mismatches == 0
        stats = follower.stream.counters
        assert stats.bytes_in > 50 * stats.frames
        assert (stats.connections, stats.losses, stats.overflows) == (1, 0, 0)


async def test_market_stream_at_10ms_is_proven_and_right(sim: SimulatorProcess) -> None:
    async with following(sim, interval="10ms") as follower:
        await follower.until(lambda: follower.checked >= 5 and follower.sync.quote_check.checks > 0)
        assert (follower.sync.counters.gaps, follower.sync.quote_check.mismatches) == (0, 0)


@pytest.mark.parametrize("kind", ["drop_delta", "reorder_delta"])
async def test_market_stream_broken_chain_is_a_gap_and_heals(sim: SimulatorProcess, kind: str) -> None:
    async with following(sim) as follower:
        before = injected(sim, kind)
        sim.fault(kind, symbol=SYMBOL, probability=0.2, seed=3)
        await follower.until(lambda: follower.sync.counters.gaps >= 2)
        assert injected(sim, kind) > before
        assert follower.losses == []


async def test_market_stream_repeated_delta_changes_nothing(sim: SimulatorProcess) -> None:
    async with following(sim) as follower:
        before = injected(sim, "duplicate_delta")
        sim.fault("duplicate_delta", symbol=SYMBOL, probability=0.5, seed=3)
        await follower.until(lambda: follower.sync.counters.duplicates > 2)
        assert injected(sim, "duplicate_delta") > before
        assert follower.sync.counters.gaps == 0


@pytest.mark.parametrize("kind", ["stale_snapshot", "snapshot_inside"])
async def test_market_stream_awkward_snapshot_never_makes_a_wrong_book(sim: SimulatorProcess, kind: str) -> None:
    async with following(sim) as follower:
        before = injected(sim, kind)
        sim.fault(kind, symbol=SYMBOL, count=2)
        sim.fault("drop_delta", symbol=SYMBOL, count=1)
        await follower.until(lambda: follower.sync.counters.gaps > 0 and injected(sim, kind) > before)


@pytest.mark.parametrize("kind", ["truncated_frame", "garbage_frame"])
async def test_market_stream_undecodable_frame_costs_the_proof_and_heals(sim: SimulatorProcess, kind: str) -> None:
    async with following(sim) as follower:
        before = injected(sim, kind)
        sim.fault(kind, symbol=SYMBOL, count=2)
        await follower.until(lambda: follower.stream.decode_errors >= 2)
        assert injected(sim, kind) == before + 2
        assert follower.stream.decode_errors == 2
        assert [reason.startswith("undecodable frame") for reason in follower.losses] == [True, True]
        assert follower.stream.counters.connections == 1, "the line itself is good"


async def test_market_stream_frame_without_a_body_is_a_sign_of_life(sim: SimulatorProcess) -> None:
    async with following(sim) as follower:
        before = injected(sim, "empty_frame")
        sim.fault("empty_frame", symbol=SYMBOL, count=5)
        await follower.until(lambda: FeedAlive in follower.kinds)
        assert injected(sim, "empty_frame") > before
        assert follower.losses == []


@pytest.mark.parametrize(("kind", "words"), [("close", "ConnectionClosed"), ("rollover", "closed by the venue")])
async def test_market_stream_ended_connection_is_told_and_replaced(
    sim: SimulatorProcess, kind: str, words: str
) -> None:
    async with following(sim) as follower:
        before = injected(sim, kind)
        sim.fault(kind, symbol=SYMBOL, count=1)
        await follower.until(lambda: len(follower.losses) > 0)
        await follower.until_proven()
        assert injected(sim, kind) == before + 1
        assert len(follower.losses) == 1
        assert words in follower.losses[0] or "ConnectionClosed" in follower.losses[0]
        assert follower.stream.counters.connections == 2


async def test_market_stream_blocked_topic_is_noticed_though_its_code_is_0(sim: SimulatorProcess) -> None:
    async with following(sim) as follower:
        sim.fault("blocked", symbol=SYMBOL, count=1)
        sim.fault("close", symbol=SYMBOL, count=1)
        await follower.until(lambda: "subscription refused" in follower.stream.last_fault)
        await follower.until_proven()
        assert follower.stream.counters.connections == 3


async def test_market_stream_stalled_symbol_is_noticed_though_pings_are_answered(sim: SimulatorProcess) -> None:
    quick = {"silence_min_s": 1.0, "silence_factor": 1.0, "silence_frames_min": 10, "ping_interval_s": 0.3}
    async with following(sim, **quick) as follower:
        await follower.until(lambda: follower.stream.counters.frames > 12)
        before = injected(sim, "stall")
        sim.fault("stall", symbol=SYMBOL, count=1, params={"delay_ms": 2_500})
        await follower.until(lambda: injected(sim, "stall") == before + 1)
        heard = len(follower.losses)
        await follower.until(
            lambda: any(reason.startswith("silent: no data for") for reason in follower.losses[heard:])
        )


async def test_market_stream_whose_depth_topic_alone_dies_is_not_proven_and_gets_a_new_connection(
    sim: SimulatorProcess,
) -> None:
    """Trades and book ticker go on, PINGs are answered: only the depth pushes stay away."""
    quick = replace(OFTEN, ticker_patience_ns=NS_PER_S, dead_after_ns=2 * NS_PER_S)
    async with following(sim, quick) as follower:
        sim.fault("drop_delta", symbol=SYMBOL, probability=1.0, seed=1)
        await follower.until(lambda: bool(follower.losses))
        assert follower.losses[0].startswith("no depth push though newer versions are shown")
        assert follower.sync.counters.dead_lines == 1
        proofs = follower.sync.counters.proofs
        await follower.tick(2.0)
        assert not follower.is_proven
        assert follower.sync.counters.proofs == proofs, "the ticker alone proves nothing any more"
        sim.clear_faults()
        await follower.until_proven()
        assert follower.stream.counters.connections <= 4


async def test_market_stream_whose_depth_topic_dies_while_all_is_silent_is_found_by_an_audit(
    sim: SimulatorProcess,
) -> None:
    """The subscription is gone, the line is not: what REST shows is the only witness."""
    quick = replace(OFTEN, audit_quiet_ns=NS_PER_S, ahead_patience_ns=NS_PER_S, ticker_patience_ns=60 * NS_PER_S)
    quick = replace(quick, dead_after_ns=60 * NS_PER_S)
    async with following(sim, quick) as follower:
        sim.fault("drop_delta", symbol=SYMBOL, probability=1.0, seed=1)
        await follower.until(lambda: follower.sync.counters.dead_lines > 0)
        assert not follower.is_proven
        await follower.until(lambda: follower.stream.counters.losses > 0)


async def test_market_stream_rolls_over_with_no_unproven_moment(sim: SimulatorProcess) -> None:
    async with following(sim, rollover_s=1.0, rollover_overlap_s=0.5) as follower:
        await follower.until(lambda: follower.stream.counters.rollovers >= 2)
        await follower.tick(1)
        counters = follower.sync.counters
        assert (counters.gaps, counters.resyncs, follower.losses) == (0, 1, [])
        assert follower.sync.state is BookState.PROVEN
        keys = [(trade.exch_ts_ns, trade.price_ticks, trade.qty_lots, trade.taker_side) for trade in follower.trades]
        assert len(keys) == len(set(keys)), "a trade was told twice"


async def test_market_stream_audits_a_moving_book_and_finds_it_right(sim: SimulatorProcess) -> None:
    async with following(sim) as follower:
        await follower.until(lambda: follower.sync.audit.counters.done >= 3)
        counters = follower.sync.audit.counters
        assert counters.levels > 100
        assert (counters.differing, follower.sync.counters.resyncs) == (0, 1)


@pytest.mark.parametrize("kind", ["http_429", "delay_reply"])
async def test_market_stream_snapshot_that_is_refused_or_late_only_delays_the_proof(
    sim: SimulatorProcess, kind: str
) -> None:
    async with following(sim) as follower:
        before = injected(sim, kind)
        sim.fault(kind, count=1, params={"path": "/api/v3/depth", "delay_ms": 600})
        sim.fault("drop_delta", symbol=SYMBOL, count=1)
        await follower.until(lambda: follower.sync.counters.gaps > 0 and injected(sim, kind) > before)
        await follower.until_proven()
        assert follower.losses == [], "the socket stays"


async def test_market_stream_firewall_page_silences_the_whole_node(sim: SimulatorProcess) -> None:
    sim.clear_faults()
    rest, pace = PublicRest(sim.rest), LocalPace(1_000.0)
    truth = httpx.AsyncClient(base_url=sim.rest, trust_env=False, timeout=30)
    instrument = (await rest.exchange_info())[SYMBOL]
    sim.fault("html_403", count=1, params={"path": "/api/v3/depth"})
    follower = Follower(sim.ws, rest, truth, instrument, pace)
    follower.start()
    await until(lambda: pace.blocks == 1, PATIENCE_S, lambda: follower.sync.reason)
    requests = rest.requests
    await asyncio.sleep(1.0)
    assert await pace.ip_held(NODE) > 60
    assert (rest.requests, follower.is_proven) == (requests, False)
    await follower.close()
    await truth.aclose()
    await rest.close()
