"""Orders of accounts, the trades they make, and the private events both cause. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from simulator.exchange.accounts import Account
from simulator.exchange.book import Resting
from trading.model.market import Side
from trading.model.orders import OrderType

if TYPE_CHECKING:
    from simulator.exchange.pair import Pair


class OrderState(StrEnum):
    """The venue's states, by their REST names."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    PARTIALLY_CANCELED = "PARTIALLY_CANCELED"

    @property
    def is_open(self) -> bool:
        """True while the order may still trade."""
        return self in (OrderState.NEW, OrderState.PARTIALLY_FILLED)


class StpMode(StrEnum):
    """Which order goes when an account meets itself or its group; NONE lets them trade."""

    NONE = ""
    CANCEL_MAKER = "CANCEL_MAKER"
    CANCEL_TAKER = "CANCEL_TAKER"
    CANCEL_BOTH = "CANCEL_BOTH"


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as asked for, parsed. `price_ticks` is None for MARKET; `quote_amount` is the budget of a MARKET BUY."""

    symbol: str
    side: Side
    type: OrderType
    price_ticks: int | None
    lots: int | None
    quote_amount: int | None = None
    client_id: str = ""
    stp_mode: StpMode = StpMode.NONE


class Order(Resting):
    """An account's order. `lots` is what is left; `orig_lots` what was asked for (0 for a MARKET BUY by value).

    `locked` is the amount still reserved for it: of the quote asset for a BUY, of the base asset for a SELL.
    `price_ticks` is the protection price of a MARKET order.
    """

    __slots__ = (
        "client_id",
        "filled_lots",
        "filled_ticks_lots",
        "locked",
        "order_id",
        "orig_lots",
        "pair",
        "quote_amount",
        "state",
        "stp_mode",
        "time_ms",
        "type",
        "update_ms",
    )

    account: Account

    def __init__(
        self, seq: int, order_id: str, account: Account, pair: "Pair", new: NewOrder, price_ticks: int, now_ms: int
    ) -> None:
        super().__init__(seq, account, new.side, price_ticks, new.lots or 0)
        self.order_id = order_id
        self.client_id = new.client_id
        self.pair = pair
        self.type = new.type
        self.orig_lots = new.lots or 0
        self.quote_amount = new.quote_amount
        self.stp_mode = new.stp_mode
        self.state = OrderState.NEW
        self.filled_lots = 0
        self.filled_ticks_lots = 0
        self.locked = 0
        self.time_ms = now_ms
        self.update_ms = now_ms


@dataclass(frozen=True, slots=True)
class AccountTrade:
    """One fill of one account's order. `trade_id` is my-trades' (32 hex), `stream_id` the private stream's."""

    trade_id: str
    stream_id: str
    order: Order
    price_ticks: int
    lots: int
    fee: int
    fee_asset: str
    is_maker: bool
    is_self_trade: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class OrderUpdated:
    """An order of an account changed state; all values as they were at that moment."""

    account: Account
    order: Order
    state: OrderState
    left_lots: int
    filled_lots: int
    filled_ticks_lots: int
    last_lots: int
    is_maker: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class TradeDone:
    """An order of an account traded."""

    account: Account
    trade: AccountTrade


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    """The balance of one asset changed to `free` and `locked`, by the two changes, for the venue's `kind` of reason."""

    account: Account
    asset: str
    free: int
    locked: int
    free_change: int
    locked_change: int
    kind: str
    time_ms: int


PrivateEvent = OrderUpdated | TradeDone | BalanceChanged


@dataclass(frozen=True, slots=True)
class Refusal:
    """An expected no: the venue's code and text."""

    code: int
    text: str
