"""Halt and resume: persisted before anybody is asked, carried out whoever listens. May import `api` and `trading`.

The executor re-reads what is persisted, so a halt takes effect even when it cannot be called now; and it persists it
too, so that a database that hangs holds back no halt. A halt that was begun goes on when its caller leaves. Every halt
is an operation; the last ones are answered from memory.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from api.fleet_view import FleetView
from api.items import halt_body
from api.ports import Dependencies, Row
from api.store_patience import StorePatience
from trading.adapters.telemetry import logger
from trading.model.errors import NotRunning, StoreError, TradingError
from trading.model.session import HaltReport, HaltState

# A request waits so long for the venue's word; the halt itself is bounded by the executor.
WAIT_S = 28.0
OPERATIONS_MAX = 1_000
BY = "api:control"
NO_REASON = "asked for through the API"
_log = logger("api")


class HaltDesk:
    """Owned by the app, on its loop."""

    def __init__(self, deps: Dependencies, view: FleetView, patience: StorePatience, wait_s: float = WAIT_S) -> None:
        self._deps = deps
        self._view = view
        self._wait_s = wait_s
        self._operations: OrderedDict[str, Row] = OrderedDict()
        self._tasks: set[asyncio.Task[Row]] = set()
        self._patience = patience

    async def halt(self, symbols: tuple[str, ...], is_flatten: bool, reason: str) -> Row:
        """Halt the account (no symbols), or these; return where it stands after at most `wait_s`.

        Raises: UnknownSymbol; NotRunning when it could neither be persisted nor carried out.
        """
        reason = reason or NO_REASON
        await self.check(symbols)
        operation = self._begin("halt")
        task = asyncio.create_task(self._halt(operation, symbols, is_flatten, reason), name="halt")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=self._wait_s)
        if done:
            return task.result()
        return {**await self.standing(symbols[0] if symbols else None), **self._operations[operation]}

    async def check(self, symbols: tuple[str, ...]) -> None:
        """Refuse symbols that this session does not know and that no halt of an earlier one holds.

        While the supervisor is away every symbol may be halted. Raises: UnknownSymbol.
        """
        try:
            known = {row.symbol for row in await self._view.table()} if symbols else set()
        except TradingError:
            return
        if unknown := set(symbols) - known:
            unknown -= (await self._view.halt())["symbols"].keys()
        for symbol in symbols:
            if symbol in unknown:
                await self._view.require(symbol)

    async def standing(self, symbol: str | None) -> Row:
        """Return where the halt of the account, or of a symbol, stands now; what cannot be read counts as HALTED."""
        try:
            report = await self._deps.executor.halt_report(symbol)
        except TradingError as error:
            report = HaltReport(HaltState.HALTED, False, None, 0, f"the halt state cannot be read: {_text(error)}")
        return halt_body(report)

    async def resume(self, symbols: tuple[str, ...], reason: str) -> Row:
        """Trade again. Raises: UnknownSymbol, NotRunning, OutcomeUnknown, Refused, StoreError."""
        await self.check(symbols)
        operation = self._begin("resume")
        executor = self._deps.executor
        try:
            if len(symbols) > 1:
                report = await executor.resume_group(symbols)
            else:
                report = await executor.resume(*_scope(symbols))
        except TradingError as error:
            self._move(operation, "failed", _text(error))
            raise
        finally:
            self._view.forget_halt()
        with suppress(StoreError):
            await self._patience.wait(self._write_down("resume", symbols, {"reason": reason}))
        return {**halt_body(report), **self._move(operation, "succeeded", None)}

    def operation(self, operation_id: str) -> Row | None:
        """Return a halt's or resume's operation; None when it is none of ours."""
        return self._operations.get(operation_id)

    async def close(self) -> None:
        """Wait shortly for halts under way: they are persisted, the executor goes on without us."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    # --- pieces -----------------------------------------------------------------------------------------------------

    async def _halt(self, operation: str, symbols: tuple[str, ...], is_flatten: bool, reason: str) -> Row:
        # A flatten needs exits: it runs in REDUCING, and the executor goes on to HALTED (promise 5).
        state = HaltState.REDUCING if is_flatten else HaltState.HALTED
        executor = self._deps.executor
        not_stored = ""
        try:
            await self._patience.wait(self._persist(symbols, state, reason, is_flatten))
        except StoreError as error:
            not_stored = f"not persisted: {_text(error)}"
        try:
            if len(symbols) > 1:
                report = await executor.halt_group(symbols, is_flatten, reason)
            else:
                report = await executor.halt(*_scope(symbols), is_flatten, reason)
        except TradingError as error:
            if not_stored:
                text = f"the halt could neither be persisted nor carried out: {not_stored}; {_text(error)}"
                self._move(operation, "failed", text)
                raise NotRunning(text) from error
            text = f"NOT CONFIRMED: persisted, but the executor did not report: {_text(error)}"
            report = HaltReport(state, False, None, 0, text)
        finally:
            self._view.forget_halt()
        body = halt_body(report)
        if not_stored:
            body["reason"] = f"{report.reason} ({not_stored})"
        if report.confirmed:
            return {**body, **self._move(operation, "succeeded", None)}
        return {**body, **self._move(operation, "failed", report.reason or "NOT CONFIRMED")}

    async def _persist(self, symbols: tuple[str, ...], state: HaltState, reason: str, is_flatten: bool) -> None:
        """Store a halt, and who asked for it. Raises: StoreError when the halt is not stored."""
        failure: StoreError | None = None
        try:
            for scope in [f"symbol:{symbol}" for symbol in symbols] or ["account"]:
                await self._deps.fleet.save_halt(scope, state, reason, self._deps.now_ns(), is_flatten)
        except StoreError as error:
            failure = error
        await self._write_down("halt", symbols, {"reason": reason, "flatten": is_flatten})
        if failure is not None:
            raise failure

    async def _write_down(self, action: str, symbols: tuple[str, ...], detail: Mapping[str, Any]) -> None:
        for symbol in symbols or (None,):
            try:
                await self._deps.fleet.append_audit(BY, action, symbol, detail, self._deps.now_ns())
            except StoreError as error:
                _log.error("audit_not_written", action=action, symbol=symbol, reason=_text(error))
                return

    def _begin(self, kind: Literal["halt", "resume"]) -> str:
        now_ns = self._deps.now_ns()
        operation_id = uuid.uuid4().hex
        self._operations[operation_id] = {
            "operation_id": operation_id,
            "status": "running",
            "error": None,
            "kind": kind,
            # Not `symbols`: a halt's body has a field of that name.
            "created_ns": now_ns,
            "updated_ns": now_ns,
        }
        while len(self._operations) > OPERATIONS_MAX:
            self._operations.popitem(last=False)
        return operation_id

    def _move(self, operation_id: str, status: str, error: str | None) -> Row:
        moved = {"status": status, "error": error, "updated_ns": self._deps.now_ns()}
        self._operations[operation_id] = {**self._operations[operation_id], **moved}
        return self._operations[operation_id]

    def _ended(self, task: asyncio.Task[Row]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("halt_failed", reason=_text(error))


def _scope(symbols: tuple[str, ...]) -> tuple[str, str | None]:
    return ("symbol", symbols[0]) if symbols else ("account", None)


def _text(error: BaseException) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
