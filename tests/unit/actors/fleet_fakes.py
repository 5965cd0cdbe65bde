"""Fakes of the supervisor's ports: small worlds that keep the ports' promises, and can be told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from actors.fleet import DrainReport, FleetCommand, Operation, OperationStatus
from actors.recipes import SymbolSpec
from actors.supervisor import SupervisorActor
from actors.supervisor_ports import RunRecord, Wanted
from actors.supervisor_steps import SupervisorSettings
from actors.workflow import TERMINAL_STATES, BackOff
from trading.adapters.clock import ManualClock
from trading.model.errors import ConfigError, NotRunning, OutcomeUnknown, Refused, StoreError
from trading.model.instrument import Instrument
from trading.model.session import Heartbeat, RunState, TwinFigures
from trading.model.units import NS_PER_S


class FakeStore:
    """A database in memory. `is_down` makes every call raise, and nothing is written."""

    def __init__(self) -> None:
        self.is_down = False
        self.wishes: dict[str, Wanted] = {}
        self.runs: dict[str, RunRecord] = {}
        self.events: list[tuple[str, str, str]] = []
        self.operations: dict[str, Operation] = {}
        self.commands: list[FleetCommand] = []
        self.alerts: list[tuple[str, str, str | None]] = []
        self.ended: str | None = None

    def _check(self) -> None:
        if self.is_down:
            raise StoreError("the database does not answer")

    async def wanted(self) -> tuple[Wanted, ...]:
        self._check()
        return tuple(self.wishes.values())

    async def unfinished_runs(self) -> tuple[RunRecord, ...]:
        self._check()
        return tuple(run for run in self.runs.values() if run.state not in TERMINAL_STATES)

    async def unfinished_operations(self) -> tuple[Operation, ...]:
        self._check()
        return tuple(operation for operation in self.operations.values() if not operation.status.is_over)

    async def accept(self, command: FleetCommand, operation: Operation, wanted: Sequence[Wanted]) -> None:
        self._check()
        self.commands.append(command)
        self.operations[operation.operation_id] = operation
        self.wishes.update({wish.symbol: wish for wish in wanted})

    async def set_operation(self, operation_id: str, status: OperationStatus, error: str | None, now_ns: int) -> None:
        self._check()
        self.operations[operation_id] = replace(
            self.operations[operation_id], status=status, error=error, updated_ns=now_ns
        )

    async def operation(self, operation_id: str) -> Operation | None:
        self._check()
        return self.operations.get(operation_id)

    async def open_run(self, symbol: str, strategy: str, params: tuple[tuple[str, str], ...], now_ns: int) -> RunRecord:
        self._check()
        number = len(self.runs) + 1
        run = RunRecord(f"run-{number}", number, symbol, RunState.REQUESTED, "", strategy, params, 0, 0, now_ns)
        self.runs[run.run_id] = run
        return run

    async def save_run(self, run: RunRecord, event: str, detail: str) -> None:
        self._check()
        self.runs[run.run_id] = run
        self.events.append((run.symbol, event, detail))

    async def raise_alert(self, level: str, name: str, text: str, symbol: str | None, now_ns: int) -> None:
        self._check()
        self.alerts.append((level, name, symbol))

    async def end_session(self, report: str, now_ns: int) -> None:
        self._check()
        self.ended = report


@dataclass
class FakeActor:
    """A symbol actor seen from outside: state, orders, and what was asked of it."""

    spec: SymbolSpec
    pid: int
    epoch: int
    state: RunState = RunState.SYNCING
    params: dict[str, str] = field(default_factory=dict)
    is_deaf: bool = False
    is_stuck_in_drain: bool = False
    calls: list[str] = field(default_factory=list)
    filters: str = ""
    twin: TwinFigures | None = None

    def _hear(self, call: str) -> None:
        self.calls.append(call)
        if self.is_deaf:
            raise OutcomeUnknown(f"symbol:{self.spec.symbol}: no answer")

    async def drain(self, is_flatten: bool, timeout_s: float) -> DrainReport:
        self._hear("drain+flatten" if is_flatten else "drain")
        if self.is_stuck_in_drain:
            await asyncio.Event().wait()
        self.state = RunState.DRAINING
        return DrainReport(self.spec.symbol, True, 0, 1, "0", "")

    async def pause(self, reason: str) -> None:
        self._hear("pause")
        self.state = RunState.PAUSED

    async def resume(self) -> None:
        self._hear("resume")
        self.state = RunState.TRADING

    async def set_params(self, values: dict[str, str]) -> None:
        self._hear("set_params")
        self.params.update(values)


class FakeFactory:
    """A Ray of named actors. `beat` carries heartbeats to the supervisor, as the actors themselves would."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.actors: dict[str, FakeActor] = {}
        self.killed: list[str] = []
        self.is_down = False
        self.is_barren = False
        self.executor: FakeExecutor | None = None
        self._pid = 100
        self._epochs: dict[str, int] = {}

    async def spawn(self, spec: SymbolSpec) -> None:
        if self.is_down:
            raise NotRunning("Ray does not answer")
        if not self.is_barren:
            self.actors.setdefault(spec.symbol, self._process(spec))

    async def kill(self, symbol: str) -> bool:
        if self.is_down:
            raise NotRunning("Ray does not answer")
        self.killed.append(symbol)
        return self.actors.pop(symbol, None) is not None

    async def living(self) -> frozenset[str]:
        if self.is_down:
            raise NotRunning("Ray does not answer")
        return frozenset(self.actors)

    def control(self, symbol: str) -> FakeActor:
        if symbol not in self.actors:
            raise NotRunning(f"symbol:{symbol} is not running")
        return self.actors[symbol]

    def crash(self, symbol: str) -> None:
        """kill -9: Ray builds the actor anew from its first spec."""
        self.actors[symbol] = self._process(self.actors[symbol].spec)

    def heartbeat(self, symbol: str) -> Heartbeat:
        actor = self.actors[symbol]
        return Heartbeat(
            symbol=symbol, state=actor.state, reason="", since_ns=0, epoch=actor.epoch, pid=actor.pid, node="n1",
            strategy=actor.spec.strategy, params=tuple(sorted(actor.params.items())), book_state="PROVEN",
            book_version=1, bid="1", ask="2", book_age_ms=1, open_orders=0, machine_state="FLAT", frames=1, bytes_in=1,
            gaps=0, resyncs=0, inbox_depth=0, inbox_high=0, proven_ratio=1.0, refusals=(), sent_ns=self.clock.now_ns(),
            filters=actor.filters, twin=actor.twin,
        )  # fmt: skip

    def _process(self, spec: SymbolSpec) -> FakeActor:
        self._pid += 1
        self._epochs[spec.symbol] = self._epochs.get(spec.symbol, 0) + 1
        state = RunState.PAUSED if spec.is_paused else RunState.SYNCING
        actor = FakeActor(spec, self._pid, self._epochs[spec.symbol], state, dict(spec.params))
        attached = self.executor.instruments.get(spec.symbol) if self.executor is not None else None
        actor.filters = attached.filters if attached is not None else ""
        return actor


class FakeExecutor:
    """The account's executor: open orders by symbol, cancelled by a detach unless the venue is away."""

    def __init__(self) -> None:
        self.open_orders: dict[str, int] = {}
        self.detached: list[str] = []
        self.instruments: dict[str, Instrument] = {}
        self.is_venue_away = False
        self.is_up = True

    async def open_order_count(self, symbol: str) -> int:
        if self.is_venue_away:
            raise OutcomeUnknown("the venue does not answer")
        return self.open_orders.get(symbol, 0)

    async def detach_symbol(self, symbol: str, is_flatten: bool) -> None:
        self.detached.append(symbol)
        if not self.is_venue_away:
            self.open_orders.pop(symbol, None)

    async def set_instrument(self, instrument: Instrument) -> None:
        if self.open_orders.get(instrument.symbol):
            raise Refused(f"{instrument.symbol} has open orders")
        self.instruments[instrument.symbol] = instrument

    async def is_ready(self) -> bool:
        return self.is_up


class FakeCatalog:
    """Knows AAAUSDT to CCCUSDT, and one strategy with the float parameter `edge`."""

    def __init__(self) -> None:
        self.listed: dict[str, Instrument] = {}
        self.refreshes = 0

    def instrument(self, symbol: str) -> Instrument | None:
        return self.listed.get(symbol)

    def clock(self) -> tuple[int, int] | None:
        return (120, 2)

    def refresh_soon(self) -> None:
        self.refreshes += 1

    async def await_list(self, timeout_s: float) -> None:
        return

    def check_symbol(self, symbol: str) -> None:
        if symbol not in ("AAAUSDT", "BBBUSDT", "CCCUSDT"):
            raise ConfigError(f"the venue has no symbol {symbol}")
        if (listed := self.listed.get(symbol)) is not None and listed.exclusion:
            raise ConfigError(f"{symbol} is not tradable: {listed.exclusion}")

    def normal_params(self, strategy: str, params: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        if strategy != "capture":
            raise ConfigError(f"unknown strategy {strategy!r}")
        if unknown := [name for name, _ in params if name != "edge"]:
            raise ConfigError(f"unknown parameter {unknown[0]!r}")
        return tuple(sorted((name, str(float(text))) for name, text in params))


@dataclass
class Fleet:
    """A supervisor in its small world, and the hands to turn it."""

    store: FakeStore
    factory: FakeFactory
    executor: FakeExecutor
    clock: ManualClock
    supervisor: SupervisorActor
    catalog: FakeCatalog

    async def settle(self, rounds: int = 8, advance_s: float = 0.2, *, beats: bool = True) -> None:
        """Let time pass: reconcile, run the tasks, carry heartbeats."""
        for _ in range(rounds):
            self.clock.advance(int(advance_s * NS_PER_S))
            if beats:
                for symbol in tuple(self.factory.actors):
                    await self.supervisor.heartbeat(self.factory.heartbeat(symbol))
            await self.supervisor.reconcile_once()
            for _ in range(5):
                await asyncio.sleep(0.001)

    async def trade(self, *symbols: str) -> None:
        """Let the books of these symbols be proven."""
        for symbol in symbols:
            self.factory.actors[symbol].state = RunState.TRADING
        await self.settle(2)

    async def state(self, symbol: str) -> RunState:
        """Read a symbol's state from the table."""
        return next(row.state for row in await self.supervisor.table() if row.symbol == symbol)

    def reborn(self) -> Fleet:
        """A new supervisor over the same world, as after kill -9 of the old one."""
        return fleet(self.store, self.factory, self.executor, self.clock)


def fleet(
    store: FakeStore | None = None,
    factory: FakeFactory | None = None,
    executor: FakeExecutor | None = None,
    clock: ManualClock | None = None,
    starts_at_once: int = 16,
) -> Fleet:
    """Build a supervisor over fakes; times are short, the clock is manual."""
    clock = clock or ManualClock()
    store, factory, executor = store or FakeStore(), factory or FakeFactory(clock), executor or FakeExecutor()
    settings = SupervisorSettings(
        session="s1", strategy="capture", reconcile_interval_s=0.001, start_timeout_s=30.0, silence_s=20.0,
        call_timeout_s=1.0, drain_timeout_s=0.5, starts_at_once=starts_at_once, back_off=BackOff(1.0, 8.0),
    )  # fmt: skip
    catalog = FakeCatalog()
    factory.executor = executor
    return Fleet(
        store, factory, executor, clock, SupervisorActor(store, factory, executor, catalog, clock, settings), catalog
    )
