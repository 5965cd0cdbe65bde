"""Whether a symbol may propose entries: a person's pause, and the account's or its own halt, as one switch.

May import `trading.model` and `trading.engine`. The executor denies what a halt forbids in any case; the gate keeps a
halted strategy from proposing it again and again, each time a row in the journal.
"""

from __future__ import annotations

from trading.engine.messages import TradingSwitched
from trading.model.session import HaltState


class TradingGate:
    """Owned by one `SymbolActor`. Its opening forgives losses: the engine does, and the executor is to be told.

    forgiven_ns: when it opened, while that was not told yet (else 0): the next owner would hear of those losses.
    """

    def __init__(self, is_paused: bool) -> None:
        self.is_paused = is_paused
        self._halt = HaltState.ACTIVE
        self.forgiven_ns = 0

    @property
    def is_open(self) -> bool:
        """True when entries may be proposed."""
        return not self.is_paused and self._halt is HaltState.ACTIVE

    def take_halt(self, halt: HaltState) -> bool:
        """Take the halt state that the executor told; True when the gate has moved."""
        was_open, self._halt = self.is_open, halt
        return self.is_open is not was_open

    def event(self, now_ns: int, reason: str = "") -> TradingSwitched:
        """Return the gate's state as the engine hears it: no entries while it is shut, exits go on."""
        if self.is_open:
            self.forgiven_ns = now_ns
        if self._halt is not HaltState.ACTIVE:
            reason = f"the account or the symbol is {self._halt}"
        return TradingSwitched(self.is_open, "" if self.is_open else reason or "paused", now_ns)
