"""What of the symbols' market data people must hear of: drift of the wire, failed audits, dead depth, books
long unproven.

Pure: may import `trading.model`. Heartbeats go in, alerts come out, each no oftener than its pause.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from trading.model.market import BookState
from trading.model.session import Heartbeat, RunState
from trading.model.units import NS_PER_S

DRIFT_PAUSE_NS = 900 * NS_PER_S
"""The whole fleet sees the same wire: one alert for all of it, and again when it goes on."""

AUDIT_PAUSE_NS = 300 * NS_PER_S
DEAD_PAUSE_NS = 300 * NS_PER_S
UNPROVEN_AFTER_NS = 60 * NS_PER_S
UNPROVEN_PAUSE_NS = 600 * NS_PER_S
REMEMBERED_MAX = 4_000
WAITING_MAX = 200


@dataclass(frozen=True, slots=True)
class MarketAlert:
    """An alert for people; `symbol` None when it concerns the whole venue."""

    level: str
    name: str
    text: str
    symbol: str | None


class MarketWatch:
    """Owned by the supervisor. `observe` each heartbeat; `take` what is to be raised, and `give_back` what was not."""

    def __init__(self) -> None:
        self._raised_ns: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._differing: dict[str, tuple[int, int]] = {}
        self._dead: dict[str, tuple[int, int]] = {}
        self._undecodable: dict[str, tuple[int, int]] = {}
        self._unproven_ns: dict[str, int] = {}
        self._waiting: list[MarketAlert] = []

    def observe(self, beat: Heartbeat, now_ns: int) -> bool:
        """Take a symbol's word; True when frames could not be read since the last: its filters may have changed."""
        symbol, market = beat.symbol, beat.market
        if market.drift:
            text = f"the venue's wire is not as we know it: {market.drift} (seen by {symbol})"
            self._raise(
                ("wire_drift", market.drift), MarketAlert("warning", "wire_drift", text, None), now_ns, DRIFT_PAUSE_NS
            )
        if _has_grown(self._differing, beat, market.audits_differing):
            alert = MarketAlert("alert", "book_audit_differs", f"{symbol}: {market.audit_finding}", symbol)
            self._raise(("audit", symbol), alert, now_ns, AUDIT_PAUSE_NS)
        if _has_grown(self._dead, beat, market.dead_lines):
            text = f"{symbol}: its depth pushes stayed away while the venue's book went on; a new connection is opened"
            self._raise(("dead", symbol), MarketAlert("warning", "depth_dead", text, symbol), now_ns, DEAD_PAUSE_NS)
        self._watch_proof(beat, now_ns)
        return _has_grown(self._undecodable, beat, market.decode_errors)

    def on_reborn(self, runs: int) -> None:
        """The supervisor found runs of its own session at its start: the one before it has died."""
        text = f"the supervisor ended unasked and was started again: it found {runs} symbols under way"
        self._waiting.append(MarketAlert("warning", "supervisor_restarted", text, None))

    def forget(self, symbol: str) -> None:
        """The symbol is stopped."""
        self._differing.pop(symbol, None)
        self._dead.pop(symbol, None)
        self._undecodable.pop(symbol, None)
        self._unproven_ns.pop(symbol, None)

    def take(self) -> tuple[MarketAlert, ...]:
        """Return what is to be raised, oldest first, and forget it."""
        taken, self._waiting = tuple(self._waiting), []
        return taken

    def give_back(self, alerts: tuple[MarketAlert, ...]) -> None:
        """Keep what the store did not take, up to a bound."""
        self._waiting = [*alerts, *self._waiting][:WAITING_MAX]

    def _watch_proof(self, beat: Heartbeat, now_ns: int) -> None:
        symbol = beat.symbol
        if beat.book_state == BookState.PROVEN.value or beat.state in (RunState.STARTING, RunState.DRAINING):
            self._unproven_ns.pop(symbol, None)
            return
        since_ns = self._unproven_ns.setdefault(symbol, now_ns)
        if now_ns - since_ns > UNPROVEN_AFTER_NS:
            fault = f": {beat.market.last_fault}" if beat.market.last_fault else ""
            text = f"{symbol}: its book is {beat.book_state} for {(now_ns - since_ns) // NS_PER_S} s{fault}"
            alert = MarketAlert("warning", "book_unproven", text, symbol)
            self._raise(("unproven", symbol), alert, now_ns, UNPROVEN_PAUSE_NS)

    def _raise(self, key: tuple[str, str], alert: MarketAlert, now_ns: int, pause_ns: int) -> None:
        last_ns = self._raised_ns.get(key)
        if (last_ns is not None and now_ns - last_ns < pause_ns) or len(self._waiting) >= WAITING_MAX:
            return
        self._raised_ns.pop(key, None)
        self._raised_ns[key] = now_ns
        while len(self._raised_ns) > REMEMBERED_MAX:
            self._raised_ns.popitem(last=False)
        self._waiting.append(alert)


def _has_grown(seen: dict[str, tuple[int, int]], beat: Heartbeat, count: int) -> bool:
    """Compare a counter with what the same process said last; a new process begins at 0."""
    before = seen.get(beat.symbol, (beat.pid, 0))
    seen[beat.symbol] = (beat.pid, count)
    return count > (before[1] if before[0] == beat.pid else 0)
