"""What trading costs this account: its own fee rates by symbol, and what a fee in a third asset is worth.

May import `trading.model`, `trading.engine` and the executor's pieces. Rates are asked for, never assumed: a symbol
whose rates the venue does not tell keeps the listed ones, and a fee without a price keeps none (promise 8).
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import replace
from decimal import Decimal

import structlog

from actors.executor_lanes import AlertLane
from actors.executor_state import ExecutorState
from trading.adapters.clock import Clock
from trading.engine.budget import RateBudget
from trading.engine.ports import Gateway
from trading.model.errors import RateLimited, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.orders import Fill
from trading.model.units import NS_PER_MS, NS_PER_S

# MX is the only asset that pays fees beside those of the pair (mexc-protocol §6).
FEE_ASSETS = ("MX",)
# A person's fee tier changes by the day; a restarted symbol need not ask again within this.
FEES_FRESH_NS = 3_600 * NS_PER_S
PRICE_FRESH_NS = 30 * NS_PER_S
# Older than this a price says nothing about what the fee cost.
PRICE_AGE_MAX_NS = 600 * NS_PER_S
READ_WEIGHT = 1
TOKEN_PATIENCE_S = 3.0
TOKEN_STEP_S = 0.1
log = structlog.get_logger("executor")


class RateKeeper:
    """Owned by one `ExecutorActor`. Changes the instruments' fee rates, and nothing else of them."""

    def __init__(
        self,
        state: ExecutorState,
        instruments: MutableMapping[str, Instrument],
        gateway: Gateway,
        budget: RateBudget,
        alerts: AlertLane,
        clock: Clock,
    ) -> None:
        self._state = state
        self._instruments = instruments
        self._gateway = gateway
        self._budget = budget
        self._alerts = alerts
        self._clock = clock
        self._fees: dict[str, tuple[Decimal, Decimal, int]] = {}
        self._prices: dict[str, tuple[Decimal, int]] = {}

    async def learn_fees(self, symbol: str) -> None:
        """Put the account's own rates into the symbol's instrument; without an answer the listed ones stay."""
        now_ns = self._clock.now_ns()
        known = self._fees.get(symbol)
        if known is None or now_ns - known[2] > FEES_FRESH_NS:
            try:
                await self._token()
                rates = await self._gateway.fee_rates(symbol)
            except VenueUnavailable as error:
                self._tell(error)
                text = f"the account's fee rates are not known, the listed ones are used: {error}"
                self._alerts.raise_alert("warning", "fees_unknown", text, symbol)
                return
            if rates is None:
                return
            known = self._fees[symbol] = (*rates, now_ns)
        maker, taker, _ = known
        instrument = self._instruments[symbol]
        if (instrument.maker_fee_rate, instrument.taker_fee_rate) != (maker, taker):
            log.info("fees_learnt", symbol=symbol, maker=str(maker), taker=str(taker))
            self._instruments[symbol] = replace(instrument, maker_fee_rate=maker, taker_fee_rate=taker)

    def is_price_wanted(self, asset: str) -> bool:
        """Tell whether fees may be charged in this asset, and its price is not known."""
        if asset not in FEE_ASSETS or self._state.account.total(asset) <= 0:
            return False
        return any(pair not in self._prices for pair in self._stale_pairs(asset))

    async def learn_prices(self) -> None:
        """Ask what the fee assets that the account holds are worth; one that is not told has no price.

        Raises: RateLimited.
        """
        for asset in FEE_ASSETS:
            if self._state.account.total(asset) <= 0:
                continue
            for pair in self._stale_pairs(asset):
                try:
                    await self._token()
                    price = await self._gateway.price(pair)
                except RateLimited:
                    raise
                except VenueUnavailable as error:
                    log.info("price_unknown", pair=pair, reason=str(error))
                    continue
                if price is not None:
                    self._prices[pair] = (price, self._clock.now_ns())

    def convert(self, fill: Fill) -> Fill:
        """Give a fill whose fee is in a third asset that asset's price and where it is from; others stay as they are.

        The source is "mark:PAIR" (the best bid of a book of ours) or "ticker:PAIR@MS" (asked for at that time).
        """
        instrument = self._instruments[fill.symbol]
        if not fill.fee or fill.fee_asset in (instrument.base, instrument.quote) or fill.fee_rate_quote is not None:
            return fill
        pair, now_ns = fill.fee_asset + instrument.quote, self._clock.now_ns()
        listed = self._instruments.get(pair)
        bid_ticks = self._state.account.bid_ticks(pair, now_ns) if listed is not None else None
        if listed is not None and bid_ticks is not None:
            return replace(fill, fee_rate_quote=listed.price(bid_ticks), fee_rate_source=f"mark:{pair}")
        price, at_ns = self._prices.get(pair, (None, 0))
        if price is None or now_ns - at_ns > PRICE_AGE_MAX_NS:
            return fill
        return replace(fill, fee_rate_quote=price, fee_rate_source=f"ticker:{pair}@{at_ns // NS_PER_MS}")

    def _stale_pairs(self, asset: str) -> tuple[str, ...]:
        """Pairs of the asset with the quotes we trade in, whose price is not fresh."""
        quotes = {self._instruments[symbol].quote for symbol in self._state.epochs if symbol in self._instruments}
        now_ns = self._clock.now_ns()
        return tuple(
            asset + quote
            for quote in sorted(quotes)
            if asset + quote in self._instruments
            and now_ns - self._prices.get(asset + quote, (None, 0))[1] > PRICE_FRESH_NS
        )

    async def _token(self) -> None:
        """Wait for a token. Raises: VenueUnavailable when there is none in time."""
        for _ in range(int(TOKEN_PATIENCE_S / TOKEN_STEP_S)):
            if self._budget.try_read(READ_WEIGHT, self._clock.now_ns()):
                return
            await asyncio.sleep(TOKEN_STEP_S)
        raise VenueUnavailable("no request could be spared for it")

    def _tell(self, error: VenueUnavailable) -> None:
        if isinstance(error, RateLimited):
            self._budget.on_rate_limited(error.retry_after_s, self._clock.now_ns(), error.is_firewall)
