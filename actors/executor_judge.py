"""The executor's yes or no to an order: when it is proposed, and once more right before it is sent.

May import `trading.model`, `trading.engine` and the executor's pieces. Synchronous: nothing changes between the last
yes and the send.
"""

from __future__ import annotations

from actors.executor_lease import LeaseKeeper
from actors.executor_state import ExecutorState
from trading.engine.account_rules import Denial
from trading.engine.ports import Gateway, OrderRecord
from trading.model.orders import OrderIntent, Purpose, Refusal
from trading.model.session import HaltState

# A send that leaves less than this of the signed window would reach the venue too late for certain.
WINDOW_RESERVE_MS = 200
# The strategy of the orders that a flatten makes.
FLATTEN = "flatten"


class Judge:
    """Reads what the executor knows; changes nothing."""

    def __init__(self, state: ExecutorState, keeper: LeaseKeeper, gateway: Gateway) -> None:
        self._state = state
        self._keeper = keeper
        self._gateway = gateway

    def refusal(self, intent: OrderIntent, now_ns: int) -> Denial | None:
        """Judge an intent; None is a yes."""
        state = self._state
        if state.epochs.get(intent.symbol) != intent.owner_epoch:
            return Denial(Refusal.FENCED, f"owner epoch is {state.epochs.get(intent.symbol)}, was {intent.owner_epoch}")
        if not self._keeper.is_valid():
            return Denial(Refusal.FENCED, "the executor's lease has lapsed")
        if state.is_journal_down:
            return Denial(Refusal.JOURNAL_DOWN, "the journal does not answer")
        if not state.has_balances:
            return Denial(Refusal.NOT_READY, "the account is not reconciled yet")
        if intent.symbol in state.unready:
            return Denial(Refusal.NOT_READY, "its open orders are not compared with the venue's yet")
        if state.is_venue_down:
            return Denial(Refusal.NOT_READY, "the venue does not answer")
        if state.is_stream_down and intent.purpose is Purpose.ENTRY:
            return Denial(Refusal.STREAM_DOWN, "the private stream is down: fills would be learnt late")
        if intent.strategy != FLATTEN and state.is_selling(intent.symbol):
            return Denial(Refusal.REDUCING, "a flatten is selling what is held")
        return state.account.decide(intent, now_ns)

    def withholding(self, record: OrderRecord) -> Denial | None:
        """Judge once more, right before the send. Whatever says no here is certain: nothing has been sent."""
        state = self._state
        if denial := halted(record, *state.account.halt_state(record.symbol)):
            return denial
        if not self._keeper.is_valid() or record.executor_epoch != self._keeper.epoch:
            return Denial(Refusal.FENCED, "the executor's lease has lapsed")
        if state.epochs.get(record.symbol) != record.owner_epoch:
            return Denial(Refusal.FENCED, f"owner epoch is {state.epochs.get(record.symbol)}")
        if record.client_order_id in state.withdrawn:
            return Denial(Refusal.STALE_INTENT, "withdrawn before it was sent")
        if self._gateway.now_ms() > record.signed_ms + record.recv_window_ms - WINDOW_RESERVE_MS:
            return Denial(Refusal.STALE_INTENT, "commit and wait for room took longer than the signed window")
        return None


def halted(record: OrderRecord, halt: HaltState, reason: str) -> Denial | None:
    """Refuse what a halt state forbids."""
    if halt is HaltState.HALTED:
        return Denial(Refusal.HALTED, f"halted: {reason}")
    if halt is HaltState.REDUCING and record.purpose is Purpose.ENTRY:
        return Denial(Refusal.REDUCING, f"exits only: {reason}")
    return None
