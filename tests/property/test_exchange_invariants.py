"""Random order sequences on the exchange core: conservation, price-time priority, reservations, the version chain."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.exchange.accounts import Account
from simulator.exchange.amounts import ONE
from simulator.exchange.book import BookSide, DepthCollector, Resting
from simulator.exchange.exchange import Exchange
from simulator.exchange.fees import FeeTerms
from simulator.exchange.listings import Listing
from simulator.exchange.orders import BalanceChanged, NewOrder, Order, StpMode
from simulator.exchange.pair import Pair, Sequence
from simulator.exchange.rules import ExchangeRules, FeeAsset
from simulator.exchange.tape import Trade
from trading.model.market import Side
from trading.model.orders import OrderType

LISTING = Listing("AAAUSDT", "AAA", "USDT", "Aaa", 2, 3, maker_fee_e8=10_000, taker_fee_e8=50_000)
# Few prices, so that queues grow.
PRICES = st.sampled_from((9_900, 9_970, 9_990, 9_999, 10_000, 10_001, 10_010, 10_030, 10_100))
LOTS = st.integers(10, 400)
SIDES = st.sampled_from(Side)


def resting_orders(pair: Pair) -> dict[int, Resting]:
    """Return everything that rests, by its place in time."""
    sides = (pair.book.bids, pair.book.asks)
    return {o.seq: o for side in sides for level in side.levels.values() for o in level.orders.values()}


def is_self(order: Resting, taker: object) -> bool:
    """Return whether both belong to one account, or to accounts with a group in common."""
    if order.account is None or not isinstance(taker, Account):
        return False
    return order.account is taker or bool(set(order.account.stp_groups.values()) & set(taker.stp_groups.values()))


@dataclass(slots=True)
class Expected:
    """What a naive matching gives: trades as (price_ticks, lots), what each resting order loses, what it cancels."""

    trades: list[tuple[int, int]] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)


def expected_match(
    pair: Pair, side: Side, limit: int, lots: int | None, budget: int | None, taker: object, stp: StpMode
) -> Expected:
    """Match naively: sort what rests by price and age, and walk."""
    queue = [order for order in resting_orders(pair).values() if order.side is side.opposite]
    queue.sort(key=lambda order: (order.price_ticks if side is Side.BUY else -order.price_ticks, order.seq))
    found = Expected()
    for order in queue:
        beyond = order.price_ticks > limit if side is Side.BUY else order.price_ticks < limit
        if beyond or lots == 0:
            break
        if stp is not StpMode.NONE and is_self(order, taker):
            if stp is not StpMode.CANCEL_TAKER:
                found.cancelled.add(order.seq)
            if stp is StpMode.CANCEL_MAKER:
                continue
            break
        traded = order.lots if lots is None else min(lots, order.lots)
        if budget is not None:
            traded = min(traded, budget // order.price_ticks)
            if traded == 0:
                break
            budget -= traded * order.price_ticks
        lots = None if lots is None else lots - traded
        found.trades.append((order.price_ticks, traded))
        found.taken[order.seq] = traded
    return found


class ExchangeMachine(RuleBasedStateMachine):
    """Two accounts and the market trade on one pair."""

    @initialize(fee_asset=st.sampled_from(FeeAsset), grouped=st.booleans())
    def open(self, fee_asset: FeeAsset, grouped: bool) -> None:
        self.exchange = Exchange(ExchangeRules(fee_asset=fee_asset, is_duplicate_client_id_refused=False))
        self.pair = Pair(LISTING, 10_000, Sequence())
        self.exchange.list_pair(self.pair)
        deposits = {"USDT": 100 * ONE, "AAA": ONE, "MX": ONE // 50}
        self.exchange.ledger.mx_price = 3 * ONE
        self.accounts = [self.exchange.open_account(key, "secret", dict(deposits)) for key in ("one", "two")]
        if grouped:
            self.accounts[0].stp_groups["group"] = "1"
        self.totals = self.exchange.totals()
        self.heard: list[Trade] = []
        self.pair.tape.listeners.append(self.heard)
        self.collector = DepthCollector(self.pair.book.version)
        self.pair.book.collectors.append(self.collector)
        self.copy: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.pushed = {
            (account.key, asset): (balance.free, balance.locked)
            for account in self.accounts
            for asset, balance in account.balances.items()
        }
        self.now_ms = 1_700_000_000_000

    @rule(
        who=st.integers(0, 1),
        side=SIDES,
        order_type=st.sampled_from([kind for kind in OrderType if kind is not OrderType.MARKET]),
        price=PRICES,
        lots=LOTS,
        stp=st.sampled_from(StpMode),
    )
    def place(self, who: int, side: Side, order_type: OrderType, price: int, lots: int, stp: StpMode) -> None:
        account = self.accounts[who]
        self._place(account, NewOrder("AAAUSDT", side, order_type, price, lots, stp_mode=stp), price, lots, None)

    @rule(who=st.integers(0, 1), side=SIDES, lots=LOTS, stp=st.sampled_from(StpMode))
    def place_market_by_quantity(self, who: int, side: Side, lots: int, stp: StpMode) -> None:
        best = self.pair.book.side(side.opposite).best()
        limit = 0 if best is None else best * (10_500 if side is Side.BUY else 9_500) // 10_000
        new = NewOrder("AAAUSDT", side, OrderType.MARKET, None, lots, stp_mode=stp)
        self._place(self.accounts[who], new, limit, lots, None)

    @rule(who=st.integers(0, 1), cents=st.integers(100, 4_000))
    def place_market_by_value(self, who: int, cents: int) -> None:
        best = self.pair.book.asks.best()
        limit = 0 if best is None else best * 10_500 // 10_000
        value = cents * ONE // 100
        new = NewOrder("AAAUSDT", Side.BUY, OrderType.MARKET, None, None, value)
        self._place(self.accounts[who], new, limit, None, LISTING.ticks_lots_within(value))

    def _place(self, account: Account, new: NewOrder, limit: int, lots: int | None, budget: int | None) -> None:
        stp = new.stp_mode if account.stp_groups else StpMode.NONE
        expected = expected_match(self.pair, new.side, limit, lots, budget, account, stp)
        best = self.pair.book.side(new.side.opposite).best()
        would_cross = best is not None and (best <= limit if new.side is Side.BUY else best >= limit)
        if (new.type is OrderType.LIMIT_MAKER and would_cross) or (
            new.type is OrderType.FOK and sum(traded for _, traded in expected.trades) < (lots or 0)
        ):
            expected = Expected()
        before = {seq: order.lots for seq, order in resting_orders(self.pair).items()}
        self.heard.clear()
        result = self.exchange.place(account, new, self.now_ms)
        if not isinstance(result, Order):
            self._check_matched(before, Expected())
            return
        self._check_matched(before, expected)
        assert result.filled_lots == sum(count for _, count in expected.trades)
        rests = result.type in (OrderType.LIMIT, OrderType.LIMIT_MAKER)
        assert self.pair.book.is_resting(result) == (result.state.is_open and rests)

    def _check_matched(self, before: dict[int, int], expected: Expected) -> None:
        """Price-time priority: the trades in their order, and exactly who gave them."""
        assert [(trade.price_ticks, trade.lots) for trade in self.heard] == expected.trades
        after = {seq: order.lots for seq, order in resting_orders(self.pair).items()}
        lost = {seq: lots - after.get(seq, 0) for seq, lots in before.items() if lots != after.get(seq, 0)}
        assert lost == expected.taken | {seq: before[seq] - expected.taken.get(seq, 0) for seq in expected.cancelled}

    @rule(side=SIDES, price=PRICES, lots=LOTS, rests=st.booleans())
    def market_trades(self, side: Side, price: int, lots: int, rests: bool) -> None:
        expected = expected_match(self.pair, side, price, lots, None, self, StpMode.NONE)
        before = {seq: order.lots for seq, order in resting_orders(self.pair).items()}
        self.heard.clear()
        self.pair.agent_order(side, price, lots, self.now_ms, rests=rests)
        self._check_matched(before, expected)

    @rule(who=st.integers(0, 1), group=st.sampled_from(("1", "2", None)))
    def join_or_leave_a_group(self, who: int, group: str | None) -> None:
        groups = self.accounts[who].stp_groups
        groups.clear()
        if group is not None:
            groups["group"] = group

    @rule(
        who=st.sampled_from(("one", "two", None)),
        maker=st.sampled_from((None, 0, 10_000, 1_000_000)),
        taker=st.sampled_from((None, 0, 50_000, 10_000_000)),
        asset=st.sampled_from((None, *FeeAsset)),
    )
    def switch_fees(self, who: str | None, maker: int | None, taker: int | None, asset: FeeAsset | None) -> None:
        self.exchange.ledger.schedule.put("AAAUSDT", who, FeeTerms(maker, taker, asset))

    @rule(who=st.integers(0, 1), is_on=st.booleans())
    def switch_mx(self, who: int, is_on: bool) -> None:
        self.accounts[who].mx_deduct = is_on

    @rule(who=st.integers(0, 1), index=st.integers(0, 50))
    def cancel(self, who: int, index: int) -> None:
        orders = list(self.accounts[who].open_orders.values())
        if orders:
            order = orders[index % len(orders)]
            self.exchange.cancel(order, self.now_ms)
            assert not order.state.is_open
            assert order.locked == 0

    @rule()
    def time_passes(self) -> None:
        self.now_ms += 1_000

    @invariant()
    def every_asset_is_conserved(self) -> None:
        assert self.exchange.totals() == self.totals | {
            asset: self.totals.get(asset, 0) for asset in self.exchange.totals()
        }

    @invariant()
    def locked_is_what_open_orders_reserve(self) -> None:
        for account in self.accounts:
            for asset, side in (("USDT", Side.BUY), ("AAA", Side.SELL)):
                reserved = sum(order.locked for order in account.open_orders.values() if order.side is side)
                assert account.balances[asset].locked == reserved
            assert all(min(balance.free, balance.locked) >= 0 for balance in account.balances.values())

    @invariant()
    def pushed_balances_add_up(self) -> None:
        for event in self.exchange.drain():
            if isinstance(event, BalanceChanged):
                free, locked = self.pushed.get((event.account.key, event.asset), (0, 0))
                assert (free + event.free_change, locked + event.locked_change) == (event.free, event.locked)
                self.pushed[event.account.key, event.asset] = (event.free, event.locked)

    @invariant()
    def book_is_sound(self) -> None:
        book = self.pair.book
        bid, ask = book.bids.best(), book.asks.best()
        assert bid is None or ask is None or bid < ask
        for side in (book.bids, book.asks):
            assert side.prices == sorted(side.levels)
            for level in side.levels.values():
                assert level.total == sum(order.lots for order in level.orders.values()) > 0
                assert list(level.orders) == sorted(level.orders)

    @invariant()
    def deltas_rebuild_the_book(self) -> None:
        book, collector = self.pair.book, self.collector
        changes = book.version - collector.last_to_version
        assert (changes > 0) == bool(collector.bids or collector.asks)
        assert changes >= len(collector.bids) + len(collector.asks)
        self._apply(Side.BUY, book.bids, collector.bids)
        self._apply(Side.SELL, book.asks, collector.asks)
        collector.last_to_version = book.version
        assert book.at(book.version) == (book.bids.top(1_000), book.asks.top(1_000))

    def _apply(self, side: Side, real: BookSide, changed: set[int]) -> None:
        for price in changed:
            level = real.levels.get(price)
            if level is None:
                self.copy[side].pop(price, None)
            else:
                self.copy[side][price] = level.total
        changed.clear()
        assert self.copy[side] == {price: level.total for price, level in real.levels.items()}


TestExchangeMachine = ExchangeMachine.TestCase
TestExchangeMachine.settings = settings(max_examples=settings.default.max_examples * 3 // 5, stateful_step_count=40)
