"""The venue's clock is estimated within its stated bound, whatever the round trips and the host's clock do."""

import pytest

from trading.adapters.clock import ManualClock
from trading.adapters.mexc.clock import VenueClock, clock_sample

MS = 1_000_000
S = 1_000_000_000


class Venue:
    """A server whose clock is `ahead_ms` of the host's at construction, asked over a line with given delays."""

    def __init__(self, clock: ManualClock, ahead_ms: int) -> None:
        self.clock = clock
        self.offset_ns = clock.now_ns() + ahead_ms * MS - clock.monotonic_ns()
        self.there_ms = self.back_ms = 1

    def true_ms(self) -> int:
        return (self.clock.monotonic_ns() + self.offset_ns) // MS

    async def fetch_ms(self) -> int:
        self.clock.advance(self.there_ms * MS)
        server_ms = self.true_ms()
        self.clock.advance(self.back_ms * MS)
        return server_ms


async def test_venue_clock_before_the_first_answer_tells_the_hosts_time() -> None:
    clock = ManualClock(5_000 * MS)
    venue_clock = VenueClock(clock)
    assert (venue_clock.now_ms(), venue_clock.is_known, venue_clock.bound_ms) == (5_000, False, 1_000)


@pytest.mark.parametrize(("there_ms", "back_ms"), [(1, 1), (40, 1), (1, 90)])
@pytest.mark.parametrize("ahead_ms", [0, 7_000, -7_000])
async def test_venue_clock_is_right_within_its_bound(there_ms: int, back_ms: int, ahead_ms: int) -> None:
    clock = ManualClock()
    venue, venue_clock = Venue(clock, ahead_ms), VenueClock(clock)
    venue.there_ms, venue.back_ms = there_ms, back_ms
    await venue_clock.ask(venue.fetch_ms)
    assert abs(venue_clock.now_ms() - venue.true_ms()) <= venue_clock.bound_ms <= (there_ms + back_ms) // 2 + 2
    assert abs(venue_clock.skew_ms - ahead_ms) <= venue_clock.bound_ms


async def test_venue_clock_keeps_the_sample_of_the_shortest_round_trip() -> None:
    clock = ManualClock()
    venue, venue_clock = Venue(clock, 500), VenueClock(clock)
    await venue_clock.ask(venue.fetch_ms)
    venue.there_ms = 400
    await venue_clock.ask(venue.fetch_ms)
    assert venue_clock.bound_ms <= 2
    assert abs(venue_clock.now_ms() - venue.true_ms()) <= 2


async def test_venue_clock_old_best_sample_gives_way() -> None:
    clock = ManualClock()
    venue, venue_clock = Venue(clock, 0), VenueClock(clock)
    await venue_clock.ask(venue.fetch_ms)
    clock.advance(400 * S)
    venue.offset_ns += 30 * MS
    venue.there_ms = 20
    await venue_clock.ask(venue.fetch_ms)
    assert abs(venue_clock.now_ms() - venue.true_ms()) <= venue_clock.bound_ms
    assert venue_clock.bound_ms >= 10


async def test_venue_clock_survives_a_set_host_clock() -> None:
    clock = ManualClock()
    venue, venue_clock = Venue(clock, 0), VenueClock(clock)
    await venue_clock.ask(venue.fetch_ms)
    clock.step(-3_600 * S)
    assert abs(venue_clock.now_ms() - venue.true_ms()) <= venue_clock.bound_ms


async def test_venue_clock_follows_a_venue_that_set_its_clock() -> None:
    clock = ManualClock()
    venue, venue_clock = Venue(clock, 0), VenueClock(clock)
    await venue_clock.ask(venue.fetch_ms)
    venue.offset_ns += 5 * S
    venue.there_ms = 50
    await venue_clock.ask(venue.fetch_ms)
    assert abs(venue_clock.now_ms() - venue.true_ms()) <= venue_clock.bound_ms


async def test_venue_clock_forget_keeps_the_newest_sample_only() -> None:
    clock = ManualClock()
    venue, venue_clock = Venue(clock, 0), VenueClock(clock)
    await venue_clock.ask(venue.fetch_ms)
    venue.offset_ns += 900 * MS
    venue.there_ms = 10
    await venue_clock.ask(venue.fetch_ms)
    assert abs(venue_clock.now_ms() - venue.true_ms()) > 800
    venue_clock.forget()
    assert abs(venue_clock.now_ms() - venue.true_ms()) <= venue_clock.bound_ms


def test_clock_sample_answer_before_question_is_refused() -> None:
    with pytest.raises(ValueError, match="received >= sent"):
        clock_sample(10, 1, 9)
