"""A market whose queue is known lot by lot, with live orders in it, and their shadow twin beside it. Imports `trading`.

The truth is a queue of its own, not a paper venue: each cancelled lot was behind our order with the chance
1 - (F / (F+B))^n, by a seeded toss, and our order fills when a trade has used up what stood in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from tests.market_scenes import MS, SYMBOL, S, book, delta, instrument, intent, trade
from trading.engine.book import Book
from trading.engine.matching_models import NO_LATENCY, MatchingRules
from trading.engine.messages import Action, CancelOrder, EngineEvent, PlaceOrder, TimerFired
from trading.engine.shadow_twin import ShadowTwin
from trading.model.market import BookState, Side
from trading.model.orders import (
    CancelIntent,
    Delivery,
    Fill,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderStatus,
    OrderType,
)

PRICE = 9_990
STEPS = 40
LOTS = 20
FRONT = (50, 600)
MOVED = (1, 80)
PIECE = 15


@dataclass
class Reading:
    """What the twin reads of an engine."""

    others: Book
    book_state: BookState = BookState.PROVEN
    last_seq: int = 0


class QueueMarket:
    """One bid level of interest, a deeper one that stays, and a far ask; orders of ours come one after the other."""

    def __init__(self, power: float, seed: int, twin: ShadowTwin | None = None) -> None:
        self.twin = twin or ShadowTwin(instrument(min_notional="0"), NO_LATENCY, MatchingRules())
        self._power = power
        self._dice = Random(seed)
        self._now_ns = S
        self._version = 1
        self._seq = 0
        self._reading = Reading(book([(PRICE, 1), (PRICE - 1, 1_000)], [(10_010, 1_000)]))

    def play(self, orders: int) -> None:
        """Let so many live orders live and end."""
        for number in range(orders):
            self._one_order(f"o{number}")

    def _one_order(self, name: str) -> None:
        dice = self._dice
        front, behind, left = dice.randint(*FRONT), 0, LOTS
        self._show(front)
        order = intent(name, Side.BUY, PRICE, LOTS, OrderType.LIMIT_MAKER, self._now_ns)
        self._tell(TimerFired(self._now_ns), PlaceOrder(order))
        self._deliver(OrderAccepted(SYMBOL, name, name, self._now_ns))
        for _ in range(STEPS):
            self._now_ns += S
            self._tell(TimerFired(self._now_ns))
            kind = dice.choice(("join", "join", "cancel", "cancel", "trade"))
            lots = dice.randint(*MOVED)
            if kind == "join":
                behind += lots
            elif kind == "cancel":
                front, behind = self._cancelled(min(lots, front + behind), front, behind)
            elif kind == "trade":
                lots = min(lots, front + left + behind)
                if lots:
                    self._tell(trade(PRICE, lots, Side.SELL, self._now_ns))
                ours = min(left, max(0, lots - front))
                behind -= max(0, lots - front - left)
                front = max(0, front - lots)
                left -= ours
                if ours:
                    self._filled(name, LOTS - left, ours)
            self._now_ns += 10 * MS
            self._show(front + behind)
            if not left:
                break
        else:
            order_end = CancelOrder(CancelIntent(name, SYMBOL, self._now_ns, "test"))
            self._tell(TimerFired(self._now_ns), order_end)
            self._deliver(OrderCancelled(SYMBOL, name, LOTS - left, "", self._now_ns))
        self._now_ns += S
        self._tell(TimerFired(self._now_ns))

    def _cancelled(self, lots: int, front: int, behind: int) -> tuple[int, int]:
        """Take lots away, by pieces that stand in front of us or behind us."""
        while lots:
            is_behind = self._dice.random() < 1 - (front / (front + behind)) ** self._power
            piece = min(lots, self._dice.randint(1, PIECE), behind if is_behind else front)
            front, behind = (front, behind - piece) if is_behind else (front - piece, behind)
            lots -= piece
        return front, behind

    def _filled(self, name: str, total: int, lots: int) -> None:
        fill = Fill(
            "live", f"{name}.{total}", name, name, SYMBOL, Side.BUY, PRICE, lots,
            Decimal(1), Decimal(0), "BBB", True, self._now_ns, self._now_ns,
        )  # fmt: skip
        status = OrderStatus.FILLED if total == LOTS else OrderStatus.PARTIALLY_FILLED
        self._deliver(OrderFilled(SYMBOL, name, fill, status, self._now_ns))

    def _show(self, lots: int) -> None:
        self._version += 1
        change = delta(self._version, bids=[(PRICE, lots)], at_ns=self._now_ns)
        self.twin.before(change, self._now_ns)
        self._reading.others.apply_delta(change)
        self.twin.after(change, self._now_ns, (), self._reading)

    def _deliver(self, event: OrderAccepted | OrderCancelled | OrderFilled) -> None:
        self._seq = self._reading.last_seq = self._seq + 1
        self._tell(Delivery(self._seq, event))

    def _tell(self, event: EngineEvent, *actions: Action) -> None:
        self.twin.before(event, self._now_ns)
        self.twin.after(event, self._now_ns, actions, self._reading)
