"""MEXC's public REST reads: listing, depth, clock, tickers. May import httpx, orjson, `trading.model` and the codecs.

Reads are safe to repeat, so every failure is VenueUnavailable (RateLimited when the venue says when) or VenueRejected.
Nothing retries here: whoever asks has the patience and the rate budget. Source: mexc-protocol §3.2, read 2026-11-22.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from trading.adapters.clock import Clock, SystemClock
from trading.adapters.mexc.errors import read_answer
from trading.adapters.mexc.history_codec import candles_of, trades_of
from trading.adapters.mexc.rest_codec import (
    DEPTH_LIMIT,
    best_quote_of,
    instruments_of,
    is_whole,
    snapshot_of,
    tickers_of,
)
from trading.model.errors import ConfigError, DecodeError, OutcomeUnknown, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.market import BestQuote, BookSnapshot, Candle, MarketTrade, Ticker24h
from trading.model.units import MS_MAX, NS_PER_MS

DEPTH_LIMIT_MAX = 5_000
TRADES_LIMIT_MAX = 1_000
CANDLES_LIMIT_MAX = 1_000

BodyTap = Callable[[str, int, bytes], None]
"""Called with (symbol, recv_ts_ns, body) for each depth answer as it came: the recorder's ear. Must not raise."""


@dataclass(frozen=True, slots=True)
class PublicRestSettings:
    """Timeouts in seconds. `request_timeout_s` bounds one read from the first byte sent to the last one read."""

    connect_timeout_s: float = 3.0
    request_timeout_s: float = 10.0
    connections_max: int = 4
    keepalive_s: float = 20.0


class PublicRest:
    """Public reads over one keep-alive client. Lives on one event loop; `close` it."""

    def __init__(
        self,
        base_url: str,
        clock: Clock | None = None,
        settings: PublicRestSettings | None = None,
        depth_tap: BodyTap | None = None,
    ) -> None:
        """base_url: "https://api.mexc.com" or a simulator's. Raises: ConfigError when it is no http address."""
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as error:
            raise ConfigError(f"expected the venue's REST address, was {base_url!r}: {error}")
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(f"expected the venue's REST address as http(s)://host, was {base_url!r}")
        self._base = base_url.rstrip("/") + "/api/v3/"
        self._clock = clock or SystemClock()
        self._settings = settings or PublicRestSettings()
        self._depth_tap = depth_tap
        self.requests = 0
        self.failures = 0
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(self._settings.request_timeout_s, connect=self._settings.connect_timeout_s),
            limits=httpx.Limits(
                max_connections=self._settings.connections_max,
                max_keepalive_connections=self._settings.connections_max,
                keepalive_expiry=self._settings.keepalive_s,
            ),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Release the sockets; idempotent."""
        await self._client.aclose()

    async def server_time_ms(self) -> int:
        """Return the venue's clock, ms."""
        body = await self._get("time")
        time_ms = body.get("serverTime") if isinstance(body, dict) else None
        if not is_whole(time_ms, MS_MAX):
            raise self._unreadable("time", "expected serverTime")
        return time_ms

    async def exchange_info(self) -> dict[str, Instrument]:
        """Return every listed symbol; those that cannot be traded say why in `exclusion`."""
        body = await self._get("exchangeInfo")
        try:
            return instruments_of(body)
        except DecodeError as error:
            raise self._unreadable("exchangeInfo", error)

    async def listing(self, symbol: str) -> bytes:
        """Return the exchangeInfo body of one symbol as it came: the first row of a recording."""
        answer = await self._fetch("exchangeInfo", {"symbol": symbol})
        _read(answer)
        return answer.content

    async def depth(self, instrument: Instrument, limit: int = DEPTH_LIMIT) -> BookSnapshot:
        """Return a snapshot of up to `limit` levels a side (at most 5000; live answers stop at 2000)."""
        limit = min(max(limit, 1), DEPTH_LIMIT_MAX)
        answer = await self._fetch("depth", {"symbol": instrument.symbol, "limit": str(limit)})
        recv_ts_ns = self._clock.now_ns()
        try:
            snapshot = snapshot_of(_read(answer), instrument, recv_ts_ns, limit)
        except DecodeError as error:
            raise self._unreadable("depth", error)
        if self._depth_tap is not None:
            self._depth_tap(instrument.symbol, recv_ts_ns, answer.content)
        return snapshot

    async def book_ticker(self, instrument: Instrument) -> BestQuote:
        """Return the best bid and ask; REST names no version (0)."""
        body = await self._get("ticker/bookTicker", {"symbol": instrument.symbol})
        try:
            return best_quote_of(body, instrument, self._clock.now_ns())
        except DecodeError as error:
            raise self._unreadable("ticker/bookTicker", error)

    async def tickers_24h(self) -> tuple[Ticker24h, ...]:
        """Return the day's figures of all symbols. Heavy at the venue (weight 25 to 40): seldom."""
        body = await self._get("ticker/24hr")
        try:
            return tickers_of(body)
        except DecodeError as error:
            raise self._unreadable("ticker/24hr", error)

    async def trades(self, instrument: Instrument, limit: int = TRADES_LIMIT_MAX) -> tuple[MarketTrade, ...]:
        """Return the newest public trades, at most 1000, oldest first."""
        body = await self._get(
            "trades", {"symbol": instrument.symbol, "limit": str(min(max(limit, 1), TRADES_LIMIT_MAX))}
        )
        try:
            return trades_of(body, instrument, self._clock.now_ns())
        except DecodeError as error:
            raise self._unreadable("trades", error)

    async def candles(self, symbol: str, interval: str, limit: int, since_ns: int | None = None) -> tuple[Candle, ...]:
        """Return candles, oldest first: the newest `limit` (at most 1000), or the first ones from `since_ns` on.

        interval: one of `history_codec.INTERVALS`.
        """
        query = {"symbol": symbol, "interval": interval, "limit": str(min(max(limit, 1), CANDLES_LIMIT_MAX))}
        if since_ns is not None:
            query["startTime"] = str(-(-since_ns // NS_PER_MS))
        body = await self._get("klines", query)
        try:
            return candles_of(body)
        except DecodeError as error:
            raise self._unreadable("klines", error)

    async def _get(self, path: str, params: dict[str, str] | None = None) -> Any:
        return _read(await self._fetch(path, params))

    async def _fetch(self, path: str, params: dict[str, str] | None = None) -> httpx.Response:
        self.requests += 1
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                return await self._client.get(self._base + path, params=params)
        except (httpx.HTTPError, TimeoutError) as error:
            self.failures += 1
            raise VenueUnavailable(f"GET {path}: {type(error).__name__} {error}".rstrip())
        except RuntimeError as error:  # httpx's word for a client that was closed meanwhile
            raise VenueUnavailable(f"GET {path}: {error}")

    def _unreadable(self, path: str, error: object) -> VenueUnavailable:
        self.failures += 1
        return VenueUnavailable(f"GET {path}: unreadable answer: {error}")


def _read(answer: httpx.Response) -> Any:
    """Decode an answer. Raises: VenueUnavailable (RateLimited), VenueRejected."""
    try:
        return read_answer(answer.status_code, answer.content, answer.headers.get("Retry-After"))
    except OutcomeUnknown as error:  # a read has no outcome
        raise VenueUnavailable(str(error))
