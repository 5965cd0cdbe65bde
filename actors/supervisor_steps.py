"""What the supervisor does to one symbol: the steps of its run, each bounded in time and safe to repeat.

May import `trading.model`, `trading.adapters.clock` and the supervisor's other files. Each public method is the body of
one task; it changes only its own `Run` and raises nothing of `TradingError`: a failed step is a state of the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from actors.fleet import DrainReport
from actors.recipes import SymbolSpec
from actors.supervisor_ports import Catalog, ExecutorControl, SymbolFactory
from actors.supervisor_run import Run
from actors.workflow import BackOff, RunEvent, Step
from trading.adapters.clock import Clock
from trading.model.errors import ConfigError, NotRunning, OutcomeUnknown, TradingError
from trading.model.instrument import Instrument
from trading.model.session import DesiredState, RunState
from trading.model.units import NS_PER_S

T = TypeVar("T")
# A control call that failed, or that no heartbeat confirms, is made again, but not at the pace of the reconcile loop.
CONTROL_RETRY_NS = 2 * NS_PER_S


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """The supervisor's times and rates.

    Attributes:
        session: id of this run of the system. strategy, params: what a SPAWN without its own gets.
        start_timeout_s: from spawn to the first heartbeat (forty at once need 12.5 s on two cores).
        silence_s: without a heartbeat for so long an actor counts as lost; Ray itself brings one back in about 1.5 s, a
            lost node's in 15 s.
        call_timeout_s: bound of one control call. drain_timeout_s: bound of one symbol's drain.
        starts_at_once: symbols that start together; a process start costs 0.3 s of a core.
        snapshot_rate, connect_rate, audit_rate, ip_burst: what a node's address may send beside orders (`IpBudget`).
    """

    session: str
    strategy: str
    params: tuple[tuple[str, str], ...] = ()
    reconcile_interval_s: float = 0.5
    start_timeout_s: float = 60.0
    silence_s: float = 20.0
    call_timeout_s: float = 5.0
    drain_timeout_s: float = 20.0
    snapshot_rate: float = 5.0
    connect_rate: float = 5.0
    audit_rate: float = 0.75
    ip_burst: float = 3.0
    starts_at_once: int = 16
    back_off: BackOff = field(default_factory=BackOff)


class RunSteps:
    """The steps, over the ports. Holds no state of its own but `living`, the actors seen last."""

    def __init__(
        self,
        factory: SymbolFactory,
        executor: ExecutorControl,
        catalog: Catalog,
        clock: Clock,
        settings: SupervisorSettings,
    ) -> None:
        self._factory = factory
        self._executor = executor
        self._catalog = catalog
        self._clock = clock
        self._settings = settings
        self.living: frozenset[str] = frozenset()

    async def look(self) -> bool:
        """Read which actors live; False when Ray did not say."""
        try:
            self.living = await asyncio.wait_for(self._factory.living(), self._settings.call_timeout_s)
        except (TradingError, TimeoutError):
            return False
        return True

    async def start(self, run: Run) -> None:
        """REQUESTED or FAILED → STARTING → (first heartbeat) SYNCING: preflight, spawn, wait."""
        run.apply(RunEvent.RETRIED if run.state is RunState.FAILED else RunEvent.STARTED, "", self._clock.now_ns())
        self._note(run, Step.PREFLIGHT, "begun")
        try:
            await self._preflight(run)
            self._note(run, Step.PREFLIGHT, "done")
            # What is left of an earlier try goes first, so that the new actor is built with this run's number.
            await self._remove(run.symbol)
        except (TradingError, TimeoutError) as error:
            self.fail(run, _text(error))
            return
        await self.await_actor(run)

    async def await_actor(self, run: Run) -> None:
        """STARTING: make the actor unless it lives, and wait for its first word; FAILED when none comes in time."""
        deadline_ns = self._clock.monotonic_ns() + int(self._settings.start_timeout_s * NS_PER_S)
        try:
            if not await self.look() or run.symbol not in self.living:
                self._note(run, Step.SPAWN, "begun")
                run.was_spawned_paused = run.wanted.desired is DesiredState.PAUSED
                await self._bounded(self._factory.spawn(self._spec(run)), self._settings.start_timeout_s)
        except (TradingError, TimeoutError) as error:
            self.fail(run, _text(error))
            return
        missing = 0
        while _is_starting(run):
            await asyncio.sleep(min(0.25, self._settings.reconcile_interval_s))
            # An actor that cannot be built is not restarted by Ray; seen missing three times, it is gone.
            missing = missing + 1 if await self.look() and run.symbol not in self.living else 0
            if not _is_starting(run):
                return
            if missing >= 3:
                self.fail(run, "its actor ended while it was starting: see the logs of its node")
            elif self._clock.monotonic_ns() > deadline_ns:
                await self._give_up(run, f"no heartbeat within {self._settings.start_timeout_s:g} s of its start")

    async def lost(self, run: Run, reason: str) -> None:
        """SYNCING, TRADING or PAUSED without a sign of life: end what is left of the actor; it starts anew."""
        await self._give_up(run, reason)

    async def replace(self, run: Run, instrument: Instrument) -> None:
        """Its filters changed while it ran: cancel by the old ones, end the actor, and start anew by the new ones.

        The book ends with the actor, and the next one syncs under a new owner epoch; what cannot be traded any more
        fails its preflight until the venue lists it again.
        """
        self._note(run, Step.DRAIN, "begun")
        report = await self._drain_actor(run, is_flatten=False)
        verified = await self._verify(run, report)
        self._note(run, Step.DRAIN, "done" if verified.is_confirmed else verified.reason)
        await self._give_up(run, f"its filters changed: {instrument.exclusion or instrument.filters}")
        run.retry_at_ns = self._clock.monotonic_ns()

    async def pause(self, run: Run) -> None:
        """Tell the actor to pause; its heartbeat then says that it did."""
        await self._control(run, self._factory.control(run.symbol).pause("asked for"))

    async def resume(self, run: Run) -> None:
        """Tell the actor to trade again; one that has drained for a flatten is replaced instead."""
        if run.needs_new_actor:
            run.needs_new_actor = run.is_resume_due = False
            await self._give_up(run, "replaced after a flatten")
            run.retry_at_ns = self._clock.monotonic_ns()
            return
        if await self._control(run, self._factory.control(run.symbol).resume()):
            run.is_resume_due = False
            if run.state is RunState.PAUSED:
                run.apply(RunEvent.RESUMED, "", self._clock.now_ns())

    async def set_params(self, run: Run) -> None:
        """Give the actor the parameters that were asked for."""
        await self._control(run, self._factory.control(run.symbol).set_params(dict(run.wanted.params)))

    async def flatten(self, run: Run) -> None:
        """Cancel and exit the position; the run then stays paused until a person resumes it."""
        report = await self._drain_actor(run, is_flatten=True)
        if report is not None and report.is_confirmed:
            run.is_flatten_due, run.needs_new_actor = False, True
            run.apply(RunEvent.PAUSED, f"flattened, holds {report.position_qty or 'unknown'}", self._clock.now_ns())

    async def drain(self, run: Run) -> None:
        """Any state → DRAINING → STOPPED, or KILLED when the venue did not confirm 0 open orders; ends the actor."""
        run.apply(RunEvent.DRAIN_STARTED, "", self._clock.now_ns())
        self._note(run, Step.DRAIN, "begun")
        await self.look()
        report = await self._drain_actor(run, run.wanted.is_flatten) if run.symbol in self.living else None
        is_silent = report is None or not report.is_confirmed
        run.drain = await self._verify(run, report)
        self._note(run, Step.DRAIN, "done" if run.drain.is_confirmed else run.drain.reason)
        try:
            await self._remove(run.symbol)
        except (TradingError, TimeoutError) as error:
            run.apply(RunEvent.DRAIN_UNCONFIRMED, f"its actor could not be ended: {_text(error)}", self._clock.now_ns())
            return
        if is_silent:
            # It may have sent something until its very end; now nobody can any more.
            run.drain = await self._verify(run, report)
        run.keep_twin()
        self._note(run, Step.CLOSE, f"open orders {run.drain.open_orders}, holds {run.drain.position_qty or 'unknown'}")
        self._note(run, Step.RELEASE_LEASE, "done")
        event = RunEvent.DRAINED if run.drain.is_confirmed else RunEvent.DRAIN_UNCONFIRMED
        run.apply(event, run.drain.reason, self._clock.now_ns())

    async def remove_stray(self, symbol: str) -> None:
        """End an actor that no run explains, after its orders are cancelled."""
        try:
            await self._bounded(self._executor.detach_symbol(symbol, False), self._settings.call_timeout_s)
        except (TradingError, TimeoutError):
            return  # Looked at again by the next reconcile: its orders must not lose the one that watches them.
        await self._remove(symbol)

    def fail(self, run: Run, reason: str) -> None:
        """Move to FAILED with the wait of the back-off."""
        run.fail(reason, self._clock.now_ns(), self._clock.monotonic_ns())

    # --- pieces -----------------------------------------------------------------------------------------------------

    async def _preflight(self, run: Run) -> None:
        """Check what a start needs, and tell the executor by which filters. Raises: TradingError, TimeoutError."""
        await self._catalog.await_list(self._settings.start_timeout_s)
        self._catalog.check_symbol(run.symbol)
        self._catalog.normal_params(run.wanted.strategy, run.wanted.params)
        deadline_ns = self._clock.monotonic_ns() + int(self._settings.start_timeout_s * NS_PER_S)
        while not await self._is_executor_ready():
            if self._clock.monotonic_ns() > deadline_ns or not _is_starting(run):
                raise NotRunning("the executor is not ready")
            await asyncio.sleep(min(0.5, self._settings.reconcile_interval_s))
        if (instrument := self._catalog.instrument(run.symbol)) is not None:
            await self._bounded(self._executor.set_instrument(instrument), self._settings.call_timeout_s)

    async def _is_executor_ready(self) -> bool:
        try:
            return await asyncio.wait_for(self._executor.is_ready(), self._settings.call_timeout_s)
        except (NotRunning, OutcomeUnknown, TimeoutError):
            return False

    async def _drain_actor(self, run: Run, is_flatten: bool) -> DrainReport | None:
        """Ask the actor to drain; None when it did not answer."""
        timeout_s = self._settings.drain_timeout_s
        try:
            control = self._factory.control(run.symbol)
            return await asyncio.wait_for(
                control.drain(is_flatten, timeout_s), timeout_s + self._settings.call_timeout_s
            )
        except (TradingError, TimeoutError) as error:
            self._note(run, Step.DRAIN, _text(error))
            return None

    async def _verify(self, run: Run, report: DrainReport | None) -> DrainReport:
        """Let the executor cancel what is left and count what the venue still shows."""
        held = report.position_qty if report is not None else ""
        try:
            await self._bounded(
                self._executor.detach_symbol(run.symbol, run.wanted.is_flatten), self._settings.drain_timeout_s
            )
            count = await self._bounded(self._executor.open_order_count(run.symbol), self._settings.call_timeout_s)
        except (TradingError, TimeoutError) as error:
            reason = f"open orders could not be verified: {_text(error)}"
            return DrainReport(run.symbol, False, None, 0, held, reason)
        now_ns = self._clock.now_ns()
        if count:
            return DrainReport(run.symbol, False, count, now_ns, held, f"{count} orders are still open at the venue")
        if run.wanted.is_flatten and (report is None or not report.is_confirmed):
            why = report.reason if report is not None else "its actor did not answer"
            return DrainReport(run.symbol, False, 0, now_ns, held, f"not flattened: {why}")
        return DrainReport(run.symbol, True, 0, now_ns, held, "")

    def _note(self, run: Run, step: Step, outcome: str) -> None:
        run.step(step, outcome, self._clock.now_ns())

    async def _give_up(self, run: Run, reason: str) -> None:
        try:
            await self._remove(run.symbol)
        except (TradingError, TimeoutError) as error:
            reason = f"{reason}; its actor could not be ended: {_text(error)}"
        self.fail(run, reason)

    async def _remove(self, symbol: str) -> None:
        """End the actor and wait until its name is free. Raises: NotRunning, TimeoutError."""
        await self._bounded(self._factory.kill(symbol), self._settings.call_timeout_s)
        for _ in range(50):
            if await self.look() and symbol not in self.living:
                return
            await asyncio.sleep(0.1)
        raise NotRunning(f"the actor of {symbol} is still there after it was ended")

    async def _control(self, run: Run, call: Awaitable[None]) -> bool:
        """Make one control call; False when it did not succeed.

        It is made again when the next heartbeat does not show it, or when none comes for a while.
        """
        run.is_told = False
        try:
            await self._bounded(call, self._settings.call_timeout_s)
        except (TradingError, TimeoutError) as error:
            self._note(run, Step.TRADE, f"control call failed: {_text(error)}")
            run.control_after_ns = self._clock.monotonic_ns() + CONTROL_RETRY_NS
            return False
        run.is_told = True
        run.control_after_ns = self._clock.monotonic_ns() + CONTROL_RETRY_NS
        return True

    async def _bounded(self, call: Awaitable[T], timeout_s: float) -> T:
        return await asyncio.wait_for(call, timeout_s)

    def _spec(self, run: Run) -> SymbolSpec:
        return SymbolSpec(
            run.symbol,
            run.record.run_id,
            run.record.run_number,
            run.wanted.strategy,
            run.wanted.params,
            run.wanted.desired is DesiredState.PAUSED,
        )


def _is_starting(run: Run) -> bool:
    return run.state is RunState.STARTING and run.wanted.desired is not DesiredState.STOPPED


def _text(error: BaseException) -> str:
    """Say what went wrong in one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConfigError):
        return str(error)
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
