"""Unexplained locks are searched for after two looks that agree, never more often than promised, and not for ever."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trading.engine.locks import CONFIRM_NS, PAUSE_MAX_NS, PAUSE_MIN_NS, LockWatch
from trading.model.units import NS_PER_S

LOOKS = st.lists(st.tuples(st.integers(1, 400), st.sampled_from([0, 0, 5, 5, 9]), st.booleans()), max_size=120)


@given(LOOKS)
def test_searches_keep_their_pauses_whatever_is_locked(looks: list[tuple[int, int, bool]]) -> None:
    watch, now_ns, seen_since_ns = LockWatch(), 0, None
    ended_ns: int | None = None
    for wait_s, amount, is_found in looks:
        now_ns += wait_s * NS_PER_S
        watch.see({"USDT": Decimal(amount)} if amount else {}, now_ns)
        seen_since_ns = None if not amount else now_ns if seen_since_ns is None else seen_since_ns
        assert watch.amounts().keys() <= {"USDT"}
        if not watch.wanted(now_ns):
            continue
        assert seen_since_ns is not None
        assert now_ns - seen_since_ns >= CONFIRM_NS
        assert ended_ns is None or now_ns - ended_ns >= PAUSE_MIN_NS
        watch.on_searched({"USDT"}, is_found, now_ns)
        ended_ns = now_ns
        assert watch.wanted(now_ns) == frozenset()


@given(st.integers(1, 60))
def test_lock_that_nothing_explains_is_searched_for_ever_more_seldom(step_s: int) -> None:
    watch, now_ns = LockWatch(), 0
    ended: list[int] = []
    while now_ns < 6 * PAUSE_MAX_NS:
        now_ns += step_s * NS_PER_S
        watch.see({"USDT": Decimal(1)}, now_ns)
        if watch.wanted(now_ns):
            watch.on_searched({"USDT"}, False, now_ns)
            ended.append(now_ns)
    gaps = [after - before for before, after in pairwise(ended)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= PAUSE_MIN_NS
    assert gaps[-1] >= PAUSE_MAX_NS
    assert len(ended) <= 12
