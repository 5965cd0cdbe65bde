"""Limits, halt and resume. May import fastapi and the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from actors.executor_values import ExecutorStatus, LimitValue
from api.context import Here
from api.halt_desk import BY
from api.ports import Row
from api.schemas import HaltBody, HaltOutcome, HaltRequest, ResumeRequest, RiskBody, RiskRequest
from trading.adapters.telemetry import logger
from trading.model.errors import StoreError
from trading.model.units import plain

router = APIRouter(prefix="/v1", tags=["risk"])
_log = logger("api")


@router.get("/risk", response_model=RiskBody, summary="The account's limits")
async def read_risk(context: Here) -> Row:
    """With what they are compared with, and how each is declared."""
    executor = context.deps.executor
    return _risk_body(await executor.limits(), await executor.status())


@router.put("/risk", response_model=RiskBody, summary="Change limits")
async def change_risk(context: Here, body: RiskRequest) -> Row:
    """Validated whole, applied whole, persisted; limits that are not named stay."""
    executor = context.deps.executor
    limits = await executor.set_limits(dict(body.limits))
    try:
        await context.deps.fleet.append_audit(BY, "limits", None, dict(body.limits), context.deps.now_ns())
    except StoreError as error:
        _log.error("audit_not_written", action="limits", reason=str(error))
    return _risk_body(limits, await executor.status())


def _risk_body(limits: tuple[LimitValue, ...], status: ExecutorStatus) -> Row:
    return {
        "limits": {item.name: item.value for item in limits},
        "declarations": [
            {name: getattr(item, name) for name in ("name", "value", "unit", "default", "low", "high", "reason")}
            for item in limits
        ],
        "usage": {
            "exposure": plain(status.equity.exposure),
            "net_pnl_today": plain(status.net_pnl_today),
            "drawdown": plain(status.drawdown),
            "open_orders": status.open_orders,
            "unknown_orders": status.unknown_orders,
        },
        "foreign_orders": [
            {
                "symbol": order.symbol,
                "venue_order_id": order.venue_order_id,
                "client_order_id": order.client_order_id,
                "side": order.side.value,
                "type": order.type.value,
                "status": order.status.value,
                "since_ns": order.exch_ts_ns,
            }
            for order in status.foreign
        ],
    }


@router.get("/halt", response_model=HaltBody, summary="Where the halt of the account, or of a symbol, stands")
async def read_halt(context: Here, symbol: Annotated[str | None, Query(max_length=64)] = None) -> Row:
    """Also while it is carried out: `open_orders` counts down. What cannot be read counts as HALTED."""
    if symbol is None:
        return await context.view.halt()
    await context.halts.check((symbol,))
    return await context.halts.standing(symbol)


@router.post("/halt", status_code=202, response_model=HaltOutcome, summary="Stop: cancel everything, verify")
async def halt(context: Here, body: Annotated[HaltRequest | None, Body()] = None, *, response: Response) -> Row:
    """Persisted first, then carried out. Answers when the venue confirmed, or after 28 s with what is known."""
    body = body or HaltRequest()
    outcome = await context.halts.halt(body.names, body.flatten, body.reason)
    response.headers["Location"] = f"/v1/operations/{outcome['operation_id']}"
    return outcome


@router.post("/resume", status_code=202, response_model=HaltOutcome, summary="Trade again")
async def resume(context: Here, body: Annotated[ResumeRequest | None, Body()] = None, *, response: Response) -> Row:
    """Lifts a halt; symbols that were paused by a person stay paused."""
    body = body or ResumeRequest()
    outcome = await context.halts.resume(body.names, body.reason)
    response.headers["Location"] = f"/v1/operations/{outcome['operation_id']}"
    return outcome
