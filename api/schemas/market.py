"""The market: candles, and what the scanner found. Imports pydantic only."""

from __future__ import annotations

from pydantic import Field

from api.schemas.base import Answer, DecimalText, Page


class CandleItem(Answer):
    """Prices and volumes of one interval, [open_ns, close_ns). `volume` is in base units, `quote_volume` in quote."""

    open_ns: int
    close_ns: int
    open: DecimalText
    high: DecimalText
    low: DecimalText
    close: DecimalText
    volume: DecimalText
    quote_volume: DecimalText
    is_closed: bool


class ScanRow(Answer):
    """One symbol as scanned; estimates are numbers, in bps of the mid.

    `net_edge_bps` = captured - fees - adverse - rounding, of an entry and a passive exit at the touch, by the
    strategy's own formula (docs/edge.md). `stage` 1: judged by its 24 h ticker only; 2: by book, trades and candles
    too. `is_fit`: whether `up --top` may choose it; `reason` says why not. `samples`: evidence behind `adverse_bps`.
    """

    rank: int
    symbol: str
    stage: int
    is_fit: bool
    reason: str
    tier: str
    net_edge_bps: float
    spread_bps: float
    captured_bps: float
    fees_bps: float
    adverse_bps: float
    rounding_bps: float
    samples: float
    maker_fee_rate: DecimalText
    taker_fee_rate: DecimalText
    bid: DecimalText
    ask: DecimalText
    last_price: DecimalText | None
    volume_quote: DecimalText
    change_ratio: DecimalText | None
    trades_per_min: float | None = None
    bid_depth_quote: DecimalText | None = None
    ask_depth_quote: DecimalText | None = None
    imbalance: float | None = None
    volatility_bps: float | None = None


class ScanPage(Page[ScanRow]):
    """The scanner's list, best first. `is_complete` is false while the second look is under way: ask again.

    `listed`: symbols of the venue; `excluded`: how many of them were left out at the first look, by reason.
    """

    scanned_ns: int
    is_complete: bool
    listed: int
    excluded: dict[str, int] = Field(default_factory=dict)
