"""Every body that the API takes and gives (the outside contract). Imports pydantic only, so that any client may use it.

Decimals are plain strings without exponent; times are integers in ns UTC and end in `_ns`. Requests refuse fields that
they do not know; answers may gain fields, so a client ignores what it does not know.
"""

from __future__ import annotations

from api.schemas.base import Answer, Page, Problem, Request
from api.schemas.books import (
    AlertItem,
    AuditItem,
    FillItem,
    LedgerItem,
    OrderExplanation,
    OrderItem,
    OrderStep,
    PnlItem,
    PnlTotals,
    PositionItem,
    SessionItem,
)
from api.schemas.market import CandleItem, ScanPage, ScanRow
from api.schemas.risk import (
    HaltBody,
    HaltOutcome,
    HaltRequest,
    LimitItem,
    ResumeRequest,
    RiskBody,
    RiskRequest,
    RiskUsage,
    ScopedRequest,
)
from api.schemas.symbols import (
    Book,
    BookSummary,
    OperationBody,
    RunEventItem,
    SetRequest,
    SpawnRequest,
    SymbolItem,
    TwinBody,
)
from api.schemas.system import Liveness, Readiness, Snapshot, StreamMessage

__all__ = [
    "AlertItem",
    "Answer",
    "AuditItem",
    "Book",
    "BookSummary",
    "CandleItem",
    "FillItem",
    "HaltBody",
    "HaltOutcome",
    "HaltRequest",
    "LedgerItem",
    "LimitItem",
    "Liveness",
    "OperationBody",
    "OrderExplanation",
    "OrderItem",
    "OrderStep",
    "Page",
    "PnlItem",
    "PnlTotals",
    "PositionItem",
    "Problem",
    "Readiness",
    "Request",
    "ResumeRequest",
    "RiskBody",
    "RiskRequest",
    "RiskUsage",
    "RunEventItem",
    "ScanPage",
    "ScanRow",
    "ScopedRequest",
    "SessionItem",
    "SetRequest",
    "Snapshot",
    "SpawnRequest",
    "StreamMessage",
    "SymbolItem",
    "TwinBody",
]
