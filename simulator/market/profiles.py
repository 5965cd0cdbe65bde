"""Profiles of generated pairs: names, prices, liquidity classes. Pure.

The classes run from BTC-like (1.5 bps wide, many trades) to thin (50 bps, a trade every ten seconds). The figures are
chosen so that makers who quote like the market's own live on the spread but pay for being late; they claim no
likeness to a particular coin. Books of all classes change about ten times a second: thin pairs are quoted by machines
too, they are only seldom traded.
"""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from simulator.exchange.amounts import ONE
from simulator.exchange.listings import Listing


@dataclass(frozen=True, slots=True)
class Liquidity:
    """How a class of pairs trades, in calm weather.

    Attributes:
        half_spread_bps: half of the quoted spread that the market's makers aim at.
        noise_rate: trades a second of takers who know nothing.
        quote_rate: re-quotes a second; depth_rate: changes a second behind the best prices.
        touch_value: usual value of the quantity at a best price, in quote units.
        levels: orders a side that the market keeps.
        sigma_ratio: volatility of the fair value over one second, in half spreads.
    """

    half_spread_bps: float
    noise_rate: float
    quote_rate: float
    depth_rate: float
    touch_value: float
    levels: int
    sigma_ratio: float = 0.28


DEEP = Liquidity(0.75, 3.0, 12.0, 24.0, 6_000.0, 60)
LARGE = Liquidity(1.9, 2.4, 12.0, 24.0, 3_000.0, 55)
MIDDLE = Liquidity(3.2, 2.0, 11.0, 22.0, 1_500.0, 50)
BROAD = Liquidity(4.8, 1.8, 10.0, 22.0, 900.0, 45)
WIDE = Liquidity(7.0, 1.6, 10.0, 22.0, 600.0, 45)
SMALL = Liquidity(10.0, 0.5, 6.0, 24.0, 400.0, 30)
THIN = Liquidity(16.0, 0.25, 5.0, 24.0, 250.0, 25)
REMOTE = Liquidity(27.0, 0.1, 4.0, 24.0, 150.0, 20)


@dataclass(frozen=True, slots=True)
class Profile:
    """A pair to be listed: its listing, first price in ticks, and liquidity."""

    listing: Listing
    first_price_ticks: int
    liquidity: Liquidity


# (base, full name, price, price decimals, quantity decimals, class)
_Row = tuple[str, str, str, int, int, Liquidity]
_KNOWN: tuple[_Row, ...] = (
    ("BTC", "Bitcoin", "64250.00", 2, 6, DEEP),
    ("ETH", "Ethereum", "3120.00", 2, 5, LARGE),
    ("SOL", "Solana", "148.50", 3, 3, MIDDLE),
    ("XRP", "XRP", "0.61250", 5, 1, BROAD),
    ("DOGE", "Dogecoin", "0.142500", 6, 0, WIDE),
    ("BNB", "BNB", "585.00", 2, 4, LARGE),
    ("ADA", "Cardano", "0.45300", 5, 1, BROAD),
    ("AVAX", "Avalanche", "27.450", 3, 2, MIDDLE),
    ("LINK", "Chainlink", "13.820", 3, 2, MIDDLE),
    ("LTC", "Litecoin", "71.300", 3, 3, MIDDLE),
    ("TRX", "TRON", "0.136200", 6, 0, BROAD),
    ("DOT", "Polkadot", "5.8200", 4, 2, BROAD),
    ("SHIB", "Shiba Inu", "0.0000182000", 10, 0, WIDE),
    ("NEAR", "NEAR Protocol", "4.6300", 4, 2, WIDE),
    ("SUI", "Sui", "1.2340", 5, 1, WIDE),
    ("APT", "Aptos", "7.8500", 4, 2, WIDE),
    ("ARB", "Arbitrum", "0.72400", 5, 1, SMALL),
    ("OP", "Optimism", "1.6300", 4, 1, SMALL),
    ("INJ", "Injective", "21.500", 3, 2, SMALL),
    ("ATOM", "Cosmos", "5.6100", 4, 2, SMALL),
    ("FIL", "Filecoin", "4.1200", 4, 2, SMALL),
    ("TIA", "Celestia", "5.9400", 4, 2, THIN),
    ("SEI", "Sei", "0.34100", 5, 1, THIN),
    ("KAS", "Kaspa", "0.167800", 6, 0, THIN),
    ("FET", "Fetch", "1.1230", 5, 1, THIN),
    ("GALA", "Gala", "0.0214500", 7, 0, REMOTE),
    ("PEPE", "Pepe", "0.00001084000", 11, 0, THIN),
    ("JASMY", "JasmyCoin", "0.0221400", 7, 0, REMOTE),
    ("ROSE", "Oasis", "0.0784000", 7, 0, REMOTE),
    ("MX", "MX Token", "3.4500", 4, 2, SMALL),
)
_CLASSES = (LARGE, MIDDLE, BROAD, WIDE, SMALL, THIN, REMOTE)
QUOTE = "USDT"
ODD_SYMBOLS = ("龙虾USDT", "GOLD(PAXG)USDT")
"""Names as the venue has them (mexc-protocol §1.1) that no pattern of letters and digits would let pass."""


def default_symbols(count: int) -> tuple[str, ...]:
    """Return the names of the first `count` generated pairs: the known ones but MX, then SIM030USDT and so on."""
    known = [base + QUOTE for base, *_ in _KNOWN if base != "MX"]
    return tuple((known + [f"SIM{number:03d}{QUOTE}" for number in range(len(known) + 1, count + 1)])[:count])


def _derived(base: str) -> _Row:
    draw = Random(f"profile:{base}")
    price_decimals = draw.choice((3, 4, 5))
    price = f"{10 ** draw.uniform(0.3, 1.6):.{price_decimals}f}"
    return base, base, price, price_decimals, draw.choice((0, 1, 2)), draw.choice(_CLASSES)


def profile_of(symbol: str, maker_fee_e8: int, taker_fee_e8: int) -> Profile:
    """Return the profile of a symbol that ends in USDT: a known one, or one derived from its name.

    Raises: ValueError when the symbol does not name a USDT pair.
    """
    base = symbol.removesuffix(QUOTE)
    if base == symbol or not base or symbol != symbol.upper() or any(c.isspace() or c in ",@&=" for c in symbol):
        raise ValueError(f"symbols of the simulator end in {QUOTE} and are upper case, e.g. BTC{QUOTE}; was {symbol!r}")
    known = next((row for row in _KNOWN if row[0] == base), None)
    _, full_name, price, price_decimals, qty_decimals, liquidity = known or _derived(base)
    listing = Listing(
        symbol=symbol,
        base=base,
        quote=QUOTE,
        full_name=full_name,
        price_decimals=price_decimals,
        qty_decimals=qty_decimals,
        min_notional=ONE,
        maker_fee_e8=maker_fee_e8,
        taker_fee_e8=taker_fee_e8,
    )
    return Profile(listing, int(Decimal(price).scaleb(price_decimals)), liquidity)
