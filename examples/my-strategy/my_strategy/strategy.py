"""Buys at the bid when the book leans up, and sells at the ask, or at once when it was wrong.

An example to begin from, not one to earn with: it knows nothing of adverse selection.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from trading.engine.parameters import parameter
from trading.engine.strategy.protocol import DesiredQuote, Desires, Requote, StrategyView
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderType, Purpose, Refusal
from trading.model.units import NS_PER_MS, NS_PER_S, lowest_sale_ticks


@dataclass(frozen=True, slots=True)
class MyParameters:
    """Everything that can be set with --set; unit, range, default and reason are shown by `mexcbot strategies`."""

    order_quote: Decimal = parameter(Decimal(20), "quote", "value of one order", 1, 10**6)
    min_spread_bps: float = parameter(2.0, "bps", "tighter markets do not pay for two legs", 0, 1000)
    min_imbalance: float = parameter(0.55, "ratio", "bid size / (bid + ask size) at the best", 0, 1)
    stop_loss_bps: float = parameter(8.0, "bps", "loss at the bid, against cost, that ends the position", 0, 1000)
    timeout_s: float = parameter(20.0, "s", "a position older than this is sold at once", 0, 86_400)


class MyStrategy:
    """FLAT: bid when the book leans up. LONG: offer at the ask; sell at once on a loss or when it takes too long."""

    name: ClassVar[str] = "my_strategy"
    summary: ClassVar[str] = "buys the bid of a book that leans up, sells the ask"
    parameters_class: ClassVar[type] = MyParameters

    def __init__(self, instrument: Instrument, parameters: Any) -> None:
        self.parameters: MyParameters = parameters
        self._long_since_ns = 0

    def decide(self, view: StrategyView) -> Desires:
        """Say what to have in the book now; what is not said is cancelled."""
        bid_ticks = view.bid[0]
        if view.held_lots >= view.instrument.min_lots(bid_ticks):
            return Desires((self._exit(view),), (), "LONG")
        self._long_since_ns = 0
        refusal = self._refusal(view)
        if refusal is not None:
            return Desires((), (refusal,), "FLAT")
        price = view.instrument.price(bid_ticks)
        lots = view.instrument.qty_lots_floor(self.parameters.order_quote / price)
        quote = DesiredQuote(
            side=Side.BUY,
            purpose=Purpose.ENTRY,
            type=OrderType.LIMIT_MAKER,
            price_ticks=bid_ticks,
            qty_lots=lots,
            reason="leaning_up",
            requote=Requote(min_age_ns=500 * NS_PER_MS, min_move_ticks=1),
            terms=(("imbalance", f"{_imbalance(view):.3f}"),),
        )
        return Desires((quote,), (), "ENTERING")

    def _refusal(self, view: StrategyView) -> Refusal | None:
        spread_bps = (view.ask[0] - view.bid[0]) / view.bid[0] * 10_000
        if spread_bps < self.parameters.min_spread_bps:
            return Refusal.SPREAD_TOO_TIGHT
        if _imbalance(view) < self.parameters.min_imbalance:
            return Refusal.IMBALANCE
        return None

    def _exit(self, view: StrategyView) -> DesiredQuote:
        self._long_since_ns = self._long_since_ns or view.now_ns
        cost_ticks = float(view.position.avg_price / view.instrument.tick_size)
        loss_bps = (cost_ticks - view.bid[0]) / cost_ticks * 10_000
        age_s = (view.now_ns - self._long_since_ns) / NS_PER_S
        if loss_bps >= self.parameters.stop_loss_bps or age_s >= self.parameters.timeout_s:
            reason = "stop_loss" if loss_bps >= self.parameters.stop_loss_bps else "timeout"
            # An IOC limit: it never sells lower than 10 bps below the bid, rounded to the tick in our favour.
            return _sale(view, OrderType.IOC, lowest_sale_ticks(view.bid[0], 10.0), reason, is_urgent=True)
        return _sale(view, OrderType.LIMIT_MAKER, view.ask[0], "take_profit", is_urgent=False)


def _sale(view: StrategyView, type_: OrderType, price_ticks: int, reason: str, is_urgent: bool) -> DesiredQuote:
    requote = Requote(min_age_ns=0 if is_urgent else 500 * NS_PER_MS, min_move_ticks=1)
    return DesiredQuote(
        Side.SELL, Purpose.EXIT, type_, price_ticks, view.held_lots, reason, requote, is_urgent=is_urgent
    )


def _imbalance(view: StrategyView) -> float:
    return view.bid[1] / (view.bid[1] + view.ask[1])
