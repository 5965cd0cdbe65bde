"""Typed doors to the actors: the methods of the plain classes, carried by `actors.handles`.

May import `trading.model` and `trading.engine`. Raises everywhere: NotRunning (nothing happened), OutcomeUnknown (sent,
no answer: it may have happened), or the actor's own TradingError. Nothing is ever re-sent here.
"""

from __future__ import annotations

from typing import Any

from actors.executor_values import ExecutorStatus, LimitValue
from actors.fleet import DrainReport, FleetCommand, Operation, ShutdownReport, SupervisorStatus, SymbolRow
from actors.handles import SUPERVISOR, Handle, executor_name, symbol_name
from actors.symbol_ports import MarkAnswer, SubmitReceipt, SymbolAttachment
from trading.engine.ports import OrderRecord, Submission
from trading.model.instrument import Instrument
from trading.model.orders import Delivery, PlaceAnswer, VenueEvent, VenueOrder
from trading.model.session import HaltReport, Heartbeat

# A submit is answered after its commit; a longer wait helps nobody, the ids are looked up instead.
SUBMIT_TIMEOUT_S = 3.0
ATTACH_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 10.0


class SymbolHandle:
    """Calls to one symbol's actor."""

    def __init__(self, symbol: str) -> None:
        self._handle = Handle(symbol_name(symbol))

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        """See `SymbolActor.deliver`."""
        await self._handle.call("deliver", deliveries)

    async def paper_place(self, orders: tuple[OrderRecord, ...]) -> tuple[PlaceAnswer, ...]:
        """See `SymbolActor.paper_place`."""
        answers: tuple[PlaceAnswer, ...] = await self._handle.call("paper_place", orders)
        return answers

    async def paper_cancel(self, ids: tuple[str, ...]) -> tuple[bool, ...]:
        """See `SymbolActor.paper_cancel`."""
        answers: tuple[bool, ...] = await self._handle.call("paper_cancel", ids)
        return answers

    async def paper_orders(self) -> tuple[VenueOrder, ...]:
        """See `SymbolActor.paper_orders`."""
        orders: tuple[VenueOrder, ...] = await self._handle.call("paper_orders")
        return orders

    async def drain(self, is_flatten: bool, timeout_s: float) -> DrainReport:
        """See `SymbolActor.drain`."""
        report: DrainReport = await self._handle.control("drain", is_flatten, timeout_s, timeout_s=timeout_s + 5)
        return report

    async def pause(self, reason: str) -> None:
        """See `SymbolActor.pause`."""
        await self._handle.control("pause", reason)

    async def resume(self) -> None:
        """See `SymbolActor.resume`."""
        await self._handle.control("resume")

    async def set_params(self, values: dict[str, str]) -> None:
        """See `SymbolActor.set_params`."""
        await self._handle.control("set_params", values)

    async def book(self, depth: int) -> dict[str, Any]:
        """See `SymbolActor.book`."""
        book: dict[str, Any] = await self._handle.control("book", depth)
        return book

    async def view(self) -> Heartbeat:
        """See `SymbolActor.view`."""
        beat: Heartbeat = await self._handle.control("view")
        return beat

    async def is_alive(self) -> bool:
        """Ask for a sign of life."""
        return await self._handle.is_alive()


class ExecutorHandle:
    """Calls to one account's executor."""

    def __init__(self, account: str) -> None:
        self._handle = Handle(executor_name(account))

    async def attach_symbol(self, symbol: str, run_id: str, run_number: int, owner: str) -> SymbolAttachment:
        """See `ExecutorActor.attach_symbol`."""
        attachment: SymbolAttachment = await self._handle.call(
            "attach_symbol", symbol, run_id, run_number, owner, timeout_s=ATTACH_TIMEOUT_S
        )
        return attachment

    async def set_instrument(self, instrument: Instrument) -> None:
        """See `ExecutorActor.set_instrument`."""
        await self._handle.control("set_instrument", instrument)

    async def detach_symbol(self, symbol: str, is_flatten: bool) -> None:
        """See `ExecutorActor.detach_symbol`."""
        await self._handle.control("detach_symbol", symbol, is_flatten, timeout_s=30.0)

    async def open_order_count(self, symbol: str) -> int:
        """See `ExecutorActor.open_order_count`."""
        count: int = await self._handle.control("open_order_count", symbol)
        return count

    async def submit(self, submission: Submission) -> SubmitReceipt:
        """See `ExecutorActor.submit`."""
        receipt: SubmitReceipt = await self._handle.call("submit", submission, timeout_s=SUBMIT_TIMEOUT_S)
        return receipt

    async def lookup(self, symbol: str, ids: tuple[str, ...]) -> tuple[OrderRecord, ...]:
        """See `ExecutorActor.lookup`."""
        records: tuple[OrderRecord, ...] = await self._handle.call("lookup", symbol, ids)
        return records

    async def read_events(self, symbol: str, after_seq: int) -> tuple[Delivery, ...]:
        """See `ExecutorActor.read_events`."""
        deliveries: tuple[Delivery, ...] = await self._handle.call("read_events", symbol, after_seq)
        return deliveries

    async def paper_reports(self, symbol: str, owner_epoch: int, events: tuple[VenueEvent, ...]) -> int:
        """See `ExecutorActor.paper_reports`."""
        taken: int = await self._handle.call("paper_reports", symbol, owner_epoch, events)
        return taken

    async def mark(self, symbol: str, bid_ticks: int, at_ns: int) -> MarkAnswer:
        """See `ExecutorActor.mark`."""
        answer: MarkAnswer = await self._handle.call("mark", symbol, bid_ticks, at_ns)
        return answer

    async def forgive_losses(self, symbol: str, at_ns: int) -> None:
        """See `ExecutorActor.forgive_losses`."""
        await self._handle.call("forgive_losses", symbol, at_ns)

    async def halt(self, scope: str, symbol: str | None, is_flatten: bool, reason: str) -> HaltReport:
        """See `ExecutorActor.halt`."""
        report: HaltReport = await self._handle.control("halt", scope, symbol, is_flatten, reason, timeout_s=60.0)
        return report

    async def halt_group(self, symbols: tuple[str, ...], is_flatten: bool, reason: str) -> HaltReport:
        """See `ExecutorActor.halt_group`."""
        report: HaltReport = await self._handle.control("halt_group", symbols, is_flatten, reason, timeout_s=60.0)
        return report

    async def resume(self, scope: str, symbol: str | None) -> HaltReport:
        """See `ExecutorActor.resume`."""
        report: HaltReport = await self._handle.control("resume", scope, symbol)
        return report

    async def resume_group(self, symbols: tuple[str, ...]) -> HaltReport:
        """See `ExecutorActor.resume_group`."""
        report: HaltReport = await self._handle.control("resume_group", symbols)
        return report

    async def halt_report(self, symbol: str | None = None) -> HaltReport:
        """See `ExecutorActor.halt_report`."""
        report: HaltReport = await self._handle.control("halt_report", symbol)
        return report

    async def set_limits(self, values: dict[str, str]) -> tuple[LimitValue, ...]:
        """See `ExecutorActor.set_limits`."""
        limits: tuple[LimitValue, ...] = await self._handle.control("set_limits", values)
        return limits

    async def limits(self) -> tuple[LimitValue, ...]:
        """See `ExecutorActor.limits`."""
        limits: tuple[LimitValue, ...] = await self._handle.control("limits")
        return limits

    async def is_ready(self) -> bool:
        """See `ExecutorActor.is_ready`."""
        ready: bool = await self._handle.control("is_ready")
        return ready

    async def status(self) -> ExecutorStatus:
        """See `ExecutorActor.status`."""
        status: ExecutorStatus = await self._handle.control("status")
        return status

    async def ping(self) -> str:
        """See `ExecutorActor.ping`."""
        pid: str = await self._handle.call("ping")
        return pid

    async def is_alive(self) -> bool:
        """Ask for a sign of life."""
        return await self._handle.is_alive()


class SupervisorHandle:
    """Calls to the supervisor."""

    def __init__(self) -> None:
        self._handle = Handle(SUPERVISOR)

    async def heartbeat(self, beat: Heartbeat) -> None:
        """See `SupervisorActor.heartbeat`."""
        await self._handle.call("heartbeat", beat)

    async def lease_ip(self, node: str, kind: str, weight: float) -> float:
        """See `SupervisorActor.lease_ip`."""
        wait_s: float = await self._handle.call("lease_ip", node, kind, weight)
        return wait_s

    async def ip_held(self, node: str) -> float:
        """See `SupervisorActor.ip_held`."""
        held_s: float = await self._handle.call("ip_held", node)
        return held_s

    async def ip_blocked(self, node: str, retry_after_s: float) -> None:
        """See `SupervisorActor.ip_blocked`."""
        await self._handle.call("ip_blocked", node, retry_after_s)

    async def request(self, command: FleetCommand) -> str:
        """See `SupervisorActor.request`."""
        operation_id: str = await self._handle.control("request", command, timeout_s=COMMAND_TIMEOUT_S)
        return operation_id

    async def operation(self, operation_id: str) -> Operation | None:
        """See `SupervisorActor.operation`."""
        found: Operation | None = await self._handle.control("operation", operation_id)
        return found

    async def table(self) -> tuple[SymbolRow, ...]:
        """See `SupervisorActor.table`."""
        rows: tuple[SymbolRow, ...] = await self._handle.control("table")
        return rows

    async def status(self) -> SupervisorStatus:
        """See `SupervisorActor.status`."""
        status: SupervisorStatus = await self._handle.control("status")
        return status

    async def shutdown(self, is_flatten: bool, timeout_s: float) -> ShutdownReport:
        """See `SupervisorActor.shutdown`; the caller bounds the whole."""
        report: ShutdownReport = await self._handle.control("shutdown", is_flatten, timeout_s=timeout_s)
        return report

    async def is_alive(self) -> bool:
        """Ask for a sign of life."""
        return await self._handle.is_alive()
