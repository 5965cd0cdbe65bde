"""The rate budget: how many requests the account may send, and who goes first. May import `trading.model`.

Pure: told `now_ns`. A token bucket never lets more than `burst + rate x t` through in any window of t seconds. Waiting
requests are served by priority (cancel, then what reduces, then what opens) and, within one, by turns among symbols.
Source of the defaults: mexc-protocol §5 (12 order operations/s, 20 requests/s in all, read 2026-11-22); burst + rate
stays a tenth below those for every window of one second, since requests that leave evenly may arrive bunched. A 429
stops everything for as long as the venue asks, and slows the account down for half a minute after it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from trading.model.units import NS_PER_S

T = TypeVar("T")


class Priority(IntEnum):
    """Who goes first; lower is sooner."""

    CANCEL = 0
    REDUCE = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Rates of one account, per second. A rate of 0 lifts the limit (benchmarks)."""

    orders_per_s: float = 10.0
    order_burst: float = 1.5
    requests_per_s: float = 12.0
    request_burst: float = 3.0


class TokenBucket:
    """A bucket that fills with time. Invariant: 0 <= tokens <= burst."""

    def __init__(self, rate_per_s: float, burst: float, now_ns: int = 0) -> None:
        """Args: rate_per_s: tokens a second, 0 for no limit. burst: the most that can gather."""
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._tokens = burst
        self._filled_ns = now_ns

    def tokens(self, now_ns: int) -> float:
        """Return what could be taken now."""
        self._fill(now_ns)
        return self._tokens if self.rate_per_s > 0 else float("inf")

    def try_take(self, weight: float, now_ns: int) -> bool:
        """Take `weight` tokens, all or none."""
        if self.rate_per_s <= 0:
            return True
        self._fill(now_ns)
        if self._tokens < weight:
            return False
        self._tokens -= weight
        return True

    def wait_ns(self, weight: float, now_ns: int) -> int:
        """Return how long until `weight` tokens (at most `burst`) can be taken."""
        if self.rate_per_s <= 0:
            return 0
        self._fill(now_ns)
        missing = min(weight, self.burst) - self._tokens
        return 0 if missing <= 0 else int(missing / self.rate_per_s * NS_PER_S) + 1

    def drain(self, now_ns: int) -> None:
        """Empty the bucket: the venue said that we were too fast."""
        self._fill(now_ns)
        self._tokens = 0.0

    def _fill(self, now_ns: int) -> None:
        if now_ns < self._filled_ns:  # the clock was set back: go on from here, or nothing would fill for so long
            self._filled_ns = now_ns
        elif now_ns > self._filled_ns:
            self._tokens = min(self.burst, self._tokens + (now_ns - self._filled_ns) / NS_PER_S * self.rate_per_s)
            self._filled_ns = now_ns


# After a 429: how much slower, and for how long.
SLOW_SHARE = 0.75
SLOW_NS = 30 * NS_PER_S
# Requests that a query leaves to the orders, which go first.
KEPT_FOR_ORDERS = 2


class RateBudget:
    """The account's two buckets, and the pause a 429 asks for. An order operation costs one of each."""

    def __init__(self, settings: BudgetSettings, now_ns: int = 0) -> None:
        self._orders = TokenBucket(settings.orders_per_s, settings.order_burst, now_ns)
        self._requests = TokenBucket(settings.requests_per_s, settings.request_burst, now_ns)
        self._settings = settings
        self._now_ns = now_ns
        self._blocked_until_ns = 0
        self._slow_until_ns = 0
        self.refused = 0
        self.rate_limited = 0

    def try_order(self, now_ns: int) -> bool:
        """Take what one place or cancel costs."""
        self._look(now_ns)
        is_blocked = now_ns < self._blocked_until_ns
        if is_blocked or self._orders.tokens(now_ns) < 1 or not self._requests.try_take(1, now_ns):
            self.refused += 1
            return False
        return self._orders.try_take(1, now_ns)

    def try_read(self, weight: float, now_ns: int) -> bool:
        """Take what a query costs; leaves two requests to the orders, which go first."""
        self._look(now_ns)
        is_blocked = now_ns < self._blocked_until_ns
        if (
            is_blocked
            or self._requests.tokens(now_ns) < weight + KEPT_FOR_ORDERS
            or not self._requests.try_take(weight, now_ns)
        ):
            self.refused += 1
            return False
        return True

    def wait_ns(self, now_ns: int) -> int:
        """Return how long until one order operation can be taken."""
        self._look(now_ns)
        blocked = max(0, self._blocked_until_ns - now_ns)
        return max(blocked, self._orders.wait_ns(1, now_ns), self._requests.wait_ns(1, now_ns))

    def read_wait_ns(self, weight: float, now_ns: int) -> int:
        """Return how long until a query of this weight may be asked, if nobody is faster."""
        blocked = max(0, self._blocked_until_ns - now_ns)
        return max(blocked, self._requests.wait_ns(weight + KEPT_FOR_ORDERS, now_ns))

    def on_rate_limited(self, retry_after_s: float, now_ns: int) -> None:
        """Obey a 429: nothing goes out before `retry_after_s` has passed."""
        self.rate_limited += 1
        self._look(now_ns)
        self._blocked_until_ns = max(self._blocked_until_ns, now_ns + int(retry_after_s * NS_PER_S))
        self._orders.drain(now_ns)
        self._requests.drain(now_ns)
        self._slow_until_ns = self._blocked_until_ns + SLOW_NS
        self._orders.rate_per_s = self._settings.orders_per_s * SLOW_SHARE
        self._requests.rate_per_s = self._settings.requests_per_s * SLOW_SHARE

    def _look(self, now_ns: int) -> None:
        """Move pauses with a clock that was set back: they last as long as they should. End the slow time."""
        if now_ns < self._now_ns:
            back_ns = self._now_ns - now_ns
            self._blocked_until_ns = max(0, self._blocked_until_ns - back_ns)
            self._slow_until_ns = max(0, self._slow_until_ns - back_ns)
        self._now_ns = now_ns
        if self._slow_until_ns and now_ns >= self._slow_until_ns:
            self._slow_until_ns = 0
            self._orders.rate_per_s = self._settings.orders_per_s
            self._requests.rate_per_s = self._settings.requests_per_s

    def is_paused(self, now_ns: int) -> bool:
        """Tell whether the pause of a 429 is still on."""
        self._look(now_ns)
        return now_ns < self._blocked_until_ns

    def order_tokens(self, now_ns: int) -> float:
        """Return how many order operations could go out now."""
        self._look(now_ns)
        return 0.0 if now_ns < self._blocked_until_ns else self._orders.tokens(now_ns)


class FairQueue(Generic[T]):
    """Requests that wait for tokens. Within a priority the symbols take turns, and each keeps its own order."""

    def __init__(self) -> None:
        self._lines: tuple[OrderedDict[str, deque[T]], ...] = tuple(OrderedDict() for _ in Priority)
        self._size = 0
        self.high_water = 0

    def __len__(self) -> int:
        return self._size

    def push(self, priority: Priority, symbol: str, item: T) -> None:
        """Append an item to its symbol's line."""
        self._lines[priority].setdefault(symbol, deque()).append(item)
        self._size += 1
        self.high_water = max(self.high_water, self._size)

    def push_front(self, priority: Priority, symbol: str, item: T) -> None:
        """Put back an item that was popped and could not be served: it is the next of its priority again."""
        line = self._lines[priority]
        line.setdefault(symbol, deque()).appendleft(item)
        line.move_to_end(symbol, last=False)
        self._size += 1

    def pop(self) -> T | None:
        """Take the next item; its symbol goes to the end of the round. None when nothing waits."""
        for line in self._lines:
            if line:
                symbol, items = line.popitem(last=False)
                item = items.popleft()
                if items:
                    line[symbol] = items
                self._size -= 1
                return item
        return None
