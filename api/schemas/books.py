"""The books of the account: orders, fills, positions, P&L, sessions, audit, alerts. Imports pydantic only."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.schemas.base import Answer, DecimalText


class OrderItem(Answer):
    """One order. `reason` says why when it was denied, rejected or cancelled. Times are 0 until they happen."""

    client_order_id: str
    venue_order_id: str
    session: str
    symbol: str
    mode: str
    side: str
    type: str
    price: DecimalText
    qty: DecimalText
    filled_qty: DecimalText
    avg_price: DecimalText | None
    status: str
    reason: str
    created_ns: int
    committed_ns: int
    sent_ns: int
    acked_ns: int
    updated_ns: int
    purpose: str = ""
    strategy: str = ""


class FillItem(Answer):
    """One execution, as booked. `quote_qty` is price x quantity; `fee` is in `fee_asset`.

    A fee in a third asset has that asset's price in quote units, and where it is from.
    """

    venue: str
    trade_id: str
    client_order_id: str
    venue_order_id: str
    symbol: str
    side: str
    price: DecimalText
    qty: DecimalText
    quote_qty: DecimalText
    fee: DecimalText
    fee_asset: str
    fee_rate_quote: DecimalText | None = None
    fee_rate_source: str = ""
    is_maker: bool
    exch_ts_ns: int
    recv_ts_ns: int
    session: str = ""
    realized_pnl: DecimalText | None = None
    fee_quote: DecimalText | None = None


class OrderStep(Answer):
    """One journaled event of an order."""

    seq: int
    kind: str
    at_ns: int
    body: dict[str, Any] = Field(default_factory=dict)


class RiskVerdict(Answer):
    """What symbol risk or the account's rules said; `measured` holds each limit beside the order's figure."""

    judge: str
    verdict: str
    reason: str = ""
    text: str = ""
    at_ns: int = 0
    measured: dict[str, str] = Field(default_factory=dict)


class TimelinePoint(Answer):
    """One moment of an order's life. `after_us`: since the moment before."""

    at_ns: int
    what: str
    after_us: int | None = None


class OrderExplanation(Answer):
    """Why an order exists and what became of it.

    `decision` is everything that was kept with it, as text; the fields after it are the same sorted: the book it was
    decided on, the edge's terms, other inputs, every parameter's value (`parameters_note` says when the values of then
    are not certain), what risk said, and every timestamp in order.
    """

    order: OrderItem
    decision: dict[str, str]
    events: list[OrderStep]
    fills: list[FillItem]
    book: dict[str, str] = Field(default_factory=dict)
    edge: dict[str, str] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, str] = Field(default_factory=dict)
    parameters_note: str = ""
    risk: list[RiskVerdict] = Field(default_factory=list)
    timeline: list[TimelinePoint] = Field(default_factory=list)


class PositionItem(Answer):
    """What is held of one symbol, in base units at average cost. P&L and fees are in the quote asset.

    `mark_price` is the bid, null when no fresh one is known; then `unrealized_pnl` is null too.
    `realized_pnl` is before fees.
    """

    symbol: str
    qty: DecimalText
    avg_price: DecimalText
    mark_price: DecimalText | None
    realized_pnl: DecimalText
    unrealized_pnl: DecimalText | None
    fees: DecimalText
    updated_ns: int


class PnlTotals(Answer):
    """P&L of the account since it began, in its quote asset: net = realized + unrealized - fees.

    What coins had gained or lost when they left by no order of ours (a withdrawal) is not in it: they are held no more.
    `usage` of /v1/risk keeps that, since a loss is not forgotten with its coins: from then on the two differ by it.
    `unmarked` names held symbols without a fresh bid: their unrealized part is not in the sum.
    """

    realized: DecimalText
    unrealized: DecimalText
    fees: DecimalText
    net: DecimalText
    unmarked: list[str] = Field(default_factory=list)


class PnlItem(Answer):
    """P&L of one session, symbol or UTC day from its fills: net = realized - fees, the same sum however it is cut.

    `unrealized` is what the symbol's position would add at the bid; null where that has no meaning, or no mark.
    """

    key: str
    session: str | None = None
    symbol: str | None = None
    day: str | None = None
    fills: int
    quote_volume: DecimalText
    realized: DecimalText
    unrealized: DecimalText | None = None
    fees: DecimalText
    net: DecimalText


class LedgerItem(Answer):
    """One movement of one asset. kind: opening, trade, fee, or adjustment (what others moved on the account).

    `amount` is signed; the sum over an asset is what the account holds of it. `reason` says what an adjustment was:
    the venue's word (DEPOSIT, WITHDRAW), a foreign trade, or unexplained. `symbol` is empty where it is of none.
    """

    id: int
    session: str
    kind: str
    symbol: str
    asset: str
    amount: DecimalText
    client_order_id: str | None
    reason: str
    reference: str
    at_ns: int


class SessionItem(Answer):
    """One run of the system. `ended_ns` is null while it runs; of a killed one, until the next begins."""

    session: str
    account: str
    mode: str
    venue: str
    started_ns: int
    ended_ns: int | None
    end_reason: str


class AuditItem(Answer):
    """Who asked for what."""

    id: int
    session: str | None
    actor: str
    action: str
    symbol: str | None
    detail: dict[str, Any]
    at_ns: int


class AlertItem(Answer):
    """Something a person should know."""

    id: int
    session: str | None
    level: str
    name: str
    text: str
    symbol: str | None
    at_ns: int
