"""A bounded wait for a store that may hang. May import `trading.model`.

A server that is frozen, or behind a dead line, neither answers nor breaks the connection: what must go on without it
(a halt) waits so long and no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from trading.model.errors import StoreError

# A commit takes milliseconds.
PATIENCE_S = 1.0
# The share of its patience that is left while a call before has not ended: one request may need the store thrice.
HANGING_SHARE = 0.1
# A call that hangs is kept until the driver gives it up (ten seconds); more than these do not begin.
CALLS_MAX = 100
T = TypeVar("T")


class StorePatience:
    """Owned by one event loop. A call that is not waited for any more goes on: it may still be done."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._calls: set[asyncio.Task[Any]] = set()
        self._given_up: set[asyncio.Task[Any]] = set()

    async def wait(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what the call returns.

        Raises: what it raises; StoreError when it has not ended in time, or too many others have not.
        """
        if len(self._calls) >= CALLS_MAX:
            call.close()
            raise StoreError(f"the database has not answered {len(self._calls)} earlier calls yet")
        task = asyncio.create_task(call, name="store")
        self._calls.add(task)
        task.add_done_callback(self._ended)
        # Not cancelled: the driver takes ten seconds to give up a connection whose server hangs.
        patience_s = self._patience_s * (HANGING_SHARE if self._given_up else 1)
        done, _ = await asyncio.wait({task}, timeout=patience_s)
        if not done:
            self._given_up.add(task)
            raise StoreError(f"the database has not answered within {patience_s:g} s")
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        self._given_up.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; who does not wait any more needs it no more
