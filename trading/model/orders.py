"""Orders, fills, and what happens to them. May import `trading.model` and the standard library.

Denied (our risk said no) is not Rejected (the venue said no). UNKNOWN means that the venue may hold the order.
Two vocabularies meet here: `VenueOrder`/`VenueTrade`/`VenueBalance` are what a venue reports (paper or live alike);
`OrderEvent` is what the executor tells a symbol once it is journaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading.model.market import Side
from trading.model.message import Message


class OrderType(StrEnum):
    """How an order meets the book. IOC and FOK are limit orders; MARKET walks the book."""

    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    IOC = "IMMEDIATE_OR_CANCEL"
    FOK = "FILL_OR_KILL"
    MARKET = "MARKET"


class Purpose(StrEnum):
    """Whether an order adds exposure (ENTRY) or takes it away (EXIT). Entry limits never block an EXIT."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"


class OrderStatus(StrEnum):
    """The life of an order; the transition table is in `engine.orders`."""

    PENDING = "PENDING"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    PARTIALLY_CANCELLED = "PARTIALLY_CANCELLED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    NOT_SENT = "NOT_SENT"

    @property
    def is_terminal(self) -> bool:
        """True when no further quantity can trade (late fills are still booked)."""
        return self in TERMINAL


TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.PARTIALLY_CANCELLED,
        OrderStatus.REJECTED,
        OrderStatus.DENIED,
        OrderStatus.NOT_SENT,
    }
)


class Refusal(StrEnum):
    """Why our own rules said no. One closed set for symbol risk, account risk, executor and strategy filters."""

    HALTED = "halted"
    REDUCING = "reducing"
    FENCED = "fenced"
    BUDGET = "rate_budget"
    STALE_INTENT = "stale_intent"
    TOMBSTONED = "tombstoned"
    JOURNAL_DOWN = "journal_down"
    STREAM_DOWN = "stream_down"
    NOT_READY = "not_ready"
    BOOK_UNPROVEN = "book_unproven"
    BOOK_STALE = "book_stale"
    ONE_SIDED_BOOK = "one_sided_book"
    SPREAD_TOO_TIGHT = "spread_too_tight"
    SPREAD_TOO_WIDE = "spread_too_wide"
    MAKER_GONE = "market_maker_gone"
    EDGE_BELOW_FLOOR = "edge_below_floor"
    IMBALANCE = "imbalance"
    DEPTH_TOO_THIN = "depth_too_thin"
    VOLATILITY = "volatility"
    TRADE_RATE = "trade_rate"
    SCHEDULE = "schedule"
    COOLDOWN = "cooldown"
    LOSS_STREAK = "loss_streak"
    PRICE_COLLAR = "price_collar"
    MIN_NOTIONAL = "min_notional"
    MAX_NOTIONAL = "max_notional"
    BALANCE = "insufficient_balance"
    ALLOCATION = "allocation"
    INVENTORY = "inventory_limit"
    SYMBOL_EXPOSURE = "symbol_exposure"
    GROSS_EXPOSURE = "gross_exposure"
    OPEN_ORDERS = "open_order_count"
    ORDER_RATE = "order_rate"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    SELF_TRADE = "self_trade"
    NOTHING_TO_SELL = "nothing_to_sell"
    EXIT_UNKNOWN = "exit_outcome_unknown"
    INSTRUMENT = "instrument_not_tradable"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class OrderIntent(Message):
    """An order that strategy and symbol risk want. Approved by the executor it becomes a journal row, then an order.

    Attributes:
        client_order_id: deterministic, unique across restarts, at most 32 of [A-Za-z0-9_-].
        price_ticks: limit price; for MARKET the protection price. qty_lots: > 0.
        created_ns: the engine's `now_ns` of the decision. valid_until_ns: after it the intent is denied as stale.
        owner_epoch: the symbol lease's epoch of the deciding actor.
        decision: inputs and terms of the decision, as text pairs (book version, edge terms, ...), kept with the order.
    """

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    price_ticks: int
    qty_lots: int
    purpose: Purpose
    created_ns: int
    valid_until_ns: int
    owner_epoch: int
    strategy: str
    decision: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CancelIntent(Message):
    """A wish to end an order; harmless when it is already over."""

    client_order_id: str
    symbol: str
    created_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fill(Message):
    """One execution, as booked. Identity: (venue, symbol, side, trade_id).

    `quote_qty`, `fee` are exact Decimals; `fee` is in `fee_asset` (quote, base or a third asset). When third,
    `fee_rate_quote` is the quote price of one unit of it and `fee_rate_source` says where that came from.
    `source` is that of the `VenueTrade` that was booked: the same execution has another id in the other source.
    """

    venue: str
    trade_id: str
    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    price_ticks: int
    qty_lots: int
    quote_qty: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    exch_ts_ns: int
    recv_ts_ns: int
    fee_rate_quote: Decimal | None = None
    fee_rate_source: str = ""
    source: str = ""


# --- what a venue reports -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VenueOrder(Message):
    """A venue's word on one order, from a push or a query. `status` never is PENDING, SENT, DENIED or NOT_SENT.

    `created_ts_ns`: when the venue took it, by its clock; 0 where the word does not tell.
    """

    symbol: str
    client_order_id: str
    venue_order_id: str
    status: OrderStatus
    side: Side
    type: OrderType
    price_ticks: int
    qty_lots: int
    filled_lots: int
    filled_quote: Decimal
    exch_ts_ns: int
    recv_ts_ns: int
    reason: str = ""
    created_ts_ns: int = 0


@dataclass(frozen=True, slots=True)
class VenueTrade(Message):
    """A venue's word on one execution of ours. `owner_epoch` is set by paper venues, 0 otherwise.

    `source` is "stream", "rest" or "paper": stream and REST trade ids of one execution differ at MEXC.
    """

    fill: Fill
    source: str
    owner_epoch: int = 0


@dataclass(frozen=True, slots=True)
class VenueBalance(Message):
    """A venue's word on one asset: free and locked amounts in that asset.

    `cause`: what moved it, in the venue's word ("DEPOSIT"), where that was no order; else empty.
    """

    asset: str
    free: Decimal
    locked: Decimal
    exch_ts_ns: int
    recv_ts_ns: int
    cause: str = ""


@dataclass(frozen=True, slots=True)
class VenueStreamLost:
    """The private stream is down: pushes may be missed until it is restored and reconciled."""

    reason: str
    recv_ts_ns: int


@dataclass(frozen=True, slots=True)
class VenueStreamRestored:
    """The private stream is back: reconcile now."""

    recv_ts_ns: int


VenueEvent = VenueOrder | VenueTrade | VenueBalance | VenueStreamLost | VenueStreamRestored


# --- answers of a gateway -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlaceAccepted(Message):
    """The venue took the order."""

    client_order_id: str
    venue_order_id: str
    acked_ns: int


@dataclass(frozen=True, slots=True)
class PlaceRejected(Message):
    """The venue answered no, or was certainly never asked (code 0); it does not hold the order.

    `disables_symbol`: no point in trying this symbol again. `is_fatal`: key, permission or account; a person must act.
    `retry_after_s` > 0: the venue wants a pause before the next request of any kind; `is_firewall`: nobody named it.
    """

    client_order_id: str
    code: int
    text: str
    acked_ns: int
    disables_symbol: bool = False
    is_fatal: bool = False
    retry_after_s: float = 0.0
    is_firewall: bool = False


@dataclass(frozen=True, slots=True)
class PlaceUnknown(Message):
    """No certain answer: the venue may hold the order."""

    client_order_id: str
    text: str
    acked_ns: int


PlaceAnswer = PlaceAccepted | PlaceRejected | PlaceUnknown


# --- what the executor tells a symbol, once journaled ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderDenied(Message):
    """Our own rules said no; the venue never saw it. Terminal."""

    symbol: str
    client_order_id: str
    reason: Refusal
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class OrderAccepted(Message):
    """The venue holds the order."""

    symbol: str
    client_order_id: str
    venue_order_id: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class OrderAdopted(Message):
    """The venue holds an order under our prefix that no row explained: ours from now on. Its fills follow."""

    symbol: str
    client_order_id: str
    venue_order_id: str
    side: Side
    type: OrderType
    price_ticks: int
    qty_lots: int
    purpose: Purpose
    created_ns: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class OrderRejected(Message):
    """The venue said no. Terminal."""

    symbol: str
    client_order_id: str
    code: int
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class OrderFilled(Message):
    """A booked execution. `position_lots`-style sums are the symbol's own to keep; `status` is the order's after it."""

    symbol: str
    client_order_id: str
    fill: Fill
    status: OrderStatus
    at_ns: int


@dataclass(frozen=True, slots=True)
class OrderCancelled(Message):
    """The order is over at the venue; `filled_lots` in all have traded. Terminal. `why`, `asked_ns`: our first wish."""

    symbol: str
    client_order_id: str
    filled_lots: int
    reason: str
    at_ns: int
    why: str = ""
    asked_ns: int = 0
    sent_ns: int = 0


@dataclass(frozen=True, slots=True)
class OrderOutcomeUnknown(Message):
    """The venue may hold the order; it counts as filled for exposure until resolved."""

    symbol: str
    client_order_id: str
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class OrderNotSent(Message):
    """Proven absent at the venue, and never to be sent. Terminal."""

    symbol: str
    client_order_id: str
    text: str
    at_ns: int


_Answered = OrderDenied | OrderAccepted | OrderAdopted | OrderRejected
OrderEvent = _Answered | OrderFilled | OrderCancelled | OrderOutcomeUnknown | OrderNotSent


@dataclass(frozen=True, slots=True)
class Delivery(Message):
    """An order event with its per-symbol sequence number from the journal (1, 2, 3, ... without holes).

    Sequence 0 is local: the symbol's shell tells its engine that the executor buried an id it never journaled.
    """

    seq: int
    event: OrderEvent
