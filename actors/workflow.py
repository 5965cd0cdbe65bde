"""The workflow of a symbol run as tables: its states, what moves it, which steps it takes, which commands it accepts.

Pure: may import `trading.model`; no clock, no I/O. The supervisor walks these tables and persists every move, so it can
die at any step and resume. `docs/diagrams/run.mmd` is `mermaid()`, and a test fails when it is stale.
`python -m actors.workflow > docs/diagrams/run.mmd` writes it anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from trading.model.session import DesiredState, RunState


class RunEvent(StrEnum):
    """What can happen to a run. Commands lead to these; observations of the actor are these."""

    STARTED = "started"
    SPAWNED = "spawned"
    BOOK_PROVEN = "book proven"
    PROOF_LOST = "proof lost"
    PAUSED = "paused"
    RESUMED = "resumed"
    RESTARTED = "restarted by Ray"
    DRAIN_STARTED = "drain started"
    DRAINED = "drained, 0 open"
    DRAIN_UNCONFIRMED = "drain not confirmed"
    FAILED = "failed"
    RETRIED = "back-off over"


class Step(StrEnum):
    """The idempotent steps of a run, in order. Each is recorded when it begins and when it ends."""

    PREFLIGHT = "preflight"
    LEASE = "lease"
    SPAWN = "spawn"
    SYNC_BOOK = "sync_book"
    RECONCILE_ORDERS = "reconcile_orders"
    TRADE = "trade"
    DRAIN = "drain"
    CLOSE = "close"
    RELEASE_LEASE = "release_lease"


class CommandKind(StrEnum):
    """What people may ask of symbols."""

    SPAWN = "spawn"
    KILL = "kill"
    PAUSE = "pause"
    RESUME = "resume"
    FLATTEN = "flatten"
    SET = "set"


class Task(StrEnum):
    """What the supervisor has to do next for a run so that observed becomes desired."""

    START = "start"
    RETRY = "retry"
    WAIT_FOR_ACTOR = "wait_for_actor"
    PAUSE = "pause"
    DRAIN = "drain"


_ALIVE = (RunState.STARTING, RunState.SYNCING, RunState.TRADING, RunState.PAUSED)
_WITH_ACTOR = (RunState.SYNCING, RunState.TRADING, RunState.PAUSED)
TERMINAL_STATES = frozenset({RunState.STOPPED, RunState.KILLED})

TRANSITIONS: dict[tuple[RunState, RunEvent], RunState] = {
    (RunState.REQUESTED, RunEvent.STARTED): RunState.STARTING,
    (RunState.STARTING, RunEvent.SPAWNED): RunState.SYNCING,
    (RunState.SYNCING, RunEvent.BOOK_PROVEN): RunState.TRADING,
    (RunState.TRADING, RunEvent.PROOF_LOST): RunState.SYNCING,
    (RunState.PAUSED, RunEvent.RESUMED): RunState.TRADING,
    (RunState.FAILED, RunEvent.RETRIED): RunState.STARTING,
    (RunState.DRAINING, RunEvent.DRAINED): RunState.STOPPED,
    (RunState.DRAINING, RunEvent.DRAIN_UNCONFIRMED): RunState.KILLED,
    (RunState.DRAINING, RunEvent.FAILED): RunState.KILLED,
    **{(state, RunEvent.PAUSED): RunState.PAUSED for state in (RunState.SYNCING, RunState.TRADING)},
    **{(state, RunEvent.RESTARTED): RunState.SYNCING for state in _WITH_ACTOR},
    **{(state, RunEvent.DRAIN_STARTED): RunState.DRAINING for state in (RunState.REQUESTED, *_ALIVE, RunState.FAILED)},
    **{(state, RunEvent.FAILED): RunState.FAILED for state in (RunState.REQUESTED, *_ALIVE)},
}

# Which steps a run walks through while it is in a state.
STEPS: dict[RunState, tuple[Step, ...]] = {
    RunState.REQUESTED: (),
    RunState.STARTING: (Step.PREFLIGHT, Step.SPAWN, Step.LEASE),
    RunState.SYNCING: (Step.RECONCILE_ORDERS, Step.SYNC_BOOK),
    RunState.TRADING: (Step.TRADE,),
    RunState.PAUSED: (),
    RunState.DRAINING: (Step.DRAIN, Step.CLOSE, Step.RELEASE_LEASE),
    RunState.STOPPED: (),
    RunState.FAILED: (),
    RunState.KILLED: (),
}

# Commands by state. A state that is missing refuses the command with the sentence of `refusal`.
ACCEPTED: dict[CommandKind, frozenset[RunState]] = {
    CommandKind.SPAWN: TERMINAL_STATES,
    CommandKind.KILL: frozenset({RunState.REQUESTED, *_ALIVE, RunState.FAILED}),
    CommandKind.PAUSE: frozenset({RunState.REQUESTED, *_ALIVE, RunState.FAILED}),
    CommandKind.RESUME: frozenset({RunState.REQUESTED, *_ALIVE, RunState.FAILED}),
    CommandKind.FLATTEN: frozenset(_WITH_ACTOR),
    CommandKind.SET: frozenset({RunState.REQUESTED, *_ALIVE, RunState.FAILED}),
}


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long a failed run waits: `first_s` doubled with each failure in a row, at most `most_s`."""

    first_s: float = 1.0
    most_s: float = 60.0

    def wait_s(self, failures: int) -> float:
        """Return the wait after the n-th failure in a row (n >= 1)."""
        return float(min(self.most_s, self.first_s * 2 ** min(max(failures, 1) - 1, 30)))


def next_state(state: RunState, event: RunEvent) -> RunState | None:
    """Return the state after `event`; None when the table has no such move: it is then ignored and counted."""
    return TRANSITIONS.get((state, event))


def refusal(symbol: str, state: RunState | None, kind: CommandKind) -> str | None:
    """Say in one sentence why a command is refused now; None when it is accepted. state: None when no run exists."""
    if state is None:
        return None if kind is CommandKind.SPAWN else f"{symbol} is not running: spawn it first"
    if state in ACCEPTED[kind]:
        return None
    if kind is CommandKind.SPAWN:
        return f"{symbol} is already {state.value}: kill it first, or leave it"
    if state in TERMINAL_STATES:
        return f"{symbol} is {state.value}: spawn it first"
    if state is RunState.DRAINING:
        return f"{symbol} is DRAINING and accepts no {kind.value}: wait until it has stopped"
    return f"{symbol} is {state.value} and accepts no {kind.value} now: try again when it is SYNCING, TRADING or PAUSED"


def observed_event(state: RunState, reported: RunState) -> RunEvent | None:
    """Translate what an actor reports about itself into an event; None when it says nothing new."""
    match reported:
        case RunState.TRADING:
            return RunEvent.RESUMED if state is RunState.PAUSED else RunEvent.BOOK_PROVEN
        case RunState.SYNCING:
            # Resumed on a book that is not proven: the next report moves it on from TRADING.
            return RunEvent.RESUMED if state is RunState.PAUSED else RunEvent.PROOF_LOST
        case RunState.PAUSED:
            return RunEvent.PAUSED
        case RunState.FAILED:
            return RunEvent.FAILED
        case RunState.REQUESTED | RunState.STARTING | RunState.DRAINING | RunState.STOPPED | RunState.KILLED:
            return None
        case _:
            assert_never(reported)


def next_task(state: RunState, desired: DesiredState) -> Task | None:
    """Decide what makes this run more like what was asked for; None when it is so already.

    A pause that the actor took by itself (a strategy fault) is not undone here: only a person's `resume` does that.
    """
    if state in TERMINAL_STATES:
        return None
    if desired is DesiredState.STOPPED:
        return Task.DRAIN
    match state:
        case RunState.REQUESTED:
            return Task.START
        case RunState.FAILED:
            return Task.RETRY
        case RunState.STARTING:
            return Task.WAIT_FOR_ACTOR
        case RunState.SYNCING | RunState.TRADING:
            return Task.PAUSE if desired is DesiredState.PAUSED else None
        case RunState.DRAINING:
            return Task.DRAIN
        case _:
            return None


def mermaid() -> str:
    """Render the table as a mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {RunState.REQUESTED.value}"]
    lines += [f"    {state.value} --> {after.value}: {event.value}" for (state, event), after in TRANSITIONS.items()]
    lines += [f"    {state.value} --> [*]" for state in RunState if state in TERMINAL_STATES]
    notes = {state: steps for state, steps in STEPS.items() if steps}
    for state, steps in notes.items():
        lines += [f"    note right of {state.value}: {', '.join(step.value for step in steps)}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(mermaid())
