"""Plain actors for the tests of `actors.handles`: what Ray workers import by name. May import `trading.model`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from trading.model.errors import Refused


class Echo:
    """Answers, fails, dies and blocks on demand."""

    def __init__(self, crash: Callable[[str], None]) -> None:
        self._crash = crash
        self._loop = asyncio.get_running_loop()
        self.calls = 0

    async def ping(self) -> str:
        """Return the process id."""
        return str(os.getpid())

    async def count(self) -> int:
        """Count the calls of this process."""
        self.calls += 1
        return self.calls

    async def refuse(self) -> None:
        """Say no in our own words."""
        raise Refused("not armed")

    async def break_down(self) -> None:
        """Fail in nobody's words."""
        raise KeyError("lost")

    async def die(self) -> None:
        """Crash the process."""
        self._crash("asked to")

    async def wait(self, seconds: float) -> None:
        """Answer late."""
        await asyncio.sleep(seconds)

    async def is_on_own_loop(self) -> bool:
        """Tell whether this call runs on the loop the actor was built on."""
        return asyncio.get_running_loop() is self._loop


@dataclass(frozen=True, slots=True)
class EchoRecipe:
    """Builds an `Echo`."""

    async def build(self, crash: Callable[[str], None]) -> Echo:
        """Return it."""
        return Echo(crash)
