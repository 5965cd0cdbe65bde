"""What a strategy sees and what it answers. Pure; may import `trading.model` and `trading.engine`.

A strategy says what it would like to have in the book now (`Desires`), again and again; it never sends, cancels or
counts orders. Symbol risk may take quotes away, and `quoting` turns what is left into orders: one order per slot
(side, purpose), cancel, wait for the end, place anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, Protocol

from trading.engine.edge import EdgeTerms
from trading.engine.strategy.measures import MarketMeasures
from trading.model.instrument import Instrument
from trading.model.market import Level, Side
from trading.model.orders import OrderStatus, OrderType, Purpose, Refusal
from trading.model.position import Position


class BookView(Protocol):
    """The read-only face of `engine.others_book.BookOfOthers`; levels are (price_ticks, qty_lots)."""

    @property
    def version(self) -> int:
        """Version of the last change."""
        ...

    @property
    def best_bid(self) -> Level | None:
        """Highest bid."""
        ...

    @property
    def best_ask(self) -> Level | None:
        """Lowest ask."""
        ...

    def bids(self, depth: int) -> list[Level]:
        """Best (highest) first, at most `depth`."""
        ...

    def asks(self, depth: int) -> list[Level]:
        """Best (lowest) first, at most `depth`."""
        ...

    def qty_at(self, side: Side, price_ticks: int) -> int:
        """Lots resting at a price."""
        ...

    def qty_within(self, side: Side, limit_ticks: int) -> int:
        """Lots from the best to a price, inclusive."""
        ...


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """One of our orders that is not over, as the symbol knows it.

    `is_cancel_requested`: we asked for its end and wait for the word. UNKNOWN counts as wholly filled for exposure.
    cancel_requested_ns: when we asked last; cancel_first_ns: when first. Both 0 when we did not.
    """

    client_order_id: str
    side: Side
    type: OrderType
    price_ticks: int
    qty_lots: int
    filled_lots: int
    purpose: Purpose
    status: OrderStatus
    created_ns: int
    valid_until_ns: int
    cancel_requested_ns: int = 0
    cancel_first_ns: int = 0
    accepted_ns: int = 0

    @property
    def open_lots(self) -> int:
        """Lots that may still trade."""
        return self.qty_lots - self.filled_lots

    @property
    def is_cancel_requested(self) -> bool:
        """True once we asked for its end."""
        return self.cancel_requested_ns > 0

    @property
    def is_resting_type(self) -> bool:
        """True for types that stay in the book; the others end by themselves."""
        return self.type in (OrderType.LIMIT, OrderType.LIMIT_MAKER)


class StrategyView(NamedTuple):
    """Everything a strategy may look at, at one instant; the book is proven and has both sides.

    Attributes:
        book: of others: where our own orders show in the venue's book (live), they are taken off, as far as is known
            (`engine.others_book` says when an order begins and ceases to show). Valid during the call only.
        bid, ask: its best levels.
        measures: normal spread, volatility, trade rate, markouts, exit mix.
        orders: ours that are not over, oldest first.
        position: exact, as booked. held_lots: its quantity rounded down to lots (what can be sold).
        allocation_quote: quote units that may be bound.
    """

    now_ns: int
    instrument: Instrument
    book: BookView
    bid: Level
    ask: Level
    measures: MarketMeasures
    orders: tuple[OwnOrder, ...]
    position: Position
    held_lots: int
    allocation_quote: Decimal


class Requote(NamedTuple):
    """When a resting order that differs from what is wanted is worth two operations of the rate budget.

    Attributes:
        min_age_ns: it stays at least so long. min_move_ticks: smaller differences are left alone.
        max_age_ns: after it the order is renewed even when equal (its assumptions are old); 0 for never.
    """

    min_age_ns: int
    min_move_ticks: int
    max_age_ns: int = 0


class DesiredQuote(NamedTuple):
    """An order the strategy wants to have working now.

    Attributes:
        reason: short name of why ("entry", "take_profit", "stop_loss", ...), kept with the order and in reports.
        edge: the terms that justified an entry, kept with the order. terms: further inputs, text by name.
        is_urgent: risk-reducing now: it does not wait for the symbol's own operation budget nor for `requote` ages.
    """

    side: Side
    purpose: Purpose
    type: OrderType
    price_ticks: int
    qty_lots: int
    reason: str
    requote: Requote
    edge: EdgeTerms | None = None
    terms: tuple[tuple[str, str], ...] = ()
    is_urgent: bool = False


class Desires(NamedTuple):
    """A strategy's answer: at most one quote per (side, purpose); what is not wanted is cancelled.

    `refusals` say why there is no entry quote; `machine_state` is the strategy's own state, for people.
    """

    quotes: tuple[DesiredQuote, ...]
    refusals: tuple[Refusal, ...]
    machine_state: str


class Strategy(Protocol):
    """A strategy of one symbol. Built as `cls(instrument, parameters)`.

    Its memory may depend on the views it was shown and on nothing else: no clock, no dice of its own, no I/O, so that
    the same input gives the same decisions. After a restart memory is empty while the view may show a position and
    orders: `decide` must cope. An exception ends trading of this symbol (entries stop, orders are cancelled, an alert).
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    parameters_class: ClassVar[type]
    parameters: Any

    def __init__(self, instrument: Instrument, parameters: Any) -> None: ...

    def decide(self, view: StrategyView) -> Desires:
        """Say what to have in the book now. Called on book changes, order events, timers; the book is proven."""
        ...
