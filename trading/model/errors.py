"""The error tree, cut by who must act. Imports nothing.

    TradingError
    ├── ConfigError            a person must change an input; stop, exit code 2, HTTP 4xx
    ├── VenueError
    │   ├── VenueUnavailable   retry with a bound: nothing was sent, or the call only reads
    │   │   └── RateLimited    the same, and the venue says when
    │   ├── VenueRejected      an answer, not a fault: becomes an event, never retried
    │   └── OutcomeUnknown     it may have happened: reconcile, never resend
    ├── MarketDataError
    │   ├── DecodeError        a frame that is none; counted, then treated as a gap
    │   ├── SequenceGap        resync
    │   └── StaleData          resync
    ├── StoreError             the journal cannot promise: halt entries
    │   └── FencedOut          another owner holds the lease: stop at once
    ├── NotRunning             no instance, or its API, Ray or database is out of reach; exit code 3
    ├── Refused                our own rules say no to a command; exit code 4, HTTP 409/422
    └── InvariantViolated      a bug: crash the actor

Errors cross Ray by pickle: every class takes positional arguments only and is rebuilt from `args`.
Expected noes (denied, rejected) are values in `orders`, not exceptions.
"""

from __future__ import annotations


class TradingError(Exception):
    """Root of every error this project raises on purpose."""


class ConfigError(TradingError):
    """A flag, file, parameter or environment value is wrong; the text says what to do."""


class VenueError(TradingError):
    """Something between us and the venue."""


class VenueUnavailable(VenueError):
    """The venue could not be reached or cannot answer now; safe to retry within a bound."""


class RateLimited(VenueUnavailable):
    """The venue asked us to slow down. args: (text, retry_after_s: float, is_firewall: bool = False)."""

    @property
    def is_firewall(self) -> bool:
        """True when nobody asked for this pause: the firewall let nothing in, and its cool-down is only known of."""
        return len(self.args) > 2 and bool(self.args[2])

    @property
    def retry_after_s(self) -> float:
        """Seconds to wait before the next request; 1.0 when the venue did not say."""
        return float(self.args[1]) if len(self.args) > 1 else 1.0


class VenueRejected(VenueError):
    """The venue answered no. args: (text, code: int)."""

    @property
    def code(self) -> int:
        """The venue's own error code; 0 when it gave none."""
        return int(self.args[1]) if len(self.args) > 1 else 0


class OutcomeUnknown(VenueError):
    """A send timed out, was cut off, or got a 5xx: the order may exist."""


class MarketDataError(TradingError):
    """A market-data stream broke its promise."""


class DecodeError(MarketDataError):
    """Bytes that are no valid frame."""


class SequenceGap(MarketDataError):
    """The version chain of a book is broken."""


class StaleData(MarketDataError):
    """Data is older than its bound."""


class StoreError(TradingError):
    """The database did not commit, or did not answer."""


class FencedOut(StoreError):
    """The lease's epoch is not ours any more: nothing was written."""


class NotRunning(TradingError):
    """No running instance was found, or it is out of reach."""


class Refused(TradingError):
    """A command was understood and refused by our own rules (not armed, halted, risk)."""


class InvariantViolated(TradingError):
    """Something that cannot be true is: a bug. The actor crashes and is rebuilt from the journal."""
