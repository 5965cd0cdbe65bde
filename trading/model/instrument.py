"""The instrument: what one tick and one lot of a symbol mean; prices and quantities are rounded only here.

May import `trading.model` and the standard library. A price is `price_ticks * tick_size`, a quantity is
`qty_lots * lot_size`; the integers mean nothing without their instrument.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, NamedTuple

from trading.model.errors import ConfigError
from trading.model.units import plain

MAGNITUDE_MAX: Final = 40
"""The largest power of ten of an amount or a step, and of its inverse: beyond it is nobody's money, and integers of a
million digits."""


NOT_LISTED: Final = "the venue does not list it"


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise ConfigError(f"expected a finite step, was {step}")
    return max(0, -exponent)


def _scaled(text: str, decimals: int) -> int:
    """Read a plain decimal string as an integer of 10^-decimals.

    Raises: ValueError when it has more (non-zero) decimals, or is anything but digits: an absent text is not 0.
    """
    head, _, tail = text.partition(".")
    digits = head + tail
    if not (digits.isdecimal() and head and text.isascii()):
        raise ValueError(f"expected a decimal number, was {text!r}")
    missing = decimals - len(tail)
    if missing < 0:
        if digits[missing:].strip("0"):
            raise ValueError(f"expected at most {decimals} decimals, was {text!r}")
        digits = digits[:missing]
    return int(digits + "0" * missing) if missing > 0 else int(digits)


class Grid(NamedTuple):
    """A step as integers: a number's digits, counted in 10^-decimals, are a multiple of `unit`, or off the grid."""

    decimals: int
    unit: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable pair. Invariant: tick_size, lot_size > 0, every amount finite and in the asset its name says.

    Raises: ConfigError for steps and amounts that are none.

    Attributes:
        symbol: the venue's name, e.g. "BTCUSDT"; any Unicode, never validated by a pattern.
        tick_size, lot_size: price and quantity steps, in quote and base units.
        min_qty: smallest order quantity in base units; 0 when the venue names none.
        min_notional, max_notional: order value bounds in quote units; max 0 means unbounded.
        maker_fee_rate, taker_fee_rate: fractions of the order value (0.0005 = 5 bps) at the account's real rates.
        exclusion: None when tradable, else why it is not ("offline", "missing minimum notional", ...).
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_qty: Decimal
    min_notional: Decimal
    max_notional: Decimal
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    exclusion: str | None = None
    _price_decimals: int = field(init=False, repr=False, compare=False)
    _qty_decimals: int = field(init=False, repr=False, compare=False)
    _price_unit: int = field(init=False, repr=False, compare=False)
    _qty_unit: int = field(init=False, repr=False, compare=False)
    _min_units: int = field(init=False, repr=False, compare=False)
    _max_units: int | None = field(init=False, repr=False, compare=False)
    _min_qty_lots: int = field(init=False, repr=False, compare=False)
    _unit_value: Decimal = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for amount in (self.tick_size, self.lot_size, self.min_qty, self.min_notional, self.max_notional):
            if not amount.is_finite() or abs(amount.adjusted()) > MAGNITUDE_MAX:
                raise ConfigError(f"{self.symbol}: expected an amount within 1E{MAGNITUDE_MAX}, was {amount}")
        if self.tick_size <= 0 or self.lot_size <= 0:
            raise ConfigError(f"{self.symbol}: expected positive steps, was tick {self.tick_size}, lot {self.lot_size}")
        price_decimals, qty_decimals = _decimals(self.tick_size), _decimals(self.lot_size)
        object.__setattr__(self, "_price_decimals", price_decimals)
        object.__setattr__(self, "_qty_decimals", qty_decimals)
        object.__setattr__(self, "_price_unit", int(self.tick_size.scaleb(price_decimals)))
        object.__setattr__(self, "_qty_unit", int(self.lot_size.scaleb(qty_decimals)))
        object.__setattr__(self, "_min_units", self.units_of(self.min_notional))
        most = _whole(self.max_notional, self.tick_size * self.lot_size, ROUND_FLOOR) if self.max_notional else None
        object.__setattr__(self, "_max_units", most)
        object.__setattr__(self, "_min_qty_lots", self.qty_lots_ceil(self.min_qty))
        object.__setattr__(self, "_unit_value", self.tick_size * self.lot_size)

    @property
    def is_listed(self) -> bool:
        """False for one that `unlisted` gave."""
        return self.exclusion != NOT_LISTED

    def unlisted(self) -> Instrument:
        """Return what it was before the venue took it from its list: orders and positions of it have to be ended."""
        return replace(self, exclusion=NOT_LISTED)

    @property
    def filters(self) -> str:
        """What orders and books of it are made by, as one text: two instruments of a symbol agree when these do."""
        bounds = (self.min_qty, self.min_notional, self.max_notional)
        steps = f"tick {plain(self.tick_size)}, lot {plain(self.lot_size)}"
        return f"{steps}, quantity from {plain(bounds[0])}, value {plain(bounds[1])} to {plain(bounds[2])}"

    @property
    def price_grid(self) -> Grid:
        """The tick, for who reads prices by the column; `price_ticks` reads one."""
        return Grid(self._price_decimals, self._price_unit)

    @property
    def qty_grid(self) -> Grid:
        """The lot, as `price_grid`."""
        return Grid(self._qty_decimals, self._qty_unit)

    def price_ticks(self, text: str) -> int:
        """Read a venue's decimal string as ticks, exactly.

        Raises: ValueError when it is no number, negative, or off the tick grid.
        """
        scaled = _scaled(text, self._price_decimals)
        return scaled if self._price_unit == 1 else _on_grid(scaled, self._price_unit, text)

    def qty_lots(self, text: str) -> int:
        """Read a venue's decimal string as lots, exactly. Raises: ValueError as `price_ticks`."""
        scaled = _scaled(text, self._qty_decimals)
        return scaled if self._qty_unit == 1 else _on_grid(scaled, self._qty_unit, text)

    def price(self, price_ticks: int) -> Decimal:
        """Return the price in quote units."""
        return price_ticks * self.tick_size

    def qty(self, qty_lots: int) -> Decimal:
        """Return the quantity in base units."""
        return qty_lots * self.lot_size

    def price_text(self, price_ticks: int) -> str:
        """Render a price padded to the tick's decimals, as the venue's REST does."""
        return format(self.price(price_ticks), f".{self._price_decimals}f")

    def qty_text(self, qty_lots: int) -> str:
        """Render a quantity padded to the lot's decimals."""
        return format(self.qty(qty_lots), f".{self._qty_decimals}f")

    def price_ticks_floor(self, price: Decimal) -> int:
        """Round a price down to the tick grid (towards a cheaper buy). Raises: ConfigError when it is no amount."""
        return _whole(price, self.tick_size, ROUND_FLOOR)

    def price_ticks_ceil(self, price: Decimal) -> int:
        """Round a price up to the tick grid (towards a dearer sell). Raises: ConfigError when it is no amount."""
        return _whole(price, self.tick_size, ROUND_CEILING)

    def qty_lots_floor(self, qty: Decimal) -> int:
        """Round a quantity down to whole lots. Raises: ConfigError when it is no amount."""
        return _whole(qty, self.lot_size, ROUND_FLOOR)

    def qty_lots_ceil(self, qty: Decimal) -> int:
        """Round a quantity up to whole lots. Raises: ConfigError when it is no amount."""
        return _whole(qty, self.lot_size, ROUND_CEILING)

    def notional(self, price_ticks: int, qty_lots: int) -> Decimal:
        """Return price x quantity in quote units, exactly."""
        return price_ticks * qty_lots * self._unit_value

    def min_lots(self, price_ticks: int) -> int:
        """Return the fewest lots an order at this price may have (minimum quantity and minimum value), rounded up."""
        least = self._min_qty_lots if self._min_qty_lots > 1 else 1
        if price_ticks > 0:
            by_value = -(-self._min_units // price_ticks)
            return by_value if by_value > least else least
        return least

    def part_lots(self, price_ticks: int, lots: int) -> int:
        """Return how many of `lots` one order at this price may have: all, or a part that the venue takes.

        Guarantees: a part is at most `max_notional`, and leaves a rest that can be an order of its own, where the
        instrument's bounds allow both.
        """
        if self._max_units is None or price_ticks * lots <= self._max_units:
            return lots
        least = self.min_lots(price_ticks)
        return max(least, min(self._max_units // price_ticks, lots - least))

    def units_of(self, value: Decimal) -> int:
        """Return a value in quote units as ticks x lots, rounded up: what `lots_worth` divides, worth keeping.

        Raises: ConfigError when it is no amount.
        """
        return _whole(value, self.tick_size * self.lot_size, ROUND_CEILING)

    def lots_worth(self, units: int, price_ticks: int) -> int:
        """Return the fewest lots whose value at this price is at least `units`, in integers only."""
        return -(-units // price_ticks)


def _whole(amount: Decimal, step: Decimal, rounding: str) -> int:
    try:
        return int((amount / step).to_integral_value(rounding))
    except (ArithmeticError, ValueError):
        raise ConfigError(f"expected an amount, was {amount}")


def _on_grid(scaled: int, unit: int, text: str) -> int:
    quotient, remainder = divmod(scaled, unit)
    if remainder or scaled < 0:
        raise ValueError(f"expected a non-negative multiple of the step, was {text!r}")
    return quotient
