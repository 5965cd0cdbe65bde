"""The assumptions of a paper fill, as values: who is ahead in the queue, and how long messages travel. Pure.

May import `trading.model` and the standard library. Used by the paper venue, by replay and by the simulator's replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import log1p
from typing import Protocol

from trading.model.units import NS_PER_MS


class QueueModel(StrEnum):
    """What a level's shrink that no trade explains does to our place in its queue.

    PESSIMISTIC: all cancels were behind us; only a trade moves us forward. PROBABILISTIC: they were spread over the
    queue, in front of us with a chance that grows with what stands there.
    """

    PESSIMISTIC = "pessimistic"
    PROBABILISTIC = "probabilistic"


class CancelPlace(Protocol):
    """The chance that a cancel at our level came from behind us."""

    def chance_behind(self, ahead: float, behind: float) -> float:
        """Args: lots in front of and behind us, >= 0. Returns 0..1; 1 for an empty queue: nobody was ahead."""
        ...


@dataclass(frozen=True, slots=True)
class LogCancels:
    """ln(1+B) / (ln(1+B) + ln(1+F)), in lots: the logarithm dampens large queues, so the unit matters.

    The function of hftbacktest's `LogProbQueueFunc` (its source, `models/queue.rs`, read 2026-11-28).
    """

    def chance_behind(self, ahead: float, behind: float) -> float:
        """As the protocol says."""
        front, back = log1p(ahead), log1p(behind)
        return back / (back + front) if front + back > 0 else 1.0


@dataclass(frozen=True, slots=True)
class PowerCancels:
    """B^n / (B^n + F^n), free of units; n = 1: every lot of the queue is as likely to be cancelled as any other.

    The function of hftbacktest's `PowerProbQueueFunc` (same source).
    """

    power: float = 1.0

    def chance_behind(self, ahead: float, behind: float) -> float:
        """As the protocol says."""
        front, back = ahead**self.power, behind**self.power
        return back / (back + front) if front + back > 0 else 1.0


@dataclass(frozen=True, slots=True)
class ShareCancels:
    """1 - (F / (F+B))^n, free of units: hftbacktest's `PowerProbQueueFunc3` (same source)."""

    power: float = 1.0

    def chance_behind(self, ahead: float, behind: float) -> float:
        """As the protocol says."""
        queue = ahead + behind
        return 1.0 - (ahead / queue) ** self.power if queue > 0 else 1.0


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """Three constant legs, in ns: the market's event to us, our order to the market, its answer to us.

    Everything here happens on the clock of our receive times. The market as it is when an order arrives is seen by us a
    feed leg later, so an order takes effect `feed_ns + entry_ns` after it was placed; the event that fills it is seen
    a feed leg late itself, so its report comes `response_ns - feed_ns` after that event, never before it.
    The defaults are those of a server in the region of the venue; from another continent, three to ten times that.
    """

    feed_ns: int = 10 * NS_PER_MS
    entry_ns: int = 15 * NS_PER_MS
    response_ns: int = 15 * NS_PER_MS

    @property
    def arrival_ns(self) -> int:
        """Delay from placing (or cancelling) to effect, on the clock of receive times."""
        return self.feed_ns + self.entry_ns

    @property
    def report_ns(self) -> int:
        """Delay from the event that we receive to the report it causes."""
        return max(0, self.response_ns - self.feed_ns)


@dataclass(frozen=True, slots=True)
class MatchingRules:
    """What the paper venue adds to the plain queue models; each can be switched off for comparison.

    Attributes:
        late_trade_ns: depth and trades come unordered; for so long a trade may still explain a shrink already seen,
            and a shrink that nothing explained is applied only after it. 0: at once, as a plain model does.
        is_consumption_shared: displayed size that our orders took is gone for all of them until the level changes, and
            a trade fills ours up to its own size, all together. Off: each order stands alone, meets every trade whole,
            and is filled whole when the market trades through its price or comes to it.
        cancels: where in the queue a cancel may have been, for the probabilistic model.
    """

    late_trade_ns: int = 150 * NS_PER_MS
    is_consumption_shared: bool = True
    cancels: CancelPlace = LogCancels()


DEFAULT_LATENCY = LatencyModel()
NO_LATENCY = LatencyModel(0, 0, 0)
DEFAULT_RULES = MatchingRules()
PLAIN_RULES = MatchingRules(late_trade_ns=0, is_consumption_shared=False)
