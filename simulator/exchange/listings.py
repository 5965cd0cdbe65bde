"""A listing: what one tick and one lot of a pair mean, its limits and its fees. Pure."""

from dataclasses import dataclass, field

from simulator.exchange.amounts import AMOUNT_DECIMALS, ONE, RATE_ONE, padded, trimmed


@dataclass(frozen=True, slots=True)
class Listing:
    """One pair of the exchange. Invariant: tick = 10^-price_decimals, lot = 10^-qty_decimals, their sum at most 18.

    Attributes:
        min_lots: least quantity of an order; 0 when there is none but one lot.
        min_notional, max_notional: bounds of an order's value, as amounts of the quote asset.
        max_market_notional: the upper bound for MARKET orders.
        maker_fee_e8, taker_fee_e8: default fee rates in units of 10^-8 of the value (50_000 = 5 bps).
        status: "1" online, "2" paused, "3" offline. trade_side_type: 1 both, 2 buy only, 3 sell only, 4 closed.
        is_api_allowed: orders by API are taken (else 10007); takes_market_orders: MARKET orders too (else 30019).
    """

    symbol: str
    base: str
    quote: str
    full_name: str
    price_decimals: int
    qty_decimals: int
    min_lots: int = 0
    min_notional: int = ONE
    max_notional: int = 4_000_000 * ONE
    max_market_notional: int = 100_000 * ONE
    maker_fee_e8: int = 0
    taker_fee_e8: int = 50_000
    status: str = "1"
    trade_side_type: int = 1
    is_api_allowed: bool = True
    takes_market_orders: bool = True
    _value_unit: int = field(init=False, repr=False)
    _lot_unit: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        spare = AMOUNT_DECIMALS - self.price_decimals - self.qty_decimals
        if spare < 0 or self.price_decimals < 0 or self.qty_decimals < 0:
            raise ValueError(
                f"{self.symbol}: expected 0 to {AMOUNT_DECIMALS} decimals in all,"
                f" was price {self.price_decimals}, quantity {self.qty_decimals}"
            )
        object.__setattr__(self, "_value_unit", int(10**spare))
        object.__setattr__(self, "_lot_unit", 10 ** (AMOUNT_DECIMALS - self.qty_decimals))

    def value(self, ticks_lots: int) -> int:
        """Return the quote amount of a sum of price_ticks x qty_lots, exactly."""
        return ticks_lots * self._value_unit

    def ticks_lots_within(self, value: int) -> int:
        """Return the greatest price_ticks x qty_lots whose value is at most `value`."""
        return value // self._value_unit

    def base_amount(self, qty_lots: int) -> int:
        """Return the base amount of a quantity."""
        return qty_lots * self._lot_unit

    def price_padded(self, price_ticks: int) -> str:
        """Render a price as REST does."""
        return padded(price_ticks, self.price_decimals)

    def price_trimmed(self, price_ticks: int) -> str:
        """Render a price as pushes do."""
        return trimmed(price_ticks, self.price_decimals)

    def qty_padded(self, qty_lots: int) -> str:
        """Render a quantity with all the lot's decimals."""
        return padded(qty_lots, self.qty_decimals)

    def qty_trimmed(self, qty_lots: int) -> str:
        """Render a quantity without trailing zeros."""
        return trimmed(qty_lots, self.qty_decimals)


def fee_amount(value: int, rate_e8: int) -> int:
    """Return rate x value, cut below 10^-18 of the asset."""
    return value * rate_e8 // RATE_ONE
