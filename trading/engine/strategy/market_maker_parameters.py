"""The parameters of `market_maker`: unit, range, default and reason of each. May import `trading.engine`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading.engine.edge import HORIZON_CHOICES
from trading.engine.parameters import parameter


@dataclass(frozen=True, slots=True)
class MarketMakerParameters:
    """Defaults quote both sides around the touch and keep inventory within a few orders."""

    # --- size and inventory ---
    order_quote: Decimal = parameter(Decimal(20), "quote", "value of one order; small enough to learn with", 0, 10**9)
    max_inventory_quote: Decimal = parameter(
        Decimal(100), "quote", "most inventory, at the mid; at it there is no bid any more", 0, 10**9
    )
    inventory_target: float = parameter(
        0.3, "ratio", "share of the most inventory that is aimed at; on spot an ask needs something held", 0, 1
    )
    # --- quotes ---
    risk_aversion: float = parameter(
        0.1,
        "ratio",
        "gamma / k: how much inventory risk moves and widens the quotes; k makes it free of scale",
        0.001,
        10,
    )
    max_skew_spreads: float = parameter(
        1.0, "spreads", "most that inventory may move the quotes, in usual spreads; bounds a bad estimate", 0, 100
    )
    min_edge_bps: float = parameter(
        0.2, "bps", "what a fill has to earn against the mid after fee and adverse selection", -1000, 1000
    )
    improve_spreads: float = parameter(
        0.1, "spreads", "how far inside the best price of others a quote may go, as a share of the spread", 0, 0.5
    )
    max_depth_spreads: float = parameter(
        5.0, "spreads", "a bid farther from the mid than so many usual spreads is not worth its operations", 0.5, 100
    )
    # --- when not to buy ---
    max_spread_bps: float = parameter(90.0, "bps", "wider markets have lost their market maker", 0, 10_000)
    gone_spread_bps: float = parameter(30.0, "bps", "the others are gone above this spread and ...", 0, 10_000)
    gone_spread_ratio: float = parameter(5.0, "ratio", "... above so many times the usual spread", 1, 1000)
    min_imbalance: float = parameter(
        0.1, "ratio", "bid size / (bid + ask size) at the best; below it the bid is about to give way", 0, 1
    )
    max_volatility_bps: float = parameter(
        30.0, "bps", "standard deviation of the mid over 1 s; above it no bids", 0, 1000
    )
    min_trades_per_minute: float = parameter(1.0, "1/min", "without takers there is nothing to earn", 0, 10_000)
    warmup_s: float = parameter(5.0, "s", "time a book must have been watched before the first bid", 0, 3600)
    # --- when to give up ---
    stop_loss_bps: float = parameter(40.0, "bps", "loss at the bid against cost that ends the inventory", 0, 5000)
    stop_loss_spreads: float = parameter(4.0, "spreads", "the stop is at least so many usual spreads away", 0, 100)
    stop_pause_s: float = parameter(60.0, "s", "no bids for so long after a stop", 0, 86_400)
    taker_bound_bps: float = parameter(20.0, "bps", "how far below the bid a stop may sell", 0, 1000)
    # --- pace ---
    requote_min_age_ms: int = parameter(
        1500,
        "ms",
        "least age of an order before it is moved; a move costs two of the account's 10 operations/s",
        0,
        600_000,
    )
    requote_min_ticks: int = parameter(1, "ticks", "least distance worth a move", 1, 1_000_000)
    requote_min_spreads: float = parameter(0.15, "spreads", "least distance worth a move, in usual spreads", 0, 100)
    stale_spreads: float = parameter(
        0.3,
        "spreads",
        "a quote so much too generous is taken back at once, whatever the budget; 0 switches it off",
        0,
        100,
    )
    order_max_age_s: float = parameter(60.0, "s", "an order older than this is renewed; 0 never", 0, 86_400)
    refill_ratio: float = parameter(
        0.5, "ratio", "a partly filled order is renewed when less than this share of it is left", 0, 1
    )
    # --- what is expected ---
    adverse_horizon: str = parameter(
        "1", "", "markout horizon in s that counts, or the worst of the three", choices=HORIZON_CHOICES
    )
    adverse_prior_spreads: float = parameter(
        0.1, "spreads", "adverse selection assumed before there is evidence, as a share of the usual spread", 0, 10
    )
    adverse_prior_weight: float = parameter(20.0, "samples", "how many samples that assumption is worth", 0, 10_000)
