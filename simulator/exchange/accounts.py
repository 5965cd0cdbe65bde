"""Accounts: balances, orders, trades. Pure. Amounts are integers of 10^-18."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.exchange.orders import AccountTrade, Order

# Terminal orders and trades kept per account; MEXC itself answers 7 days of orders and a month of trades.
HISTORY_LIMIT = 20_000


@dataclass(slots=True)
class Balance:
    """What an account has of one asset: free, and locked by open orders. Both are never negative."""

    free: int = 0
    locked: int = 0


class Account:
    """One account of the exchange, named by its API key. Owned by the exchange; mutated by its settlement only.

    `stp_groups` (id by name) enable self-trade prevention. `mx_deduct` takes fees in MX while there is enough of it.
    """

    __slots__ = (
        "_terminal",
        "balances",
        "key",
        "mx_deduct",
        "open_by_client_id",
        "open_orders",
        "orders",
        "orders_by_client_id",
        "secret",
        "stp_groups",
        "trades",
        "uid",
    )

    def __init__(self, key: str, secret: str, uid: str) -> None:
        self.key = key
        self.secret = secret
        self.uid = uid
        self.balances: dict[str, Balance] = {}
        self.orders: dict[str, Order] = {}
        self.orders_by_client_id: dict[tuple[str, str], Order] = {}
        self.open_orders: dict[str, Order] = {}
        self.open_by_client_id: dict[str, Order] = {}
        self.trades: deque[AccountTrade] = deque(maxlen=HISTORY_LIMIT)
        self.mx_deduct = False
        self.stp_groups: dict[str, str] = {}
        self._terminal: deque[str] = deque()

    def balance(self, asset: str) -> Balance:
        """Return the balance of an asset, made when there was none."""
        found = self.balances.get(asset)
        if found is None:
            found = self.balances[asset] = Balance()
        return found

    def is_grouped_with(self, other: Account) -> bool:
        """Return whether two accounts must not trade with each other: the same one, or two of one group."""
        return self is other or not set(self.stp_groups.values()).isdisjoint(other.stp_groups.values())

    def open(self, order: Order) -> None:
        """Register a new order as open."""
        self.orders[order.order_id] = order
        self.open_orders[order.order_id] = order
        if order.client_id:
            self.orders_by_client_id[order.pair.listing.symbol, order.client_id] = order
            self.open_by_client_id[order.client_id] = order

    def close(self, order: Order) -> None:
        """Move an order to history, which forgets the oldest beyond its limit."""
        del self.open_orders[order.order_id]
        if self.open_by_client_id.get(order.client_id) is order:
            del self.open_by_client_id[order.client_id]
        self._terminal.append(order.order_id)
        while len(self._terminal) > HISTORY_LIMIT:
            old = self.orders.pop(self._terminal.popleft())
            named = (old.pair.listing.symbol, old.client_id)
            if self.orders_by_client_id.get(named) is old:
                del self.orders_by_client_id[named]
