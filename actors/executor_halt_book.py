"""The halt states of an account, in memory and in the journal: what counts at once, what is stored, what others stored.

May import `trading.model`, `trading.engine` and the executor's state. Others store halts too (API, `mexcbot halt
--direct`), at any moment: what stops by itself is therefore written only over ACTIVE, and a flatten not over a HALTED
that nobody here knew of. What the journal does not take now is written by a later `refresh`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from actors.executor_state import ExecutorState, JournalWork
from trading.adapters.clock import Clock
from trading.engine.ports import Journal
from trading.model.errors import StoreError
from trading.model.session import HaltState

log = structlog.get_logger("executor")


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """What is to be stored; `over` is the strictest stored state that it may replace."""

    state: HaltState
    reason: str
    is_flattening: bool
    over: HaltState


class HaltBook:
    """Owned by one `HaltControl`. Invariant: what is flagged here counts at once, and is stored before it is lifted."""

    def __init__(
        self,
        state: ExecutorState,
        journal: Journal,
        clock: Clock,
        on_change: Callable[[str], None],
        on_adopted: Callable[[str, str], None],
    ) -> None:
        """Args:
        on_change: is told the scope ("account", "symbol:S") whose state is about to change.
        on_adopted: is told the scope, and the reason, of a stop that another has stored, once it counts here.
        """
        self._state = state
        self._journal = journal
        self._clock = clock
        self._on_change = on_change
        self._on_adopted = on_adopted
        self._generation = 0
        self._words: Counter[str] = Counter()
        self._unsaved: dict[str, _Unsaved] = {}
        self._refused: set[str] = set()

    def words(self, key: str) -> int:
        """Count the commands of a scope: a work that began under another number is over."""
        return self._words[key]

    def own(self, key: str) -> tuple[HaltState, str]:
        """Return the state and reason of exactly this scope."""
        found = {scope: (state, reason) for scope, state, reason in self._state.account.halts()}
        return found.get(key, (HaltState.ACTIVE, ""))

    def is_saved(self, key: str) -> bool:
        """Tell whether what counts here is stored."""
        return key not in self._unsaved

    def flag(
        self,
        key: str,
        state: HaltState,
        reason: str,
        *,
        is_flattening: bool = False,
        over: HaltState = HaltState.HALTED,
    ) -> None:
        """Let a state count from now on; `save` stores it. over: the strictest stored state that it may replace."""
        self._generation += 1
        self._words[key] += 1
        self._set(key, state, reason)
        self._unsaved[key] = _Unsaved(state, reason, is_flattening, over)

    async def save(self) -> None:
        """Store what is not stored yet; what the journal does not take now is stored by `refresh`."""
        try:
            await self._write_unsaved()
            if self._refused:
                await self._adopt()
        except StoreError as error:
            self._state.on_journal(JournalWork.WRITES, False)
            log.error("halt_not_persisted", reason=str(error))

    async def lift(self, key: str) -> None:
        """Store ACTIVE, then let it count, unless another command came meanwhile.

        Raises: StoreError; the stop is on then as before.
        """
        self._words[key] += 1  # at once: a sale that ends meanwhile must not halt what is being resumed
        words = self._words[key]
        waiting = self._unsaved.pop(key, None)  # it must not be written after this
        try:
            await self._journal.save_halt(key, HaltState.ACTIVE, "", self._clock.now_ns())
        except StoreError:
            if waiting is not None:
                self._unsaved.setdefault(key, waiting)
            if self._words[key] == words:
                self._words[key] -= 1  # nothing was said, so that a sale that is on goes on
            raise
        if self._words[key] == words:  # else a halt came meanwhile: it is written after this, and stays
            self._generation += 1
            self._set(key, HaltState.ACTIVE, "")

    async def refresh(self) -> tuple[str, ...] | None:
        """Store what waits, then take over what others stored.

        Returns: the scopes whose stored flatten is not over; None when a command was faster than this.
        Raises: StoreError.
        """
        await self._write_unsaved()
        return await self._adopt()

    async def flattening(self) -> tuple[str, ...]:
        """Read the scopes whose stored flatten is not over. Raises: StoreError."""
        return await self._journal.flattening()

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _write_unsaved(self) -> None:
        for key, unsaved in tuple(self._unsaved.items()):
            if self._unsaved.get(key) is not unsaved:
                continue  # resumed, or replaced, while another was being written
            is_written = await self._journal.save_halt(
                key, unsaved.state, unsaved.reason, self._clock.now_ns(), unsaved.is_flattening, unsaved.over
            )
            # A newer one may have come while this one was being written.
            if self._unsaved.get(key) is unsaved:
                del self._unsaved[key]
                if not is_written:
                    self._refused.add(key)

    async def _adopt(self) -> tuple[str, ...] | None:
        generation = self._generation
        stored = {scope: (state, reason) for scope, state, reason in await self._journal.halts()}
        is_reducing = any(state is HaltState.REDUCING for state, _ in stored.values())
        unsold = await self._journal.flattening() if is_reducing else ()
        if generation != self._generation:
            return None
        for key in sorted(stored.keys() | {scope for scope, _, _ in self._state.account.halts()}):
            state, reason = stored.get(key, (HaltState.ACTIVE, ""))
            if self.own(key)[0] is not state or key in self._refused:
                self._set(key, state, reason)
                if state is not HaltState.ACTIVE:
                    self._on_adopted(key, reason)
        self._refused.clear()
        return unsold

    def _set(self, key: str, state: HaltState, reason: str) -> None:
        self._on_change(key)
        self._state.account.set_halt(key, state, reason)
