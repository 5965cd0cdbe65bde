"""Cross-check of a book by the book ticker. Pure; may import `trading.model` and `trading.engine.book`.

Both streams carry book versions: where a quote and the book stand at the same version, their best prices must agree,
and a version that the ticker has shown must reach the book soon. The ticker's version field is young (2026-06) and its
meaning undocumented: after two book losses on its word, without one agreement since, it is only counted. Its versions
then show nothing of the depth line either; its prices stay a hint, as those of a ticker without versions.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from trading.engine.book import Book
from trading.model.market import BestQuote

PENDING_MAX = 1024
"""Quotes kept that the book has not reached yet; when full, later ones are not compared."""

MISMATCHES_MAX = 3
"""Differences in a row that throw a book away: one could be a race inside the venue."""

LOSSES_MAX = 2
"""Books thrown away on the ticker's word, without an agreement since, after which its word counts no more."""


class Comparison(StrEnum):
    """A quote against the book at the same version. NONE: there was none to compare."""

    NONE = "NONE"
    AGREES = "AGREES"
    DIFFERS = "DIFFERS"


class QuoteCheck:
    """Holds the quotes that run ahead of one book and compares each once the book is there. Owned by a `BookSync`."""

    def __init__(self) -> None:
        self.checks = 0
        self.mismatches = 0
        self._pending: deque[tuple[BestQuote, int]] = deque()
        self._misses = 0
        self._losses = 0
        self.is_trusted = True
        """False once the ticker's versions have proven to be of another kind."""

    @property
    def pending(self) -> int:
        """Quotes ahead of the book, at most `PENDING_MAX`."""
        return len(self._pending)

    def take(self, quote: BestQuote, book: Book, now_ns: int) -> Comparison:
        """Compare a quote now, or keep it for the version it names; an older one says nothing."""
        if quote.version > book.version:
            if len(self._pending) < PENDING_MAX:
                self._pending.append((quote, now_ns))
            return Comparison.NONE
        return self._compare(quote, book) if quote.version == book.version else Comparison.NONE

    def hold(self, quote: BestQuote, now_ns: int) -> None:
        """Keep the newest quote while there is no book: it may be the word that proves a quiet symbol's snapshot."""
        self._pending.clear()
        self._pending.append((quote, now_ns))

    def begin(self, book: Book, now_ns: int) -> Comparison:
        """Compare a new chain with the quote that was held; from now on the book has to follow it."""
        self._pending = deque((quote, now_ns) for quote, _ in self._pending)
        return self.follow(book)

    def follow(self, book: Book) -> Comparison:
        """Compare the kept quotes that a changed book has reached; those that it has passed are dropped."""
        pending, version, result = self._pending, book.version, Comparison.NONE
        while pending and pending[0][0].version <= version:
            quote, _ = pending.popleft()
            if quote.version == version:
                result = self._compare(quote, book)
        return result

    def shows_beyond(self, version: int) -> bool:
        """Return whether a kept quote names a later version, as far as its versions are trusted."""
        return self.is_trusted and any(quote.version > version for quote, _ in self._pending)

    def ahead_since_ns(self) -> int | None:
        """Return since when the ticker has shown a version that the book lacks; None when it has not."""
        return self._pending[0][1] if self._pending and self.is_trusted else None

    def is_lost(self) -> bool:
        """True when the differences in a row are enough to throw the book away."""
        return self._misses >= MISMATCHES_MAX and self.is_trusted

    def note_loss(self) -> None:
        """Take note that the book was thrown away on the ticker's word."""
        self._losses += 1
        self.is_trusted = self._losses < LOSSES_MAX

    def reset(self) -> None:
        """Forget the quotes: the book was thrown away, or the line was."""
        self._pending.clear()
        self._misses = 0

    def _compare(self, quote: BestQuote, book: Book) -> Comparison:
        self.checks += 1
        if is_same_best(quote, book):
            self._misses = 0
            self._losses = 0
            self.is_trusted = True
            return Comparison.AGREES
        self.mismatches += 1
        self._misses += 1
        return Comparison.DIFFERS


def is_same_best(quote: BestQuote, book: Book) -> bool:
    """Return whether quote and book name the same best prices, or both none."""
    bid, ask = book.best_bid, book.best_ask
    is_same_bid = quote.bid is bid or (quote.bid is not None and bid is not None and quote.bid[0] == bid[0])
    is_same_ask = quote.ask is ask or (quote.ask is not None and ask is not None and quote.ask[0] == ask[0])
    return is_same_bid and is_same_ask
