"""Settings of one simulator process, parsed and checked once. May import simulator's pure parts."""

from dataclasses import dataclass, field
from pathlib import Path

from simulator.exchange.amounts import ONE
from simulator.exchange.rules import ExchangeRules
from simulator.wire.limits import LimitMode

MAKER_FEE_E8, TAKER_FEE_E8 = 0, 50_000

# Fixed and public: they open nothing but a simulator.
DEFAULT_KEY = "mx0simulator"
DEFAULT_SECRET = "simulator-only-secret-of-no-value"
DEFAULT_COUNT = 5


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key and secret of one account."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """What a simulator is started with.

    Attributes:
        port: TCP port, 0 for any free one. host: an address of this machine.
        symbols: the listed pairs, in order.
        seed: of the generated market; the same seed gives the same market.
        replay: a recording to play instead of generating; speed: its factor to real time.
        time_scale: divides the 30 s, 60 s, 60 min and 24 h rules.
        limits: which rate limits hold.
        accounts: at least one.
        quote_deposit: what each account starts with, in quote units; base_deposit: worth of each base asset, in quote.
        maker_fee_e8, taker_fee_e8: fee rates in 10^-8; None: the recording's own, or MEXC's standard 0 and 5 bps.
        max_market_notional: of replayed pairs, as an amount.
    """

    port: int = 0
    host: str = "127.0.0.1"
    symbols: tuple[str, ...] = ()
    seed: int = 1
    replay: Path | None = None
    speed: float = 1.0
    time_scale: float = 1.0
    is_json: bool = False
    limits: LimitMode = LimitMode.EFFECTIVE
    accounts: tuple[Credentials, ...] = (Credentials(DEFAULT_KEY, DEFAULT_SECRET),)
    quote_deposit: int = 100_000 * ONE
    base_deposit: int = 10_000 * ONE
    maker_fee_e8: int | None = None
    taker_fee_e8: int | None = None
    max_market_notional: int = 100_000 * ONE
    rules: ExchangeRules = field(default_factory=ExchangeRules)

    @property
    def maker_fee(self) -> int:
        """The maker rate of a generated pair, in 10^-8."""
        return MAKER_FEE_E8 if self.maker_fee_e8 is None else self.maker_fee_e8

    @property
    def taker_fee(self) -> int:
        """The taker rate of a generated pair, in 10^-8."""
        return TAKER_FEE_E8 if self.taker_fee_e8 is None else self.taker_fee_e8
