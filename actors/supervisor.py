"""The supervisor: keeps the running fleet equal to the fleet that was asked for.

May import `trading.model`, `trading.adapters.clock` and the supervisor's own files; knows neither Ray nor the database.
A command is validated, committed as desired state, and answered with an operation id; `reconcile_once` then makes
observed equal desired, one task a symbol, so that no symbol waits for another. Everything it needs after its own death
is in the store and in the actors' heartbeats.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from actors.fleet import FleetCommand, Operation, ShutdownReport, SupervisorStatus, SymbolRow
from actors.ip_budget import IpBudget
from actors.supervisor_commands import CommandDesk
from actors.supervisor_ports import Catalog, ExecutorControl, SupervisorStore, SymbolFactory
from actors.supervisor_run import Run
from actors.supervisor_steps import RunSteps, SupervisorSettings
from actors.supervisor_watch import MarketWatch
from actors.workflow import RunEvent, Task, next_task
from trading.adapters.clock import Clock
from trading.model.errors import StoreError
from trading.model.instrument import Instrument
from trading.model.session import DesiredState, Heartbeat, RunState
from trading.model.units import NS_PER_S

_ALERTS = {
    RunEvent.FAILED.value: "warning",
    RunEvent.RESTARTED.value: "warning",
    RunEvent.DRAIN_UNCONFIRMED.value: "alert",
}
# Heartbeats come once a second; an actor without a name for as long as this is no slow one.
GONE_AFTER_S = 3.0
STRAY_AFTER_S = 2.0
_WITH_ACTOR = frozenset({RunState.SYNCING, RunState.TRADING, RunState.PAUSED})


class SupervisorActor:
    """One per instance. Invariant: desired state is committed before anything is done about it.

    Owned by Ray through `handles`; in tests constructed directly. All methods run on one event loop.
    """

    def __init__(
        self,
        store: SupervisorStore,
        factory: SymbolFactory,
        executor: ExecutorControl,
        catalog: Catalog,
        clock: Clock,
        settings: SupervisorSettings,
        node: str = "",
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._settings = settings
        self._node = node
        self._steps = RunSteps(factory, executor, catalog, clock, settings)
        self._runs: dict[str, Run] = {}
        self._desk = CommandDesk(store, catalog, clock, settings, self._runs)
        self._ip = IpBudget(
            {"snapshot": settings.snapshot_rate, "connect": settings.connect_rate, "audit": settings.audit_rate},
            settings.ip_burst,
        )
        self._watch = MarketWatch()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._strays: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._started_ns = clock.now_ns()
        self._is_loaded = False
        self._is_shutting_down = False
        self._shutdown_report: ShutdownReport | None = None
        self._reconciles = 0
        self._store_errors = 0
        self._loop_task: asyncio.Task[None] | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self, crash: Callable[[str], None]) -> None:
        """Begin to reconcile. crash: called with a reason when the loop dies, so that Ray starts the actor anew."""

        def on_done(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                crash(f"the reconcile loop ended: {task.exception()!r}")

        self._loop_task = asyncio.create_task(self._reconcile_forever(), name="reconcile")
        self._loop_task.add_done_callback(on_done)

    async def close(self) -> None:
        """End the loop and the symbols' tasks; nothing is done to the symbols."""
        tasks = [task for task in (self._loop_task, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ping(self) -> int:
        """Answer with the process id."""
        return os.getpid()

    # --- the doors --------------------------------------------------------------------------------------------------

    async def heartbeat(self, heartbeat: Heartbeat) -> None:
        """Take a symbol actor's word about itself. At most once, in any order; old ones are ignored by epoch."""
        run = self._runs.get(heartbeat.symbol)
        if run is None:
            return
        now_ns = self._clock.now_ns()
        run.observe(heartbeat, now_ns, self._clock.monotonic_ns())
        if self._watch.observe(heartbeat, now_ns):
            self._catalog.refresh_soon()
        if run.wanted.desired is DesiredState.PAUSED or run.is_resume_due:
            self._wake.set()

    async def request(self, command: FleetCommand) -> str:
        """Take a command: validate it, commit it, return the operation's id. All of it or nothing.

        Raises: ConfigError, UnknownSymbol, StaleEpoch, Refused (one sentence), StoreError (not taken).
        """
        operation_id = await self._desk.take(command)
        self._wake.set()
        return operation_id

    async def operation(self, operation_id: str) -> Operation | None:
        """Return an operation of this session; None when there is none."""
        return await self._desk.operation(operation_id)

    async def table(self) -> tuple[SymbolRow, ...]:
        """Return every symbol of the session, by name."""
        return tuple(self._runs[symbol].row() for symbol in sorted(self._runs))

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """Reserve one public request from a node's address; return the seconds to wait first. See `IpBudget.lease`."""
        return self._ip.lease(node, kind, weight, self._clock.monotonic_ns())

    async def ip_held(self, node: str) -> float:
        """Return how many seconds this node is still held back by `ip_blocked`; 0.0 when it is not."""
        return self._ip.held_s(node, self._clock.monotonic_ns())

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """The venue told this node to slow down: it gets nothing before that has passed."""
        self._ip.block(node, retry_after_s, self._clock.monotonic_ns())

    async def status(self) -> SupervisorStatus:
        """Say how it goes."""
        runs, clock = self._runs.values(), self._catalog.clock()
        return SupervisorStatus(
            session=self._settings.session,
            started_ns=self._started_ns,
            pid=os.getpid(),
            node=self._node,
            is_shutting_down=self._is_shutting_down,
            states=tuple(sorted(Counter(run.state.value for run in runs).items())),
            restarts=sum(run.record.restarts for run in runs),
            ignored_events=sum(run.ignored_events for run in runs),
            reconciles=self._reconciles,
            store_errors=self._store_errors,
            ip_waits=self._ip.waits(),
            ip_grants=self._ip.grants(),
            clock_skew_ms=clock[0] if clock is not None else None,
            clock_bound_ms=clock[1] if clock is not None else None,
        )

    async def shutdown(self, is_flatten: bool) -> ShutdownReport:
        """Drain every symbol at once, bounded in time, and end the session. Idempotent: a second call gets the report.

        Takes at most `drain_timeout_s` three times over (drain, cancel, end) plus a few seconds; new commands are
        refused from now on. A database that is away does not stop it.
        """
        if self._shutdown_report is not None:
            return self._shutdown_report
        self._is_shutting_down = True
        if not self._is_loaded:
            await self._load()
        await self._desk.stop_all(is_flatten)
        deadline_ns = self._clock.monotonic_ns() + int((3 * self._settings.drain_timeout_s + 10) * NS_PER_S)
        while any(not run.is_over for run in self._runs.values()) and self._clock.monotonic_ns() < deadline_ns:
            self._wake.set()
            await asyncio.sleep(min(0.1, self._settings.reconcile_interval_s))
        report = self._desk.shutdown_report()
        await self._flush()
        try:
            await self._store.end_session("confirmed" if report.is_confirmed else "NOT CONFIRMED", self._clock.now_ns())
        except StoreError:
            self._store_errors += 1
        self._shutdown_report = report
        return report

    # --- reconcile --------------------------------------------------------------------------------------------------

    async def reconcile_once(self) -> None:
        """Compare what is wanted with what is observed, and start what is missing. Never waits for a symbol.

        Idempotent; each symbol has at most one task. A store that is away leaves new runs for later.
        """
        self._reconciles += 1
        if not self._is_loaded and not await self._load():
            return
        is_seen = await self._steps.look()
        await self._open_runs()
        for run in tuple(self._runs.values()):
            if run.symbol not in self._tasks and (work := self._work(run, is_seen)) is not None:
                self._begin(run.symbol, work)
        if is_seen:
            self._end_strays()
        self._store_errors += await self._desk.settle()
        await self._flush()

    def _work(self, run: Run, is_seen: bool) -> Coroutine[Any, Any, None] | None:
        """Choose the next task of a run; None when it is as it should be, or has to wait."""
        mono_ns = self._clock.monotonic_ns()
        task = next_task(run.state, run.wanted.desired)
        match task:
            case Task.DRAIN:
                return self._steps.drain(run)
            case Task.START | Task.RETRY:
                is_due = mono_ns >= run.retry_at_ns and self._starting() < self._settings.starts_at_once
                return self._steps.start(run) if is_due else None
            case Task.WAIT_FOR_ACTOR:
                return self._steps.await_actor(run)
            case _:
                pass
        if run.state not in _WITH_ACTOR:
            return None
        # A look that began before a spawn may end after it: an actor that was just heard is there.
        if is_seen and run.symbol not in self._steps.living and run.silent_s(mono_ns) > GONE_AFTER_S:
            return self._steps.lost(run, "its actor is gone")
        if run.silent_s(mono_ns) > self._settings.silence_s:
            why = "its process is gone, or its strategy is stuck (a call that does not return)"
            return self._steps.lost(run, f"silent for {run.silent_s(mono_ns):.0f} s: {why}")
        if mono_ns < run.control_after_ns:
            return None
        if (instrument := self._changed(run)) is not None:
            return self._steps.replace(run, instrument)
        if run.is_flatten_due:
            return self._steps.flatten(run)
        if run.is_resume_due and run.wanted.desired is DesiredState.TRADING:
            return self._steps.resume(run)
        if task is Task.PAUSE:
            return self._steps.pause(run)
        return self._steps.set_params(run) if not run.has_wanted_params else None

    def _changed(self, run: Run) -> Instrument | None:
        """Return what the venue lists now when the actor trades by something else; it said so in its heartbeat."""
        instrument = self._catalog.instrument(run.symbol)
        if instrument is None or run.heartbeat is None or not run.heartbeat.filters:
            return None
        return instrument if instrument.exclusion or instrument.filters != run.heartbeat.filters else None

    async def _open_runs(self) -> None:
        """Give every wanted symbol that has no living run a new one."""
        for wanted in self._desk.without_run():
            try:
                record = await self._store.open_run(wanted.symbol, wanted.strategy, wanted.params, self._clock.now_ns())
            except StoreError:
                self._store_errors += 1
                return
            # A command may have come while the row was written: its wish is the newer one.
            current = self._desk.wanted.get(wanted.symbol, wanted)
            self._runs[wanted.symbol] = Run(record, current, *self._now(), self._settings.back_off)

    def _now(self) -> tuple[int, int]:
        return self._clock.now_ns(), self._clock.monotonic_ns()

    def _starting(self) -> int:
        """Count the symbols that start: a task that this very look has begun has not moved its run yet."""
        due = (RunState.REQUESTED, RunState.FAILED)
        return sum(
            run.state is RunState.STARTING or (run.state in due and run.symbol in self._tasks)
            for run in self._runs.values()
        )

    def _end_strays(self) -> None:
        """End actors that belong to no run of this session and are still there after a moment."""
        mono_ns = self._clock.monotonic_ns()
        strays = {
            symbol
            for symbol in self._steps.living
            if symbol not in self._tasks and ((run := self._runs.get(symbol)) is None or run.is_over)
        }
        self._strays = {symbol: self._strays.get(symbol, mono_ns) for symbol in sorted(strays)}
        for symbol, since_ns in self._strays.items():
            if mono_ns - since_ns > STRAY_AFTER_S * NS_PER_S:
                self._begin(symbol, self._steps.remove_stray(symbol))

    def _begin(self, symbol: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"workflow:{symbol}")
        self._tasks[symbol] = task
        task.add_done_callback(lambda done: self._ended(symbol, done))

    def _ended(self, symbol: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(symbol, None)
        self._wake.set()
        error = None if task.cancelled() else task.exception()
        if error is not None and (run := self._runs.get(symbol)) is not None:
            # A bug in a step is one symbol's failure, not the fleet's (promise 6).
            self._steps.fail(run, f"{type(error).__name__} in its workflow: {error}")

    async def _load(self) -> bool:
        """Read what was asked for and what was running; once. False when the store is away."""
        try:
            wanted = await self._store.wanted()
            records = await self._store.unfinished_runs()
            operations = await self._store.unfinished_operations()
        except StoreError:
            self._store_errors += 1
            return False
        self._desk.adopt(wanted, operations)
        if records:
            self._watch.on_reborn(len(records))
        for record in records:
            if (wish := self._desk.wanted.get(record.symbol)) is not None:
                run = Run(record, wish, *self._now(), self._settings.back_off)
                self._runs[record.symbol] = run
        self._desk.rearm()
        self._is_loaded = True
        return True

    async def _flush(self) -> None:
        """Save the moves of every run and raise their alerts; what the store does not take is kept for later."""
        for run in tuple(self._runs.values()):
            moves = run.take_unsaved()
            for index, move in enumerate(moves):
                try:
                    await self._store.save_run(move.record, move.event, move.detail)
                    if (level := _ALERTS.get(move.event)) is not None:
                        text = (
                            f"{run.symbol} {move.event}: {move.detail}" if move.detail else f"{run.symbol} {move.event}"
                        )
                        await self._store.raise_alert(
                            level, "symbol_" + move.event.split()[0], text, run.symbol, self._clock.now_ns()
                        )
                except StoreError:
                    self._store_errors += 1
                    run.give_back(moves[index:])
                    return
        alerts = self._watch.take()
        for index, alert in enumerate(alerts):
            try:
                await self._store.raise_alert(alert.level, alert.name, alert.text, alert.symbol, self._clock.now_ns())
            except StoreError:
                self._store_errors += 1
                self._watch.give_back(alerts[index:])
                return

    async def _reconcile_forever(self) -> None:
        while True:
            self._wake.clear()
            await self.reconcile_once()
            try:
                await asyncio.wait_for(self._wake.wait(), self._settings.reconcile_interval_s)
            except TimeoutError:
                continue
