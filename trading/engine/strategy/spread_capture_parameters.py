"""The parameters of `spread_capture`: unit, range, default and reason of each. May import `trading.engine`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading.engine.edge import HORIZON_CHOICES
from trading.engine.parameters import check_order, parameter
from trading.engine.strategy.schedule import check_window


@dataclass(frozen=True, slots=True)
class SpreadCaptureParameters:
    """Defaults trade where the spread pays for fees and adverse selection, and nowhere else.

    Distances in bps are of the average entry price, and are marked at the bid, where one would have to sell.
    """

    # --- entry ---
    order_quote: Decimal = parameter(Decimal(25), "quote", "value of one entry; small enough to learn with", 0, 10**9)
    min_edge_bps: float = parameter(
        0.5, "bps", "net expected edge an entry needs, after fees and markouts", -1000, 1000
    )
    edge_hysteresis_bps: float = parameter(
        0.3, "bps", "a resting entry stays until the edge is this far below the floor; saves cancels", 0, 100
    )
    entry_improve_ticks: int = parameter(
        1, "ticks", "how far inside the bid to quote where the spread has room and the edge allows", 0, 1000
    )
    min_spread_bps: float = parameter(1.5, "bps", "tighter markets cannot pay for one taker exit in four", 0, 1000)
    max_spread_bps: float = parameter(90.0, "bps", "wider ones have lost their market maker", 0, 10_000)
    min_imbalance: float = parameter(
        0.15, "ratio", "bid size / (bid + ask size) at the best; below it the bid is about to give way", 0, 1
    )
    max_imbalance: float = parameter(1.0, "ratio", "above it the market runs away; 1 switches it off", 0, 1)
    depth_bps: float = parameter(50.0, "bps", "how deep `min_depth_quote` looks below the bid", 0, 1000)
    min_depth_quote: Decimal = parameter(
        Decimal(100), "quote", "bids within `depth_bps` that a forced exit could sell to", 0, 10**9
    )
    max_volatility_bps: float = parameter(
        30.0, "bps", "standard deviation of the mid over 1 s; above it stay out", 0, 1000
    )
    min_trades_per_minute: float = parameter(1.0, "1/min", "a passive order needs somebody to trade with", 0, 10_000)
    warmup_s: float = parameter(2.0, "s", "time a book must have been watched before the first entry", 0, 3600)
    window_start_min: int = parameter(0, "min", "start of the trading window, minutes after 00:00 UTC", 0, 1440)
    window_end_min: int = parameter(1440, "min", "end of the window; before the start it spans midnight", 0, 1440)
    entry_linger_s: float = parameter(1.5, "s", "how long the rest of a partly filled entry may still fill", 0, 60)
    # --- exit ---
    take_profit_bps: float = parameter(1.0, "bps", "what the passive exit asks above cost and fees at first", 0, 1000)
    exit_improve_ticks: int = parameter(
        1, "ticks", "how far inside the ask the passive exit quotes if there is room", 0, 1000
    )
    patience_s: float = parameter(6.0, "s", "after it the passive exit goes to the ask, whatever that earns", 0, 3600)
    min_hold_ms: int = parameter(600, "ms", "no trailing, stop or timeout before; spares fills that flicker", 0, 60_000)
    stop_loss_bps: float = parameter(8.0, "bps", "loss at the bid that ends the passive exit by a taker", 0, 1000)
    stop_loss_spreads: float = parameter(1.0, "spreads", "the stop is at least so many normal spreads away", 0, 100)
    hard_stop_bps: float = parameter(25.0, "bps", "loss at the bid at which to leave at any time", 0, 5000)
    hard_stop_spreads: float = parameter(
        2.5, "spreads", "the hard stop is at least so many normal spreads away", 0, 100
    )
    trailing_start_bps: float = parameter(12.0, "bps", "gain at the bid that arms the trailing exit", 0, 1000)
    trailing_gap_bps: float = parameter(5.0, "bps", "fall from the best bid since entry that fires it", 0, 1000)
    timeout_s: float = parameter(45.0, "s", "a position older than this is sold to the bid", 0, 86_400)
    taker_bound_bps: float = parameter(20.0, "bps", "how far below the bid a taker exit may sell", 0, 1000)
    gone_spread_bps: float = parameter(30.0, "bps", "the market maker is gone above this spread and ...", 0, 10_000)
    gone_spread_ratio: float = parameter(5.0, "ratio", "... above so many times the normal spread", 1, 1000)
    # --- pace ---
    requote_min_age_ms: int = parameter(
        1500,
        "ms",
        "least age of an order before it is moved; a move costs two of the account's 10 operations/s",
        0,
        600_000,
    )
    requote_min_ticks: int = parameter(1, "ticks", "least distance worth a move", 1, 1_000_000)
    requote_min_bps: float = parameter(0.5, "bps", "least distance worth a move on fine ticks", 0, 1000)
    entry_max_age_s: float = parameter(30.0, "s", "an entry older than this is renewed; 0 never", 0, 86_400)
    cooldown_s: float = parameter(1.0, "s", "pause after a round trip", 0, 86_400)
    loss_cooldown_s: float = parameter(15.0, "s", "pause after a round trip that lost", 0, 86_400)
    loss_streak: int = parameter(5, "count", "losses in a row that start the long pause; 0 switches it off", 0, 1000)
    streak_pause_s: float = parameter(300.0, "s", "the long pause", 0, 86_400)
    # --- what the edge assumes ---
    adverse_horizon: str = parameter(
        "10", "", "markout horizon in s that counts, or the worst of the three", choices=HORIZON_CHOICES
    )
    adverse_prior_spreads: float = parameter(
        0.25, "spreads", "adverse selection assumed before there is evidence, as a share of the quoted spread", 0, 10
    )
    adverse_prior_weight: float = parameter(20.0, "samples", "how many samples that assumption is worth", 0, 10_000)
    maker_exit_prior: float = parameter(
        0.8,
        "ratio",
        "least share of passive exits assumed at first; more where volatility hardly reaches the stop",
        0,
        1,
    )
    maker_exit_weight: float = parameter(10.0, "exits", "how many exits that assumption is worth", 0, 10_000)

    def __post_init__(self) -> None:
        """Refuse values that leave nothing to trade. Raises: ConfigError."""
        check_order(self, "min_imbalance", "max_imbalance")
        check_order(self, "min_spread_bps", "max_spread_bps")
        check_window(self.window_start_min, self.window_end_min)
