"""A pair: its listing, book and tape, and the door through which the generated market trades on it. Pure."""

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Protocol

from simulator.exchange.book import Book, Resting
from simulator.exchange.listings import Listing
from simulator.exchange.matching import Match, match
from simulator.exchange.tape import Backfill, Tape, Trade
from trading.model.market import Side

if TYPE_CHECKING:
    from simulator.exchange.orders import Order


# 13 digits of milliseconds and 5 more make the 18 of the venue's trade ids.
TRADES_PER_MS = 100_000


class Sequence:
    """The counters that every pair of an exchange shares: places in queues, trades.

    `epoch_ms` is when the exchange opened: no trade of a later exchange has the number of an earlier one's.
    """

    __slots__ = ("order_seq", "trade_no")

    def __init__(self, epoch_ms: int = 0) -> None:
        self.order_seq = count(1)
        self.trade_no = count(epoch_ms * TRADES_PER_MS + 1)


class OrderDesk(Protocol):
    """Where orders of a pair trade instead of in its book."""

    def place(self, order: "Order", now_ms: int) -> None:
        """Let an accepted order trade or rest."""

    def cancel(self, order: "Order", now_ms: int) -> None:
        """End an open order."""


class Pair:
    """One pair. `settle` books what its matches mean for accounts; the exchange sets it."""

    def __init__(
        self,
        listing: Listing,
        first_price_ticks: int,
        sequence: Sequence,
        version: int = 1,
        backfill: Backfill | None = None,
    ) -> None:
        self.listing = listing
        self.book = Book(version)
        self.tape = Tape(first_price_ticks, backfill)
        self.sequence = sequence
        self.desk: OrderDesk | None = None  # set on replayed pairs
        self.settle_agents: Callable[[Pair, Side, Match, int], None] | None = None

    def print_match(self, side: Side, result: Match, now_ms: int) -> list[Trade]:
        """Record the executions of a match of a taker of `side` as public trades, and return them."""
        self.book.changed_ms = now_ms
        trades = []
        for execution in result.executions:
            trade = Trade(next(self.sequence.trade_no), execution.price_ticks, execution.lots, side is Side.BUY, now_ms)
            self.tape.record(trade)
            trades.append(trade)
        return trades

    def agent_order(self, side: Side, price_ticks: int, lots: int, now_ms: int, *, rests: bool) -> Resting | None:
        """Place an order of the generated market: it takes what it crosses; the rest rests when `rests`.

        Returns what rests, None when nothing does.
        """
        result = match(self.book, side, price_ticks, lots)
        for execution in result.executions:
            lots -= execution.lots
        if result.executions:
            if self.settle_agents is not None and any(e.resting.account is not None for e in result.executions):
                self.settle_agents(self, side, result, now_ms)
            else:
                self.print_match(side, result, now_ms)
        if not rests or lots == 0:
            return None
        resting = Resting(next(self.sequence.order_seq), None, side, price_ticks, lots)
        self.book.changed_ms = now_ms
        self.book.add(resting)
        return resting

    def agent_cancel(self, order: Resting, now_ms: int) -> None:
        """Take an order of the generated market off the book; one that has traded away is left alone."""
        if order.lots:
            self.book.changed_ms = now_ms
            self.book.take(order, order.lots)
