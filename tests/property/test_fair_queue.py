"""The queue of what waits for tokens or room is fair, and loses nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading.engine.budget import Priority
from trading.engine.fair_queue import FairQueue


@given(st.lists(st.tuples(st.sampled_from(Priority), st.sampled_from("abc")), max_size=40))
def test_queue_serves_by_priority_then_by_turns_and_loses_nothing(pushed: list[tuple[Priority, str]]) -> None:
    queue: FairQueue[tuple[Priority, str, int]] = FairQueue()
    for index, (priority, symbol) in enumerate(pushed):
        queue.push(priority, symbol, (priority, symbol, index))
    served: list[tuple[Priority, str, int]] = []
    while (item := queue.pop()) is not None:
        served.append(item)
    assert sorted(item[2] for item in served) == list(range(len(pushed)))
    assert [item[0] for item in served] == sorted(item[0] for item in served)
    for priority in Priority:
        turn = [item[1] for item in served if item[0] is priority]
        waiting = {symbol: turn.count(symbol) for symbol in turn}
        for symbol in turn:
            # Nobody is served again while another has been served less often and still waits.
            done = {other: turn.count(other) - waiting[other] for other in waiting}
            assert all(done[symbol] <= done[other] for other in waiting if waiting[other] > 0)
            waiting[symbol] -= 1
    per_symbol = [item[2] for item in served if item[:2] == (Priority.OPEN, "a")]
    assert per_symbol == sorted(per_symbol)


@given(st.lists(st.tuples(st.sampled_from(Priority), st.sampled_from("abc")), max_size=40), st.integers(1, 5))
def test_queue_keeps_what_is_not_taken_out_and_pops_no_priority_beyond_the_last(
    pushed: list[tuple[Priority, str]], step: int
) -> None:
    queue: FairQueue[tuple[Priority, str, int]] = FairQueue()
    for index, (priority, symbol) in enumerate(pushed):
        queue.push(priority, symbol, (priority, symbol, index))
    taken = queue.take_out(lambda item: item[2] % step == 0)
    assert sorted(item[2] for item in taken) == list(range(0, len(pushed), step))
    served: list[tuple[Priority, str, int]] = []
    for last in Priority:
        while (first := queue.first()) is not None and first <= last:
            item = queue.pop(last)
            assert item is not None
            assert item[0] is first
            served.append(item)
        assert queue.pop(last) is None
    assert sorted(item[2] for item in (*taken, *served)) == list(range(len(pushed)))
    for priority, symbol in set(pushed):
        line = [item[2] for item in served if item[:2] == (priority, symbol)]
        assert line == sorted(line)
    assert len(queue) == 0
