"""The shadow of a replay: the same orders, at the same times, under the other queue model. Pure.

May import `trading.model` and `trading.engine`.

It drives nothing. Where it fills what the driver did not, the driver's strategy does not know and places no exit for
it, so that what it holds at the end is part of the answer: how much the queue model decides. It is a spot account of
its own: it sells no more than it holds and buys with no more than it has, whatever the driver's order says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from trading.engine.account_commitments import buy_reserve
from trading.engine.accounting import book_fill
from trading.engine.book import Book
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import LatencyModel, MatchingRules, QueueModel
from trading.engine.replay_result import ModelResult
from trading.engine.replay_tape import ReplayTape
from trading.model.instrument import Instrument
from trading.model.market import BookState, MarketTrade, Side
from trading.model.orders import Fill, OrderIntent, PlaceRejected, Purpose, VenueOrder, VenueTrade
from trading.model.position import Position
from trading.model.units import ZERO


class Books:
    """Fills of one queue model, booked: count, position, P&L."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self.fills = 0
        self.traded = ZERO
        self.position = Position(instrument.symbol)

    def book(self, fill: Fill) -> None:
        """Take one fill."""
        self.fills += 1
        self.traded += fill.quote_qty
        self.position, _ = book_fill(self.position, fill, self._instrument)

    def result(self, bid_ticks: int) -> ModelResult:
        """Sum up, with what is held at the given bid; 0 for no bid known, then at cost."""
        position = self.position
        value = position.qty * self._instrument.price(bid_ticks) if bid_ticks else position.cost
        gross = position.realized_pnl + value - position.cost
        closing_fee = max(value, ZERO) * self._instrument.taker_fee_rate
        return ModelResult(self.fills, self.traded, gross, position.fees, position.qty, closing_fee)


@dataclass(slots=True)
class _Working:
    """An order as its reports tell: what of it is open binds coins or money."""

    side: Side
    price_ticks: int
    open_lots: int


class Shadow:
    """A second paper venue beside the driving one. Owned by one replay.

    Invariant: what is held less all open sales is never below zero.
    """

    def __init__(
        self,
        instrument: Instrument,
        model: QueueModel,
        latency: LatencyModel,
        rules: MatchingRules,
        money: Decimal,
        tape: ReplayTape | None = None,
    ) -> None:
        """Args: money: quote units at the start."""
        self._instrument = instrument
        self._money = money
        self._working: dict[str, _Working] = {}
        self.venue = PaperVenue(instrument, model, latency, venue=f"paper-{model}", rules=rules)
        self.books = Books(instrument)
        self._model = model
        self._tape = tape
        self._reasons: dict[str, tuple[Purpose, str]] = {}

    def before(self, now_ns: int) -> None:
        """Let time pass, while the book is as it was; worth a call while the venue has something due."""
        self.venue.on_timer(now_ns)
        if self.venue.ready:
            self._collect(now_ns)

    def on_trade(self, trade: MarketTrade, now_ns: int) -> None:
        """Take a public trade."""
        self.venue.on_trade(trade, now_ns)
        if self.venue.ready:
            self._collect(now_ns)

    def on_book(self, book: Book, state: BookState, now_ns: int) -> None:
        """Take the book after a change of it or of its state."""
        if state is BookState.PROVEN:
            self.venue.on_book(book, now_ns)
        else:
            self.venue.on_book_lost(now_ns)
        if self.venue.ready:
            self._collect(now_ns)

    def place(self, intent: OrderIntent, now_ns: int) -> None:
        """Place what the driver places, as much of it as its own coins or money allow."""
        name, lots = intent.client_order_id, min(intent.qty_lots, self._free_lots(intent))
        self._reasons[name] = (intent.purpose, dict(intent.decision).get("reason", ""))
        self._working[name] = _Working(intent.side, intent.price_ticks, lots)
        answer = self.venue.place(replace(intent, qty_lots=lots), now_ns)
        if isinstance(answer, PlaceRejected):  # nothing, or less than the venue takes
            del self._working[name]
        self._collect(now_ns)

    def cancel(self, client_order_id: str, now_ns: int) -> None:
        """Cancel what the driver cancels."""
        self.venue.cancel(client_order_id, now_ns)
        self._collect(now_ns)

    def _free_lots(self, intent: OrderIntent) -> int:
        """Return how many lots can be sold, or bought at the order's price, beside what is open already."""
        position, instrument, price_ticks = self.books.position, self._instrument, intent.price_ticks
        if intent.side is Side.SELL:
            bound = sum(order.open_lots for order in self._working.values() if order.side is Side.SELL)
            return instrument.qty_lots_floor(position.qty) - bound
        money = self._money + position.net_pnl - position.cost
        for order in self._working.values():
            if order.side is Side.BUY:
                money -= buy_reserve(instrument.notional(order.price_ticks, order.open_lots), instrument)
        dear = buy_reserve(instrument.price(price_ticks), instrument)
        return instrument.qty_lots_floor(money / dear) if money > 0 < dear else 0

    def _collect(self, now_ns: int) -> None:
        for event in self.venue.drain_events():
            if isinstance(event, VenueOrder) and event.status.is_terminal:
                self._working.pop(event.client_order_id, None)
            if not isinstance(event, VenueTrade):
                continue
            self._working[event.fill.client_order_id].open_lots -= event.fill.qty_lots
            before = self.books.position
            self.books.book(event.fill)
            if self._tape is not None:
                reason = self._reasons[event.fill.client_order_id]
                self._tape.on_fill(self._model, event.fill, *reason, before, self.books.position, now_ns)
