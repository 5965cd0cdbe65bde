"""Turns at the venue: what a node does without its supervisor, and who hears of a refusal."""

from __future__ import annotations

import asyncio
import random

import pytest

from actors.ip_turns import UNLEASED_WAIT_MAX_S, IpTurns
from tests.unit.actors.executor_fakes import settle
from tests.unit.actors.test_symbol_snapshots import FakeSupervisor


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long somebody would have slept; nobody does."""
    pauses: list[float] = []
    pause = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return pauses


async def test_turns_without_a_supervisor_come_ever_more_slowly_and_not_in_step(slept: list[float]) -> None:
    supervisor = FakeSupervisor()
    supervisor.is_away = True
    fleet = [IpTurns("n1", supervisor, random.Random(number)) for number in range(3)]
    waited = []
    for turns in fleet:
        slept.clear()
        for _ in range(10):
            await turns.take("snapshot")
        waited.append(tuple(slept))
    for pauses in waited:
        assert all(0.25 * 2**number <= pauses[number] <= 0.5 * 2**number for number in range(6))
        assert UNLEASED_WAIT_MAX_S / 2 <= pauses[-1] <= UNLEASED_WAIT_MAX_S
    assert len(set(waited)) == 3, "each at its own pace"

    supervisor.is_away = False
    slept.clear()
    await fleet[0].take("snapshot")
    assert slept == [0.0]
    supervisor.is_away = True
    slept.clear()
    await fleet[0].take("snapshot")
    assert slept[0] <= 0.5, "it was there meanwhile: anew"


async def test_turns_tell_of_refusals_without_keeping_anybody_waiting() -> None:
    supervisor = FakeSupervisor()
    turns = IpTurns("n1", supervisor)
    for seconds in (1.0, 90.0, 2.0):
        turns.tell_soon(seconds)
    assert supervisor.blocks == []
    await settle()
    assert supervisor.blocks == [90.0]
    turns.tell_soon(3.0)
    await settle()
    assert supervisor.blocks == [90.0, 3.0]


async def test_turn_that_had_to_wait_for_itself_only_is_not_taken_after_a_refusal_meanwhile(slept: list[float]) -> None:
    supervisor = FakeSupervisor()
    supervisor.held = [5.0]
    await IpTurns("n1", supervisor).take("connect", at_least_s=2.0)
    assert supervisor.leases == ["connect", "connect"]
    assert slept == [2.0, 0.0]
