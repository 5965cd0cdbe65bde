"""What the generated market is like for who makes it: spreads, pace, and markouts of a passive order, by class.

A maker joins the market's best price on both sides with a quarter of the usual size, looks ten times a second, holds
at most four sizes, pays no maker fee. A markout is what a fill is worth some time later against the mid, in half
spreads of the class: 1 is a free lunch, 0 gives the whole spread back, below is hopeless. May import simulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.figures import Benchmark, Effort, Figure, median
from simulator.exchange.amounts import ONE
from simulator.exchange.exchange import Exchange
from simulator.exchange.orders import NewOrder, Order
from simulator.exchange.pair import Pair, Sequence
from simulator.exchange.tape import Trade
from simulator.market.generator import US, PairGenerator
from simulator.market.profiles import profile_of
from trading.model.market import Side
from trading.model.orders import OrderType

# One of each class, deep to remote.
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "ARBUSDT", "TIAUSDT", "GALAUSDT")
START_MS = 1_790_000_000_000
STEP_MS = 100
SEED = 3
SIZE_SHARE = 0.25
SIZES_HELD_MAX = 4
HORIZONS_S = (1, 5, 30)


@dataclass(slots=True)
class Seen:
    """Mids and spreads at each step; fills as (step, sign, price_ticks, lots); the position, and steps with changes."""

    mids: list[float] = field(default_factory=list)
    spreads_bps: list[float] = field(default_factory=list)
    fills: list[tuple[int, int, int, int]] = field(default_factory=list)
    position: int = 0
    changes: int = 0
    trades: int = 0


class Maker:
    """Joins the best price of others on both sides."""

    def __init__(self, symbol: str) -> None:
        profile = profile_of(symbol, 0, 50_000)
        self.half = max(1.0, profile.first_price_ticks * profile.liquidity.half_spread_bps * 1e-4)
        self._exchange = Exchange()
        self.pair = Pair(profile.listing, profile.first_price_ticks, Sequence())
        self._exchange.list_pair(self.pair)
        deposits = {profile.listing.quote: 10**9 * ONE, profile.listing.base: 10**12 * ONE}
        self._account = self._exchange.open_account("maker", "", deposits)
        self.generator = PairGenerator(self.pair, profile, SEED)
        one = profile.listing.value(profile.first_price_ticks)
        self._size = max(1, round(profile.liquidity.touch_value * SIZE_SHARE * ONE / one))
        self._orders: dict[Side, Order] = {}
        self._counted = 0
        self.seen = Seen()

    def look(self, now_ms: int) -> None:
        """Note the market and the own fills, then quote anew."""
        book, seen = self.pair.book, self.seen
        bid, ask = book.bids.best(), book.asks.best()
        if bid is None or ask is None:
            return
        mid = (bid + ask) / 2
        seen.mids.append(mid)
        seen.spreads_bps.append((ask - bid) / mid * 1e4)
        for event in list(self._account.trades)[self._counted :]:
            sign = 1 if event.order.side is Side.BUY else -1
            seen.position += sign * event.lots
            seen.fills.append((len(seen.mids) - 1, sign, event.price_ticks, event.lots))
        self._counted = len(self._account.trades)
        self._exchange.drain()
        for side in Side:
            self._quote(side, now_ms)

    def _others_best(self, side: Side) -> int | None:
        book_side = self.pair.book.side(side)
        for price in book_side.best_first():
            if any(order.account is None for order in book_side.levels[price].orders.values()):
                return price
        return None

    def _quote(self, side: Side, now_ms: int) -> None:
        price = self._others_best(side)
        sign = 1 if side is Side.BUY else -1
        is_wanted = price is not None and sign * self.seen.position < SIZES_HELD_MAX * self._size
        order = self._orders.get(side)
        if order is not None and order.state.is_open:
            if is_wanted and order.price_ticks == price:
                return
            self._exchange.cancel(order, now_ms)
        if is_wanted:
            new = NewOrder(self.pair.listing.symbol, side, OrderType.LIMIT_MAKER, price, self._size)
            placed = self._exchange.place(self._account, new, now_ms)
            if isinstance(placed, Order):
                self._orders[side] = placed


def _run(symbol: str, seconds: int) -> Maker:
    maker = Maker(symbol)
    version = maker.pair.book.version
    heard: list[Trade] = []
    maker.pair.tape.listeners.append(heard)
    for now_ms in range(0, seconds * 1_000, STEP_MS):
        maker.generator.run_until(now_ms * US // 1_000, START_MS)
        maker.seen.changes += maker.pair.book.version != version
        maker.look(START_MS + now_ms)
        version = maker.pair.book.version
    maker.seen.trades = len(heard)
    return maker


def measure_market(effort: Effort) -> Iterator[Figure]:
    """Each class for a while of virtual time."""
    seconds = effort.choose(900, 60)
    for symbol in SYMBOLS:
        maker = _run(symbol, seconds)
        seen, name = maker.seen, symbol.removesuffix("USDT").lower()
        pace = f"{seen.trades / seconds:.2g} trades/s, book changed in {seen.changes / len(seen.mids):.0%} of 100 ms"
        yield Figure(f"spread_{name}", "bps", median(seen.spreads_bps), note=f"quoted, median; {pace}")
        for horizon_s in HORIZONS_S:
            later = horizon_s * 1_000 // STEP_MS
            worths = [
                sign * (seen.mids[step + later] - price) / maker.half
                for step, sign, price, _ in seen.fills
                if step + later < len(seen.mids)
            ]
            if worths:
                note = f"joined at the best price, {len(worths)} fills in {seconds} s"
                yield Figure(f"markout_{horizon_s}s_{name}", "half spreads", sum(worths) / len(worths), note=note)


BENCHMARKS = (Benchmark("simulator_market", "the generated market by class: spreads, markouts", measure_market),)
