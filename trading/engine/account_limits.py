"""The limits of an account, declared with unit, range, default and reason. May import `trading.engine.parameters`.

Stored, shown and changed by name as text (`parameters.parse`, `parameters.as_texts`). Amounts are in the account's
reporting quote asset.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading.engine.parameters import parameter

_MANY = Decimal(10**12)


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """What the executor refuses entries by. No limit here ever blocks an exit."""

    max_gross_exposure: Decimal = parameter(
        Decimal(5000),
        "quote",
        "positions at the bid plus open buys, over all symbols; half of the paper balance",
        0,
        _MANY,
    )
    max_symbol_exposure: Decimal = parameter(
        Decimal(1000), "quote", "position at the bid plus open buys of one symbol", 0, _MANY
    )
    max_order_notional: Decimal = parameter(
        Decimal(500), "quote", "largest single entry; catches a wrong unit or a slipped digit", 0, _MANY
    )
    max_open_orders: int = parameter(
        300, "count", "orders that may be open at once; the venue itself stops at 500", 0, 100_000
    )
    max_entries_per_minute: int = parameter(
        600, "count", "entries within any 60 s; the order rate budget is 10 a second", 0, 10_000_000
    )
    daily_loss: Decimal = parameter(
        Decimal(200),
        "quote",
        "net loss since 00:00 UTC, open positions at the bid, that stops entries; a person resumes, and entries stay "
        "denied until the day ends or this is raised",
        0,
        _MANY,
    )
    max_drawdown: Decimal = parameter(
        Decimal(500),
        "quote",
        "fall of the net P&L from its highest point that stops entries; a person resumes, and it counts from there",
        0,
        _MANY,
    )
    loss_streak: int = parameter(
        20, "count", "losing sales in a row, over all symbols, that start the cooldown; 0 switches it off", 0, 100_000
    )
    loss_cooldown_s: int = parameter(600, "s", "pause of entries after a loss streak", 0, 604_800)
    max_clock_skew_ms: int = parameter(
        1_000,
        "ms",
        "difference of the venue's and the host's clock that stops entries: what is signed follows the venue's clock, "
        "but ages and the day are counted on the host's; 0 switches it off",
        0,
        3_600_000,
    )
    price_collar_bps: int = parameter(
        500, "bps", "how far an entry's price may be from the bid; a stray price is refused", 1, 100_000
    )
    mark_max_age_s: int = parameter(
        10,
        "s",
        "age of the last known bid beyond which entries are refused; symbols report about once a second",
        1,
        3600,
    )
