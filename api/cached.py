"""One value that many readers share: fetched at most once per interval. May import `trading.model`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from trading.model.errors import NotRunning, TradingError

T = TypeVar("T")


class Cached(Generic[T]):
    """Owned by one event loop. Invariant: at most one fetch at a time, none sooner than `max_age_s` after the last.

    A failure is remembered as long as a value, so that a dead source is not asked by every reader.
    """

    def __init__(self, name: str, fetch: Callable[[], Awaitable[T]], max_age_s: float, timeout_s: float) -> None:
        self._name = name
        self._fetch = fetch
        self._max_age_s = max_age_s
        self._timeout_s = timeout_s
        self._value: T | None = None
        self._value_at = 0.0
        self._error: TradingError | None = None
        self._checked_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        # How often what was known was declared outdated, and how often it had been when the last fetch began.
        self._forgotten = 0
        self._fetched = 0

    async def get(self) -> T:
        """Return a value at most `max_age_s` old. Raises: the TradingError of the last fetch."""
        await self.refresh()
        if self._error is not None:
            raise self._error
        assert self._value is not None
        return self._value

    async def refresh(self) -> None:
        """Fetch when what is known is too old; waits for a fetch that is under way. Raises nothing."""
        is_known = self._fetched == self._forgotten and self._now() - self._checked_at < self._max_age_s
        if self._task is None and is_known:
            return
        # A reader that leaves must not take the fetch of the others with it.
        await asyncio.shield(self._task or self._begin())
        if self._fetched != self._forgotten:  # it had begun before `forget`
            await asyncio.shield(self._task or self._begin())

    def forget(self) -> None:
        """Make the next `get` fetch anew: what was cached, or is being fetched, is known to be outdated."""
        self._forgotten += 1

    @property
    def last(self) -> T | None:
        """The last value that was fetched, however old; None before the first."""
        return self._value

    @property
    def age_s(self) -> float:
        """Seconds since the last successful fetch; infinite before the first."""
        return self._now() - self._value_at if self._value is not None else float("inf")

    @property
    def error(self) -> str:
        """Why the last fetch failed; empty when it did not."""
        if self._error is None:
            return ""
        return str(self._error.args[0]) if self._error.args else type(self._error).__name__

    def _begin(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._run(self._forgotten), name=f"fetch {self._name}")
        return self._task

    async def _run(self, forgotten: int) -> None:
        try:
            self._value = await asyncio.wait_for(self._fetch(), self._timeout_s)
            self._value_at = self._now()
            self._error = None
        except TradingError as error:
            self._error = error
        except TimeoutError:
            self._error = NotRunning(f"{self._name}: no answer within {self._timeout_s:g} s")
        finally:
            self._checked_at, self._fetched = self._now(), forgotten
            self._task = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
