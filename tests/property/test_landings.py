"""What may arrive at the venue within one second stays bounded, however late it comes; room is given fairly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trading.engine.budget import BudgetSettings, Priority, RateBudget
from trading.engine.landings import LANDING_WINDOW_NS, Landings
from trading.model.units import NS_PER_MS, NS_PER_S

STEP_NS = 20 * NS_PER_MS
ORDERS_MOST, REQUESTS_MOST = 12, 20
PRIORITIES = {"entry": Priority.OPEN, "exit": Priority.REDUCE}
SHARES = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])


class Wire(RuleBasedStateMachine):
    """Places leave when the journal lets them; each request arrives somewhere between its leaving and its answer.

    Answers take at most two seconds: beyond that cancels go all the same (`Landings`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.budget = RateBudget(BudgetSettings())
        self.now_ns = self.paused_until_ns = 0
        self.arrivals: dict[bool, list[int]] = {True: [], False: []}  # of orders, of reads
        self.committing: list[tuple[Priority, int, int, float]] = []  # who, committed at, trip, share
        self.flying: list[tuple[int, int, int]] = []  # answered at, ticket of the request, ticket of the order or 0

    @rule(steps=st.one_of(st.integers(1, 6), st.integers(1, 60)))
    def time_passes(self, steps: int) -> None:
        for _ in range(steps):
            self.now_ns += STEP_NS
            self._go_on()

    @rule(
        times=st.integers(1, 12),
        kind=st.sampled_from(["entry", "exit", "cancel", "read"]),
        commit_ms=st.integers(0, 1_500),
        trip_ms=st.integers(0, 1_900),
        share=SHARES,
    )
    def some_are_asked_for(self, times: int, kind: str, commit_ms: int, trip_ms: int, share: float) -> None:
        trip_ns = trip_ms * NS_PER_MS
        for _ in range(times):
            if kind in PRIORITIES and self.budget.try_place(self.now_ns, PRIORITIES[kind]):
                self.committing.append((PRIORITIES[kind], self.now_ns + commit_ms * NS_PER_MS, trip_ns, share))
            elif kind == "cancel" and self.budget.try_order(self.now_ns):
                self._leave(trip_ns, share, self.budget.on_order_left(self.now_ns))
            elif kind == "read" and self.budget.try_read(1, self.now_ns):
                self._leave(trip_ns, share, 0)
        self._go_on()

    @precondition(lambda self: self.committing)
    @rule()
    def place_is_withheld(self) -> None:
        self.budget.on_place_dropped(self.committing.pop()[0])

    @rule()
    def cancel_needs_no_send(self) -> None:
        """Its order ended while it waited for its token."""
        if self.budget.try_order(self.now_ns):
            self.budget.on_order_unsent(self.budget.on_order_left(self.now_ns))

    @rule(seconds=st.sampled_from([0.5, 2.0]))
    def venue_refuses(self, seconds: float) -> None:
        self.budget.on_rate_limited(seconds, self.now_ns)
        self.paused_until_ns = max(self.paused_until_ns, self.now_ns + int(seconds * NS_PER_S))

    @invariant()
    def no_second_sees_more_arrivals_than_the_venue_allows(self) -> None:
        both = self.arrivals[True] + self.arrivals[False]
        for arrived, most in ((self.arrivals[True], ORDERS_MOST), (both, REQUESTS_MOST)):
            recent = [at_ns for at_ns in arrived if at_ns > self.now_ns - 4 * NS_PER_S]
            for at_ns in recent:
                assert sum(1 for other in recent if 0 <= other - at_ns < NS_PER_S) <= most

    def teardown(self) -> None:
        """Whatever has its token leaves and is answered in the end, and then there is room for more."""
        for _ in range(600):
            self.now_ns += STEP_NS
            self._go_on()
        assert not self.committing
        assert not self.flying
        assert self.budget.try_read(1, self.now_ns)
        assert self.budget.try_place(self.now_ns)

    def _go_on(self) -> None:
        """Let answers come, then what was committed leave, as far as it may."""
        for answered_ns, ticket, order in sorted(item for item in self.flying if item[0] <= self.now_ns):
            self.budget.on_request_landed(ticket, answered_ns)
            if order:
                self.budget.on_order_landed(order, answered_ns)
        self.flying = [item for item in self.flying if item[0] > self.now_ns]
        for item in sorted(item for item in self.committing if item[1] <= self.now_ns):
            if self.budget.may_leave(self.now_ns):
                self.committing.remove(item)
                self._leave(item[2], item[3], self.budget.on_place_left(self.now_ns, item[0]))

    def _leave(self, trip_ns: int, share: float, order: int) -> None:
        assert self.now_ns >= self.paused_until_ns, "the venue had asked for a pause"
        self.flying.append((self.now_ns + trip_ns, self.budget.on_request_left(self.now_ns), order))
        self.arrivals[order > 0].append(self.now_ns + int(trip_ns * share))


TestWire = Wire.TestCase
TestWire.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


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
