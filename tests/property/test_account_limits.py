"""Whatever is proposed, filled, cancelled or unknown: no approved entry breaks a limit, and no limit blocks an exit."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trading.engine.account import Account
from trading.engine.account_commitments import buy_reserve
from trading.engine.account_limits import AccountLimits
from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill, OrderIntent, OrderStatus, OrderType, Purpose, Refusal, VenueBalance
from trading.model.units import BPS, NS_PER_S

D = Decimal
NOW = 1_700_000_000 * NS_PER_S
BID = 10_000  # 100.00
SYMBOLS = {
    name: Instrument(name, name[:3], "USDT", D("0.01"), D("0.0001"), D(0), D(1), D(0), D(0), D("0.0005"))
    for name in ("AAAUSDT", "BBBUSDT")
}
LOCKED = D(100)  # by orders of others
# What a few orders come to, and now and then nothing at all.
AMOUNTS = st.sampled_from([D(60), D(150), D(400), D(0)])
NAMES = st.sampled_from(sorted(SYMBOLS))


class LimitedAccount(RuleBasedStateMachine):
    """One account with random limits; marks stand still, so that only orders and fills move exposure."""

    @initialize(
        tight=st.sampled_from(
            ["gross", "symbol", "order", "count", "rate", "streak", "loss", "drawdown", "allocation", "mark", ""]
        ),
        amount=AMOUNTS,
        number=st.integers(0, 3),
    )
    def open(self, tight: str, amount: Decimal, number: int) -> None:
        """One limit is near, so that it is met and the others do not hide it."""
        self.limits = AccountLimits(
            max_gross_exposure=amount if tight == "gross" else D(5_000),
            max_symbol_exposure=amount if tight == "symbol" else D(5_000),
            max_order_notional=amount if tight == "order" else D(5_000),
            max_open_orders=number if tight == "count" else 50,
            max_entries_per_minute=number if tight == "rate" else 1_000,
            loss_streak=number if tight == "streak" else 0,
            daily_loss=D(5) if tight == "loss" else D(10_000),
            max_drawdown=D(5) if tight == "drawdown" else D(10_000),
            mark_max_age_s=5 if tight == "mark" else 3_600,
        )
        self.account = Account(self.limits, SYMBOLS, [VenueBalance("USDT", D(700), LOCKED, 0, 0)])
        self.orders: dict[str, OrderRecord] = {}
        self.now_ns, self.number = NOW, 0
        self.allocation = amount if tight == "allocation" else D(5_000)
        for name in SYMBOLS:
            self.account.set_allocation(name, self.allocation)
        self._mark()

    @rule(
        name=NAMES,
        lots=st.one_of(st.integers(100, 6_000), st.integers(100, 40_000)),
        off_bps=st.one_of(st.integers(-50, 50), st.integers(-700, 700)),
        wait_s=st.integers(0, 30),
        is_marked=st.booleans(),
    )
    def propose_entry(self, name: str, lots: int, off_bps: int, wait_s: int, is_marked: bool) -> None:
        self.now_ns += wait_s * NS_PER_S
        if is_marked:
            self._mark()
        price = BID + BID * off_bps // 10_000
        intent = self._intent(name, Side.BUY, price, lots, Purpose.ENTRY)
        before = self.account.entries_last_minute(self.now_ns)
        denial = self.account.decide(intent, self.now_ns)
        if denial is not None:
            assert denial.reason in Refusal
            assert denial.text
            return
        notional = SYMBOLS[name].notional(price, lots)
        assert self.now_ns - self.marked_ns <= self.limits.mark_max_age_s * NS_PER_S
        own_sales = [item.price_ticks for item in self.orders.values() if (item.symbol, item.side) == (name, Side.SELL)]
        assert all(price < ticks for ticks in own_sales), "it would trade with ourselves"
        assert notional <= self.limits.max_order_notional
        assert abs(price - BID) * BPS <= self.limits.price_collar_bps * BID
        assert before < self.limits.max_entries_per_minute
        assert self.account.net_pnl_today(self.now_ns) > -self.limits.daily_loss
        assert self.account.drawdown(self.now_ns) < self.limits.max_drawdown
        assert self.now_ns >= self.account.cooldown_until_ns()
        self._take(intent)
        assert self.account.commitments.count() <= self.limits.max_open_orders
        assert self.account.gross_exposure() <= self.limits.max_gross_exposure
        assert self.account.symbol_exposure(name) <= self.limits.max_symbol_exposure
        open_buys = self.account.commitments.open_buy_notional(name)
        assert self.account.position(name).cost + open_buys <= self.allocation
        assert self.account.available("USDT") >= 0

    @rule(name=NAMES, share=st.integers(1, 3), price=st.sampled_from([BID * 94 // 100, BID * 99 // 100, BID]))
    def propose_exit(self, name: str, share: int, price: int) -> None:
        self._mark()
        lots = self.account.sellable_lots(name) // share
        if lots < SYMBOLS[name].min_lots(price):
            return
        is_unknown = any(
            order.status is OrderStatus.UNKNOWN and order.symbol == name and order.purpose is Purpose.EXIT
            for order in self.orders.values()
        )
        intent = self._intent(name, Side.SELL, price, lots, Purpose.EXIT)
        denial = self.account.decide(intent, self.now_ns)
        assert (denial.reason if denial else None) == (Refusal.EXIT_UNKNOWN if is_unknown else None)
        if denial is None:
            self._take(intent)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), share=st.integers(1, 4))
    def fill(self, data: st.DataObject, share: int) -> None:
        order = self.orders[data.draw(st.sampled_from(sorted(self.orders)))]
        self._trade(order, max(1, (order.qty_lots - order.filled_lots) // share))

    def _trade(self, order: OrderRecord, lots: int) -> None:
        left = order.qty_lots - order.filled_lots
        self.number += 1
        quote = SYMBOLS[order.symbol].notional(order.price_ticks, lots)
        self.account.on_fill(
            Fill(
                "v",
                f"t{self.number}",
                order.client_order_id,
                "",
                order.symbol,
                order.side,
                order.price_ticks,
                lots,
                quote,
                quote * D("0.0005"),
                "USDT",
                False,
                self.now_ns,
                self.now_ns,
            )
        )
        is_whole = lots == left
        status = OrderStatus.FILLED if is_whole else OrderStatus.PARTIALLY_FILLED
        self._put(replace(order, status=status, filled_lots=order.filled_lots + lots))

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), status=st.sampled_from([OrderStatus.CANCELLED, OrderStatus.UNKNOWN, OrderStatus.OPEN]))
    def move(self, data: st.DataObject, status: OrderStatus) -> None:
        self._put(replace(self.orders[data.draw(st.sampled_from(sorted(self.orders)))], status=status))

    @invariant()
    def sums_follow_from_the_orders(self) -> None:
        if not hasattr(self, "orders"):
            return
        open_buys = sum(
            (
                SYMBOLS[item.symbol].notional(item.price_ticks, item.qty_lots - item.filled_lots)
                for item in self.orders.values()
                if item.side is Side.BUY
            ),
            D(0),
        )
        commitments = self.account.commitments
        assert commitments.buy_notional == open_buys
        assert commitments.count() == len(self.orders)
        unseen = {OrderStatus.PENDING, OrderStatus.SENT, OrderStatus.UNKNOWN}
        hidden = sum(
            SYMBOLS[item.symbol].qty(item.qty_lots - item.filled_lots)
            for item in self.orders.values()
            if item.symbol == "AAAUSDT" and item.side is Side.SELL and item.status in unseen
        )
        assert commitments.reserved_unseen("AAA") == hidden
        bound = sum(
            (
                buy_reserve(SYMBOLS[item.symbol].notional(item.price_ticks, item.qty_lots - item.filled_lots), rule_of)
                for item in self.orders.values()
                if item.side is Side.BUY and item.status in unseen and (rule_of := SYMBOLS[item.symbol])
            ),
            D(0),
        )
        assert commitments.reserved_unseen("USDT") == bound
        # What the venue cannot show yet comes on top of what it shows as locked, whoever's that is.
        assert self.account.available("USDT") <= self.account.total("USDT") - LOCKED - bound

    @rule(name=NAMES, lots=st.integers(500, 3_000), fall_bps=st.sampled_from([0, 60, 600]))
    def round_trip(self, name: str, lots: int, fall_bps: int) -> None:
        """Buy at the bid and sell what came of it lower: the way to a loss."""
        self._mark()
        entry = self._intent(name, Side.BUY, BID, lots, Purpose.ENTRY)
        is_lost_enough = self.account.net_pnl_today(self.now_ns) <= -self.limits.daily_loss
        is_deep = self.account.drawdown(self.now_ns) >= self.limits.max_drawdown
        denial = self.account.decide(entry, self.now_ns)
        if is_lost_enough or is_deep:
            assert denial is not None, "an entry after the limit of losses"
        if denial is not None:
            return
        self._take(entry)
        assert self.account.gross_exposure() <= self.limits.max_gross_exposure
        self._trade(self.orders[entry.client_order_id], lots)
        price = BID - BID * fall_bps // 10_000
        leaving = self._intent(name, Side.SELL, price, self.account.sellable_lots(name), Purpose.EXIT)
        if self.account.decide(leaving, self.now_ns) is None:
            self._take(leaving)
            self._trade(self.orders[leaving.client_order_id], leaving.qty_lots)

    def _mark(self) -> None:
        self.marked_ns = self.now_ns
        for name in SYMBOLS:
            self.account.on_mark(name, BID, self.now_ns)

    def _intent(self, name: str, side: Side, price: int, lots: int, purpose: Purpose) -> OrderIntent:
        self.number += 1
        return OrderIntent(
            f"mx-{self.number}", name, side, OrderType.LIMIT, price, lots, purpose, self.now_ns,
            self.now_ns + NS_PER_S, 1, "s",
        )  # fmt: skip

    def _take(self, intent: OrderIntent) -> None:
        if intent.purpose is Purpose.ENTRY:
            self.account.on_entry_approved(self.now_ns)
        self._put(
            OrderRecord(
                intent.client_order_id,
                intent.symbol,
                "run",
                1,
                1,
                intent.side,
                intent.type,
                intent.price_ticks,
                intent.qty_lots,
                intent.purpose,
                "s",
                OrderStatus.PENDING,
                self.now_ns,
                intent.valid_until_ns,
                0,
                0,
            )
        )

    def _put(self, order: OrderRecord) -> None:
        self.account.on_order(order)
        if order.status.is_terminal:
            self.orders.pop(order.client_order_id, None)
        else:
            self.orders[order.client_order_id] = order


TestLimitedAccount = LimitedAccount.TestCase
TestLimitedAccount.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
