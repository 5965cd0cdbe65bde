"""The generated flow of one pair: makers, noise, the informed. Pure; seeded; driven by virtual time.

A fair value moves by itself (diffusion, news, a pull towards its start) and with what takers do. Makers see it late and
quote around what they believe; noise takers come regardless; the informed take when a quote is on the wrong side of the
fair value. So quotes earn the half spread from noise, and lose to those who know: adverse selection.
The sequence of events depends on the seed alone as long as no account trades.
"""

from math import exp, sqrt
from random import Random

from simulator.exchange.book import Resting
from simulator.exchange.pair import Pair
from simulator.market.profiles import Liquidity, Profile
from simulator.market.regimes import CALM, next_regime
from trading.model.market import Side

US = 1_000_000
# How late makers are: the time constant of their belief, seconds.
BELIEF_LAG_S = 0.7
# How far one touch-sized trade moves the fair value, in half spreads (Kyle's lambda).
IMPACT = 0.75
# The informed look at the quotes so often a second, and act when the gain exceeds this many half spreads.
INFORMED_RATE = 4.0
INFORMED_GAIN = 0.1
# The fair value returns to its start with this time constant: the price stays within bounds for days.
ANCHOR_S = 6 * 3600.0
# Noise flow keeps its side with this probability: orders are split.
PERSISTENCE = 0.55
# Orders that have traded away are forgotten every so many changes of depth.
PRUNE_EVERY = 8


class PairGenerator:
    """Trades one pair as its whole market. `next_us`: virtual time of the next event, microseconds since start."""

    def __init__(self, pair: Pair, profile: Profile, seed: int, informed_rate: float = INFORMED_RATE) -> None:
        """informed_rate: looks of the informed a second; 0 makes a market in which nobody knows the fair value."""
        self.pair = pair
        self.informed_rate = informed_rate
        self.draw = Random(f"market:{seed}:{profile.listing.symbol}")
        self.liquidity: Liquidity = profile.liquidity
        self.anchor = float(profile.first_price_ticks)
        self.value = self.anchor
        self.belief = self.anchor
        self.regime = CALM
        self.regime_left_s = self.draw.expovariate(1 / CALM.mean_s)
        self.next_us = 0
        self._half = max(1.0, self.anchor * self.liquidity.half_spread_bps * 1e-4)
        self._grid = max(1, round(self._half / 6))
        steps = 10 ** (profile.listing.price_decimals + profile.listing.qty_decimals)
        self._touch_lots = max(2.0, self.liquidity.touch_value * steps / self.anchor)
        self._orders: dict[Side, list[Resting]] = {Side.BUY: [], Side.SELL: []}
        self._noise_side = Side.BUY
        self._signed_lots_seen = 0
        self._depth_changes = 0
        self._open_book()

    def run_until(self, until_us: int, start_ms: int) -> None:
        """Let all events up to the virtual time `until_us` happen; event times are `start_ms` plus virtual time."""
        while self.next_us <= until_us:
            self._event(start_ms + self.next_us // 1000)

    def _event(self, now_ms: int) -> None:
        liquidity, activity = self.liquidity, self.regime.activity
        quote = liquidity.quote_rate * activity
        depth = liquidity.depth_rate * activity
        noise = liquidity.noise_rate * activity
        total = quote + depth + noise + self.informed_rate
        chosen = self.draw.random() * total
        if chosen < quote:
            self._requote(now_ms)
        elif chosen < quote + depth:
            self._change_depth(now_ms)
        elif chosen < quote + depth + noise:
            self._noise_trade(now_ms)
        else:
            self._informed_trade(now_ms)
        wait_s = self.draw.expovariate(total)
        self._move_value(wait_s)
        self.next_us += max(1, round(wait_s * US))

    def _move_value(self, elapsed_s: float) -> None:
        regime, draw = self.regime, self.draw
        signed, self._signed_lots_seen = self.pair.tape.signed_lots - self._signed_lots_seen, self.pair.tape.signed_lots
        if signed:
            self.value += IMPACT * self._half * max(-2.5, min(2.5, signed / self._touch_lots))
        sigma = self._half * self.liquidity.sigma_ratio * regime.volatility
        self.value += sigma * sqrt(elapsed_s) * draw.gauss(0.0, 1.0)
        self.value += (self.anchor - self.value) * elapsed_s / ANCHOR_S
        if draw.random() < regime.news_rate * elapsed_s:
            self.value += draw.choice((-1, 1)) * self._half * draw.uniform(1.2, 3.5)
        # The anchor holds for ordinary times; this holds against anybody who buys for ever.
        self.value = max(self.anchor * 0.5, min(self.anchor * 2.0, self.value))
        self.belief += (self.value - self.belief) * (1 - exp(-elapsed_s / BELIEF_LAG_S))
        self.regime_left_s -= elapsed_s
        if self.regime_left_s <= 0:
            self.regime, self.regime_left_s = next_regime(regime, draw)

    def _targets(self) -> tuple[int, int]:
        half = self._half * self.regime.spread * (0.9 + 0.2 * self.draw.random())
        grid = self._grid
        bid = int((self.belief - half) // grid) * grid
        ask = -int((-self.belief - half) // grid) * grid
        return max(grid, bid), max(2 * grid, ask)

    def _requote(self, now_ms: int) -> None:
        """A maker looks: takes back what is now too good, and quotes anew where the best prices should be."""
        bid, ask = self._targets()
        slack = max(self._grid, round(self._half * 0.3))
        self._pull(Side.BUY, bid + slack, now_ms)
        self._pull(Side.SELL, ask - slack, now_ms)
        for side, target in ((Side.BUY, bid), (Side.SELL, ask)):
            best = self._own_best(side)
            is_behind = best is None or ((best < target - slack) if side is Side.BUY else (best > target + slack))
            if is_behind:
                self._quote(side, target, self._size(1.0), now_ms)
            elif self.draw.random() < 0.35 and best is not None:
                level = self.pair.book.side(side).levels.get(best)
                if level is not None and level.total < self._touch_lots:
                    self._quote(side, best, self._size(0.6), now_ms)

    def _own_best(self, side: Side) -> int | None:
        """Return the best price at which the market itself quotes; accounts' orders alone do not count."""
        book_side = self.pair.book.side(side)
        for price in book_side.best_first():
            for order in book_side.levels[price].orders.values():
                if order.account is None:
                    return price
        return None

    def _pull(self, side: Side, limit: int, now_ms: int) -> None:
        """Cancel the market's own orders of a side that are better than `limit`."""
        book_side = self.pair.book.side(side)
        better: list[Resting] = []
        for price in book_side.best_first():
            if (price <= limit) if side is Side.BUY else (price >= limit):
                break
            better.extend(order for order in book_side.levels[price].orders.values() if order.account is None)
        for order in better:
            self.pair.agent_cancel(order, now_ms)

    def _size(self, scale: float) -> int:
        lots: float = self._touch_lots * scale * self.draw.lognormvariate(-0.18, 0.6)
        return max(1, round(lots))

    def _quote(self, side: Side, price: int, lots: int, now_ms: int) -> None:
        resting = self.pair.agent_order(side, price, lots, now_ms, rests=True)
        if resting is not None:
            self._orders[side].append(resting)

    def _change_depth(self, now_ms: int) -> None:
        """Somebody behind the best prices comes or goes; numbers stay near the pair's usual depth."""
        side = Side.BUY if self.draw.random() < 0.5 else Side.SELL
        orders = self._orders[side]
        self._depth_changes += 1
        if self._depth_changes % PRUNE_EVERY == 0:
            for known in self._orders.values():
                known[:] = [order for order in known if order.lots]
        if self.draw.random() * 2 * self.liquidity.levels < len(orders):
            index = self.draw.randrange(len(orders))
            orders[index], orders[-1] = orders[-1], orders[index]
            self.pair.agent_cancel(orders.pop(), now_ms)
            return
        bid, ask = self._targets()
        distance = self.draw.expovariate(1 / (5 * self._half))
        price = self._depth_price(side, bid if side is Side.BUY else ask, distance)
        if price > 0:
            self._quote(side, price, self._size(0.5 + min(3.0, distance / (6 * self._half))), now_ms)

    def _depth_price(self, side: Side, target: int, distance: float) -> int:
        """Return a price behind the target that crosses none of the market's own quotes."""
        steps = round(distance / self._grid) * self._grid
        if side is Side.BUY:
            other = self._own_best(Side.SELL)
            return target - steps if other is None else min(target - steps, other - 1)
        other = self._own_best(Side.BUY)
        return target + steps if other is None else max(target + steps, other + 1)

    def _noise_trade(self, now_ms: int) -> None:
        if self.draw.random() > PERSISTENCE:
            self._noise_side = self._noise_side.opposite
        self._take(self._noise_side, self._size(0.55), 3.0, now_ms)

    def _informed_trade(self, now_ms: int) -> None:
        """One who knows the fair value takes quotes that are on its wrong side."""
        gain = self._half * INFORMED_GAIN
        ask, bid = self.pair.book.asks.best(), self.pair.book.bids.best()
        if ask is not None and ask < self.value - gain:
            self._sweep(Side.BUY, int(self.value - gain), now_ms)
        elif bid is not None and bid > self.value + gain:
            self._sweep(Side.SELL, int(self.value + gain) + 1, now_ms)

    def _sweep(self, side: Side, limit: int, now_ms: int) -> None:
        self.pair.agent_order(side, limit, self._size(1.2), now_ms, rests=False)
        # They know where the fair value is: their trades tell of a move, they do not add to it.
        self._signed_lots_seen = self.pair.tape.signed_lots

    def _take(self, side: Side, lots: int, reach: float, now_ms: int) -> None:
        """Take up to `lots` from the best opposite price to `reach` half spreads beyond it."""
        best = self.pair.book.side(side.opposite).best()
        if best is None:
            return
        walk = round(self._half * reach)
        limit = best + walk if side is Side.BUY else max(1, best - walk)
        self.pair.agent_order(side, limit, lots, now_ms, rests=False)

    def _open_book(self) -> None:
        """Fill the book before the first event."""
        bid, ask = self._targets()
        for side, target in ((Side.BUY, bid), (Side.SELL, ask)):
            self._quote(side, target, self._size(1.0), 0)
            for number in range(self.liquidity.levels):
                distance = self._half * (0.25 + 12 * (number / self.liquidity.levels) ** 1.5)
                price = self._depth_price(side, target, distance)
                if price > 0:
                    self._quote(side, price, self._size(0.5 + distance / (6 * self._half)), 0)
