"""The system as one: snapshot, stream, health. Imports pydantic only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Answer
from api.schemas.books import AlertItem, PnlTotals, PositionItem
from api.schemas.risk import HaltBody
from api.schemas.symbols import SymbolItem


class StreamMessage(Answer):
    """One event of the stream, as /v1/ws sends it; /v1/stream sends the same as id, event and data."""

    id: int
    event: Literal["snapshot", "symbol", "order", "fill", "position", "risk", "alert", "gap", "heartbeat"]
    data: dict[str, Any]


class Snapshot(Answer):
    """Everything a screen needs, at one moment. `seq` is the stream's last event id that it contains."""

    seq: int
    now_ns: int
    session: str
    mode: str
    venue: str
    halt: HaltBody
    symbols: list[SymbolItem]
    positions: list[PositionItem]
    pnl: PnlTotals
    open_orders: int
    alerts: int
    recent_alerts: list[AlertItem] = Field(default_factory=list)
    is_stale: bool = False
    stale_reason: str = ""


class Readiness(Answer):
    """Whether the system is ready; `missing` says in sentences what is not."""

    ready: bool
    missing: list[str]


class Liveness(Answer):
    """The API process lives."""

    status: Literal["ok"] = "ok"
