"""Positions and balances as values. May import `trading.model` and the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from trading.model.units import ZERO


@dataclass(frozen=True, slots=True)
class Position:
    """What is held of one symbol's base asset by this system, at average cost.

    Attributes:
        qty: base units held (>= 0 on spot); fees charged in base are already taken off.
        cost: quote units paid for `qty` at average cost, without fees.
        realized_pnl: quote units, gross of fees, of everything sold. fees: quote units, everything charged.
        updated_ns: time of the last fill or adjustment.
    """

    symbol: str
    qty: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    updated_ns: int = 0

    @property
    def net_pnl(self) -> Decimal:
        """Net realised P&L, `realized_pnl - fees`, in quote units."""
        return self.realized_pnl - self.fees

    @property
    def avg_price(self) -> Decimal:
        """Average entry price in quote units; 0 when flat."""
        return self.cost / self.qty if self.qty else ZERO

    def unrealized(self, mark_price: Decimal) -> Decimal:
        """Quote gain if all were sold at `mark_price` (use the bid), without fees."""
        return self.qty * mark_price - self.cost


@lru_cache(maxsize=4_096)
def flat(symbol: str) -> Position:
    """Return the position of a symbol that was never held: a value, the same for whoever asks."""
    return Position(symbol)


@dataclass(frozen=True, slots=True)
class Balance:
    """One asset of one account, in its own units."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        """free + locked."""
        return self.free + self.locked


LOSSES_KEPT_MAX = 32
"""Losses in a row whose times are kept: more than come together while a forgiveness is on its way."""


@dataclass(frozen=True, slots=True)
class TripRecord:
    """How a symbol's round trips went, net of fees.

    Attributes:
        losses_in_row: the last so many lost. ended_ns: when the last one ended; 0 for none.
        losses_ns: when each of those ended, oldest first; of the last `LOSSES_KEPT_MAX`, so that a person's word can
            forgive what was lost until then and nothing after it, however often and late it is heard.
        start_net, start_realized: `Position.net_pnl` and `realized_pnl` where the running trip began, or where the last
            one ended, quote units. What the running trip has gained so far, and whether anything of it was sold, is
            the position's own less this: a position is journaled with each fill, this record a moment later, and what
            is lost in between follows from the position.
    """

    losses_in_row: int = 0
    ended_ns: int = 0
    start_net: Decimal = ZERO
    losses_ns: tuple[int, ...] = ()
    start_realized: Decimal = ZERO

    def ended(self, now_ns: int, position: Position) -> TripRecord:
        """Return the record after a trip that ended now with this position."""
        net_pnl, realized_pnl = position.net_pnl, position.realized_pnl
        if net_pnl >= self.start_net:
            return TripRecord(0, now_ns, net_pnl, (), realized_pnl)
        losses_ns = (*self.losses_ns, now_ns)[-LOSSES_KEPT_MAX:]
        return TripRecord(self.losses_in_row + 1, now_ns, net_pnl, losses_ns, realized_pnl)

    def forgiven(self, at_ns: int) -> TripRecord:
        """Return the record without the losses, and their pause, of trips that had ended at `at_ns`."""
        later = tuple(ended_ns for ended_ns in self.losses_ns if ended_ns > at_ns)
        ended_ns = self.ended_ns if self.ended_ns > at_ns else 0
        return TripRecord(len(later), ended_ns, self.start_net, later, self.start_realized)


@dataclass(frozen=True, slots=True)
class LossStreak:
    """Losing round trips in a row of the whole account, and until when the last streak stops entries (0: none did).

    `drawdown_since_ns`: the moment from which the drawdown is counted, because a person resumed beyond its limit then.
    """

    losses_in_row: int = 0
    cooldown_until_ns: int = 0
    drawdown_since_ns: int = 0


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """One point of the account's P&L curve, all in the reporting quote asset since the account began.

    `net_pnl` is `realized - fees + unrealized`, with the P&L that left with coins (`JournalState.departed_pnl`);
    `unrealized` is marked at the bid, `exposure` the sum of positions at it. Daily loss and drawdown are differences of
    `net_pnl`, so that deposits never look like gains, and no loss is forgotten.
    """

    at_ns: int
    net_pnl: Decimal
    realized: Decimal
    unrealized: Decimal
    fees: Decimal
    exposure: Decimal
