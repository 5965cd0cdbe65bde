"""Names of MEXC's public streams, and the reading of its acknowledgements. Pure; may import orjson.

Source: mexc-protocol §1.2 and §1.3 (MEXC spot V3 "Websocket Market Streams" and texts measured by others, 2026-11-22).
A rejection keeps `code: 0`: a topic is live only when it is named in the accepted part of `msg`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import orjson

DEPTH = "spot@public.aggre.depth.v3.api.pb"
DEALS = "spot@public.aggre.deals.v3.api.pb"
BOOK_TICKER = "spot@public.aggre.bookTicker.v3.api.pb"

INTERVALS = ("10ms", "100ms")
TOPICS_MAX = 30
"""Subscriptions that one connection may hold."""

PING = '{"method":"PING"}'

_ACCEPTED = "Subscribed successful!"
_REJECTED = "Not Subscribed successfully!"
# Older words for "none of it" (mexc-protocol §1.2).
_ALL_REJECTED = ("no subscription success", "msg format invalid", "Invalid listen key")


def depth_topic(symbol: str, interval: str) -> str:
    """Name the diff-depth stream. interval: "10ms" or "100ms", whose version ranges differ: one book, one interval."""
    return f"{DEPTH}@{interval}@{symbol}"


def deals_topic(symbol: str, interval: str) -> str:
    """Name the trade stream."""
    return f"{DEALS}@{interval}@{symbol}"


def book_ticker_topic(symbol: str, interval: str) -> str:
    """Name the best-quote stream."""
    return f"{BOOK_TICKER}@{interval}@{symbol}"


def market_topics(symbol: str, interval: str) -> tuple[str, str, str]:
    """Name the three streams that a symbol trades on."""
    return depth_topic(symbol, interval), deals_topic(symbol, interval), book_ticker_topic(symbol, interval)


def symbol_of(topic: str) -> str:
    """Return the symbol at the end of an aggregated topic; symbols are any Unicode and hold no "@"."""
    return topic.rpartition("@")[2]


def is_depth(topic: str) -> bool:
    """True for a diff-depth topic."""
    return topic.startswith(DEPTH)


def subscription(topics: Collection[str], request_id: int) -> str:
    """Build the request that subscribes to `topics`."""
    return orjson.dumps({"method": "SUBSCRIPTION", "params": list(topics), "id": request_id}).decode()


@dataclass(frozen=True, slots=True)
class ControlFrame:
    """A text frame, as far as it concerns the topics that were asked for. `text` is the venue's own."""

    is_pong: bool
    accepted: frozenset[str]
    rejected: frozenset[str]
    text: str


def read_control(frame: str, wanted: Collection[str]) -> ControlFrame:
    """Read an acknowledgement, a PONG or anything else that came as text; never raises.

    Args:
        frame: the whole text frame. wanted: topics without an answer so far.
    """
    text = frame
    try:
        answer = orjson.loads(frame)
    except orjson.JSONDecodeError:
        answer = None
    if isinstance(answer, dict):
        text = str(answer.get("msg", ""))
    if text == "PONG":
        return ControlFrame(True, frozenset(), frozenset(), text)
    if any(words in text for words in _ALL_REJECTED):
        return ControlFrame(False, frozenset(), frozenset(wanted), text)
    accepted_text, _, rejected_text = text.partition(_REJECTED)
    accepted, rejected = _names(accepted_text), _names(rejected_text)
    return ControlFrame(
        False,
        frozenset(topic for topic in wanted if topic in accepted),
        frozenset(topic for topic in wanted if topic in rejected),
        text,
    )


def _names(part: str) -> frozenset[str]:
    """Split `a,b`, `Subscribed successful! [a,b].` or `[a,b].  Reason： …` into topics."""
    part = part.replace(_ACCEPTED, "").strip()
    if part.startswith("["):
        part = part[1:].partition("]")[0]
    return frozenset(name.strip() for name in part.split(","))
