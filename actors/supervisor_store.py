"""The supervisor's memory in Postgres: `FleetStore` behind its port. May import `trading.adapters.store`."""

from __future__ import annotations

from collections.abc import Sequence

from actors.fleet import FleetCommand, Operation, OperationStatus
from actors.supervisor_ports import RunRecord, Wanted
from actors.workflow import CommandKind
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.fleet_rows import OperationRow, RunRow, WantedRow


class PostgresSupervisorStore:
    """Implements `SupervisorStore`. Owns the fleet store it is given."""

    def __init__(self, fleet: FleetStore) -> None:
        self._fleet = fleet

    async def close(self) -> None:
        """Close the connections; idempotent."""
        await self._fleet.close()

    async def wanted(self) -> tuple[Wanted, ...]:
        """See the port."""
        rows = await self._fleet.wanted()
        return tuple(Wanted(row.symbol, row.desired, row.strategy, row.params, row.is_flatten) for row in rows)

    async def unfinished_runs(self) -> tuple[RunRecord, ...]:
        """See the port."""
        return tuple(_run(row) for row in await self._fleet.unfinished_runs())

    async def unfinished_operations(self) -> tuple[Operation, ...]:
        """See the port."""
        return tuple(_operation(row) for row in await self._fleet.unfinished_operations())

    async def accept(self, command: FleetCommand, operation: Operation, wanted: Sequence[Wanted]) -> None:
        """See the port."""
        rows = [WantedRow(item.symbol, item.desired, item.strategy, item.params, item.is_flatten) for item in wanted]
        detail = {"strategy": command.strategy, "params": dict(command.params), "flatten": command.is_flatten}
        await self._fleet.accept(_operation_row(operation), rows, command.by, detail, operation.created_ns)

    async def set_operation(self, operation_id: str, status: OperationStatus, error: str | None, now_ns: int) -> None:
        """See the port."""
        await self._fleet.set_operation(operation_id, status.value, error, now_ns)

    async def operation(self, operation_id: str) -> Operation | None:
        """See the port."""
        row = await self._fleet.operation(operation_id)
        return None if row is None else _operation(row)

    async def open_run(self, symbol: str, strategy: str, params: tuple[tuple[str, str], ...], now_ns: int) -> RunRecord:
        """See the port."""
        return _run(await self._fleet.open_run(symbol, strategy, params, now_ns))

    async def save_run(self, run: RunRecord, event: str, detail: str) -> None:
        """See the port."""
        await self._fleet.save_run(_run_row(run), event, detail)

    async def raise_alert(self, level: str, name: str, text: str, symbol: str | None, now_ns: int) -> None:
        """See the port."""
        await self._fleet.raise_alert(level, name, text, symbol, now_ns)

    async def end_session(self, report: str, now_ns: int) -> None:
        """See the port."""
        await self._fleet.end_session(report, now_ns)


def _run(row: RunRow) -> RunRecord:
    return RunRecord(
        row.run_id,
        row.run_number,
        row.symbol,
        row.state,
        row.reason,
        row.strategy,
        row.params,
        row.restarts,
        row.epoch,
        row.updated_ns,
    )


def _run_row(run: RunRecord) -> RunRow:
    return RunRow(
        run.run_id,
        run.run_number,
        run.symbol,
        run.state,
        run.reason,
        run.strategy,
        run.params,
        run.restarts,
        run.epoch,
        run.updated_ns,
    )


def _operation(row: OperationRow) -> Operation:
    return Operation(
        row.operation_id,
        CommandKind(row.kind),
        row.symbols,
        OperationStatus(row.status),
        row.error,
        row.created_ns,
        row.updated_ns,
    )


def _operation_row(operation: Operation) -> OperationRow:
    return OperationRow(
        operation.operation_id,
        operation.kind.value,
        operation.symbols,
        operation.status.value,
        operation.error,
        operation.created_ns,
        operation.updated_ns,
    )
