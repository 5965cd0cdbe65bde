"""Asks the venue what `engine/scanning` judges: all tickers once, then depth, trades and candles of a short list.

May import `trading`; the venue comes in as a port. Every request waits for its turn first, so that a scan never takes
from a fleet what the address' budget has for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol

from trading.adapters.clock import Clock
from trading.engine.scanning import ScanItem, ScanRules, first_look, ranked, second_look
from trading.model.errors import RateLimited, VenueError
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, Candle, MarketTrade, Ticker24h
from trading.model.session import VenueName
from trading.model.units import plain

SHORT_LIST_MAX = 60
DEPTH_LEVELS = 100
TRADES = 500
MINUTES = 60


# Below this turnover a day a pair of the real venue has no market to speak of; a simulator's day begins with its start.
MIN_VOLUME_QUOTE = {VenueName.MEXC: Decimal(100_000), VenueName.SIM: Decimal(0)}


def rules_for(venue: VenueName, quote_asset: str) -> ScanRules:
    """Return what is fit on a venue."""
    return ScanRules(quote_asset, MIN_VOLUME_QUOTE[venue])


class ScanSource(Protocol):
    """The venue's public reads. Raises everywhere: VenueError."""

    async def exchange_info(self) -> Mapping[str, Instrument]:
        """Return every listed symbol."""
        ...

    async def tickers_24h(self) -> tuple[Ticker24h, ...]:
        """Return the day's figures of all symbols."""
        ...

    async def depth(self, instrument: Instrument, limit: int) -> BookSnapshot:
        """Return a snapshot."""
        ...

    async def trades(self, instrument: Instrument, limit: int) -> tuple[MarketTrade, ...]:
        """Return the newest trades, oldest first."""
        ...

    async def candles(self, symbol: str, interval: str, limit: int) -> tuple[Candle, ...]:
        """Return the newest candles."""
        ...


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan has found so far, best first. `is_complete`: the short list was looked at twice.

    `listed`: symbols of the venue. `excluded`: how many were left out at the first look, by reason.
    """

    items: tuple[ScanItem, ...]
    is_complete: bool
    listed: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    at_ns: int = 0


class Scanner:
    """Scans one venue. Lives on one event loop; one scan at a time."""

    def __init__(self, source: ScanSource, pace: Callable[[], Awaitable[None]], clock: Clock, rules: ScanRules) -> None:
        """pace: awaited before each request, once more before a heavy one."""
        self._source = source
        self._pace = pace
        self._clock = clock
        self._rules = rules

    async def scan(self, top: int, on_progress: Callable[[Scan], None] | None = None) -> Scan:
        """Return at least `top` symbols looked at twice, if the venue has so many fit ones (at most `SHORT_LIST_MAX`).

        on_progress: told after the first look and after each further symbol. Raises: VenueError when the first look
        fails, or the venue asks for a pause.
        """
        await self._pace()
        await self._pace()
        instruments = await self._source.exchange_info()
        await self._pace()
        await self._pace()
        found, excluded = first_look(instruments, await self._source.tickers_24h(), self._rules)
        items = {item.symbol: item for item in found}
        scan = Scan(found, False, len(instruments), excluded, self._clock.now_ns())
        for item in found[: min(top + top // 2 + 2, SHORT_LIST_MAX)]:
            if on_progress is not None:
                on_progress(scan)
            items[item.symbol] = await self._look_again(item, instruments[item.symbol])
            scan = replace(scan, items=ranked(tuple(items.values())), at_ns=self._clock.now_ns())
        scan = replace(scan, is_complete=True)
        if on_progress is not None:
            on_progress(scan)
        return scan

    async def _look_again(self, item: ScanItem, instrument: Instrument) -> ScanItem:
        try:
            await self._pace()
            book = await self._source.depth(instrument, DEPTH_LEVELS)
            await self._pace()
            trades = await self._source.trades(instrument, TRADES)
            await self._pace()
            candles = await self._source.candles(item.symbol, "1m", MINUTES)
        except RateLimited:
            raise
        except VenueError as error:
            return replace(item, is_fit=False, reason=f"could not be looked at: {error}"[:200])
        return second_look(item, instrument, book, trades, candles, self._rules, self._clock.now_ns())


def scan_rows(scan: Scan) -> list[dict[str, Any]]:
    """Render the items as the API's rows, in order: decimals as text, estimates as numbers."""
    return [_row(item, rank) for rank, item in enumerate(scan.items, 1)]


def _row(item: ScanItem, rank: int) -> dict[str, Any]:
    edge = item.edge
    return {
        "rank": rank,
        "symbol": item.symbol,
        "stage": item.stage,
        "is_fit": item.is_fit,
        "reason": item.reason,
        "tier": item.tier,
        "net_edge_bps": round(edge.net, 4),
        "spread_bps": round(edge.quoted, 4),
        "captured_bps": round(edge.captured, 4),
        "fees_bps": round(edge.fees, 4),
        "adverse_bps": round(edge.adverse, 4),
        "rounding_bps": round(edge.rounding, 4),
        "samples": round(edge.samples, 2),
        "maker_fee_rate": plain(item.maker_fee_rate),
        "taker_fee_rate": plain(item.taker_fee_rate),
        "bid": plain(item.bid_price),
        "ask": plain(item.ask_price),
        "last_price": _text(item.last_price),
        "volume_quote": plain(item.volume_quote),
        "change_ratio": _text(item.change_ratio),
        "trades_per_min": _short(item.trades_per_min),
        "bid_depth_quote": _text(item.bid_depth_quote),
        "ask_depth_quote": _text(item.ask_depth_quote),
        "imbalance": _short(item.imbalance),
        "volatility_bps": _short(item.volatility_bps),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
