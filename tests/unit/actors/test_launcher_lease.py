"""Leases and the launcher: a drain waits for its executor's, a start for the end of another's; neither for ever."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from actors.executor_values import ExecutorStatus
from actors.launcher_fleet import await_free_account, await_lease
from actors.process_identity import own_identity
from tests.unit.actors.executor_fakes import System
from trading.model.errors import ConfigError, NotRunning


class Executor:
    """Answers in turn; the last answer stays."""

    def __init__(self, answers: Iterable[ExecutorStatus | NotRunning]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def status(self) -> ExecutorStatus:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, NotRunning):
            raise answer
        return answer


async def test_drain_waits_until_the_executor_is_up_ready_and_holds_its_lease(system: System) -> None:
    ready = await system.executor.status()
    assert ready.is_ready
    lapsed, starting = replace(ready, is_lease_valid=False), replace(ready, is_ready=False)
    executor = Executor([NotRunning("it starts"), starting, lapsed, ready])
    assert await await_lease(executor, 5.0, 0.0)
    assert executor.asked == 4


async def test_drain_goes_on_without_a_lease_when_time_is_up(system: System) -> None:
    assert not await await_lease(Executor([NotRunning("gone for good")]), 0.02, 0.0)


class Leases:
    """Tells the account's lease in turn; a lease that nobody renews has run out then."""

    def __init__(self, *told: tuple[str, int] | None) -> None:
        self.told = list(told)

    async def executor_lease(self) -> tuple[str, int] | None:
        return self.told.pop(0) if self.told else None


async def test_start_beside_a_living_executor_of_the_account_says_whom_to_stop() -> None:
    owner = f"20261129-130230-5f34:{own_identity()}"
    with pytest.raises(ConfigError, match=r"session 20261129-130230-5f34\): stop it first \(mexcbot down") as caught:
        await await_free_account(Leases((owner, 1), (owner, 1), (owner, 2)), "live-sim", 0.0)
    assert "\n" not in str(caught.value)


async def test_start_goes_on_when_the_lease_is_free_or_its_owner_gone() -> None:
    here, gone = f"s1:{own_identity()}", f"s1:{own_identity()}0"  # another start time: that process is no more
    for told in ([None], [(gone, 1)] * 9, [(here, 1), (here, 1), None], [("s1:elsewhere", 1), None]):
        leases = Leases(*told)
        await await_free_account(leases, "live-sim", 0.0)
        assert len(leases.told) == (8 if told[0] == (gone, 1) else 0)
