"""What an approval rested on: each limit of the account beside what the order would make of it. Pure.

May import `trading.model` and `trading.engine`. Kept with the order as text pairs, for `explain`; decides nothing. The
denials' own sentences are in `account_rules`.
"""

from __future__ import annotations

from trading.engine.account_commitments import buy_reserve
from trading.engine.account_rules import AccountView
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderIntent, Purpose
from trading.model.units import BPS, plain

PREFIX = "account_"


def verdicts(
    account: AccountView, intent: OrderIntent, instrument: Instrument, now_ns: int
) -> tuple[tuple[str, str], ...]:
    """List what an approved intent was measured by, (name, text) with `PREFIX`; amounts in quote units."""
    pairs: list[tuple[str, str]] = [("judged_ns", str(now_ns))]
    if intent.side is Side.SELL:
        sellable = instrument.qty_text(account.sellable_lots(intent.symbol))
        pairs.append(("sellable", f"{instrument.qty_text(intent.qty_lots)} of {sellable} {instrument.base}"))
    if intent.purpose is Purpose.ENTRY:
        limits, commitments = account.limits, account.commitments
        pairs += [
            ("net_today", f"{plain(account.net_pnl_today(now_ns))}, at least -{plain(limits.daily_loss)}"),
            ("drawdown", f"{plain(account.drawdown(now_ns))}, below {plain(limits.max_drawdown)}"),
            ("open_orders", f"{commitments.count()} before it, below {limits.max_open_orders}"),
            ("entries_last_minute", f"{account.entries_last_minute(now_ns)}, below {limits.max_entries_per_minute}"),
        ]
        bid_ticks = account.bid_ticks(intent.symbol, now_ns)
        if bid_ticks:
            away = abs(intent.price_ticks - bid_ticks) * BPS / bid_ticks
            pairs.append(("price_collar", f"{away:.2f} bps from the bid, at most {limits.price_collar_bps} bps"))
        if intent.side is Side.BUY:
            pairs += _purchase(account, intent, instrument)
    return tuple((PREFIX + name, text) for name, text in pairs)


def _purchase(account: AccountView, intent: OrderIntent, instrument: Instrument) -> list[tuple[str, str]]:
    limits, symbol = account.limits, intent.symbol
    value = instrument.notional(intent.price_ticks, intent.qty_lots)
    own, gross = account.symbol_exposure(symbol) + value, account.gross_exposure() + value
    needed, free = buy_reserve(value, instrument), account.available(instrument.quote)
    pairs = [
        ("order_value", f"{plain(value)}, at most {plain(limits.max_order_notional)}"),
        ("symbol_exposure", f"{plain(own)} with it, at most {plain(limits.max_symbol_exposure)}"),
        ("gross_exposure", f"{plain(gross)} with it, at most {plain(limits.max_gross_exposure)}"),
        ("balance", f"{plain(needed)} of {plain(free)} {instrument.quote}"),
    ]
    allocation = account.allocation(symbol)
    if allocation is not None:
        committed = account.position(symbol).cost + account.commitments.open_buy_notional(symbol) + value
        pairs.append(("allocation", f"{plain(committed)} with it, of {plain(allocation)} {instrument.quote}"))
    return pairs
