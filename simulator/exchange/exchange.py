"""The exchange: accounts place and cancel orders on pairs. Pure and synchronous; each call is one atomic step.

Private events gather in `ledger.outbox`, in the order in which they happened; the shell drains them.
"""

from collections import deque

from simulator.exchange.accounts import Account
from simulator.exchange.amounts import amount_text
from simulator.exchange.listings import Listing
from simulator.exchange.matching import Match, crosses, fillable, match
from simulator.exchange.orders import NewOrder, Order, OrderState, PrivateEvent, Refusal, StpMode
from simulator.exchange.pair import Pair
from simulator.exchange.rules import CancelAnswer, ExchangeRules
from simulator.exchange.settlement import Ledger
from trading.model.market import Side
from trading.model.orders import OrderType

# 13 digits of milliseconds and 8 more make the 21 of the venue's order ids.
ORDERS_PER_MS = 100_000_000


class Exchange:
    """All pairs and accounts. Owned by the service's loop; nothing else mutates it.

    `epoch_ms` is when it opened: ids are unique across all exchanges that a client may have met.
    """

    def __init__(self, rules: ExchangeRules | None = None, epoch_ms: int = 0) -> None:
        self.rules = rules or ExchangeRules()
        self.pairs: dict[str, Pair] = {}
        self.accounts: dict[str, Account] = {}
        self.ledger = Ledger(self.rules, epoch_ms)
        self._order_no = epoch_ms * ORDERS_PER_MS
        self._due_cancels: deque[tuple[int, Order]] = deque()  # (when, in ms; what)

    def list_pair(self, pair: Pair) -> None:
        """Add a pair. Raises ValueError when its symbol is listed already."""
        symbol = pair.listing.symbol
        if symbol in self.pairs:
            raise ValueError(f"expected a new symbol, was {symbol} again")
        self.pairs[symbol] = pair
        pair.settle_agents = self._settle_agents

    def open_account(self, key: str, secret: str, deposits: dict[str, int]) -> Account:
        """Add an account with free amounts by asset. Raises ValueError when the key is taken."""
        if key in self.accounts:
            raise ValueError(f"expected a new account key, was {key} again")
        account = Account(key, secret, uid=f"{10_000_000 + len(self.accounts)}")
        for asset, amount in deposits.items():
            account.balance(asset).free = amount
        self.accounts[key] = account
        return account

    def drain(self) -> list[PrivateEvent]:
        """Return the private events since the last drain."""
        events, self.ledger.outbox = self.ledger.outbox, []
        return events

    def check(self, account: Account, new: NewOrder) -> Refusal | None:
        """Return why an order would be refused, None when it would be accepted. Changes nothing."""
        pair = self.pairs[new.symbol]
        refusal = self._check_listing(account, pair.listing, new)
        if refusal is not None:
            return refusal
        limit = self._limit_ticks(pair, new)
        if limit is None:
            return Refusal(30010, "no valid trade price")
        refusal = _check_value(pair, new, limit) or _check_funds(account, pair, new, limit)
        if refusal is not None:
            return refusal
        if new.type is not OrderType.MARKET and not self._is_in_band(pair, limit):
            return Refusal(30087, "The price is outside of the allowed range")
        # Of orders that rest: what trades or ends at once is never open, and an exit must be possible.
        may_rest = new.type in (OrderType.LIMIT, OrderType.LIMIT_MAKER)
        if may_rest and len(account.open_orders) >= self.rules.max_open_orders:
            return Refusal(30029, "The number of open orders has reached the maximum")
        if (
            new.type is OrderType.LIMIT_MAKER
            and self.rules.is_crossing_maker_refused
            and crosses(pair.book, new.side, limit)
        ):
            return Refusal(30087, "The order would be executed immediately as taker")
        return None

    def place(self, account: Account, new: NewOrder, now_ms: int) -> Order | Refusal:
        """Accept or refuse an order; an accepted one is matched at once.

        The symbol must be listed. Returns the order in the state it has after matching, or the refusal.
        """
        refusal = self.check(account, new)
        if refusal is not None:
            return refusal
        pair = self.pairs[new.symbol]
        limit = self._limit_ticks(pair, new)
        assert limit is not None, "checked"
        self._order_no += 1
        order_id = f"C02__{self._order_no}"
        order = Order(next(pair.sequence.order_seq), order_id, account, pair, new, limit, now_ms)
        account.open(order)
        self.ledger.reserve(order, _reservation(account, pair, new, limit), now_ms)
        self.ledger.announce(order, 0, False, now_ms)
        if pair.desk is not None:
            pair.desk.place(order, now_ms)
        else:
            self._execute(order, pair, now_ms)
        return order

    def cancel(self, order: Order, now_ms: int) -> None:
        """Cancel an open order."""
        if order.pair.desk is not None:
            return order.pair.desk.cancel(order, now_ms)
        order.pair.book.changed_ms = now_ms
        order.pair.book.take(order, order.lots)
        return self.ledger.finish(order, now_ms)

    def request_cancel(self, order: Order, now_ms: int) -> OrderState:
        """Cancel an open order as the rules say; return the state for the answer.

        As documented: at once. As seen live (mexc-protocol §3.4): a little later, the answer shows the state before,
        and what it meets until then still trades. Asked for twice it is cancelled once.
        """
        if self.rules.cancel_answer is CancelAnswer.LIVE:
            self._due_cancels.append((now_ms + self.rules.cancel_delay_ms, order))
        else:
            self.cancel(order, now_ms)
        return order.state

    def cancel_due(self, now_ms: int) -> None:
        """Carry out the cancels whose time has come."""
        due = self._due_cancels
        while due and due[0][0] <= now_ms:
            order = due.popleft()[1]
            if order.order_id in order.account.open_orders:
                self.cancel(order, now_ms)

    def totals(self) -> dict[str, int]:
        """Return the sum of every asset over all accounts, the fees and the market's own account: constant for ever."""
        totals: dict[str, int] = dict(self.ledger.agents)
        for asset, amount in self.ledger.fees.items():
            totals[asset] = totals.get(asset, 0) + amount
        for account in self.accounts.values():
            for asset, balance in account.balances.items():
                totals[asset] = totals.get(asset, 0) + balance.free + balance.locked
        return totals

    def _settle_agents(self, pair: Pair, side: Side, result: Match, now_ms: int) -> None:
        self.ledger.settle(pair, None, side, result, now_ms)

    def _check_listing(self, account: Account, listing: Listing, new: NewOrder) -> Refusal | None:
        if not listing.is_api_allowed:
            return Refusal(10007, "symbol not support api")
        if listing.status != "1":
            return Refusal(30000, "The symbol is suspended")
        if listing.trade_side_type in (4, 3 if new.side is Side.BUY else 2):
            return Refusal(30001, "Current transaction direction is not allowed to place an order")
        if new.type is OrderType.MARKET and not listing.takes_market_orders:
            return Refusal(30019, "api market order is disabled")
        if self.rules.is_duplicate_client_id_refused and new.client_id and new.client_id in account.open_by_client_id:
            return Refusal(700004, f"Duplicate newClientOrderId: {new.client_id} names an open order")
        return None

    def _limit_ticks(self, pair: Pair, new: NewOrder) -> int | None:
        if new.price_ticks is not None:
            return new.price_ticks
        best = pair.book.side(new.side.opposite).best()
        if best is None:
            return None
        bps = self.rules.market_protection_bps if new.side is Side.BUY else -self.rules.market_protection_bps
        return max(1, best * (10_000 + bps) // 10_000)

    def _is_in_band(self, pair: Pair, price_ticks: int) -> bool:
        reference = pair.tape.last_price
        return reference * self.rules.band_low_e2 <= price_ticks * 100 <= reference * self.rules.band_high_e2

    def _execute(self, order: Order, pair: Pair, now_ms: int) -> None:
        limit = order.price_ticks
        stp = _stp_in_force(order.account, order.stp_mode)
        # What a MARKET BUY has locked bounds it, by value as by quantity.
        is_bounded = order.type is OrderType.MARKET and order.side is Side.BUY
        budget = pair.listing.ticks_lots_within(order.locked) if is_bounded else None
        lots = order.orig_lots or None
        if order.type is OrderType.LIMIT_MAKER and crosses(pair.book, order.side, limit):
            return self.ledger.finish(order, now_ms)
        if order.type is OrderType.FOK and (
            fillable(pair.book, order.side, limit, order.orig_lots, order.account, stp)[0] < order.orig_lots
        ):
            return self.ledger.finish(order, now_ms)
        result = match(pair.book, order.side, limit, lots, budget, order.account, stp)
        order.lots = max(0, order.orig_lots - sum(execution.lots for execution in result.executions))
        self.ledger.settle(pair, order, order.side, result, now_ms)
        if order.state is OrderState.FILLED:
            if order.locked:
                self.ledger.release(order, order.locked, "ENTRUST_UNFROZEN", now_ms)
            return order.account.close(order)
        rests = order.type in (OrderType.LIMIT, OrderType.LIMIT_MAKER) and not result.is_stopped
        if rests:
            pair.book.changed_ms = now_ms
            return pair.book.add(order)
        best = pair.book.side(order.side.opposite).best()
        is_by_value = order.quote_amount is not None and budget is not None and order.filled_lots > 0
        if is_by_value and best is not None and (budget or 0) - order.filled_ticks_lots < best:
            order.state = OrderState.FILLED  # what is left buys no further lot: the value is spent
        return self.ledger.finish(order, now_ms)


def _stp_in_force(account: Account, mode: StpMode) -> StpMode:
    """Return the self-trade prevention of an order: none while its account is in no group."""
    return mode if account.stp_groups else StpMode.NONE


def _reservation(account: Account, pair: Pair, new: NewOrder, limit: int) -> int:
    """Return the amount an accepted order locks."""
    if new.side is Side.SELL:
        return pair.listing.base_amount(new.lots or 0)
    if new.quote_amount is not None:
        return new.quote_amount
    lots = new.lots or 0
    if new.type is OrderType.MARKET and pair.desk is None:
        stp = _stp_in_force(account, new.stp_mode)
        return pair.listing.value(fillable(pair.book, new.side, limit, lots, account, stp)[1])
    return pair.listing.value(limit * lots)


def _check_value(pair: Pair, new: NewOrder, limit: int) -> Refusal | None:
    listing = pair.listing
    price = limit
    if new.type is OrderType.MARKET:
        price = pair.book.side(new.side.opposite).best() or limit
    value = new.quote_amount if new.quote_amount is not None else listing.value(price * (new.lots or 0))
    most = listing.max_market_notional if new.type is OrderType.MARKET else listing.max_notional
    if value < listing.min_notional or (new.lots is not None and new.lots < listing.min_lots):
        least = amount_text(listing.min_notional)
        return Refusal(30002, f"The minimum transaction volume cannot be less than:{least}{listing.quote}")
    if most and value > most:
        text = f"The maximum transaction volume cannot be greater than:{amount_text(most)}{listing.quote}"
        return Refusal(30003, text)
    return None


def _check_funds(account: Account, pair: Pair, new: NewOrder, limit: int) -> Refusal | None:
    asset = pair.listing.quote if new.side is Side.BUY else pair.listing.base
    held = account.balances.get(asset)
    if (held.free if held is not None else 0) >= _reservation(account, pair, new, limit):
        return None
    return Refusal(10101, "Insufficient balance") if new.side is Side.BUY else Refusal(30004, "Insufficient position")
