"""What a replay leaves for people to look at: equity, prices, fills, markouts, exits. Pure.

May import `trading.model` and `trading.engine`. It listens and decides nothing: with or without it the order log is the
same. Everything is bounded: marks are thinned when there are too many, fills beyond `FILLS_MAX` are counted only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from trading.engine.matching_models import QueueModel
from trading.engine.replay_result import ModelResult
from trading.model.instrument import Instrument
from trading.model.market import Level
from trading.model.orders import Fill, Purpose
from trading.model.position import Position
from trading.model.units import NS_PER_MS, NS_PER_S, ZERO

HORIZONS_NS = tuple(int(seconds * NS_PER_S) for seconds in (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0))
"""After a fill the mid is looked at again so much later; 0 is the mid of the instant itself."""
MARKS_MAX = 8_000
FILLS_MAX = 20_000
BPS_PER_ONE = 10_000.0


@dataclass(frozen=True, slots=True)
class Mark:
    """The state at one instant. Equity is net of fees, quote units, what is held valued at the bid; from 0."""

    now_ns: int
    bid_ticks: int
    ask_ticks: int
    pessimistic: Decimal
    probabilistic: Decimal
    held: Decimal


@dataclass(slots=True)
class TapeFill:
    """One fill with what came after it.

    Attributes:
        reason: why its order was wanted ("entry", "take_profit", ...). mids: ticks at `HORIZONS_NS`, None when the book
        was not known then or the recording was over.
    """

    model: QueueModel
    fill: Fill
    purpose: Purpose
    reason: str
    now_ns: int
    mids: list[float | None] = field(default_factory=list)

    def markout_bps(self, index: int) -> float | None:
        """Return how far the mid was in the fill's favour at horizon `index`, bps of the fill's price."""
        mid = self.mids[index] if index < len(self.mids) else None
        price = self.fill.price_ticks
        return None if mid is None else (mid - price) * self.fill.side.sign / price * BPS_PER_ONE


@dataclass(slots=True)
class ExitSum:
    """What left by one exit reason. `gross` at average cost; `fees` of the exit and its share of the entry's."""

    orders: int = 0
    fills: int = 0
    wins: int = 0
    value: Decimal = ZERO
    gross: Decimal = ZERO
    fees: Decimal = ZERO
    held_ns: int = 0

    @property
    def net(self) -> Decimal:
        """gross - fees."""
        return self.gross - self.fees


class ReplayTape:
    """Collects. Owned by whoever runs the replay; handed to `ReplayRun`, read after it."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.marks: list[Mark] = []
        self.fills: list[TapeFill] = []
        self.uncounted_fills = 0
        self.exits: dict[str, ExitSum] = {}
        self.max_drawdown = ZERO
        self.max_drawdown_probabilistic = ZERO
        self._peaks = [ZERO, ZERO]
        self._step_ns = 0
        self._pending: tuple[deque[TapeFill], ...] = tuple(deque() for _ in HORIZONS_NS)
        self._mid: float | None = None
        self.next_due_ns: int | None = None
        """When `on_time` next has something to look at; None for never."""
        self._entry_fees = ZERO
        self._opened_ns = 0
        self._trip_ns = -1
        self._entry_orders: set[str] = set()
        self._exit_orders: set[str] = set()

    @property
    def round_trips(self) -> int:
        """Return the orders that bought or those that sold, whichever are fewer: what was entered and left again.

        Orders with a fill of the pessimistic queue; it counts without the position ever having to be flat.
        """
        return min(len(self._entry_orders), len(self._exit_orders))

    def on_time(self, now_ns: int) -> None:
        """Look at the mid for every fill whose horizon is reached; call before the book changes."""
        if self.next_due_ns is None or now_ns < self.next_due_ns:
            return
        due: int | None = None
        for horizon_ns, pending in zip(HORIZONS_NS, self._pending, strict=True):
            while pending and pending[0].now_ns + horizon_ns <= now_ns:
                pending.popleft().mids.append(self._mid)
            if pending:
                at_ns = pending[0].now_ns + horizon_ns
                due = at_ns if due is None or at_ns < due else due
        self.next_due_ns = due

    def on_book(self, bid: Level | None, ask: Level | None) -> None:
        """Take the best levels after a change; None for a side, or a book, that is not known."""
        self._mid = (bid[0] + ask[0]) / 2.0 if bid is not None and ask is not None else None

    def on_mark(
        self,
        now_ns: int,
        bid_ticks: int,
        ask_ticks: int,
        pessimistic: ModelResult,
        probabilistic: ModelResult,
    ) -> None:
        """Take the equity of both models; called about once a second."""
        nets = (pessimistic.net, probabilistic.net)
        self._peaks = [max(peak, net) for peak, net in zip(self._peaks, nets, strict=True)]
        self.max_drawdown = max(self.max_drawdown, self._peaks[0] - nets[0])
        self.max_drawdown_probabilistic = max(self.max_drawdown_probabilistic, self._peaks[1] - nets[1])
        if self.marks and now_ns - self.marks[-1].now_ns < self._step_ns:
            return
        self.marks.append(Mark(now_ns, bid_ticks, ask_ticks, *nets, pessimistic.held))
        if len(self.marks) > MARKS_MAX:
            self.marks = self.marks[::2]
            self._step_ns = max(2 * self._step_ns, 2 * NS_PER_S - 100 * NS_PER_MS)

    def on_fill(
        self,
        model: QueueModel,
        fill: Fill,
        purpose: Purpose,
        reason: str,
        before: Position,
        after: Position,
        now_ns: int,
        trip_ns: int = 0,
    ) -> None:
        """Take a fill of either model; the exits are summed for the one that drives.

        Args: before, after: its position. trip_ns: when the account's last round trip ended, 0 for none.
        """
        if model is QueueModel.PESSIMISTIC:
            self._sum_exit(fill, purpose, reason, before, after, trip_ns)
        if len(self.fills) >= FILLS_MAX:
            self.uncounted_fills += 1
            return
        taken = TapeFill(model, fill, purpose, reason, now_ns)
        self.fills.append(taken)
        for pending in self._pending:
            pending.append(taken)
        self.next_due_ns = taken.now_ns if self.next_due_ns is None else min(self.next_due_ns, taken.now_ns)

    def finish(self, now_ns: int) -> None:
        """Close: horizons that were reached are looked at, the others stay open and do not count."""
        self.on_time(now_ns)

    def _sum_exit(
        self, fill: Fill, purpose: Purpose, reason: str, before: Position, after: Position, trip_ns: int
    ) -> None:
        fee = after.fees - before.fees
        if after.qty > before.qty:
            self._entry_orders.add(fill.client_order_id)
            self._entry_fees += fee
            if trip_ns != self._trip_ns:  # the first purchase since: what is left of the last trip is dust
                self._opened_ns, self._trip_ns = fill.exch_ts_ns, trip_ns
            return
        sums = self.exits.setdefault(reason if purpose is Purpose.EXIT else f"{reason} (entry)", ExitSum())
        sold = before.qty - after.qty
        share = self._entry_fees * min(sold, before.qty) / before.qty if before.qty > 0 else ZERO
        self._entry_fees -= share
        gross = after.realized_pnl - before.realized_pnl
        if fill.client_order_id not in self._exit_orders:
            self._exit_orders.add(fill.client_order_id)
            sums.orders += 1
        sums.fills += 1
        sums.wins += gross - fee - share > 0
        sums.value += fill.quote_qty
        sums.gross += gross
        sums.fees += fee + share
        sums.held_ns += fill.exch_ts_ns - self._opened_ns


@dataclass(frozen=True, slots=True)
class MarkoutPoint:
    """The mean move of the mid in favour of the fills, so long after them; weighted by value."""

    horizon_ns: int
    mean_bps: float
    error_bps: float
    fills: int


def markout_curve(fills: list[TapeFill]) -> tuple[MarkoutPoint, ...]:
    """Average the markouts of some fills per horizon; a horizon that no fill reached is left out.

    `error_bps` is the standard error of the value-weighted mean; 0 with fewer than two fills.
    """
    points = []
    for index, horizon_ns in enumerate(HORIZONS_NS):
        seen = [(bps, float(item.fill.quote_qty)) for item in fills if (bps := item.markout_bps(index)) is not None]
        total = sum(weight for _, weight in seen)
        if not total:
            continue
        mean = sum(bps * weight for bps, weight in seen) / total
        spread = sum((bps - mean) ** 2 * weight * weight for bps, weight in seen) ** 0.5 / total
        points.append(MarkoutPoint(horizon_ns, mean, spread if len(seen) > 1 else 0.0, len(seen)))
    return tuple(points)
