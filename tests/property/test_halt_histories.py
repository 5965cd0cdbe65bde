"""Whatever halts, resumes, automatic stops, outages and crashes come, a person's last word on a halt is what holds."""

from __future__ import annotations

import asyncio
from enum import StrEnum, auto

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.actors.executor_fakes import System, settle
from trading.model.errors import StoreError
from trading.model.session import HaltState

SCOPES: dict[str, tuple[str, str | None]] = {"account": ("account", None), "symbol:BTCUSDT": ("symbol", "BTCUSDT")}
SEVERITY = [HaltState.ACTIVE, HaltState.REDUCING, HaltState.HALTED].index


class Deed(StrEnum):
    """What can happen to the halt of a scope, or to the journal beneath it."""

    DIRECT = auto()
    HALT = auto()
    RESUME = auto()
    REDUCE = auto()
    POLL = auto()
    JOURNAL_DOWN = auto()
    JOURNAL_UP = auto()
    LOSE_AN_ANSWER = auto()
    CRASH = auto()


class Word(StrEnum):
    """A person's last word on a scope, as far as it is known to stand."""

    LIFTED = auto()
    HALTED = auto()
    HALTED_IN_MEMORY = auto()
    """Said while the journal was away: a crash may forget it."""
    EITHER = auto()
    """A resume whose commit was not answered, or a halt that a crash may have forgotten."""


class History:
    """An executor over an in-memory journal, and what people have said to it."""

    def __init__(self) -> None:
        self.system = System()
        self.words = dict.fromkeys(SCOPES, Word.LIFTED)
        self.halts: list[asyncio.Task[object]] = []

    def held(self, key: str) -> HaltState:
        """What the executor holds for a scope: the account's own halt binds each symbol."""
        return self.system.executor.core.halts.report(SCOPES[key][1]).state

    def said(self, key: str) -> set[Word]:
        """The words that bind a scope: its own, and the account's."""
        return {self.words["account"], self.words[key]}

    async def do(self, deed: Deed, key: str) -> None:
        """Let one thing happen."""
        journal, executor, (scope, symbol) = self.system.journal, self.system.executor, SCOPES[key]
        match deed:
            case Deed.DIRECT:
                if journal.is_down:
                    return
                unanswered, journal.loses_answers = journal.loses_answers, 0
                await journal.save_halt(key, HaltState.HALTED, "direct", 1)
                journal.loses_answers = unanswered
                self.words[key] = Word.HALTED
            case Deed.HALT:
                word = Word.HALTED_IN_MEMORY if journal.is_down else Word.HALTED
                self.halts.append(asyncio.create_task(executor.halt(scope, symbol, False, "halt")))
                await settle()
                self.words[key] = word
            case Deed.RESUME:
                is_answer_lost = journal.loses_answers > 0
                try:
                    await executor.resume(scope, symbol)
                    self.words[key] = Word.LIFTED
                except StoreError:
                    if is_answer_lost:
                        self.words[key] = Word.EITHER
            case Deed.REDUCE:
                await executor.core.halts.reduce(symbol, "drawdown: too deep")
                await settle()
            case Deed.POLL:
                await executor.core.halts.poll()
                await settle()
            case Deed.JOURNAL_DOWN:
                journal.is_down = True
            case Deed.JOURNAL_UP:
                journal.is_down = False
            case Deed.LOSE_AN_ANSWER:
                journal.loses_answers = 1
            case Deed.CRASH:
                await self._crash()

    async def _crash(self) -> None:
        await self.forget_halts()
        self.system.journal.is_down, self.system.journal.loses_answers = False, 0
        for key, word in self.words.items():
            if word is Word.HALTED_IN_MEMORY:
                self.words[key] = Word.EITHER
        await self.system.crash(owner=f"owner-{id(self.system.executor)}")
        await self.system.executor.core.reconciler.round()

    async def forget_halts(self) -> None:
        """Leave the halts that are still being confirmed."""
        for task in self.halts:
            task.cancel()
        await asyncio.gather(*self.halts, return_exceptions=True)
        self.halts.clear()

    async def play(self, deeds: list[tuple[Deed, str]]) -> None:
        """Let everything happen, let the journal come back, and hold what stands against what was said."""
        await self.system.start()
        for deed, key in deeds:
            await self.do(deed, key)
            assert all(
                self.held(scope) is HaltState.HALTED for scope in SCOPES if Word.HALTED_IN_MEMORY in self.said(scope)
            )
        self.system.journal.is_down, self.system.journal.loses_answers = False, 0
        for _ in range(3):
            await self.system.executor.core.keeper.renew()
            await self.system.executor.core.halts.poll()
            await settle()
        stored = {key: state for key, state, _ in await self.system.journal.halts()}
        for key in SCOPES:
            assert self.held(key) is max(
                (stored.get(scope, HaltState.ACTIVE) for scope in {"account", key}), key=SEVERITY
            )
            if self.said(key) & {Word.HALTED, Word.HALTED_IN_MEMORY}:
                assert self.held(key) is HaltState.HALTED
            elif self.said(key) == {Word.LIFTED}:
                assert self.held(key) is not HaltState.HALTED
        assert not self.system.crashes
        await self.forget_halts()
        await self.system.executor.close()


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Deed), st.sampled_from(sorted(SCOPES))), min_size=2, max_size=14))
def test_last_word_of_a_person_stands_after_any_history(deeds: list[tuple[Deed, str]]) -> None:
    asyncio.run(asyncio.wait_for(History().play(deeds), 60))
