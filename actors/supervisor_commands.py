"""The supervisor's desk: takes commands, holds what is wanted, and follows each operation to its end.

May import `trading.model`, `trading.adapters.clock` and the supervisor's other files. It decides; the steps act.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from actors.fleet import (
    DrainReport,
    FleetCommand,
    Operation,
    OperationStatus,
    ShutdownReport,
    StaleEpoch,
    UnknownSymbol,
)
from actors.supervisor_ports import Catalog, SupervisorStore, Wanted
from actors.supervisor_run import Run
from actors.supervisor_steps import SupervisorSettings
from actors.symbol_names import in_capitals
from actors.workflow import CommandKind, refusal
from trading.adapters.clock import Clock
from trading.model.errors import ConfigError, Refused, StoreError
from trading.model.session import DesiredState, RunState
from trading.model.units import NS_PER_S

# Finished operations that are answered from memory; older ones are read from the store.
OPERATIONS_MAX = 1_000
SYMBOLS_MAX = 2_000
_UP = frozenset({RunState.SYNCING, RunState.TRADING, RunState.PAUSED})


class CommandDesk:
    """Owned by the supervisor, on its loop. `wanted` is what is committed; `runs` is the supervisor's own table."""

    def __init__(
        self,
        store: SupervisorStore,
        catalog: Catalog,
        clock: Clock,
        settings: SupervisorSettings,
        runs: Mapping[str, Run],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._settings = settings
        self._runs = runs
        self.wanted: dict[str, Wanted] = {}
        self._operations: OrderedDict[str, Operation] = OrderedDict()
        self._deadline_ns: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._is_closed = False
        self._stopped_last: tuple[str, ...] = ()

    # --- taking -----------------------------------------------------------------------------------------------------

    async def take(self, command: FleetCommand) -> str:
        """Validate, commit, remember.

        Raises: ConfigError, UnknownSymbol, StaleEpoch, Refused, StoreError; NotRunning before the list was read.
        """
        if command.kind is CommandKind.SPAWN:
            await self._catalog.await_list(self._settings.call_timeout_s)
        async with self._lock:
            if self._is_closed:
                raise Refused("the system is stopping and takes no commands: start it again")
            wanted = self._validate(command)
            now_ns = self._clock.now_ns()
            operation = Operation(
                uuid.uuid4().hex, command.kind, command.symbols, OperationStatus.PENDING, None, now_ns, now_ns
            )
            await self._store.accept(command, operation, wanted)
            self._apply(command.kind, wanted)
            self._remember(operation, command.timeout_s)
            return operation.operation_id

    def _validate(self, command: FleetCommand) -> tuple[Wanted, ...]:
        """Check the whole command before anything is changed; return the desired states it leads to."""
        if not command.symbols or len(command.symbols) > SYMBOLS_MAX:
            raise ConfigError(f"expected 1 to {SYMBOLS_MAX} symbols, was {len(command.symbols)}")
        if len(set(command.symbols)) != len(command.symbols):
            twice = next(name for name in command.symbols if command.symbols.count(name) > 1)
            raise ConfigError(f"symbol {twice} is named twice: name it once")
        return tuple(self._wish(command, symbol) for symbol in command.symbols)

    def _wish(self, command: FleetCommand, symbol: str) -> Wanted:
        run, wanted = self._runs.get(symbol), self.wanted.get(symbol)
        if command.kind is CommandKind.SPAWN:
            self._catalog.check_symbol(symbol)
        elif wanted is None:
            raise UnknownSymbol(f"{symbol} is not running: {in_capitals(symbol, self.wanted, 'spawn it first')}")
        state = run.state if run is not None else None if wanted is None else RunState.REQUESTED
        if wanted is not None and wanted.desired is not DesiredState.STOPPED and state in (None, *_OVER):
            state = RunState.REQUESTED  # Asked for, and its new run is about to be written.
        if (text := refusal(symbol, state, command.kind)) is not None:
            raise Refused(text)
        if run is not None and command.expected_epoch is not None and command.expected_epoch != run.record.epoch:
            raise StaleEpoch(
                f"{symbol} has epoch {run.record.epoch}, expected {command.expected_epoch}: read it again, then decide"
            )
        return self._desire(command, symbol, wanted)

    def _desire(self, command: FleetCommand, symbol: str, wanted: Wanted | None) -> Wanted:
        if wanted is None or command.kind is CommandKind.SPAWN:
            strategy = command.strategy or self._settings.strategy
            base = self._settings.params if strategy == self._settings.strategy else ()
            params = self._catalog.normal_params(strategy, tuple({**dict(base), **dict(command.params)}.items()))
            return Wanted(symbol, DesiredState.TRADING, strategy, params)
        match command.kind:
            case CommandKind.KILL:
                return replace(wanted, desired=DesiredState.STOPPED, is_flatten=command.is_flatten)
            case CommandKind.PAUSE | CommandKind.FLATTEN:
                return replace(wanted, desired=DesiredState.PAUSED)
            case CommandKind.RESUME:
                return replace(wanted, desired=DesiredState.TRADING)
            case CommandKind.SET:
                if not command.params:
                    raise ConfigError(f"{symbol}: name at least one parameter to set")
                merged = {**dict(wanted.params), **dict(command.params)}
                return replace(wanted, params=self._catalog.normal_params(wanted.strategy, tuple(merged.items())))

    def _apply(self, kind: CommandKind, wanted: Sequence[Wanted]) -> None:
        for wish in wanted:
            self.wanted[wish.symbol] = wish
            run = self._runs.get(wish.symbol)
            if run is None or run.is_over:
                continue
            run.wanted = wish
            run.control_after_ns = 0  # a new wish does not wait for what became of the last one
            self._arm(run, kind)

    @staticmethod
    def _arm(run: Run, kind: CommandKind) -> None:
        """Remember the commands that are deeds, not states."""
        if kind is CommandKind.RESUME:
            run.retry_now()
        run.is_resume_due = kind is CommandKind.RESUME or (run.is_resume_due and kind is CommandKind.SET)
        run.is_flatten_due = kind is CommandKind.FLATTEN or (run.is_flatten_due and kind is CommandKind.SET)

    # --- after a restart --------------------------------------------------------------------------------------------

    def adopt(self, wanted: Sequence[Wanted], operations: Sequence[Operation]) -> None:
        """Take over what an earlier supervisor had committed."""
        for wish in wanted:
            self.wanted.setdefault(wish.symbol, wish)
        for operation in operations:
            self._remember(operation, self._settings.start_timeout_s)

    def rearm(self) -> None:
        """Take up the deeds of unfinished operations, oldest first."""
        for operation in self._operations.values():
            for symbol in operation.symbols:
                if (run := self._runs.get(symbol)) is not None and not operation.status.is_over:
                    self._arm(run, operation.kind)

    def without_run(self) -> tuple[Wanted, ...]:
        """Return what is wanted and has no living run."""
        return tuple(
            wish
            for wish in self.wanted.values()
            if wish.desired is not DesiredState.STOPPED
            and ((run := self._runs.get(wish.symbol)) is None or run.is_over)
        )

    # --- following --------------------------------------------------------------------------------------------------

    async def operation(self, operation_id: str) -> Operation | None:
        """Return an operation, from memory or from the store."""
        return self._operations.get(operation_id) or await self._store.operation(operation_id)

    async def settle(self) -> int:
        """Move every open operation on as far as the runs allow; return how many the store did not take."""
        errors = 0
        for operation in tuple(self._operations.values()):
            if operation.status.is_over:
                continue
            status, error = self._judge(operation)
            if status is operation.status:
                continue
            now_ns = self._clock.now_ns()
            try:
                await self._store.set_operation(operation.operation_id, status, error, now_ns)
            except StoreError:
                errors += 1
                continue
            self._operations[operation.operation_id] = replace(operation, status=status, error=error, updated_ns=now_ns)
        return errors

    def _judge(self, operation: Operation) -> tuple[OperationStatus, str | None]:
        verdicts = [self._verdict(operation.kind, symbol) for symbol in operation.symbols]
        failed = [text for text in verdicts if text]
        if failed:
            return OperationStatus.FAILED, "; ".join(failed)[:1_000]
        waiting = [symbol for symbol, text in zip(operation.symbols, verdicts, strict=True) if text is None]
        if not waiting:
            return OperationStatus.SUCCEEDED, None
        if self._clock.monotonic_ns() > self._deadline_ns.get(operation.operation_id, 0):
            return OperationStatus.FAILED, f"not done in time: {', '.join(map(self._standing, waiting))}"[:1_000]
        return OperationStatus.RUNNING, None

    def _verdict(self, kind: CommandKind, symbol: str) -> str | None:
        """Judge one symbol of an operation: "" done, None not yet, else the sentence of its failure."""
        run, wish = self._runs.get(symbol), self.wanted.get(symbol)
        if run is None or wish is None:
            return "" if kind is CommandKind.KILL else None
        if kind is CommandKind.KILL:
            if run.state is RunState.KILLED:
                return f"{symbol} was ended, but NOT CONFIRMED: {run.record.reason}"
            return "" if run.is_over else None
        if wish.desired is DesiredState.STOPPED:
            return f"{symbol} was killed meanwhile"
        match kind:
            case CommandKind.SPAWN:
                return "" if run.state in _UP else None
            case CommandKind.PAUSE:
                return "" if run.state is RunState.PAUSED else None
            case CommandKind.RESUME:
                return "" if run.state in _UP - {RunState.PAUSED} and not run.is_resume_due else None
            case CommandKind.FLATTEN:
                return "" if run.state is RunState.PAUSED and not run.is_flatten_due else None
            case CommandKind.SET:
                return "" if run.state in _UP and run.heartbeat is not None and run.has_wanted_params else None

    def _standing(self, symbol: str) -> str:
        run = self._runs.get(symbol)
        if run is None:
            return f"{symbol} has no run yet"
        return f"{symbol} is {run.state.value}" + (f" ({run.record.reason})" if run.record.reason else "")

    def _remember(self, operation: Operation, timeout_s: float) -> None:
        self._operations[operation.operation_id] = operation
        self._deadline_ns[operation.operation_id] = self._clock.monotonic_ns() + int(timeout_s * NS_PER_S)
        while len(self._operations) > OPERATIONS_MAX:
            old, _ = self._operations.popitem(last=False)
            self._deadline_ns.pop(old, None)

    # --- the end ----------------------------------------------------------------------------------------------------

    async def stop_all(self, is_flatten: bool) -> None:
        """Want every symbol stopped, and take no more commands. Works without the store."""
        async with self._lock:
            self._is_closed = True
            symbols = self._stopped_last = tuple(sorted(name for name, run in self._runs.items() if not run.is_over))
            wishes = [
                replace(wish, desired=DesiredState.STOPPED, is_flatten=is_flatten) for wish in self.wanted.values()
            ]
            now_ns = self._clock.now_ns()
            operation = Operation(
                uuid.uuid4().hex, CommandKind.KILL, symbols, OperationStatus.PENDING, None, now_ns, now_ns
            )
            command = FleetCommand(CommandKind.KILL, symbols, is_flatten=is_flatten, by="shutdown")
            self._apply(CommandKind.KILL, wishes)
            if symbols:
                self._remember(operation, 3 * self._settings.drain_timeout_s + 10)
                try:
                    await self._store.accept(command, operation, wishes)
                except StoreError:
                    return  # The fleet stops all the same; the session's end is tried once more by the supervisor.

    def shutdown_report(self) -> ShutdownReport:
        """Sum up the drains of what still ran when `stop_all` was called."""
        drains: list[DrainReport] = []
        for symbol in self._stopped_last:
            run = self._runs[symbol]
            if run.drain is not None:
                drains.append(run.drain)
            elif not run.is_over:
                drains.append(
                    DrainReport(symbol, False, None, 0, "", f"still {run.state.value} at the end of its time")
                )
        counts = [drain.open_orders for drain in drains]
        return ShutdownReport(
            session=self._settings.session,
            is_confirmed=all(drain.is_confirmed for drain in drains),
            open_orders=None if None in counts else sum(count or 0 for count in counts),
            verified_at_ns=min((drain.verified_at_ns for drain in drains), default=self._clock.now_ns()),
            drains=tuple(drains),
        )


_OVER = frozenset({RunState.STOPPED, RunState.KILLED})
