"""`actors.handles` on a real Ray: names, errors, control calls, restart after death."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from trading.model.errors import NotRunning, OutcomeUnknown, Refused, TradingError

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def echo_name(ray_namespace: str) -> Iterator[str]:
    from actors import handles
    from tests.ray.hosted_actors import EchoRecipe

    name = f"echo:{uuid.uuid4().hex[:8]}"
    handles.spawn(name, EchoRecipe(), handles.SHARED_PLACEMENT)
    yield name
    handles.kill(name)


def test_local_ray_runs_its_agents_and_nobody_who_serves_no_one(ray_namespace: str) -> None:
    def names() -> set[str]:
        found = set()
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found |= {Path(word).name for word in process.cmdline()[:4]} | {process.name()}
        return found

    deadline = time.monotonic() + 60
    agents = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
    while not agents <= names() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert {"raylet", "gcs_server", *agents} <= names()
    assert not {"dashboard.py", "monitor.py", "log_monitor.py"} & names()


def test_handle_call_reaches_the_plain_actor(echo_name: str) -> None:
    from actors.handles import Handle

    assert int(asyncio.run(Handle(echo_name).call("ping", timeout_s=30))) > 0


def test_handle_spawn_twice_keeps_the_first_actor(echo_name: str) -> None:
    from actors import handles
    from tests.ray.hosted_actors import EchoRecipe

    handle = handles.Handle(echo_name)
    first = asyncio.run(handle.call("ping", timeout_s=30))
    handles.spawn(echo_name, EchoRecipe(), handles.SHARED_PLACEMENT)
    assert asyncio.run(handle.call("ping", timeout_s=30)) == first


def test_handle_own_error_comes_through_as_itself(echo_name: str) -> None:
    from actors.handles import Handle

    with pytest.raises(Refused, match="not armed"):
        asyncio.run(Handle(echo_name).call("refuse", timeout_s=30))


def test_handle_foreign_error_is_an_unknown_outcome(echo_name: str) -> None:
    from actors.handles import Handle

    with pytest.raises(OutcomeUnknown, match="lost"):
        asyncio.run(Handle(echo_name).call("break_down", timeout_s=30))


def test_handle_late_answer_is_an_unknown_outcome(echo_name: str) -> None:
    from actors.handles import Handle

    async def scene() -> None:
        handle = Handle(echo_name)
        await handle.call("ping", timeout_s=30)
        with pytest.raises(OutcomeUnknown, match=r"within 0\.2 s"):
            await handle.call("wait", 5.0, timeout_s=0.2)

    asyncio.run(scene())


def test_handle_unknown_name_is_not_running(ray_namespace: str) -> None:
    from actors.handles import Handle

    with pytest.raises(NotRunning, match="nobody is not running"):
        asyncio.run(Handle("nobody").call("ping"))


def test_handle_control_call_runs_on_the_actors_loop_while_data_calls_wait(echo_name: str) -> None:
    from actors.handles import Handle

    async def scene() -> None:
        handle = Handle(echo_name)
        await handle.call("ping", timeout_s=30)
        waiting = [asyncio.create_task(handle.call("wait", 8.0, timeout_s=60)) for _ in range(20)]
        started = time.monotonic()
        assert await handle.control("is_on_own_loop")
        assert time.monotonic() - started < 7
        await asyncio.gather(*waiting)

    asyncio.run(scene())


def test_handle_crashed_actor_comes_back_by_itself_as_a_new_process(echo_name: str) -> None:
    from actors.handles import Handle

    async def scene() -> None:
        handle = Handle(echo_name)
        first = await handle.call("ping", timeout_s=30)
        assert await handle.call("count") == 1
        with pytest.raises(OutcomeUnknown):
            await handle.call("die")
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                second = await handle.call("ping")
                break
            except TradingError:
                await asyncio.sleep(0.2)
        assert second != first
        assert await handle.call("count") == 1, "a call was run again in the new process"

    asyncio.run(scene())


def test_kill_named_actor_is_gone_for_good(echo_name: str, ray_namespace: str) -> None:
    from actors import handles

    asyncio.run(handles.Handle(echo_name).call("ping", timeout_s=30))
    assert echo_name in handles.actor_names(ray_namespace)
    assert handles.kill(echo_name)
    assert not handles.kill("nobody")
    deadline = time.monotonic() + 90
    while echo_name in handles.actor_names(ray_namespace) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert echo_name not in handles.actor_names(ray_namespace)
