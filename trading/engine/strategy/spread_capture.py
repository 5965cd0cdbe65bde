"""`spread_capture`: buy passively where the spread pays, sell passively, leave when wrong. Pure.

    FLAT → ENTERING → LONG → EXITING → FLAT, with COOLDOWN after a round trip and DUST when what is left cannot be sold.

May import `trading.model` and `trading.engine`.

Long only. The state is read off orders and position at each look, so that partial fills, lost races between cancel and
fill, rejects and restarts need no cases of their own: whatever happened, the look tells what to do next.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import ClassVar, NamedTuple

from trading.engine.edge import BPS_PER_ONE, EdgeTerms, RoundTrip, entry_edge, taker_exit_share
from trading.engine.strategy.protocol import DesiredQuote, Desires, OwnOrder, Requote, StrategyView
from trading.engine.strategy.schedule import is_in_window
from trading.engine.strategy.spread_capture_exits import (
    Holding,
    exit_quote,
    exit_reason,
    hard_stop_bps,
    is_maker_gone,
    taker_bound_ticks,
)
from trading.engine.strategy.spread_capture_parameters import SpreadCaptureParameters
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderType, Purpose, Refusal
from trading.model.units import NS_PER_MS, NS_PER_S

MIN_NOTIONALS_AT_HARD_STOP = 2
"""What is bought must still be worth twice the minimum order at the hard stop, or it could not be sold in two parts."""

NEAR_LEVELS = 5


class MachineState(StrEnum):
    """Where the cycle stands."""

    FLAT = "FLAT"
    ENTERING = "ENTERING"
    LONG = "LONG"
    EXITING = "EXITING"
    COOLDOWN = "COOLDOWN"
    DUST = "DUST"


_ENTERING = MachineState.ENTERING.value


class _Pause(IntEnum):
    """Why entries pause after a round trip."""

    COOLDOWN = 0
    LOSS = 1
    STREAK = 2


class _Entry(NamedTuple):
    """A candidate entry: its price and what it is expected to earn."""

    price_ticks: int
    edge: EdgeTerms


class SpreadCapture:
    """The strategy of one symbol; see the module's docstring. Memory: the current round trip, cooldown, loss streak."""

    name: ClassVar[str] = "spread_capture"
    summary: ClassVar[str] = "buy passively where the net edge clears a floor, sell passively, stop when wrong"
    parameters_class: ClassVar[type] = SpreadCaptureParameters

    def __init__(self, instrument: Instrument, parameters: SpreadCaptureParameters) -> None:
        self.parameters = parameters
        self._instrument = instrument
        self._since_ns: int | None = None  # start of the current holding; None while there is nothing to sell
        self._best_mark_bps = 0.0
        self._most_lots = 0  # most held in it
        self._flat_net: Decimal | None = None  # realised less fees when last flat
        self._paused_ns: int | None = None  # end of the last round trip while it pauses entries
        self._pause = _Pause.COOLDOWN
        self._losses = 0
        self._units: tuple[int, int] = (0, 0)
        self._units_for: SpreadCaptureParameters | None = None
        self._lots, self._lots_for = 0, (0, Decimal(0))
        self._maker_fee, self._taker_fee = float(instrument.maker_fee_rate), float(instrument.taker_fee_rate)

    def decide(self, view: StrategyView) -> Desires:
        """Want an exit while there is something to sell, else an entry where filters and edge allow one."""
        entry_order = _working(view, Side.BUY)
        exit_order = _working(view, Side.SELL)
        spread_bps = (view.ask[0] - view.bid[0]) * 2.0 / (view.bid[0] + view.ask[0]) * BPS_PER_ONE
        if view.held_lots and (exit_order is not None or self._is_sellable(view)):
            return self._while_long(view, entry_order, exit_order, spread_bps)
        self._settle(view)
        refusals = self._entry_refusals(view, spread_bps)
        if refusals:
            return Desires((), refusals, self._flat_state(view, entry_order).value)
        quote, refusal = self._entry_quote(view, entry_order, spread_bps)
        if quote is None:
            return Desires((), (refusal,), self._flat_state(view, entry_order).value)
        return Desires((quote,), (), _ENTERING)

    # --- long -------------------------------------------------------------------------------------------------------

    def _while_long(
        self, view: StrategyView, entry_order: OwnOrder | None, exit_order: OwnOrder | None, spread_bps: float
    ) -> Desires:
        parameters = self.parameters
        avg_ticks = float(view.position.avg_price / view.instrument.tick_size)
        mark_bps = (view.bid[0] - avg_ticks) / avg_ticks * BPS_PER_ONE if avg_ticks > 0 else 0.0
        if self._since_ns is None:
            self._since_ns = view.position.updated_ns or view.now_ns
            self._best_mark_bps = mark_bps
            if self._flat_net is None:
                self._flat_net = view.position.realized_pnl - view.position.fees
        self._best_mark_bps = max(self._best_mark_bps, mark_bps)
        self._most_lots = max(self._most_lots, view.held_lots)
        holding = Holding(
            avg_ticks, mark_bps, self._best_mark_bps, self._since_ns, spread_bps, self._normal_spread(view, spread_bps)
        )
        reason = exit_reason(parameters, holding, view.now_ns)
        is_lingering = (
            entry_order is not None
            and exit_order is None
            and not reason.is_taker
            and view.now_ns - self._since_ns < parameters.entry_linger_s * NS_PER_S
        )
        if is_lingering and entry_order is not None and not self._entry_refusals(view, spread_bps):
            quote, _ = self._entry_quote(view, entry_order, spread_bps)
            if quote is not None:
                return Desires((quote,), (), _ENTERING)
        quote = exit_quote(parameters, view, holding, reason, self._requote(view), exit_order is None)
        if exit_order is not None and not reason.is_taker and not self._is_sellable(view):
            # The rest of an exit is too small to be placed anew: it stays where it is until it fills or time is up.
            quote = quote._replace(price_ticks=exit_order.price_ticks, qty_lots=exit_order.open_lots)
        state = MachineState.LONG if exit_order is None else MachineState.EXITING
        return Desires((quote,), (), state.value)

    # --- flat -------------------------------------------------------------------------------------------------------

    def _settle(self, view: StrategyView) -> None:
        """Close the books of a round trip that has just ended: cooldown, loss streak.

        One that fell below the minimum by its price alone, nothing sold, has not ended: it goes on when that is back.
        """
        is_unsold = view.held_lots > 0 and view.held_lots >= self._most_lots
        if is_unsold and self._flat_net is not None:
            self._since_ns = None  # taken from the position again, whose age is that of its last purchase
            return
        net = view.position.realized_pnl - view.position.fees
        if self._since_ns is not None:
            gained = net - (self._flat_net if self._flat_net is not None else net)
            parameters = self.parameters
            self._paused_ns, self._pause = view.now_ns, _Pause.COOLDOWN
            if gained < 0:
                self._losses += 1
                self._pause = _Pause.LOSS
                if parameters.loss_streak and self._losses >= parameters.loss_streak:
                    self._losses = 0
                    self._pause = _Pause.STREAK
            elif gained > 0:
                self._losses = 0
            self._since_ns = None
        self._most_lots = 0
        self._flat_net = net

    def _is_paused(self, now_ns: int) -> bool:
        """Tell whether the last round trip still pauses entries, for as long as the parameters say now."""
        if self._paused_ns is None:
            return False
        parameters = self.parameters
        pauses_s = (parameters.cooldown_s, parameters.loss_cooldown_s, parameters.streak_pause_s)
        if now_ns >= self._paused_ns + int(pauses_s[self._pause] * NS_PER_S):
            self._paused_ns = None  # over: what is set later begins with the next round trip
            return False
        return True

    def _flat_state(self, view: StrategyView, entry_order: OwnOrder | None) -> MachineState:
        if entry_order is not None:
            return MachineState.ENTERING
        if self._is_paused(view.now_ns):
            return MachineState.COOLDOWN
        return MachineState.DUST if view.position.qty else MachineState.FLAT

    def _entry_refusals(self, view: StrategyView, spread_bps: float) -> tuple[Refusal, ...]:
        """Say why not to enter; all reasons that hold, cheapest first."""
        parameters, measures = self.parameters, view.measures
        refusals = []
        if self._is_paused(view.now_ns):
            refusals.append(Refusal.LOSS_STREAK if self._pause is _Pause.STREAK else Refusal.COOLDOWN)
        if not is_in_window(parameters.window_start_min, parameters.window_end_min, view.now_ns):
            refusals.append(Refusal.SCHEDULE)
        if measures.spread_seconds < parameters.warmup_s:
            refusals.append(Refusal.NOT_READY)
        if spread_bps < parameters.min_spread_bps:
            refusals.append(Refusal.SPREAD_TOO_TIGHT)
        if spread_bps > parameters.max_spread_bps:
            refusals.append(Refusal.SPREAD_TOO_WIDE)
        if is_maker_gone(parameters, spread_bps, self._normal_spread(view, spread_bps)):
            refusals.append(Refusal.MAKER_GONE)
        imbalance = view.bid[1] / (view.bid[1] + view.ask[1])
        if not parameters.min_imbalance <= imbalance <= parameters.max_imbalance:
            refusals.append(Refusal.IMBALANCE)
        if measures.volatility_bps > parameters.max_volatility_bps:
            refusals.append(Refusal.VOLATILITY)
        if measures.trades_per_minute(view.now_ns) < parameters.min_trades_per_minute:
            refusals.append(Refusal.TRADE_RATE)
        if not refusals and not self._is_deep(view):
            refusals.append(Refusal.DEPTH_TOO_THIN)
        return tuple(refusals)

    def _is_deep(self, view: StrategyView) -> bool:
        parameters, instrument = self.parameters, self._instrument
        needed = instrument.lots_worth(self._units_of(parameters)[0], view.bid[0])
        limit_ticks = int(view.bid[0] * (1.0 - parameters.depth_bps / BPS_PER_ONE))
        # Nearly always the first levels are enough; the whole depth is walked when they are not.
        if view.bid[0] >= limit_ticks and view.bid[1] >= needed:
            return True
        near = sum(lots for price_ticks, lots in view.book.bids(NEAR_LEVELS) if price_ticks >= limit_ticks)
        return near >= needed or view.book.qty_within(Side.BUY, limit_ticks) >= needed

    def _units_of(self, parameters: SpreadCaptureParameters) -> tuple[int, int]:
        """Return the least depth and the value of an entry in ticks x lots, anew when the parameters are others."""
        if self._units_for is not parameters:
            units_of = self._instrument.units_of
            self._units = (units_of(parameters.min_depth_quote), units_of(parameters.order_quote))
            self._units_for = parameters
        return self._units

    def _entry_quote(
        self, view: StrategyView, order: OwnOrder | None, spread_bps: float
    ) -> tuple[DesiredQuote | None, Refusal]:
        """Make the entry at the best price whose edge clears the floor, or say why there is none.

        order: the entry that works already; then the quantity wanted is what is left of it.
        """
        parameters = self.parameters
        floor_bps = parameters.min_edge_bps - (parameters.edge_hysteresis_bps if order is not None else 0.0)
        entry = self._best_entry(view, spread_bps, floor_bps)
        if entry is None:
            return None, Refusal.EDGE_BELOW_FLOOR
        if order is not None:
            lots = order.open_lots
            if lots * order.price_ticks > self._units_of(parameters)[1]:  # the value of one was lowered since
                lots = self._units[1] // order.price_ticks
                if lots < self._fewest_lots(view, entry.price_ticks):
                    return None, Refusal.MIN_NOTIONAL
        else:
            lots = self._lots_at(entry.price_ticks)
            if lots < self._fewest_lots(view, entry.price_ticks):
                return None, Refusal.MIN_NOTIONAL
        requote = self._requote(view, parameters.entry_max_age_s)
        terms = _entry_terms(view) if order is None else ()  # kept with a new order only, and dear to render
        kind = OrderType.LIMIT_MAKER
        quote = DesiredQuote(
            Side.BUY, Purpose.ENTRY, kind, entry.price_ticks, lots, "entry", requote, entry.edge, terms
        )
        return quote, Refusal.EDGE_BELOW_FLOOR

    def _lots_at(self, price_ticks: int) -> int:
        """Return what `order_quote` buys at a price, rounded down; asked again and again while an entry waits."""
        key = (price_ticks, self.parameters.order_quote)
        if key != self._lots_for:
            self._lots = self._instrument.qty_lots_floor(
                self.parameters.order_quote / self._instrument.price(price_ticks)
            )
            self._lots_for = key
        return self._lots

    def _best_entry(self, view: StrategyView, spread_bps: float, floor_bps: float) -> _Entry | None:
        """Return the most aggressive price, inside or at the bid, whose net edge clears the floor."""
        parameters = self.parameters
        bid_ticks, ask_ticks = view.bid[0], view.ask[0]
        room = (ask_ticks - bid_ticks - 1) // 2  # >= 0: the book is not crossed
        improve = min(parameters.entry_improve_ticks, room)
        exit_ticks = ask_ticks - min(parameters.exit_improve_ticks, room)
        passive = self._maker_exit_ratio(view)
        horizon, weight = parameters.adverse_horizon, parameters.adverse_prior_weight
        prior_bps = parameters.adverse_prior_spreads * spread_bps
        adverse_bps, samples = view.measures.markouts.expected(Side.BUY, horizon, prior_bps, weight)
        exit_adverse_bps, _ = view.measures.markouts.expected(Side.SELL, horizon, prior_bps, weight)
        for entry_ticks in (bid_ticks + improve, bid_ticks) if improve else (bid_ticks,):
            edge = entry_edge(
                RoundTrip(bid_ticks, ask_ticks, entry_ticks, exit_ticks),
                self._maker_fee,
                self._taker_fee,
                passive,
                adverse_bps,
                exit_adverse_bps,
                samples,
            )
            if edge.net >= floor_bps:
                return _Entry(entry_ticks, edge)
        return None

    def _maker_exit_ratio(self, view: StrategyView) -> float:
        """Return the share of exits expected to be passive: from the market at first, ever more from our own exits."""
        parameters, measures = self.parameters, view.measures
        taker = taker_exit_share(
            1.0 - parameters.maker_exit_prior,
            max(parameters.stop_loss_bps, parameters.stop_loss_spreads * measures.normal_spread_bps),
            measures.volatility_bps,
            parameters.patience_s,
            measures.trades_per_minute(view.now_ns) / 120.0,  # half of them buy
            parameters.timeout_s,
        )
        return measures.exit_mix.maker_ratio(1.0 - taker, parameters.maker_exit_weight)

    def _is_sellable(self, view: StrategyView) -> bool:
        return view.held_lots >= view.instrument.min_lots(taker_bound_ticks(self.parameters, view.bid[0]))

    def _fewest_lots(self, view: StrategyView, price_ticks: int) -> int:
        """Return the smallest entry that stays sellable in two parts at the hard stop."""
        stop_bps = hard_stop_bps(self.parameters, self._normal_spread(view, 0.0))
        at_stop_ticks = max(1, int(price_ticks * (1.0 - min(0.9, stop_bps / BPS_PER_ONE))))
        return MIN_NOTIONALS_AT_HARD_STOP * self._instrument.min_lots(at_stop_ticks)

    def _normal_spread(self, view: StrategyView, spread_bps: float) -> float:
        """Return the usual spread, bps; the present one while nothing is known."""
        return view.measures.normal_spread_bps if view.measures.spread_seconds > 0 else spread_bps

    def _requote(self, view: StrategyView, max_age_s: float = 0.0) -> Requote:
        parameters = self.parameters
        by_bps = int(view.bid[0] * parameters.requote_min_bps / BPS_PER_ONE)
        least_ticks = parameters.requote_min_ticks
        return Requote(
            parameters.requote_min_age_ms * NS_PER_MS,
            by_bps if by_bps > least_ticks else least_ticks,
            int(max_age_s * NS_PER_S),
        )


def _entry_terms(view: StrategyView) -> tuple[tuple[str, str], ...]:
    imbalance = view.bid[1] / (view.bid[1] + view.ask[1])
    return (
        ("imbalance", f"{imbalance:.4f}"),
        ("volatility_bps", f"{view.measures.volatility_bps:.4f}"),
        ("normal_spread_bps", f"{view.measures.normal_spread_bps:.4f}"),
    )


def _working(view: StrategyView, side: Side) -> OwnOrder | None:
    """Return the oldest order of ours on a side that is not over."""
    for order in view.orders:
        if order.side is side:
            return order
    return None
