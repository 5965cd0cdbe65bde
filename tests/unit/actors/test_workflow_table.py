"""The workflow table: complete, closed, and equal to its diagram."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.workflow import (
    ACCEPTED,
    STEPS,
    TERMINAL_STATES,
    TRANSITIONS,
    BackOff,
    CommandKind,
    RunEvent,
    Task,
    mermaid,
    next_state,
    next_task,
    observed_event,
    refusal,
)
from trading.model.session import DesiredState, RunState

DIAGRAM = Path(__file__).resolve().parents[3] / "docs" / "diagrams" / "run.mmd"


def test_diagram_in_the_docs_is_fresh() -> None:
    assert DIAGRAM.read_text(encoding="utf-8") == mermaid(), "run: python -m actors.workflow > docs/diagrams/run.mmd"


def test_terminal_states_have_no_way_out() -> None:
    assert not [move for move in TRANSITIONS if move[0] in TERMINAL_STATES]


def test_every_other_state_is_reachable_and_can_be_drained_or_ended() -> None:
    assert set(TRANSITIONS.values()) | {RunState.REQUESTED} == set(RunState)
    for state in set(RunState) - TERMINAL_STATES - {RunState.DRAINING}:
        assert next_state(state, RunEvent.DRAIN_STARTED) is RunState.DRAINING
    assert next_state(RunState.DRAINING, RunEvent.FAILED) is RunState.KILLED


def test_every_state_names_its_steps_and_every_command_its_states() -> None:
    assert set(STEPS) == set(RunState)
    assert set(ACCEPTED) == set(CommandKind)


def test_a_move_that_is_not_in_the_table_is_none() -> None:
    assert next_state(RunState.STOPPED, RunEvent.STARTED) is None
    assert next_state(RunState.PAUSED, RunEvent.BOOK_PROVEN) is None


@pytest.mark.parametrize("kind", list(CommandKind))
def test_refusal_of_a_command_is_one_sentence_with_the_symbol(kind: CommandKind) -> None:
    for state in RunState:
        text = refusal("AAAUSDT", state, kind)
        assert (text is None) == (state in ACCEPTED[kind])
        assert text is None or (text.startswith("AAAUSDT is ") and "\n" not in text)


def test_refusal_without_a_run_allows_only_spawn() -> None:
    assert refusal("AAAUSDT", None, CommandKind.SPAWN) is None
    assert refusal("AAAUSDT", None, CommandKind.KILL) == "AAAUSDT is not running: spawn it first"


def test_next_task_of_a_run_that_is_not_wanted_any_more_is_a_drain() -> None:
    for state in set(RunState) - TERMINAL_STATES:
        assert next_task(state, DesiredState.STOPPED) is Task.DRAIN
    for state in TERMINAL_STATES:
        assert next_task(state, DesiredState.STOPPED) is None


def test_next_task_leaves_a_pause_that_the_actor_took_by_itself() -> None:
    assert next_task(RunState.PAUSED, DesiredState.TRADING) is None
    assert next_task(RunState.TRADING, DesiredState.PAUSED) is Task.PAUSE


def test_reports_of_an_actor_move_a_run_only_where_the_table_allows() -> None:
    for state in RunState:
        for reported in RunState:
            event = observed_event(state, reported)
            assert event is None or (state, event) not in TRANSITIONS or TRANSITIONS[state, event] in RunState
    assert observed_event(RunState.PAUSED, RunState.TRADING) is RunEvent.RESUMED
    assert observed_event(RunState.SYNCING, RunState.TRADING) is RunEvent.BOOK_PROVEN


def test_back_off_doubles_up_to_its_bound() -> None:
    waits = [BackOff(1.0, 8.0).wait_s(failures) for failures in (1, 2, 3, 4, 5, 500)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
