"""The refusals of an account, one sentence each. May import `trading.model` and `trading.engine`.

Read-only over an account's view: what the venue would refuse anyway (`refuse_shape`), exits by what is held, entries by
every limit. Entry limits never block an exit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from trading.engine.account_commitments import Commitments, buy_reserve
from trading.engine.account_limits import AccountLimits
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderIntent, Purpose, Refusal
from trading.model.position import Position
from trading.model.units import BPS, plain


@dataclass(frozen=True, slots=True)
class Denial:
    """Our own no: the typed reason, and what was allowed and what was asked."""

    reason: Refusal
    text: str


class AccountView(Protocol):
    """What the rules read of an account; amounts in quote units."""

    limits: AccountLimits
    commitments: Commitments

    def disabled(self, symbol: str) -> str | None: ...
    def allocation(self, symbol: str) -> Decimal | None: ...
    def position(self, symbol: str) -> Position: ...
    def available(self, asset: str) -> Decimal: ...
    def sellable_lots(self, symbol: str) -> int: ...
    def bid_ticks(self, symbol: str, now_ns: int) -> int | None: ...
    def symbol_exposure(self, symbol: str) -> Decimal: ...
    def gross_exposure(self) -> Decimal: ...
    def net_pnl_today(self, now_ns: int) -> Decimal: ...
    def drawdown(self, now_ns: int) -> Decimal: ...
    def entries_last_minute(self, now_ns: int) -> int: ...
    def cooldown_until_ns(self) -> int: ...


def refuse_shape(intent: OrderIntent, instrument: Instrument) -> Denial | None:
    """Refuse what no venue would take: no price or quantity, or a value outside the instrument's bounds."""
    if intent.price_ticks <= 0 or intent.qty_lots <= 0:
        return Denial(Refusal.MIN_NOTIONAL, f"price {intent.price_ticks} ticks x {intent.qty_lots} lots is no order")
    fewest = instrument.min_lots(intent.price_ticks)
    if intent.qty_lots < fewest:
        return Denial(Refusal.MIN_NOTIONAL, f"at least {fewest} lots at this price, asked {intent.qty_lots}")
    notional = instrument.notional(intent.price_ticks, intent.qty_lots)
    if instrument.max_notional and notional > instrument.max_notional:
        return Denial(Refusal.MAX_NOTIONAL, f"the venue takes at most {instrument.max_notional}, asked {notional}")
    return None


def refuse_exit(account: AccountView, intent: OrderIntent, instrument: Instrument) -> Denial | None:
    """Refuse an exit only for what cannot be: a buy, more than is sellable, a second one after an unknown."""
    if intent.side is not Side.SELL:
        return Denial(Refusal.NOTHING_TO_SELL, "an exit of a long position is a sell")
    for item in account.commitments.of_side(intent.symbol, Side.SELL):
        if item.is_unknown and item.purpose is Purpose.EXIT:
            return Denial(Refusal.EXIT_UNKNOWN, f"the outcome of exit {item.client_order_id} is unknown")
    return _refuse_sale(account, intent, instrument)


def _refuse_sale(account: AccountView, intent: OrderIntent, instrument: Instrument) -> Denial | None:
    sellable = account.sellable_lots(intent.symbol)
    if intent.qty_lots > sellable:
        text = f"sellable {instrument.qty(sellable)} {instrument.base}, asked {instrument.qty(intent.qty_lots)}"
        return Denial(Refusal.NOTHING_TO_SELL, text)
    return None


def refuse_entry(account: AccountView, intent: OrderIntent, instrument: Instrument, now_ns: int) -> Denial | None:
    """Refuse an entry by every limit of the account; the first that says no is named."""
    disabled = account.disabled(intent.symbol) or instrument.exclusion
    if disabled:
        return Denial(Refusal.INSTRUMENT, f"{intent.symbol}: {disabled}")
    bid_ticks = account.bid_ticks(intent.symbol, now_ns)
    if bid_ticks is None:
        return Denial(Refusal.BOOK_STALE, f"no bid younger than {account.limits.mark_max_age_s} s")
    return (
        _refuse_by_losses(account, now_ns)
        or _refuse_by_counts(account, now_ns)
        or _refuse_by_price(account, intent, bid_ticks)
        or _refuse_self_trade(account, intent)
        or (
            _refuse_purchase(account, intent, instrument)
            if intent.side is Side.BUY
            else _refuse_sale(account, intent, instrument)
        )
    )


def refuse_by_limits(account: AccountView, now_ns: int) -> Denial | None:
    """Refuse entries by what the account has lost: today, or since its best moment."""
    limits = account.limits
    today = account.net_pnl_today(now_ns)
    if -today >= limits.daily_loss:
        text = f"net {plain(today)} since 00:00 UTC, the limit is -{limits.daily_loss}"
        return Denial(Refusal.DAILY_LOSS, f"{text}: until the day ends, or it is raised")
    drawdown = account.drawdown(now_ns)
    if drawdown >= limits.max_drawdown:
        text = f"{plain(drawdown)} below the peak, the limit is {limits.max_drawdown}"
        return Denial(Refusal.DRAWDOWN, f"{text}: until a person resumes, or it is raised")
    return None


def _refuse_by_losses(account: AccountView, now_ns: int) -> Denial | None:
    if denial := refuse_by_limits(account, now_ns):
        return denial
    if now_ns < account.cooldown_until_ns():
        return Denial(Refusal.LOSS_STREAK, f"cooling down until {account.cooldown_until_ns()}")
    return None


def _refuse_by_counts(account: AccountView, now_ns: int) -> Denial | None:
    limits = account.limits
    if account.commitments.count() >= limits.max_open_orders:
        return Denial(Refusal.OPEN_ORDERS, f"{account.commitments.count()} open, at most {limits.max_open_orders}")
    recent = account.entries_last_minute(now_ns)
    if recent >= limits.max_entries_per_minute:
        return Denial(Refusal.ORDER_RATE, f"{recent} entries in 60 s, at most {limits.max_entries_per_minute}")
    return None


def _refuse_by_price(account: AccountView, intent: OrderIntent, bid_ticks: int) -> Denial | None:
    collar = account.limits.price_collar_bps
    if abs(intent.price_ticks - bid_ticks) * BPS > collar * bid_ticks:
        text = f"price {intent.price_ticks} ticks is more than {collar} bps from the bid {bid_ticks}"
        return Denial(Refusal.PRICE_COLLAR, text)
    return None


def _refuse_self_trade(account: AccountView, intent: OrderIntent) -> Denial | None:
    for item in account.commitments.of_side(intent.symbol, intent.side.opposite):
        if (intent.price_ticks - item.price_ticks) * intent.side.sign >= 0:
            text = f"would meet our own {item.side} {item.client_order_id} at {item.price_ticks} ticks"
            return Denial(Refusal.SELF_TRADE, text)
    return None


def _refuse_purchase(account: AccountView, intent: OrderIntent, instrument: Instrument) -> Denial | None:
    limits = account.limits
    notional = instrument.notional(intent.price_ticks, intent.qty_lots)
    if notional > limits.max_order_notional:
        return Denial(Refusal.MAX_NOTIONAL, f"order of {notional}, at most {limits.max_order_notional}")
    own = account.symbol_exposure(intent.symbol) + notional
    if own > limits.max_symbol_exposure:
        return Denial(Refusal.SYMBOL_EXPOSURE, f"would hold {own}, at most {limits.max_symbol_exposure}")
    gross = account.gross_exposure() + notional
    if gross > limits.max_gross_exposure:
        return Denial(Refusal.GROSS_EXPOSURE, f"all symbols would hold {gross}, at most {limits.max_gross_exposure}")
    allocation = account.allocation(intent.symbol)
    if allocation is not None:
        committed = account.position(intent.symbol).cost + account.commitments.open_buy_notional(intent.symbol)
        if committed + notional > allocation:
            return Denial(Refusal.ALLOCATION, f"would use {committed + notional} of {allocation} {instrument.quote}")
    needed, free = buy_reserve(notional, instrument), account.available(instrument.quote)
    if needed > free:
        return Denial(Refusal.BALANCE, f"needs {needed} {instrument.quote}, available {free}")
    return None
