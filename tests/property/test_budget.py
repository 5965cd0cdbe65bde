"""The rate budget never lets more through than it says, and is fair."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trading.engine.budget import (
    BudgetSettings,
    Priority,
    RateBudget,
    TokenBucket,
)
from trading.engine.landings import LANDING_WINDOW_NS, Landings
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
    budget.on_let_in(59 * NS_PER_S)
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
    budget.on_let_in(12 * NS_PER_S)
    assert budget.is_paused(12 * NS_PER_S)
    assert [at_s for at_s in range(12, 30) if budget.try_probe(at_s * NS_PER_S)] == [12, 22]


def test_pause_that_the_venue_asked_for_is_tried_by_nobody() -> None:
    budget = RateBudget(BudgetSettings())
    budget.on_rate_limited(90.0, 0, is_firewall=True)
    budget.on_rate_limited(30.0, 0)
    assert [at_s for at_s in range(45) if budget.try_order(at_s * NS_PER_S)] == [30, 40]
    budget.on_rate_limited(90.0, 45 * NS_PER_S, is_firewall=True)
    budget.on_let_in(46 * NS_PER_S)  # the answer to what left before the firewall closed
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


# How long after the one before it is asked for; for how long a place is committed; the trip, and where it arrives.
TRIPS = st.lists(
    st.tuples(
        st.integers(0, 120),
        st.integers(0, 1_500),
        st.integers(0, 1_500),
        st.floats(0, 1),
        st.sampled_from(["entry", "exit", "cancel", "read"]),
    ),
    min_size=1,
    max_size=150,
)


class Wire:
    """What has left and is not answered, and when everything arrived at the venue (ns)."""

    def __init__(self) -> None:
        self.budget = RateBudget(BudgetSettings())
        self.arrivals: dict[bool, list[int]] = {True: [], False: []}
        self._committing: list[tuple[Priority, int, int, float]] = []  # who, committed at, trip, share
        self._flying: list[tuple[int, int, int]] = []  # answered at, ticket of the request, ticket of the order or 0

    def go_on(self, now_ns: int) -> None:
        """Let answers come, then what was committed leave, as far as it may."""
        for answered_ns, ticket, order in sorted(item for item in self._flying if item[0] <= now_ns):
            self.budget.on_request_landed(ticket, answered_ns)
            if order:
                self.budget.on_order_landed(order, answered_ns)
        self._flying = [item for item in self._flying if item[0] > now_ns]
        for item in sorted(item for item in self._committing if item[1] <= now_ns):
            if self.budget.may_leave(now_ns):
                self._committing.remove(item)
                self._leave(now_ns, item[2], item[3], self.budget.on_place_left(now_ns, item[0]))

    def ask(self, now_ns: int, commit_ns: int, trip_ns: int, share: float, kind: str) -> None:
        """Let one that wants to leave have its token, if there is one."""
        priority = Priority.REDUCE if kind == "exit" else Priority.OPEN
        if kind in ("entry", "exit") and self.budget.try_place(now_ns, priority):
            self._committing.append((priority, now_ns + commit_ns, trip_ns, share))
        elif kind == "cancel" and self.budget.try_order(now_ns):
            self._leave(now_ns, trip_ns, share, self.budget.on_order_left(now_ns))
        elif kind == "read" and self.budget.try_read(1, now_ns):
            self._leave(now_ns, trip_ns, share, 0)

    def is_empty(self) -> bool:
        """Tell whether everything that had its token has left and was answered."""
        return not self._committing and not self._flying

    def _leave(self, now_ns: int, trip_ns: int, share: float, order: int) -> None:
        self._flying.append((now_ns + trip_ns, self.budget.on_request_left(now_ns), order))
        self.arrivals[order > 0].append(now_ns + int(trip_ns * share))


@given(TRIPS)
def test_no_second_sees_more_arrivals_than_the_venue_allows_however_late_they_are(
    trips: list[tuple[int, int, int, float, str]],
) -> None:
    """Places leave when the journal lets them, each request arrives somewhere between its leaving and its answer."""
    wire, now_ns = Wire(), 0
    for wait_ms, commit_ms, trip_ms, share, kind in trips:
        for _ in range(0, wait_ms, 20):
            now_ns += 20 * NS_PER_MS
            wire.go_on(now_ns)
        wire.ask(now_ns, commit_ms * NS_PER_MS, trip_ms * NS_PER_MS, share, kind)
    for _ in range(250):
        now_ns += 20 * NS_PER_MS
        wire.go_on(now_ns)
    assert wire.is_empty()
    for arrived, most in (
        (wire.arrivals[True], 12),
        (wire.arrivals[True] + wire.arrivals[False], 20),
    ):
        for at_ns in arrived:
            assert sum(1 for other in arrived if 0 <= other - at_ns < NS_PER_S) <= most


CLOCK = st.lists(st.tuples(st.sampled_from(["leave", "answer", "look"]), st.integers(-5_000_000, 3_000)), max_size=60)


@given(CLOCK)
def test_a_clock_that_is_set_back_at_any_moment_holds_nothing_back_for_longer_than_a_second(
    steps: list[tuple[str, int]],
) -> None:
    """Whatever is called first after the step: a leaving, an answer or a look."""
    landings, now_ns, flying = Landings(12), 0, list[int]()
    for what, step_ms in steps:
        now_ns += step_ms * NS_PER_MS
        if what == "leave":
            flying.append(landings.on_left(now_ns))
        elif what == "answer" and flying:
            landings.on_landed(flying.pop(), now_ns)
        else:
            landings.has_room(now_ns)
    assert landings.has_cancel_room(now_ns + 2 * NS_PER_S), "what is unanswered for two seconds holds no cancel back"
    for ticket in flying:
        landings.on_landed(ticket, now_ns)
    assert landings.has_room(now_ns + LANDING_WINDOW_NS)


@pytest.mark.parametrize(("rate", "most"), [(0.1, 1), (0.5, 1), (0.9, 1), (2.0, 2), (10.0, 12)])
def test_only_a_rate_of_nought_lifts_the_bound_on_what_may_arrive(rate: float, most: int) -> None:
    budget, sent = RateBudget(BudgetSettings(rate, 50.0, rate, 50.0)), 0
    while sent < 20 and budget.try_order(0):
        budget.on_order_left(0)
        sent += 1
    assert sent == most


def test_request_that_nobody_asked_for_makes_the_next_ones_wait() -> None:
    budget = RateBudget(BudgetSettings())
    assert budget.try_read(1, 0)
    for _ in range(4):
        budget.owe(0)
    now_ns = 200 * NS_PER_MS
    assert not budget.try_order(now_ns)
    assert budget.try_order(now_ns + budget.wait_ns(now_ns))


def test_unanswered_orders_hold_the_next_ones_back_until_a_second_after_their_answer_but_few_cancels() -> None:
    budget, now_ns = RateBudget(BudgetSettings()), 0
    tickets, cancels = [], 0
    while now_ns < 1_500 * NS_PER_MS:
        if budget.try_place(now_ns):
            tickets.append(budget.on_place_left(now_ns))
        now_ns += 10 * NS_PER_MS
    assert len(tickets) == 9
    while budget.try_order(now_ns):
        budget.on_order_left(now_ns)
        cancels += 1
        now_ns += 100 * NS_PER_MS
    assert cancels == 3, "room was kept for them"
    assert budget.try_order(now_ns + 2 * NS_PER_S), "what is unanswered for two seconds holds no cancel back"
    now_ns += 2 * NS_PER_S
    assert not budget.try_place(now_ns + NS_PER_S)
    for ticket in tickets:
        budget.on_order_landed(ticket, now_ns)
    assert not budget.try_place(now_ns + NS_PER_S)
    assert budget.try_place(now_ns + NS_PER_S + 200 * NS_PER_MS)


def test_orders_that_are_being_committed_hold_back_the_next_ones_and_no_cancel() -> None:
    budget, now_ns = RateBudget(BudgetSettings()), 0
    places = cancels = 0
    while now_ns < 5 * NS_PER_S:
        places += budget.try_place(now_ns)
        now_ns += 10 * NS_PER_MS
    assert places == 9
    while now_ns < 6 * NS_PER_S:
        if budget.try_order(now_ns):
            budget.on_order_landed(budget.on_order_left(now_ns), now_ns)
            cancels += 1
        now_ns += 10 * NS_PER_MS
    assert cancels >= 10
    left = 0
    while budget.may_leave(now_ns):
        budget.on_place_left(now_ns)
        left += 1
    assert left == 12 - cancels, "what comes back from the journal at once leaves as room allows"
    for _ in range(places - left):
        budget.on_place_dropped()
    assert budget.try_order(now_ns + 1_100 * NS_PER_MS), "what was not sent does not count"


def test_place_with_its_token_lets_a_cancel_go_first_that_waits_for_room_and_none_that_waits_for_a_token() -> None:
    budget = RateBudget(BudgetSettings(order_burst=12.0, requests_per_s=0))
    assert budget.try_place(0)
    for _ in range(11):
        assert budget.try_order(0)
        budget.on_order_landed(budget.on_order_left(0), 0)
    assert budget.may_leave(0, ahead=5)
    now_ns = 100 * NS_PER_MS
    assert budget.order_tokens(now_ns) >= 1
    assert budget.may_leave(now_ns)
    assert not budget.may_leave(now_ns, ahead=5)


def test_exit_takes_the_turn_of_an_entry_that_is_committed_and_waits_for_room() -> None:
    budget = RateBudget(BudgetSettings(order_burst=100.0, requests_per_s=0))
    assert [budget.try_place(0) for _ in range(10)] == [True] * 9 + [False]
    for _ in range(12):
        assert budget.try_order(0)
        budget.on_order_landed(budget.on_order_left(0), 0)
    assert not budget.may_leave(0)
    exits = [budget.try_place(0, Priority.REDUCE) for _ in range(10)]
    assert exits == [True] * 9 + [False], "as many as there are entries to go before"
    assert budget.wait_ns(0, Priority.REDUCE) > 0
    now_ns = LANDING_WINDOW_NS
    assert budget.may_leave(now_ns)
    budget.on_order_landed(budget.on_place_left(now_ns, Priority.REDUCE), now_ns)
    assert budget.try_place(now_ns, Priority.REDUCE)
    assert not budget.try_place(now_ns), "an entry waits for the entries before it"
