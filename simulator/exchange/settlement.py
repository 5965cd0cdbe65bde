"""Settlement: what matches, reservations and cancels mean for balances, and the private events they cause. Pure.

Every movement has two ends: what a trade takes from one side it gives to the other or to the fee account, so that each
asset is conserved exactly. The generated market's end is `Ledger.agents`, which may be negative.
"""

from simulator.exchange.accounts import Account
from simulator.exchange.fees import FeeSchedule
from simulator.exchange.listings import fee_amount
from simulator.exchange.matching import Execution, Match
from simulator.exchange.orders import (
    AccountTrade,
    BalanceChanged,
    Order,
    OrderState,
    OrderUpdated,
    PrivateEvent,
    TradeDone,
)
from simulator.exchange.pair import TRADES_PER_MS, Pair
from simulator.exchange.rules import ExchangeRules, FeeAsset
from simulator.exchange.tape import Trade
from trading.model.market import Side
from trading.model.orders import OrderType

MX, MX_QUOTE = "MX", "USDT"
# MX deduction takes 20 % off, 50 % for who holds 500 MX (MEXC fee page, read 2026-11-22); not both.
MX_DISCOUNT_E2 = 80
MX_HOLDER_DISCOUNT_E2 = 50
MX_HOLDER_AMOUNT = 500 * 10**18
# A stream trade id is 18 digits and X1, a my-trades id 32 hex digits: they differ in form, as the venue's do.
_TRADE_ID_MULTIPLIER = 0x9E3779B97F4A7C15F39CC0605CEDC835  # odd: a bijection of 128 bits
_TRADE_ID_MASK = (1 << 128) - 1


class Ledger:
    """Books movements of balances. Owns the fee account, the market's own account and the outbox of private events."""

    def __init__(self, rules: ExchangeRules, epoch_ms: int) -> None:
        self.schedule = FeeSchedule(rules.fee_asset)
        self.fees: dict[str, int] = {}
        self.agents: dict[str, int] = {}
        self.outbox: list[PrivateEvent] = []
        self._trade_sides = epoch_ms * TRADES_PER_MS
        self.mx_price: int | None = None  # amount of MX_QUOTE for one MX, None when there is no price
        self.mx_pair: Pair | None = None  # where MX is listed: its last price goes first

    def move(self, account: Account, asset: str, free: int, locked: int, kind: str, now_ms: int) -> None:
        """Change one balance and tell its owner."""
        if free == 0 and locked == 0:
            return
        balance = account.balance(asset)
        balance.free += free
        balance.locked += locked
        assert min(balance.free, balance.locked) >= 0, f"{account.key} {asset}: {balance} after {free}, {locked}"
        self.outbox.append(BalanceChanged(account, asset, balance.free, balance.locked, free, locked, kind, now_ms))

    def reserve(self, order: Order, amount: int, now_ms: int) -> None:
        """Lock `amount` of what the order gives."""
        asset = order.pair.listing.quote if order.side is Side.BUY else order.pair.listing.base
        order.locked = amount
        self.move(order.account, asset, -amount, amount, "ENTRUST_PLACE", now_ms)

    def release(self, order: Order, amount: int, kind: str, now_ms: int) -> None:
        """Unlock `amount` of what the order had locked."""
        asset = order.pair.listing.quote if order.side is Side.BUY else order.pair.listing.base
        order.locked -= amount
        self.move(order.account, asset, amount, -amount, kind, now_ms)

    def announce(self, order: Order, last_lots: int, is_maker: bool, now_ms: int) -> None:
        """Tell the owner the order's state."""
        order.update_ms = now_ms
        self.outbox.append(
            OrderUpdated(
                order.account,
                order,
                order.state,
                order.orig_lots - order.filled_lots if order.orig_lots else 0,
                order.filled_lots,
                order.filled_ticks_lots,
                last_lots,
                is_maker,
                now_ms,
            )
        )

    def finish(self, order: Order, now_ms: int) -> None:
        """End an order that will not trade any more: unlock the rest and tell its owner."""
        if order.locked:
            self.release(order, order.locked, "ENTRUST_CANCEL", now_ms)
        if order.state.is_open:
            order.state = OrderState.PARTIALLY_CANCELED if order.filled_lots else OrderState.CANCELED
        order.account.close(order)
        self.announce(order, 0, False, now_ms)

    def settle(self, pair: Pair, taker: Order | None, side: Side, result: Match, now_ms: int) -> None:
        """Book a match: print it, move balances of both sides, end the resting orders that are done.

        `taker` is None for the generated market. The taker's own end is left to the caller.
        """
        trades = pair.print_match(side, result, now_ms)
        for execution, trade in zip(result.executions, trades, strict=True):
            maker = execution.resting if isinstance(execution.resting, Order) else None
            is_self = maker is not None and taker is not None and maker.account is taker.account
            for order, is_maker in ((taker, False), (maker, True)):
                if order is not None:
                    self._settle_side(order, execution, trade, is_maker, is_self, now_ms)
            self._settle_agents(pair, side, execution, taker is None, maker is None)
        for resting in result.cancelled:
            if isinstance(resting, Order):
                self.finish(resting, now_ms)

    def settle_outside(self, order: Order, price_ticks: int, lots: int, is_maker: bool, now_ms: int) -> None:
        """Book a fill of an order against the market outside, which is not printed; a taker's end is the caller's."""
        pair = order.pair
        number = next(pair.sequence.trade_no)
        side = order.side if not is_maker else order.side.opposite
        execution = Execution(order, price_ticks, lots)
        trade = Trade(number, price_ticks, lots, side is Side.BUY, now_ms)
        self._settle_side(order, execution, trade, is_maker, False, now_ms)
        self._settle_agents(pair, side, execution, is_maker, not is_maker)

    def _settle_agents(self, pair: Pair, side: Side, execution: Execution, is_taker: bool, is_maker: bool) -> None:
        """Book the market's own end of an execution."""
        listing = pair.listing
        base = listing.base_amount(execution.lots)
        quote = listing.value(execution.price_ticks * execution.lots)
        sign = (1 if side is Side.BUY else -1) * (int(is_taker) - int(is_maker))
        self.agents[listing.base] = self.agents.get(listing.base, 0) + sign * base
        self.agents[listing.quote] = self.agents.get(listing.quote, 0) - sign * quote

    def _settle_side(
        self, order: Order, execution: Execution, trade: Trade, is_maker: bool, is_self: bool, now_ms: int
    ) -> None:
        listing = order.pair.listing
        base = listing.base_amount(execution.lots)
        value = listing.value(execution.price_ticks * execution.lots)
        order.filled_lots += execution.lots
        order.filled_ticks_lots += execution.price_ticks * execution.lots
        is_done = order.filled_lots == order.orig_lots
        order.state = OrderState.FILLED if is_done else OrderState.PARTIALLY_FILLED
        if order.side is Side.BUY:
            # A limit buy gets back at once what it had reserved above the price it traded at.
            is_market = order.type is OrderType.MARKET
            reserved = value if is_market else listing.value(order.price_ticks * execution.lots)
            order.locked -= reserved
            gains = {listing.base: (base, 0), listing.quote: (reserved - value, -reserved)}
        else:
            order.locked -= base
            gains = {listing.base: (0, -base), listing.quote: (value, 0)}
        fee, fee_asset = self._fee(order, value, base, gains, is_maker)
        free, locked = gains.get(fee_asset, (0, 0))
        gains[fee_asset] = (free - fee, locked)
        for asset, (free, locked) in gains.items():
            self.move(order.account, asset, free, locked, "ENTRUST", now_ms)
        self.fees[fee_asset] = self.fees.get(fee_asset, 0) + fee
        self._trade_sides += 1
        done = AccountTrade(
            f"{self._trade_sides * _TRADE_ID_MULTIPLIER & _TRADE_ID_MASK:032x}",
            f"{trade.trade_no}X1",
            order,
            execution.price_ticks,
            execution.lots,
            fee,
            fee_asset,
            is_maker,
            is_self,
            now_ms,
        )
        order.account.trades.append(done)
        if is_maker and is_done:
            order.account.close(order)
        self.outbox.append(TradeDone(order.account, done))
        self.announce(order, execution.lots, is_maker, now_ms)

    def _fee(
        self, order: Order, value: int, base: int, gains: dict[str, tuple[int, int]], is_maker: bool
    ) -> tuple[int, str]:
        """Return (amount, asset) of the commission of one fill."""
        listing = order.pair.listing
        account = order.account
        rates = self.schedule.of(account, listing)
        rate = rates.maker_e8 if is_maker else rates.taker_e8
        fee = fee_amount(value, rate)
        is_in_mx = (account.mx_deduct or rates.asset is FeeAsset.MX) and listing.quote == MX_QUOTE
        if is_in_mx and MX in account.balances:
            free_mx, price = account.balances[MX].free + gains.get(MX, (0, 0))[0], self._mx_price()
            percent = MX_HOLDER_DISCOUNT_E2 if free_mx >= MX_HOLDER_AMOUNT else MX_DISCOUNT_E2
            in_mx = fee * percent // 100 * 10**18 // price if price else 0
            if price and in_mx <= free_mx:
                return in_mx, MX
        if order.side is Side.BUY:
            # Paid from the base received when so ruled, and also when nothing of the quote asset is left to pay with.
            free_quote = account.balance(listing.quote).free + gains[listing.quote][0]
            if rates.asset is FeeAsset.RECEIVED or free_quote < fee:
                return fee_amount(base, rate), listing.base
        return fee, listing.quote

    def _mx_price(self) -> int | None:
        """Return the quote amount of one MX."""
        if self.mx_pair is None:
            return self.mx_price
        listing = self.mx_pair.listing
        return listing.value(self.mx_pair.tape.last_price * 10**listing.qty_decimals)
