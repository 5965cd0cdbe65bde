"""Locked balances: what open orders explain of them, and when what they do not explain is searched for. Pure.

May import `trading.model` and `engine.ports`. A venue locks funds for every open order. What it locks beyond the orders
that we know of belongs to orders that we do not know of: those are searched for, symbol by symbol, rarer and rarer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading.engine.account_commitments import buy_reserve
from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import VenueBalance, VenueOrder
from trading.model.units import NS_PER_S, ZERO

# Balances and open orders are asked for one after the other, and queries lag (2 s): two looks this far apart agree.
CONFIRM_NS = 3 * NS_PER_S
PAUSE_MIN_NS = 60 * NS_PER_S
PAUSE_MAX_NS = 3_600 * NS_PER_S


def locked_by(orders: Iterable[OrderRecord | VenueOrder], instruments: Mapping[str, Instrument]) -> dict[str, Decimal]:
    """Return the most that open orders may lock, by asset: sells their rest, buys its value with the dearer fee.

    Orders of unlisted symbols are left out.
    """
    locked: dict[str, Decimal] = {}
    for order in orders:
        instrument = instruments.get(order.symbol)
        lots = order.qty_lots - order.filled_lots
        if instrument is None or lots <= 0:
            continue
        if order.side is Side.SELL:
            asset, amount = instrument.base, instrument.qty(lots)
        else:
            asset, amount = instrument.quote, buy_reserve(instrument.notional(order.price_ticks, lots), instrument)
        locked[asset] = locked.get(asset, ZERO) + amount
    return locked


def unexplained(balances: Iterable[VenueBalance], *explained: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return what the venue locks of each asset beyond the sum of the explanations; assets without any are left out."""
    beyond = {
        item.asset: item.locked - sum((part.get(item.asset, ZERO) for part in explained), ZERO) for item in balances
    }
    return {asset: amount for asset, amount in beyond.items() if amount > 0}


def symbols_locking(
    assets: frozenset[str], instruments: Mapping[str, Instrument], known: Iterable[str]
) -> tuple[str, ...]:
    """List the symbols of which an order may lock one of the assets, but for those whose open orders are known.

    Those that one sells the asset in come first (they are few), then those that one buys with it; tradable ones first.
    """
    skipped = frozenset(known)
    found = sorted(
        (instrument.base not in assets, instrument.exclusion is not None, symbol)
        for symbol, instrument in instruments.items()
        if symbol not in skipped and (instrument.base in assets or instrument.quote in assets)
    )
    return tuple(symbol for _, _, symbol in found)


@dataclass(slots=True)
class _Lock:
    """An unexplained lock: how much, since when (0: none now), and when it may be searched for again."""

    amount: Decimal = ZERO
    since_ns: int = 0
    seen_ns: int = 0
    pause_ns: int = PAUSE_MIN_NS
    ended_ns: int | None = None
    left: Decimal = ZERO

    @property
    def is_confirmed(self) -> bool:
        return self.amount > 0 and self.seen_ns - self.since_ns >= CONFIRM_NS

    def is_over(self, pause_ns: int, now_ns: int) -> bool:
        return self.ended_ns is None or now_ns >= self.ended_ns + pause_ns

    def is_due(self, now_ns: int) -> bool:
        # More than the last search left unexplained is something new: that one waits for the shortest pause only.
        is_new = self.amount > self.left
        return self.is_confirmed and self.is_over(PAUSE_MIN_NS if is_new else self.pause_ns, now_ns)


class LockWatch:
    """Says which unexplained locks are to be searched for. Told monotonic times.

    Invariant: a lock is searched for only when two looks, seconds apart, saw it; between two searches for one asset
    lies a minute, and twice the last pause, up to an hour, after each one that explained nothing.
    """

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}

    def see(self, amounts: Mapping[str, Decimal], now_ns: int) -> None:
        """Take one look: what is unexplained of each asset; an asset that is not named is explained."""
        for asset, lock in tuple(self._locks.items()):
            if asset in amounts:
                continue
            lock.amount = ZERO
            if lock.is_over(lock.pause_ns, now_ns):
                del self._locks[asset]
        for asset, amount in amounts.items():
            lock = self._locks.setdefault(asset, _Lock())
            if lock.amount <= 0:
                lock.amount, lock.since_ns = amount, now_ns
            else:
                lock.amount = amount if lock.is_confirmed else min(lock.amount, amount)
            lock.seen_ns = now_ns

    def amounts(self) -> dict[str, Decimal]:
        """Return what was unexplained at the last look, by asset."""
        return {asset: lock.amount for asset, lock in self._locks.items() if lock.amount > 0}

    def is_look_wanted(self, now_ns: int) -> bool:
        """Tell whether a second look should confirm a first one, before its minute."""
        return any(
            lock.amount > 0
            and not lock.is_confirmed
            and lock.is_over(PAUSE_MIN_NS, now_ns)
            and now_ns - lock.seen_ns >= CONFIRM_NS
            for lock in self._locks.values()
        )

    def wanted(self, now_ns: int) -> frozenset[str]:
        """Return the assets to search for now."""
        return frozenset(asset for asset, lock in self._locks.items() if lock.is_due(now_ns))

    def on_searched(self, assets: Iterable[str], is_found: bool, now_ns: int) -> None:
        """Note the end of a search for some assets, and whether it found open orders that nobody knew of."""
        for asset in assets:
            lock = self._locks.get(asset)
            if lock is None:
                continue
            if is_found:
                lock.pause_ns, lock.left = PAUSE_MIN_NS, ZERO
            else:
                # The first search is followed by a minute's pause, and each vain one doubles it.
                lock.pause_ns = PAUSE_MIN_NS if lock.ended_ns is None else min(2 * lock.pause_ns, PAUSE_MAX_NS)
                lock.left = max(lock.left, lock.amount)
            lock.ended_ns = now_ns
