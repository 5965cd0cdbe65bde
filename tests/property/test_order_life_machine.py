"""State machines over an order's life and over accounting: any walk keeps the invariants, restarts included."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trading.engine.accounting import book_fill, verify, verify_totals
from trading.engine.order_tracker import OrderTracker, Step
from trading.engine.orders import TransitionRefused, kind_of, next_status
from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import (
    Fill,
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceUnknown,
    Purpose,
    VenueOrder,
    VenueTrade,
)
from trading.model.position import Position
from trading.model.units import NS_PER_S, ZERO

D = Decimal
LOTS = 20
SENT = OrderRecord(
    "mx-1-1-1",
    "S",
    "r",
    1,
    1,
    Side.BUY,
    OrderType.LIMIT,
    100,
    LOTS,
    Purpose.ENTRY,
    "s",
    OrderStatus.SENT,
    1,
    9,
    1,
    2000,
)


class OrderLife(RuleBasedStateMachine):
    """A venue that executes and ends an order as it likes; its words arrive late, twice, or not at all; we crash."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = OrderTracker(SENT)
        self.executed: list[int] = []
        self.is_ended = self.has_forgotten = False
        self.journal = SENT
        self.booked: list[Fill] = []
        self.symbol_status = OrderStatus.PENDING
        self.now_ns = NS_PER_S

    # --- the venue, in silence ---

    @precondition(lambda self: not self.is_ended and sum(self.executed) < LOTS)
    @rule(lots=st.integers(1, 6))
    def venue_executes(self, lots: int) -> None:
        self.executed.append(min(lots, LOTS - sum(self.executed)))

    @precondition(lambda self: sum(self.executed) < LOTS)
    @rule()
    def venue_ends_it(self) -> None:
        self.is_ended = True

    # --- its words ---

    @rule(is_accepted=st.booleans())
    def answer_comes(self, is_accepted: bool) -> None:
        answer = (
            PlaceAccepted(SENT.client_order_id, "v", 5) if is_accepted else PlaceUnknown(SENT.client_order_id, "?", 5)
        )
        step = self.tracker.on_answer(answer, self.now_ns)
        self.take(() if step is None else (step,))

    @rule(known=st.integers(0, 30), is_late=st.booleans())
    def report_comes(self, known: int, is_late: bool) -> None:
        """A late word shows the order as it was after some of its executions, still open."""
        seen = self.executed[: min(known, len(self.executed))] if is_late else self.executed
        self.take(self.tracker.on_report(self.word(sum(seen), is_ended=self.is_ended and not is_late), self.now_ns))

    @precondition(lambda self: self.is_ended and self.executed and sum(self.executed) < LOTS)
    @rule()
    def word_of_the_end_forgets_an_execution(self) -> None:
        """The venue says that it is over before it counts its last execution; that one comes after the end."""
        self.has_forgotten = True
        self.take(self.tracker.on_report(self.word(sum(self.executed[:-1]), is_ended=True), self.now_ns))

    @precondition(lambda self: self.executed)
    @rule(data=st.data(), source=st.sampled_from(["stream", "rest"]))
    def execution_comes(self, data: st.DataObject, source: str) -> None:
        index = data.draw(st.integers(0, len(self.executed) - 1))
        at_ns = NS_PER_S  # equal ones are told apart by their count
        fill = Fill(
            "v", f"{source}{index}", SENT.client_order_id, "v", "S", Side.BUY, 100, self.executed[index],
            D(self.executed[index]), ZERO, "Q", True, at_ns, at_ns,
        )  # fmt: skip
        self.take(self.tracker.on_trade(VenueTrade(fill, source), self.now_ns))

    # --- ourselves ---

    @rule()
    def cancel_is_asked_for(self) -> None:
        step = self.tracker.request_cancel(self.now_ns)
        self.take(() if step is None else (step,))

    @rule()
    def we_crash(self) -> None:
        """What is journaled is all that is left; what was in flight is unknown."""
        self.tracker = OrderTracker(self.journal, self.booked)
        step = self.tracker.on_unknown("restart", self.now_ns)
        self.take(() if step is None else (step,))

    @precondition(lambda self: self.executed or self.is_ended)
    @rule()
    def everything_is_told(self) -> None:
        """Once all has been told, we are where the venue is."""
        self.take(self.tracker.on_report(self.word(sum(self.executed), is_ended=self.is_ended), self.now_ns))
        for index, lots in enumerate(self.executed):
            at_ns = NS_PER_S
            fill = Fill(
                "v", f"rest{index}", SENT.client_order_id, "v", "S", Side.BUY, 100, lots,
                D(lots), ZERO, "Q", True, at_ns, at_ns,
            )  # fmt: skip
            self.take(self.tracker.on_trade(VenueTrade(fill, "rest"), self.now_ns))
        filled = sum(self.executed)
        assert self.tracker.record.filled_lots == filled
        if filled == LOTS:
            assert self.tracker.record.status is OrderStatus.FILLED
        elif self.is_ended:
            expected = OrderStatus.PARTIALLY_CANCELLED if filled else OrderStatus.CANCELLED
            assert self.tracker.record.status is expected

    def word(self, filled: int, *, is_ended: bool) -> VenueOrder:
        if filled == LOTS:
            status = OrderStatus.FILLED
        elif is_ended:
            status = OrderStatus.PARTIALLY_CANCELLED if filled else OrderStatus.CANCELLED
        else:
            status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
        return VenueOrder(
            "S", SENT.client_order_id, "v", status, Side.BUY, OrderType.LIMIT, 100, LOTS, filled, D(filled), 0, 0
        )

    def take(self, steps: tuple[Step, ...]) -> None:
        """Journal each step, and let the symbol walk the table by its events."""
        for step in steps:
            # That a word of the end is contradicted by an execution which only REST tells, people have to know.
            assert not step.alert or (self.has_forgotten and "beyond what the venue says" in step.alert), step.alert
            self.journal = step.order
            if step.fill is not None:
                self.booked.append(step.fill)
            if step.event is not None:
                after = next_status(self.symbol_status, kind_of(step.event))
                assert not isinstance(after, TransitionRefused), (self.symbol_status, step.event)
                self.symbol_status = after

    @invariant()
    def each_execution_is_booked_at_most_once(self) -> None:
        booked = sum(fill.qty_lots for fill in self.booked)
        assert booked == self.journal.filled_lots == self.tracker.record.filled_lots <= sum(self.executed)

    @invariant()
    def order_ends_only_when_the_venue_ended_it_and_every_fill_is_booked(self) -> None:
        record = self.tracker.record
        if record.status.is_terminal:
            assert self.is_ended or sum(self.executed) == LOTS
            # What a later word adds to an order that is over is fetched, and booked when it comes.
            assert self.has_forgotten or record.filled_lots >= record.venue_filled_lots


MX = Instrument("MXQ", "MX", "Q", D("0.01"), D("0.01"), D(0), D(1), D(0), D(0), D(0))
BASE = Instrument("BQ", "B", "Q", D("0.01"), D("0.001"), D(0), D(1), D(0), D(0), D(0))


class Books(RuleBasedStateMachine):
    """Two symbols of one account, one of which pays the other's fees; the equations hold after every fill."""

    @initialize()
    def open(self) -> None:
        self.instruments = {item.symbol: item for item in (MX, BASE)}
        self.positions = {symbol: Position(symbol) for symbol in self.instruments}
        self.fills: dict[str, list[Fill]] = {symbol: [] for symbol in self.instruments}
        self.totals: dict[str, Decimal] = {}
        self.unheld: dict[str, Decimal] = {}

    @rule(
        symbol=st.sampled_from(["MXQ", "BQ"]),
        side=st.sampled_from(Side),
        ticks=st.integers(1, 10**6),
        lots=st.integers(1, 10**5),
        fee_asset=st.sampled_from(["Q", "base", "MX"]),
        fee=st.integers(0, 10**6),
        price=st.sampled_from([None, D("2.5")]),
    )
    def fill(
        self, symbol: str, side: Side, ticks: int, lots: int, fee_asset: str, fee: int, price: Decimal | None
    ) -> None:
        instrument = self.instruments[symbol]
        asset = instrument.base if fee_asset == "base" else fee_asset
        number = len(self.fills[symbol])
        made = Fill(
            "v", str(number), "mx-1", "v", symbol, side, ticks, lots, instrument.notional(ticks, lots), D(fee) / 10**8,
            asset, True, number, number,
        )  # fmt: skip
        if asset not in (instrument.base, instrument.quote):
            made = replace(made, fee_rate_quote=price, fee_rate_source="ticker:MXQ@1" if price else "")
        self.fills[symbol].append(made)
        self.positions[symbol], lines = book_fill(self.positions[symbol], made, instrument)
        for line in lines:
            self.totals[line.asset] = self.totals.get(line.asset, ZERO) + line.amount
            if line.asset not in (instrument.base, instrument.quote):
                self.unheld[line.asset] = self.unheld.get(line.asset, ZERO) + line.amount

    @invariant()
    def equations_hold(self) -> None:
        for symbol, position in self.positions.items():
            assert verify(position, self.fills[symbol], self.instruments[symbol]) == ()
        assert verify_totals(self.totals, self.unheld, self.positions.values(), self.instruments) == ()

    @invariant()
    def one_lot_more_is_noticed(self) -> None:
        for symbol, position in self.positions.items():
            wrong = replace(position, qty=position.qty + self.instruments[symbol].lot_size)
            assert verify(wrong, self.fills[symbol], self.instruments[symbol])
            others = [item for name, item in self.positions.items() if name != symbol]
            assert verify_totals(self.totals, self.unheld, [*others, wrong], self.instruments)


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(max_examples=60, stateful_step_count=25)
TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=40, stateful_step_count=15)
