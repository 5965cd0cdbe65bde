"""The symbol's own table of its orders, kept from journaled deliveries. Pure.

May import `trading.model` and `trading.engine`. The executor is the authority; this is what the symbol knows
of it, walking the same transition table (`orders`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from trading.engine.orders import CONTRADICTIONS, OrderEventKind, TransitionRefused, kind_of, next_status
from trading.engine.ports import OrderRecord
from trading.engine.strategy.protocol import OwnOrder
from trading.model.orders import OrderAdopted, OrderCancelled, OrderEvent, OrderFilled, OrderIntent, OrderStatus

ENDED_KEPT_MAX = 500
"""Orders that are over and still remembered, for fills that come late."""


@dataclass(frozen=True, slots=True)
class OrderChange:
    """What an event did to an order: before and after, and a text when something about it is odd."""

    before: OwnOrder
    after: OwnOrder
    oddity: str = ""


class OwnOrders:
    """Orders of one symbol by id. Owned by its engine.

    Invariant: `active` holds exactly the orders that are not terminal, oldest first; at most `ENDED_KEPT_MAX` others
    are remembered.
    """

    def __init__(self) -> None:
        self._active: dict[str, OwnOrder] = {}
        self._ended: dict[str, OwnOrder] = {}
        self._listed: tuple[OwnOrder, ...] | None = ()

    @property
    def active(self) -> tuple[OwnOrder, ...]:
        """Orders that are not over, oldest first."""
        if self._listed is None:
            self._listed = tuple(self._active.values())
        return self._listed

    def load(self, records: Iterable[OrderRecord]) -> None:
        """Take unfinished orders of the journal; terminal ones are skipped."""
        for record in records:
            if not record.status.is_terminal:
                self._put(
                    OwnOrder(
                        client_order_id=record.client_order_id,
                        side=record.side,
                        type=record.type,
                        price_ticks=record.price_ticks,
                        qty_lots=record.qty_lots,
                        filled_lots=record.filled_lots,
                        purpose=record.purpose,
                        status=record.status,
                        created_ns=record.created_ns,
                        valid_until_ns=record.valid_until_ns,
                        accepted_ns=record.acked_ns,
                    )
                )

    def add(self, intent: OrderIntent) -> OwnOrder:
        """Take an order that was just decided; PENDING until the executor says more."""
        order = OwnOrder(
            client_order_id=intent.client_order_id,
            side=intent.side,
            type=intent.type,
            price_ticks=intent.price_ticks,
            qty_lots=intent.qty_lots,
            filled_lots=0,
            purpose=intent.purpose,
            status=OrderStatus.PENDING,
            created_ns=intent.created_ns,
            valid_until_ns=intent.valid_until_ns,
        )
        self._put(order)
        return order

    def request_cancel(self, client_order_id: str, now_ns: int) -> None:
        """Note that we asked for an order's end."""
        order = self._active.get(client_order_id)
        if order is None:
            return
        after = next_status(order.status, OrderEventKind.CANCEL_REQUESTED)
        status = order.status if isinstance(after, TransitionRefused) else after
        first_ns = order.cancel_first_ns or now_ns
        self._put(replace(order, status=status, cancel_requested_ns=now_ns, cancel_first_ns=first_ns))

    def on_event(self, event: OrderEvent, now_ns: int) -> OrderChange | None:
        """Apply a journaled event; None when the order is not ours to know (it ended long ago)."""
        order = self._active.get(event.client_order_id) or self._ended.get(event.client_order_id)
        if order is None:
            return self._adopt(event) if isinstance(event, OrderAdopted) else None
        kind = kind_of(event)
        after = next_status(order.status, kind)
        filled = order.filled_lots
        if isinstance(event, OrderFilled):
            filled += event.fill.qty_lots
        elif isinstance(event, OrderCancelled):
            filled = max(filled, event.filled_lots)
        if isinstance(after, TransitionRefused):
            changed = replace(order, filled_lots=filled)
            self._put(changed)
            return OrderChange(order, changed, after.reason)
        accepted_ns = order.accepted_ns
        if kind is OrderEventKind.ACKNOWLEDGED and not accepted_ns:
            accepted_ns = now_ns
        changed = replace(order, status=after, filled_lots=filled, accepted_ns=accepted_ns)
        self._put(changed)
        oddity = f"{order.status} became {after} by {kind}" if (order.status, kind) in CONTRADICTIONS else ""
        return OrderChange(order, changed, oddity)

    def _adopt(self, event: OrderAdopted) -> OrderChange:
        """Take an order that the venue holds already, as if it had been there at the start."""
        order = OwnOrder(
            client_order_id=event.client_order_id,
            side=event.side,
            type=event.type,
            price_ticks=event.price_ticks,
            qty_lots=event.qty_lots,
            filled_lots=0,
            purpose=event.purpose,
            status=OrderStatus.OPEN,
            created_ns=event.created_ns,
            valid_until_ns=event.created_ns,
            accepted_ns=event.at_ns,
        )
        self._put(order)
        return OrderChange(order, order)

    def find(self, client_order_id: str) -> OwnOrder | None:
        """Return an order that is not over, or was so lately."""
        return self._active.get(client_order_id) or self._ended.get(client_order_id)

    def _put(self, order: OwnOrder) -> None:
        self._listed = None
        if not order.status.is_terminal:
            self._ended.pop(order.client_order_id, None)
            self._active[order.client_order_id] = order
            return
        self._active.pop(order.client_order_id, None)
        self._ended[order.client_order_id] = order
        while len(self._ended) > ENDED_KEPT_MAX:
            del self._ended[next(iter(self._ended))]
