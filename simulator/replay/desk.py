"""The desk of a replayed pair: own orders trade by the paper model, since the recorded market cannot see them. Pure."""

from dataclasses import replace
from decimal import Decimal

from simulator.exchange.orders import Order, OrderState
from simulator.exchange.pair import Pair
from simulator.exchange.settlement import Ledger
from trading.engine.book import Book
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import NO_LATENCY
from trading.model.instrument import Instrument
from trading.model.market import MarketTrade, Side
from trading.model.orders import OrderIntent, PlaceRejected, Purpose, VenueOrder, VenueTrade

_FOREVER_NS = 2**63 - 1


class PaperDesk:
    """Own orders of one pair. Latency is the wire's own, so the paper model adds none.

    The paper venue's clock is the recording's: `now_ns` of the last row, moved on by the player.
    """

    def __init__(self, pair: Pair, instrument: Instrument, ledger: Ledger) -> None:
        # The exchange has judged the order already, against the price it will trade at.
        free = replace(instrument, min_notional=Decimal(0), min_qty=Decimal(0))
        self.now_ns = 0
        self._pair = pair
        self._venue = PaperVenue(free, latency=NO_LATENCY)
        self._ledger = ledger
        self._orders: dict[str, Order] = {}

    def place(self, order: Order, now_ms: int) -> None:
        """Let an accepted order trade or rest."""
        lots = order.orig_lots or self._lots_for_value(order)
        if lots == 0:
            return self._ledger.finish(order, now_ms)
        self._orders[order.order_id] = order
        intent = OrderIntent(
            client_order_id=order.order_id,
            symbol=self._pair.listing.symbol,
            side=order.side,
            type=order.type,
            price_ticks=order.price_ticks,
            qty_lots=lots,
            purpose=Purpose.ENTRY,
            created_ns=self.now_ns,
            valid_until_ns=_FOREVER_NS,
            owner_epoch=0,
            strategy="",
        )
        if isinstance(self._venue.place(intent, self.now_ns), PlaceRejected):
            del self._orders[order.order_id]
            return self._ledger.finish(order, now_ms)
        return self.settle(now_ms)

    def cancel(self, order: Order, now_ms: int) -> None:
        """End an open order."""
        self._venue.cancel(order.order_id, self.now_ns)
        self.settle(now_ms)

    def on_book(self, book: Book, now_ms: int) -> None:
        """Take the recorded book after a change."""
        self._venue.on_timer(self.now_ns)
        self._venue.on_book(book, self.now_ns)
        self.settle(now_ms)

    def on_book_lost(self) -> None:
        """The recording has a hole: nothing crosses until the next snapshot."""
        self._venue.on_book_lost(self.now_ns)

    def on_trade(self, trade: MarketTrade, now_ms: int) -> None:
        """Take a recorded trade."""
        self._venue.on_trade(trade, self.now_ns)
        self.settle(now_ms)

    def settle(self, now_ms: int) -> None:
        """Book what the paper venue reports."""
        for event in self._venue.drain_events():
            if isinstance(event, VenueTrade):
                fill = event.fill
                order = self._orders[fill.client_order_id]
                self._ledger.settle_outside(order, fill.price_ticks, fill.qty_lots, fill.is_maker, now_ms)
            elif isinstance(event, VenueOrder) and event.status.is_terminal:
                self._end(self._orders.pop(event.client_order_id), now_ms, is_whole=event.filled_lots == event.qty_lots)

    def _end(self, order: Order, now_ms: int, *, is_whole: bool) -> None:
        if order.order_id not in order.account.open_orders:
            return  # a maker's last fill has closed it
        if order.state is OrderState.FILLED:
            if order.locked:
                self._ledger.release(order, order.locked, "ENTRUST_UNFROZEN", now_ms)
            order.account.close(order)
            return
        if is_whole:
            order.state = OrderState.FILLED
        self._ledger.finish(order, now_ms)

    def _lots_for_value(self, order: Order) -> int:
        """Return what a MARKET BUY by value can buy at once, at the worst price it would need."""
        budget = self._pair.listing.ticks_lots_within(order.quote_amount or 0)
        book_side = self._pair.book.side(Side.SELL)
        offered = 0
        lots = 0
        for price in book_side.best_first():
            if price > order.price_ticks:
                break
            offered += book_side.levels[price].total
            lots = max(lots, min(offered, budget // price))
            if offered * price >= budget:
                break
        return lots
