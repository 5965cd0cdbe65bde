"""The right to write an account: taken at start, renewed while we live, judged by our own monotonic clock.

May import `trading.model`, `trading.engine`, the process identity and the executor's state. A lapsed lease forbids
orders, never cancels (promise 4). The database may still call us the owner after a lapse: then it is ours again, under
the same epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from actors.executor_state import ExecutorState, JournalWork
from actors.process_identity import is_certainly_dead
from trading.adapters.clock import Clock
from trading.engine.ports import Journal
from trading.model.errors import FencedOut, InvariantViolated, NotRunning, StoreError
from trading.model.session import Lease
from trading.model.units import NS_PER_S

# Renewed three times within its life, so that one lost renewal changes nothing.
RENEWALS_PER_TTL = 3
TAKE_RETRY_S = 0.25
PROBE_S = 0.25
T = TypeVar("T")
log = structlog.get_logger("executor")


class LeaseKeeper:
    """Owns the account's lease. Its end is counted from before the request, so that we never hold it too long."""

    def __init__(
        self, name: str, owner: str, ttl_s: float, state: ExecutorState, journal: Journal, clock: Clock
    ) -> None:
        self._name = name
        self._owner = owner
        self._ttl_s = ttl_s
        self._state = state
        self._journal = journal
        self._clock = clock
        self._lease: Lease | None = None
        self._valid_until_ns = 0
        # Who had it before us and did not give it up; empty when it was given up, or nobody ever had it.
        self.predecessor = ""

    @property
    def lease(self) -> Lease:
        """The lease. Raises: InvariantViolated before `take`."""
        if self._lease is None:
            raise InvariantViolated("expected a lease before the first write")
        return self._lease

    @property
    def epoch(self) -> int:
        """The lease's epoch; 0 before `take`."""
        return self._lease.epoch if self._lease is not None else 0

    def is_valid(self) -> bool:
        """True while nobody else can hold it."""
        return self._lease is not None and self._clock.monotonic_ns() < self._valid_until_ns

    async def take(self) -> Lease:
        """Take the lease; a second call renews it.

        A predecessor of this host that is gone for certain is succeeded at once; any other's lease has to run out.

        Raises: NotRunning when another living owner keeps it for longer than two lives of a lease; StoreError.
        """
        if self._lease is not None:
            await self.renew()
            return self._lease
        deadline_ns = self._clock.monotonic_ns() + int(2 * self._ttl_s * NS_PER_S) + NS_PER_S
        while True:
            holder = await self._journal.lease_owner(self._name)
            asked_ns = self._clock.monotonic_ns()
            try:
                self._lease = await self._journal.acquire_lease(
                    self._name, self._owner, self._ttl_s, holder if is_certainly_dead(holder) else ""
                )
            except FencedOut as error:
                if self._clock.monotonic_ns() >= deadline_ns:
                    raise NotRunning(f"another executor runs this account: {error}") from error
                await asyncio.sleep(TAKE_RETRY_S)
                continue
            self._valid_until_ns = asked_ns + int(self._ttl_s * NS_PER_S)
            self.predecessor = holder
            return self._lease

    async def renew(self) -> None:
        """Extend it now. Raises: FencedOut when it is another's (stop at once); StoreError when nobody could say."""
        asked_ns = self._clock.monotonic_ns()
        await self._journal.renew_lease(self.lease, self._ttl_s)
        self._valid_until_ns = max(self._valid_until_ns, asked_ns + int(self._ttl_s * NS_PER_S))
        self._state.on_journal(JournalWork.WRITES, True)

    async def write(self, work: Callable[[Lease], Awaitable[T]]) -> T:
        """Write something that others wait for; a lease that lapsed and that nobody took is renewed for it.

        Raises: StoreError when nobody could say whose it is; NotRunning when it is another executor's (ask that one).
        No FencedOut: to those who ask us it says that they themselves were replaced.
        """
        for _ in range(2):
            try:
                return await work(self.lease)
            except FencedOut:
                try:
                    await self.renew()
                except FencedOut as error:
                    raise NotRunning(f"this executor has been replaced: {error}") from error
        raise StoreError("the executor's lease lapses faster than it is renewed: ask again")

    async def release(self) -> None:
        """Give it up, so that a successor need not wait; best effort."""
        lease, self._lease = self._lease, None
        if lease is not None:
            try:
                await self._journal.release_lease(lease)
            except StoreError as error:
                log.warning("lease_not_released", reason=str(error))

    async def run(self) -> None:
        """Renew it for ever. Raises: FencedOut."""
        while True:
            await self._pause()
            try:
                await self.renew()
            except FencedOut:
                raise
            except StoreError as error:
                self._state.on_journal(JournalWork.WRITES, False)
                self._state.counters["journal_errors"] += 1
                log.error("lease_not_renewed", reason=str(error))

    async def _pause(self) -> None:
        """Wait until it is time; while writes fail that is soon: it is the renewal that shows when they work again."""
        for _ in range(max(1, round(self._ttl_s / RENEWALS_PER_TTL / PROBE_S))):
            await asyncio.sleep(PROBE_S)
            if self._state.is_failing(JournalWork.WRITES):
                return
