"""The loop of our own processes."""

from __future__ import annotations

import asyncio
import sys

import pytest

from trading.adapters import event_loop


@pytest.mark.skipif(sys.platform == "win32", reason="there is no uvloop for Windows")
def test_event_loop_of_our_own_processes_is_uvloops() -> None:
    async def kind() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert event_loop.run(kind()) == "uvloop"
