"""A drain whose database was away waits for the executor's lease, and not for ever."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from actors.executor_values import ExecutorStatus
from actors.launcher_fleet import await_lease
from tests.unit.actors.executor_fakes import System
from trading.model.errors import NotRunning


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
