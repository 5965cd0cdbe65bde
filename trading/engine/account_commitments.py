"""What open orders commit: reserved balances, exposure still to come, counts. Imports `trading.model`, `engine.ports`.

Kept incrementally, so that a decision costs the same with one open order or five hundred. An order commits from when it
is known here until it is terminal; what has filled has moved to the position and is not committed any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.message import Message
from trading.model.orders import OrderStatus, Purpose
from trading.model.units import ONE, ZERO

# The venue cannot show these in its locked balance yet (or it is not known whether it does).
UNSEEN = frozenset({OrderStatus.PENDING, OrderStatus.SENT, OrderStatus.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Commitment(Message):
    """One order's claim. `notional` is price x open quantity; `reserve` is in `asset`, with the taker fee for buys."""

    client_order_id: str
    side: Side
    purpose: Purpose
    price_ticks: int
    open_lots: int
    notional: Decimal
    asset: str
    reserve: Decimal
    is_unseen: bool
    is_unknown: bool

    def is_of(self, order: OrderRecord) -> bool:
        """Tell whether an order still claims as much as this."""
        return self.open_lots == order.qty_lots - order.filled_lots and self.price_ticks == order.price_ticks


@dataclass(slots=True)
class _SymbolSums:
    buy_notional: Decimal = ZERO
    sell_lots: int = 0
    buys: dict[str, Commitment] = field(default_factory=dict)
    sells: dict[str, Commitment] = field(default_factory=dict)

    def of_side(self, side: Side) -> dict[str, Commitment]:
        return self.buys if side is Side.BUY else self.sells


class Commitments:
    """The claims of all open orders of one account. Owned by `Account`."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = instruments
        self._symbols: dict[str, _SymbolSums] = {}
        self._reserved: dict[str, Decimal] = {}
        self._unseen: dict[str, Decimal] = {}
        self._count = 0
        self.buy_notional = ZERO

    def put(self, order: OrderRecord) -> None:
        """Take an order's current state in place of the former one; a terminal order releases everything."""
        sums = self._symbols.get(order.symbol)
        if sums is None:
            sums = self._symbols[order.symbol] = _SymbolSums()
        orders = sums.of_side(order.side)
        former = orders.get(order.client_order_id)
        if former is not None and not order.status.is_terminal and former.is_of(order):
            self._restate(orders, former, order.status)
            return
        if former is not None:
            del orders[order.client_order_id]
            self._apply(sums, former, -1)
        if not order.status.is_terminal:
            commitment = self._commitment(order)
            orders[order.client_order_id] = commitment
            self._apply(sums, commitment, 1)

    def _restate(self, orders: dict[str, Commitment], former: Commitment, status: OrderStatus) -> None:
        """Only the status moved: the sums stay, but for what the venue's locked balance can show."""
        is_unseen, is_unknown = status in UNSEEN, status is OrderStatus.UNKNOWN
        if (is_unseen, is_unknown) == (former.is_unseen, former.is_unknown):
            return
        if is_unseen is not former.is_unseen:
            change = former.reserve if is_unseen else -former.reserve
            self._unseen[former.asset] = self._unseen.get(former.asset, ZERO) + change
        orders[former.client_order_id] = former.changed(is_unseen=is_unseen, is_unknown=is_unknown)

    def of_side(self, symbol: str, side: Side) -> Iterator[Commitment]:
        """Iterate over the open claims of one side of one symbol."""
        sums = self._symbols.get(symbol)
        return iter(()) if sums is None else iter(sums.of_side(side).values())

    def count(self, symbol: str | None = None) -> int:
        """Count open orders, of one symbol or of all."""
        if symbol is None:
            return self._count
        sums = self._symbols.get(symbol)
        return len(sums.buys) + len(sums.sells) if sums is not None else 0

    def open_buy_notional(self, symbol: str) -> Decimal:
        """Return the quote value of a symbol's open buys."""
        sums = self._symbols.get(symbol)
        return sums.buy_notional if sums is not None else ZERO

    def open_sell_lots(self, symbol: str) -> int:
        """Return the lots of a symbol's open sells."""
        sums = self._symbols.get(symbol)
        return sums.sell_lots if sums is not None else 0

    def reserved(self, asset: str) -> Decimal:
        """Return what open orders reserve of an asset."""
        return self._reserved.get(asset, ZERO)

    def reserved_unseen(self, asset: str) -> Decimal:
        """Return the part reserved by orders that the venue's locked balance cannot show yet."""
        return self._unseen.get(asset, ZERO)

    def _commitment(self, order: OrderRecord) -> Commitment:
        instrument = self._instruments[order.symbol]
        open_lots = max(0, order.qty_lots - order.filled_lots)
        notional = instrument.notional(order.price_ticks, open_lots)
        is_buy = order.side is Side.BUY
        return Commitment(
            client_order_id=order.client_order_id,
            side=order.side,
            purpose=order.purpose,
            price_ticks=order.price_ticks,
            open_lots=open_lots,
            notional=notional,
            asset=instrument.quote if is_buy else instrument.base,
            reserve=buy_reserve(notional, instrument) if is_buy else instrument.qty(open_lots),
            is_unseen=order.status in UNSEEN,
            is_unknown=order.status is OrderStatus.UNKNOWN,
        )

    def _apply(self, sums: _SymbolSums, item: Commitment, sign: int) -> None:
        self._count += sign
        if item.side is Side.BUY:
            sums.buy_notional += item.notional * sign
            self.buy_notional += item.notional * sign
        else:
            sums.sell_lots += item.open_lots * sign
        self._reserved[item.asset] = self._reserved.get(item.asset, ZERO) + item.reserve * sign
        if item.is_unseen:
            self._unseen[item.asset] = self._unseen.get(item.asset, ZERO) + item.reserve * sign


def buy_reserve(notional: Decimal, instrument: Instrument) -> Decimal:
    """Return the quote units a buy needs: its value and the dearer of the two fees."""
    return notional * (ONE + max(instrument.maker_fee_rate, instrument.taker_fee_rate))
