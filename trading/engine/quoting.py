"""From what is wanted to what to send: one order per slot, re-quotes priced against the rate budget. Pure.

May import `trading.model` and `trading.engine`. A slot is (side, purpose). An order that differs from what is wanted is
cancelled; its successor is placed when the word of its end has come, never before: at no time are there two orders of
one slot, so a race between cancel and fill cannot buy or sell twice. Where two were found (one of them adopted, or both
of a former owner), one stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from trading.engine.budget import TokenBucket
from trading.engine.risk import SymbolRiskLimits
from trading.engine.strategy.protocol import DesiredQuote, OwnOrder
from trading.model.market import Side
from trading.model.orders import OrderStatus, Purpose
from trading.model.units import NS_PER_MS, NS_PER_S

Slot = tuple[Side, Purpose]

CANCEL_RETRY_NS = 3 * NS_PER_S
"""A cancel without an answer is asked for again; a repeated cancel is harmless."""

PAUSE_AFTER_END_NS = 200 * NS_PER_MS
"""After an order ended by itself (post-only that would take, remainder of an IOC) the same is not tried at once; nor
after one that got lost on its way to the executor, which has said neither yes nor no."""

PAUSE_IN_VAIN_MAX_NS = NS_PER_S
"""After takers that found nothing, one after the other, the pause doubles up to this."""

NOT_WANTED = "not wanted"
OPS_OF_A_MOVE = 2
"""A cancel and a placement."""

_PURPOSES = (Purpose.EXIT, Purpose.ENTRY)

SELF_TRADE_PATIENCE_NS = NS_PER_S
"""How long an exit waits for the end of our own buy that it would meet, once that was asked for. Then it goes out."""

PAUSE_NO_NS = {Purpose.ENTRY: NS_PER_S, Purpose.EXIT: 500 * NS_PER_MS}
PAUSE_NO_MAX_NS = {Purpose.ENTRY: 15 * NS_PER_S, Purpose.EXIT: 4 * NS_PER_S}
"""After a no (denied or rejected) the slot waits, twice as long each time; exits are retried sooner."""


class Plan(NamedTuple):
    """What to send now. cancels: (order, reason). is_held_back: something waits for the operation budget."""

    cancels: tuple[tuple[OwnOrder, str], ...]
    places: tuple[DesiredQuote, ...]
    is_held_back: bool


NOTHING, HELD_BACK = Plan((), (), False), Plan((), (), True)


@dataclass(slots=True)
class _SlotPause:
    until_ns: int = 0
    noes: int = 0
    in_vain: int = 0  # takers in a row that found nothing


class Quoting:
    """Plans one symbol's orders. Owned by its engine. Memory: the operation budget, and pauses after a no."""

    def __init__(self, limits: SymbolRiskLimits) -> None:
        self._limits = limits
        self._bucket = TokenBucket(limits.risk_order_ops_per_s, float(limits.risk_order_ops_burst))
        self._pauses: dict[Slot, _SlotPause] = {}

    def set_limits(self, limits: SymbolRiskLimits, now_ns: int) -> None:
        """Take other limits; the budget starts anew when its rate changed."""
        before, self._limits = self._limits, limits
        if (before.risk_order_ops_per_s, before.risk_order_ops_burst) != (
            limits.risk_order_ops_per_s,
            limits.risk_order_ops_burst,
        ):
            self._bucket = TokenBucket(limits.risk_order_ops_per_s, float(limits.risk_order_ops_burst), now_ns)

    def plan(self, desired: tuple[DesiredQuote, ...], orders: tuple[OwnOrder, ...], now_ns: int) -> Plan:
        """Compare what is wanted with what works.

        Args: desired: at most one per slot. orders: ours that are not over.
        Guarantees: what is not wanted is cancelled now, whatever the budget says; moves and placements wait for it,
        urgent ones excepted. While an exit waits for it, no entry takes from it: what reduces goes before what opens.
        An exit that would meet our own buy has that cancelled first; no buy is placed beside an exit it would meet.
        """
        if not desired and not orders:
            return NOTHING
        wanted = {(quote.side, quote.purpose): quote for quote in desired}
        cancels: list[tuple[OwnOrder, str]] = []
        places: list[DesiredQuote] = []
        kept = 0  # operations that an entry has to leave to the exits
        is_held_back = False
        in_the_way: set[str] = set()  # our own buys that an exit would meet
        concerned = {quote.purpose for quote in desired}
        concerned.update(order.purpose for order in orders)
        for purpose in _PURPOSES:
            if purpose not in concerned:
                continue
            busy: set[Slot] = set()
            held: set[Slot] = set()  # by an order that is what is wanted; another one there is one too many
            for order in orders:
                if order.purpose is not purpose:
                    continue
                slot = (order.side, purpose)
                busy.add(slot)
                if not order.is_resting_type:
                    continue  # it ends by itself
                is_one_too_many = order.client_order_id in in_the_way or slot in held
                quote = None if is_one_too_many else wanted.get(slot)
                if order.is_cancel_requested:
                    if self._is_cancel_due_again(order, now_ns):
                        cancels.append((order, "asked again"))
                    continue
                if quote is None or quote.type is not order.type or quote.qty_lots < order.open_lots:
                    cancels.append((order, quote.reason if quote is not None else NOT_WANTED))
                    self._spend(1, now_ns)
                    continue
                held.add(slot)
                reason = _move_reason(order, quote, now_ns)
                if not reason:
                    continue
                if quote.is_urgent or self._bucket.tokens(now_ns) >= OPS_OF_A_MOVE + kept:
                    cancels.append((order, reason))
                    self._spend(1, now_ns)
                else:
                    is_held_back = True
            for slot, quote in wanted.items():
                if slot[1] is not purpose or slot in busy or now_ns < self._pause_of(slot).until_ns:
                    continue
                if met := _own_met(quote, orders, now_ns) if orders else None:
                    in_the_way |= met
                elif any(_is_meeting(quote, placed.side, placed.price_ticks) for placed in places):
                    continue
                elif quote.is_urgent:
                    self._spend(1, now_ns)
                    places.append(quote)
                elif self._bucket.tokens(now_ns) >= 1 + kept and self._bucket.try_take(1, now_ns):
                    places.append(quote)
                else:
                    is_held_back = True
            if purpose is Purpose.EXIT:
                kept = self._limits.risk_order_ops_burst if is_held_back else self._successors(wanted, orders, cancels)
        if not cancels and not places:
            return HELD_BACK if is_held_back else NOTHING
        return Plan(tuple(cancels), tuple(places), is_held_back)

    def on_change(self, before: OwnOrder, after: OwnOrder, now_ns: int) -> None:
        """Learn from an order's change of state: a no makes its slot wait, an acceptance ends the waiting."""
        pause = self._pause_of((after.side, after.purpose))
        is_lost = before.status is OrderStatus.PENDING and after.status is OrderStatus.NOT_SENT
        if not is_lost and after.status in (OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.NOT_SENT):
            if before.status is after.status:
                return
            wait_ns = min(PAUSE_NO_NS[after.purpose] << min(pause.noes, 16), PAUSE_NO_MAX_NS[after.purpose])
            pause.noes += 1
            pause.until_ns = now_ns + wait_ns
        elif after.status.is_terminal:
            if after.filled_lots or after.is_resting_type:
                pause.in_vain = 0
            if not after.is_cancel_requested and after.status is not OrderStatus.FILLED:
                wait_ns = min(PAUSE_AFTER_END_NS << min(pause.in_vain, 16), PAUSE_IN_VAIN_MAX_NS)
                pause.until_ns = max(pause.until_ns, now_ns + wait_ns)
                pause.in_vain += not after.filled_lots and not after.is_resting_type
        elif after.accepted_ns and not before.accepted_ns:
            pause.noes = 0

    def forget_pauses(self) -> None:
        """Try again at once: trading was switched on, or the executor is back."""
        self._pauses.clear()

    def _pause_of(self, slot: Slot) -> _SlotPause:
        pause = self._pauses.get(slot)
        if pause is None:
            pause = self._pauses[slot] = _SlotPause()
        return pause

    def _successors(
        self, wanted: dict[Slot, DesiredQuote], orders: tuple[OwnOrder, ...], cancels: list[tuple[OwnOrder, str]]
    ) -> int:
        """Count the exits between the end of one order and its successor, which is to find its operation."""
        if not cancels and not any(order.cancel_requested_ns for order in orders):
            return 0
        ending = [order for order, _ in cancels]
        ending.extend(order for order in orders if order.is_cancel_requested)
        slots = {(order.side, order.purpose) for order in ending if order.purpose is Purpose.EXIT}
        return sum(1 for slot in slots if slot in wanted and not wanted[slot].is_urgent)

    def _spend(self, operations: int, now_ns: int) -> None:
        """Take operations that are not to be refused."""
        if not self._bucket.try_take(operations, now_ns):
            self._bucket.drain(now_ns)

    def _is_cancel_due_again(self, order: OwnOrder, now_ns: int) -> bool:
        # A cancel that overtook its own order found nothing: once the venue has the order, ask again.
        is_overtaken = order.accepted_ns > order.cancel_requested_ns > 0
        return is_overtaken or now_ns - order.cancel_requested_ns >= CANCEL_RETRY_NS


def _move_reason(order: OwnOrder, quote: DesiredQuote, now_ns: int) -> str:
    """Return why a working order shall make way for another one of its kind; empty when it shall stay."""
    if order.status not in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED):
        return ""
    age_ns = now_ns - order.created_ns
    if not quote.is_urgent and age_ns < quote.requote.min_age_ns:
        return ""
    if abs(order.price_ticks - quote.price_ticks) >= max(1, quote.requote.min_move_ticks):
        return "moved"
    if quote.qty_lots > order.open_lots:
        return "resized"
    if quote.requote.max_age_ns and age_ns >= quote.requote.max_age_ns:
        return "renewed"
    return ""


def _own_met(quote: DesiredQuote, orders: tuple[OwnOrder, ...], now_ns: int) -> set[str]:
    """Return our own orders that a quote would trade with, were it to arrive before their end; their ids."""
    return {
        order.client_order_id
        for order in orders
        if order.is_resting_type
        and _is_meeting(quote, order.side, order.price_ticks)
        and not 0 < order.cancel_first_ns <= now_ns - SELF_TRADE_PATIENCE_NS
    }


def _is_meeting(quote: DesiredQuote, side: Side, price_ticks: int) -> bool:
    """Return whether a quote would trade with an order of this side and price."""
    return quote.side is not side and (quote.price_ticks - price_ticks) * quote.side.sign >= 0
