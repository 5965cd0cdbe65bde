"""The adoption of orphans: an open order under our prefix that no row explains gets one, and is ours from then on.

May import `trading.model`, `trading.engine` and the executor's pieces. The row is made of what the venue says and is
written on the intents' lane, insert only: an id that has a row, of whatever account, or that a stored halt forbids is
not adopted. Its symbol hears its terms by a journaled event, before any of its executions. What was executed before is
booked like any execution that is missing here: fetched from my-trades.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.executor_desk import OrderDesk
from actors.executor_lanes import CommitOutcome
from actors.executor_send import SendPath
from actors.executor_state import ExecutorState, OutsideCause
from trading.adapters.clock import Clock
from trading.engine.order_tracker import OrderTracker
from trading.engine.ports import Journal, OrderRecord
from trading.engine.reconcile import ADOPTED
from trading.model.errors import StoreError
from trading.model.market import Side
from trading.model.orders import OrderStatus, Purpose, VenueOrder
from trading.model.session import HaltState
from trading.model.units import ZERO, plain


class Adopter:
    """Owned by one `Comparer`. Invariant: an adopted order is in memory, in the books and in the journal, or in none.

    What was begun is carried through: while its commit is uncertain it is repeated, which writes nothing twice.
    """

    def __init__(
        self,
        state: ExecutorState,
        desk: OrderDesk,
        sends: SendPath,
        journal: Journal,
        clock: Clock,
        report: Callable[[VenueOrder], None],
    ) -> None:
        """Args: report: tells people of an order that has been adopted."""
        self._state = state
        self._desk = desk
        self._sends = sends
        self._journal = journal
        self._clock = clock
        self._report = report
        self._unsure: dict[str, VenueOrder] = {}  # their row may stand; empty but while the journal is down

    async def recall(self, client_order_id: str) -> bool:
        """Bring an order and its fills back from the journal into memory; False when it has no row."""
        rows = await self._journal.orders_by_id((client_order_id,))
        if not rows:
            return False
        fills = await self._journal.fills_of(client_order_id)
        if self._state.orders.get(client_order_id) is None:
            self._enter(OrderTracker(rows[0], fills))
        return True

    async def adopt(self, word: VenueOrder) -> str:
        """Make an order ours. Returns: why not; empty when it is. Raises: StoreError when that is not certain."""
        return self._hindrance(word) or await self._carry_through(word)

    async def finish(self) -> None:
        """Carry through what was begun and is not certain. Raises: StoreError."""
        for name, word in tuple(self._unsure.items()):
            if self._state.orders.get(name) is None:
                await self._carry_through(word)
            self._unsure.pop(name, None)

    async def _carry_through(self, word: VenueOrder) -> str:
        name = word.client_order_id
        instrument, now_ns = self._state.instruments[word.symbol], self._clock.now_ns()
        await self._journal.register_instruments((instrument,), now_ns)
        self._unsure[name] = word
        record, outcome = await self._sends.commit_unsent(_record(word, now_ns))
        if outcome in (CommitOutcome.UNCERTAIN, CommitOutcome.FENCED):
            raise StoreError(f"{name}: the commit of its adoption was not answered")
        if outcome is CommitOutcome.COMMITTED:
            self._enter(OrderTracker(record))
        elif not await self.recall(name):  # what stands may be an earlier try's
            del self._unsure[name]
            return "its id is another account's or given up, or a halt is on"
        del self._unsure[name]
        self._state.counters["adopted"] += 1
        self._report(word)
        if word.filled_lots:
            # The opening, or an adjustment, may have counted that: if so, the ledger is put right again, with a reason.
            cause = OutsideCause(f"counted before {name} was adopted", self._clock.monotonic_ns())
            self._state.outside_causes.update(dict.fromkeys((instrument.base, instrument.quote), cause))
        self._desk.take(word)
        halt = self._state.account.halt_state(word.symbol)[0]  # one that is not stored yet
        if halt is HaltState.HALTED or (halt is HaltState.REDUCING and record.purpose is Purpose.ENTRY):
            self._sends.cancels.queue(name, word.symbol)
        return ""

    def _enter(self, tracker: OrderTracker) -> None:
        self._state.orders.put(tracker)
        self._state.account.on_order(tracker.record)

    def _hindrance(self, word: VenueOrder) -> str:
        """Say why an order cannot be ours. A sale has to be covered: no position may fall below nothing by it."""
        instrument, account = self._state.instruments.get(word.symbol), self._state.account
        if instrument is None or word.qty_lots <= 0:
            return "its symbol is not listed, or its quantity not known"
        if word.side is Side.SELL:
            wanted = instrument.qty(word.qty_lots)
            free = account.position(word.symbol).qty - instrument.qty(account.commitments.open_sell_lots(word.symbol))
            if wanted > free:
                return f"it sells {plain(wanted)} {instrument.base}, and the books hold {plain(max(free, ZERO))}"
        return ""


def _record(word: VenueOrder, now_ns: int) -> OrderRecord:
    created_ns = word.created_ts_ns or word.exch_ts_ns
    return OrderRecord(
        client_order_id=word.client_order_id,
        symbol=word.symbol,
        run_id=ADOPTED,
        owner_epoch=0,
        executor_epoch=0,
        side=word.side,
        type=word.type,
        price_ticks=word.price_ticks,
        qty_lots=word.qty_lots,
        purpose=Purpose.EXIT if word.side is Side.SELL else Purpose.ENTRY,
        strategy=ADOPTED,
        status=OrderStatus.SENT,  # OPEN by the step that tells its symbol: a death in between tells it later
        created_ns=created_ns,
        valid_until_ns=created_ns,
        signed_ms=0,
        recv_window_ms=0,
        venue_order_id=word.venue_order_id,
        venue_filled_lots=min(word.filled_lots, word.qty_lots),
        committed_ns=now_ns,
        updated_ns=now_ns,
        decision=((ADOPTED, "the venue held it under our prefix, and no row explained it"),),
    )
