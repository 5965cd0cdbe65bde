"""`market_maker`: a bid and an ask around a reservation price that leans against the inventory. Pure.

May import `trading.model` and `trading.engine`. Reservation price and half spread come from volatility and order-flow
intensity by the model of `glft` (Avellaneda and Stoikov; Guéant, Lehalle and Fernandez-Tapia; sources there). On spot
nothing is sold that is not held: the ask offers at most the whole lots of the position, and without any there is
no ask. Inventory leans the quotes around a target between none and the most that is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, floor
from typing import ClassVar

from trading.engine.edge import BPS_PER_ONE, EdgeTerms, leg_edge
from trading.engine.strategy.glft import quotes
from trading.engine.strategy.market_maker_parameters import MarketMakerParameters
from trading.engine.strategy.protocol import DesiredQuote, Desires, OwnOrder, Requote, StrategyView
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderType, Purpose, Refusal
from trading.model.units import NS_PER_MS, NS_PER_S, lowest_sale_ticks

MIN_NOTIONALS_AT_STOP = 2
"""A bid is worth at least twice the minimum order at the stop, or what it buys could not be sold in two parts."""


class MakerState(StrEnum):
    """What the maker does. WAITING: no bid and nothing to sell. QUOTING: at least one side. STOPPING: giving up."""

    WAITING = "WAITING"
    QUOTING = "QUOTING"
    STOPPING = "STOPPING"
    COOLDOWN = "COOLDOWN"


@dataclass(frozen=True, slots=True)
class _Model:
    """The model's answer at one instant, in bps of the mid; inventory in orders above the target.

    is_known: False while order flow is not: then it wants nothing beyond touch and floor, and only to sell.
    """

    mid_ticks: float
    spread_bps: float
    normal_bps: float
    half_bps: float
    skew_bps: float
    reservation_bps: float
    inventory: float
    is_known: bool = True


class MarketMaker:
    """The strategy of one symbol; see the module's docstring. Memory: the last stop, which forbids bids for a while."""

    name: ClassVar[str] = "market_maker"
    summary: ClassVar[str] = "quote both sides around an inventory-skewed price, within size and inventory limits"
    parameters_class: ClassVar[type] = MarketMakerParameters

    def __init__(self, instrument: Instrument, parameters: MarketMakerParameters) -> None:
        self.parameters = parameters
        self._instrument = instrument
        self._paused_ns: int | None = None  # the last stop, while it pauses entries
        self._is_stopping = False

    def decide(self, view: StrategyView) -> Desires:
        """Want a bid where it pays and inventory allows, an ask for what is held, and neither after a stop."""
        is_sellable = view.held_lots >= view.instrument.min_lots(self._bound_ticks(view))  # a stop is no less than that
        self._is_stopping = is_sellable and (self._is_stopping or self._is_stop_hit(view))
        if self._is_stopping:
            self._paused_ns = view.now_ns
            return Desires((self._stop_quote(view),), (Refusal.COOLDOWN,), MakerState.STOPPING.value)
        refusals = self._bid_refusals(view)
        model = self._model(view)
        if not model.is_known:
            refusals = tuple(dict.fromkeys((*refusals, Refusal.NOT_READY)))
        wanted = []
        if not refusals:
            bid = self._bid(view, model)
            if isinstance(bid, Refusal):
                refusals = (bid,)
            else:
                wanted.append(bid)
        ask = self._ask(view, model)
        if ask is not None:
            wanted.append(ask)
        wanted = [quote for quote in wanted if not self._is_too_generous(view, model, quote)]
        if wanted:
            state = MakerState.QUOTING
        else:
            state = MakerState.COOLDOWN if self._is_paused(view.now_ns) else MakerState.WAITING
        return Desires(tuple(wanted), refusals, state.value)

    def _is_paused(self, now_ns: int) -> bool:
        """Tell whether the last stop still forbids bids, for as long as the parameter says now."""
        if self._paused_ns is not None and now_ns >= self._paused_ns + int(self.parameters.stop_pause_s * NS_PER_S):
            self._paused_ns = None  # over: what is set later begins with the next stop
        return self._paused_ns is not None

    # --- the model --------------------------------------------------------------------------------------------------

    def _model(self, view: StrategyView) -> _Model:
        """Ask the model; without a lean or a width of its own while order flow is not known."""
        parameters, measures = self.parameters, view.measures
        mid = (view.bid[0] + view.ask[0]) / 2.0
        spread_bps = (view.ask[0] - view.bid[0]) / mid * BPS_PER_ONE
        normal_bps = measures.normal_spread_bps if measures.spread_seconds > 0 else spread_bps
        intensity = measures.flow.intensity(max(normal_bps, 1e-6) / 2.0, view.now_ns)
        if intensity is None:
            return _Model(mid, spread_bps, normal_bps, 0.0, 0.0, 0.0, 0.0, is_known=False)
        found = quotes(parameters.risk_aversion, measures.volatility_bps, intensity)
        order = float(parameters.order_quote)
        held = float(view.instrument.notional(view.bid[0], view.held_lots))
        target = float(parameters.max_inventory_quote) * parameters.inventory_target
        inventory = (held - target) / order if order > 0 else 0.0
        reservation = found.reservation(inventory, parameters.max_skew_spreads * normal_bps)
        return _Model(mid, spread_bps, normal_bps, found.half_spread, found.skew, reservation, inventory)

    def _floor(self, view: StrategyView, model: _Model, side: Side) -> EdgeTerms:
        """Return what a fill at the mid would earn: minus the fee and the expected adverse selection of that side."""
        parameters = self.parameters
        found = view.measures.markouts.expected(
            side,
            parameters.adverse_horizon,
            parameters.adverse_prior_spreads * model.normal_bps,
            parameters.adverse_prior_weight,
        )
        fee = float(view.instrument.maker_fee_rate)
        return leg_edge(model.spread_bps, 0.0, fee, found.mean_bps, found.weight)

    # --- bid --------------------------------------------------------------------------------------------------------

    def _bid_refusals(self, view: StrategyView) -> tuple[Refusal, ...]:
        """Say why not to buy; all reasons that hold."""
        parameters, measures = self.parameters, view.measures
        spread_bps = (view.ask[0] - view.bid[0]) * 2.0 / (view.bid[0] + view.ask[0]) * BPS_PER_ONE
        normal_bps = measures.normal_spread_bps if measures.spread_seconds > 0 else spread_bps
        gone_bps = max(parameters.gone_spread_bps, parameters.gone_spread_ratio * normal_bps)
        imbalance = view.bid[1] / (view.bid[1] + view.ask[1])
        checks = (
            (self._is_paused(view.now_ns), Refusal.COOLDOWN),
            (measures.spread_seconds < parameters.warmup_s, Refusal.NOT_READY),
            (spread_bps > parameters.max_spread_bps, Refusal.SPREAD_TOO_WIDE),
            (spread_bps > gone_bps, Refusal.MAKER_GONE),
            (imbalance < parameters.min_imbalance, Refusal.IMBALANCE),
            (measures.volatility_bps > parameters.max_volatility_bps, Refusal.VOLATILITY),
            (measures.trades_per_minute(view.now_ns) < parameters.min_trades_per_minute, Refusal.TRADE_RATE),
        )
        return tuple(refusal for holds, refusal in checks if holds)

    def _bid(self, view: StrategyView, model: _Model) -> DesiredQuote | Refusal:
        parameters, instrument = self.parameters, view.instrument
        base = self._floor(view, model, Side.BUY)
        depth_bps = max(model.half_bps - model.reservation_bps, parameters.min_edge_bps - base.net)
        if depth_bps > parameters.max_depth_spreads * model.normal_bps:
            return Refusal.EDGE_BELOW_FLOOR
        inside = floor((view.ask[0] - view.bid[0]) * parameters.improve_spreads)
        price_ticks = min(
            floor(model.mid_ticks * (1.0 - depth_bps / BPS_PER_ONE)), view.bid[0] + inside, view.ask[0] - 1
        )
        if price_ticks <= 0:
            return Refusal.EDGE_BELOW_FLOOR
        held_quote = instrument.notional(view.bid[0], view.held_lots)
        room_quote = min(
            parameters.max_inventory_quote - held_quote,
            view.allocation_quote - view.position.cost,
            parameters.order_quote,
        )
        most = instrument.qty_lots_floor(room_quote / instrument.price(price_ticks)) if room_quote > 0 else 0
        lots = self._kept(view, Side.BUY, most)
        stop_bps = min(9_000.0, self._stop_bps(view))
        at_stop_ticks = max(1, int(price_ticks * (1.0 - stop_bps / BPS_PER_ONE)))
        if lots < MIN_NOTIONALS_AT_STOP * instrument.min_lots(at_stop_ticks) and _working(view, Side.BUY) is None:
            is_full = room_quote < parameters.order_quote
            return Refusal.INVENTORY if is_full else Refusal.MIN_NOTIONAL
        if lots <= 0:
            return Refusal.INVENTORY
        return self._quote(view, model, Side.BUY, price_ticks, lots, base)

    # --- ask --------------------------------------------------------------------------------------------------------

    def _ask(self, view: StrategyView, model: _Model) -> DesiredQuote | None:
        """Offer what is held: one order's worth, or all of it where the rest could not be sold alone."""
        parameters, instrument = self.parameters, view.instrument
        base = self._floor(view, model, Side.SELL)
        # Inventory above the target may be sold for less than a new fill has to earn: it is risk that leaves.
        depth_bps = max(model.half_bps, parameters.min_edge_bps - base.net) + model.reservation_bps
        inside = floor((view.ask[0] - view.bid[0]) * parameters.improve_spreads)
        price_ticks = max(
            ceil(model.mid_ticks * (1.0 + depth_bps / BPS_PER_ONE)), view.ask[0] - inside, view.bid[0] + 1
        )
        least = instrument.min_lots(price_ticks)
        lots = min(view.held_lots, instrument.qty_lots_ceil(parameters.order_quote / instrument.price(price_ticks)))
        lots = self._kept(view, Side.SELL, max(lots, min(least, view.held_lots)))
        if view.held_lots - lots < 2 * least:
            lots = view.held_lots
        working = _working(view, Side.SELL)
        if lots < least:
            if working is None or lots <= 0:
                return None  # dust: it waits for the next buy
            price_ticks = working.price_ticks  # too little to be placed anew: it stays until it fills
        return self._quote(view, model, Side.SELL, price_ticks, lots, base)

    # --- giving up --------------------------------------------------------------------------------------------------

    def _is_stop_hit(self, view: StrategyView) -> bool:
        cost_ticks = float(view.position.avg_price / view.instrument.tick_size)
        if cost_ticks <= 0:
            return False
        mark_bps = (view.bid[0] - cost_ticks) / cost_ticks * BPS_PER_ONE
        return mark_bps <= -self._stop_bps(view)

    def _stop_bps(self, view: StrategyView) -> float:
        parameters = self.parameters
        return max(parameters.stop_loss_bps, parameters.stop_loss_spreads * view.measures.normal_spread_bps)

    def _bound_ticks(self, view: StrategyView) -> int:
        return lowest_sale_ticks(view.bid[0], self.parameters.taker_bound_bps)

    def _stop_quote(self, view: StrategyView) -> DesiredQuote:
        return DesiredQuote(
            side=Side.SELL,
            purpose=Purpose.EXIT,
            type=OrderType.IOC,
            price_ticks=self._bound_ticks(view),
            qty_lots=view.held_lots,
            reason="stop_loss",
            requote=Requote(0, 1),
            is_urgent=True,
        )

    # --- small things -----------------------------------------------------------------------------------------------

    def _kept(self, view: StrategyView, side: Side, lots: int) -> int:
        """Return what to have on a side: the rest of the working order while enough of it is left, else `lots`."""
        working = _working(view, side)
        if working is None or working.open_lots > lots:
            return lots
        return working.open_lots if working.open_lots >= lots * self.parameters.refill_ratio else lots

    def _is_too_generous(self, view: StrategyView, model: _Model, quote: DesiredQuote) -> bool:
        """Tell whether the working order of a side gives away so much that no quote at all is better.

        A move is two operations and waits for the budget; an end is not refused.
        """
        working = _working(view, quote.side)
        if working is None or working.is_cancel_requested or not self.parameters.stale_spreads:
            return False
        too_generous_ticks = (working.price_ticks - quote.price_ticks) * quote.side.sign
        allowed_bps = self.parameters.stale_spreads * model.normal_bps
        return too_generous_ticks > max(1.0, allowed_bps / BPS_PER_ONE * model.mid_ticks)

    def _quote(
        self, view: StrategyView, model: _Model, side: Side, price_ticks: int, lots: int, base: EdgeTerms
    ) -> DesiredQuote:
        parameters = self.parameters
        depth_bps = (model.mid_ticks - price_ticks) * side.sign / model.mid_ticks * BPS_PER_ONE
        fee = float(view.instrument.maker_fee_rate)
        by_spread = int(model.normal_bps * parameters.requote_min_spreads / BPS_PER_ONE * model.mid_ticks)
        return DesiredQuote(
            side=side,
            purpose=Purpose.ENTRY if side is Side.BUY else Purpose.EXIT,
            type=OrderType.LIMIT_MAKER,
            price_ticks=price_ticks,
            qty_lots=lots,
            reason="bid" if side is Side.BUY else "ask",
            requote=Requote(
                min_age_ns=parameters.requote_min_age_ms * NS_PER_MS,
                min_move_ticks=max(parameters.requote_min_ticks, by_spread),
                max_age_ns=int(parameters.order_max_age_s * NS_PER_S),
            ),
            edge=leg_edge(model.spread_bps, depth_bps, fee, base.adverse, base.samples),
            terms=(
                ("half_spread_bps", f"{model.half_bps:.4f}"),
                ("skew_bps", f"{model.skew_bps:.4f}"),
                ("reservation_bps", f"{model.reservation_bps:.4f}"),
                ("inventory_orders", f"{model.inventory:.4f}"),
                ("volatility_bps", f"{view.measures.volatility_bps:.4f}"),
                ("normal_spread_bps", f"{model.normal_bps:.4f}"),
            ),
        )


def _working(view: StrategyView, side: Side) -> OwnOrder | None:
    """Return the oldest order of ours on a side that is not over."""
    return next((order for order in view.orders if order.side is side), None)
