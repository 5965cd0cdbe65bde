"""When and how `spread_capture` leaves a position: exits in order of priority. Pure.

May import `trading.model` and `trading.engine`.

Every condition is marked at the bid, where a long would have to be sold; never at the mid.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from trading.engine.edge import BPS_PER_ONE
from trading.engine.strategy.protocol import DesiredQuote, Requote, StrategyView
from trading.engine.strategy.schedule import is_in_window
from trading.engine.strategy.spread_capture_parameters import SpreadCaptureParameters
from trading.model.market import Side
from trading.model.orders import OrderType, Purpose
from trading.model.units import NS_PER_MS, NS_PER_S, lowest_sale_ticks


class ExitReason(StrEnum):
    """Why a position is left; in order of priority, PASSIVE when nothing presses."""

    MAKER_GONE = "market_maker_gone"
    HARD_STOP = "hard_stop"
    WINDOW_CLOSE = "window_close"
    TRAILING = "trailing"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    TIMEOUT = "timeout"
    PASSIVE = "passive"

    @property
    def is_taker(self) -> bool:
        """True when the exit pays the spread to be gone."""
        return self not in (ExitReason.TAKE_PROFIT, ExitReason.PASSIVE)


class Holding(NamedTuple):
    """The position as the exits see it.

    avg_ticks: average cost a lot, in ticks. mark_bps: gain at the bid. best_mark_bps: highest mark since `since_ns`.
    spread_bps, normal_spread_bps: as quoted now and as usual.
    """

    avg_ticks: float
    mark_bps: float
    best_mark_bps: float
    since_ns: int
    spread_bps: float
    normal_spread_bps: float


def is_maker_gone(parameters: SpreadCaptureParameters, spread_bps: float, normal_spread_bps: float) -> bool:
    """Return whether the spread has blown out, against the usual and in itself."""
    return spread_bps > max(parameters.gone_spread_bps, parameters.gone_spread_ratio * normal_spread_bps)


def hard_stop_bps(parameters: SpreadCaptureParameters, normal_spread_bps: float) -> float:
    """Return the distance of the hard stop from cost, bps."""
    return max(parameters.hard_stop_bps, parameters.hard_stop_spreads * normal_spread_bps)


def exit_reason(parameters: SpreadCaptureParameters, holding: Holding, now_ns: int) -> ExitReason:
    """Return the first exit in order of priority whose condition holds."""
    age_ns = now_ns - holding.since_ns
    mark = holding.mark_bps
    if is_maker_gone(parameters, holding.spread_bps, holding.normal_spread_bps):
        return ExitReason.MAKER_GONE
    if mark <= -hard_stop_bps(parameters, holding.normal_spread_bps):
        return ExitReason.HARD_STOP
    if not is_in_window(parameters.window_start_min, parameters.window_end_min, now_ns):
        return ExitReason.WINDOW_CLOSE
    if age_ns < parameters.min_hold_ms * NS_PER_MS:
        return ExitReason.PASSIVE
    is_armed = holding.best_mark_bps >= parameters.trailing_start_bps
    if is_armed and mark <= holding.best_mark_bps - parameters.trailing_gap_bps:
        return ExitReason.TRAILING
    if mark >= parameters.take_profit_bps:
        return ExitReason.TAKE_PROFIT
    if mark <= -max(parameters.stop_loss_bps, parameters.stop_loss_spreads * holding.normal_spread_bps):
        return ExitReason.STOP_LOSS
    if age_ns >= parameters.timeout_s * NS_PER_S:
        return ExitReason.TIMEOUT
    return ExitReason.PASSIVE


def taker_bound_ticks(parameters: SpreadCaptureParameters, bid_ticks: int) -> int:
    """Return the lowest price a taker exit accepts; what cannot be ordered at it cannot be stopped: it is dust."""
    return lowest_sale_ticks(bid_ticks, parameters.taker_bound_bps)


def exit_quote(
    parameters: SpreadCaptureParameters,
    view: StrategyView,
    holding: Holding,
    reason: ExitReason,
    requote: Requote,
    is_new: bool,
) -> DesiredQuote:
    """Make the order that sells all that is held: a bounded taker, or passive at or inside the ask.

    is_new: no exit works yet. Only then its terms are told: they are kept with a new order, and dear to render.
    """
    if reason.is_taker:
        price_ticks, order_type = taker_bound_ticks(parameters, view.bid[0]), OrderType.IOC
    else:
        price_ticks, order_type = _passive_ticks(parameters, view, holding, reason), OrderType.LIMIT_MAKER
    return DesiredQuote(
        side=Side.SELL,
        purpose=Purpose.EXIT,
        type=order_type,
        price_ticks=price_ticks,
        qty_lots=view.held_lots,
        reason=reason.value,
        requote=requote,
        terms=_terms(view, holding) if is_new else (),
        is_urgent=reason.is_taker,
    )


def _terms(view: StrategyView, holding: Holding) -> tuple[tuple[str, str], ...]:
    return (
        ("mark_bps", f"{holding.mark_bps:.4f}"),
        ("best_mark_bps", f"{holding.best_mark_bps:.4f}"),
        ("held_ms", str((view.now_ns - holding.since_ns) // NS_PER_MS)),
        ("avg_ticks", f"{holding.avg_ticks:.4f}"),
    )


def _passive_ticks(
    parameters: SpreadCaptureParameters, view: StrategyView, holding: Holding, reason: ExitReason
) -> int:
    bid_ticks, ask_ticks = view.bid[0], view.ask[0]
    room = ask_ticks - bid_ticks - 1
    price_ticks = ask_ticks - min(parameters.exit_improve_ticks, max(0, room // 2))
    is_patient = view.now_ns - holding.since_ns < parameters.patience_s * NS_PER_S
    if reason is ExitReason.PASSIVE and is_patient:
        fee = float(view.instrument.maker_fee_rate) * 2.0
        asked = holding.avg_ticks * (1.0 + fee + parameters.take_profit_bps / BPS_PER_ONE)
        price_ticks = max(price_ticks, -int(-asked // 1))
    return max(price_ticks, bid_ticks + 1)
