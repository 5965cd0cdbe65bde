"""One symbol run in the supervisor's memory: its place in the workflow, the actor's last word, what is not yet saved.

May import `trading.model`, `actors.fleet`, `actors.supervisor_ports`, `actors.workflow`. No I/O: the supervisor saves
`take_unsaved()` and runs the tasks. Times: `now_ns` for people, `mono_ns` (monotonic) for every deadline.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from actors.fleet import DrainReport, SymbolRow
from actors.supervisor_ports import RunRecord, Wanted
from actors.workflow import TERMINAL_STATES, BackOff, RunEvent, Step, next_state, observed_event
from trading.model.session import Heartbeat, RunState
from trading.model.units import NS_PER_S

_WITHOUT_ACTOR = TERMINAL_STATES | {RunState.REQUESTED, RunState.FAILED}
# Moves that wait for the database; when it is away for long the oldest go, the row itself always has the newest state.
UNSAVED_MAX = 200
# A strategy that fails anew after each start has not recovered because it ran for a moment: its pauses must grow.
STEADY_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Move:
    """One run event to be saved with the row after it."""

    record: RunRecord
    event: str
    detail: str


class Run:
    """The life of one symbol run. Invariant: `state` changes only by the transition table.

    Attributes (all set by the supervisor's tasks or by `observe`):
        wanted: what was asked for. drain: how its drain ended, None before.
        is_resume_due: a person asked to resume and it is not done. is_flatten_due: the same for a flatten.
        needs_new_actor: the actor has drained (flatten) and takes no entries any more; a resume replaces it.
        control_after_ns: no control call before (monotonic). is_told: the last one was answered, and its effect is not
            heard yet.
        failures: failures in a row; one after `STEADY_NS` with an actor is a first one. retry_at_ns: when a FAILED run
            starts again (monotonic).
    """

    def __init__(
        self, record: RunRecord, wanted: Wanted, now_ns: int, mono_ns: int, back_off: BackOff | None = None
    ) -> None:
        self._back_off = back_off or BackOff()
        self.record = record
        self.wanted = wanted
        self.since_ns = record.updated_ns or now_ns
        self.heartbeat: Heartbeat | None = None
        self.heard_ns = 0
        self.heard_mono_ns = mono_ns
        self.drain: DrainReport | None = None
        self.is_resume_due = False
        self.is_flatten_due = False
        self.needs_new_actor = False
        self.was_spawned_paused = False
        self.control_after_ns = mono_ns
        self.is_told = False
        self.failures = 0
        self.retry_at_ns = mono_ns
        self._up_mono_ns: int | None = None
        self.ignored_events = 0
        self._unsaved: deque[Move] = deque(maxlen=UNSAVED_MAX)

    @property
    def symbol(self) -> str:
        """The symbol's name."""
        return self.record.symbol

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self.record.state

    @property
    def is_over(self) -> bool:
        """True when nothing more will happen to this run."""
        return self.state in TERMINAL_STATES

    @property
    def has_wanted_params(self) -> bool:
        """True when the actor reports every parameter that was asked for, or has not been heard."""
        reported = dict(self.heartbeat.params) if self.heartbeat is not None else dict(self.wanted.params)
        return all(reported.get(name) == text for name, text in self.wanted.params)

    def apply(self, event: RunEvent, reason: str, now_ns: int) -> bool:
        """Move by the table; False (and counted) when it has no such move from here."""
        after = next_state(self.state, event)
        if after is None:
            self.ignored_events += 1
            return False
        if after is not self.state or reason != self.record.reason:
            self.since_ns = now_ns if after is not self.state else self.since_ns
            self.record = replace(self.record, state=after, reason=reason, updated_ns=now_ns)
        self._note(event.value, reason)
        return True

    def fail(self, reason: str, now_ns: int, mono_ns: int) -> bool:
        """Move to FAILED and set when it starts again; False when it cannot fail from here."""
        # Since its actor came up, not since it trades: a book that syncs anew each minute says nothing of the strategy.
        is_recovered = self._up_mono_ns is not None and mono_ns - self._up_mono_ns >= STEADY_NS
        self._up_mono_ns = None
        self.failures = 1 if is_recovered else self.failures + 1
        self.retry_at_ns = mono_ns + int(self._back_off.wait_s(self.failures) * NS_PER_S)
        if not self.apply(RunEvent.FAILED, reason, now_ns):
            return False
        self.keep_twin()
        self.heartbeat = None
        return True

    def keep_twin(self) -> None:
        """Keep what the shadow twin of a process that is over has found: the next one begins to count anew."""
        twin = self.heartbeat.twin if self.heartbeat is not None else None
        if twin is not None and twin.orders:
            self._note("shadow twin", twin.text())

    def retry_now(self) -> None:
        """Forget earlier failures: a person has looked at them, and a run that waits starts at once."""
        self.failures = self.retry_at_ns = 0

    def step(self, step: Step, outcome: str, now_ns: int) -> None:
        """Record that a step began ("begun"), ended ("done") or what it met."""
        self.record = replace(self.record, updated_ns=now_ns)
        self._note(f"step:{step.value}", outcome)

    def observe(self, heartbeat: Heartbeat, now_ns: int, mono_ns: int) -> bool:
        """Take the actor's word; True when it shows a new process of an actor that was up before.

        Words of an older process (lower epoch) are ignored, and all words while no actor is meant to live.
        """
        if self.state in _WITHOUT_ACTOR or heartbeat.epoch < self.record.epoch:
            return False
        if self.heartbeat is not None and heartbeat.sent_ns < self.heartbeat.sent_ns:
            return False
        is_restart = self._is_new_process(heartbeat)
        is_begun_anew = self.state is RunState.STARTING and 0 < self.record.epoch < heartbeat.epoch
        is_first = self.heartbeat is None
        if is_restart or is_begun_anew:
            self.keep_twin()
        if self.is_told:
            self.is_told, self.control_after_ns = False, mono_ns
        self.heartbeat, self.heard_ns, self.heard_mono_ns = heartbeat, now_ns, mono_ns
        if self.record.epoch != heartbeat.epoch:
            self.record = replace(self.record, epoch=heartbeat.epoch)
        if is_restart or is_begun_anew:
            self.record = replace(self.record, restarts=self.record.restarts + 1)
        if is_restart:
            self.apply(RunEvent.RESTARTED, f"process {heartbeat.pid} on {heartbeat.node}", now_ns)
            self.is_resume_due = self.is_resume_due or self.was_spawned_paused
        if self.state is RunState.STARTING:
            self.step(Step.LEASE, f"epoch {heartbeat.epoch}", now_ns)
            self.apply(RunEvent.SPAWNED, "", now_ns)
            self._up_mono_ns = mono_ns
        elif is_first and not is_restart:
            self._note("adopted", f"process {heartbeat.pid} on {heartbeat.node}")
        self._follow(heartbeat, now_ns, mono_ns)
        return is_restart

    def silent_s(self, mono_ns: int) -> float:
        """Seconds since the actor was heard, or since the run was met."""
        return (mono_ns - self.heard_mono_ns) / NS_PER_S

    def take_unsaved(self) -> tuple[Move, ...]:
        """Return the moves to save, oldest first, and forget them; `give_back` when saving failed."""
        moves = tuple(self._unsaved)
        self._unsaved.clear()
        return moves

    def give_back(self, moves: tuple[Move, ...]) -> None:
        """Put unsaved moves back in front."""
        self._unsaved.extendleft(reversed(moves))

    def row(self) -> SymbolRow:
        """Show it to people."""
        return SymbolRow(
            symbol=self.symbol,
            state=self.state,
            reason=self.record.reason,
            since_ns=self.since_ns,
            desired=self.wanted.desired,
            run_id=self.record.run_id,
            run_number=self.record.run_number,
            epoch=self.record.epoch,
            restarts=self.record.restarts,
            strategy=self.wanted.strategy,
            params=self.wanted.params,
            heartbeat=self.heartbeat,
            heard_ns=self.heard_ns,
        )

    def _is_new_process(self, heartbeat: Heartbeat) -> bool:
        if self.state is RunState.STARTING:
            return False
        if self.heartbeat is not None:
            return (heartbeat.pid, heartbeat.node) != (self.heartbeat.pid, self.heartbeat.node)
        # Re-adopted after the supervisor's own restart: the epoch of the row tells whether it is the same process.
        return 0 < self.record.epoch < heartbeat.epoch

    def _follow(self, heartbeat: Heartbeat, now_ns: int, mono_ns: int) -> None:
        """Move to where the actor says it is, if the table allows it; the same state is no news."""
        if heartbeat.state is self.state or self.state is RunState.DRAINING:
            return
        if heartbeat.state is RunState.FAILED:
            self.fail(heartbeat.reason, now_ns, mono_ns)
        elif (event := observed_event(self.state, heartbeat.state)) is not None:
            # While it trades its reason is the moment's refusals: heartbeats tell them, the row would keep old ones.
            self.apply(event, heartbeat.reason if heartbeat.state is RunState.PAUSED else "", now_ns)

    def _note(self, event: str, detail: str) -> None:
        self._unsaved.append(Move(self.record, event, detail))
