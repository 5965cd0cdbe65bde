"""The fleet of a start: Ray, the executor, the supervisor, and their orderly end.

May import `actors.handles`, the actors' doors and `trading.adapters.store`. Import it only after
`ray_environment.prepare`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from actors import handles
from actors.clients import ExecutorHandle, SupervisorHandle
from actors.executor_values import ExecutorStatus
from actors.fleet import FleetCommand, ShutdownReport
from actors.process_identity import is_certainly_dead
from actors.recipes import ExecutorRecipe, SupervisorRecipe, SystemConfig
from actors.workflow import TERMINAL_STATES, CommandKind
from trading.adapters.settings import Settings
from trading.adapters.store.fleet import FleetStore
from trading.model.errors import ConfigError, NotRunning, OutcomeUnknown, TradingError

START_TIMEOUT_S = 90.0
CHECK_INTERVAL_S = 5.0
# Ray restarts the supervisor by itself in about 1.5 s; silence of half a minute means that Ray itself is gone.
SILENT_CHECKS_MAX = 6
SLOTS = 2_000
# An executor that lost its lease is started anew by Ray and takes the next one: some seconds on a busy machine.
LEASE_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class ShutdownSummary:
    """The end of the fleet, for people (`lines`) and for programs (`text`, JSON)."""

    is_confirmed: bool
    lines: tuple[str, ...]
    text: str


def summary_of(report: ShutdownReport) -> ShutdownSummary:
    """Say how a shutdown ended: "open orders: 0, verified at …", or plainly NOT CONFIRMED."""
    at = time.strftime("%H:%M:%S", time.gmtime(report.verified_at_ns / 1e9))
    lines = [f"{drain.symbol}: {drain.reason or 'not confirmed'}" for drain in report.drains if not drain.is_confirmed]
    held = [f"{drain.position_qty} {drain.symbol}" for drain in report.drains if drain.position_qty not in ("", "0")]
    if held:
        lines.append(f"still held: {', '.join(held)}")
    if report.is_confirmed:
        lines.append(f"drained {len(report.drains)} symbols; open orders: {report.open_orders}, verified at {at} UTC")
    else:
        count = "unknown" if report.open_orders is None else report.open_orders
        lines.append(f"NOT CONFIRMED: open orders: {count} of {len(report.drains)} symbols")
    return ShutdownSummary(report.is_confirmed, tuple(lines), json.dumps(asdict(report)))


class LauncherFleet:
    """Owned by the launcher or by `down`. `connect`, then `start` or `shutdown`, then `close`."""

    def __init__(self, config: SystemConfig, settings: Settings, say: Callable[[str], None]) -> None:
        self.config = config
        self.address = settings.ray_address or ""
        self.is_detached = settings.ray_address is not None
        self.is_started = False
        self.is_left_running = False
        self._is_committed = False
        self._settings = settings
        self._say = say
        self._supervisor = SupervisorHandle()
        self._executor = ExecutorHandle(config.account)
        self._next_check = 0.0
        self._silent = 0

    def connect(self, ray_folder: Path) -> None:
        """Start a Ray of our own, or attach to the one that was named. Blocks some seconds. Raises: NotRunning."""
        began = time.monotonic()
        if self.address:
            handles.connect(self.address, self.config.namespace)
        else:
            self.address = handles.start_local(ray_folder, self.config.namespace, SLOTS)
        self._say(f"Ray at {self.address} ready after {time.monotonic() - began:.1f} s")

    async def start(self, pid: int) -> None:
        """Begin the session and start executor and supervisor; join those that outlived an earlier `up`.

        They come up by themselves: see `await_up`. Raises: NotRunning, StoreError, ConfigError.
        """
        if handles.SUPERVISOR in handles.actor_names(self.config.namespace):
            await self._join()
            return
        store = FleetStore.open(self.config.database_url, self.config.account, self.config.session)
        try:
            if handles.executor_name(self.config.account) not in handles.actor_names(self.config.namespace):
                await await_free_account(store, self.config.account)
            await store.begin_session(
                self.config.mode.value, self.config.venue.value, self._settings.masked(), pid, time.time_ns()
            )
        finally:
            await store.close()
        handles.spawn(handles.executor_name(self.config.account), ExecutorRecipe(self.config), handles.SHARED_PLACEMENT)
        handles.spawn(handles.SUPERVISOR, SupervisorRecipe(self.config), handles.SHARED_PLACEMENT)
        self.is_started = True

    async def request_symbols(self, symbols: tuple[str, ...]) -> None:
        """Ask for the symbols that do not run yet. Raises: ConfigError, Refused, NotRunning, OutcomeUnknown."""
        running = {row.symbol for row in await self._supervisor.table() if row.state not in TERMINAL_STATES}
        missing = tuple(symbol for symbol in symbols if symbol not in running)
        if missing:
            await self._supervisor.request(FleetCommand(CommandKind.SPAWN, missing, by="launcher", timeout_s=120.0))

    @property
    def outlives_us(self) -> bool:
        """True when the fleet stays after us: it runs on another's Ray, and its start is complete."""
        return self.is_detached and self.is_started and self._is_committed

    def commit(self) -> None:
        """The start is complete: from now on the fleet is not taken back by a failure of ours."""
        self._is_committed = True

    async def check(self) -> str | None:
        """Look after Ray now and then; return a sentence when it is gone for good."""
        now = time.monotonic()
        if now < self._next_check:
            return None
        self._next_check = now + CHECK_INTERVAL_S
        self._silent = 0 if await self._supervisor.is_alive() else self._silent + 1
        if self._silent < SILENT_CHECKS_MAX:
            return None
        return "the supervisor has not answered for half a minute: Ray is gone (see the logs); start again"

    async def shutdown(self, is_flatten: bool, most_s: float | None) -> ShutdownSummary:
        """Drain every symbol, then end supervisor and executor. Never raises; bounded by `most_s` when given."""
        timeout_s = most_s if most_s is not None else 3 * self.config.drain_timeout_s + 20
        summary = await shut_down(self.config.namespace, self.config.account, is_flatten, timeout_s, self._say)
        self.is_started = False
        return summary

    async def close(self) -> None:
        """Leave Ray; a fleet on a Ray of our own ends with it, one on another's Ray stays unless it was shut down."""
        if not handles.is_connected():
            return
        self.is_left_running = self.outlives_us
        if self.is_started and not self.is_left_running:
            await end_actors(self.config.namespace, self.config.account, self._say)
        handles.disconnect()

    async def _join(self) -> None:
        status = await self._supervisor.status()
        prefix = handles.executor_name("")
        names = handles.actor_names(self.config.namespace)
        accounts = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        self.config = replace(self.config, session=status.session, account=(*accounts, self.config.account)[0])
        self._executor = ExecutorHandle(self.config.account)
        self.is_started = self._is_committed = True
        self._say(f"joined the fleet that runs already (session {status.session})")

    async def await_up(self) -> None:
        """Wait until both answer and the executor is ready. Raises: NotRunning with the last thing that was said."""
        began = time.monotonic()
        deadline = began + START_TIMEOUT_S
        said = "no answer"
        while time.monotonic() < deadline:
            try:
                await self._supervisor.status()
                if (await self._executor.status()).is_ready:
                    self._say(f"executor and supervisor ready after {time.monotonic() - began:.1f} s")
                    return
                said = "the executor is not ready"
            except (NotRunning, OutcomeUnknown) as error:
                said = str(error)
            await asyncio.sleep(0.1)
        raise NotRunning(f"executor and supervisor did not come up within {START_TIMEOUT_S:g} s: {said}")


class LeaseSource(Protocol):
    """Who knows the account's lease: the fleet's store."""

    async def executor_lease(self) -> tuple[str, int] | None:
        """Return who may send orders for the account now, and until when; None: nobody. Raises: StoreError."""
        ...


async def await_free_account(store: LeaseSource, account: str, step_s: float = 0.25) -> None:
    """Wait for the end of a lease that nobody renews, whose owner may be dead: one life of a lease at the longest.

    Raises: ConfigError when it is renewed: somebody else trades this account; StoreError.
    """
    first = held = await store.executor_lease()
    while held is not None and not is_certainly_dead(held[0]):
        if held != first:
            raise ConfigError(
                f"another mexcbot trades the account {account} in this database (session {held[0].partition(':')[0]}): "
                "stop it first (mexcbot down with its --data-dir)"
            )
        await asyncio.sleep(step_s)
        held = await store.executor_lease()


class StatusSource(Protocol):
    """Who tells of the executor: its handle."""

    async def status(self) -> ExecutorStatus:
        """Return what the executor knows of itself. Raises: TradingError."""
        ...


async def await_lease(executor: StatusSource, patience_s: float = LEASE_PATIENCE_S, step_s: float = 0.2) -> bool:
    """Wait, bounded, until the executor holds its lease: its database was away, and it may have to start anew.

    Returns: whether it does. Never raises: a drain that comes too early says NOT CONFIRMED by itself.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with contextlib.suppress(TradingError):
            status = await executor.status()
            if status.is_ready and status.is_lease_valid:
                return True
        await asyncio.sleep(step_s)
    return False


async def shut_down(
    namespace: str, account: str, is_flatten: bool, timeout_s: float, say: Callable[[str], None]
) -> ShutdownSummary:
    """Drain the fleet of a namespace through its supervisor, then end its actors. Never raises."""
    try:
        summary = summary_of(await SupervisorHandle().shutdown(is_flatten, timeout_s))
    except TradingError as error:
        line = f"NOT CONFIRMED: the supervisor did not drain the fleet: {error}"
        summary = ShutdownSummary(False, (line,), json.dumps({"is_confirmed": False, "reason": str(error)}))
    await end_actors(namespace, account, say)
    return summary


async def end_actors(namespace: str, account: str, say: Callable[[str], None]) -> None:
    """End every actor of the namespace: the symbols and the supervisor, then the executor, which gives up its lease."""
    names = handles.actor_names(namespace)
    executor = handles.executor_name(account)
    for name in names:
        if name != executor:
            handles.kill(name)
    if executor in names:
        try:
            await handles.Handle(executor).control("close", timeout_s=5.0)
        except TradingError as error:
            say(f"the executor did not give up its lease: {error}")
        handles.kill(executor)
