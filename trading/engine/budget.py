"""The rate budget: how many requests the account may send, and who goes first. May import `trading.model`.

Pure: told `now_ns`. A token bucket never lets more than `burst + rate x t` through in any window of t seconds.
Source of the defaults: mexc-protocol §5 (12 order operations/s, 20 requests/s in all, read 2026-11-22); burst + rate
stays a tenth below those for every window of one second. What leaves evenly may arrive bunched, where a network or the
venue itself stands still: `Landings` bounds what may arrive within a second, while answers come. A 429 stops
everything for as long as the venue asks, and slows the account down for half a minute after it. The firewall's 403
names no time: while its usual cool-down lasts, a cancel or a halt's look may try whether it is over (ADR 0016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from trading.engine.landings import Landings
from trading.model.units import NS_PER_MS, NS_PER_S


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


# A debt that nothing can run up while the loop of a private stream has a back-off.
DEBT_MAX = 20.0


class TokenBucket:
    """A bucket that fills with time. Invariant: -DEBT_MAX <= tokens <= burst."""

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

    def owe(self, weight: float, now_ns: int) -> None:
        """Take tokens that may not be there: for a request that goes out in any case. The next ones wait for it."""
        self._fill(now_ns)
        self._tokens = max(self._tokens - weight, -DEBT_MAX)

    def drain(self, now_ns: int) -> None:
        """Empty the bucket: the venue said that we were too fast."""
        self._fill(now_ns)
        self._tokens = min(0.0, self._tokens)

    def _fill(self, now_ns: int) -> None:
        if now_ns < self._filled_ns:  # the clock was set back: go on from here, or nothing would fill for so long
            self._filled_ns = now_ns
        elif now_ns > self._filled_ns:
            self._tokens = min(self.burst, self._tokens + (now_ns - self._filled_ns) / NS_PER_S * self.rate_per_s)
            self._filled_ns = now_ns


# After a 429: how much slower, and for how long.
SLOW_SHARE = 0.75
SLOW_NS = 30 * NS_PER_S
# How often a cancel, or the look of a halt, may try whether the firewall lets us in again: a two-hundredth of the pace
# that it was seen to punish (20 to 30 requests a second, mexc-protocol §5).
PROBE_NS = 10 * NS_PER_S
# Requests that a query leaves to the orders, which go first: as many as they may take at once (`order_burst`). Well
# below the burst of requests, or a query would pass at a full bucket only, and a second one right after it never.
KEPT_FOR_ORDERS = 1.5
# When to ask again for what only an answer makes room for: who waits at the door is called by it (`on_room`).
ANSWERED_NS, READ_STEP_NS = 2 * NS_PER_S, 5 * NS_PER_MS
# How many may arrive in a second, of what may leave in one: 12 order operations of 10, and 18 requests of 12, so that
# two of the venue's 20 are left to others of this address. Binds when round trips take longer than 150 ms and 450 ms.
ORDERS_LANDING, REQUESTS_LANDING = 1.2, 1.5


def _most(rate_per_s: float, share: float) -> int:
    """Return how many may arrive in a second; only a rate of 0 lifts the limit."""
    return max(1, int(rate_per_s * share)) if rate_per_s > 0 else 0


def _nobody_waits() -> None:
    """There is room: nobody wants to hear it."""


class RateBudget:
    """The account's two buckets, and the pause a 429 asks for. An order operation costs one of each.

    A cancel leaves with its token. A place is committed in between, for as long as the journal likes: it asks again
    when it leaves (`may_leave`), and holds back no cancel before, and no exit when it is an entry. Reads leave as soon
    as they have their token. `on_room` is called when something landed or was given up, so that others may leave.
    """

    def __init__(self, settings: BudgetSettings, now_ns: int = 0) -> None:
        self._orders = TokenBucket(settings.orders_per_s, settings.order_burst, now_ns)
        self._requests = TokenBucket(settings.requests_per_s, settings.request_burst, now_ns)
        self._order_landings = Landings(_most(settings.orders_per_s, ORDERS_LANDING))
        self._landings = Landings(_most(settings.requests_per_s, REQUESTS_LANDING))
        self._committing = [0] * len(Priority)  # places that have their token and have not left
        self._is_lifted = settings.orders_per_s <= 0 and settings.requests_per_s <= 0
        self._settings = settings
        self._now_ns = now_ns
        self._blocked_until_ns = 0
        self._slow_until_ns = 0
        self._told_until_ns = 0  # the part of a pause that the venue itself asked for
        self._probe_ns = 0  # when the next try is due
        self._is_probing = False
        self._probe_ticket: int | None = None  # the order operation that has the try, and may not be sent after all
        self.refused = 0
        self.rate_limited = 0
        self.on_room: Callable[[], None] = _nobody_waits

    def try_order(self, now_ns: int) -> bool:
        """Take what one cancel costs, or an order operation that leaves at this very moment. It may be a probe."""
        return self._try_order(now_ns, self._has_cancel_room(now_ns)) or self.try_probe(now_ns)

    def try_probe(self, now_ns: int) -> bool:
        """Take the turn of a request that tries whether the firewall lets us in; `on_let_in` must follow a success."""
        self._look(now_ns)
        if not max(self._told_until_ns, self._probe_ns) <= now_ns < self._blocked_until_ns:
            return False
        self._probe_ns, self._is_probing, self._probe_ticket = now_ns + PROBE_NS, True, None
        self._requests.owe(1, now_ns)
        return True

    def try_place(self, now_ns: int, priority: Priority = Priority.OPEN) -> bool:
        """Take what one place costs; `on_place_left` or `on_place_dropped` must follow, with the same priority."""
        is_free = self._is_lifted and not self._blocked_until_ns
        is_taken = is_free or self._try_order(now_ns, self._has_place_room(now_ns, priority))
        self._committing[priority] += is_taken
        return is_taken

    def may_leave(self, now_ns: int, ahead: int = 0) -> bool:
        """Tell whether a place that has its token may leave now.

        ahead: the cancels that wait; those with a token wait for room alone, and go before it.
        """
        if self._is_lifted and not self._blocked_until_ns:
            return True
        self._look(now_ns)
        ahead = int(min(ahead, self._orders.tokens(now_ns)))
        return now_ns >= self._blocked_until_ns and self._has_room(now_ns, ahead)

    def _has_place_room(self, now_ns: int, priority: Priority) -> bool:
        """Tell whether one more place of this priority would find room. An exit may take the turn of an entry."""
        ahead = sum(self._committing[: priority + 1])
        has_turn = priority is Priority.REDUCE and ahead < self._committing[Priority.OPEN]
        return has_turn or self._has_room(now_ns, ahead)

    def _try_order(self, now_ns: int, has_room: bool) -> bool:
        self._look(now_ns)
        is_blocked = now_ns < self._blocked_until_ns or not has_room
        if is_blocked or self._orders.tokens(now_ns) < 1 or not self._requests.try_take(1, now_ns):
            self.refused += 1
            return False
        return self._orders.try_take(1, now_ns)

    def _has_room(self, now_ns: int, ahead: int) -> bool:
        return self._order_landings.has_room(now_ns, ahead) and self._landings.has_room(now_ns)

    def _has_cancel_room(self, now_ns: int) -> bool:
        return self._order_landings.has_cancel_room(now_ns) and self._landings.has_cancel_room(now_ns)

    def try_read(self, weight: float, now_ns: int) -> bool:
        """Take what a query costs; leaves what the orders may take at once, which go first."""
        self._look(now_ns)
        is_blocked = now_ns < self._blocked_until_ns or not self._landings.has_room(now_ns)
        if (
            is_blocked
            or self._requests.tokens(now_ns) < self._read_needs(weight)
            or not self._requests.try_take(weight, now_ns)
        ):
            self.refused += 1
            return False
        return True

    def _read_needs(self, weight: float) -> float:
        return min(weight + KEPT_FOR_ORDERS, self._requests.burst)

    def wait_ns(self, now_ns: int, priority: Priority = Priority.CANCEL) -> int:
        """Return how long until one order operation can be taken, as far as that is known without another answer."""
        self._look(now_ns)
        is_cancel = priority is Priority.CANCEL
        has_room = self._has_cancel_room(now_ns) if is_cancel else self._has_place_room(now_ns, priority)
        tokens_ns = max(self._orders.wait_ns(1, now_ns), self._requests.wait_ns(1, now_ns))
        return max(self._blocked_until_ns - now_ns, tokens_ns, 0 if has_room else self._landing_ns(now_ns))

    def room_wait_ns(self, now_ns: int) -> int:
        """Return how long until a place that has its token may leave, as far as that is known without an answer."""
        self._look(now_ns)
        return max(self._blocked_until_ns - now_ns, self._landing_ns(now_ns))

    def _landing_ns(self, now_ns: int) -> int:
        return max(self._order_landings.pause_ns(now_ns), self._landings.pause_ns(now_ns)) or ANSWERED_NS

    def read_wait_ns(self, weight: float, now_ns: int) -> int:
        """Return how long until a query of this weight may be asked, if nobody is faster."""
        blocked = max(0, self._blocked_until_ns - now_ns)
        wait_ns = self._requests.wait_ns(self._read_needs(weight), now_ns)
        landings = 0 if self._landings.has_room(now_ns) else self._landings.pause_ns(now_ns) or READ_STEP_NS
        return max(blocked, landings, wait_ns)

    # --- on the way -----------------------------------------------------------------------------------------------

    def on_place_left(self, now_ns: int, priority: Priority = Priority.OPEN) -> int:
        """Count a place that leaves; return its ticket, for `on_order_landed` or `_unsent`, which must follow."""
        self._committing[priority] -= 1
        return self._order_landings.on_left(now_ns)

    def on_place_dropped(self, priority: Priority = Priority.OPEN) -> None:
        """Take it that a place which had its token does not leave after all."""
        self._committing[priority] -= 1
        self.on_room()

    def on_order_left(self, now_ns: int) -> int:
        """Count an order operation that leaves; return its ticket. `on_order_landed` or `_unsent` must follow."""
        ticket = self._order_landings.on_left(now_ns)
        if now_ns < self._blocked_until_ns:  # only a probe leaves in a pause
            self._probe_ticket = ticket
        return ticket

    def on_order_landed(self, ticket: int, now_ns: int) -> None:
        """Take the answer of an order operation, or that there will be none."""
        self._order_landings.on_landed(ticket, now_ns)
        self.on_room()

    def on_order_unsent(self, ticket: int) -> None:
        """Take it that an order operation was not sent after all; if it was a probe, another may try at once."""
        self._order_landings.on_unsent(ticket)
        self.give_back_probe(ticket)
        self.on_room()

    def give_back_probe(self, ticket: int) -> bool:
        """Let another request try the firewall instead of this operation; False when it had no such turn."""
        if ticket != self._probe_ticket:
            return False
        self._probe_ns, self._is_probing, self._probe_ticket = self._now_ns, False, None
        return True

    def on_request_left(self, now_ns: int) -> int:
        """Count a request on the wire; return its ticket, for `on_request_landed`, which must follow."""
        return self._landings.on_left(now_ns)

    def on_request_landed(self, ticket: int, now_ns: int) -> None:
        """Take the answer of a request, or that there is none."""
        self._landings.on_landed(ticket, now_ns)
        self.on_room()

    def owe(self, now_ns: int) -> None:
        """Take a token for a request that goes out in any case; the next ones wait for it."""
        self._requests.owe(1, now_ns)

    # --- refusals ---------------------------------------------------------------------------------------------------

    def on_let_in(self, refusals: int, now_ns: int) -> None:
        """Take it that a cancel or a look was answered: if it left in the firewall's pause, that is over.

        Args: refusals: `rate_limited` when it left. What left before the last refusal says nothing of what is let in.
        """
        if self._is_probing and refusals == self.rate_limited:
            self._is_probing, self._blocked_until_ns = False, min(self._blocked_until_ns, now_ns)
            self.on_room()

    def on_rate_limited(self, retry_after_s: float, now_ns: int, is_firewall: bool = False) -> None:
        """Obey a 429: nothing goes out before `retry_after_s` has passed; after the firewall's 403 only probes do."""
        self.rate_limited += 1
        self._look(now_ns)
        self._is_probing, self._probe_ticket = False, None
        until_ns = now_ns + int(retry_after_s * NS_PER_S)
        self._blocked_until_ns = max(self._blocked_until_ns, until_ns)
        if is_firewall:
            self._probe_ns = now_ns + PROBE_NS
        else:
            self._told_until_ns = max(self._told_until_ns, until_ns)
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
            self._told_until_ns = max(0, self._told_until_ns - back_ns)
            self._probe_ns = max(0, self._probe_ns - back_ns)
        self._now_ns = now_ns
        if self._slow_until_ns and now_ns >= self._slow_until_ns:
            self._slow_until_ns = 0
            self._orders.rate_per_s = self._settings.orders_per_s
            self._requests.rate_per_s = self._settings.requests_per_s

    def is_paused(self, now_ns: int) -> bool:
        """Tell whether the pause of a 429 is still on."""
        return self.pause_ns(now_ns) > 0

    def pause_ns(self, now_ns: int) -> int:
        """Return how long nothing may go out, since the venue said so; 0 when it did not."""
        self._look(now_ns)
        return max(0, self._blocked_until_ns - now_ns)

    def is_probed(self, now_ns: int) -> bool:
        """Tell whether the pause is the firewall's alone, so that it is tried now and then."""
        return self._told_until_ns <= now_ns < self._blocked_until_ns

    def order_tokens(self, now_ns: int) -> float:
        """Return how many order operations could go out now."""
        self._look(now_ns)
        return 0.0 if now_ns < self._blocked_until_ns else self._orders.tokens(now_ns)


class RequestMeter:
    """Tells a budget of each request that is really sent, whoever sends it. Given to a gateway by its executor."""

    def __init__(self, budget: RateBudget, now_ns: Callable[[], int]) -> None:
        self._budget = budget
        self._now_ns = now_ns

    def owe(self) -> None:
        """Take a token: this request was not asked for by anybody who took one (listen keys, clock, repeats, pages)."""
        self._budget.owe(self._now_ns())

    def left(self) -> int:
        """Note that a request goes out; return its ticket."""
        return self._budget.on_request_left(self._now_ns())

    def landed(self, ticket: int) -> None:
        """Note that its answer is here, or that there will be none."""
        self._budget.on_request_landed(ticket, self._now_ns())
