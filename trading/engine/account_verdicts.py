"""What an approval rested on: each limit of the account beside what the order would make of it. Pure.

May import `trading.model` and `trading.engine`. Kept with the order as text pairs, for `explain`; decides nothing. The
denials' own sentences are in `account_rules`.
"""

from __future__ import annotations

from functools import lru_cache

from trading.engine.account_commitments import buy_reserve
from trading.engine.account_rules import AccountView
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderIntent, Purpose
from trading.model.units import BPS, plain

PREFIX = "account_"
# Limits are written with every order and changed by people: the text of each is made once.
_limit = lru_cache(maxsize=64)(plain)


def verdicts(
    account: AccountView, intent: OrderIntent, instrument: Instrument, now_ns: int
) -> tuple[tuple[str, str], ...]:
    """List what an approved intent was measured by, (name, text) with `PREFIX`; amounts in quote units."""
    pairs: list[tuple[str, str]] = [("account_judged_ns", str(now_ns))]
    if intent.side is Side.SELL:
        sellable = instrument.qty_text(account.sellable_lots(intent.symbol))
        pairs.append(("account_sellable", f"{instrument.qty_text(intent.qty_lots)} of {sellable} {instrument.base}"))
    if intent.purpose is Purpose.ENTRY:
        limits, commitments = account.limits, account.commitments
        pairs += [
            ("account_net_today", f"{plain(account.net_pnl_today(now_ns))}, at least -{_limit(limits.daily_loss)}"),
            ("account_drawdown", f"{plain(account.drawdown(now_ns))}, below {_limit(limits.max_drawdown)}"),
            ("account_open_orders", f"{commitments.count()} before it, below {limits.max_open_orders}"),
            (
                "account_entries_last_minute",
                f"{account.entries_last_minute(now_ns)}, below {limits.max_entries_per_minute}",
            ),
        ]
        bid_ticks = account.bid_ticks(intent.symbol, now_ns)
        if bid_ticks:
            away = abs(intent.price_ticks - bid_ticks) * BPS / bid_ticks
            pairs.append(
                ("account_price_collar", f"{away:.2f} bps from the bid, at most {limits.price_collar_bps} bps")
            )
        if intent.side is Side.BUY:
            pairs += _purchase(account, intent, instrument)
    return tuple(pairs)


def _purchase(account: AccountView, intent: OrderIntent, instrument: Instrument) -> list[tuple[str, str]]:
    limits, symbol = account.limits, intent.symbol
    value = instrument.notional(intent.price_ticks, intent.qty_lots)
    own, gross = account.symbol_exposure(symbol) + value, account.gross_exposure() + value
    needed, free = buy_reserve(value, instrument), account.available(instrument.quote)
    pairs = [
        ("account_order_value", f"{plain(value)}, at most {_limit(limits.max_order_notional)}"),
        ("account_symbol_exposure", f"{plain(own)} with it, at most {_limit(limits.max_symbol_exposure)}"),
        ("account_gross_exposure", f"{plain(gross)} with it, at most {_limit(limits.max_gross_exposure)}"),
        ("account_balance", f"{plain(needed)} of {plain(free)} {instrument.quote}"),
    ]
    allocation = account.allocation(symbol)
    if allocation is not None:
        committed = account.position(symbol).cost + account.commitments.open_buy_notional(symbol) + value
        pairs.append(("account_allocation", f"{plain(committed)} with it, of {_limit(allocation)} {instrument.quote}"))
    return pairs
