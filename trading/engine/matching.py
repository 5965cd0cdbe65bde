"""The paper venue of one symbol: orders that trade against the real market's book and trades, without being in it.

Pure; may import `trading.model` and `trading.engine`. It runs inside the symbol's engine, in the offline replay, and in
the simulator's replay. What it promises: no fill without a trade or a cross; a resting order gets only what a trade
leaves after the queue in front of it; own orders share what traded; the same calls give the same events.
"""

from __future__ import annotations

from collections import deque
from typing import assert_never

from trading.engine.matching_clock import MarketClock
from trading.engine.matching_models import (
    DEFAULT_LATENCY,
    DEFAULT_RULES,
    QUOTE_MAX_AGE_NS,
    LatencyModel,
    MatchingRules,
    QueueModel,
)
from trading.engine.matching_orders import Consumption, MatchedBook, PaperOrder, QuotedBook, refusal_of, remember
from trading.engine.matching_queue import QueuePlace
from trading.model.instrument import Instrument
from trading.model.market import BestQuote, MarketTrade, Side
from trading.model.orders import (
    Fill,
    OrderIntent,
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceAnswer,
    PlaceRejected,
    Purpose,
    VenueEvent,
    VenueOrder,
    VenueTrade,
)

REJECT_BAD_ORDER = 30_002
"""MEXC's own code for an order below the minimum (protocol reference section 5)."""


class PaperVenue:
    """Matches paper orders of one symbol. Owned by one engine (or replay); told `now_ns`, which never runs backwards.

    Events come out of `drain_events` in order, each not before its response leg. Call `on_timer` before the book is
    changed, so that orders whose time has come meet the book as it still is, and `on_book` after.
    """

    def __init__(
        self,
        instrument: Instrument,
        queue_model: QueueModel = QueueModel.PESSIMISTIC,
        latency: LatencyModel = DEFAULT_LATENCY,
        owner_epoch: int = 0,
        venue: str = "paper",
        rules: MatchingRules = DEFAULT_RULES,
    ) -> None:
        self.instrument = instrument
        self.queue_model = queue_model
        self.latency = latency
        self._owner_epoch = owner_epoch
        self._venue = venue
        self._rules = rules
        self._book: MatchedBook | None = None  # None while nobody vouches for it
        self.quote: BestQuote | None = None
        """The book ticker's last, set by who hears it: at most `QUOTE_MAX_AGE_NS` old, what an exit may meet then."""
        self._orders: dict[str, PaperOrder] = {}  # not over, oldest first
        self._done: dict[str, VenueOrder] = {}
        self._refused: dict[str, PlaceRejected] = {}
        self._under_way: deque[tuple[int, str, bool]] = deque()  # (arrives at, client_order_id, is_cancel)
        self._reports: deque[tuple[int, VenueEvent]] = deque()
        self.ready: list[VenueEvent] = []
        """Reports that have arrived; `drain_events` takes them."""
        self.next_due_ns: int | None = None
        """When `on_timer` next has something to do; None when nothing is under way. Arrivals may wait for a book."""
        self._consumption = Consumption(rules.is_consumption_shared)
        self._clock = MarketClock()

    # --- what the executor asks -------------------------------------------------------------------------------------

    def place(self, intent: OrderIntent, now_ns: int) -> PlaceAnswer:
        """Take an order; it takes effect after the entry leg. Idempotent: a repeated id changes nothing.

        Returns: PlaceAccepted, or PlaceRejected for what no venue would take (size or value below the minimum).
        A post-only order that would take, an IOC or FOK that finds nothing, end by a CANCELLED report, as at MEXC.
        """
        known = self.answer(intent.client_order_id, now_ns)
        if known is not None:
            return known
        refusal = refusal_of(intent, self.instrument)
        if refusal:
            answer = PlaceRejected(intent.client_order_id, REJECT_BAD_ORDER, refusal, now_ns)
            remember(self._refused, intent.client_order_id, answer)
            return answer
        order = PaperOrder(intent, f"paper-{intent.client_order_id}")
        self._take(order, now_ns + self.latency.arrival_ns(intent.client_order_id), now_ns)
        return PlaceAccepted(intent.client_order_id, f"paper-{intent.client_order_id}", now_ns)

    def requeue(self, intent: OrderIntent, filled_lots: int, now_ns: int) -> None:
        """Put an order of a former owner back, at the end of the queue, as soon as there is a book (no latency leg).

        filled_lots: what the journal has booked of it; whatever else its former venue thought never happened.
        """
        if intent.client_order_id not in self._orders:
            order = PaperOrder(intent, f"paper-{intent.client_order_id}", filled_lots=filled_lots)
            order.status = OrderStatus.PARTIALLY_FILLED if filled_lots else OrderStatus.OPEN
            self._take(order, now_ns, now_ns)

    def cancel(self, client_order_id: str, now_ns: int) -> bool:
        """Ask for an order's end, effective after the entry leg; it may fill until then. False when it is not open.

        Its end is said when the cancel takes effect, and nothing fills after it: a trade of before that is told later
        has missed it.
        """
        self._advance(now_ns)
        order = self._orders.get(client_order_id)
        if order is None:
            return False
        # One connection keeps the order of one order's messages: its cancel never overtakes it.
        arrives_ns = max(order.arrives_ns, now_ns + self.latency.arrival_ns(f"cancel/{client_order_id}"))
        self._send((arrives_ns, client_order_id, True))
        self._advance(now_ns)
        return True

    def end(self, client_order_id: str, reason: str, now_ns: int) -> None:
        """End an order now, without a way to the venue; nothing happens when it is not open."""
        self._advance(now_ns)
        if client_order_id in self._orders:
            self._end(self._orders[client_order_id], reason, now_ns)

    def answer(self, client_order_id: str, now_ns: int = 0) -> PlaceAnswer | None:
        """Return what was (or would again be) answered to this order's placement; None when it is not known."""
        if client_order_id in self._refused:
            return self._refused[client_order_id]
        if client_order_id in self._orders or client_order_id in self._done:
            return PlaceAccepted(client_order_id, f"paper-{client_order_id}", now_ns)
        return None

    def open_orders(self) -> tuple[VenueOrder, ...]:
        """Return all orders that are not over, those still under way included, oldest first."""
        return tuple(order.word(0) for order in self._orders.values())

    def order(self, client_order_id: str) -> VenueOrder | None:
        """Return the state of an order; None when it was never taken (or ended too long ago to be remembered)."""
        order = self._orders.get(client_order_id)
        return self._done.get(client_order_id) if order is None else order.word(0)

    # --- what the market does ---------------------------------------------------------------------------------------

    def on_timer(self, now_ns: int) -> None:
        """Let orders and cancels arrive whose time has come, and release reports."""
        self._advance(now_ns)

    def on_book(self, book: MatchedBook, now_ns: int) -> None:
        """Take the book after a change. It must be proven; it is kept by reference and read until the next call."""
        was_without = self._book is None
        self._book = book
        self._clock.observe(book.exch_ts_ns, now_ns)
        self._consumption.on_book(book, now_ns)
        if not self._orders:
            return
        self._advance(now_ns)
        if was_without:
            for order in [order for order in self._orders.values() if order.has_arrived and order.place is None]:
                self._arrive(order, book, now_ns, is_late=True)
        for side in (Side.BUY, Side.SELL):
            resting = self._resting(side)
            for order in resting:
                assert order.place is not None
                price_ticks = order.intent.price_ticks
                order.place.on_level(book.qty_at(side, price_ticks), now_ns, book.is_known(side, price_ticks))
            if resting:
                self._cross(resting, side, book, now_ns)

    def on_book_lost(self, now_ns: int) -> None:
        """Nobody vouches for the book any more: nothing crosses, trades still fill, a taker ends as no venue holds one.

        Who may rest waits for a book and gets nothing better than its price; a taker exit may meet a fresh quote.
        """
        self._advance(now_ns)
        self._book = None

    def on_trade(self, trade: MarketTrade, now_ns: int) -> None:
        """Take a public trade: it fills orders at its price behind their queue, and those at better prices at once.

        By its venue time, where it has one: nothing that was not there yet is filled.
        """
        self._clock.observe(trade.exch_ts_ns, now_ns)
        if self._orders:
            self._advance(now_ns)
        shown = self._book if self._book is not None else self.quote
        if shown is not None:
            self._consumption.on_trade(shown.exch_ts_ns, trade, now_ns)
        if not self._orders:
            return
        side = trade.taker_side.opposite
        left, is_shared = trade.qty_lots, self._rules.is_consumption_shared
        for order in self._resting(side):
            beyond = (order.intent.price_ticks - trade.price_ticks) * side.sign
            if beyond < 0 or left <= 0:
                break
            if self._rules.late_trade_ns and 0 < trade.exch_ts_ns < order.market_ns:
                continue  # it happened before our order was there
            assert order.place is not None
            if beyond > 0:
                order.place.on_swept()
                reaching = left if is_shared else order.open_lots
            else:
                reaching = order.place.on_trade(trade.qty_lots, left, now_ns)
            lots = min(reaching, order.open_lots)
            if lots > 0:
                left -= lots if is_shared else 0
                self._fill(order, order.intent.price_ticks, lots, True, now_ns)

    def drain_events(self) -> tuple[VenueEvent, ...]:
        """Return and forget the reports that have arrived: a VenueOrder per state change, a VenueTrade per fill."""
        ready, self.ready = tuple(self.ready), []
        return ready

    # --- inside -----------------------------------------------------------------------------------------------------

    def _take(self, order: PaperOrder, arrives_ns: int, now_ns: int) -> None:
        self._advance(now_ns)
        self._orders[order.intent.client_order_id] = order
        order.arrives_ns = arrives_ns
        self._send((arrives_ns, order.intent.client_order_id, False))
        self._advance(now_ns)

    def _send(self, message: tuple[int, str, bool]) -> None:
        """Put a message on its way, in order of arrival; of two that arrive together the first sent is first."""
        under_way = self._under_way
        index = len(under_way)
        while index and under_way[index - 1][0] > message[0]:
            index -= 1
        under_way.insert(index, message)
        self._look_ahead()

    def _advance(self, now_ns: int) -> None:
        if self.next_due_ns is None or now_ns < self.next_due_ns:
            return
        under_way = self._under_way
        while under_way and under_way[0][0] <= now_ns:
            arrives_ns, client_order_id, is_cancel = under_way.popleft()
            order = self._orders.get(client_order_id)
            if order is None:
                continue
            if is_cancel:
                self._end(order, "cancelled on request", max(arrives_ns, 0))
            else:
                order.has_arrived = True
                book = self._book if self._book is not None else self._quoted(order)
                if book is not None:
                    self._arrive(order, book, max(arrives_ns, 0))
                elif order.is_taker:
                    self._end(order, "no proven book to take from", max(arrives_ns, 0))
        reports = self._reports
        while reports and reports[0][0] <= now_ns:
            self.ready.append(reports.popleft()[1])
        self._look_ahead()

    def _look_ahead(self) -> None:
        dues = [messages[0][0] for messages in (self._under_way, self._reports) if messages]
        self.next_due_ns = min(dues, default=None)

    def _quoted(self, order: PaperOrder) -> MatchedBook | None:
        """Return what an order without a book may meet: a taker exit the last quote, if that is fresh."""
        quote = self.quote
        if quote is None or not order.is_taker or order.intent.purpose is not Purpose.EXIT:
            return None
        return QuotedBook(quote) if 0 <= order.arrives_ns - quote.recv_ts_ns <= QUOTE_MAX_AGE_NS else None

    def _arrive(self, order: PaperOrder, book: MatchedBook, now_ns: int, is_late: bool = False) -> None:
        """Meet the book: take what the order's type takes, rest or end with the remainder.

        Args: is_late: it waited for this book, so that it takes nothing: what crosses it fills it at its own price.
        """
        intent = order.intent
        opposite = book.best_ask if intent.side is Side.BUY else book.best_bid
        takes = opposite is not None and (intent.price_ticks - opposite[0]) * intent.side.sign >= 0
        match intent.type:
            case OrderType.LIMIT_MAKER:
                if takes and order.status is OrderStatus.SENT:
                    self._end(order, "post-only order would take", now_ns)
                    return
            case OrderType.FOK:
                offered = self._consumption.offered(book, intent.side, intent.price_ticks)
                if sum(lots for _, lots in offered) < order.open_lots:
                    self._end(order, "fill-or-kill cannot fill", now_ns)
                    return
            case OrderType.LIMIT | OrderType.IOC | OrderType.MARKET:
                pass
            case _:
                assert_never(intent.type)
        if order.status is OrderStatus.SENT:
            order.status = OrderStatus.OPEN
            self._tell(order, now_ns)
        if takes and not is_late and intent.type is not OrderType.LIMIT_MAKER:
            self._walk(order, book, now_ns)
        if intent.client_order_id not in self._orders:
            return
        if intent.type not in (OrderType.LIMIT, OrderType.LIMIT_MAKER):
            self._end(order, "remainder of a taker order", now_ns)
            return
        displayed = book.qty_at(intent.side, intent.price_ticks)
        is_known = book.is_known(intent.side, intent.price_ticks)
        order.place = QueuePlace(displayed, is_known, self.queue_model, self._rules)
        order.market_ns = self._clock.at(now_ns)

    def _walk(self, order: PaperOrder, book: MatchedBook, now_ns: int) -> None:
        side = order.intent.side
        for price_ticks, offered_lots in self._consumption.offered(book, side, order.intent.price_ticks):
            lots = min(offered_lots, order.open_lots)
            if lots <= 0:
                return
            self._consumption.take(book, side.opposite, price_ticks, lots)
            self._fill(order, price_ticks, lots, False, now_ns)

    def _cross(self, resting: list[PaperOrder], side: Side, book: MatchedBook, now_ns: int) -> None:
        """Fill orders that the opposite best has come to (or past), at their own price, as the maker."""
        best = book.best_ask if side is Side.BUY else book.best_bid
        for order in resting:
            if best is None or (order.intent.price_ticks - best[0]) * side.sign < 0:
                return
            assert order.place is not None
            order.place.on_crossed(now_ns)
            if not self._rules.is_consumption_shared:
                self._fill(order, order.intent.price_ticks, order.open_lots, True, now_ns)
                continue
            for price_ticks, offered_lots in self._consumption.offered(book, side, order.intent.price_ticks):
                lots = min(offered_lots, order.open_lots)
                if lots > 0:
                    self._consumption.take(book, side.opposite, price_ticks, lots)
                    self._fill(order, order.intent.price_ticks, lots, True, now_ns)

    def _resting(self, side: Side) -> list[PaperOrder]:
        """Return the orders in the book of one side, best price first, then oldest."""
        found = [order for order in self._orders.values() if order.place is not None and order.intent.side is side]
        if len(found) > 1:
            found.sort(key=lambda order: -order.intent.price_ticks * side.sign)
        return found

    def _fill(self, order: PaperOrder, price_ticks: int, lots: int, is_maker: bool, now_ns: int) -> None:
        intent, instrument = order.intent, self.instrument
        value = instrument.notional(price_ticks, lots)
        order.filled_lots += lots
        order.filled_quote += value
        order.status = OrderStatus.PARTIALLY_FILLED if order.open_lots else OrderStatus.FILLED
        fill = Fill(
            venue=self._venue,
            # The lots filled so far name the execution: unique in the order's life, across restarts too, since a
            # requeued order goes on from what is booked.
            trade_id=f"{intent.client_order_id}.{order.filled_lots}",
            client_order_id=intent.client_order_id,
            venue_order_id=order.venue_order_id,
            symbol=intent.symbol,
            side=intent.side,
            price_ticks=price_ticks,
            qty_lots=lots,
            quote_qty=value,
            fee=value * (instrument.maker_fee_rate if is_maker else instrument.taker_fee_rate),
            fee_asset=instrument.quote,
            is_maker=is_maker,
            exch_ts_ns=now_ns,
            recv_ts_ns=self._report_due_ns(order, now_ns),
        )
        self._report(VenueTrade(fill, "paper", self._owner_epoch), fill.recv_ts_ns, now_ns)
        self._tell(order, now_ns)
        if not order.open_lots:
            self._forget(order, now_ns)

    def _end(self, order: PaperOrder, reason: str, now_ns: int) -> None:
        order.status = OrderStatus.PARTIALLY_CANCELLED if order.filled_lots else OrderStatus.CANCELLED
        order.reason = reason
        self._tell(order, now_ns)
        self._forget(order, now_ns)

    def _forget(self, order: PaperOrder, now_ns: int) -> None:
        del self._orders[order.intent.client_order_id]
        remember(self._done, order.intent.client_order_id, order.word(now_ns))

    def _tell(self, order: PaperOrder, now_ns: int) -> None:
        """Report an order's state."""
        due_ns = self._report_due_ns(order, now_ns)
        self._report(order.word(now_ns, due_ns), due_ns, now_ns)

    def _report_due_ns(self, order: PaperOrder, now_ns: int) -> int:
        """Return when a report made now comes; one stream carries all, so none overtakes another."""
        due_ns = now_ns + self.latency.report_ns(f"{order.intent.client_order_id}/{order.status}/{order.filled_lots}")
        return max(due_ns, self._reports[-1][0]) if self._reports else due_ns

    def _report(self, event: VenueEvent, due_ns: int, now_ns: int) -> None:
        if due_ns > now_ns or self._reports:
            self._reports.append((due_ns, event))
            self._look_ahead()
        else:
            self.ready.append(event)
