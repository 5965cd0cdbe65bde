"""The event loop of our own processes: uvloop's where it is to be had (not on Windows), else asyncio's.

May import uvloop. Ray takes it by itself; who runs a loop of its own runs it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

try:
    import uvloop
except ImportError:
    LOOP_FACTORY = None
else:
    LOOP_FACTORY = uvloop.new_event_loop

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end on a loop of its own, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=LOOP_FACTORY) as runner:
        return runner.run(main)
