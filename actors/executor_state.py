"""What the executor holds in memory: orders, epochs, sequence numbers, counters. Decides nothing, awaits nothing.

May import `trading.model`, `trading.engine` and the executor's values. Everything here can be rebuilt from the journal.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from actors.executor_values import Latency
from trading.engine.account import Account
from trading.engine.order_tracker import OrderTracker
from trading.engine.ports import LedgerLine, OrderRecord
from trading.model.instrument import Instrument
from trading.model.orders import OrderStatus, VenueOrder
from trading.model.units import NS_PER_MS, ZERO

# Finished orders stay for late words about them; beyond this many they are read from the journal when needed.
FINISHED_MAX = 5_000
LATENCY_WINDOW = 2_000
# One lost answer is no outage. Refused connections make it within a second, silence within three timeouts.
VENUE_FAILURES_MAX = 3
_WATCHED = frozenset({OrderStatus.UNKNOWN, OrderStatus.CANCELLING})

# The symbols of a halt; None is the whole account.
Scope = frozenset[str] | None


class OrderTable:
    """All live orders, and the last finished ones.

    Invariant: every live order of the account is here, and every finished one that is known to be short of executions.
    """

    def __init__(self) -> None:
        self._live: dict[str, OrderTracker] = {}
        self._finished: OrderedDict[str, OrderTracker] = OrderedDict()
        self._by_venue_id: dict[str, str] = {}
        self._watched: dict[str, OrderTracker] = {}

    def get(self, client_order_id: str) -> OrderTracker | None:
        """Find an order by our id."""
        return self._live.get(client_order_id) or self._finished.get(client_order_id)

    def by_venue_id(self, venue_order_id: str) -> OrderTracker | None:
        """Find an order by the venue's id."""
        name = self._by_venue_id.get(venue_order_id)
        return self.get(name) if name is not None else None

    def put(self, tracker: OrderTracker) -> None:
        """Add an order, or sort it anew after a step."""
        record = tracker.record
        name = record.client_order_id
        if record.venue_order_id:
            self._by_venue_id[record.venue_order_id] = name
        if record.status in _WATCHED or tracker.missing_lots:
            self._watched[name] = tracker
        else:
            self._watched.pop(name, None)
        if not record.status.is_terminal:
            self._finished.pop(name, None)
            self._live[name] = tracker
            return
        self._live.pop(name, None)
        self._finished[name] = tracker
        if len(self._finished) > FINISHED_MAX:
            # One that is short of executions stays until they are booked: nobody else would ask for them.
            oldest = next((item for item in self._finished if item not in self._watched), None)
            if oldest is not None:
                self._by_venue_id.pop(self._finished.pop(oldest).record.venue_order_id, None)

    def drop(self, client_order_id: str) -> None:
        """Forget an order that was never written under this process."""
        self._live.pop(client_order_id, None)
        self._watched.pop(client_order_id, None)
        self._finished.pop(client_order_id, None)

    def is_live(self, client_order_id: str) -> bool:
        """Tell whether an order is known and not over."""
        return client_order_id in self._live

    def watched(self) -> tuple[OrderTracker, ...]:
        """List the orders that somebody has to look after: unknown, being cancelled, or short of executions.

        Also one that is over: the venue may say only then that more of it has traded.
        """
        return tuple(self._watched.values())

    def live(self, symbol: str | None = None) -> tuple[OrderTracker, ...]:
        """List live orders, of one symbol or of all, oldest first."""
        return tuple(item for item in self._live.values() if symbol is None or item.record.symbol == symbol)

    def live_records(self) -> dict[str, OrderRecord]:
        """Return the live orders' records by id."""
        return {name: tracker.record for name, tracker in self._live.items()}

    def symbols(self) -> set[str]:
        """Return the symbols that have live orders."""
        return {item.record.symbol for item in self._live.values()}

    def recent_symbols(self) -> tuple[str, ...]:
        """Return the symbols of all orders in memory, the last traded first."""
        names = (item.record.symbol for item in (*self._finished.values(), *self._live.values()))
        return tuple(dict.fromkeys(reversed(tuple(names))))

    def unknown(self) -> Iterator[OrderTracker]:
        """Iterate over the orders of unknown outcome."""
        return (item for item in self.watched() if item.record.status is OrderStatus.UNKNOWN)


class JournalWork(Enum):
    """What the journal does for us. One that fails says nothing of the others, and none of them speaks for it."""

    OUTCOMES = "outcomes"  # the steps of orders: only their own commit shows that they are written again
    WRITES = "writes"  # all else that is written: the lease's renewal, or a commit, shows that writes work again
    READS = "reads"  # the next poll of the stored halts shows that they work again


class LatencyWindow:
    """Durations of the last orders. Sorted only when somebody asks."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._durations_ns: deque[int] = deque(maxlen=LATENCY_WINDOW)
        self._count = 0

    def add(self, duration_ns: int) -> None:
        """Take one duration."""
        self._durations_ns.append(duration_ns)
        self._count += 1

    def summary(self) -> Latency:
        """Return the percentiles of the window and the count since the start."""
        ordered = sorted(self._durations_ns)
        if not ordered:
            return Latency(self._name, None, None, 0)
        p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        return Latency(self._name, p50 / NS_PER_MS, p99 / NS_PER_MS, self._count)


@dataclass(frozen=True, slots=True)
class OutsideCause:
    """Why others may have moved an asset: the venue's word or a trade, and when it was told (monotonic)."""

    text: str
    at_ns: int


class ExecutorState:
    """The executor's memory. Owned by one `ExecutorActor`; touched on its event loop only."""

    def __init__(self, account: Account, instruments: MutableMapping[str, Instrument]) -> None:
        self.account = account
        self.instruments = instruments
        self.orders = OrderTable()
        self.last_seq: dict[str, int] = {}
        self.committed_seq: dict[str, int] = {}
        self.epochs: dict[str, int] = {}
        self.ledger_totals: dict[str, Decimal] = {}
        self.unheld_totals: dict[str, Decimal] = {}
        # By asset, since ledger and venue last agreed on it.
        self.outside_causes: dict[str, OutsideCause] = {}
        # All was compared once since the start; before that, each symbol takes orders as soon as its own open orders
        # have been compared, and the balances are read.
        self.is_reconciled = False
        self.has_balances = False
        self.unready: set[str] = set()
        self._failing: set[JournalWork] = set()
        self.is_stream_up = True
        self.is_stream_down = False  # for longer than a reconnect takes: what fills is learnt by comparisons alone
        self.is_venue_down = False
        self.venue_failures = 0
        self.drift: dict[str, str] = {}
        # As of the last comparison with the venue: open orders that are not ours, and by symbol how many open orders
        # of ours stood on one side only.
        self.foreign: tuple[VenueOrder, ...] = ()
        self.compared: frozenset[str] = frozenset()
        # What the venue locks beyond all open orders that we know of, and the symbols that were not traded here in
        # which a search for it found open orders.
        self.unexplained_locks: dict[str, Decimal] = {}
        self.others: set[str] = set()
        self.order_drift: dict[str, int] = {}
        # What is being sold by flattens: they alone exit there, or a strategy would put its own exit back as often as
        # it is cancelled, and nothing would ever be free to sell.
        self.selling: list[Callable[[], Scope]] = []
        # Between their token and their answer; and what shall not be sent, or shall be cancelled after its answer.
        self.sending: set[str] = set()
        self.withdrawn: set[str] = set()
        self.counters: Counter[str] = Counter()
        self.to_commit = LatencyWindow("created_to_committed")
        self.to_send = LatencyWindow("committed_to_sent")
        self.to_ack = LatencyWindow("sent_to_acked")

    @property
    def is_journal_down(self) -> bool:
        """True while anything that the journal does for us fails: no new orders then."""
        return bool(self._failing)

    def is_failing(self, work: JournalWork) -> bool:
        """Tell whether the journal did not do this the last time."""
        return work in self._failing

    def on_journal(self, work: JournalWork, is_done: bool) -> None:
        """Take whether the journal did something."""
        (self._failing.discard if is_done else self._failing.add)(work)

    def is_selling(self, symbol: str) -> bool:
        """Tell whether a flatten sells a symbol's position now."""
        return any(scope is None or symbol in scope for scope in (selling() for selling in self.selling))

    def on_venue_answer(self, is_answer: bool) -> None:
        """Take whether the venue answered a read: after a few in a row that it did not, it is down."""
        self.venue_failures = 0 if is_answer else self.venue_failures + 1
        self.is_venue_down = self.venue_failures >= VENUE_FAILURES_MAX

    def on_ledger(self, lines: Iterable[LedgerLine]) -> None:
        """Add ledger lines to the running totals per asset, and to what no position holds.

        Those are fees in a third asset, and what is of no symbol: openings and adjustments.
        """
        for line in lines:
            self.ledger_totals[line.asset] = self.ledger_totals.get(line.asset, ZERO) + line.amount
            instrument = self.instruments.get(line.symbol)
            is_third = instrument is not None and line.asset not in (instrument.base, instrument.quote)
            if is_third or not line.symbol:
                self.unheld_totals[line.asset] = self.unheld_totals.get(line.asset, ZERO) + line.amount

    def next_seq(self, symbol: str) -> int:
        """Return the next delivery sequence of a symbol: 1, 2, 3, ... in the order the steps are journaled."""
        seq = self.last_seq.get(symbol, 0) + 1
        self.last_seq[symbol] = seq
        return seq
