"""The rate budget never lets more through than it says, and is fair."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trading.engine.budget import BudgetSettings, RateBudget, TokenBucket
from trading.model.units import NS_PER_MS, NS_PER_S

STEPS = st.lists(st.tuples(st.integers(0, 400), st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=80)


@given(STEPS, st.sampled_from([1.0, 10.0, 15.0]), st.sampled_from([2.0, 5.0]))
def test_bucket_never_exceeds_burst_plus_rate_in_any_window(
    steps: list[tuple[int, float]], rate: float, burst: float
) -> None:
    bucket, now_ns = TokenBucket(rate, burst), 0
    taken: list[tuple[int, float]] = []
    for wait_ms, weight in steps:
        now_ns += wait_ms * NS_PER_MS
        if bucket.try_take(weight, now_ns):
            taken.append((now_ns, weight))
    for first in range(len(taken)):
        total = 0.0
        for at_ns, weight in taken[first:]:
            total += weight
            assert total <= burst + rate * (at_ns - taken[first][0]) / NS_PER_S + 1e-6


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), min_size=1, max_size=150))
def test_default_budget_stays_below_the_venues_limits_each_second(steps: list[tuple[int, bool]]) -> None:
    budget, now_ns = RateBudget(BudgetSettings()), 0
    orders: list[int] = []
    requests: list[int] = []
    for wait_ms, is_order in steps:
        now_ns += wait_ms * NS_PER_MS
        if is_order and budget.try_order(now_ns):
            orders.append(now_ns)
            requests.append(now_ns)
        elif not is_order and budget.try_read(1, now_ns):
            requests.append(now_ns)
    for sent, most in ((orders, 12), (requests, 20)):
        for index, at_ns in enumerate(sent):
            assert sum(1 for other in sent[index:] if other - at_ns < NS_PER_S) <= most


@given(STEPS)
def test_waiting_as_told_is_enough(steps: list[tuple[int, float]]) -> None:
    budget, now_ns = RateBudget(BudgetSettings()), 0
    for wait_ms, _ in steps:
        now_ns += wait_ms * NS_PER_MS
        if not budget.try_order(now_ns):
            now_ns += budget.wait_ns(now_ns)
            assert budget.try_order(now_ns)


@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=80))
def test_waiting_as_told_is_enough_to_ask_and_no_longer_than_needed(steps: list[tuple[int, bool]]) -> None:
    budget, now_ns = RateBudget(BudgetSettings()), 0
    for wait_ms, is_order in steps:
        now_ns += wait_ms * NS_PER_MS
        if is_order:
            budget.try_order(now_ns)
        elif not budget.try_read(1, now_ns):
            wait_ns = budget.read_wait_ns(1, now_ns)
            assert not copy.deepcopy(budget).try_read(1, now_ns + max(0, wait_ns - 1_000))
            now_ns += wait_ns
            assert budget.try_read(1, now_ns)


def test_rate_limited_budget_sends_nothing_until_the_venue_allows() -> None:
    budget = RateBudget(BudgetSettings())
    budget.on_rate_limited(2.0, 0)
    assert budget.wait_ns(0) == 2 * NS_PER_S
    assert not budget.try_order(2 * NS_PER_S - 1)
    assert not budget.try_read(1, 2 * NS_PER_S - 1)
    assert budget.try_order(2 * NS_PER_S)


def test_firewall_is_tried_by_a_cancel_at_a_bounded_pace_and_let_in_ends_its_pause() -> None:
    budget = RateBudget(BudgetSettings())
    budget.on_rate_limited(90.0, 0, is_firewall=True)
    tried = [at_s for at_s in range(60) if budget.try_order(at_s * NS_PER_S)]
    assert tried == [10, 20, 30, 40, 50]
    assert not budget.try_place(59 * NS_PER_S)
    assert not budget.try_read(1, 59 * NS_PER_S)
    budget.on_let_in(budget.rate_limited, 59 * NS_PER_S)
    assert budget.pause_ns(59 * NS_PER_S) == 0
    assert budget.try_order(60 * NS_PER_S)


@pytest.mark.parametrize("settings", [BudgetSettings(), BudgetSettings(0, 0, 0, 0)])
def test_try_of_which_nothing_was_sent_ends_no_pause_and_is_given_to_the_next(settings: BudgetSettings) -> None:
    budget = RateBudget(settings)
    before = budget.on_order_left(0)
    budget.on_rate_limited(90.0, 0, is_firewall=True)
    assert budget.try_order(10 * NS_PER_S)
    ticket = budget.on_order_left(10 * NS_PER_S)
    budget.on_order_unsent(before)
    assert not budget.try_probe(11 * NS_PER_S), "what left before had no try to give back"
    budget.on_order_unsent(ticket)
    budget.on_let_in(budget.rate_limited, 12 * NS_PER_S)
    assert budget.is_paused(12 * NS_PER_S)
    assert [at_s for at_s in range(12, 30) if budget.try_probe(at_s * NS_PER_S)] == [12, 22]


def test_pause_that_the_venue_asked_for_is_tried_by_nobody() -> None:
    budget = RateBudget(BudgetSettings())
    budget.on_rate_limited(90.0, 0, is_firewall=True)
    budget.on_rate_limited(30.0, 0)
    assert [at_s for at_s in range(45) if budget.try_order(at_s * NS_PER_S)] == [30, 40]
    budget.on_rate_limited(90.0, 45 * NS_PER_S, is_firewall=True)
    budget.on_let_in(budget.rate_limited, 46 * NS_PER_S)  # of a call that nobody tried by
    assert budget.is_paused(46 * NS_PER_S)
    assert [at_s for at_s in range(46, 60) if budget.try_probe(at_s * NS_PER_S)] == [55]


def test_rate_limited_budget_goes_slower_for_half_a_minute() -> None:
    def orders_within(budget: RateBudget, start_ns: int, seconds: int) -> int:
        return sum(budget.try_order(start_ns + step * 10 * NS_PER_MS) for step in range(seconds * 100))

    budget = RateBudget(BudgetSettings())
    budget.on_rate_limited(1.0, 0)
    assert orders_within(budget, NS_PER_S, 20) <= 152
    assert orders_within(budget, 40 * NS_PER_S, 20) >= 195


def test_rate_of_zero_lifts_the_limit() -> None:
    budget = RateBudget(BudgetSettings(0, 0, 0, 0))
    assert all(budget.try_order(0) for _ in range(1000))
    assert budget.wait_ns(0) == 0


class SharedBudget(RuleBasedStateMachine):
    """Orders and reads as they come, refusals of the venue, a clock that is set back: what leaves stays bounded."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = BudgetSettings()
        self.budget = RateBudget(self.settings)
        self.now_ns = self.passed_ns = 0
        self.pause_until_ns = 0  # by time that has passed, whatever the clock says
        self.orders: list[int] = []
        self.requests: list[int] = []

    @rule(wait_ms=st.one_of(st.integers(0, 120), st.integers(0, 3_000)))
    def time_passes(self, wait_ms: int) -> None:
        self.now_ns += wait_ms * NS_PER_MS
        self.passed_ns += wait_ms * NS_PER_MS

    @rule(step_ms=st.integers(1, 5_000))
    def clock_is_set_back(self, step_ms: int) -> None:
        self.now_ns -= step_ms * NS_PER_MS
        self.budget.wait_ns(self.now_ns)

    @rule(times=st.integers(1, 20))
    def orders_come(self, times: int) -> None:
        for _ in range(times):
            if self.budget.try_order(self.now_ns):
                assert self.passed_ns >= self.pause_until_ns
                self.orders.append(self.passed_ns)
                self.requests.append(self.passed_ns)

    @rule(times=st.integers(1, 20))
    def reads_come(self, times: int) -> None:
        for _ in range(times):
            possible = self._orders_possible()
            if self.budget.try_read(1, self.now_ns):
                assert self.passed_ns >= self.pause_until_ns
                self.requests.append(self.passed_ns)
                assert self._orders_possible() >= min(possible, 2), "a read took what two orders need"

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0]))
    def venue_refuses(self, seconds: float) -> None:
        self.budget.on_rate_limited(seconds, self.now_ns)
        self.pause_until_ns = max(self.pause_until_ns, self.passed_ns + int(seconds * NS_PER_S))

    @invariant()
    def every_second_stays_below_the_venues_limits(self) -> None:
        for sent, most in ((self.orders, 12), (self.requests, 20)):
            assert sum(self.passed_ns - at_ns < NS_PER_S for at_ns in sent) <= most

    @invariant()
    def waiting_as_told_is_enough(self) -> None:
        budget = copy.deepcopy(self.budget)
        assert budget.try_order(self.now_ns + budget.wait_ns(self.now_ns))

    def _orders_possible(self) -> int:
        """Count the orders that could leave at this very moment."""
        budget = copy.deepcopy(self.budget)
        return sum(budget.try_order(self.now_ns) for _ in range(3))


TestSharedBudget = SharedBudget.TestCase
TestSharedBudget.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_request_that_nobody_asked_for_makes_the_next_ones_wait() -> None:
    budget = RateBudget(BudgetSettings())
    assert budget.try_read(1, 0)
    for _ in range(4):
        budget.owe(0)
    now_ns = 200 * NS_PER_MS
    assert not budget.try_order(now_ns)
    assert budget.try_order(now_ns + budget.wait_ns(now_ns))
