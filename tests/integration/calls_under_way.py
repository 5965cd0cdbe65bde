"""Calls that are under way to what answers by the database. May import the standard library only."""

from __future__ import annotations

import asyncio
from typing import Any

PATIENCE_S = 60.0


class Working:
    """Counts the calls that are under way to what answers by the database: a process of its own, with its own pace."""

    def __init__(self) -> None:
        self._count = 0

    def through(self, target: Any) -> Any:
        """Give `target` with its calls counted."""

        class Counted:
            def __getattr__(_, name: str) -> Any:
                found = getattr(target, name)
                if not asyncio.iscoroutinefunction(found):
                    return found

                async def call(*arguments: Any, **named: Any) -> Any:
                    self._count += 1
                    try:
                        return await found(*arguments, **named)
                    finally:
                        self._count -= 1

                return call

        return Counted()

    async def over(self) -> None:
        """Wait until none is under way."""
        async with asyncio.timeout(PATIENCE_S):
            while self._count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
