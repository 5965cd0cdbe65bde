"""Booking of fills: positions at average cost, ledger lines, and the equations that must hold. Imports `trading.model`.

The one place where P&L is made (promise 8). All amounts are exact Decimals; the only division is the average cost taken
out by a sale, and what it takes out of the cost it puts into the realised P&L, so that rounding creates nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from trading.engine.ports import LedgerLine
from trading.model.instrument import Instrument
from trading.model.orders import Fill
from trading.model.position import Position
from trading.model.units import ZERO

# Finer than any quote step in use (satoshi is 1e-8), coarse enough that cost keeps a bounded number of digits.
COST_STEP = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class FeeSplit:
    """A fee as the books need it: what leaves the base quantity, and what it is worth in quote units."""

    base: Decimal
    in_quote: Decimal


def split_fee(fill: Fill, instrument: Instrument) -> FeeSplit:
    """Split a fill's fee: in quote, in base (valued at the fill's price), or in a third asset (at the stored rate).

    A third asset without a conversion rate is worth 0 here: its ledger line still shows it, and no rate is invented.
    """
    if fill.fee_asset == instrument.quote:
        return FeeSplit(ZERO, fill.fee)
    if fill.fee_asset == instrument.base:
        return FeeSplit(fill.fee, fill.fee * instrument.price(fill.price_ticks))
    return FeeSplit(ZERO, fill.fee * (fill.fee_rate_quote or ZERO))


def book_fill(position: Position, fill: Fill, instrument: Instrument) -> tuple[Position, tuple[LedgerLine, ...]]:
    """Book one execution at average cost.

    Args:
        position: of the same symbol, before. fill: not booked before (de-duplication is the caller's).
    Returns: the position after, and the ledger lines (trade in base and quote, and the fee in its asset).
    Guarantees: quote moved = change of (realized_pnl - cost - fees), fees in a third asset aside; base moved = change
    of qty. Selling more than is held opens a negative quantity at the fill's price: the books tell the truth, and
    the caller alerts.
    """
    fee = split_fee(fill, instrument)
    qty = instrument.qty(fill.qty_lots)
    base_change = qty * fill.side.sign - fee.base
    # A base fee is paid with units bought at (or sold from) the fill's price: its worth counts as fee, not as cost.
    traded_value = fill.quote_qty * fill.side.sign - (fee.in_quote if fee.base else ZERO)
    cost, realized = _average_cost(position, base_change, traded_value)
    booked = Position(
        symbol=position.symbol,
        qty=position.qty + base_change,
        cost=cost,
        realized_pnl=position.realized_pnl + realized,
        fees=position.fees + fee.in_quote,
        updated_ns=max(position.updated_ns, fill.recv_ts_ns),
    )
    return booked, ledger_lines(fill, instrument)


def withdraw(position: Position, qty: Decimal, at_ns: int) -> Position:
    """Take base units out of a position that left the account by no order of ours, at their average cost.

    Args: qty: more than 0 and at most what is held. No P&L comes of it: what left was neither bought nor sold by us.
    """
    return replace(
        position,
        qty=position.qty - qty,
        cost=position.cost - (position.cost if qty == position.qty else _share(position.cost, qty, position.qty)),
        updated_ns=max(position.updated_ns, at_ns),
    )


def ledger_lines(fill: Fill, instrument: Instrument) -> tuple[LedgerLine, ...]:
    """List the movements of assets of one fill; a fee of zero leaves no line."""
    reference = f"{fill.client_order_id}/{fill.trade_id}"
    sign, at_ns = fill.side.sign, fill.recv_ts_ns
    base = instrument.qty(fill.qty_lots) * sign
    lines = (
        LedgerLine("trade", fill.symbol, instrument.base, base, at_ns, reference),
        LedgerLine("trade", fill.symbol, instrument.quote, -fill.quote_qty * sign, at_ns, reference),
    )
    if not fill.fee:
        return lines
    return (*lines, LedgerLine("fee", fill.symbol, fill.fee_asset, -fill.fee, at_ns, reference))


def is_trip_over(position: Position, instrument: Instrument, sale_ticks: int, has_open_sale: bool) -> bool:
    """Tell whether a round trip of which something was sold has ended.

    It has when no whole lot is left, or when what is left is below the smallest order at the price of the last sale
    (`sale_ticks`) and no sale of it is open any more: such dust stays at its cost, and goes with the next trip.
    """
    lots = instrument.qty_lots_floor(position.qty)
    return lots <= 0 or (not has_open_sale and lots < instrument.min_lots(sale_ticks))


def _average_cost(position: Position, change: Decimal, value: Decimal) -> tuple[Decimal, Decimal]:
    """Return (cost after, realised P&L) when `change` base units move for `value` quote units (same sign)."""
    held = position.qty
    if held * change >= 0:
        return position.cost + value, ZERO
    if abs(change) <= abs(held):
        share = position.cost if change == -held else _share(position.cost, -change, held)
        return position.cost - share, -value - share
    # Through zero: the held part is closed at its share of the value, the rest opens at what remains of it.
    closing_value = _share(value, held, -change)
    return value - closing_value, -closing_value - position.cost


def _share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    return (amount * part / whole).quantize(COST_STEP, ROUND_HALF_EVEN)


def verify(
    position: Position,
    fills: Iterable[Fill],
    instrument: Instrument,
    opening_qty: Decimal = ZERO,
    adjustments: Decimal = ZERO,
) -> tuple[str, ...]:
    """Check the equations of promise 8 for one symbol against all its fills; an empty answer means that they hold.

    1. qty = opening allocation + sum of fills - fees in base + adjustments
    2. fees = sum of fees in quote units
    3. realized_pnl - cost - (fees charged in quote or base) = quote units moved (holds from a flat start)
    """
    qty, fees, own_fees, quote = opening_qty + adjustments, ZERO, ZERO, ZERO
    for fill in fills:
        fee = split_fee(fill, instrument)
        qty += instrument.qty(fill.qty_lots) * fill.side.sign - fee.base
        fees += fee.in_quote
        if fill.fee_asset in (instrument.base, instrument.quote):
            own_fees += fee.in_quote
        quote -= fill.quote_qty * fill.side.sign
        if fill.fee_asset == instrument.quote:
            quote -= fill.fee
    broken = []
    if qty != position.qty:
        broken.append(f"{position.symbol}: quantity by fills is {qty}, the position says {position.qty}")
    if fees != position.fees:
        broken.append(f"{position.symbol}: fees by fills are {fees}, the position says {position.fees}")
    flow = position.realized_pnl - position.cost - own_fees
    if not opening_qty and not adjustments and flow != quote:
        broken.append(f"{position.symbol}: quote moved by fills is {quote}, the position says {flow}")
    return tuple(broken)


def verify_totals(
    totals: Mapping[str, Decimal],
    openings: Mapping[str, Decimal],
    positions: Iterable[Position],
    instruments: Mapping[str, Instrument],
) -> tuple[str, ...]:
    """Check positions against the sum of all ledger lines: per base asset, total = opening + sum of positions.

    Args: totals: units per asset, of all lines; openings: of opening and adjustment lines. Assets that are the quote of
    some position's symbol are skipped, since they move for other reasons too.
    """
    held: dict[str, Decimal] = {}
    quotes = set()
    for position in positions:
        instrument = instruments[position.symbol]
        held[instrument.base] = held.get(instrument.base, ZERO) + position.qty
        quotes.add(instrument.quote)
    return tuple(
        f"{asset}: the ledger holds {totals.get(asset, ZERO)}, opening and positions make {qty}"
        for asset, qty in sorted((asset, openings.get(asset, ZERO) + qty) for asset, qty in held.items())
        if asset not in quotes and totals.get(asset, ZERO) != qty
    )
