"""Limits, halt and resume. Imports pydantic only."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from api.schemas.base import Answer, Assignments, DecimalText, OperationStatusName, Request, SymbolName, texts

HaltStateName = Literal["ACTIVE", "REDUCING", "HALTED"]


class LimitItem(Answer):
    """One account limit with its declaration."""

    name: str
    value: str
    unit: str
    default: str
    low: str | None
    high: str | None
    reason: str


class RiskUsage(Answer):
    """What the limits are compared with, in the quote asset; a drawdown is positive, a day's loss negative.

    Both go on counting what coins had gained or lost when they left by no order of ours; `net` of /v1/pnl does not.
    """

    exposure: DecimalText
    net_pnl_today: DecimalText
    drawdown: DecimalText
    open_orders: int
    unknown_orders: int


class ForeignOrder(Answer):
    """An open order on the account that is not ours: shown, and left alone."""

    symbol: str
    venue_order_id: str
    client_order_id: str
    side: str
    type: str
    status: str
    since_ns: int


class RiskBody(Answer):
    """The account's limits by name, how each is declared, and what they are compared with. May be PUT back."""

    limits: dict[str, str]
    declarations: list[LimitItem]
    usage: RiskUsage
    foreign_orders: list[ForeignOrder] = Field(default_factory=list)


class RiskRequest(BaseModel):
    """Limits to change, by name; the others stay. Whole or not at all. What GET gives beside `limits` is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    limits: Assignments = Field(min_length=1)

    _write = field_validator("limits", mode="before")(texts)


class ScopedRequest(Request):
    """Something for the whole account, for one symbol, or for a group of symbols."""

    scope: Literal["account", "symbol", "group"] = "account"
    symbol: SymbolName | None = None
    symbols: tuple[SymbolName, ...] = Field((), max_length=2_000)

    @model_validator(mode="after")
    def _belong_together(self) -> ScopedRequest:
        if (self.scope == "symbol") != (self.symbol is not None):
            raise ValueError("scope symbol needs a symbol, scope account takes none")
        if (self.scope == "group") != bool(self.symbols):
            raise ValueError("scope group needs symbols, the other scopes take none")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols that are meant; none for the whole account."""
        return tuple(dict.fromkeys(self.symbols)) or (() if self.symbol is None else (self.symbol,))


class HaltRequest(ScopedRequest):
    """Stop: cancel everything of ours; with `flatten` sell what is held first, with bounded prices."""

    flatten: bool = False
    reason: str = Field("", max_length=500)


class ResumeRequest(ScopedRequest):
    """Trade again."""

    reason: str = Field("", max_length=500)


class HaltBody(Answer):
    """Where a halt stands. `confirmed`: the venue was asked and shows no open order of ours, at `verified_at_ns`.

    `open_orders` is null when the venue could not be asked. `symbols` names those with a halt of their own.
    """

    state: HaltStateName
    confirmed: bool
    open_orders: int | None
    verified_at_ns: int
    reason: str
    symbols: dict[str, HaltStateName] = Field(default_factory=dict)


class HaltOutcome(HaltBody):
    """The answer to a halt or resume: where it stands, and its operation."""

    operation_id: str
    status: OperationStatusName
    error: str | None = None
