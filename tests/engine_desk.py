"""A small executor around one engine, for tests: order life by the real tracker, nothing journaled.

Imports `trading.engine` and `trading.model`. Deliveries can be withheld, lost or repeated by the test.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from tests.market_scenes import SYMBOL, instrument
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.engine import SymbolEngine
from trading.engine.matching_models import NO_LATENCY, LatencyModel
from trading.engine.messages import (
    Action,
    CancelOrder,
    EngineEvent,
    FetchSnapshot,
    NoteRaised,
    PaperCancelRequested,
    PaperOrderPlaced,
    PlaceOrder,
    ReportPaper,
)
from trading.engine.order_tracker import OrderTracker, Step
from trading.engine.ports import OrderRecord
from trading.model.orders import (
    Delivery,
    Fill,
    OrderIntent,
    OrderStatus,
    PlaceRejected,
    VenueOrder,
    VenueTrade,
)
from trading.model.position import Position

EAGER = {"min_spread_bps": "0", "min_edge_bps": "-100", "warmup_s": "0", "min_trades_per_minute": "0"}


def config(
    params: dict[str, str] | None = None,
    strategy_name: str = "spread_capture",
    is_paper: bool = True,
    latency: LatencyModel = NO_LATENCY,
    epoch: int = 1,
) -> SymbolConfig:
    """A configuration of the scene's instrument; 1000 quote units allocated."""
    texts = tuple((EAGER if params is None else params).items())
    return SymbolConfig(instrument(), strategy_name, texts, 7, epoch, is_paper, Decimal(1000), latency=latency)


def engine(made: SymbolConfig | None = None, bootstrap: SymbolBootstrap | None = None) -> SymbolEngine:
    """An engine without a past unless one is given."""
    return SymbolEngine(made or config(), bootstrap or SymbolBootstrap(Position(SYMBOL)))


def record(intent: OrderIntent, status: OrderStatus = OrderStatus.SENT, filled_lots: int = 0) -> OrderRecord:
    """The journal's row of an intent."""
    return OrderRecord(
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        run_id="test",
        owner_epoch=intent.owner_epoch,
        executor_epoch=1,
        side=intent.side,
        type=intent.type,
        price_ticks=intent.price_ticks,
        qty_lots=intent.qty_lots,
        purpose=intent.purpose,
        strategy=intent.strategy,
        status=status,
        created_ns=intent.created_ns,
        valid_until_ns=intent.valid_until_ns,
        signed_ms=0,
        recv_window_ms=0,
        filled_lots=filled_lots,
    )


class Desk:
    """Owns one engine and plays its executor. `undelivered` holds what was journaled and not told yet."""

    def __init__(self, made: SymbolEngine) -> None:
        self.engine = made
        self.is_withholding = False
        self.undelivered: deque[Delivery] = deque()
        self.journal: list[Delivery] = []
        self.intents: list[OrderIntent] = []
        self.cancels: list[str] = []
        self.notes: list[NoteRaised] = []
        self.fetches: list[int] = []
        self.fills: list[Fill] = []
        self.trackers: dict[str, OrderTracker] = {}

    def play(self, event: EngineEvent, now_ns: int) -> list[Action]:
        """Step, do what the actions ask, deliver (unless withholding); return the actions of the first step."""
        actions = self.engine.step(event, now_ns)
        self._carry_out(actions, now_ns)
        if not self.is_withholding:
            self.deliver(now_ns)
        return actions

    def deliver(self, now_ns: int) -> None:
        """Tell the engine what it has not been told."""
        while self.undelivered:
            self._carry_out(self.engine.step(self.undelivered.popleft(), now_ns), now_ns)

    def note_names(self) -> list[str]:
        """Names of the notes so far."""
        return [note.name for note in self.notes]

    def _carry_out(self, actions: list[Action], now_ns: int) -> None:
        for action in actions:
            match action:
                case PlaceOrder(intent):
                    self._place(intent, now_ns)
                case CancelOrder(cancel):
                    self.cancels.append(cancel.client_order_id)
                    self._carry_out(
                        self.engine.step(PaperCancelRequested(cancel.client_order_id, now_ns), now_ns), now_ns
                    )
                case ReportPaper(events):
                    for event in events:
                        if isinstance(event, VenueTrade):
                            self._journal(self.trackers[event.fill.client_order_id].on_trade(event, now_ns))
                        elif isinstance(event, VenueOrder):
                            self._journal(self.trackers[event.client_order_id].on_report(event, now_ns))
                case FetchSnapshot():
                    self.fetches.append(action.not_before_ns)
                case NoteRaised():
                    self.notes.append(action)

    def _place(self, intent: OrderIntent, now_ns: int) -> None:
        self.intents.append(intent)
        tracker = self.trackers[intent.client_order_id] = OrderTracker(record(intent))
        self._carry_out(self.engine.step(PaperOrderPlaced(intent, now_ns), now_ns), now_ns)
        answer = self.engine.paper_answer(intent.client_order_id)
        if isinstance(answer, PlaceRejected):
            step = tracker.on_answer(answer, now_ns)
            self._journal((step,) if step is not None else ())

    def _journal(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if step.fill is not None:
                self.fills.append(step.fill)
            if step.event is not None:
                delivery = Delivery(len(self.journal) + 1, step.event)
                self.journal.append(delivery)
                self.undelivered.append(delivery)
