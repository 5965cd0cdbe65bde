"""The assumptions of a paper fill, as values: who is ahead in the queue, and how long messages travel. Pure.

May import `trading.model` and the standard library. Used by the paper venue, by replay and by the simulator's replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from math import log1p
from typing import Protocol

from trading.model.errors import ConfigError
from trading.model.units import NS_PER_MS, NS_PER_S, parse_decimal

LEGS = 3
LATENCY_MS_MAX = 60_000

QUOTE_MAX_AGE_NS = 2 * NS_PER_S
"""How old a book-ticker quote may be to sell against while the book itself is not proven, live and on paper."""


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


Leg = int | tuple[int, ...]
"""One way of a message, in ns: always the same, or one of these recorded values, drawn anew for each message."""


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """Three legs: the market's event to us, our order to the market, its answer to us. Each constant or empirical.

    Everything here happens on the clock of our receive times. The market as it is when an order arrives is seen by us a
    feed leg later, so an order takes effect feed + entry after it was placed; the event that fills it is seen a feed
    leg late itself, so its report comes response - feed after that event, never before it.
    The defaults are those of a server in the region of the venue; from another continent, three to ten times that.

    A draw depends on the seed and on what travels (`key`), not on what was drawn before: two venues that are given the
    same orders, such as a replay's two queue models, give them the same latencies.
    """

    feed_ns: Leg = 10 * NS_PER_MS
    entry_ns: Leg = 15 * NS_PER_MS
    response_ns: Leg = 15 * NS_PER_MS
    seed: int = 0

    def arrival_ns(self, key: str) -> int:
        """Return the delay from placing (or cancelling) to effect, on the clock of receive times."""
        return self._of(self.feed_ns, "feed", key) + self._of(self.entry_ns, "entry", key)

    def report_ns(self, key: str) -> int:
        """Return the delay from the event that we receive to the report it causes."""
        return max(0, self._of(self.response_ns, "response", key) - self._of(self.feed_ns, "feed", key))

    def _of(self, leg: Leg, name: str, key: str) -> int:
        if isinstance(leg, int):
            return leg
        digest = sha256(f"{self.seed}/{name}/{key}".encode()).digest()
        return leg[int.from_bytes(digest[:8], "big") % len(leg)]


def parse_latency(text: str, seed: int = 0) -> LatencyModel:
    """Read "feed/entry/response" in milliseconds; a leg is one number, or recorded ones: "10/12,15,40/15".

    Raises: ConfigError saying what is expected.
    """
    parts = text.split("/")
    if len(parts) != LEGS:
        raise ConfigError(f"paper latency: expected feed/entry/response in ms, such as 10/15/15, was {text!r}")
    legs = [tuple(_leg_value(item, text) for item in part.split(",")) for part in parts]
    feed, entry, response = (leg[0] if len(leg) == 1 else leg for leg in legs)
    return LatencyModel(feed, entry, response, seed)


def leg_ms(leg: Leg) -> float | list[float]:
    """Return a leg in milliseconds: one number, or those it is drawn from."""
    return leg / NS_PER_MS if isinstance(leg, int) else [value / NS_PER_MS for value in leg]


def _leg_value(item: str, text: str) -> int:
    value = parse_decimal(item.strip(), "paper latency")
    if not 0 <= value <= LATENCY_MS_MAX:
        raise ConfigError(f"paper latency: expected 0 to {LATENCY_MS_MAX} ms a leg, was {text!r}")
    return int(value * NS_PER_MS)


@dataclass(frozen=True, slots=True)
class MatchingRules:
    """What the paper venue adds to the plain queue models; each can be switched off for comparison.

    Attributes:
        late_trade_ns: depth and trades come unordered; for so long a trade may still explain a shrink already seen,
            and a shrink that nothing explained is applied only after it. 0: at once, as a plain model does.
        is_consumption_shared: displayed size that our orders took is gone for all of them while it is there, and
            a trade fills ours up to its own size, all together. Off: each order stands alone, meets every trade whole,
            and is filled whole when the market trades through its price or comes to it.
        cancels: where in the queue a cancel may have been, for the probabilistic model.
    """

    late_trade_ns: int = 150 * NS_PER_MS
    is_consumption_shared: bool = True
    cancels: CancelPlace = LogCancels()


def matching_rules(queue_power: float | None) -> MatchingRules:
    """Return the rules, with the n of `ShareCancels` for the probabilistic model's cancels; None: `LogCancels`."""
    return MatchingRules() if queue_power is None else MatchingRules(cancels=ShareCancels(queue_power))


def queue_text(rules: MatchingRules) -> str:
    """Say how the probabilistic model reckons with cancels."""
    match rules.cancels:
        case ShareCancels(power):
            return f"1 - (F/(F+B))^{power:g}"
        case PowerCancels(power):
            return f"B^{power:g} / (B^{power:g} + F^{power:g})"
        case _:
            return "ln(1+B) / (ln(1+B) + ln(1+F))"


DEFAULT_LATENCY = LatencyModel()
NO_LATENCY = LatencyModel(0, 0, 0)
DEFAULT_RULES = MatchingRules()
PLAIN_RULES = MatchingRules(late_trade_ns=0, is_consumption_shared=False)
