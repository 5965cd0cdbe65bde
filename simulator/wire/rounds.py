"""Rounds: which feeds are looked at in which beat. Pure; told the time.

Feeds of one cadence are spread over the beats of its interval, all those of a symbol in the same beat: so that the
pushes of many symbols do not stand in one queue, and a symbol's streams agree about its book.
"""

from collections.abc import Iterator
from zlib import crc32

from simulator.wire.feeds import Feed

# The finest cadence of the venue's streams, ms.
BEAT_MS = 10


class Rounds:
    """All open feeds by topic, each with its place in its cadence's round."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._slots: dict[int, list[dict[str, Feed]]] = {}  # by interval in ms: one slot a beat
        self._last_beat = 0

    def __contains__(self, text: str) -> bool:
        return text in self._feeds

    def add(self, feed: Feed) -> None:
        """Take in a feed, under its topic's text."""
        self._feeds[feed.topic.text] = feed
        self._slot(feed)[feed.topic.text] = feed

    def remove(self, text: str) -> None:
        """Close a feed; none of that topic is nothing to close."""
        feed = self._feeds.pop(text, None)
        if feed is not None:
            del self._slot(feed)[text]
            feed.close()

    def _slot(self, feed: Feed) -> dict[str, Feed]:
        slots = self._slots.get(feed.every_ms)
        if slots is None:
            slots = self._slots[feed.every_ms] = [{} for _ in range(max(1, feed.every_ms // BEAT_MS))]
        return slots[crc32((feed.topic.symbol or "").encode()) % len(slots)]

    def due(self, now_ms: int) -> Iterator[Feed]:
        """Give each feed whose turn came since the last call, once."""
        beat = now_ms // BEAT_MS
        missed = beat - self._last_beat
        self._last_beat = beat
        for slots in self._slots.values():
            for number in reversed(range(min(missed, len(slots)))):
                yield from tuple(slots[(beat - number) % len(slots)].values())

    def all(self) -> tuple[Feed, ...]:
        """Return all feeds."""
        return tuple(self._feeds.values())
