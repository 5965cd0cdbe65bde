"""The shadow twin: each resting order mirrored in a paper venue of its own, under other queue models. Pure.

May import `trading.model` and `trading.engine`. Live says what really happened to an order; the twins say what paper
would have said of the same order in the same market. How far they are apart, per symbol, is how much a paper or replay
result of this symbol can be believed, and more twins under a range of queues say which the venue's is like
(`queue_calibration`).

What is compared: an order counts once it is over at the venue. Its twins end with it: when its cancel is told, or at
the first trade that the venue stamps later than the fill that completed it; `GRACE_NS` more is for reports under way,
and for the calibration's twins alone. Times to fill are those of the orders that every side has filled. Orders that the
venue never held (denied, rejected, not sent) do not count. Our own live orders show in the public book; the twins stand
in their place and see the book without them (`others_book`).

In paper mode the pessimistic queue drives strategy and ledger, and the one twin is the probabilistic's: the same
orders, placed at the same moments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, assert_never

from trading.engine.matching import PaperVenue
from trading.engine.matching_models import LatencyModel, MatchingRules, QueueModel, ShareCancels
from trading.engine.matching_orders import MatchedBook
from trading.engine.messages import (
    Action,
    CancelOrder,
    EngineEvent,
    PaperCancelRequested,
    PaperOrderPlaced,
    PlaceOrder,
)
from trading.engine.queue_calibration import POWERS, QueueCalibration
from trading.model.instrument import Instrument
from trading.model.market import BookDelta, BookSnapshot, BookState, FeedDisconnected, MarketTrade, Side
from trading.model.orders import (
    Delivery,
    OrderAccepted,
    OrderAdopted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderIntent,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderType,
    VenueTrade,
)
from trading.model.session import TwinFigures, TwinSide
from trading.model.units import NS_PER_MS, NS_PER_S

GRACE_NS = 500 * NS_PER_MS
MARKOUT_NS = NS_PER_S
ORDERS_MAX = 256
MARKOUTS_MAX = 1_024
LIVE, PESSIMISTIC, PROBABILISTIC = "live", QueueModel.PESSIMISTIC.value, QueueModel.PROBABILISTIC.value
POWER_SIDES = tuple(f"power {power:g}" for power in POWERS)


class TwinMarket(Protocol):
    """What a twin reads of its engine: the book without our own orders, and whether it is proven."""

    @property
    def others(self) -> MatchedBook:
        """The book of others."""
        ...

    @property
    def book_state(self) -> BookState:
        """How much it can be believed."""
        ...

    @property
    def last_seq(self) -> int:
        """The last delivery that it took."""
        ...


@dataclass(slots=True)
class _Outcome:
    """What became of one order on one side."""

    filled_lots: int = 0
    first_fill_ns: int = 0
    half_filled_ns: int = 0


@dataclass(slots=True)
class _Mirrored:
    intent: OrderIntent
    outcomes: dict[str, _Outcome]
    accepted_ns: int = 0
    filled_ns: int = 0  # venue time of the fill that ended it


@dataclass(slots=True)
class _Sums:
    """Over the orders that are over."""

    filled_orders: int = 0
    filled_lots: int = 0
    timed_orders: int = 0
    wait_ns: int = 0
    markout_bps: float = 0.0
    markouts: int = 0


class ShadowTwin:
    """The twins of one symbol's orders. A watcher of its engine; owned by it."""

    def __init__(
        self, instrument: Instrument, latency: LatencyModel, rules: MatchingRules, *, is_paper: bool = False
    ) -> None:
        def venue(side: str, model: QueueModel, rules: MatchingRules) -> PaperVenue:
            return PaperVenue(instrument, model, latency, venue=f"twin-{side}", rules=rules)

        self._is_paper = is_paper
        self._booked = PESSIMISTIC if is_paper else LIVE
        self._venues = {PROBABILISTIC: venue(PROBABILISTIC, QueueModel.PROBABILISTIC, rules)}
        if not is_paper:
            self._venues[PESSIMISTIC] = venue(PESSIMISTIC, QueueModel.PESSIMISTIC, rules)
            for side, power in zip(POWER_SIDES, POWERS, strict=True):
                fitted = replace(rules, cancels=ShareCancels(power))
                self._venues[side] = venue(side, QueueModel.PROBABILISTIC, fitted)
        self._calibration = QueueCalibration()
        self._mirrored: dict[str, _Mirrored] = {}
        self._ending: deque[tuple[int, str]] = deque()
        self._sums = {side: _Sums() for side in (self._booked, *self._venues) if side not in POWER_SIDES}
        self._orders = 0
        self._lots = 0
        self._unseen = 0
        self._last_seq = 0
        self._state = BookState.SYNCING
        self._mid = 0.0
        self._markouts: deque[tuple[int, str, Side, float]] = deque()

    # --- what the engine is told and wants ------------------------------------------------------------------------

    def before(self, event: EngineEvent, now_ns: int) -> None:
        """Let time pass while the book is as it was."""
        while self._markouts and self._markouts[0][0] <= now_ns:
            _, side, direction, start = self._markouts.popleft()
            if self._mid:
                sums = self._sums[side]
                sums.markout_bps += (self._mid - start) * direction.sign / start * 10_000
                sums.markouts += 1
        if self._mirrored:
            for venue in self._venues.values():
                venue.on_timer(now_ns)
            self._collect(now_ns)

    def after(self, event: EngineEvent, now_ns: int, actions: Sequence[Action], engine: TwinMarket) -> None:
        """Mirror what happened: market, order events, orders and cancels."""
        if isinstance(event, MarketTrade):
            self._end_older(event, now_ns)
            for venue in self._venues.values():
                venue.on_trade(event, now_ns)
        state = engine.book_state  # a timer or a ticker may take the proof away too
        if state is not self._state or isinstance(event, BookDelta | BookSnapshot | FeedDisconnected):
            self._state = state
            self._on_book(engine, now_ns)
        if isinstance(event, Delivery):
            # Only what the engine took: it waits where one is missing, and passes over what is told twice.
            if event.seq == 0 or event.seq == engine.last_seq != self._last_seq:
                self._on_delivery(event, now_ns)
            self._last_seq = engine.last_seq
        elif isinstance(event, PaperOrderPlaced):
            self._place(event.intent, now_ns)
        elif isinstance(event, PaperCancelRequested):
            self._cancel(event.client_order_id, now_ns)
        for action in () if self._is_paper else actions:
            if isinstance(action, PlaceOrder):
                self._place(action.intent, now_ns)
            elif isinstance(action, CancelOrder):
                self._cancel(action.cancel.client_order_id, now_ns)
        self._collect(now_ns)
        while self._ending and self._ending[0][0] <= now_ns:
            self._settle(self._ending.popleft()[1], now_ns)

    def _on_book(self, engine: TwinMarket, now_ns: int) -> None:
        others = engine.others
        bid, ask = others.best_bid, others.best_ask
        is_proven = engine.book_state is BookState.PROVEN
        self._mid = (bid[0] + ask[0]) / 2 if is_proven and bid is not None and ask is not None else 0.0
        for venue in self._venues.values():
            if is_proven:
                venue.on_book(others, now_ns)
            else:
                venue.on_book_lost(now_ns)

    def _place(self, intent: OrderIntent, now_ns: int) -> None:
        if intent.type not in (OrderType.LIMIT, OrderType.LIMIT_MAKER):
            return
        if len(self._mirrored) >= ORDERS_MAX:
            self._unseen += 1
            return
        outcomes = {side: _Outcome() for side in (self._booked, *self._venues)}
        self._mirrored[intent.client_order_id] = _Mirrored(intent, outcomes)
        for venue in self._venues.values():
            venue.place(intent, now_ns)

    def _cancel(self, client_order_id: str, now_ns: int) -> None:
        if client_order_id in self._mirrored:
            for venue in self._venues.values():
                venue.cancel(client_order_id, now_ns)

    def _on_delivery(self, delivery: Delivery, now_ns: int) -> None:
        event = delivery.event
        mirrored = self._mirrored.get(event.client_order_id)
        if mirrored is None:
            return
        match event:
            case OrderAccepted():
                mirrored.accepted_ns = mirrored.accepted_ns or event.at_ns
            case OrderFilled():
                mirrored.accepted_ns = mirrored.accepted_ns or event.at_ns
                self._filled(mirrored, self._booked, event.fill.qty_lots, event.fill.side, now_ns)
                if mirrored.outcomes[self._booked].filled_lots >= mirrored.intent.qty_lots:
                    mirrored.filled_ns = event.fill.exch_ts_ns
                    self._ending.append((now_ns + GRACE_NS, event.client_order_id))
            case OrderCancelled():
                self._end_twins(event.client_order_id, now_ns)
                self._ending.append((now_ns + GRACE_NS, event.client_order_id))
            case OrderDenied() | OrderRejected() | OrderNotSent():
                self._forget(event.client_order_id, now_ns)
            case OrderOutcomeUnknown() | OrderAdopted():
                pass  # its end is still to come, or no decision here made it
            case _:
                assert_never(event)

    def _end_older(self, trade: MarketTrade, now_ns: int) -> None:
        """End the twins of orders that were filled whole before this trade, by the venue's time."""
        for _, client_order_id in self._ending:
            mirrored = self._mirrored.get(client_order_id)
            if mirrored is not None and 0 < mirrored.filled_ns < trade.exch_ts_ns:
                self._end_twins(client_order_id, now_ns)

    def _end_twins(self, client_order_id: str, now_ns: int) -> None:
        """End the twins that are compared; those of the calibration go on, to tell later from never."""
        for side, venue in self._venues.items():
            if side in self._sums:
                venue.end(client_order_id, "the order it stands for is over", now_ns)

    # --- the twins' side ------------------------------------------------------------------------------------------

    def _collect(self, now_ns: int) -> None:
        for side, venue in self._venues.items():
            for event in venue.drain_events():
                if isinstance(event, VenueTrade):
                    mirrored = self._mirrored.get(event.fill.client_order_id)
                    if mirrored is not None:
                        self._filled(mirrored, side, event.fill.qty_lots, event.fill.side, now_ns)

    def _filled(self, mirrored: _Mirrored, side: str, lots: int, direction: Side, now_ns: int) -> None:
        outcome = mirrored.outcomes[side]
        outcome.filled_lots += lots
        outcome.first_fill_ns = outcome.first_fill_ns or now_ns
        if not outcome.half_filled_ns and 2 * outcome.filled_lots >= mirrored.intent.qty_lots:
            outcome.half_filled_ns = now_ns
        if side in self._sums and self._mid and len(self._markouts) < MARKOUTS_MAX:
            self._markouts.append((now_ns + MARKOUT_NS, side, direction, self._mid))

    def _settle(self, client_order_id: str, now_ns: int) -> None:
        mirrored = self._forget(client_order_id, now_ns)
        if mirrored is None:
            return
        intent = mirrored.intent
        self._orders += 1
        self._lots += intent.qty_lots
        outcomes = mirrored.outcomes
        if not self._is_paper:
            twins_ns = [outcomes[side].half_filled_ns for side in POWER_SIDES]
            self._calibration.on_order(outcomes[LIVE].half_filled_ns, twins_ns)
        is_timed = all(outcomes[side].filled_lots for side in self._sums)
        for side, sums in self._sums.items():
            outcome = outcomes[side]
            sums.filled_lots += min(outcome.filled_lots, intent.qty_lots)
            if outcome.filled_lots:
                sums.filled_orders += 1
            if is_timed:
                sums.timed_orders += 1
                sums.wait_ns += max(0, outcome.first_fill_ns - intent.created_ns)

    def _forget(self, client_order_id: str, now_ns: int) -> _Mirrored | None:
        mirrored = self._mirrored.pop(client_order_id, None)
        if mirrored is not None:
            for venue in self._venues.values():
                venue.cancel(client_order_id, now_ns)
        return mirrored

    # --- the answer -----------------------------------------------------------------------------------------------

    def report(self) -> TwinFigures:
        """Return what was found so far."""
        sides = {side: self._side(sums) for side, sums in self._sums.items()}
        return TwinFigures(
            orders=self._orders,
            unseen=self._unseen,
            live=sides.get(LIVE),
            pessimistic=sides[PESSIMISTIC],
            probabilistic=sides[PROBABILISTIC],
            queue=self._calibration.estimate(),
        )

    def _side(self, sums: _Sums) -> TwinSide:
        return TwinSide(
            fill_rate=sums.filled_lots / self._lots if self._lots else 0.0,
            filled_orders=sums.filled_orders,
            time_to_fill_ms=sums.wait_ns / sums.timed_orders / NS_PER_MS if sums.timed_orders else None,
            markout_bps=sums.markout_bps / sums.markouts if sums.markouts else None,
            markouts=sums.markouts,
        )
