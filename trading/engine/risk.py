"""Risk of one symbol: what its own rules refuse before an intent is made, and the count of refusals. Pure.

May import `trading.model` and `trading.engine`. Account risk judges again in the executor; these rules need only what
the symbol knows. Entry rules never block an exit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from trading.engine.parameters import check_order, parameter
from trading.engine.strategy.protocol import DesiredQuote, OwnOrder
from trading.engine.strategy.schedule import check_window
from trading.model.instrument import Instrument
from trading.model.market import BookState, Level, Side
from trading.model.orders import OrderStatus, Purpose, Refusal
from trading.model.position import Position
from trading.model.units import BPS, NS_PER_S


@dataclass(frozen=True, slots=True)
class SymbolRiskLimits:
    """What every strategy of a symbol is held to; named `risk_...` so as never to clash with a strategy's own."""

    risk_max_order_quote: Decimal = parameter(
        Decimal(250), "quote", "largest single entry of this symbol; catches a slipped digit", 0, 10**12
    )
    risk_max_position_quote: Decimal = parameter(
        Decimal(1000),
        "quote",
        "most that may be held at cost, open buys included; the allocation may be less",
        0,
        10**12,
    )
    risk_max_open_orders: int = parameter(4, "count", "orders of this symbol at once; beyond it no entry", 1, 1000)
    risk_price_collar_bps: Decimal = parameter(
        Decimal(200), "bps", "how far an entry may be from the best price of its side", 1, 10_000
    )
    risk_min_spread_bps: float = parameter(
        0.0, "bps", "no entry into a tighter market; 0: the strategy's affair", 0, 1000
    )
    risk_max_spread_bps: float = parameter(300.0, "bps", "no entry into a wider market, whatever is usual", 0, 10_000)
    risk_gone_spread_bps: float = parameter(
        50.0, "bps", "the market maker is gone above this spread and ...", 0, 10_000
    )
    risk_gone_spread_ratio: float = parameter(8.0, "ratio", "... above so many times the usual spread", 1, 1000)
    risk_max_volatility_bps: float = parameter(
        100.0, "bps", "standard deviation of the mid over 1 s above which nothing is entered", 0, 10_000
    )
    risk_window_start_min: int = parameter(0, "min", "no entry before, minutes after 00:00 UTC", 0, 1440)
    risk_window_end_min: int = parameter(1440, "min", "no entry from here on; before the start it spans 0:00", 0, 1440)
    risk_cooldown_s: float = parameter(0.0, "s", "no entry for so long after a round trip", 0, 86_400)
    risk_loss_streak: int = parameter(
        10, "count", "round trips in a row that lost, net, after which entries pause; 0 switches it off", 0, 10_000
    )
    risk_streak_pause_s: float = parameter(900.0, "s", "that pause", 0, 86_400)
    risk_taker_bound_bps: Decimal = parameter(
        Decimal(50), "bps", "how far below the bid a flatten may sell; it is always a bounded IOC", 0, 5000
    )
    risk_unproven_exit_after_s: int = parameter(
        30,
        "s",
        "long without a proven book for so long: sell by bounded IOC against the last book ticker; 0 holds instead",
        0,
        86_400,
    )
    risk_order_ops_per_s: float = parameter(
        0.5, "1/s", "orders and moves of this symbol on average; the account has 10 a second for all", 0.01, 1000
    )
    risk_order_ops_burst: int = parameter(6, "count", "operations that may be saved up", 2, 10_000)
    risk_intent_valid_ms: int = parameter(
        2000, "ms", "age after which an intent that was not sent is denied as stale", 50, 60_000
    )

    def __post_init__(self) -> None:
        """Refuse values that leave nothing to trade. Raises: ConfigError."""
        check_order(self, "risk_min_spread_bps", "risk_max_spread_bps")
        check_window(self.risk_window_start_min, self.risk_window_end_min, "risk_")


class SymbolStanding(NamedTuple):
    """What the rules read, at one instant. `bid`, `ask`: best levels of others."""

    instrument: Instrument
    bid: Level
    ask: Level
    position: Position
    held_lots: int
    orders: Sequence[OwnOrder]
    allocation_quote: Decimal


def judge(quote: DesiredQuote, standing: SymbolStanding, limits: SymbolRiskLimits) -> Refusal | None:
    """Return why a quote may not become an order; None when it may. Changes nothing."""
    if standing.instrument.exclusion is not None and quote.purpose is Purpose.ENTRY:
        return Refusal.INSTRUMENT
    instrument = standing.instrument
    if quote.price_ticks <= 0 or quote.qty_lots < instrument.min_lots(quote.price_ticks):
        return Refusal.MIN_NOTIONAL
    if quote.purpose is Purpose.EXIT:
        return _judge_exit(quote, standing)  # one above the venue's largest order goes out in parts
    notional = instrument.notional(quote.price_ticks, quote.qty_lots)
    if instrument.max_notional and notional > instrument.max_notional:
        return Refusal.MAX_NOTIONAL
    return _judge_entry(quote, notional, standing, limits)


def _judge_exit(quote: DesiredQuote, standing: SymbolStanding) -> Refusal | None:
    if quote.side is not Side.SELL or quote.qty_lots > standing.held_lots:
        return Refusal.NOTHING_TO_SELL
    for order in standing.orders:
        if order.purpose is Purpose.EXIT and order.status is OrderStatus.UNKNOWN:
            return Refusal.EXIT_UNKNOWN
    return None


def _judge_entry(
    quote: DesiredQuote, notional: Decimal, standing: SymbolStanding, limits: SymbolRiskLimits
) -> Refusal | None:
    instrument = standing.instrument
    if notional > limits.risk_max_order_quote:
        return Refusal.MAX_NOTIONAL
    best = standing.bid if quote.side is Side.BUY else standing.ask
    if abs(quote.price_ticks - best[0]) * BPS > limits.risk_price_collar_bps * best[0]:
        return Refusal.PRICE_COLLAR
    for order in standing.orders:
        if order.side is not quote.side and (quote.price_ticks - order.price_ticks) * quote.side.sign >= 0:
            return Refusal.SELF_TRADE
    if quote.side is Side.SELL:
        own_sells = sum(order.open_lots for order in standing.orders if order.side is Side.SELL)
        return Refusal.NOTHING_TO_SELL if quote.qty_lots + own_sells > standing.held_lots else None
    # The order in this quote's own slot is left out: it ends before the quote is placed. An order whose outcome is
    # unknown counts as filled: its value is bound like that of any open buy.
    bound, others = standing.position.cost + notional, 0
    for order in standing.orders:
        if order.purpose is quote.purpose and order.side is Side.BUY:
            continue
        others += 1
        if order.side is Side.BUY:
            bound += instrument.notional(order.price_ticks, order.open_lots)
    if bound > standing.allocation_quote:
        return Refusal.ALLOCATION
    if bound > limits.risk_max_position_quote:
        return Refusal.INVENTORY
    return Refusal.OPEN_ORDERS if others >= limits.risk_max_open_orders else None


def unproven_refusal(state: BookState) -> Refusal:
    """Name the refusal that a book in this state is."""
    return Refusal.BOOK_STALE if state is BookState.STALE else Refusal.BOOK_UNPROVEN


class RefusalCount:
    """Counts refusals of decisions, so that the numbers mean something.

    A decision is made at every book change; counting each would only count frames. A set of reasons is counted when it
    differs from the one before, and while it stays the same once a second: a count is close to "seconds refused for
    this reason", plus the changes. No reasons at all (an order is wanted and allowed) ends a set.
    """

    def __init__(self) -> None:
        self._counts: dict[Refusal, int] = {}
        self._last: tuple[Refusal, ...] = ()
        self._last_ns = 0

    def note(self, reasons: tuple[Refusal, ...], now_ns: int) -> None:
        """Take the reasons of one decision."""
        if reasons == self._last and now_ns - self._last_ns < NS_PER_S:
            return
        self._last, self._last_ns = reasons, now_ns
        for reason in reasons:
            self._counts[reason] = self._counts.get(reason, 0) + 1

    def once(self, reason: Refusal) -> None:
        """Count one event, such as a denial by the executor."""
        self._counts[reason] = self._counts.get(reason, 0) + 1

    def as_pairs(self) -> tuple[tuple[str, int], ...]:
        """Return (reason, count), by name."""
        return tuple(sorted((reason.value, count) for reason, count in self._counts.items()))

    @property
    def current(self) -> tuple[Refusal, ...]:
        """The reasons of the last decision."""
        return self._last
