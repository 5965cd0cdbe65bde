"""Which symbols are worth trading: two looks, ranked by the net expected edge of `edge.entry_edge`, after fees.

Pure; may import `trading.model` and `trading.engine`. The first look needs one answer for all symbols (24 h tickers);
the second one depth, trades and candles of a short list. The spread is what the strategy lives on, so it is no vice
here; what speaks against a wide one is in the adverse selection that trades show, and in trades that do not come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import pi, sqrt

from trading.engine.edge import BPS_PER_ONE, EdgeTerms, MarkoutEstimator, RoundTrip, entry_edge, taker_exit_share
from trading.engine.strategy.spread_capture_parameters import SpreadCaptureParameters
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, Candle, Level, MarketTrade, Side, Ticker24h
from trading.model.units import NS_PER_S, plain

TIERS: tuple[tuple[str, Decimal], ...] = (
    ("A", Decimal(10_000_000)),
    ("B", Decimal(1_000_000)),
    ("C", Decimal(100_000)),
    ("D", Decimal(0)),
)
"""Liquidity classes by a day's turnover in quote units, from this on."""

NEAR_BPS = 10.0
"""Depth is counted within so much of the mid."""

_MINUTE_NS = 60 * NS_PER_S

_RANGE_OF_A_SECONDS_VOLATILITY = sqrt(8.0 / pi) * sqrt(60.0)
"""Mean range of a minute of a random walk whose deviation is 1 a second (Feller, "The Asymptotic Distribution of the
Range of Sums of Independent Random Variables", 1951)."""


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What a symbol needs to be fit.

    Attributes:
        quote_asset: only pairs in it. min_volume_quote: least turnover of a day.
        spread_bps_max: beyond it nobody makes a market. trades_per_min_min: fewer, and an entry hardly ever fills.
    """

    quote_asset: str = "USDT"
    min_volume_quote: Decimal = Decimal(0)
    spread_bps_max: float = 100.0
    trades_per_min_min: float = 0.5


@dataclass(frozen=True, slots=True)
class ScanItem:
    """One symbol as scanned. `stage` is 1 (ticker only) or 2; what only the second look tells is None before.

    `is_fit` and `reason`: whether it may be chosen, and why not. `edge` is of an entry and a passive exit at the touch,
    at the listed fees. `trades_per_min`: of the newest trades. `volatility_bps`: mean range of a minute.
    """

    symbol: str
    stage: int
    is_fit: bool
    reason: str
    tier: str
    bid_price: Decimal
    ask_price: Decimal
    last_price: Decimal | None
    volume_quote: Decimal
    change_ratio: Decimal | None
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    edge: EdgeTerms
    trades_per_min: float | None = None
    bid_depth_quote: Decimal | None = None
    ask_depth_quote: Decimal | None = None
    imbalance: float | None = None
    volatility_bps: float | None = None


def first_look(
    instruments: Mapping[str, Instrument], tickers: Sequence[Ticker24h], rules: ScanRules
) -> tuple[tuple[ScanItem, ...], dict[str, int]]:
    """Judge all symbols by their tickers.

    Returns: the fit ones, best first, and how many were left out, by reason.
    """
    found: list[ScanItem] = []
    excluded: dict[str, int] = {}
    by_symbol = {ticker.symbol: ticker for ticker in tickers}
    for symbol, instrument in instruments.items():
        judged = _first(instrument, by_symbol.get(symbol), rules)
        if isinstance(judged, str):
            excluded[judged] = excluded.get(judged, 0) + 1
        else:
            found.append(judged)
    return ranked(found), excluded


def second_look(
    item: ScanItem,
    instrument: Instrument,
    book: BookSnapshot,
    trades: Sequence[MarketTrade],
    candles: Sequence[Candle],
    rules: ScanRules,
    now_ns: int,
) -> ScanItem:
    """Judge one symbol by its book, its newest trades (oldest first) and its minutes."""
    pace = _trades_per_min(trades, now_ns)
    seen = replace(item, stage=2, trades_per_min=pace, volatility_bps=_volatility_bps(candles))
    if not book.bids or not book.asks or book.bids[0][0] >= book.asks[0][0]:
        return replace(seen, is_fit=False, reason="no two-sided book")
    bid, ask = book.bids[0], book.asks[0]
    terms = _edge(instrument, bid[0], ask[0], trades, seen.volatility_bps, pace)
    mid = (bid[0] + ask[0]) / 2.0
    reach = mid * NEAR_BPS / BPS_PER_ONE
    bids = [level for level in book.bids if level[0] >= min(mid - reach, bid[0])]
    asks = [level for level in book.asks if level[0] <= max(mid + reach, ask[0])]
    reason = ""
    if terms.quoted > rules.spread_bps_max:
        reason = f"spread of {terms.quoted:.0f} bps: nobody makes a market"
    elif pace < rules.trades_per_min_min:
        reason = f"only {pace:.2f} trades a minute"
    return replace(
        seen,
        is_fit=not reason,
        reason=reason,
        bid_price=instrument.price(bid[0]),
        ask_price=instrument.price(ask[0]),
        edge=terms,
        bid_depth_quote=_value(instrument, bids),
        ask_depth_quote=_value(instrument, asks),
        imbalance=bid[1] / (bid[1] + ask[1]),
    )


def ranked(items: Sequence[ScanItem]) -> tuple[ScanItem, ...]:
    """Order: what is fit and was looked at twice first, then by net edge, then by turnover."""
    return tuple(
        sorted(items, key=lambda item: (not item.is_fit, -item.stage, -item.edge.net, -item.volume_quote, item.symbol))
    )


def tier_of(volume_quote: Decimal) -> str:
    """Return the liquidity class of a day's turnover."""
    return next(name for name, least in TIERS if volume_quote >= least)


def _first(instrument: Instrument, ticker: Ticker24h | None, rules: ScanRules) -> ScanItem | str:
    if instrument.exclusion is not None:
        return instrument.exclusion
    if instrument.quote != rules.quote_asset:
        return f"not quoted in {rules.quote_asset}"
    if ticker is None or ticker.volume_quote is None:
        return "no turnover known"
    if ticker.volume_quote < rules.min_volume_quote:
        return f"turnover below {plain(rules.min_volume_quote)} {rules.quote_asset} a day"
    if ticker.bid_price is None or ticker.ask_price is None:
        return "no two-sided quote"
    bid, ask = instrument.price_ticks_floor(ticker.bid_price), instrument.price_ticks_ceil(ticker.ask_price)
    if not 0 < bid < ask:
        return "no two-sided quote"
    terms = _edge(instrument, bid, ask, (), None, 0.0)
    if terms.quoted > rules.spread_bps_max:
        return f"spread above {rules.spread_bps_max:g} bps"
    return ScanItem(
        symbol=instrument.symbol,
        stage=1,
        is_fit=True,
        reason="",
        tier=tier_of(ticker.volume_quote),
        bid_price=instrument.price(bid),
        ask_price=instrument.price(ask),
        last_price=ticker.last_price,
        volume_quote=ticker.volume_quote,
        change_ratio=ticker.change_ratio,
        maker_fee_rate=instrument.maker_fee_rate,
        taker_fee_rate=instrument.taker_fee_rate,
        edge=terms,
    )


def _edge(
    instrument: Instrument,
    bid_ticks: int,
    ask_ticks: int,
    trades: Sequence[MarketTrade],
    range_bps: float | None,
    pace: float,
) -> EdgeTerms:
    """Apply the strategy's own formula with its default priors; what the trades show weighs against them.

    Args: range_bps: mean range of a minute; None before candles are known: then the least share of passive exits holds.
    pace: trades a minute.
    """
    priors = SpreadCaptureParameters()
    quoted_bps = (ask_ticks - bid_ticks) * 2.0 / (bid_ticks + ask_ticks) * BPS_PER_ONE
    prior_bps = priors.adverse_prior_spreads * quoted_bps
    learned = _markouts(trades)
    entry, leave = (
        learned.expected(side, priors.adverse_horizon, prior_bps, priors.adverse_prior_weight)
        for side in (Side.BUY, Side.SELL)
    )
    return entry_edge(
        RoundTrip(bid_ticks, ask_ticks, bid_ticks, ask_ticks),
        float(instrument.maker_fee_rate),
        float(instrument.taker_fee_rate),
        1.0 - _taker_share(priors, quoted_bps, range_bps, pace),
        entry.mean_bps,
        leave.mean_bps,
        entry.weight,
    )


def _taker_share(priors: SpreadCaptureParameters, quoted_bps: float, range_bps: float | None, pace: float) -> float:
    """Return the share of taker exits that the strategy would begin with here."""
    most = 1.0 - priors.maker_exit_prior
    if range_bps is None:
        return most
    return taker_exit_share(
        most,
        max(priors.stop_loss_bps, priors.stop_loss_spreads * quoted_bps),
        range_bps / _RANGE_OF_A_SECONDS_VOLATILITY,
        priors.patience_s,
        pace / 120.0,  # half of them buy
        priors.timeout_s,
    )


def _markouts(trades: Sequence[MarketTrade]) -> MarkoutEstimator:
    """Feed trades to the strategy's estimator; between the last buy and the last sale lies the mid, as far as known."""
    estimator = MarkoutEstimator()
    last: dict[Side, int] = {}
    for trade in trades:
        last[trade.taker_side] = trade.price_ticks
        if len(last) < len(Side):
            continue
        mid = sum(last.values()) / len(last)
        estimator.advance(mid, trade.exch_ts_ns)
        estimator.on_market_trade(trade.taker_side, mid, trade.exch_ts_ns)
    return estimator


def _trades_per_min(trades: Sequence[MarketTrade], now_ns: int) -> float:
    if not trades:
        return 0.0
    return len(trades) * _MINUTE_NS / max(_MINUTE_NS, now_ns - trades[0].exch_ts_ns)


def _volatility_bps(candles: Sequence[Candle]) -> float | None:
    ranges = [float((candle.high - candle.low) / candle.close) for candle in candles if candle.close > 0]
    return sum(ranges) / len(ranges) * BPS_PER_ONE if ranges else None


def _value(instrument: Instrument, levels: Sequence[Level]) -> Decimal:
    return sum((instrument.notional(price, qty) for price, qty in levels), Decimal(0))
